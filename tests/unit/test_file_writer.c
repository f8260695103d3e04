#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/models/file_writer.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <unistd.h>

static struct scratch scratch;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

/* Not all file systems tell. */
static void need_leases(const char *path)
{
    if (file_writer_of(path) == FILE_WRITER_UNKNOWN)
        skip();
}

static void test_who_writes_is_seen(void **state)
{
    const char *path = scratch_path(&scratch, "file");
    int fd;

    (void)state;
    scratch_write(&scratch, "file", "text");
    need_leases(path);
    assert_int_equal(file_writer_of(path), FILE_WRITER_NONE);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(file_writer_of(path), FILE_WRITER_SOME);
    close(fd);
    assert_int_equal(file_writer_of(path), FILE_WRITER_NONE);
}

static void test_who_reads_is_none(void **state)
{
    const char *path = scratch_path(&scratch, "file");
    int fd;

    (void)state;
    scratch_write(&scratch, "file", "text");
    need_leases(path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(file_writer_of(path), FILE_WRITER_NONE);
    close(fd);
}

/* The question leaves nothing behind that a writer would have to wait for. */
static void test_a_writer_is_not_held_up(void **state)
{
    const char *path = scratch_path(&scratch, "file");
    int fd;

    (void)state;
    scratch_write(&scratch, "file", "text");
    (void)file_writer_of(path);
    fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    assert_true(fd >= 0);
    close(fd);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(file_writer_of(scratch_path(&scratch, "absent")), FILE_WRITER_UNKNOWN);
    assert_int_equal(file_writer_of(scratch.path), FILE_WRITER_UNKNOWN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_who_writes_is_seen),
            TEST(test_who_reads_is_none),
            TEST(test_a_writer_is_not_held_up),
            TEST(test_what_is_not_there),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("file_writer", tests, NULL, NULL);
}
