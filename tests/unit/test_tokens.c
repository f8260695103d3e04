#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/trust/certificate.h"
#include "coordinator/trust/tokens.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_MS     1700000000000
#define EXPIRES_MS (NOW_MS + 3600000)

struct fixture {
    struct scratch scratch;
    struct tokens *tokens;
    struct err err;
};

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "tokens.json");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    return tokens_open(path_of(f), &f->tokens, &f->err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tokens_close(f->tokens);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *key(unsigned number)
{
    static char text[KEY_Z85_LEN + 1];
    uint8_t raw[KEY_BYTES] = {2};
    memcpy(raw + 1, &number, sizeof(number));
    key_from_raw(raw, text);
    return text;
}

static struct token make(unsigned number, uint64_t uses)
{
    struct token token = {.roles = CERTIFICATE_ROLE_EDGE,
            .uses_left = uses,
            .created_ms = NOW_MS + number,
            .expires_ms = EXPIRES_MS};
    strcpy(token.key, key(number));
    return token;
}

/* Its id, valid until the next call. */
static const char *add(struct fixture *f, unsigned number, uint64_t uses)
{
    static struct token token;
    token = make(number, uses);
    assert_int_equal(tokens_add(f->tokens, &token, &f->err), 0);
    return token.id;
}

static int use(struct fixture *f, unsigned number, int64_t now_ms)
{
    return tokens_use(f->tokens, key(number), now_ms, &f->err);
}

static const struct token *find(struct fixture *f, unsigned number)
{
    return tokens_find_key(f->tokens, key(number), NOW_MS);
}

static void reopen(struct fixture *f)
{
    tokens_close(f->tokens);
    f->tokens = NULL;
    assert_int_equal(tokens_open(path_of(f), &f->tokens, &f->err), 0);
}

static void a_token_gets_an_id_from_its_key(void **state)
{
    struct fixture *f = *state;
    char id[TOKEN_ID_LEN + 1];
    strcpy(id, add(f, 1, 3));
    assert_int_equal(strlen(id), TOKEN_ID_LEN);
    assert_int_equal(strspn(id, "0123456789abcdef"), TOKEN_ID_LEN);
    assert_string_equal(find(f, 1)->id, id);
    assert_string_not_equal(add(f, 2, 1), id);
    assert_null(find(f, 3));
    struct token again = make(1, 1);
    assert_int_equal(tokens_add(f->tokens, &again, &f->err), -EEXIST);
    assert_int_equal(tokens_count(f->tokens), 2);
}

static void everything_comes_back_from_the_file(void **state)
{
    struct fixture *f = *state;
    char id[TOKEN_ID_LEN + 1];
    (void)add(f, 2, 1);
    strcpy(id, add(f, 1, 3));
    assert_int_equal(use(f, 1, NOW_MS), 0);
    reopen(f);
    assert_int_equal(tokens_count(f->tokens), 2);
    const struct token *token = tokens_at(f->tokens, 0);
    assert_string_equal(token->id, id);
    assert_string_equal(token->key, key(1));
    assert_int_equal(token->roles, CERTIFICATE_ROLE_EDGE);
    assert_int_equal(token->uses_left, 2);
    assert_int_equal(token->uses, 1);
    assert_int_equal(token->created_ms, NOW_MS + 1);
    assert_int_equal(token->expires_ms, EXPIRES_MS);
    assert_null(tokens_at(f->tokens, 2));
}

static void a_token_works_as_often_as_it_says(void **state)
{
    struct fixture *f = *state;
    (void)add(f, 1, 2);
    assert_int_equal(use(f, 1, NOW_MS), 0);
    assert_int_equal(find(f, 1)->uses_left, 1);
    assert_false(tokens_was_key(f->tokens, key(1), NOW_MS));
    assert_int_equal(use(f, 1, NOW_MS), 0);
    assert_null(find(f, 1));
    assert_int_equal(use(f, 1, NOW_MS), -ENOENT);
    assert_int_equal(tokens_count(f->tokens), 0);
    assert_true(tokens_was_key(f->tokens, key(1), NOW_MS));
    assert_false(tokens_was_key(f->tokens, key(2), NOW_MS));
    reopen(f);
    assert_int_equal(use(f, 1, NOW_MS), -ENOENT);
}

static void a_token_works_as_long_as_it_says(void **state)
{
    struct fixture *f = *state;
    (void)add(f, 1, 5);
    assert_non_null(tokens_find_key(f->tokens, key(1), EXPIRES_MS - 1));
    assert_null(tokens_find_key(f->tokens, key(1), EXPIRES_MS));
    assert_true(tokens_was_key(f->tokens, key(1), EXPIRES_MS));
    assert_int_equal(use(f, 1, EXPIRES_MS), -ENOENT);
    tokens_tick(f->tokens, EXPIRES_MS - 1);
    assert_int_equal(tokens_count(f->tokens), 1);
    tokens_tick(f->tokens, EXPIRES_MS);
    assert_int_equal(tokens_count(f->tokens), 0);
    assert_true(tokens_was_key(f->tokens, key(1), EXPIRES_MS));
    (void)add(f, 2, 1);
    reopen(f);
    assert_int_equal(tokens_count(f->tokens), 1);
}

static void a_token_can_be_revoked(void **state)
{
    struct fixture *f = *state;
    char id[TOKEN_ID_LEN + 1];
    strcpy(id, add(f, 1, 5));
    (void)add(f, 2, 5);
    assert_int_equal(tokens_revoke(f->tokens, "ffffffff", &f->err), -ENOENT);
    assert_int_equal(tokens_revoke(f->tokens, id, &f->err), 0);
    assert_null(find(f, 1));
    assert_true(tokens_was_key(f->tokens, key(1), NOW_MS));
    assert_non_null(find(f, 2));
    assert_int_equal(tokens_revoke(f->tokens, id, &f->err), -ENOENT);
    reopen(f);
    assert_int_equal(tokens_count(f->tokens), 1);
}

static void former_tokens_are_remembered_within_bounds(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i <= TOKENS_PAST_MAX; i++) {
        (void)add(f, i, 1);
        tokens_tick(f->tokens, EXPIRES_MS);
    }
    assert_false(tokens_was_key(f->tokens, key(0), NOW_MS));
    assert_true(tokens_was_key(f->tokens, key(1), NOW_MS));
    assert_true(tokens_was_key(f->tokens, key(TOKENS_PAST_MAX), NOW_MS));
}

