#include "coordinator/api/api_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "state/api-keys.json"
#define HASH_A    "00000000000000000000000000000000000000000000000000000000000000aa"
#define HASH_B    "BB00000000000000000000000000000000000000000000000000000000000000"

struct fixture {
    struct scratch scratch;
    struct virtual_env world;
    struct api_keys *keys;
    char text[API_KEY_TEXT_LEN + 1]; /* of the key that was made last */
    struct err err;
};

static void open_keys(struct fixture *f)
{
    if (api_keys_open(scratch_path(&f->scratch, FILE_NAME), &f->world.env, &f->keys, &f->err))
        fail_msg("%s", f->err.text);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    scratch_mkdir(&f->scratch, "state");
    virtual_env_init(&f->world);
    open_keys(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    api_keys_close(f->keys);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    api_keys_close(f->keys);
    f->keys = NULL;
    open_keys(f);
}

static int create(struct fixture *f, const struct api_key_spec *spec)
{
    f->err = (struct err){.text = ""};
    return api_keys_create(f->keys, spec, f->text, &f->err);
}

static void create_named(struct fixture *f, const char *name)
{
    if (create(f, &(struct api_key_spec){.name = name}))
        fail_msg("%s", f->err.text);
}

static char *read_file(struct fixture *f)
{
    char *text;
    size_t len;
    assert_int_equal(file_read(scratch_path(&f->scratch, FILE_NAME), API_KEYS_FILE_MAX, &text, &len,
                             &f->err),
            0);
    return text;
}

static void says(struct fixture *f, const char *words)
{
    if (!strstr(f->err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, words);
}

/* --- making and showing --- */

static void a_key_is_known_by_its_text_alone(void **state)
{
    struct fixture *f = *state;
    create_named(f, "laptop");
    assert_int_equal(strlen(f->text), API_KEY_TEXT_LEN);
    assert_memory_equal(f->text, "mm_", 3);
    assert_int_equal(strspn(f->text + 3, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-_"),
            API_KEY_TEXT_LEN - 3);
    struct api_key *key = api_keys_check(f->keys, f->text);
    assert_non_null(key);
    assert_string_equal(key->name, "laptop");
    assert_int_equal(key->created_ms, env_wall_ms(&f->world.env));
    assert_ptr_equal(key, api_keys_at(f->keys, 0));
    assert_int_equal(api_keys_count(f->keys), 1);
    assert_null(api_keys_at(f->keys, 1));
}

static void the_hash_is_of_the_whole_text(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[API_KEY_HASH_BYTES];
    create_named(f, "laptop");
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)f->text, API_KEY_TEXT_LEN, NULL, 0);
    assert_memory_equal(api_keys_at(f->keys, 0)->hash, hash, sizeof(hash));
}

static void every_key_is_another_one(void **state)
{
    struct fixture *f = *state;
    char first[API_KEY_TEXT_LEN + 1];
    create_named(f, "laptop");
    strcpy(first, f->text);
    create_named(f, "desktop");
    assert_string_not_equal(first, f->text);
    assert_string_equal(api_keys_check(f->keys, first)->name, "laptop");
    assert_string_equal(api_keys_check(f->keys, f->text)->name, "desktop");
}

static void a_wrong_key_is_nobodys(void **state)
{
    struct fixture *f = *state;
    char longer[API_KEY_TEXT_LEN + 2];
    create_named(f, "laptop");
    snprintf(longer, sizeof(longer), "%sA", f->text);
    assert_null(api_keys_check(f->keys, longer));
    for (size_t i = 0; i < API_KEY_TEXT_LEN; i++) {
        char wrong[API_KEY_TEXT_LEN + 1];
        strcpy(wrong, f->text);
        wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
        assert_null(api_keys_check(f->keys, wrong));
        wrong[i] = '\0';
        assert_null(api_keys_check(f->keys, wrong));
    }
    assert_int_equal(api_keys_at(f->keys, 0)->last_used_ms, 0);
}

static void what_begins_otherwise_is_not_ours(void **state)
{
    (void)state;
    assert_true(api_key_is_ours("mm_"));
    assert_true(api_key_is_ours("mm_anything"));
    assert_false(api_key_is_ours("mm"));
    assert_false(api_key_is_ours("MM_x"));
    assert_false(api_key_is_ours("mmj_x"));
    assert_false(api_key_is_ours("sk-dummy"));
    assert_false(api_key_is_ours(""));
}

static void a_check_notes_the_time(void **state)
{
    struct fixture *f = *state;
    create_named(f, "laptop");
    virtual_env_advance_ms(&f->world, 5000);
    assert_int_equal(api_keys_check(f->keys, f->text)->last_used_ms, env_wall_ms(&f->world.env));
}

/* --- the file --- */

static void the_file_holds_all_but_the_key(void **state)
{
    struct fixture *f = *state;
    static const char *const modes[] = {"ask", "code"}, *const models[] = {"org/model:q4 K"};
    struct stat st;
    assert_int_equal(create(f, &(struct api_key_spec){.name = "laptop",
                                       .admin = true,
                                       .modes = modes,
                                       .mode_count = 2,
                                       .models = models,
                                       .model_count = 1,
                                       .requests_per_minute = 30}),
            0);
    int64_t created_ms = api_keys_at(f->keys, 0)->created_ms;
    char *file = read_file(f);
    assert_null(strstr(file, f->text));
    assert_null(strstr(file, f->text + 3));
    free(file);
    assert_int_equal(stat(scratch_path(&f->scratch, FILE_NAME), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    virtual_env_advance_ms(&f->world, 60000);
    reopen(f);
    const struct api_key *key = api_keys_check(f->keys, f->text);
    assert_non_null(key);
    assert_string_equal(key->name, "laptop");
    assert_true(key->admin);
    assert_int_equal(key->mode_count, 2);
    assert_string_equal(key->modes[1], "code");
    assert_int_equal(key->model_count, 1);
    assert_string_equal(key->models[0], "org/model:q4 K");
    assert_int_equal(key->requests_per_minute, 30);
    assert_int_equal(key->created_ms, created_ms);
    assert_int_equal(key->requests, 0);
}

static void a_missing_file_is_an_empty_list(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(api_keys_count(f->keys), 0);
    assert_null(api_keys_at(f->keys, 0));
    assert_int_equal(access(scratch_path(&f->scratch, FILE_NAME), F_OK), -1);
    api_keys_close(NULL);
}

static void assert_bad_file(struct fixture *f, const char *text, const char *why)
{
    struct api_keys *keys = NULL;
    scratch_write(&f->scratch, "bad.json", text);
    chmod(scratch_path(&f->scratch, "bad.json"), 0600);
    int r = api_keys_open(scratch_path(&f->scratch, "bad.json"), &f->world.env, &keys, &f->err);
    if (r != -EINVAL)
        fail_msg("%d for %s", r, text);
    says(f, "bad.json");
    says(f, why);
    assert_null(keys);
}

#define KEY(name, hash, rest) "{\"name\":\"" name "\",\"hash\":\"" hash "\"," rest "}"
#define REST                  "\"admin\":false,\"modes\":[],\"models\":[],\"requests_per_minute\":0,\"created_ms\":1"
#define KEYS(text)            "{\"version\":1,\"keys\":[" text "]}"

static void a_good_file_is_read(void **state)
{
    struct fixture *f = *state;
    scratch_write(
            &f->scratch, FILE_NAME, KEYS(KEY("a", HASH_A, REST) ",\n " KEY("b", HASH_B, REST)));
    chmod(scratch_path(&f->scratch, FILE_NAME), 0644);
    reopen(f);
    assert_int_equal(api_keys_count(f->keys), 2);
    assert_int_equal(api_keys_at(f->keys, 1)->hash[0], 0xbb);
    assert_int_equal(api_keys_at(f->keys, 0)->hash[API_KEY_HASH_BYTES - 1], 0xaa);
}

static void a_bad_file_is_refused_whole(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *why;
    } bad[] = {
            {"", "line 1"},
            {"[]", "no list"},
            {"{}", "no list"},
            {"{\"version\":1}", "no list"},
            {"{\"version\":1,\"keys\":{}}", "no list"},
            {"{\"version\":2,\"keys\":[]}", "no list"},
            {"{\"version\":\"1\",\"keys\":[]}", "no list"},
            {"{\"version\":1,\"keys\":[],\"more\":1}", "no list"},
            {"{\"version\":1,\n\"keys\"]}", "line 2"},
            {KEYS("7"), "key 1: \"name\""},
            {KEYS("[]"), "key 1: \"name\""},
            {KEYS(KEY("a", HASH_A, REST) ",{}"), "key 2: \"name\""},
            {KEYS("{\"name\":7,\"hash\":\"" HASH_A "\"," REST "}"), "\"name\""},
            {KEYS(KEY("", HASH_A, REST)), "name: 0 bytes"},
            {KEYS(KEY("a b", HASH_A, REST)), "name:"},
            {KEYS(KEY("a", HASH_A, REST) "," KEY("a", HASH_B, REST)), "key 2"},
            {KEYS(KEY("a", HASH_A, REST) "," KEY("b", HASH_A, REST)), "twice"},
            {KEYS(KEY("a", "aa", REST)), "64 hex digits"},
            {KEYS(KEY("a", HASH_A "aa", REST)), "64 hex digits"},
            {KEYS(KEY("a", "g" HASH_A, REST)), "64 hex digits"},
            {KEYS("{\"name\":\"a\"," REST "}"), "\"hash\""},
            {KEYS(KEY("a", HASH_A, REST ",\"mode\":[\"ask\"]")), "unknown"},
            {KEYS(KEY("a", HASH_A, REST ",\"modes\":[\"ask\"]")), "twice"},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":1,\"modes\":[],\"models\":[],\"requests_per_minute\":0,"
                     "\"created_ms\":1")),
                    "\"admin\""},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":null,\"models\":[],\"requests_per_minute\":0,"
                     "\"created_ms\":1")),
                    "\"modes\""},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[],\"models\":[7],\"requests_per_minute\":0,"
                     "\"created_ms\":1")),
                    "\"models\""},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[\"ask\",\"ask\"],\"models\":[],"
                     "\"requests_per_minute\":0,\"created_ms\":1")),
                    "named twice"},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[],\"models\":[],\"requests_per_minute\":1.5,"
                     "\"created_ms\":1")),
                    "\"requests_per_minute\""},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[],\"models\":[],\"requests_per_minute\":1000001,"
                     "\"created_ms\":1")),
                    "requests_per_minute"},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[],\"models\":[],\"requests_per_minute\":0,"
                     "\"created_ms\":-1")),
                    "\"created_ms\""},
            {KEYS(KEY("a", HASH_A,
                     "\"admin\":false,\"modes\":[],\"models\":[],\"requests_per_minute\":0,"
                     "\"created_ms\":1e300")),
                    "\"created_ms\""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_bad_file(f, bad[i].text, bad[i].why);
}

