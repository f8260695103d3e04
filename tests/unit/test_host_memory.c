#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/host_memory.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <string.h>

static const char meminfo[] = "MemTotal:       131072000 kB\n"
                              "MemFree:         1000 kB\n"
                              "MemAvailable:   98304000 kB\n"
                              "Buffers:          12345 kB\n";
static const uint64_t total = 131072000ull * 1024, available = 98304000ull * 1024;

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

static void expect(uint64_t want_total, uint64_t want_available)
{
    struct host_memory memory;
    struct err err;

    assert_int_equal(host_memory_read(scratch.path, &memory, &err), 0);
    assert_int_equal(memory.total_bytes, want_total);
    assert_int_equal(memory.available_bytes, want_available);
}

static void test_host(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    expect(total, available);
    scratch_write(&scratch, "proc/self/cgroup", "0::/\n");
    expect(total, available);
}

static void test_cgroup_limit_of_a_parent(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "1:name=systemd:/x\n0::/box/node\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/node/memory.max", "max\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "8589934592\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "3221225472\n");
    expect(8589934592u, 8589934592u - 3221225472u);
}

static void test_cached_files_are_free(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "1000000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "900000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.stat",
            "anon 1\nfile 700000\ninactive_anon 5\nactive_anon 6\ninactive_file "
            "400000\nactive_file 300000\n");
    expect(1000000, 800000);
}

static void test_used_past_the_limit(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "1000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "5000\n");
    expect(1000, 0);
}

static void test_a_limit_above_the_host_changes_nothing(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "9223372036854771712\n");
    expect(total, available);
}

/* systemd's MemoryHigh= slows down what is above it: no place for a model. */
static void test_the_high_mark_is_a_limit(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "8000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.high", "6000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "1000\n");
    expect(6000, 5000);
}

/* The least of each over all groups: memory.max of app.slice, and what memory.high of user@1000
 * leaves beside what that uses without its file cache. */
static void test_groups_above_groups(void **state)
{
    struct host_memory memory;
    struct err err;

    (void)state;
    assert_int_equal(host_memory_read(recorded_host("cgroup"), &memory, &err), 0);
    assert_int_equal(memory.total_bytes, 30064771072);
    assert_int_equal(memory.available_bytes,
            34359738368 - (34359738368 - 34359738368 / 4 - 34359738368 / 8));
    assert_true(memory.pressure_some_pct < 0);
}

/* Of version 1: the limit of /ai, and what that leaves beside what it and the group below it use
 * without their file cache. */
static void test_groups_of_the_first_version(void **state)
{
    struct host_memory memory;
    struct err err;

    (void)state;
    assert_int_equal(host_memory_read(recorded_host("cgroup-v1"), &memory, &err), 0);
    assert_int_equal(memory.total_bytes, 34359738368);
    assert_int_equal(memory.available_bytes, 34359738368 - 18622709760);
}

/* The path is the host's, the mount shows only the container's own group. */
static void test_container_of_the_first_version(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "4:memory:/docker/0123\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.usage_in_bytes", "2000\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.stat",
            "inactive_file 900\ntotal_inactive_file 400\ntotal_active_file 100\n");
    expect(5000, 3500);
}

/* The root of a container's own hierarchy has limits, which the host's root has not. */
static void test_container_with_a_hierarchy_of_its_own(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory.max", "5000\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory.current", "1000\n");
    expect(5000, 4000);
}

/* A process that was moved from outside sees its group above the root that it has. */
static void test_group_outside_of_the_container(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/../../proc\n");
    scratch_write(&scratch, "proc/memory.max", "1\n");
    scratch_write(&scratch, "memory.max", "1\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory.max", "5000\n");
    expect(5000, 5000);
}

/* The path is the host's, the mount shows only the container's own group. */
static void test_container_with_the_hosts_path(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory.max", "5000\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory.current", "2000\n");
    expect(5000, 3000);
}

