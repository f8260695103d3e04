#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/slots/slot_files.h"
#include "node/backends/slots/slot_swap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const int64_t now_s = 1800000000;

struct fixture {
    char dir[32], folder[64], key[PATH_MAX];
    struct env env;
    struct slot_files *files;
};

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return now_s * 1000;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->dir, "/tmp/slots-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->folder, sizeof(f->folder), "%s/slots", f->dir);
    f->env = (struct env){.wall_ms = wall_ms};
    *state = f;
    return 0;
}

/* Turned off, it removes all that it has. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    struct slot_files *none;

    slot_files_close(f->files);
    assert_int_equal(slot_files_open(f->folder, 0, &f->env, &none, NULL), 0);
    assert_null(none);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void open_files(struct fixture *f, uint64_t max_bytes)
{
    struct err err;

    slot_files_close(f->files);
    assert_int_equal(slot_files_open(f->folder, max_bytes, &f->env, &f->files, &err), 0);
    assert_non_null(f->files);
    assert_int_equal(slot_files_folder(f->files, "key1", f->key, &err), 0);
}

static void write_file(const struct fixture *f, const char *name, size_t bytes, int64_t age_s)
{
    const struct timespec times[2] = {{.tv_sec = now_s - age_s}, {.tv_sec = now_s - age_s}};
    char path[PATH_MAX + 64];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->key, name);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool is_there(const struct fixture *f, const char *name)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", f->key, name);
    return access(path, F_OK) == 0;
}

static void test_folders_are_private(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    open_files(f, 1000);
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(f->key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_what_is_listed(void **state)
{
    struct fixture *f = *state;
    struct slot_file list[SLOT_FILES_MAX];

    open_files(f, 1000);
    write_file(f, "00000000000000ff-7.state", 10, 60);
    write_file(f, "00000000000000fe-7.state", 10, SLOT_FILES_AGE_S + 1);
    write_file(f, "ff-7.state", 10, 60); /* none of ours */
    write_file(f, "00000000000000ff-7.state.tmp", 10, 60);
    assert_int_equal(slot_files_list(f->files, f->key, list), 1);
    assert_true(list[0].session == 0xff);
    assert_int_equal(list[0].slot, 7);
    assert_string_equal(list[0].name, "00000000000000ff-7.state");
    assert_false(is_there(f, "00000000000000fe-7.state"));
    assert_false(is_there(f, "ff-7.state"));
    assert_false(is_there(f, "00000000000000ff-7.state.tmp"));
    slot_file_remove(f->key, &list[0]);
    assert_int_equal(slot_files_list(f->files, f->key, list), 0);
}

static void test_no_more_are_listed_than_slots_may_be(void **state)
{
    struct fixture *f = *state;
    struct slot_file list[SLOT_FILES_MAX], file = {.session = 1};

    open_files(f, 1000);
    for (; file.slot <= SLOT_FILES_MAX; file.slot++) {
        slot_file_name(&file);
        write_file(f, file.name, 0, 0);
    }
    assert_int_equal(slot_files_list(f->files, f->key, list), SLOT_FILES_MAX);
}

static void test_names_hold_any_session(void **state)
{
    struct slot_file file = {.session = UINT64_MAX, .slot = UINT32_MAX};

    (void)state;
    slot_file_name(&file);
    assert_string_equal(file.name, "ffffffffffffffff-4294967295.state");
}

