#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/process/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, TEXT_MAX = 4096 };

/* An engine that leaves behind what engines leave: a child, a child in a session of its own, and an
 * orphan that does not listen to SIGTERM. */
static const char with_family[] = "sleep 1000 & setsid sleep 1000 & "
                                  "setsid sh -c 'trap \"\" TERM; sleep 1000 & echo ready; wait' & "
                                  "wait";

/* What the next guard is told to remove; NULL: nothing. */
static const char *socket_path;

static const char *niceness; /* of the next engine; NULL: as ours */

struct guarded {
    pid_t guard;
    int output; /* of the guard and of all below it: at its end when none of them is left */
    char text[TEXT_MAX];
    size_t len;
};

static void run_guard(
        pid_t parent, int output, const char *timeout, const char *stop, const char *script)
{
    char parent_text[24];
    const char *words[24] = {
            "test", "guard", "--parent", parent_text, "--stop-timeout-ms", timeout};
    int n = 6;

    snprintf(parent_text, sizeof(parent_text), "%d", (int)parent);
    if (stop) {
        const char *stop_words[] = {"--stop", "sh", "--stop", "-c", "--stop", stop};

        memcpy(words + n, stop_words, sizeof(stop_words));
        n += 6;
    }
    if (socket_path) {
        words[n++] = "--socket";
        words[n++] = socket_path;
    }
    if (niceness) {
        words[n++] = "--nice";
        words[n++] = niceness;
    }
    words[n++] = "--";
    words[n++] = script ? "sh" : "/nonexistent/engine";
    words[n++] = script ? "-c" : NULL;
    words[n++] = script;
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv("/proc/self/exe", (char **)(uintptr_t)words);
    _exit(99);
}

static struct guarded guard_start(const char *timeout, const char *stop, const char *script)
{
    struct guarded guarded = {0};
    pid_t parent = getpid();
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    guarded.guard = fork();
    assert_true(guarded.guard >= 0);
    if (guarded.guard == 0)
        run_guard(parent, fds[1], timeout, stop, script);
    close(fds[1]);
    guarded.output = fds[0];
    return guarded;
}

/* Reads until `word` has come, or to the end where it is NULL. */
static void read_until(struct guarded *guarded, const char *word)
{
    struct pollfd watch = {.fd = guarded->output, .events = POLLIN};

    while (!word || !strstr(guarded->text, word)) {
        ssize_t n;

        assert_int_equal(poll(&watch, 1, PATIENCE_MS), 1);
        n = read(guarded->output, guarded->text + guarded->len, TEXT_MAX - 1 - guarded->len);
        assert_true(n >= 0);
        if (n == 0)
            break;
        guarded->len += (size_t)n;
    }
    assert_true(!word || strstr(guarded->text, word));
}

/* Nobody is left, and the guard's status. */
static int guard_end(struct guarded *guarded)
{
    int status;

    read_until(guarded, NULL);
    close(guarded->output);
    assert_int_equal(waitpid(guarded->guard, &status, 0), guarded->guard);
    return status;
}

static void assert_exit(int status, int expected)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void assert_signal(int status, int expected)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), expected);
}

static void test_exit_status_goes_through(void **state)
{
    struct guarded guarded = guard_start("1000", NULL, "echo hello; exit 7");

    (void)state;
    assert_exit(guard_end(&guarded), 7);
    assert_string_equal(guarded.text, "hello\n");
}

static void test_the_engine_stands_back(void **state)
{
    struct guarded guarded;
    char expected[16];
    int ours;

    (void)state;
    niceness = "7";
    guarded = guard_start("1000", NULL, "nice");
    niceness = NULL;
    assert_exit(guard_end(&guarded), 0);
    ours = getpriority(PRIO_PROCESS, 0);
    snprintf(expected, sizeof(expected), "%d\n", ours > 12 ? 19 : ours + 7);
    assert_string_equal(guarded.text, expected);
}

/* Else its niceness would count among the processes of its own session only. */
static void test_the_engines_session_stands_back(void **state)
{
    struct guarded guarded;

    (void)state;
    if (access("/proc/self/autogroup", W_OK) < 0)
        skip();
    niceness = "7";
    guarded = guard_start("1000", NULL, "cat /proc/self/autogroup");
    niceness = NULL;
    assert_exit(guard_end(&guarded), 0);
    assert_non_null(strstr(guarded.text, " nice 7\n"));
    guarded = guard_start("1000", NULL, "cat /proc/self/autogroup");
    assert_exit(guard_end(&guarded), 0);
    assert_non_null(strstr(guarded.text, " nice 0\n"));
}

