#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/models/folder_watch.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 10000,
    PAUSE_MS = 20,
    QUIET_MS = 3 * PAUSE_MS, /* for what must not come */
};

static struct scratch scratch;
static struct loop loop;
static struct loop_timer *patience;
static struct folder_watch *watch;
static unsigned calls;
static bool lost;

static void on_change(void *ctx, bool some_lost)
{
    (void)ctx;
    calls++;
    lost |= some_lost;
    loop_stop(&loop);
}

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    calls = 0;
    lost = false;
    watch = NULL;
    if (loop_init(&loop) < 0)
        return -1;
    patience = patience_start(&loop, PATIENCE_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_watch_destroy(watch);
    loop_timer_destroy(patience);
    loop_fini(&loop);
    scratch_fini(&scratch);
    return 0;
}

static void create(size_t folders_max, const char *suffix)
{
    const struct folder_watch_config config = {
            .folders_max = folders_max, .pause_ms = PAUSE_MS, .suffix = suffix};
    struct err err;

    assert_int_equal(folder_watch_create(&loop, &config, on_change, NULL, &watch, &err), 0);
}

/* One round of these folders below the scratch folder; ends with NULL. */
static void watch_folders(const char *const *names)
{
    struct err err;

    folder_watch_begin(watch);
    for (; *names != NULL; names++)
        if (folder_watch_add(watch, scratch_path(&scratch, *names), &err) < 0)
            fail_msg("%s", err.text);
    folder_watch_end(watch);
}

static void expect_call(void)
{
    calls = 0;
    loop_run(&loop);
    assert_int_equal(calls, 1);
    patience_run_for(&loop, QUIET_MS); /* what belongs to the same change */
}

static void expect_silence(void)
{
    calls = 0;
    patience_run_for(&loop, QUIET_MS);
    assert_int_equal(calls, 0);
}

static const char *const the_folder[] = {".", NULL};

static void test_files(void **state)
{
    (void)state;
    create(0, NULL);
    watch_folders(the_folder);
    expect_silence();

    scratch_write(&scratch, "a", "made");
    expect_call();
    scratch_write(&scratch, "a", "written");
    expect_call();
    assert_int_equal(chmod(scratch_path(&scratch, "a"), 0400), 0);
    expect_call();
    assert_int_equal(rename(scratch_path(&scratch, "a"), scratch_path(&scratch, "b")), 0);
    expect_call();
    assert_int_equal(unlink(scratch_path(&scratch, "b")), 0);
    expect_call();
    assert_false(lost);
}

static void test_reading_is_no_change(void **state)
{
    char data[8];
    int fd;

    (void)state;
    scratch_write(&scratch, "a", "text");
    create(0, NULL);
    watch_folders(the_folder);
    fd = open(scratch_path(&scratch, "a"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, data, sizeof data), 4);
    close(fd);
    expect_silence();
}

static void test_other_files_do_not_matter(void **state)
{
    (void)state;
    create(0, ".gguf");
    watch_folders(the_folder);
    scratch_write(&scratch, "notes.txt", "text");
    scratch_write(&scratch, "x.gguf.part", "text");
    expect_silence();
    assert_int_equal(
            rename(scratch_path(&scratch, "x.gguf.part"), scratch_path(&scratch, "x.gguf")), 0);
    expect_call();
    scratch_mkdir(&scratch, "folder");
    expect_call();
}

static void test_folders(void **state)
{
    static const char *const both[] = {".", "sub", NULL};

    (void)state;
    scratch_mkdir(&scratch, "sub");
    create(0, ".gguf");
    watch_folders(both);
    assert_int_equal(folder_watch_count(watch), 2);
    watch_folders(both);
    assert_int_equal(folder_watch_count(watch), 2);

    scratch_write(&scratch, "sub/x.gguf", "text");
    expect_call();
    assert_int_equal(rename(scratch_path(&scratch, "sub"), scratch_path(&scratch, "moved")), 0);
    expect_call();
    /* It was moved, and is watched still. */
    scratch_write(&scratch, "moved/y.gguf", "text");
    expect_call();

    /* The next round forgets it. */
    watch_folders(the_folder);
    assert_int_equal(folder_watch_count(watch), 1);
    scratch_write(&scratch, "moved/z.gguf", "text");
    expect_silence();
}

static void test_a_watched_folder_goes(void **state)
{
    static const char *const sub[] = {"sub", NULL};

    (void)state;
    scratch_mkdir(&scratch, "sub");
    create(0, ".gguf");
    watch_folders(sub);
    assert_int_equal(rmdir(scratch_path(&scratch, "sub")), 0);
    expect_call();

    /* The kernel has dropped its watch by itself; a new folder of that name is another. */
    scratch_mkdir(&scratch, "sub");
    watch_folders(sub);
    assert_int_equal(folder_watch_count(watch), 1);
    expect_silence();
    scratch_write(&scratch, "sub/x.gguf", "text");
    expect_call();
}