static void a_file_that_others_can_write_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct api_keys *keys = NULL;
    create_named(f, "laptop");
    chmod(scratch_path(&f->scratch, FILE_NAME), 0620);
    assert_int_equal(
            api_keys_open(scratch_path(&f->scratch, FILE_NAME), &f->world.env, &keys, &f->err),
            -EPERM);
    says(f, "chmod 600");
    assert_null(keys);
}

static void what_cannot_be_written_does_not_happen(void **state)
{
    struct fixture *f = *state;
    char before[API_KEY_TEXT_LEN + 1];
    create_named(f, "laptop");
    strcpy(before, f->text);
    assert_int_equal(unlink(scratch_path(&f->scratch, FILE_NAME)), 0);
    assert_int_equal(rmdir(scratch_path(&f->scratch, "state")), 0);

    assert_int_equal(create(f, &(struct api_key_spec){.name = "desktop"}), -ENOENT);
    assert_string_equal(f->text, before);
    assert_int_equal(api_keys_count(f->keys), 1);
    assert_int_equal(api_keys_revoke(f->keys, "laptop", &f->err), -ENOENT);
    says(f, "temporary file");
    assert_string_equal(api_keys_check(f->keys, before)->name, "laptop");

    scratch_mkdir(&f->scratch, "state");
    create_named(f, "desktop");
    reopen(f);
    assert_int_equal(api_keys_count(f->keys), 2);
}

