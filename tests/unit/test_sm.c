#include "common/sm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum door { DOOR_OPEN, DOOR_CLOSED, DOOR_LOCKED, DOOR_COUNT };

static const char *const door_names[] = {"open", "closed", "locked"};
static const uint32_t door_next[] = {
        [DOOR_OPEN] = SM_BIT(DOOR_CLOSED),
        [DOOR_CLOSED] = SM_BIT(DOOR_OPEN) | SM_BIT(DOOR_LOCKED),
        [DOOR_LOCKED] = SM_BIT(DOOR_CLOSED),
};
static const struct sm_def door_def = {
        .name = "door",
        .state_names = door_names,
        .state_count = DOOR_COUNT,
        .next = door_next,
};

static void legal_steps_are_taken(void **state)
{
    (void)state;
    struct sm sm;
    sm_init(&sm, &door_def, DOOR_OPEN);
    assert_string_equal(sm_name(&sm), "open");
    sm_set(&sm, DOOR_CLOSED);
    sm_set(&sm, DOOR_LOCKED);
    assert_int_equal(sm.state, DOOR_LOCKED);
    assert_string_equal(sm_name(&sm), "locked");
    sm_set(&sm, DOOR_CLOSED);
    sm_set(&sm, DOOR_OPEN);
    assert_string_equal(sm_name(&sm), "open");
}

static void the_table_says_what_may_follow(void **state)
{
    (void)state;
    struct sm sm;
    sm_init(&sm, &door_def, DOOR_OPEN);
    assert_true(sm_may(&sm, DOOR_CLOSED));
    assert_false(sm_may(&sm, DOOR_LOCKED));
    assert_false(sm_may(&sm, DOOR_OPEN));
    assert_false(sm_may(&sm, DOOR_COUNT));
    assert_false(sm_may(&sm, UINT32_MAX));
}

static void step_in_child(int stderr_fd, unsigned from, unsigned to)
{
    const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
    struct sm sm;
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    dup2(stderr_fd, STDERR_FILENO);
    sm_init(&sm, &door_def, from);
    sm_set(&sm, to);
    _exit(0);
}

/* Takes the step in a child and asserts that it aborts with `message`. */
static void assert_step_aborts(unsigned from, unsigned to, const char *message)
{
    int fds[2], status;
    char text[256];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        step_in_child(fds[1], from, to);
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, message);
}

static void illegal_steps_abort_with_both_names(void **state)
{
    (void)state;
    assert_step_aborts(DOOR_OPEN, DOOR_LOCKED, "bug: door may not go from open to locked\n");
    assert_step_aborts(DOOR_LOCKED, DOOR_LOCKED, "bug: door may not go from locked to locked\n");
    assert_step_aborts(
            DOOR_CLOSED, DOOR_COUNT, "bug: door may not go from closed to (no such state)\n");
    assert_step_aborts(DOOR_CLOSED, 99, "bug: door may not go from closed to (no such state)\n");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(legal_steps_are_taken),
            cmocka_unit_test(the_table_says_what_may_follow),
            cmocka_unit_test(illegal_steps_abort_with_both_names),
    };
    return cmocka_run_group_tests_name("sm", tests, NULL, NULL);
}
