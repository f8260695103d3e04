#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/trust/join_token.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* RFC 26's example pair ("client"), and RFC 8032's first public key as the mesh. */
#define SECRET "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define MESH   "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
/* Put together by other code; PUBLIC is the coordinator's key in it too. */
#define TOKEN_SECRET "4ZLSJr6NnH75pEB" /* letters of its secret */
#define TOKEN                                                                                      \
    "mmj_AYA7sWoAAAAA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURq7iEcdZeJlmzDFWlMhzrtaqytwo5hkXCb"  \
    "corL8tD_FGHu4ZLSJr6NnH75pEB-Us4ly8kgW37AbUWVrP-yN_QiIAg5ib3gubG9jYWw6ODQyMQ5bZmQwMDo6MV06OD"  \
    "QyMb9IjYo"
#define EXPIRES_S 1790000000

enum { /* places in the raw bytes */
    AT_VERSION = 0,
    AT_COUNT = 105,
    AT_FIRST_LEN = 106,
    AT_FIRST = 107,
    CHECK_LEN = 4,
};

struct fixture {
    struct scratch scratch;
    struct join_token token;
    struct err err;
    uint8_t raw[JOIN_TOKEN_TEXT_MAX]; /* without check */
    size_t raw_len;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    join_token_fini(&f->token);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* From a copy without spare bytes, in which the sanitizer sees a read past the end. */
static int parse_run(struct fixture *f, const char *text, size_t len)
{
    char *copy = malloc(len + !len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    join_token_fini(&f->token);
    int r = join_token_parse(copy, len, &f->token, &f->err);
    free(copy);
    return r;
}

static int parse(struct fixture *f, const char *text)
{
    return parse_run(f, text, strlen(text));
}

static void parse_good(struct fixture *f)
{
    assert_int_equal(parse(f, TOKEN), 0);
}

static void assert_refused(struct fixture *f, const char *text, const char *because)
{
    assert_int_equal(parse(f, text), -EINVAL);
    if (!strstr(f->err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, because);
    assert_null(strstr(f->err.text, TOKEN_SECRET));
    assert_null(f->token.pair.secret_z85);
}

/* The good token's bytes, for changes. */
static void take_apart(struct fixture *f)
{
    assert_int_equal(sodium_base642bin(f->raw, sizeof(f->raw), &TOKEN[4], strlen(TOKEN) - 4, NULL,
                             &f->raw_len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
            0);
    f->raw_len -= CHECK_LEN;
}

/* The text of the bytes with their right check; the caller frees. */
static char *put_together(struct fixture *f)
{
    uint8_t digest[32];
    crypto_generichash(digest, sizeof(digest), f->raw, f->raw_len, NULL, 0);
    memcpy(f->raw + f->raw_len, digest, CHECK_LEN);
    char *text = calloc(1, 2 * JOIN_TOKEN_TEXT_MAX);
    assert_non_null(text);
    strcpy(text, "mmj_");
    sodium_bin2base64(text + 4, 2 * JOIN_TOKEN_TEXT_MAX - 4, f->raw, f->raw_len + CHECK_LEN,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return text;
}

static void assert_raw_refused(struct fixture *f, const char *because)
{
    char *text = put_together(f);
    assert_refused(f, text, because);
    free(text);
}

static void append(struct fixture *f, struct buf *out)
{
    buf_init(out, JOIN_TOKEN_TEXT_MAX);
    assert_int_equal(join_token_append(out, &f->token, &f->err), 0);
    assert_int_equal(buf_terminate(out), 0);
}

/* --- the way there and back --- */

static void a_token_is_read_as_it_was_meant(void **state)
{
    struct fixture *f = *state;
    uint8_t mesh[IDENTITY_BYTES];
    parse_good(f);
    assert_int_equal(identity_from_text(MESH, mesh, &f->err), 0);
    assert_memory_equal(f->token.mesh, mesh, IDENTITY_BYTES);
    assert_int_equal(f->token.expires_s, EXPIRES_S);
    assert_string_equal(f->token.coordinator_key, PUBLIC);
    assert_string_equal(f->token.pair.secret_z85, SECRET);
    assert_string_equal(f->token.pair.public_z85, PUBLIC);
    assert_int_equal(f->token.address_count, 2);
    assert_string_equal(f->token.addresses[0], "box.local:8421");
    assert_string_equal(f->token.addresses[1], "[fd00::1]:8421");
}

static void a_token_is_written_as_other_code_does(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    parse_good(f);
    append(f, &out);
    assert_string_equal(buf_at(&out), TOKEN);
    buf_fini(&out);
}

static void white_space_around_it_is_dropped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, " \t" TOKEN "\r\n\n"), 0);
    assert_string_equal(f->token.pair.secret_z85, SECRET);
}

static void the_largest_token_fits(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    parse_good(f);
    f->token.address_count = JOIN_TOKEN_ADDRESSES_MAX;
    for (size_t i = 0; i < JOIN_TOKEN_ADDRESSES_MAX; i++) {
        char *address = f->token.addresses[i];
        memset(address, 'a', JOIN_TOKEN_ADDRESS_MAX);
        strcpy(address + JOIN_TOKEN_ADDRESS_MAX - strlen(":65535"), ":65535");
        address[0] = (char)('a' + i);
    }
    append(f, &out);
    assert_true(out.len < JOIN_TOKEN_TEXT_MAX);
    assert_int_equal(parse(f, buf_at(&out)), 0);
    assert_int_equal(f->token.address_count, JOIN_TOKEN_ADDRESSES_MAX);
    assert_int_equal(f->token.addresses[15][0], 'p');
    buf_fini(&out);
}

static void a_token_may_be_finished_twice(void **state)
{
    struct fixture *f = *state;
    parse_good(f);
    join_token_fini(&f->token);
    assert_null(f->token.pair.secret_z85);
    join_token_fini(&f->token);
}

/* --- writing --- */

static void assert_not_written(struct fixture *f, const char *because)
{
    struct buf out;
    buf_init(&out, JOIN_TOKEN_TEXT_MAX);
    assert_int_equal(buf_append_str(&out, "before"), 0);
    assert_int_equal(join_token_append(&out, &f->token, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, because));
    assert_null(strstr(f->err.text, SECRET));
    assert_int_equal(out.len, strlen("before"));
    buf_fini(&out);
    parse_good(f);
}

static void a_field_that_is_not_valid_is_not_written(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "box.local", "box.local:0", "box local:1", "::1:8421"};
    assert_not_written(f, "coordinator's key"); /* a token of zeros */
    strcpy(f->token.coordinator_key, "no key");
    assert_not_written(f, "coordinator's key");
    f->token.pair.secret_z85[0] = '~';
    assert_not_written(f, "secret");
    keys_fini(&f->token.pair);
    assert_not_written(f, "secret");
    f->token.address_count = 0;
    assert_not_written(f, "1 to 16 addresses");
    f->token.address_count = JOIN_TOKEN_ADDRESSES_MAX + 1;
    assert_not_written(f, "1 to 16 addresses");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        strcpy(f->token.addresses[1], bad[i]);
        assert_not_written(f, "address");
    }
}