/* What comes at once is told at once, and then not more often than the pause allows. */
static void test_many_changes_are_few_calls(void **state)
{
    char name[32];

    (void)state;
    create(0, NULL);
    watch_folders(the_folder);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof name, "file-%d", i);
        scratch_write(&scratch, name, "text");
    }
    calls = 0;
    patience_run_for(&loop, PAUSE_MS / 2);
    assert_int_equal(calls, 1);
    scratch_write(&scratch, "one-more", "text");
    patience_run_for(&loop, QUIET_MS);
    assert_int_equal(calls, 2);
}

static void test_too_many_folders(void **state)
{
    struct err err;

    (void)state;
    scratch_mkdir(&scratch, "a");
    scratch_mkdir(&scratch, "b");
    create(2, NULL);
    for (int round = 0; round < 2; round++) {
        folder_watch_begin(watch);
        assert_int_equal(folder_watch_add(watch, scratch.path, &err), 0);
        assert_int_equal(folder_watch_add(watch, scratch_path(&scratch, "a"), &err), 0);
        assert_int_equal(folder_watch_add(watch, scratch_path(&scratch, "b"), &err), -ENOSPC);
        assert_non_null(strstr(err.text, "2 folders"));
        folder_watch_end(watch);
        assert_int_equal(folder_watch_count(watch), 2);
    }
    /* That it was taken and given back is no change, or each look would cause the next. */
    expect_silence();
    scratch_write(&scratch, "b/x", "text");
    expect_silence();
    scratch_write(&scratch, "a/x", "text");
    expect_call();
}

static void test_what_cannot_be_watched(void **state)
{
    struct err err;

    (void)state;
    scratch_write(&scratch, "file", "text");
    create(0, NULL);
    folder_watch_begin(watch);
    assert_int_equal(folder_watch_add(watch, scratch_path(&scratch, "absent"), &err), -ENOENT);
    assert_non_null(strstr(err.text, "absent"));
    assert_int_equal(folder_watch_add(watch, scratch_path(&scratch, "file"), &err), -ENOTDIR);
    folder_watch_end(watch);
    assert_int_equal(folder_watch_count(watch), 0);
}

static unsigned max_queued_events(void)
{
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    unsigned count = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%u", &count) != 1)
        count = 0;
    (void)fclose(file);
    return count;
}

/* Two names in turn, so that no event equals the one before it, which would make them one. */
static void test_a_full_queue_is_told(void **state)
{
    unsigned needed = max_queued_events();

    (void)state;
    if (needed == 0 || needed > 100000)
        skip();
    scratch_write(&scratch, "a", "text");
    scratch_write(&scratch, "b", "text");
    create(0, NULL);
    watch_folders(the_folder);
    for (unsigned i = 0; i <= needed; i++)
        assert_int_equal(chmod(scratch_path(&scratch, i % 2 ? "a" : "b"), 0600), 0);
    expect_call();
    assert_true(lost);

    scratch_write(&scratch, "c", "text");
    expect_call();
}

static void test_no_call_after_stop(void **state)
{
    (void)state;
    create(0, NULL);
    watch_folders(the_folder);
    scratch_write(&scratch, "a", "text");
    folder_watch_stop(watch);
    folder_watch_stop(watch);
    expect_silence();
    folder_watch_stop(NULL);
    folder_watch_destroy(NULL);
}

static void stop_it(void *ctx, bool some_lost)
{
    (void)some_lost;
    folder_watch_stop(*(struct folder_watch **)ctx);
    loop_stop(&loop);
}

static void test_stopped_by_its_own_call(void **state)
{
    const struct folder_watch_config config = {.pause_ms = PAUSE_MS};
    struct err err;

    (void)state;
    assert_int_equal(folder_watch_create(&loop, &config, stop_it, &watch, &watch, &err), 0);
    watch_folders(the_folder);
    scratch_write(&scratch, "a", "text");
    loop_run(&loop);
    folder_watch_destroy(watch);
    watch = NULL;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_files),
            TEST(test_reading_is_no_change),
            TEST(test_other_files_do_not_matter),
            TEST(test_folders),
            TEST(test_a_watched_folder_goes),
            TEST(test_many_changes_are_few_calls),
            TEST(test_too_many_folders),
            TEST(test_what_cannot_be_watched),
            TEST(test_a_full_queue_is_told),
            TEST(test_no_call_after_stop),
            TEST(test_stopped_by_its_own_call),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("folder_watch", tests, NULL, NULL);
}
