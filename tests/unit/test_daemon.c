#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/daemon.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    return 0;
}

static int become_a_person(void **state)
{
    clear_environment(state);
    return geteuid() == 0 ? seteuid(NOBODY) : 0;
}

static int become_what_we_were(void **state)
{
    (void)state;
    return seteuid(getuid());
}

static void assert_state_dir(const char *expected)
{
    char dir[128];
    struct err err;
    assert_int_equal(daemon_state_dir("modemesh-node", dir, sizeof(dir), &err), 0);
    assert_string_equal(dir, expected);
}

/* --- the state directory --- */

static void what_systemd_gives_comes_first(void **state)
{
    (void)state;
    setenv("STATE_DIRECTORY", "/var/lib/private/mesh", 1);
    setenv("XDG_STATE_HOME", "/xdg", 1);
    setenv("HOME", "/home/ada", 1);
    assert_state_dir("/var/lib/private/mesh");
    setenv("STATE_DIRECTORY", "/var/lib/first:/var/lib/second", 1);
    assert_state_dir("/var/lib/first");
}

static void a_person_has_it_below_xdg_or_home(void **state)
{
    (void)state;
    setenv("HOME", "/home/ada", 1);
    assert_state_dir("/home/ada/.local/state/modemesh-node");
    setenv("XDG_STATE_HOME", "/xdg", 1);
    assert_state_dir("/xdg/modemesh-node");
}

static void a_path_that_is_not_absolute_counts_as_unset(void **state)
{
    (void)state;
    setenv("HOME", "/home/ada", 1);
    setenv("XDG_STATE_HOME", "xdg", 1);
    setenv("STATE_DIRECTORY", "state", 1);
    assert_state_dir("/home/ada/.local/state/modemesh-node");
    setenv("XDG_STATE_HOME", "", 1);
    setenv("STATE_DIRECTORY", "", 1);
    assert_state_dir("/home/ada/.local/state/modemesh-node");
}

static void without_a_home_it_must_be_named(void **state)
{
    (void)state;
    char dir[128] = "before";
    struct err err;
    assert_int_equal(daemon_state_dir("modemesh-node", dir, sizeof(dir), &err), -ENOENT);
    assert_non_null(strstr(err.text, "--state"));
    setenv("HOME", "not/absolute", 1);
    assert_int_equal(daemon_state_dir("modemesh-node", dir, sizeof(dir), &err), -ENOENT);
    assert_string_equal(dir, "before");
}

static void root_has_it_in_var_lib(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    setenv("HOME", "/root", 1);
    setenv("XDG_STATE_HOME", "/xdg", 1);
    assert_state_dir("/var/lib/modemesh-node");
}

static void a_name_that_does_not_fit_leaves_the_output(void **state)
{
    (void)state;
    static const char dir[] = "/home/ada/.local/state/modemesh-node";
    char buf[sizeof(dir)] = "before";
    struct err err;
    setenv("HOME", "/home/ada", 1);
    assert_int_equal(daemon_state_dir("modemesh-node", buf, sizeof(buf) - 1, &err), -ENAMETOOLONG);
    assert_string_equal(buf, "before");
    assert_int_equal(daemon_state_dir("modemesh-node", buf, sizeof(buf), &err), 0);
    assert_string_equal(buf, dir);
    setenv("STATE_DIRECTORY", dir, 1);
    assert_int_equal(daemon_state_dir("modemesh-node", buf, sizeof(buf) - 1, &err), -ENAMETOOLONG);
    assert_int_equal(daemon_state_dir("modemesh-node", buf, sizeof(buf), &err), 0);
}

static void another_programs_directory_is_not_what_systemd_gave_us(void **state)
{
    (void)state;
    char dir[128];
    setenv("STATE_DIRECTORY", "/var/lib/private/modemesh-node", 1);
    setenv("HOME", "/home/ada", 1);
    assert_int_equal(daemon_other_state_dir("modemesh-coordinator", dir, sizeof(dir), NULL), 0);
    assert_string_equal(dir, "/home/ada/.local/state/modemesh-coordinator");
    setenv("XDG_STATE_HOME", "/xdg", 1);
    assert_int_equal(daemon_other_state_dir("modemesh-coordinator", dir, sizeof(dir), NULL), 0);
    assert_string_equal(dir, "/xdg/modemesh-coordinator");
    assert_state_dir("/var/lib/private/modemesh-node");
}

static void another_programs_directory_needs_a_home_too(void **state)
{
    (void)state;
    char dir[128] = "before";
    struct err err;
    setenv("STATE_DIRECTORY", "/var/lib/private/modemesh-node", 1);
    assert_int_equal(
            daemon_other_state_dir("modemesh-coordinator", dir, sizeof(dir), &err), -ENOENT);
    assert_string_equal(dir, "before");
}

