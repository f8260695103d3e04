#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/trust/identity.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* RFC 8032, section 7.1, test 1. */
#define SEED   "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
#define PUBLIC "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
static const uint8_t signature_of_nothing[SIGNATURE_BYTES] = {0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60,
        0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80, 0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8,
        0xe5, 0xd9, 0x74, 0xd8, 0x73, 0xe0, 0x65, 0x22, 0x49, 0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15,
        0x90, 0xa3, 0x3b, 0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5,
        0xf0, 0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b};

struct fixture {
    struct scratch scratch;
    struct identity identity;
    struct err err;
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
    identity_fini(&f->identity);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "mesh.key");
}

static int load(struct fixture *f)
{
    return identity_load_or_create(path_of(f), &f->identity, &f->err);
}

static void put_file(struct fixture *f, const void *data, size_t len, mode_t mode)
{
    assert_int_equal(file_write_private(path_of(f), data, len, NULL), 0);
    assert_int_equal(chmod(path_of(f), mode), 0);
}

static void assert_file_holds(struct fixture *f, const void *data, size_t len)
{
    char *held;
    size_t held_len;
    assert_int_equal(file_read(path_of(f), 4096, &held, &held_len, NULL), 0);
    assert_int_equal(held_len, len);
    assert_memory_equal(held, data, len);
    free(held);
}

static void load_the_known_one(struct fixture *f)
{
    put_file(f, SEED "\n", strlen(SEED "\n"), 0600);
    assert_int_equal(load(f), 0);
}

/* --- making and loading --- */

static void the_first_start_makes_one_that_only_we_can_read(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(load(f), 0);
    assert_int_equal(stat(path_of(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, strlen(SEED "\n"));
}

static void the_second_start_has_the_same_one(void **state)
{
    struct fixture *f = *state;
    struct identity again = {.secret = NULL};
    uint8_t signature[SIGNATURE_BYTES], same[SIGNATURE_BYTES];
    assert_int_equal(load(f), 0);
    assert_int_equal(identity_load_or_create(path_of(f), &again, &f->err), 0);
    assert_memory_equal(again.public_key, f->identity.public_key, IDENTITY_BYTES);
    identity_sign(&f->identity, "x", 1, signature);
    identity_sign(&again, "x", 1, same);
    assert_memory_equal(signature, same, SIGNATURE_BYTES);
    identity_fini(&again);
}

static void a_known_seed_gives_the_known_identity(void **state)
{
    struct fixture *f = *state;
    static const char *const ends[] = {"", "\n", " \t\r\n"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char line[64], text[IDENTITY_TEXT_LEN + 1];
        int len = snprintf(line, sizeof(line), "%s%s", SEED, ends[i]);
        put_file(f, line, (size_t)len, 0600);
        assert_int_equal(load(f), 0);
        identity_to_text(f->identity.public_key, text);
        assert_string_equal(text, PUBLIC);
        identity_fini(&f->identity);
    }
}

static void generated_ones_differ_and_may_be_finished_twice(void **state)
{
    struct fixture *f = *state;
    struct identity other = {.secret = NULL};
    assert_int_equal(identity_generate(&f->identity, &f->err), 0);
    assert_int_equal(identity_generate(&other, &f->err), 0);
    assert_memory_not_equal(other.public_key, f->identity.public_key, IDENTITY_BYTES);
    identity_fini(&other);
    assert_null(other.secret);
    identity_fini(&other);
}

/* --- refusing --- */

static void a_file_open_to_others_is_refused_and_kept(void **state)
{
    struct fixture *f = *state;
    static const mode_t modes[] = {0640, 0604, 0620, 0602};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put_file(f, SEED "\n", strlen(SEED "\n"), modes[i]);
        assert_int_equal(load(f), -EPERM);
        assert_non_null(strstr(f->err.text, "chmod 600"));
        assert_null(strstr(f->err.text, SEED));
        assert_null(f->identity.secret);
        assert_file_holds(f, SEED "\n", strlen(SEED "\n"));
    }
}

#define STRING_AND_SIZE(text)                                                                      \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void a_file_that_is_no_seed_is_refused_and_kept(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *data;
        size_t len;
    } broken[] = {
            STRING_AND_SIZE(""),
            STRING_AND_SIZE("\n"),
            STRING_AND_SIZE("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2\n"),  /* 42 letters */
            STRING_AND_SIZE(SEED "A\n"),                                      /* 44 */
            STRING_AND_SIZE(SEED SEED "\n"),                                  /* too many bytes */
            STRING_AND_SIZE(" " SEED "\n"),                                   /* space in front */
            STRING_AND_SIZE(SEED "=\n"),                                      /* padding */
            STRING_AND_SIZE("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\n"), /* plain base64 */
            STRING_AND_SIZE("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2B\n"), /* spare bits set */
            STRING_AND_SIZE(SEED "\n\0and more"),
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        put_file(f, broken[i].data, broken[i].len, 0600);
        assert_int_equal(load(f), -EINVAL);
        assert_non_null(strstr(f->err.text, path_of(f)));
        assert_null(strstr(f->err.text, "WmC6hEr0kuws"));
        assert_null(f->identity.secret);
        assert_file_holds(f, broken[i].data, broken[i].len);
    }
}