/* A threaded group has no memory files: those of the domain above it hold. */
static void test_threaded_group(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box/threads\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/threads/cgroup.type", "threaded\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "6000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "1000\n");
    expect(6000, 5000);
}

static void test_no_group_of_the_second_version(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "4:memory:/box\n1:name=systemd:/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "1000\n");
    expect(total, available);
}

static void test_garbage_in_a_group_limits_nothing(void **state)
{
    (void)state;
    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "-1\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.high", "99999999999999999999999\n");
    expect(total, available);
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "1000\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "\n");
    expect(1000, 1000);
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.current", "900\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.stat",
            "anon 1\ninactive_file 99999999999999999999999\nactive_file x\n");
    expect(1000, 1000);
}

static float pressure(const char *text)
{
    struct host_memory memory;
    struct err err;

    scratch_write(&scratch, "proc/meminfo", meminfo);
    scratch_write(&scratch, "proc/pressure/memory", text);
    assert_int_equal(host_memory_read(scratch.path, &memory, &err), 0);
    return memory.pressure_some_pct;
}

static void test_pressure(void **state)
{
    (void)state;
    assert_float_equal(pressure("some avg10=12.50 avg60=1.00 avg300=0.10 total=9\n"
                                "full avg10=99.00 avg60=1.00 avg300=0.10 total=9\n"),
            12.5, 0.001);
    assert_float_equal(pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"), 0, 0);
    assert_true(pressure("some avg10=nan\n") < 0);
    assert_true(pressure("some avg10=1e9\n") < 0);
    assert_true(pressure("full avg10=1.00\n") < 0);
    assert_true(pressure("") < 0);
}

static void test_huge_numbers(void **state)
{
    struct host_memory memory;
    struct err err;

    (void)state;
    scratch_write(&scratch, "proc/meminfo",
            "MemTotal: 18014398509481983 kB\nMemAvailable: 18014398509481983 kB\n");
    expect(UINT64_MAX - 1023, UINT64_MAX - 1023);
    scratch_write(&scratch, "proc/meminfo", "MemTotal: 18014398509481984 kB\nMemAvailable: 1 kB\n");
    assert_int_equal(host_memory_read(scratch.path, &memory, &err), -ENODATA);
}

static void test_no_numbers(void **state)
{
    struct host_memory memory = {.total_bytes = 7};
    struct err err;

    (void)state;
    assert_int_equal(host_memory_read(scratch.path, &memory, &err), -ENOENT);
    scratch_write(&scratch, "proc/meminfo", "MemTotal: many kB\nMemAvailable: 1 kB\n");
    assert_int_equal(host_memory_read(scratch.path, &memory, &err), -ENODATA);
    assert_non_null(strstr(err.text, "MemTotal"));
    assert_int_equal(memory.total_bytes, 7);
}

static void test_this_host(void **state)
{
    struct host_memory memory;
    struct err err;

    (void)state;
    assert_int_equal(host_memory_read("", &memory, &err), 0);
    assert_true(memory.total_bytes > 0);
    assert_true(memory.available_bytes <= memory.total_bytes);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_host),
            TEST(test_cgroup_limit_of_a_parent),
            TEST(test_cached_files_are_free),
            TEST(test_used_past_the_limit),
            TEST(test_a_limit_above_the_host_changes_nothing),
            TEST(test_the_high_mark_is_a_limit),
            TEST(test_groups_above_groups),
            TEST(test_groups_of_the_first_version),
            TEST(test_container_of_the_first_version),
            TEST(test_container_with_a_hierarchy_of_its_own),
            TEST(test_group_outside_of_the_container),
            TEST(test_container_with_the_hosts_path),
            TEST(test_threaded_group),
            TEST(test_no_group_of_the_second_version),
            TEST(test_garbage_in_a_group_limits_nothing),
            TEST(test_pressure),
            TEST(test_huge_numbers),
            TEST(test_no_numbers),
            TEST(test_this_host),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("host_memory", tests, NULL, NULL);
}