static void roots_other_program_has_it_in_var_lib(void **state)
{
    (void)state;
    char dir[128];
    if (geteuid() != 0)
        skip();
    setenv("STATE_DIRECTORY", "/elsewhere", 1);
    assert_int_equal(daemon_other_state_dir("modemesh-coordinator", dir, sizeof(dir), NULL), 0);
    assert_string_equal(dir, "/var/lib/modemesh-coordinator");
}

/* --- host name --- */

static void a_state_directory_is_made_and_private(void **state)
{
    (void)state;
    struct scratch scratch;
    struct stat st;
    char dir[PATH_MAX], given[PATH_MAX], small[4];
    scratch_init(&scratch);
    snprintf(given, sizeof(given), "%s/of/a/daemon", scratch.path);
    assert_int_equal(daemon_open_state("modemesh-node", given, dir, sizeof(dir), NULL), 0);
    assert_string_equal(dir, given);
    assert_int_equal(stat(given, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(
            daemon_open_state("modemesh-node", given, small, sizeof(small), NULL), -ENAMETOOLONG);
    setenv("STATE_DIRECTORY", given, 1);
    assert_int_equal(daemon_open_state("modemesh-node", NULL, dir, sizeof(dir), NULL), 0);
    assert_string_equal(dir, given);
    scratch_fini(&scratch);
}

static void one_daemon_has_a_state_directory(void **state)
{
    (void)state;
    struct scratch scratch;
    struct err err;
    scratch_init(&scratch);
    int first = daemon_lock_state(scratch.path, &err);
    assert_true(first >= 0);
    assert_int_equal(daemon_lock_state(scratch.path, &err), -EBUSY);
    assert_non_null(strstr(err.text, scratch.path));
    close(first);
    int second = daemon_lock_state(scratch.path, &err);
    assert_true(second >= 0);
    close(second);
    assert_int_equal(daemon_lock_state("/nonexistent", &err), -ENOENT);
    scratch_fini(&scratch);
}

static void assert_host_name(const char *name, const char *expected)
{
    char buf[HOST_NAME_MAX + 1];
    assert_int_equal(sethostname(name, strlen(name)), 0);
    daemon_host_name(buf, sizeof(buf));
    assert_string_equal(buf, expected);
}

static void a_host_name_is_made_fit_for_a_node_name(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWUTS))
        skip();
    assert_host_name("workstation", "workstation");
    assert_host_name("strix-1.lan.example", "strix-1");
    assert_host_name("my_box 2", "my_box-2");
    assert_host_name("b\xc3\xbcro", "b--ro");
    assert_host_name("", "host");
    assert_host_name(".lan", "host");
}

static void a_host_name_is_cut_to_the_size(void **state)
{
    (void)state;
    char whole[HOST_NAME_MAX + 1], cut[3];
    daemon_host_name(whole, sizeof(whole));
    daemon_host_name(cut, sizeof(cut));
    assert_true(strlen(whole) > 0);
    assert_int_equal(strlen(cut), strlen(whole) < 2 ? strlen(whole) : 2);
    assert_memory_equal(cut, whole, strlen(cut));
}

/* --- hardening --- */

static void a_hardened_daemon_leaks_nothing_to_others(void **state)
{
    (void)state;
    struct rlimit limit;
    mode_t before = umask(0);
    daemon_harden();
    assert_int_equal(umask(before), 077);
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_max, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_environment)
#define TEST_AS_PERSON(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, become_a_person, become_what_we_were)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(what_systemd_gives_comes_first),
            TEST_AS_PERSON(a_person_has_it_below_xdg_or_home),
            TEST_AS_PERSON(a_path_that_is_not_absolute_counts_as_unset),
            TEST_AS_PERSON(without_a_home_it_must_be_named),
            TEST(root_has_it_in_var_lib),
            TEST_AS_PERSON(a_name_that_does_not_fit_leaves_the_output),
            TEST_AS_PERSON(another_programs_directory_is_not_what_systemd_gave_us),
            TEST_AS_PERSON(another_programs_directory_needs_a_home_too),
            TEST(roots_other_program_has_it_in_var_lib),
            TEST(a_state_directory_is_made_and_private),
            TEST(one_daemon_has_a_state_directory),
            TEST(a_host_name_is_made_fit_for_a_node_name),
            TEST(a_host_name_is_cut_to_the_size),
            TEST(a_hardened_daemon_leaks_nothing_to_others),
    };
    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