static void the_book_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        (void)add(f, i, TOKEN_USES_MAX);
    struct token late = make(TOKENS_MAX, 1);
    assert_int_equal(tokens_add(f->tokens, &late, &f->err), -ENOSPC);
    reopen(f);
    assert_int_equal(tokens_count(f->tokens), TOKENS_MAX);
    assert_int_equal(use(f, 7, NOW_MS), 0);
}

static void what_the_file_cannot_hold_is_refused(void **state)
{
    struct fixture *f = *state;
    struct token useless = make(1, 0), endless = make(2, TOKEN_USES_MAX + 1), none = make(3, 1);
    none.roles = 0;
    assert_int_equal(tokens_add(f->tokens, &useless, &f->err), -EINVAL);
    assert_int_equal(tokens_add(f->tokens, &endless, &f->err), -EINVAL);
    assert_int_equal(tokens_add(f->tokens, &none, &f->err), -EINVAL);
    assert_int_equal(tokens_count(f->tokens), 0);
}

static void a_failed_write_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct token late = make(3, 1);
    char id[TOKEN_ID_LEN + 1];
    (void)add(f, 1, 2);
    strcpy(id, add(f, 2, 1));
    assert_int_equal(unlink(path_of(f)), 0);
    assert_int_equal(mkdir(path_of(f), 0700), 0);
    assert_true(use(f, 1, NOW_MS) < 0);
    assert_true(use(f, 2, NOW_MS) < 0);
    assert_true(tokens_revoke(f->tokens, id, &f->err) < 0);
    assert_true(tokens_add(f->tokens, &late, &f->err) < 0);
    assert_string_equal(late.id, "");
    assert_int_equal(tokens_count(f->tokens), 2);
    assert_int_equal(find(f, 1)->uses_left, 2);
    assert_int_equal(find(f, 1)->uses, 0);
    assert_non_null(find(f, 2));
    assert_false(tokens_was_key(f->tokens, key(2), NOW_MS));
    assert_int_equal(rmdir(path_of(f)), 0);
    assert_int_equal(use(f, 2, NOW_MS), 0);
    reopen(f);
    assert_int_equal(tokens_count(f->tokens), 1);
}

static void a_bad_file_is_refused_with_the_place(void **state)
{
    struct fixture *f = *state;
    struct tokens *tokens = NULL;
    char entry[256], text[1024];
    (void)snprintf(entry, sizeof(entry),
            "{\"key\":\"%s\",\"roles\":[\"node\"],\"uses_left\":1,\"uses\":0,\"created_ms\":1,"
            "\"expires_ms\":2}",
            key(1));
    (void)snprintf(text, sizeof(text), "{\"version\":1,\"tokens\":[%s,%s]}", entry, entry);
    scratch_write(&f->scratch, "tokens.json", text);
    assert_int_equal(tokens_open(path_of(f), &tokens, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "tokens.json: token 2: its key"));
    scratch_write(&f->scratch, "tokens.json", "{\"version\":1,\"tokens\":[{\"uses_left\":0}]}");
    assert_int_equal(tokens_open(path_of(f), &tokens, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "token 1: its \"uses_left\" is not a number from 1"));
    assert_null(tokens);
}

#define TOKENS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TOKENS_TEST(a_token_gets_an_id_from_its_key),
            TOKENS_TEST(everything_comes_back_from_the_file),
            TOKENS_TEST(a_token_works_as_often_as_it_says),
            TOKENS_TEST(a_token_works_as_long_as_it_says),
            TOKENS_TEST(a_token_can_be_revoked),
            TOKENS_TEST(former_tokens_are_remembered_within_bounds),
            TOKENS_TEST(the_book_is_bounded),
            TOKENS_TEST(what_the_file_cannot_hold_is_refused),
            TOKENS_TEST(a_failed_write_changes_nothing),
            TOKENS_TEST(a_bad_file_is_refused_with_the_place),
    };
    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
