#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/trust/keys.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

/* RFC 26's example pair ("client"). */
#define SECRET "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

struct fixture {
    struct scratch scratch;
    struct key_pair pair;
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
    keys_fini(&f->pair);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "link.key");
}

static void put_key_file(struct fixture *f, const void *data, size_t len, mode_t mode)
{
    assert_int_equal(file_write_private(path_of(f), data, len, NULL), 0);
    assert_int_equal(chmod(path_of(f), mode), 0);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
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

/* --- making and loading --- */

static void the_first_start_makes_a_pair_that_only_we_can_read(void **state)
{
    struct fixture *f = *state;
    umask(0);
    assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), 0);
    assert_int_equal(mode_of(path_of(f)), 0600);
    assert_true(key_z85_valid(f->pair.public_z85));
    assert_true(key_z85_valid(f->pair.secret_z85));
    char derived[KEY_Z85_LEN + 1];
    assert_int_equal(zmq_curve_public(derived, f->pair.secret_z85), 0);
    assert_string_equal(derived, f->pair.public_z85);
}

static void the_second_start_has_the_same_pair(void **state)
{
    struct fixture *f = *state;
    struct key_pair again = {0};
    assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), 0);
    assert_int_equal(keys_load_or_create(path_of(f), &again, &f->err), 0);
    assert_string_equal(again.public_z85, f->pair.public_z85);
    assert_string_equal(again.secret_z85, f->pair.secret_z85);
    keys_fini(&again);
}

static void a_known_secret_gives_the_known_public_key(void **state)
{
    struct fixture *f = *state;
    static const char *const ends[] = {"", "\n", " \t\r\n"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "%s%s", SECRET, ends[i]);
        put_key_file(f, text, (size_t)len, 0600);
        assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), 0);
        assert_string_equal(f->pair.public_z85, PUBLIC);
        assert_string_equal(f->pair.secret_z85, SECRET);
        keys_fini(&f->pair);
    }
}

static void generated_pairs_differ_and_may_be_finished_twice(void **state)
{
    struct fixture *f = *state;
    struct key_pair other = {0};
    assert_int_equal(keys_generate(&f->pair, &f->err), 0);
    assert_int_equal(keys_generate(&other, &f->err), 0);
    assert_string_not_equal(f->pair.public_z85, other.public_z85);
    keys_fini(&other);
    assert_null(other.secret_z85);
    keys_fini(&other);
}

/* --- refusing --- */

static void a_file_open_to_others_is_refused_and_kept(void **state)
{
    struct fixture *f = *state;
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0666};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put_key_file(f, SECRET "\n", KEY_Z85_LEN + 1, modes[i]);
        assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), -EPERM);
        assert_non_null(strstr(f->err.text, "chmod 600"));
        assert_null(strstr(f->err.text, SECRET));
        assert_null(f->pair.secret_z85);
        assert_int_equal(mode_of(path_of(f)), modes[i]);
        assert_file_holds(f, SECRET "\n", KEY_Z85_LEN + 1);
    }
}

#define STRING_AND_SIZE(text)                                                                      \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void a_file_that_is_no_key_is_refused_and_kept(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *data;
        size_t len;
    } broken[] = {
            STRING_AND_SIZE(""),
            STRING_AND_SIZE("\n"),
            STRING_AND_SIZE("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%c\n"), /* 39 characters */
            STRING_AND_SIZE(SECRET "x\n"),                                /* 41 */
            STRING_AND_SIZE(" " SECRET "\n"),                             /* white space in front */
            STRING_AND_SIZE(SECRET "\n" PUBLIC "\n"),                     /* two lines */
            STRING_AND_SIZE("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%c~\n"),  /* not of Z85 */
            STRING_AND_SIZE("#####[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n"), /* past 32 bits */
            STRING_AND_SIZE(SECRET "\n\0and more"),                         /* a zero byte */
            STRING_AND_SIZE("\xff\xfe\x80secret"),
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        put_key_file(f, broken[i].data, broken[i].len, 0600);
        assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), -EINVAL);
        assert_non_null(strstr(f->err.text, path_of(f)));
        assert_null(strstr(f->err.text, "IlAW!ahhC2ac"));
        assert_null(f->pair.secret_z85);
        assert_file_holds(f, broken[i].data, broken[i].len);
    }
}

static void what_is_no_small_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char big[257];
    memset(big, 'a', sizeof(big));
    put_key_file(f, big, sizeof(big), 0600);
    assert_int_equal(keys_load_or_create(path_of(f), &f->pair, &f->err), -EFBIG);
    assert_file_holds(f, big, sizeof(big));
    assert_int_equal(keys_load_or_create(f->scratch.path, &f->pair, &f->err), -EINVAL);
    assert_null(f->pair.secret_z85);
}

static void where_no_file_can_be_made_there_is_no_pair(void **state)
{
    struct fixture *f = *state;
    const char *path = scratch_path(&f->scratch, "missing/link.key");
    assert_int_equal(keys_load_or_create(path, &f->pair, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "missing/link.key"));
    assert_null(f->pair.secret_z85);
}

/* --- public keys --- */

static void a_public_key_is_read_from_its_line(void **state)
{
    struct fixture *f = *state;
    char key[KEY_Z85_LEN + 1] = "";
    put_key_file(f, PUBLIC "\r\n", strlen(PUBLIC "\r\n"), 0644);
    assert_int_equal(keys_read_public(path_of(f), key, &f->err), 0);
    assert_string_equal(key, PUBLIC);
}