/* --- limits --- */

static void a_bad_wish_is_named(void **state)
{
    struct fixture *f = *state;
    static const char *const twice[] = {"ask", "ask"}, *const control[] = {"a\nb"};
    const char *many[API_KEY_SCOPE_MAX + 1];
    char name[API_KEY_NAME_MAX + 2], before[API_KEY_TEXT_LEN + 1] = "";
    memset(name, 'n', sizeof(name));
    name[API_KEY_NAME_MAX + 1] = '\0';
    for (size_t i = 0; i <= API_KEY_SCOPE_MAX; i++)
        many[i] = "x";

    assert_int_equal(create(f, &(struct api_key_spec){.name = ""}), -EINVAL);
    assert_int_equal(create(f, &(struct api_key_spec){.name = "a/b"}), -EINVAL);
    says(f, "name");
    assert_int_equal(create(f, &(struct api_key_spec){.name = name}), -EINVAL);
    assert_int_equal(
            create(f, &(struct api_key_spec){.name = "a", .modes = twice, .mode_count = 2}),
            -EINVAL);
    says(f, "mode \"ask\"");
    assert_int_equal(
            create(f, &(struct api_key_spec){.name = "a", .models = control, .model_count = 1}),
            -EINVAL);
    says(f, "model");
    assert_int_equal(create(f, &(struct api_key_spec){.name = "a",
                                       .models = many,
                                       .model_count = API_KEY_SCOPE_MAX + 1}),
            -E2BIG);
    says(f, "65");
    assert_int_equal(create(f, &(struct api_key_spec){.name = "a",
                                       .requests_per_minute = (uint64_t)API_KEY_RATE_MAX + 1}),
            -ERANGE);
    says(f, "requests_per_minute");
    assert_int_equal(api_keys_count(f->keys), 0);
    assert_memory_equal(f->text, before, sizeof(before));
    assert_int_equal(access(scratch_path(&f->scratch, FILE_NAME), F_OK), -1);

    name[API_KEY_NAME_MAX] = '\0';
    create_named(f, name);
}

