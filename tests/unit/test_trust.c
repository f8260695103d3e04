#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/trust.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_A    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_B    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define KEY_HASH "0#0000000000000000000000000000000000000#" /* '#' inside and at the end */

struct fixture {
    struct scratch scratch;
    struct trust *trust;
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
    trust_destroy(f->trust);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "trusted-nodes");
}

static void write_list(struct fixture *f, const char *text)
{
    scratch_write(&f->scratch, "trusted-nodes", text);
}

static void load(struct fixture *f, const char *text)
{
    write_list(f, text);
    assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), 0);
}

static void assert_name(struct fixture *f, const char *key, const char *name)
{
    const struct trusted_node *node = trust_find(f->trust, key);
    assert_non_null(node);
    assert_string_equal(node->name, name);
    assert_string_equal(node->key, key);
}

/* --- what a file says --- */

static void a_missing_file_is_an_empty_list(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), 0);
    assert_int_equal(trust_count(f->trust), 0);
    assert_null(trust_at(f->trust, 0));
    assert_null(trust_find(f->trust, KEY_A));
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    write_list(f, KEY_A " workstation\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_A, "workstation");
}

static void comments_and_white_space_add_nothing(void **state)
{
    struct fixture *f = *state;
    load(f, "# the fleet\n\n  \t\n" KEY_A " workstation\r\n\t" KEY_B "\t strix-1 \n#" KEY_HASH
            " gone\n # end");
    assert_int_equal(trust_count(f->trust), 2);
    assert_string_equal(trust_at(f->trust, 0)->name, "workstation");
    assert_string_equal(trust_at(f->trust, 1)->name, "strix-1");
    assert_null(trust_at(f->trust, 2));
    assert_name(f, KEY_B, "strix-1");
}

static void a_hash_may_be_part_of_a_key(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_HASH " hashed");
    assert_name(f, KEY_HASH, "hashed");
}

static void names_have_a_small_alphabet(void **state)
{
    (void)state;
    char name[TRUST_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[TRUST_NAME_MAX + 1] = '\0';
    assert_false(trust_name_valid(name));
    name[TRUST_NAME_MAX] = '\0';
    assert_true(trust_name_valid(name));
    assert_true(trust_name_valid("Box_1.lan-2"));
    assert_false(trust_name_valid(""));
    assert_false(trust_name_valid("two words"));
    assert_false(trust_name_valid("a/b"));
    assert_false(trust_name_valid("b\xc3\xbcro"));
}

/* --- refusing --- */

static void a_bad_line_is_named_and_refuses_the_file(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
            "short name",
            KEY_A,
            KEY_A " two words",
            KEY_A " name # no comment here",
            KEY_A " na/me",
            KEY_A "x name",
            KEY_A " a234567890123456789012345678901234567890123456789012345678901234",
            KEY_B " the-key-of-line-one-again",
            "~ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID name",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s first\n%s\n%s third\n", KEY_B, bad[i], KEY_HASH);
        write_list(f, text);
        assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), -EINVAL);
        assert_non_null(strstr(f->err.text, "trusted-nodes:2:"));
        assert_null(f->trust);
    }
}

static void a_bad_file_is_told_once_and_the_last_good_list_stays(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " workstation\n");
    write_list(f, KEY_B " strix\nrubbish\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), -EINVAL);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_A, "workstation");
    assert_null(trust_find(f->trust, KEY_B));
    write_list(f, KEY_B " strix\nother rubbish\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), -EINVAL);
    write_list(f, KEY_B " strix\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_B, "strix");
    assert_null(trust_find(f->trust, KEY_A));
}

static void a_zero_byte_is_not_the_end_of_the_list(void **state)
{
    struct fixture *f = *state;
    static const char text[] = KEY_A " first\n\0" KEY_B " second\n";
    assert_int_equal(file_write_private(path_of(f), text, sizeof(text) - 1, NULL), 0);
    assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "zero byte"));
}

static void what_cannot_be_read_is_told_once_and_tried_again(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " workstation\n");
    assert_int_equal(unlink(path_of(f)), 0);
    assert_int_equal(mkdir(path_of(f), 0700), 0);
    assert_int_equal(trust_refresh(f->trust, &f->err), -EINVAL);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_A, "workstation");
    assert_int_equal(rmdir(path_of(f)), 0);
    write_list(f, KEY_B " strix\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_B, "strix");
}

/* --- changes --- */

static void an_edit_counts_at_the_next_refresh(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " workstation\n");
    write_list(f, KEY_A " workstation\n" KEY_B " strix\n");
    assert_null(trust_find(f->trust, KEY_B));
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_B, "strix");
    write_list(f, "#" KEY_A " workstation\n" KEY_B " strix\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_null(trust_find(f->trust, KEY_A));
    assert_int_equal(unlink(path_of(f)), 0);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_int_equal(trust_count(f->trust), 0);
}