static void a_public_key_that_is_none_leaves_the_output(void **state)
{
    struct fixture *f = *state;
    char key[KEY_Z85_LEN + 1] = "before";
    assert_int_equal(keys_read_public(path_of(f), key, &f->err), -ENOENT);
    put_key_file(f, "not a key\n", strlen("not a key\n"), 0644);
    assert_int_equal(keys_read_public(path_of(f), key, &f->err), -EINVAL);
    put_key_file(f, PUBLIC "\n", strlen(PUBLIC "\n"), 0666);
    assert_int_equal(keys_read_public(path_of(f), key, &f->err), -EPERM);
    put_key_file(f, PUBLIC "\0more", sizeof(PUBLIC "\0more") - 1, 0644);
    assert_int_equal(keys_read_public(path_of(f), key, &f->err), -EINVAL);
    assert_string_equal(key, "before");
}

static void only_forty_characters_of_z85_are_a_key(void **state)
{
    (void)state;
    assert_true(key_z85_valid(PUBLIC));
    assert_false(key_z85_valid(""));
    assert_false(key_z85_valid("Yne@$"));
    assert_false(key_z85_valid(PUBLIC "abcde"));
    assert_false(key_z85_valid("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI "));
    assert_false(key_z85_valid("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\xc3"));
    assert_false(key_z85_valid("#00000000000000000000000000000000000000"));
    assert_true(key_z85_valid("0#00000000000000000000000000000000000000"));
}

/* --- raw bytes --- */

/* RFC 26's example pair again. */
static const uint8_t raw_public[KEY_BYTES] = {0xbb, 0x88, 0x47, 0x1d, 0x65, 0xe2, 0x65, 0x9b, 0x30,
        0xc5, 0x5a, 0x53, 0x21, 0xce, 0xbb, 0x5a, 0xab, 0x2b, 0x70, 0xa3, 0x98, 0x64, 0x5c, 0x26,
        0xdc, 0xa2, 0xb2, 0xfc, 0xb4, 0x3f, 0xc5, 0x18};
static const uint8_t raw_secret[KEY_BYTES] = {0x7b, 0xb8, 0x64, 0xb4, 0x89, 0xaf, 0xa3, 0x67, 0x1f,
        0xbe, 0x69, 0x10, 0x1f, 0x94, 0xb3, 0x89, 0x72, 0xf2, 0x48, 0x16, 0xdf, 0xb0, 0x1b, 0x51,
        0x65, 0x6b, 0x3f, 0xec, 0x8d, 0xfd, 0x08, 0x88};

static void a_key_has_one_text_and_one_raw_form(void **state)
{
    (void)state;
    uint8_t raw[KEY_BYTES];
    char text[KEY_Z85_LEN + 1];
    assert_true(key_to_raw(PUBLIC, raw));
    assert_memory_equal(raw, raw_public, KEY_BYTES);
    key_from_raw(raw_public, text);
    assert_string_equal(text, PUBLIC);
}

static void what_is_no_key_leaves_the_raw_bytes(void **state)
{
    (void)state;
    uint8_t raw[KEY_BYTES];
    memcpy(raw, raw_public, KEY_BYTES);
    assert_false(key_to_raw("", raw));
    assert_false(key_to_raw(PUBLIC "abcde", raw));
    assert_false(key_to_raw("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%c~", raw));
    assert_memory_equal(raw, raw_public, KEY_BYTES);
}

static void a_raw_secret_gives_its_pair(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(keys_from_secret(raw_secret, &f->pair, &f->err), 0);
    assert_string_equal(f->pair.public_z85, PUBLIC);
    assert_string_equal(f->pair.secret_z85, SECRET);
}

static void a_seed_is_of_a_pair_and_a_purpose(void **state)
{
    struct key_pair pair, other;
    (void)state;
    assert_int_equal(keys_generate(&pair, NULL), 0);
    assert_int_equal(keys_generate(&other, NULL), 0);
    assert_true(keys_seed(&pair, "one") == keys_seed(&pair, "one"));
    assert_true(keys_seed(&pair, "one") != keys_seed(&pair, "two"));
    assert_true(keys_seed(&pair, "one") != keys_seed(&other, "one"));
    keys_fini(&pair);
    keys_fini(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(the_first_start_makes_a_pair_that_only_we_can_read),
            TEST(the_second_start_has_the_same_pair),
            TEST(a_known_secret_gives_the_known_public_key),
            TEST(generated_pairs_differ_and_may_be_finished_twice),
            TEST(a_file_open_to_others_is_refused_and_kept),
            TEST(a_file_that_is_no_key_is_refused_and_kept),
            TEST(what_is_no_small_file_is_refused),
            TEST(where_no_file_can_be_made_there_is_no_pair),
            TEST(a_public_key_is_read_from_its_line),
            TEST(a_public_key_that_is_none_leaves_the_output),
            TEST(only_forty_characters_of_z85_are_a_key),
            TEST(a_key_has_one_text_and_one_raw_form),
            TEST(what_is_no_key_leaves_the_raw_bytes),
            TEST(a_raw_secret_gives_its_pair),
            TEST(a_seed_is_of_a_pair_and_a_purpose),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
