#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "node/residency/measurement_file.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static struct scratch scratch;
static struct loop loop;
static struct measurement_file *file;

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    scratch_init(&scratch);
    return loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    measurement_file_destroy(file);
    file = NULL;
    loop_fini(&loop);
    scratch_fini(&scratch);
    return 0;
}

static const char *path(void)
{
    return scratch_path(&scratch, MEASUREMENT_FILE_NAME);
}

static void open_file(const char *at)
{
    struct err err = {""};

    if (measurement_file_create(&loop, at, &file, &err) < 0)
        fail_msg("%s", err.text);
}

/* What was written is on the disk afterwards, as at the end of a node. */
static void close_file(void)
{
    measurement_file_destroy(file);
    file = NULL;
    loop_fini(&loop);
    assert_int_equal(loop_init(&loop), 0);
}

static void put(uint8_t number, uint64_t bytes)
{
    const struct measurement_key key = {.bytes = {number}};
    const struct measurement measurement = {.device_bytes = bytes};

    if (measurements_put(measurement_file_table(file), &key, &measurement))
        measurement_file_save(file);
}

static uint64_t found(uint8_t number)
{
    const struct measurement_key key = {.bytes = {number}};
    struct measurement measurement = {0};

    return measurements_find(measurement_file_table(file), &key, &measurement)
                   ? measurement.device_bytes
                   : 0;
}

static void test_no_file_yet(void **state)
{
    (void)state;
    open_file(path());
    assert_int_equal(found(1), 0);
    close_file();
    assert_int_equal(access(path(), F_OK), -1); /* nothing to keep */
}

static void test_kept(void **state)
{
    struct stat st;

    (void)state;
    open_file(path());
    put(1, 100);
    close_file();
    assert_int_equal(stat(path(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    open_file(path());
    assert_int_equal(found(1), 100);
}

/* A write takes what there is when it begins: the last change needs one more. */
static void test_changes_while_it_is_written(void **state)
{
    (void)state;
    open_file(path());
    for (uint8_t i = 1; i <= 50; i++)
        put(i, i);
    close_file();
    open_file(path());
    for (uint8_t i = 1; i <= 50; i++)
        assert_int_equal(found(i), i);
}

static void test_written_without_an_end(void **state)
{
    struct loop_timer *patience = patience_start(&loop, PATIENCE_MS);

    (void)state;
    open_file(path());
    put(1, 100);
    while (access(path(), F_OK) != 0)
        uv_run(&loop.uv, UV_RUN_ONCE);
    loop_timer_destroy(patience);
}

static void test_without_a_path(void **state)
{
    (void)state;
    open_file(NULL);
    put(1, 100);
    assert_int_equal(found(1), 100);
}

static void test_a_broken_file_is_replaced(void **state)
{
    (void)state;
    open_file(path());
    put(1, 100);
    close_file();
    assert_int_equal(truncate(path(), 40), 0);
    open_file(path());
    assert_int_equal(found(1), 0);
    put(2, 200);
    close_file();
    open_file(path());
    assert_int_equal(found(1), 0);
    assert_int_equal(found(2), 200);
}

/* What breaks in its middle is not believed in part. */
static void test_no_part_of_a_bad_file_counts(void **state)
{
    (void)state;
    scratch_write(&scratch, MEASUREMENT_FILE_NAME,
            "{\"version\":1,\"starts\":[{\"key\":"
            "\"0100000000000000000000000000000000000000000000000000000000000000\","
            "\"device_bytes\":5,\"host_bytes\":5},7],\"engines\":[]}");
    assert_int_equal(chmod(path(), 0600), 0);
    open_file(path());
    assert_int_equal(found(1), 0);
}

static void test_a_file_that_others_can_write(void **state)
{
    (void)state;
    open_file(path());
    put(1, 100);
    close_file();
    assert_int_equal(chmod(path(), 0666), 0);
    open_file(path());
    assert_int_equal(found(1), 0);
}

static void test_a_file_that_is_too_large(void **state)
{
    (void)state;
    scratch_write(&scratch, MEASUREMENT_FILE_NAME, "{");
    assert_int_equal(chmod(path(), 0600), 0);
    assert_int_equal(truncate(path(), MEASUREMENTS_TEXT_MAX + 1), 0);
    open_file(path());
    put(1, 100);
    assert_int_equal(found(1), 100);
}

/* The node goes on with what it has in memory, and tries again with the next change. */
static void test_a_folder_that_is_away(void **state)
{
    (void)state;
    open_file(scratch_path(&scratch, "away/m.json"));
    put(1, 100);
    while (loop.uv.active_reqs.count > 0)
        uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(found(1), 100);
    scratch_mkdir(&scratch, "away");
    put(2, 200);
    close_file();
    open_file(scratch_path(&scratch, "away/m.json"));
    assert_int_equal(found(1), 100);
    assert_int_equal(found(2), 200);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_no_file_yet),
            TEST(test_kept),
            TEST(test_changes_while_it_is_written),
            TEST(test_written_without_an_end),
            TEST(test_without_a_path),
            TEST(test_a_broken_file_is_replaced),
            TEST(test_no_part_of_a_bad_file_counts),
            TEST(test_a_file_that_others_can_write),
            TEST(test_a_file_that_is_too_large),
            TEST(test_a_folder_that_is_away),
    };
    return cmocka_run_group_tests_name("measurement_file", tests, NULL, NULL);
}
