#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/cgroup.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t gib = 1024 * 1024 * 1024, mib = 1024 * 1024;

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

static int own_of(const char *lines, struct cgroup *group)
{
    scratch_write(&scratch, "proc/self/cgroup", lines);
    return cgroup_own(scratch.path, group);
}

static void expect_own(const char *lines, enum cgroup_version version, const char *path)
{
    struct cgroup group;

    assert_int_equal(own_of(lines, &group), 0);
    assert_int_equal(group.version, version);
    assert_string_equal(cgroup_path(&group), path);
}

static void test_own_group(void **state)
{
    (void)state;
    expect_own("0::/box/node\n", CGROUP_V2, "/box/node");
    expect_own("0::/", CGROUP_V2, "/");
    expect_own("4:memory:/box\n", CGROUP_V1, "/box");
    expect_own("4:cpu,memory,hugetlb:/box\n", CGROUP_V1, "/box");
    expect_own("4:memory:/a:b\n", CGROUP_V1, "/a:b");
    /* Whichever comes first. */
    expect_own("4:memory:/one\n1:name=systemd:/x\n0::/two\n", CGROUP_V1, "/one");
    expect_own("0::/two\n4:memory:/one\n", CGROUP_V1, "/one");
    /* Other controllers, whatever they are called. */
    expect_own("9:memory2:/x\n8:mem:/x\n7:cpu,cpuset:/x\n0::/two\n", CGROUP_V2, "/two");
    /* Above what is mounted here. */
    expect_own("4:memory:/../..\n", CGROUP_V1, "/");
    expect_own("0::/../proc\n", CGROUP_V2, "/");
}

static void test_no_group(void **state)
{
    struct cgroup group;
    char longest[PATH_MAX + 8];

    (void)state;
    assert_int_equal(cgroup_own(scratch.path, &group), -ENOENT);
    assert_int_equal(own_of("", &group), -ENOENT);
    assert_int_equal(own_of("4:cpu:/box\n1:name=systemd:/x\n", &group), -ENOENT);
    assert_int_equal(own_of("memory\n:\n::\n0::\n0::box\n4:memory:\n4:memory\n", &group), -ENOENT);
    (void)snprintf(longest, sizeof longest, "0::/%0*d\n", PATH_MAX, 0);
    assert_int_equal(own_of(longest, &group), -ENAMETOOLONG);
}

static void test_climb(void **state)
{
    struct cgroup group;

    (void)state;
    assert_int_equal(own_of("4:memory:/a/b\n", &group), 0);
    assert_true(cgroup_climb(&group));
    assert_string_equal(cgroup_path(&group), "/a");
    assert_true(cgroup_climb(&group));
    assert_string_equal(cgroup_path(&group), "/");
    assert_false(cgroup_climb(&group));
    assert_string_equal(cgroup_path(&group), "/");
    assert_int_equal(own_of("0::/\n", &group), 0);
    assert_false(cgroup_climb(&group));
}

static void test_recorded_v1(void **state)
{
    struct cgroup group;
    uint64_t kills = 99;

    (void)state;
    assert_int_equal(cgroup_own(recorded_host("cgroup-v1"), &group), 0);
    assert_int_equal(group.version, CGROUP_V1);
    assert_string_equal(cgroup_path(&group), "/ai/modemesh");
    assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    assert_int_equal(cgroup_high_bytes(&group), UINT64_MAX);
    assert_int_equal(cgroup_used_bytes(&group), 15 * gib + 40 * mib);
    assert_int_equal(cgroup_oom_kills(&group, &kills), 0);
    assert_int_equal(kills, 3);

    assert_true(cgroup_climb(&group));
    assert_int_equal(cgroup_limit_bytes(&group), 32 * gib);
    /* With the groups below, and what is in no file: a quarter of a GiB is of tmpfs. */
    assert_int_equal(cgroup_used_bytes(&group), 17 * gib + gib / 4 + 96 * mib);
    assert_int_equal(cgroup_oom_kills(&group, &kills), 0);
    assert_int_equal(kills, 0);

    assert_true(cgroup_climb(&group));
    assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    assert_false(cgroup_climb(&group));
}

static void test_recorded_v2(void **state)
{
    struct cgroup group;
    uint64_t kills = 99;

    (void)state;
    assert_int_equal(cgroup_own(recorded_host("cgroup"), &group), 0);
    assert_int_equal(group.version, CGROUP_V2);
    assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    assert_int_equal(cgroup_oom_kills(&group, &kills), 0);
    assert_int_equal(kills, 3);
    assert_true(cgroup_climb(&group));
    assert_int_equal(cgroup_limit_bytes(&group), 28 * gib);
    assert_int_equal(cgroup_oom_kills(&group, &kills), 0);
    assert_int_equal(kills, 4);
    assert_true(cgroup_climb(&group));
    assert_int_equal(cgroup_high_bytes(&group), 32 * gib);
    assert_true(cgroup_climb(&group));
    assert_true(cgroup_climb(&group));
    assert_true(cgroup_climb(&group));
    assert_string_equal(cgroup_path(&group), "/");
    assert_true(cgroup_oom_kills(&group, &kills) < 0);
}

/* Pages of 4, 16 and 64 KiB. */
static void test_no_limit_of_version_1(void **state)
{
    static const char *const none[] = {"9223372036854771712", "9223372036854759424",
            "9223372036854710272", "18446744073709551615"};
    struct cgroup group;

    (void)state;
    assert_int_equal(own_of("4:memory:/\n", &group), 0);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        scratch_write(&scratch, "sys/fs/cgroup/memory/memory.limit_in_bytes", none[i]);
        assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    }
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    assert_int_equal(cgroup_limit_bytes(&group), 4096);
}

static void test_bad_files(void **state)
{
    struct cgroup group;
    uint64_t kills = 7;

    (void)state;
    assert_int_equal(own_of("4:memory:/\n", &group), 0);
    assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    assert_int_equal(cgroup_used_bytes(&group), 0);
    assert_int_equal(cgroup_oom_kills(&group, &kills), -ENOENT);
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.limit_in_bytes", "-1\n");
    assert_int_equal(cgroup_limit_bytes(&group), UINT64_MAX);
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.stat",
            "inactive_file 4000\ntotal_inactive_file 1000\ntotal_active_file\n");
    assert_int_equal(cgroup_used_bytes(&group), 4000);
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.stat",
            "total_inactive_file 3000\ntotal_active_file 3000\n");
    assert_int_equal(cgroup_used_bytes(&group), 0);
    /* A kernel before 4.13 does not count. */
    scratch_write(&scratch, "sys/fs/cgroup/memory/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\n");
    assert_int_equal(cgroup_oom_kills(&group, &kills), -ENODATA);
    assert_int_equal(kills, 7);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_own_group),
            TEST(test_no_group),
            TEST(test_climb),
            TEST(test_recorded_v1),
            TEST(test_recorded_v2),
            TEST(test_no_limit_of_version_1),
            TEST(test_bad_files),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
