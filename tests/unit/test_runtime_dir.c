#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "node/process/runtime_dir.h"
#include "tests/lib/scratch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scratch scratch;
static struct runtime_dir dir;

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    scratch_init(&scratch);
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    dir = (struct runtime_dir){.is_ours = false};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    runtime_dir_close(&dir);
    scratch_fini(&scratch);
    return 0;
}

/* Below a long $TMPDIR there is no path that is short enough. */
static void set_to_scratch(const char *variable)
{
    if (strlen(scratch.path) > RUNTIME_DIR_MAX / 2)
        skip();
    setenv(variable, scratch.path, 1);
}

static void open_for(const char *node)
{
    struct err err;

    assert_int_equal(runtime_dir_open(node, &dir, &err), 0);
}

static void assert_private(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_what_systemd_gives_stays(void **state)
{
    (void)state;
    set_to_scratch("RUNTIME_DIRECTORY");
    open_for("halo");
    assert_string_equal(dir.path, scratch.path);
    runtime_dir_close(&dir);
    assert_int_equal(access(scratch.path, F_OK), 0);
}

static void test_of_a_user(void **state)
{
    (void)state;
    set_to_scratch("XDG_RUNTIME_DIR");
    open_for("halo");
    assert_int_equal(strncmp(dir.path, scratch.path, strlen(scratch.path)), 0);
    assert_non_null(strstr(dir.path, "/modemesh-halo-"));
    assert_private(dir.path);
    runtime_dir_close(&dir);
    assert_int_equal(access(dir.path, F_OK), -1);
    dir.is_ours = false;
}

/* Two nodes of a user each have their own, whatever is there already. */
static void test_one_that_is_there_already(void **state)
{
    struct runtime_dir first;

    (void)state;
    set_to_scratch("XDG_RUNTIME_DIR");
    open_for("halo");
    first = dir;
    open_for("halo");
    assert_string_not_equal(dir.path, first.path);
    assert_private(dir.path);
    runtime_dir_close(&first);
}

static void expect_below_tmp(void)
{
    open_for("halo");
    assert_int_equal(strncmp(dir.path, "/tmp/modemesh-", strlen("/tmp/modemesh-")), 0);
    assert_private(dir.path);
    runtime_dir_close(&dir);
    dir.is_ours = false;
}

static void test_paths_that_do_not_count(void **state)
{
    char far[RUNTIME_DIR_MAX + 2];

    (void)state;
    expect_below_tmp();
    setenv("RUNTIME_DIRECTORY", "run", 1);
    setenv("XDG_RUNTIME_DIR", "run", 1);
    expect_below_tmp();
    setenv("XDG_RUNTIME_DIR", scratch_path(&scratch, "absent"), 1);
    expect_below_tmp();
    memset(far, 'x', sizeof far - 1);
    far[0] = '/';
    far[sizeof far - 1] = '\0';
    setenv("RUNTIME_DIRECTORY", far, 1);
    setenv("XDG_RUNTIME_DIR", far, 1);
    expect_below_tmp();
}

/* What an engine has left is not taken away with it. */
static void test_one_that_is_not_empty(void **state)
{
    char file[PATH_MAX];

    (void)state;
    set_to_scratch("XDG_RUNTIME_DIR");
    open_for("halo");
    (void)snprintf(file, sizeof file, "%s/left", strrchr(dir.path, '/') + 1);
    scratch_write(&scratch, file, "");
    runtime_dir_close(&dir);
    assert_int_equal(access(dir.path, F_OK), 0);
    dir.is_ours = false;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_systemd_gives_stays),
            TEST(test_of_a_user),
            TEST(test_one_that_is_there_already),
            TEST(test_paths_that_do_not_count),
            TEST(test_one_that_is_not_empty),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("runtime_dir", tests, NULL, NULL);
}