static void a_name_is_taken_once(void **state)
{
    struct fixture *f = *state;
    create_named(f, "laptop");
    assert_int_equal(create(f, &(struct api_key_spec){.name = "laptop"}), -EEXIST);
    says(f, "laptop");
    assert_int_equal(api_keys_count(f->keys), 1);
}

static char *many_keys(unsigned count)
{
    const size_t size = (size_t)count * 256 + 16;
    char *text = malloc(size);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, size, "{\"version\":1,\"keys\":[");
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len,
                "%s{\"name\":\"k%u\",\"hash\":\"%064x\"," REST "}", i ? "," : "", i, i);
    (void)snprintf(text + len, size - len, "]}");
    return text;
}

static void the_list_has_a_limit(void **state)
{
    struct fixture *f = *state;
    char *text = many_keys(API_KEYS_MAX);
    scratch_write(&f->scratch, FILE_NAME, text);
    free(text);
    chmod(scratch_path(&f->scratch, FILE_NAME), 0600);
    reopen(f);
    assert_int_equal(api_keys_count(f->keys), API_KEYS_MAX);
    assert_int_equal(create(f, &(struct api_key_spec){.name = "one-more"}), -ENOSPC);
    assert_int_equal(api_keys_revoke(f->keys, "k500", &f->err), 0);
    create_named(f, "one-more");

    text = many_keys(API_KEYS_MAX + 1);
    assert_bad_file(f, text, "1024");
    free(text);
}

struct wide_scope {
    char names[API_KEY_SCOPE_MAX][API_KEY_SCOPE_NAME_MAX + 1];
    const char *list[API_KEY_SCOPE_MAX];
};

static void fill_wide_scope(struct wide_scope *scope)
{
    for (unsigned i = 0; i < API_KEY_SCOPE_MAX; i++) {
        memset(scope->names[i], 'n', API_KEY_SCOPE_NAME_MAX);
        scope->names[i][0] = (char)('0' + i / 10);
        scope->names[i][1] = (char)('0' + i % 10);
        scope->names[i][API_KEY_SCOPE_NAME_MAX] = '\0';
        scope->list[i] = scope->names[i];
    }
}

