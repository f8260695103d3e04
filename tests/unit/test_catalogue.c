#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/loop.h"
#include "node/models/catalogue.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, SOON_MS = CATALOGUE_RESCAN_MS / 2 /* it was no rescan */ };

static struct scratch scratch;
static struct loop loop;
static struct loop_timer *patience;
static struct catalogue *catalogue;
static int models, gone, scans;
static char last[128];
static int *wanted; /* the loop stops when it has become … */
static int wanted_count;

static void count(int *counter)
{
    ++*counter;
    if (counter == wanted && *counter >= wanted_count)
        loop_stop(&loop);
}

static void on_model(void *ctx, const struct catalogue_model *model)
{
    (void)ctx;
    (void)snprintf(last, sizeof last, "%s", model->name);
    count(&models);
}

static void on_gone(void *ctx, const char *name)
{
    (void)ctx;
    (void)snprintf(last, sizeof last, "%s", name);
    count(&gone);
}

static void on_scanned(void *ctx, size_t model_count)
{
    (void)ctx;
    assert_int_equal(catalogue_last(catalogue)->model_count, model_count);
    count(&scans);
}

static const struct catalogue_events events = {
        .on_model = on_model, .on_gone = on_gone, .on_scanned = on_scanned};

static void wait_for(int *counter, int value)
{
    wanted = counter;
    wanted_count = value;
    while (*counter < value)
        loop_run(&loop);
    wanted = NULL;
}

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    models = gone = scans = 0;
    wanted = NULL;
    catalogue = NULL;
    if (loop_init(&loop) < 0)
        return -1;
    patience = patience_start(&loop, PATIENCE_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_destroy(catalogue);
    loop_timer_destroy(patience);
    loop_fini(&loop);
    scratch_fini(&scratch);
    return 0;
}

static void put_model(const char *name, size_t data_bytes)
{
    gguf_write_model(scratch_path(&scratch, name), data_bytes);
}

/* Of an hour ago. */
static void put_old_model(const char *name)
{
    struct timespec now, times[2];

    put_model(name, 64);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec -= 3600;
    times[0] = times[1] = now;
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&scratch, name), times, 0), 0);
}

static void start(
        const char *const *roots, size_t root_count, size_t watched_max, uint32_t rescan_ms)
{
    const struct catalogue_config config = {.roots = roots,
            .root_count = root_count,
            .env = &env_system,
            .watched_max = watched_max,
            .rescan_ms = rescan_ms};
    struct err err;

    assert_int_equal(catalogue_create(&loop, &config, &events, NULL, &catalogue, &err), 0);
    assert_null(catalogue_last(catalogue));
    wait_for(&scans, 1);
}

static void start_one(void)
{
    const char *const root = scratch.path;

    start(&root, 1, 0, 0);
}

/* All of it happens before the next look that the timer brings. */
static void assert_soon(uint64_t since_us)
{
    assert_true(env_now_us(&env_system) - since_us < (uint64_t)SOON_MS * 1000);
}

static void test_what_is_there(void **state)
{
    (void)state;
    put_old_model("a.gguf");
    put_old_model("b.gguf");
    start_one();
    assert_int_equal(models, 2);
    assert_int_equal(gone, 0);
    catalogue_rescan(catalogue);
    wait_for(&scans, 2);
    assert_int_equal(models, 2);
    assert_string_equal(catalogue_scan_find(catalogue_last(catalogue), "b")->name, "b");
}

static void test_a_file_comes_and_goes(void **state)
{
    uint64_t since_us;

    (void)state;
    start_one();
    since_us = env_now_us(&env_system);
    put_model("a.gguf", 64);
    wait_for(&models, 1);
    assert_string_equal(last, "a");
    assert_int_equal(unlink(scratch_path(&scratch, "a.gguf")), 0);
    wait_for(&gone, 1);
    assert_string_equal(last, "a");
    assert_soon(since_us);
}

static void test_another_file_under_its_name(void **state)
{
    uint64_t since_us;

    (void)state;
    put_old_model("a.gguf");
    start_one();
    since_us = env_now_us(&env_system);
    put_model("new.part", 128);
    assert_int_equal(
            rename(scratch_path(&scratch, "new.part"), scratch_path(&scratch, "a.gguf")), 0);
    wait_for(&models, 2);
    assert_string_equal(last, "a");
    assert_soon(since_us);
}

