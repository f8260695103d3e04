#include "node/process/guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STATUS_GUARD_FAILED = 125, /* as env(1) and timeout(1) use them */
    STOP_WORDS_MAX = 256,
    SWEEP_INTERVAL_MS = 20,
    SWEEP_ROUNDS_MAX = 50,
    SESSION_PAUSE_MS = 25,
    SESSION_TRIES_MAX = 100,
};

struct guard {
    pid_t parent;
    int64_t stop_timeout_ms;
    char *stop_words[STOP_WORDS_MAX + 1];
    int stop_word_count;
    char **command;
    char *socket_path; /* NULL: none */
    int64_t nice;      /* of the engine, beyond ours */

    sigset_t signals;
    pid_t engine, stopper; /* 0: not running */
    int engine_status;
    bool stopping, stop_command_ran;
    int64_t deadline_ms; /* when SIGKILL is due; -1: never */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool parse_number(const char *text, int64_t *ret_number)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end || number < 0)
        return false;
    *ret_number = number;
    return true;
}

static bool parse_option(struct guard *guard, const char *name, char *value)
{
    int64_t number;

    if (strcmp(name, "--stop") == 0 && guard->stop_word_count < STOP_WORDS_MAX) {
        guard->stop_words[guard->stop_word_count++] = value;
        return true;
    }
    if (strcmp(name, "--socket") == 0) {
        guard->socket_path = value;
        return true;
    }
    if (strcmp(name, "--parent") == 0 && parse_number(value, &number)) {
        guard->parent = (pid_t)number;
        return true;
    }
    if (strcmp(name, "--nice") == 0)
        return parse_number(value, &guard->nice) && guard->nice <= GUARD_NICE_MAX;
    return strcmp(name, "--stop-timeout-ms") == 0 && parse_number(value, &guard->stop_timeout_ms);
}

static bool parse_words(struct guard *guard, int argc, char **argv)
{
    int at = 1;

    while (at + 1 < argc && strcmp(argv[at], "--") != 0) {
        if (!parse_option(guard, argv[at], argv[at + 1]))
            return false;
        at += 2;
    }
    guard->command = argv + at + 1;
    return at + 1 < argc && guard->parent > 0;
}

/* Signals stay blocked for good: what a handler may not do is no question here, and a broken pipe
 * to a dead node is an error of write(2) instead of our end. */
static void block_signals(struct guard *guard)
{
    sigset_t blocked;

    sigemptyset(&guard->signals);
    sigaddset(&guard->signals, SIGTERM);
    sigaddset(&guard->signals, SIGCHLD);
    blocked = guard->signals;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

static bool bind_to_parent(const struct guard *guard)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return false;
    return getppid() == guard->parent; /* it may have died before prctl() */
}

static void run_child(pid_t guard_pid, char *const *words, bool quiet, int more_nice)
{
    sigset_t none;
    int null_fd;

    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != guard_pid)
        _exit(STATUS_GUARD_FAILED);
    if (quiet && (null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC)) >= 0) {
        dup2(null_fd, STDOUT_FILENO);
        dup2(null_fd, STDERR_FILENO);
    }
    errno = 0;
    if (more_nice > 0 && nice(more_nice) == -1 && errno != 0)
        dprintf(STDERR_FILENO, "guard: nice: %s\n", strerror(errno));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(words[0], words);
    dprintf(STDERR_FILENO, GUARD_NOT_RUN "%s cannot be run: %s\n", words[0], strerror(errno));
    _exit(GUARD_STATUS_NOT_RUN);
}

/* Who has no privileges may change one session in 100 ms, of all on this host together. */
static ssize_t write_patiently(int fd, const char *text)
{
    const struct timespec pause = {.tv_nsec = SESSION_PAUSE_MS * 1000000L};
    ssize_t written = write(fd, text, strlen(text));

    for (int i = 1; i < SESSION_TRIES_MAX && written < 0 && errno == EAGAIN; i++) {
        nanosleep(&pause, NULL);
        written = write(fd, text, strlen(text));
    }
    return written;
}

static void set_session_nice(int more_nice)
{
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    char text[16];

    if (fd < 0)
        return; /* this kernel looks at processes only */
    snprintf(text, sizeof(text), "%d", more_nice);
    if (write_patiently(fd, text) < 0)
        dprintf(STDERR_FILENO, "guard: niceness of the session: %s\n", strerror(errno));
    close(fd);
}

/* A process that leads its own group; 0 where fork() refuses. */
static pid_t spawn(char *const *words, bool quiet, int more_nice)
{
    pid_t guard_pid = getpid();
    pid_t pid = fork();

    if (pid == 0)
        run_child(guard_pid, words, quiet, more_nice);
    if (pid < 0) {
        dprintf(STDERR_FILENO, "guard: cannot start %s: %s\n", words[0], strerror(errno));
        return 0;
    }
    setpgid(pid, pid); /* whoever comes first, so that kill(-pid) never misses */
    return pid;
}

static void kill_group(pid_t leader, int signum)
{
    if (leader > 0)
        kill(-leader, signum);
}

static bool run_stop_command(struct guard *guard)
{
    if (guard->stop_word_count == 0 || guard->stop_command_ran)
        return false;
    guard->stop_command_ran = true;
    guard->deadline_ms = now_ms() + guard->stop_timeout_ms;
    guard->stopper = spawn(guard->stop_words, true, 0);
    return guard->stopper > 0;
}