/* As many keys with a wide scope as the file can take. */
static void write_widest_file(struct fixture *f)
{
    struct wide_scope scope;
    fill_wide_scope(&scope);
    char *text = malloc(API_KEYS_FILE_MAX + 1);
    assert_non_null(text);
    size_t len = (size_t)sprintf(text, "{\"version\":1,\"keys\":[");
    for (unsigned i = 0; len < API_KEYS_FILE_MAX - 10000; i++) {
        len += (size_t)sprintf(text + len,
                "%s{\"name\":\"k%u\",\"hash\":\"%064x\",\"admin\":false,"
                "\"requests_per_minute\":0,\"created_ms\":1,\"models\":[],\"modes\":[",
                i ? "," : "", i, i);
        for (size_t j = 0; j < API_KEY_SCOPE_MAX; j++)
            len += (size_t)sprintf(text + len, "%s\"%s\"", j ? "," : "", scope.list[j]);
        len += (size_t)sprintf(text + len, "]}");
    }
    (void)sprintf(text + len, "]}");
    scratch_write(&f->scratch, FILE_NAME, text);
    chmod(scratch_path(&f->scratch, FILE_NAME), 0600);
    free(text);
}

static void the_file_has_a_limit(void **state)
{
    struct fixture *f = *state;
    struct wide_scope scope;
    fill_wide_scope(&scope);
    write_widest_file(f);
    reopen(f);
    size_t count = api_keys_count(f->keys);
    assert_in_range(count, 100, API_KEYS_MAX - 1);
    struct api_key_spec wide = {.name = "wide",
            .modes = scope.list,
            .mode_count = API_KEY_SCOPE_MAX,
            .models = scope.list,
            .model_count = API_KEY_SCOPE_MAX};
    assert_int_equal(create(f, &wide), -ENOSPC);
    says(f, "4194304");
    assert_int_equal(api_keys_count(f->keys), count);
    assert_int_equal(api_keys_revoke(f->keys, "k0", &f->err), 0);
    assert_int_equal(api_keys_revoke(f->keys, "k1", &f->err), 0);
    assert_int_equal(create(f, &wide), 0);
}

/* --- revoking --- */

static void a_revoked_key_opens_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"laptop", "desktop", "tablet"};
    char texts[3][API_KEY_TEXT_LEN + 1];
    for (size_t i = 0; i < 3; i++) {
        create_named(f, names[i]);
        strcpy(texts[i], f->text);
    }
    assert_int_equal(api_keys_revoke(f->keys, "desktop", &f->err), 0);
    for (int again = 0; again < 2; again++, reopen(f)) {
        assert_int_equal(api_keys_count(f->keys), 2);
        assert_string_equal(api_keys_check(f->keys, texts[0])->name, "laptop");
        assert_null(api_keys_check(f->keys, texts[1]));
        assert_string_equal(api_keys_check(f->keys, texts[2])->name, "tablet");
    }
    create_named(f, "desktop");
    assert_null(api_keys_check(f->keys, texts[1]));
}

static void the_nearest_name_is_offered(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(api_keys_revoke(f->keys, "lapptop", &f->err), -ENOENT);
    create_named(f, "laptop");
    assert_int_equal(api_keys_revoke(f->keys, "lapptop", &f->err), -ENOENT);
    says(f, "nearest is \"laptop\"");
    assert_int_equal(api_keys_revoke(f->keys, "", &f->err), -ENOENT);
    assert_int_equal(api_keys_count(f->keys), 1);
}

/* --- what a key allows --- */

static void a_scope_is_a_list_of_names(void **state)
{
    struct fixture *f = *state;
    static const char *const modes[] = {"ask"}, *const models[] = {"small", "large"};
    create_named(f, "all");
    assert_true(api_key_allows_mode(api_keys_at(f->keys, 0), "anything"));
    assert_true(api_key_allows_model(api_keys_at(f->keys, 0), "anything"));
    assert_int_equal(create(f, &(struct api_key_spec){.name = "some",
                                       .modes = modes,
                                       .mode_count = 1,
                                       .models = models,
                                       .model_count = 2}),
            0);
    const struct api_key *key = api_keys_at(f->keys, 1);
    assert_true(api_key_allows_mode(key, "ask"));
    assert_false(api_key_allows_mode(key, "Ask"));
    assert_false(api_key_allows_mode(key, "code"));
    assert_false(api_key_allows_mode(key, ""));
    assert_true(api_key_allows_model(key, "large"));
    assert_false(api_key_allows_model(key, "largest"));
}

