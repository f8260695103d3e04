#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/oom_watch.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <stdio.h>
#include <string.h>

static const char meminfo[] = "MemTotal: 25165824 kB\nMemAvailable: 1048576 kB\n";

struct fixture {
    struct virtual_env world;
    struct scratch scratch;
    struct oom_watch watch;
    char text[256];
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    virtual_env_init(&f.world);
    scratch_init(&f.scratch);
    scratch_write(&f.scratch, "proc/meminfo", meminfo);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&f.scratch);
    return 0;
}

static void group_of(const char *lines)
{
    scratch_write(&f.scratch, "proc/self/cgroup", lines);
}

static void write_count(const char *file, const char *before, unsigned count)
{
    char text[128];

    (void)snprintf(text, sizeof text, "%soom_kill %u\n", before, count);
    scratch_write(&f.scratch, file, text);
}

static void v2_kills(unsigned count)
{
    write_count("sys/fs/cgroup/box/memory.events", "low 0\nhigh 0\nmax 9\noom 9\n", count);
}

static void v1_kills(unsigned count)
{
    write_count("sys/fs/cgroup/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\n",
            count);
}

static void host_kills(unsigned count)
{
    write_count("proc/vmstat", "nr_free_pages 3\ndrop_slab 0\n", count);
}

static void begin(void)
{
    oom_watch_init(&f.watch, f.scratch.path, &f.world.env);
}

static bool explain(bool in_our_group)
{
    memset(f.text, 0, sizeof f.text);
    return oom_watch_explain(&f.watch, in_our_group, f.text, sizeof f.text);
}

static void test_group_of_version_2(void **state)
{
    (void)state;
    group_of("0::/box\n");
    scratch_write(&f.scratch, "sys/fs/cgroup/box/memory.max", "2147483648\n");
    v2_kills(4);
    begin();
    assert_false(explain(true));
    assert_string_equal(f.text, "");
    v2_kills(5);
    assert_true(explain(true));
    assert_string_equal(
            f.text, "killed by the kernel for want of memory (memory cgroup /box, limit 2.0 GiB)");
}

/* The lowest limit is of the group above. */
static void test_group_of_version_1(void **state)
{
    (void)state;
    group_of("4:memory:/box\n0::/\n");
    scratch_write(
            &f.scratch, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    scratch_write(&f.scratch, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1610612736\n");
    v1_kills(0);
    begin();
    assert_false(explain(true));
    v1_kills(1);
    assert_true(explain(true));
    assert_string_equal(
            f.text, "killed by the kernel for want of memory (memory cgroup /, limit 1.5 GiB)");
}

static void test_a_group_without_a_limit(void **state)
{
    (void)state;
    group_of("0::/box\n");
    v2_kills(0);
    begin();
    v2_kills(1);
    assert_true(explain(true));
    assert_string_equal(f.text, "killed by the kernel for want of memory (this host has 24.0 GiB)");
    scratch_write(&f.scratch, "proc/meminfo", "");
    assert_true(explain(true));
    assert_non_null(strstr(f.text, "want of memory"));
}

/* A kill that was seen stays the reason for a while, as an engine needs time to end. */
static void test_an_old_kill_explains_nothing(void **state)
{
    (void)state;
    group_of("0::/box\n");
    v2_kills(1);
    begin();
    v2_kills(2);
    oom_watch_look(&f.watch);
    virtual_env_advance_ms(&f.world, OOM_WATCH_RECENT_MS - 1);
    assert_true(explain(true));
    virtual_env_advance_ms(&f.world, 1);
    assert_false(explain(true));
    v2_kills(3);
    assert_true(explain(true));
}

/* Others on the host are no matter of a process in our group, but of one in a container. */
static void test_elsewhere(void **state)
{
    (void)state;
    group_of("0::/box\n");
    v2_kills(0);
    host_kills(7);
    begin();
    assert_false(explain(false));
    host_kills(8);
    assert_false(explain(true));
    assert_true(explain(false));
    assert_non_null(strstr(f.text, "probably by the kernel"));
}

static void test_no_group_has_a_count(void **state)
{
    (void)state;
    group_of("0::/\n");
    host_kills(0);
    begin();
    assert_false(explain(true));
    host_kills(1);
    assert_true(explain(true));
    assert_non_null(strstr(f.text, "probably by the kernel"));
}

/* In a container the path may be the host's: the root of the mount is the group. */
static void test_path_of_the_host(void **state)
{
    (void)state;
    group_of("4:memory:/docker/0123\n");
    write_count("sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 0);
    begin();
    write_count("sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 1);
    assert_true(explain(true));
}

/* A count that appears, goes or begins again has not risen. */
static void test_counts_that_come_and_go(void **state)
{
    (void)state;
    begin();
    assert_false(explain(true));
    host_kills(9);
    assert_false(explain(true));
    group_of("0::/box\n");
    v2_kills(5);
    assert_false(explain(true));
    v2_kills(2);
    assert_false(explain(true));
    scratch_write(&f.scratch, "sys/fs/cgroup/box/memory.events", "");
    assert_false(explain(true));
    v2_kills(6);
    assert_false(explain(true));
    v2_kills(7);
    assert_true(explain(true));
}

static void test_strange_names(void **state)
{
    char lines[512];

    (void)state;
    group_of("0::/b\xc3\xbcx\x01\n");
    scratch_write(&f.scratch, "sys/fs/cgroup/b\xc3\xbcx\x01/memory.max", "1048576\n");
    write_count("sys/fs/cgroup/b\xc3\xbcx\x01/memory.events", "oom 1\n", 0);
    begin();
    write_count("sys/fs/cgroup/b\xc3\xbcx\x01/memory.events", "oom 1\n", 1);
    assert_true(explain(true));
    assert_non_null(strstr(f.text, "memory cgroup /b??x?, limit 1.0 MiB"));

    (void)snprintf(lines, sizeof lines, "0::/%0200d/%0200d\n", 0, 0);
    group_of(lines);
    scratch_write(&f.scratch, "sys/fs/cgroup/memory.max", "1048576\n");
    write_count("sys/fs/cgroup/memory.events", "oom 1\n", 2);
    assert_true(explain(true));
    assert_true(strlen(f.text) < sizeof f.text - 1);
    assert_non_null(strstr(f.text, ", limit 1.0 MiB)"));
}

static void test_recorded_hosts(void **state)
{
    (void)state;
    oom_watch_init(&f.watch, recorded_host("cgroup-v1"), &f.world.env);
    assert_true(f.watch.group.known && f.watch.host.known);
    assert_int_equal(f.watch.group.value, 3);
    assert_int_equal(f.watch.host.value, 5);
    oom_watch_init(&f.watch, recorded_host("cgroup"), &f.world.env);
    assert_true(f.watch.group.known && f.watch.host.known);
    assert_int_equal(f.watch.group.value, 3);
    assert_int_equal(f.watch.host.value, 5);
    assert_false(explain(true));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_group_of_version_2),
            TEST(test_group_of_version_1),
            TEST(test_a_group_without_a_limit),
            TEST(test_an_old_kill_explains_nothing),
            TEST(test_elsewhere),
            TEST(test_no_group_has_a_count),
            TEST(test_path_of_the_host),
            TEST(test_counts_that_come_and_go),
            TEST(test_strange_names),
            TEST(test_recorded_hosts),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("oom_watch", tests, NULL, NULL);
}