static void test_signal_goes_through(void **state)
{
    struct guarded guarded = guard_start("1000", NULL, "ulimit -c 0; kill -SEGV $$");

    (void)state;
    assert_signal(guard_end(&guarded), SIGSEGV);
}

static void test_missing_command_is_said(void **state)
{
    struct guarded guarded = guard_start("1000", NULL, NULL);

    (void)state;
    assert_exit(guard_end(&guarded), 127);
    assert_non_null(
            strstr(guarded.text, "/nonexistent/engine cannot be run: No such file or directory"));
}

static void test_wrong_words_are_refused(void **state)
{
    char *none[] = {"guard", NULL};
    char *no_command[] = {"guard", "--parent", "1", "--", NULL};
    char *no_parent[] = {"guard", "--", "true", NULL};
    char *bad_number[] = {"guard", "--parent", "12x", "--", "true", NULL};
    char *too_nice[] = {"guard", "--parent", "1", "--nice", "20", "--", "true", NULL};
    char *unknown[] = {"guard", "--what", "1", "--", "true", NULL};

    (void)state;
    assert_int_equal(guard_main(1, none), 125);
    assert_int_equal(guard_main(4, no_command), 125);
    assert_int_equal(guard_main(3, no_parent), 125);
    assert_int_equal(guard_main(5, bad_number), 125);
    assert_int_equal(guard_main(7, too_nice), 125);
    assert_int_equal(guard_main(5, unknown), 125);
}

static void test_sigterm_ends_the_whole_family(void **state)
{
    struct guarded guarded = guard_start("5000", NULL, with_family);

    (void)state;
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGTERM);
    assert_signal(guard_end(&guarded), SIGTERM);
}

static void test_engine_that_ends_takes_its_family_along(void **state)
{
    struct guarded guarded = guard_start("5000", NULL,
            "setsid sh -c 'trap \"\" TERM; sleep 1000 & echo ready; wait' & read -r x < /dev/null; "
            "exit 3");

    (void)state;
    assert_exit(guard_end(&guarded), 3);
}

static void test_sigkill_after_the_timeout(void **state)
{
    struct guarded guarded =
            guard_start("50", NULL, "trap '' TERM; echo ready; while :; do sleep 1000; done");

    (void)state;
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGTERM);
    assert_signal(guard_end(&guarded), SIGKILL);
}

/* The node between us and the guard, which the test kills. */
static pid_t start_node(struct guarded *guarded)
{
    int fds[2];
    pid_t node;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    node = fork();
    if (node == 0) {
        pid_t self = getpid();

        if (fork() == 0)
            run_guard(self, fds[1], "5000", NULL, with_family);
        close(fds[1]);
        pause();
        _exit(0);
    }
    close(fds[1]);
    guarded->output = fds[0];
    return node;
}

static void test_sigkill_of_the_node_leaves_nothing(void **state)
{
    struct guarded guarded = {0};
    pid_t node = start_node(&guarded);

    (void)state;
    read_until(&guarded, "ready");
    kill(node, SIGKILL);
    guarded.guard = node;
    assert_signal(guard_end(&guarded), SIGKILL);
}

static void test_sigkill_of_the_guard_kills_the_engine(void **state)
{
    struct guarded guarded =
            guard_start("5000", NULL, "trap '' TERM HUP; echo ready; exec sleep 1000");

    (void)state;
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGKILL);
    assert_signal(guard_end(&guarded), SIGKILL);
}

/* A folder of its own with one file, which stands for the engine's socket. */
static void make_socket_file(char dir[64], char path[96])
{
    FILE *file;

    snprintf(dir, 64, "/tmp/test_guard-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, 96, "%s/engine.sock", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    socket_path = path;
}

/* Nor does it leave the directory of a node that died while the guard was being started. */
static void test_dead_parent_starts_nothing(void **state)
{
    struct guarded guarded = {0};
    char dir[64], path[96];
    int fds[2];

    (void)state;
    make_socket_file(dir, path);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    guarded.guard = fork();
    if (guarded.guard == 0)
        run_guard(getpid(), fds[1], "1000", NULL, "echo started"); /* it is not its own parent */
    socket_path = NULL;
    close(fds[1]);
    guarded.output = fds[0];
    assert_exit(guard_end(&guarded), 125);
    assert_null(strstr(guarded.text, "started"));
    assert_int_equal(access(dir, F_OK), -1);
}

static void test_socket_goes_with_the_engine(void **state)
{
    char dir[64], path[96];
    struct guarded guarded;

    (void)state;
    make_socket_file(dir, path);
    guarded = guard_start("1000", NULL, "exit 4");
    socket_path = NULL;
    assert_exit(guard_end(&guarded), 4);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(dir), 0); /* the living node's directory stays */
}