static void a_line_that_does_not_fit_leaves_the_buffer(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    parse_good(f);
    buf_init(&out, strlen(TOKEN));
    assert_int_equal(join_token_append(&out, &f->token, &f->err), -ENOBUFS);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

/* --- refusing --- */

static void what_does_not_begin_as_one_is_no_token(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"", " \n", "mmj", "mmk_AAAA", "MMJ_AAAA", "hello", "mm j_"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(f, texts[i], "no join token");
}

static void every_cut_is_noticed(void **state)
{
    struct fixture *f = *state;
    char text[] = TOKEN;
    for (size_t len = strlen(TOKEN) - 1; len >= strlen("mmj_"); len--) {
        text[len] = '\0';
        assert_refused(f, text, "cut off or mistyped");
    }
}

static void every_mistyped_letter_is_noticed(void **state)
{
    struct fixture *f = *state;
    for (size_t i = strlen("mmj_"); i < strlen(TOKEN); i++) {
        char text[] = TOKEN;
        text[i] = text[i] == 'A' ? 'B' : 'A';
        assert_refused(f, text, "cut off or mistyped");
        text[i] = ' ';
        if (i + 1 < strlen(TOKEN))
            assert_refused(f, text, "cut off or mistyped");
    }
    char text[] = TOKEN;
    text[100] = (char)(text[100] | 0x80);
    assert_refused(f, text, "cut off or mistyped");
    assert_refused(f, TOKEN "A", "cut off or mistyped");
    assert_refused(f, TOKEN "=", "cut off or mistyped");
    assert_refused(f, TOKEN "\n" TOKEN, "cut off or mistyped");
}

static void a_zero_byte_is_part_of_no_token(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse_run(f, TOKEN "\0", sizeof(TOKEN)), -EINVAL);
    assert_int_equal(parse_run(f, "\0", 1), -EINVAL);
}

