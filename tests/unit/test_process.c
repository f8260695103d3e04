#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/env.h"
#include "node/hardware/oom_watch.h"
#include "node/process/guard.h"
#include "node/process/process.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 20000 };

struct fixture {
    struct loop loop;
    struct loop_timer *patience, *timer;
    struct process *process;
    const char *awaited_line;
    void (*then)(struct process *process);
    int exits;
    char lines[256]; /* that came, each with a ';' behind it */
    char reason[1024], last_line[PROCESS_LINE_MAX];
};

static void on_exit_of_process(void *ctx, const char *reason)
{
    struct fixture *f = ctx;
    const char *line = process_line(f->process, 0);

    f->exits++;
    snprintf(f->last_line, sizeof(f->last_line), "%s", line ? line : "");
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop);
}

static void on_line(void *ctx, const char *line)
{
    struct fixture *f = ctx;
    size_t len = strlen(f->lines);

    assert_int_equal(f->exits, 0);
    snprintf(f->lines + len, sizeof(f->lines) - len, "%s;", line);
}

static void look_at_last_line(void *ctx)
{
    struct fixture *f = ctx;
    const char *line = process_line(f->process, 0);

    if (!line || strcmp(line, f->awaited_line) != 0)
        return;
    loop_timer_stop(f->timer);
    f->then(f->process);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->timer = loop_timer_create(&f->loop, look_at_last_line, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_timer_destroy(f->timer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static void start_script(struct fixture *f, const char *script, const char *stop)
{
    const char *const command[] = {"sh", "-c", script, NULL};
    const char *const stop_command[] = {"sh", "-c", stop, NULL};
    struct process_spec spec = {.name = "toy",
            .self_path = "/proc/self/exe",
            .command = command,
            .stop_command = stop ? stop_command : NULL,
            .stop_timeout_ms = 5000};

    assert_int_equal(process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, NULL), 0);
    assert_true(process_pid(f->process) > 0);
}

static void when_line(struct fixture *f, const char *line, void (*then)(struct process *process))
{
    f->awaited_line = line;
    f->then = then;
    loop_timer_start(f->timer, 1, 1);
}

static void test_exit_status_and_last_words(void **state)
{
    struct fixture *f = *state;

    start_script(f, "echo one; echo two >&2; echo; echo three; printf four; exit 9", NULL);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "exited with status 9: two | three | four");
    assert_int_equal(f->exits, 1);
}

static void test_nothing_said(void **state)
{
    struct fixture *f = *state;

    start_script(f, "exit 0", NULL);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "exited with status 0");
}

static void kill_guard(struct process *process)
{
    kill((pid_t)process_pid(process), SIGKILL);
}

static void test_signal_is_named(void **state)
{
    struct fixture *f = *state;

    start_script(f, "echo ready; exec sleep 1000", NULL);
    when_line(f, "ready", kill_guard);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "killed by signal 9 (Killed)");
    assert_string_equal(f->last_line, "ready");
}

static void test_last_words_before_a_crash(void **state)
{
    struct fixture *f = *state;

    start_script(f, "echo assertion failed; kill -ABRT $$", NULL);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "killed by signal 6 (Aborted): assertion failed");
}

static char child_pid[32]; /* of what the script has started, as it says */

static void note_child_and_kill_guard(struct process *process)
{
    snprintf(child_pid, sizeof(child_pid), "%s", process_line(process, 1));
    kill_guard(process);
}

/* A dead process has no command line, also where nobody has reaped it yet. */
static bool is_alive(const char *pid)
{
    char path[64], byte;
    FILE *file;
    bool alive;

    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    file = fopen(path, "r");
    alive = file && fread(&byte, 1, 1, file) == 1;
    if (file)
        fclose(file);
    return alive;
}

static void test_killed_guard_leaves_no_grandchild(void **state)
{
    struct fixture *f = *state;

    start_script(f, "sleep 1000 & echo $!; echo ready; wait", NULL);
    when_line(f, "ready", note_child_and_kill_guard);
    loop_run(&f->loop);
    assert_true(atoi(child_pid) > 1);
    assert_false(is_alive(child_pid));
}