static void test_directory_goes_with_the_node(void **state)
{
    char dir[64], path[96];
    struct guarded guarded = {0};
    pid_t node;

    (void)state;
    make_socket_file(dir, path);
    node = start_node(&guarded);
    socket_path = NULL;
    read_until(&guarded, "ready");
    kill(node, SIGKILL);
    guarded.guard = node;
    assert_signal(guard_end(&guarded), SIGKILL);
    assert_int_equal(access(dir, F_OK), -1);
}

struct folder {
    char dir[64], file[80], stop[128], script[512];
};

static int setup_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    assert_non_null(folder);
    strcpy(folder->dir, "/tmp/guard-XXXXXX");
    assert_non_null(mkdtemp(folder->dir));
    snprintf(folder->file, sizeof(folder->file), "%s/stopped", folder->dir);
    snprintf(folder->stop, sizeof(folder->stop), "echo yes >> %s", folder->file);
    *state = folder;
    return 0;
}

static int teardown_folder(void **state)
{
    struct folder *folder = *state;

    unlink(folder->file);
    rmdir(folder->dir);
    free(folder);
    return 0;
}

static off_t size_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

    if (fd >= 0)
        close(fd);
    return size;
}

static void test_stop_command_runs_before_sigterm(void **state)
{
    struct folder *folder = *state;
    struct guarded guarded;

    snprintf(folder->script, sizeof(folder->script),
            "trap 'test -e %s && exit 42; exit 43' TERM; sleep 1000 & echo ready; wait",
            folder->file);
    guarded = guard_start("5000", folder->stop, folder->script);
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGTERM);
    kill(guarded.guard, SIGTERM);
    assert_exit(guard_end(&guarded), 42);
    assert_int_equal(size_of(folder->file), strlen("yes\n"));
}

static void test_stop_command_runs_when_the_engine_dies(void **state)
{
    struct folder *folder = *state;
    struct guarded guarded = guard_start("5000", folder->stop, "exit 3");

    assert_exit(guard_end(&guarded), 3);
    assert_int_equal(size_of(folder->file), strlen("yes\n"));
}

static void test_stop_command_that_hangs_is_killed(void **state)
{
    struct guarded guarded = guard_start("50", "sleep 1000", "echo ready; exec sleep 1000");

    (void)state;
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGTERM);
    assert_signal(guard_end(&guarded), SIGKILL);
}

static void test_stop_command_that_fails_is_said(void **state)
{
    struct guarded guarded = guard_start("5000", "exit 1", "echo ready; exec sleep 1000");

    (void)state;
    read_until(&guarded, "ready");
    kill(guarded.guard, SIGTERM);
    assert_signal(guard_end(&guarded), SIGTERM);
    assert_non_null(strstr(guarded.text, "stop command sh failed"));
}

static void test_inherited_descriptors_are_closed(void **state)
{
    int fd = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
    char script[128];
    struct guarded guarded;

    (void)state;
    assert_true(fd > STDERR_FILENO);
    snprintf(script, sizeof(script), "test -e /proc/self/fd/%d && exit 1; exit 0", fd);
    guarded = guard_start("5000", NULL, script);
    close(fd);
    assert_exit(guard_end(&guarded), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "guard") == 0)
        return guard_main(argc - 1, argv + 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_exit_status_goes_through),
            cmocka_unit_test(test_the_engine_stands_back),
            cmocka_unit_test(test_the_engines_session_stands_back),
            cmocka_unit_test(test_signal_goes_through),
            cmocka_unit_test(test_missing_command_is_said),
            cmocka_unit_test(test_wrong_words_are_refused),
            cmocka_unit_test(test_dead_parent_starts_nothing),
            cmocka_unit_test(test_sigterm_ends_the_whole_family),
            cmocka_unit_test(test_engine_that_ends_takes_its_family_along),
            cmocka_unit_test(test_sigkill_after_the_timeout),
            cmocka_unit_test(test_sigkill_of_the_node_leaves_nothing),
            cmocka_unit_test(test_sigkill_of_the_guard_kills_the_engine),
            cmocka_unit_test(test_socket_goes_with_the_engine),
            cmocka_unit_test(test_directory_goes_with_the_node),
            cmocka_unit_test_setup_teardown(
                    test_stop_command_runs_before_sigterm, setup_folder, teardown_folder),
            cmocka_unit_test_setup_teardown(
                    test_stop_command_runs_when_the_engine_dies, setup_folder, teardown_folder),
            cmocka_unit_test(test_stop_command_that_hangs_is_killed),
            cmocka_unit_test(test_stop_command_that_fails_is_said),
            cmocka_unit_test(test_inherited_descriptors_are_closed),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