/* Writes into the same file, and gives it `mtime` again. */
static void overwrite_unseen(struct fixture *f, const char *text, struct timespec mtime)
{
    const struct timespec times[] = {mtime, mtime};
    int fd = open(path_of(f), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static struct timespec mtime_of(struct fixture *f)
{
    struct stat st;
    assert_int_equal(stat(path_of(f), &st), 0);
    return st.st_mtim;
}

/* The clock of a file system ticks slowly: two edits in one tick have the same date. */
static void two_edits_of_one_size_within_one_tick_are_both_seen(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " one\n");
    struct timespec tick = mtime_of(f);
    for (int i = 0; i < 3; i++) {
        overwrite_unseen(f, KEY_B " two\n", tick);
        assert_int_equal(trust_refresh(f->trust, &f->err), 0);
        assert_name(f, KEY_B, "two");
        overwrite_unseen(f, KEY_A " one\n", tick);
        assert_int_equal(trust_refresh(f->trust, &f->err), 0);
        assert_name(f, KEY_A, "one");
        assert_null(trust_find(f->trust, KEY_B));
    }
}

/* Shown by an edit that hides its date: only a file that is not read again can miss it. */
static void a_file_that_has_not_changed_for_long_is_not_read_again(void **state)
{
    struct fixture *f = *state;
    struct timespec long_ago = {.tv_sec = 1500000000};
    write_list(f, KEY_A " one\n");
    overwrite_unseen(f, KEY_A " one\n", long_ago);
    assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), 0);
    overwrite_unseen(f, KEY_B " two\n", long_ago);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_A, "one");
    overwrite_unseen(f, KEY_B " two\n", (struct timespec){.tv_sec = 1500000001});
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_B, "two");
}

/* The edition tells who must look whether a key is gone. */
static void the_edition_grows_with_each_list_that_is_taken(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " one\n");
    unsigned first = trust_edition(f->trust);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_int_equal(trust_edition(f->trust), first);
    write_list(f, "no key\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), -EINVAL);
    assert_int_equal(trust_edition(f->trust), first);
    write_list(f, KEY_B " two\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_int_not_equal(trust_edition(f->trust), first);
}

static void one_name_for_two_keys_is_refused(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " one\n");
    write_list(f, KEY_A " one\n" KEY_B " one\n");
    assert_int_equal(trust_refresh(f->trust, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, ":2: two keys have the name \"one\""));
    assert_name(f, KEY_A, "one");
    assert_null(trust_find(f->trust, KEY_B));
}

/* --- limits --- */

static void write_nodes(struct fixture *f, unsigned count)
{
    FILE *file = fopen(path_of(f), "w");
    assert_non_null(file);
    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[32] = {0};
        char key[KEY_Z85_LEN + 1];
        memcpy(bytes, &i, sizeof(i));
        fprintf(file, "%s node-%u\n", zmq_z85_encode(key, bytes, sizeof(bytes)), i);
    }
    assert_int_equal(fclose(file), 0);
}

static void the_list_has_a_limit(void **state)
{
    struct fixture *f = *state;
    write_nodes(f, TRUST_NODES_MAX);
    assert_int_equal(trust_create(path_of(f), &f->trust, &f->err), 0);
    assert_int_equal(trust_count(f->trust), TRUST_NODES_MAX);
    assert_string_equal(trust_at(f->trust, TRUST_NODES_MAX - 1)->name, "node-4095");
    write_nodes(f, TRUST_NODES_MAX + 1);
    assert_int_equal(trust_refresh(f->trust, &f->err), -E2BIG);
    assert_non_null(strstr(f->err.text, "4096"));
    assert_int_equal(trust_count(f->trust), TRUST_NODES_MAX);
}

static void the_file_has_a_limit(void **state)
{
    struct fixture *f = *state;
    load(f, KEY_A " workstation\n");
    assert_int_equal(truncate(path_of(f), TRUST_FILE_MAX + 1), 0);
    assert_int_equal(trust_refresh(f->trust, &f->err), -EFBIG);
    assert_int_equal(trust_refresh(f->trust, &f->err), 0);
    assert_name(f, KEY_A, "workstation");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_missing_file_is_an_empty_list),
            TEST(comments_and_white_space_add_nothing),
            TEST(a_hash_may_be_part_of_a_key),
            TEST(names_have_a_small_alphabet),
            TEST(a_bad_line_is_named_and_refuses_the_file),
            TEST(a_bad_file_is_told_once_and_the_last_good_list_stays),
            TEST(a_zero_byte_is_not_the_end_of_the_list),
            TEST(what_cannot_be_read_is_told_once_and_tried_again),
            TEST(an_edit_counts_at_the_next_refresh),
            TEST(two_edits_of_one_size_within_one_tick_are_both_seen),
            TEST(a_file_that_has_not_changed_for_long_is_not_read_again),
            TEST(the_edition_grows_with_each_list_that_is_taken),
            TEST(one_name_for_two_keys_is_refused),
            TEST(the_list_has_a_limit),
            TEST(the_file_has_a_limit),
    };
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
