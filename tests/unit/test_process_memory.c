#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/process_memory.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t mib = 1024 * 1024;
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

static void put_process(int pid, unsigned anonymous_kib, const char *children)
{
    char path[64], text[256];

    (void)snprintf(path, sizeof path, "proc/%d/status", pid);
    (void)snprintf(text, sizeof text,
            "Name:\tengine\nVmRSS:\t 999 kB\nRssAnon:\t %u kB\nRssFile:\t 5000 kB\nRssShmem:\t 1 "
            "kB\n",
            anonymous_kib);
    scratch_write(&scratch, path, text);
    (void)snprintf(path, sizeof path, "proc/%d/task/%d/children", pid, pid);
    scratch_write(&scratch, path, children);
}

static void test_descendants_are_added(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    put_process(10, 100, "11 12 ");
    put_process(11, 200, "");
    put_process(12, 300, "13 ");
    put_process(13, 400, "");
    assert_int_equal(process_memory_read(scratch.path, 10, &bytes), 0);
    assert_int_equal(bytes, (1000 + 4) * 1024);
    assert_int_equal(process_memory_read(scratch.path, 12, &bytes), 0);
    assert_int_equal(bytes, (700 + 2) * 1024);
}

static void test_a_child_that_has_ended(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    put_process(10, 100, "11 99999 ");
    put_process(11, 200, "");
    assert_int_equal(process_memory_read(scratch.path, 10, &bytes), 0);
    assert_int_equal(bytes, (300 + 2) * 1024);
}

static void test_a_circle_ends(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    put_process(10, 1, "10 ");
    assert_int_equal(process_memory_read(scratch.path, 10, &bytes), 0);
    assert_int_equal(bytes, PROCESS_MEMORY_MAX * 2 * 1024);
}

/* Locked pages of files do not come back either. */
static void test_locked_weights_count(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    put_process(10, 100, "");
    scratch_write(&scratch, "proc/10/status",
            "Name:\tengine\nVmLck:\t 4000 kB\nRssAnon:\t 100 kB\nRssFile:\t 5000 kB\nRssShmem:\t 0 "
            "kB\n");
    assert_int_equal(process_memory_read(scratch.path, 10, &bytes), 0);
    assert_int_equal(bytes, 4100 * 1024);
}

static void test_what_cannot_be_read(void **state)
{
    uint64_t bytes = 7;

    (void)state;
    assert_int_equal(process_memory_read(scratch.path, 10, &bytes), -ENOENT);
    scratch_write(&scratch, "proc/11/status", "Name:\tkernel thread\n");
    assert_int_equal(process_memory_read(scratch.path, 11, &bytes), -ENODATA);
    scratch_write(&scratch, "proc/12/status", "RssAnon\nRssAnon:\t 1 kB\nRssShmem:\t 1 kB\n");
    assert_int_equal(process_memory_read(scratch.path, 12, &bytes), -ENODATA);
    assert_int_equal(bytes, 7);
}

/* Really: a child that holds 64 MiB. */
static void test_this_host(void **state)
{
    int ready[2];
    uint64_t before = 0, with = 0;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(process_memory_read("", getpid(), &before), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *held =
                mmap(NULL, 64 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(held, 1, 64 * mib);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(EXIT_FAILURE);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(process_memory_read("", getpid(), &with), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready[0]);
    close(ready[1]);
    assert_true(with >= before + 64 * mib);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_descendants_are_added),
            TEST(test_a_child_that_has_ended),
            TEST(test_a_circle_ends),
            TEST(test_locked_weights_count),
            TEST(test_what_cannot_be_read),
            TEST(test_this_host),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("process_memory", tests, NULL, NULL);
}