static struct api_key *key_with_rate(struct fixture *f, uint64_t rate)
{
    assert_int_equal(
            create(f, &(struct api_key_spec){.name = "a", .requests_per_minute = rate}), 0);
    return api_keys_check(f->keys, f->text);
}

static int take(struct fixture *f, struct api_key *key, uint32_t *ret_retry_s)
{
    *ret_retry_s = 0;
    return api_key_take(key, env_now_ms(&f->world.env), ret_retry_s);
}

static void without_a_rate_all_are_counted(void **state)
{
    struct fixture *f = *state;
    struct api_key *key = key_with_rate(f, 0);
    uint32_t retry_s;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(take(f, key, &retry_s), 0);
    assert_int_equal(key->requests, 1000);
}

static void a_minutes_worth_may_come_at_once(void **state)
{
    struct fixture *f = *state;
    struct api_key *key = key_with_rate(f, 6);
    uint32_t retry_s;
    for (int i = 0; i < 6; i++)
        assert_int_equal(take(f, key, &retry_s), 0);
    assert_int_equal(take(f, key, &retry_s), -EBUSY);
    assert_int_equal(retry_s, 10);
    virtual_env_advance_ms(&f->world, 9999);
    assert_int_equal(take(f, key, &retry_s), -EBUSY);
    assert_int_equal(retry_s, 1);
    virtual_env_advance_ms(&f->world, 1);
    assert_int_equal(take(f, key, &retry_s), 0);
    assert_int_equal(take(f, key, &retry_s), -EBUSY);
    assert_int_equal(key->requests, 7);
}

static void a_bucket_holds_no_more_than_a_minute(void **state)
{
    struct fixture *f = *state;
    struct api_key *key = key_with_rate(f, 3);
    uint32_t retry_s;
    virtual_env_advance_ms(&f->world, 3600 * 1000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(f, key, &retry_s), 0);
    assert_int_equal(take(f, key, &retry_s), -EBUSY);
    assert_int_equal(retry_s, 20);
}

/* Whoever waits as long as was said comes in, at every rate and however often it asks meanwhile. */
static void the_wait_that_is_told_is_enough(void **state)
{
    struct fixture *f = *state;
    static const uint64_t rates[] = {1, 7, 59, 60, 61, 997, API_KEY_RATE_MAX};
    uint32_t retry_s, ignored;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct api_key *key = key_with_rate(f, rates[i]);
        key->tokens = 0;
        assert_int_equal(take(f, key, &retry_s), -EBUSY);
        for (uint32_t step = 0; step < retry_s * 10 - 1; step++) {
            virtual_env_advance_ms(&f->world, 100);
            double before = key->tokens;
            if (take(f, key, &ignored) == 0)
                key->tokens = before;
        }
        virtual_env_advance_ms(&f->world, 100);
        assert_int_equal(take(f, key, &retry_s), 0);
        assert_int_equal(api_keys_revoke(f->keys, "a", &f->err), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_key_is_known_by_its_text_alone),
            TEST(the_hash_is_of_the_whole_text),
            TEST(every_key_is_another_one),
            TEST(a_wrong_key_is_nobodys),
            TEST(what_begins_otherwise_is_not_ours),
            TEST(a_check_notes_the_time),
            TEST(the_file_holds_all_but_the_key),
            TEST(a_missing_file_is_an_empty_list),
            TEST(a_good_file_is_read),
            TEST(a_bad_file_is_refused_whole),
            TEST(a_file_that_others_can_write_is_not_believed),
            TEST(what_cannot_be_written_does_not_happen),
            TEST(a_bad_wish_is_named),
            TEST(a_name_is_taken_once),
            TEST(the_list_has_a_limit),
            TEST(the_file_has_a_limit),
            TEST(a_revoked_key_opens_nothing),
            TEST(the_nearest_name_is_offered),
            TEST(a_scope_is_a_list_of_names),
            TEST(without_a_rate_all_are_counted),
            TEST(a_minutes_worth_may_come_at_once),
            TEST(a_bucket_holds_no_more_than_a_minute),
            TEST(the_wait_that_is_told_is_enough),
    };
    return cmocka_run_group_tests_name("api_keys", tests, NULL, NULL);
}