static void stop_twice(struct process *process)
{
    process_stop(process);
    process_stop(process);
}

static void test_stop(void **state)
{
    struct fixture *f = *state;

    start_script(f, "trap 'echo bye; exit 5' TERM; sleep 1000 & echo ready; wait", NULL);
    when_line(f, "ready", stop_twice);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "exited with status 5: ready | bye");
}

static void test_stop_command(void **state)
{
    struct fixture *f = *state;

    start_script(f, "echo ready; exec sleep 1000", "exit 1");
    when_line(f, "ready", stop_twice);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "killed by signal 15 (Terminated)");
    assert_non_null(strstr(f->last_line, "stop command sh failed"));
}

/* What the kernel would count is counted by a script, to which `way` is the end. */
static void end_by(struct fixture *f, const char *way, const char *stop, const char *count)
{
    struct scratch scratch;
    struct oom_watch watch;
    char script[PATH_MAX + 128];
    const char *const command[] = {"sh", "-c", script, NULL};
    const char *const stop_command[] = {"sh", "-c", stop, NULL};
    struct process_spec spec = {.name = "toy",
            .self_path = "/proc/self/exe",
            .command = command,
            .stop_command = stop ? stop_command : NULL,
            .stop_timeout_ms = 5000,
            .oom_watch = &watch};

    scratch_init(&scratch);
    scratch_write(&scratch, "proc/self/cgroup", "0::/box\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.max", "2147483648\n");
    scratch_write(&scratch, "sys/fs/cgroup/box/memory.events", "oom_kill 3\n");
    scratch_write(&scratch, "proc/vmstat", "\noom_kill 5\n");
    oom_watch_init(&watch, scratch.path, &env_system);
    snprintf(script, sizeof(script), "cd %s && %s; echo last words; %s", scratch.path, count, way);
    assert_int_equal(process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, NULL), 0);
    loop_run(&f->loop);
    scratch_fini(&scratch);
}

#define IN_GROUP "echo oom_kill 4 > sys/fs/cgroup/box/memory.events"
#define ON_HOST  "printf '\\noom_kill 6\\n' > proc/vmstat"

static void test_killed_for_want_of_memory(void **state)
{
    struct fixture *f = *state;
    const char *want = "killed by the kernel for want of memory (memory cgroup /box, "
                       "limit 2.0 GiB)";

    end_by(f, "kill -9 $$", NULL, IN_GROUP);
    assert_string_equal(f->reason, want);
    end_by(f, "exit 137", NULL, IN_GROUP);
    assert_string_equal(f->reason, want);
    /* A container is in a group of its own. */
    end_by(f, "exit 137", "true", ON_HOST);
    assert_non_null(strstr(f->reason, "probably by the kernel"));
}

static void test_killed_for_another_reason(void **state)
{
    struct fixture *f = *state;

    end_by(f, "kill -9 $$", NULL, "true");
    assert_string_equal(f->reason, "killed by signal 9 (Killed)");
    end_by(f, "kill -9 $$", NULL, ON_HOST);
    assert_string_equal(f->reason, "killed by signal 9 (Killed)");
    end_by(f, "exit 137", NULL, "true");
    assert_string_equal(f->reason, "exited with status 137: last words");
    end_by(f, "exit 9", NULL, IN_GROUP);
    assert_string_equal(f->reason, "exited with status 9: last words");
}

static void test_command_that_cannot_run(void **state)
{
    static const char *const command[] = {"/nonexistent/engine", NULL};
    struct process_spec spec = {.name = "toy", .self_path = "/proc/self/exe", .command = command};
    struct fixture *f = *state;

    assert_int_equal(process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, NULL), 0);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "the engine's command /nonexistent/engine cannot be run: "
                                   "No such file or directory; install it, or set engine.command");
}

static void test_guard_that_cannot_run(void **state)
{
    static const char *const command[] = {"true", NULL};
    struct process_spec spec = {
            .name = "toy", .self_path = "/nonexistent/node", .command = command};
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(
            process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/node"));
    assert_int_equal(f->exits, 0);
}

static void test_empty_command_is_refused(void **state)
{
    static const char *const command[] = {NULL};
    struct process_spec spec = {.name = "toy", .self_path = "/proc/self/exe", .command = command};
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(
            process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, &err), -EINVAL);
}