static void more_bytes_than_a_token_has_are_refused(void **state)
{
    struct fixture *f = *state;
    char text[JOIN_TOKEN_TEXT_MAX + 1];
    memset(text, 'A', sizeof(text));
    memcpy(text, "mmj_", 4);
    assert_int_equal(parse_run(f, text, sizeof(text)), -EINVAL);
    assert_null(f->token.pair.secret_z85);
}

static void a_newer_version_says_so(void **state)
{
    struct fixture *f = *state;
    take_apart(f);
    f->raw[AT_VERSION] = 2;
    assert_raw_refused(f, "newer version");
    f->raw_len = 1; /* whatever else it holds */
    assert_raw_refused(f, "newer version");
}

static void bytes_left_over_or_missing_are_refused(void **state)
{
    struct fixture *f = *state;
    take_apart(f);
    size_t whole = f->raw_len;
    f->raw[f->raw_len++] = 0;
    assert_raw_refused(f, "cut off");
    for (f->raw_len = whole - 1; f->raw_len > 0; f->raw_len--)
        assert_raw_refused(f, "cut off");
    assert_raw_refused(f, "cut off");
}

static void the_count_of_addresses_has_bounds(void **state)
{
    struct fixture *f = *state;
    static const uint8_t counts[] = {0, JOIN_TOKEN_ADDRESSES_MAX + 1, 255};
    take_apart(f);
    for (size_t i = 0; i < sizeof(counts); i++) {
        f->raw[AT_COUNT] = counts[i];
        assert_raw_refused(f, "no address, or more than 16");
    }
}

static void addresses_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"box.local", "box.local:0", "a b:1", "a\n:1", "::1:2", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        take_apart(f);
        f->raw[AT_COUNT] = 1;
        f->raw[AT_FIRST_LEN] = (uint8_t)strlen(bad[i]);
        memcpy(f->raw + AT_FIRST, bad[i], strlen(bad[i]));
        f->raw_len = AT_FIRST + strlen(bad[i]);
        assert_raw_refused(f, "address");
        assert_null(strstr(f->err.text, "box"));
    }
    take_apart(f);
    f->raw[AT_FIRST + 3] = '\0';
    assert_raw_refused(f, "address");
}

/* --- files --- */

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "token");
}

static void a_file_of_its_owner_is_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_write_private(path_of(f), TOKEN "\n", strlen(TOKEN "\n"), NULL), 0);
    assert_int_equal(join_token_read(path_of(f), &f->token, &f->err), 0);
    assert_string_equal(f->token.pair.secret_z85, SECRET);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_write_private(path_of(f), TOKEN "\n", strlen(TOKEN "\n"), NULL), 0);
    assert_int_equal(chmod(path_of(f), 0640), 0);
    assert_int_equal(join_token_read(path_of(f), &f->token, &f->err), -EPERM);
    assert_null(f->token.pair.secret_z85);
}

static void a_file_without_a_token_is_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(join_token_read(path_of(f), &f->token, &f->err), -ENOENT);
    assert_int_equal(file_write_private(path_of(f), "mmj_AAAA\n", 9, NULL), 0);
    assert_int_equal(join_token_read(path_of(f), &f->token, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, path_of(f)));
    assert_non_null(strstr(f->err.text, "cut off or mistyped"));
    assert_null(f->token.pair.secret_z85);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_token_is_read_as_it_was_meant),
            TEST(a_token_is_written_as_other_code_does),
            TEST(white_space_around_it_is_dropped),
            TEST(the_largest_token_fits),
            TEST(a_token_may_be_finished_twice),
            TEST(a_field_that_is_not_valid_is_not_written),
            TEST(a_line_that_does_not_fit_leaves_the_buffer),
            TEST(what_does_not_begin_as_one_is_no_token),
            TEST(every_cut_is_noticed),
            TEST(every_mistyped_letter_is_noticed),
            TEST(a_zero_byte_is_part_of_no_token),
            TEST(more_bytes_than_a_token_has_are_refused),
            TEST(a_newer_version_says_so),
            TEST(bytes_left_over_or_missing_are_refused),
            TEST(the_count_of_addresses_has_bounds),
            TEST(addresses_that_are_none_are_refused),
            TEST(a_file_of_its_owner_is_read),
            TEST(a_file_that_others_can_read_is_refused),
            TEST(a_file_without_a_token_is_named),
    };
    return cmocka_run_group_tests_name("join_token", tests, NULL, NULL);
}
