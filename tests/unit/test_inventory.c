#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/inventory.h"
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
    struct inventory inventory;
    struct err err;

    assert_int_equal(inventory_read(scratch.path, &inventory, &err), 0);
    assert_int_equal(inventory.memory_total_bytes, want_total);
    assert_int_equal(inventory.memory_available_bytes, want_available);
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

static void test_no_numbers(void **state)
{
    struct inventory inventory = {.memory_total_bytes = 7};
    struct err err;

    (void)state;
    assert_int_equal(inventory_read(scratch.path, &inventory, &err), -ENOENT);
    scratch_write(&scratch, "proc/meminfo", "MemTotal: many kB\nMemAvailable: 1 kB\n");
    assert_int_equal(inventory_read(scratch.path, &inventory, &err), -ENODATA);
    assert_non_null(strstr(err.text, "MemTotal"));
    assert_int_equal(inventory.memory_total_bytes, 7);
}

static void test_this_host(void **state)
{
    struct inventory inventory;
    struct err err;

    (void)state;
    assert_int_equal(inventory_read("", &inventory, &err), 0);
    assert_true(inventory.memory_total_bytes > 0);
    assert_true(inventory.memory_available_bytes <= inventory.memory_total_bytes);
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
            TEST(test_no_numbers),
            TEST(test_this_host),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