static void where_no_file_can_be_made_there_is_none(void **state)
{
    struct fixture *f = *state;
    const char *path = scratch_path(&f->scratch, "missing/mesh.key");
    assert_int_equal(identity_load_or_create(path, &f->identity, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "missing/mesh.key"));
    assert_null(f->identity.secret);
}

/* --- signatures --- */

static void a_signature_is_ed25519s(void **state)
{
    struct fixture *f = *state;
    uint8_t signature[SIGNATURE_BYTES];
    load_the_known_one(f);
    identity_sign(&f->identity, "", 0, signature);
    assert_memory_equal(signature, signature_of_nothing, SIGNATURE_BYTES);
    assert_true(identity_verify(f->identity.public_key, "", 0, signature));
}

static void any_changed_bit_breaks_a_signature(void **state)
{
    struct fixture *f = *state;
    char data[] = "member";
    uint8_t signature[SIGNATURE_BYTES];
    load_the_known_one(f);
    const uint8_t *key = f->identity.public_key;
    identity_sign(&f->identity, data, sizeof(data), signature);
    for (size_t i = 0; i < sizeof(signature) * 8; i++) {
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_false(identity_verify(key, data, sizeof(data), signature));
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    assert_true(identity_verify(key, data, sizeof(data), signature));
    assert_false(identity_verify(key, data, sizeof(data) - 1, signature));
    data[0] = 'n';
    assert_false(identity_verify(key, data, sizeof(data), signature));
}

static void another_identity_s_signature_is_none(void **state)
{
    struct fixture *f = *state;
    struct identity other;
    uint8_t signature[SIGNATURE_BYTES];
    load_the_known_one(f);
    assert_int_equal(identity_generate(&other, &f->err), 0);
    identity_sign(&other, "x", 1, signature);
    assert_true(identity_verify(other.public_key, "x", 1, signature));
    assert_false(identity_verify(f->identity.public_key, "x", 1, signature));
    identity_fini(&other);
}

/* --- text --- */

static void text_leads_back_to_the_key(void **state)
{
    struct fixture *f = *state;
    uint8_t key[IDENTITY_BYTES];
    load_the_known_one(f);
    assert_int_equal(identity_from_text(PUBLIC, key, &f->err), 0);
    assert_memory_equal(key, f->identity.public_key, IDENTITY_BYTES);
}

static void text_that_is_none_leaves_the_output(void **state)
{
    struct fixture *f = *state;
    static const char *const broken[] = {"", "11qYAYKx", PUBLIC "A", PUBLIC "=", PUBLIC "\n",
            "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"};
    uint8_t key[IDENTITY_BYTES], before[IDENTITY_BYTES];
    memset(key, 0x5a, sizeof(key));
    memcpy(before, key, sizeof(key));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(identity_from_text(broken[i], key, &f->err), -EINVAL);
        assert_non_null(strstr(f->err.text, "no mesh identity"));
        assert_memory_equal(key, before, sizeof(key));
    }
}

static void the_short_id_comes_from_a_hash_of_the_key(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[IDENTITY_BYTES];
    char id[IDENTITY_ID_LEN + 1];
    load_the_known_one(f);
    identity_id(f->identity.public_key, id);
    assert_string_equal(id, "pbe2ymcjnaf6d33w");
    identity_id(zeros, id);
    assert_string_equal(id, "rhvq22ukneo24lgr");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(the_first_start_makes_one_that_only_we_can_read),
            TEST(the_second_start_has_the_same_one),
            TEST(a_known_seed_gives_the_known_identity),
            TEST(generated_ones_differ_and_may_be_finished_twice),
            TEST(a_file_open_to_others_is_refused_and_kept),
            TEST(a_file_that_is_no_seed_is_refused_and_kept),
            TEST(where_no_file_can_be_made_there_is_none),
            TEST(a_signature_is_ed25519s),
            TEST(any_changed_bit_breaks_a_signature),
            TEST(another_identity_s_signature_is_none),
            TEST(text_leads_back_to_the_key),
            TEST(text_that_is_none_leaves_the_output),
            TEST(the_short_id_comes_from_a_hash_of_the_key),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