static void test_folders_come_move_and_go(void **state)
{
    uint64_t since_us;

    (void)state;
    start_one();
    since_us = env_now_us(&env_system);
    scratch_mkdir(&scratch, "deep/er");
    put_model("deep/er/a.gguf", 64);
    wait_for(&models, 1);
    put_model("deep/er/b.gguf", 64); /* in a folder that was made while we looked */
    wait_for(&models, 2);
    assert_string_equal(last, "b");
    assert_int_equal(rename(scratch_path(&scratch, "deep"), scratch_path(&scratch, ".hidden")), 0);
    wait_for(&gone, 2);
    assert_int_equal(rename(scratch_path(&scratch, ".hidden"), scratch_path(&scratch, "moved")), 0);
    wait_for(&models, 4);
    assert_soon(since_us);
}

/* Written piece by piece, it is not offered before the last; whole in size from the start, as some
 * downloaders make it, it is not offered before it is closed. */
static void test_a_file_that_is_being_written(void **state)
{
    struct buf out;
    int fd;

    (void)state;
    start_one();
    buf_init(&out, 65536);
    gguf_put_model(&out, 4096);
    fd = open(scratch_path(&scratch, "a.gguf"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)out.len), 0);
    for (size_t at = 0; at < out.len; at += 1024) {
        size_t len = out.len - at < 1024 ? out.len - at : 1024;
        int before = scans;
        assert_int_equal(pwrite(fd, (const char *)buf_at(&out) + at, len, (off_t)at), len);
        wait_for(&scans, before + 1);
        assert_int_equal(models, 0);
    }
    close(fd);
    wait_for(&models, 1);
    assert_int_equal(catalogue_last(catalogue)->problem_count, 0);
    buf_fini(&out);
}

static void test_a_folder_appears(void **state)
{
    char a[PATH_MAX], b[PATH_MAX];
    const char *const roots[2] = {a, b};
    uint64_t since_us;

    (void)state;
    (void)snprintf(a, sizeof a, "%s", scratch_path(&scratch, "a"));
    (void)snprintf(b, sizeof b, "%s/", scratch_path(&scratch, "b"));
    scratch_mkdir(&scratch, "a");
    put_old_model("a/x.gguf");
    start(roots, 2, 0, 0);
    assert_int_equal(models, 1);
    since_us = env_now_us(&env_system);
    scratch_mkdir(&scratch, "b");
    put_model("b/y.gguf", 64);
    wait_for(&models, 2);
    assert_string_equal(last, "y");
    assert_int_equal(unlink(scratch_path(&scratch, "b/y.gguf")), 0);
    assert_int_equal(rmdir(scratch_path(&scratch, "b")), 0);
    wait_for(&gone, 1);
    assert_soon(since_us);
}

/* Then the timer has to do. */
static void test_a_folder_that_is_not_watched(void **state)
{
    const char *const root = scratch.path;

    (void)state;
    scratch_mkdir(&scratch, "sub");
    start(&root, 1, 1, 100);
    assert_int_equal(catalogue_last(catalogue)->unwatched_count, 1);
    put_old_model("sub/a.gguf");
    wait_for(&models, 1);
}

static void test_too_many_folders(void **state)
{
    const char *roots[CATALOGUE_ROOTS_MAX + 1];
    const struct catalogue_config config = {
            .roots = roots, .root_count = CATALOGUE_ROOTS_MAX + 1, .env = &env_system};
    struct err err;

    (void)state;
    for (size_t i = 0; i <= CATALOGUE_ROOTS_MAX; i++)
        roots[i] = scratch.path;
    assert_int_equal(catalogue_create(&loop, &config, &events, NULL, &catalogue, &err), -E2BIG);
    assert_non_null(strstr(err.text, "16"));
}

/* Nothing is told any more and nothing leaks. */
static void test_destroyed_in_the_middle(void **state)
{
    (void)state;
    put_old_model("a.gguf");
    start_one();
    catalogue_rescan(catalogue);
    catalogue_rescan(catalogue);
    catalogue_destroy(catalogue);
    catalogue = NULL;
    patience_run_for(&loop, 50);
    assert_int_equal(scans, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_is_there),
            TEST(test_a_file_comes_and_goes),
            TEST(test_another_file_under_its_name),
            TEST(test_folders_come_move_and_go),
            TEST(test_a_file_that_is_being_written),
            TEST(test_a_folder_appears),
            TEST(test_a_folder_that_is_not_watched),
            TEST(test_too_many_folders),
            TEST(test_destroyed_in_the_middle),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