static void test_the_oldest_go_first(void **state)
{
    struct fixture *f = *state;

    open_files(f, 1000);
    write_file(f, "0000000000000001-0.state", 400, 30);
    write_file(f, "0000000000000002-1.state", 400, 90);
    write_file(f, "0000000000000003-2.state", 400, 60);
    slot_files_prune(f->files);
    assert_true(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000002-1.state"));
    assert_true(is_there(f, "0000000000000003-2.state"));
    open_files(f, 100); /* a smaller limit counts at once */
    assert_false(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000003-2.state"));
}

static void test_what_is_too_old_goes(void **state)
{
    struct fixture *f = *state;

    open_files(f, 1000);
    write_file(f, "0000000000000001-0.state", 4, SLOT_FILES_AGE_S - 1);
    write_file(f, "0000000000000002-1.state", 4, SLOT_FILES_AGE_S + 1);
    write_file(f, "0000000000000003-1.state", 4, -SLOT_FILES_AGE_S - 1); /* the clock was wrong */
    open_files(f, 1000);
    assert_false(is_there(f, "0000000000000003-1.state"));
    assert_true(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000002-1.state"));
}

/* Nobody is writing when a node starts; who was has been cut off. */
static void test_what_is_not_whole(void **state)
{
    struct fixture *f = *state;
    const struct slot_file file = {.session = 1, .name = "0000000000000001-0.state"};
    struct slot_file list[SLOT_FILES_MAX];

    open_files(f, 1000);
    assert_false(slot_file_keep(f->key, &file));
    write_file(f, "0000000000000001-0.state.part", 2000, 0);
    slot_files_prune(f->files); /* it is being written, and was promised */
    assert_int_equal(slot_files_list(f->files, f->key, list), 0);
    assert_true(slot_file_keep(f->key, &file));
    assert_int_equal(slot_files_list(f->files, f->key, list), 1);
    write_file(f, "0000000000000002-1.state.part", 10, 0);
    open_files(f, 10000);
    assert_true(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000002-1.state.part"));
    write_file(f, "0000000000000001-0.state.part", 10, 0);
    slot_files_drop_parts(f->key);
    assert_true(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000001-0.state.part"));
    write_file(f, "0000000000000001-0.state.part", 10, 0);
    slot_file_remove(f->key, &file);
    assert_false(is_there(f, "0000000000000001-0.state"));
    assert_false(is_there(f, "0000000000000001-0.state.part"));
}

/* Several engines may end at once: what one is promised the others do not get, and it is free on
 * the disk before it is written. */
static void test_what_is_promised_counts(void **state)
{
    struct fixture *f = *state;

    open_files(f, 1000);
    write_file(f, "0000000000000001-0.state", 600, 60);
    write_file(f, "0000000000000002-1.state", 300, 30);
    slot_files_promise(f->files, 700);
    assert_false(is_there(f, "0000000000000001-0.state"));
    assert_true(is_there(f, "0000000000000002-1.state"));
    assert_in_range(slot_files_room(f->files), 0, 300);
    slot_files_promise(f->files, UINT64_MAX);
    assert_int_equal(slot_files_room(f->files), 0);
    assert_false(is_there(f, "0000000000000002-1.state"));
}

/* By what its owner gives, and by what is free on the disk, which others use too. */
static void test_room_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct statvfs disk;

    open_files(f, 4096);
    assert_in_range(slot_files_room(f->files), 0, 4096);
    open_files(f, UINT64_MAX);
    assert_int_equal(statvfs(f->folder, &disk), 0);
    assert_in_range(slot_files_room(f->files), 0,
            (uint64_t)disk.f_blocks * disk.f_frsize / SLOT_FILES_FREE_DIVISOR);
}

static void test_what_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    struct slot_files *files;
    struct err err;

    assert_true(slot_files_open("/proc/nothing/slots", 1000, &f->env, &files, &err) < 0);
    open_files(f, 1000);
    memset(f->key, 'k', sizeof(f->key) - 1);
    f->key[sizeof(f->key) - 1] = '\0';
    assert_true(slot_files_folder(f->files, f->key, f->key, &err) < 0);
}

/* 100 KiB a token at 300 MB/s: 0.34 ms; twice that is less than to compute it at 1,000 tokens a
 * second, and more at 2,000. */
static void test_what_pays(void **state)
{
    (void)state;
    assert_true(slot_swap_pays(30000, 102400, 1000));
    assert_false(slot_swap_pays(30000, 102400, 2000));
    assert_false(slot_swap_pays(30000, 102400, 0));
    assert_false(slot_swap_pays(30000, 0, 1000));
    assert_false(slot_swap_pays(SLOT_SWAP_TOKENS_MIN - 1, 1, 1));
    assert_false(slot_swap_pays(UINT64_MAX, UINT64_MAX, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_folders_are_private),
            TEST(test_what_is_listed),
            TEST(test_no_more_are_listed_than_slots_may_be),
            TEST(test_names_hold_any_session),
            TEST(test_the_oldest_go_first),
            TEST(test_what_is_too_old_goes),
            TEST(test_what_is_not_whole),
            TEST(test_what_is_promised_counts),
            TEST(test_room_is_bounded),
            TEST(test_what_cannot_be_made),
            TEST(test_what_pays),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("slot_files", tests, NULL, NULL);
}