static void begin_stop(struct guard *guard)
{
    if (guard->stopping)
        return;
    guard->stopping = true;
    guard->deadline_ms = now_ms() + guard->stop_timeout_ms;
    if (!run_stop_command(guard))
        kill_group(guard->engine, SIGTERM);
}

static void on_stopper_end(struct guard *guard, int status)
{
    guard->stopper = 0;
    if (guard->stopping && status != 0)
        dprintf(STDERR_FILENO, "guard: the stop command %s failed\n", guard->stop_words[0]);
    kill_group(guard->engine, SIGTERM);
}

static void reap(struct guard *guard)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == guard->engine) {
            guard->engine = 0;
            guard->engine_status = status;
            run_stop_command(guard);
        } else if (pid == guard->stopper) {
            on_stopper_end(guard, status);
        }
    }
}

static void kill_at_deadline(struct guard *guard)
{
    if (guard->deadline_ms < 0 || now_ms() < guard->deadline_ms)
        return;
    guard->deadline_ms = -1;
    kill_group(guard->engine, SIGKILL);
    kill_group(guard->stopper, SIGKILL);
}

/* The signal that came, or -1 after `timeout_ms` (negative: no timeout). */
static int wait_signal(const struct guard *guard, int64_t timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};

    return timeout_ms < 0 ? sigwaitinfo(&guard->signals, NULL)
                          : sigtimedwait(&guard->signals, NULL, &timeout);
}

static int64_t until_deadline(const struct guard *guard)
{
    int64_t left = guard->deadline_ms - now_ms();

    if (guard->deadline_ms < 0)
        return -1;
    return left > 0 ? left : 0;
}

static void watch(struct guard *guard)
{
    while (guard->engine || guard->stopper) {
        int signum = wait_signal(guard, until_deadline(guard));

        if (signum == SIGTERM)
            begin_stop(guard);
        reap(guard);
        kill_at_deadline(guard);
    }
}

struct process_stat {
    char state; /* 'Z': dead, and not reaped yet */
    int parent, group, session;
};

/* From /proc/PID/stat; false where the process has gone. The name in it may hold blanks and
 * parentheses. */
static bool read_stat(const char *pid, struct process_stat *ret_stat)
{
    char path[64], text[512];
    char *after_name;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    after_name = strrchr(text, ')');
    return after_name && sscanf(after_name + 1, " %c %d %d %d", &ret_stat->state, &ret_stat->parent,
                                 &ret_stat->group, &ret_stat->session) == 4;
}

/* Kills each living process that `match` says, and tells how many there were. The list is that of
 * /proc and not /proc/self/task/…/children: many kernels are built without it. */
static unsigned kill_all(bool (*match)(const struct process_stat *stat, pid_t id), pid_t id)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct process_stat stat;
    unsigned count = 0;

    while (proc && (entry = readdir(proc))) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !read_stat(entry->d_name, &stat))
            continue;
        if (stat.state == 'Z' || !match(&stat, id))
            continue;
        kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
        count++;
    }
    if (proc)
        closedir(proc);
    return count;
}

static bool is_child(const struct process_stat *stat, pid_t id)
{
    return stat->parent == id;
}

static bool is_of_session(const struct process_stat *stat, pid_t id)
{
    return stat->session == id;
}

void guard_sweep_session(pid_t guard)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int round = 0; round < SWEEP_ROUNDS_MAX && kill_all(is_of_session, guard) > 0; round++)
        nanosleep(&pause, NULL);
}

/* Orphans come to us as their parents die, so this goes on until there is no child. */
static void sweep(const struct guard *guard)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0 && errno == ECHILD)
            return;
        if (pid > 0)
            continue;
        kill_all(is_child, getpid());
        wait_signal(guard, SWEEP_INTERVAL_MS);
    }
}

/* What a killed engine leaves in the file system; where the node is dead too, its runtime directory
 * goes with the last socket in it. */
static void remove_socket(const struct guard *guard)
{
    char *slash;

    if (!guard->socket_path)
        return;
    unlink(guard->socket_path);
    slash = strrchr(guard->socket_path, '/');
    if (!slash || getppid() == guard->parent)
        return;
    *slash = '\0';
    rmdir(guard->socket_path);
}

/* Ends as the engine did, without a second core dump of our own. */
static int end_like(int status)
{
    const struct rlimit no_core = {0, 0};
    sigset_t all;

    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    return 128 + WTERMSIG(status);
}

int guard_main(int argc, char **argv)
{
    struct guard guard = {.deadline_ms = -1};

    if (!parse_words(&guard, argc, argv)) {
        dprintf(STDERR_FILENO, "guard: started by the node only, see its manual\n");
        return STATUS_GUARD_FAILED;
    }
    close_range(STDERR_FILENO + 1, ~0U, 0);
    setsid(); /* Ctrl-C in a terminal is the node's to answer */
    block_signals(&guard);
    if (!bind_to_parent(&guard)) {
        dprintf(STDERR_FILENO, "guard: the node has gone\n");
        remove_socket(&guard);
        return STATUS_GUARD_FAILED;
    }
    if (guard.nice > 0)
        set_session_nice((int)guard.nice);
    guard.engine = spawn(guard.command, false, (int)guard.nice);
    if (!guard.engine)
        return STATUS_GUARD_FAILED;
    watch(&guard);
    sweep(&guard);
    remove_socket(&guard);
    return end_like(guard.engine_status);
}
