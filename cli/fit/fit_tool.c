#include "cli/fit/fit_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "llama-fit-params"

struct child {
    pid_t pid;
    int out; /* what it prints */
};

struct words { /* numbers for its command line */
    char context[24], slots[16];
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A process group of its own, so that what it starts ends with it. */
static int spawn(char *const *argv, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawnp(ret_pid, PROGRAM, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

static int start(const char *path, const struct model_run *run, struct child *ret_child)
{
    uint32_t slots = run->sequences > 0 ? run->sequences : 1;
    const char *type = cache_type_name(run->type_k), *type_v = cache_type_name(run->type_v);
    struct words words;
    const char *const argv[] = {PROGRAM, "--model", path, "--ctx-size", words.context, "--parallel",
            words.slots, "--cache-type-k", type, "--cache-type-v", type_v, "--fit-print", "on",
            NULL};
    int pipe_fds[2], rc;

    (void)snprintf(words.context, sizeof words.context, "%" PRIu64, (uint64_t)run->context * slots);
    (void)snprintf(words.slots, sizeof words.slots, "%" PRIu32, slots);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    rc = spawn((char *const *)(uintptr_t)argv, pipe_fds[1], &ret_child->pid);
    close(pipe_fds[1]);
    if (rc < 0)
        close(pipe_fds[0]);
    else
        ret_child->out = pipe_fds[0];
    return rc;
}

/* To the end of what it prints; never longer than until `deadline`. */
static int read_all(const struct child *child, int64_t deadline, struct buf *output)
{
    struct pollfd poll_fd = {.fd = child->out, .events = POLLIN};
    char piece[4096];
    ssize_t n;

    for (;;) {
        int64_t left = deadline - now_ms();
        int rc = left <= 0 ? 0 : poll(&poll_fd, 1, (int)left);

        if (rc == 0)
            return -ETIMEDOUT;
        if (rc < 0 && errno != EINTR)
            return -errno;
        if (rc < 0)
            continue;
        n = read(child->out, piece, sizeof piece);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        rc = buf_append(output, piece, (size_t)n);
        if (rc < 0)
            return rc == -ENOBUFS ? -EMSGSIZE : rc;
    }
}

/* It has said what it will, or more than we wait for: nothing of it stays. */
static void end(const struct child *child)
{
    close(child->out);
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void take_lines(const struct buf *output, struct fit_params *params)
{
    const char *at = buf_at(output), *end = at + output->len, *newline;

    for (; output->len > 0 && at < end; at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            newline = end;
        (void)fit_params_take(params, at, (size_t)(newline - at));
    }
}

int fit_tool_ask(const char *path, const struct model_run *run, unsigned timeout_ms,
        struct fit_params *ret_params, struct err *err)
{
    struct fit_params params = {0};
    struct child child;
    struct buf output;
    int rc;

    unsetenv("MODEMESH_KEY"); /* no business of its */
    rc = start(path, run, &child);
    if (rc < 0)
        return err_set(err, rc, "cannot run " PROGRAM ": %s", strerror(-rc));
    buf_init(&output, FIT_TOOL_OUTPUT_MAX);
    rc = read_all(&child, now_ms() + timeout_ms, &output);
    end(&child);
    if (rc == 0)
        take_lines(&output, &params);
    buf_fini(&output);
    if (rc == 0 && params.tensor_bytes == 0)
        rc = -EPROTO;
    if (rc < 0)
        return err_set(err, rc, PROGRAM " gives no answer for %s: %s", path,
                rc == -EPROTO ? "it does not know the model either" : strerror(-rc));
    *ret_params = params;
    return 0;
}