static void look_at_lines(struct process *process)
{
    char line[PROCESS_LINE_MAX + 1] = {0};

    assert_string_equal(process_line(process, 1), "99");
    assert_string_equal(process_line(process, 2), "98");
    assert_non_null(process_line(process, LAST_WORDS_KEPT - 1));
    assert_null(process_line(process, LAST_WORDS_KEPT));
    memset(line, 'x', PROCESS_LINE_MAX - 1);
    assert_string_equal(process_line(process, 3), line);
    process_stop(process);
}

static void test_lines_are_bounded(void **state)
{
    struct fixture *f = *state;

    start_script(f,
            "i=0; while [ $i -lt 98 ]; do echo $i; i=$((i+1)); done;"
            "head -c 100000 /dev/zero | tr '\\0' x; echo; echo 98; echo 99; echo ready; exec sleep "
            "1000",
            NULL);
    when_line(f, "ready", look_at_lines);
    loop_run(&f->loop);
    assert_string_equal(f->last_line, "ready");
}

static void test_lines_hold_printable_ascii_only(void **state)
{
    struct fixture *f = *state;

    start_script(f, "printf 'a\\033[1mb\\303\\244\\000c\\n'", NULL);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "exited with status 0: a?[1mb???c");
}

static void start_with(struct fixture *f, const char *script, const char *const *variables)
{
    const char *const command[] = {"sh", "-c", script, NULL};
    struct process_spec spec = {.name = "toy",
            .self_path = "/proc/self/exe",
            .command = command,
            .variables = variables,
            .on_line = on_line,
            .stop_timeout_ms = 5000};

    assert_int_equal(process_start(&f->loop, &spec, on_exit_of_process, f, &f->process, NULL), 0);
}

static void test_lines_are_handed_on(void **state)
{
    struct fixture *f = *state;

    start_with(f, "echo one; echo; echo two >&2; printf three", NULL);
    loop_run(&f->loop);
    assert_string_equal(f->lines, "one;two;three;");
}

static void test_variables_of_its_own(void **state)
{
    static const char *const variables[] = {"TOY_NEW=a b", "TOY_SET=ours", NULL};
    struct fixture *f = *state;

    setenv("TOY_SET", "theirs", 1);
    setenv("TOY_NEWER", "x", 1); /* a longer name is another one */
    start_with(f, "echo $TOY_NEW $TOY_SET $TOY_NEWER; test -n \"$PATH\" && echo path", variables);
    loop_run(&f->loop);
    unsetenv("TOY_SET");
    unsetenv("TOY_NEWER");
    assert_string_equal(f->lines, "a b theirs x;path;");
    assert_null(getenv("TOY_NEW"));
}

static void test_errors_are_the_reason(void **state)
{
    struct fixture *f = *state;

    start_script(f,
            "echo 0.1 E the cause; echo 0.2 I busy; echo 0.3 E the end; echo 0.4 I bye; exit 1",
            NULL);
    loop_run(&f->loop);
    assert_string_equal(f->reason, "exited with status 1: the cause | the end");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "guard") == 0)
        return guard_main(argc - 1, argv + 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_exit_status_and_last_words),
            TEST(test_nothing_said),
            TEST(test_signal_is_named),
            TEST(test_last_words_before_a_crash),
            TEST(test_killed_guard_leaves_no_grandchild),
            TEST(test_stop),
            TEST(test_stop_command),
            TEST(test_killed_for_want_of_memory),
            TEST(test_killed_for_another_reason),
            TEST(test_command_that_cannot_run),
            TEST(test_guard_that_cannot_run),
            TEST(test_empty_command_is_refused),
            TEST(test_lines_are_bounded),
            TEST(test_lines_hold_printable_ascii_only),
            TEST(test_lines_are_handed_on),
            TEST(test_variables_of_its_own),
            TEST(test_errors_are_the_reason),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
