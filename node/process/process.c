#include "node/process/process.h"

#include "common/log.h"
#include "node/hardware/oom_watch.h"
#include "node/process/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 4096,
    REASON_MAX = ERR_TEXT_MAX,
    DRAIN_READS_MAX = 64,          /* of READ_BYTES after its end: more than a pipe holds */
    STATUS_KILLED = 128 + SIGKILL, /* how shells and container programs tell it */
};

struct process {
    uv_process_t uv;
    uv_pipe_t output;
    int open_handles; /* freed with the last one */
    bool spawned;     /* libuv knows `uv`, also where the spawn failed */
    bool elsewhere;   /* it has a stop command: a container, in a cgroup of its own */
    struct oom_watch *oom_watch;
    process_line_fn on_line; /* may be NULL */
    process_exit_fn on_exit;
    void *ctx;
    char name[64];
    char read_buf[READ_BYTES];
    char line[PROCESS_LINE_MAX]; /* that is being read */
    size_t line_len;
    struct last_words last_words;
};

const char *process_line(const struct process *process, size_t back)
{
    return last_words_line(&process->last_words, back);
}

static void end_line(struct process *process)
{
    if (process->line_len == 0)
        return;
    process->line[process->line_len] = '\0';
    process->line_len = 0;
    last_words_take(&process->last_words, process->line);
    log_debug("engine says", LOG_S("engine", process->name), LOG_S("line", process->line));
    if (process->on_line)
        process->on_line(process->ctx, process->line);
}

/* Only printable ASCII is kept: the lines go into reports that must be UTF-8 wherever they are cut.
 * Past PROCESS_LINE_MAX the rest of a line is dropped. */
static void take_output(struct process *process, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n' || data[i] == '\r')
            end_line(process);
        else if (process->line_len < PROCESS_LINE_MAX - 1)
            process->line[process->line_len++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct process *process = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(process->read_buf, sizeof(process->read_buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
    struct process *process = stream->data;

    if (n > 0)
        take_output(process, data->base, (size_t)n);
    else if (n < 0)
        uv_read_stop(stream);
}

/* What it wrote right before its end lies in the pipe. Its end is not waited for: where the guard
 * was killed, a grandchild may hold the pipe open. */
static void drain_output(struct process *process)
{
    int fd;

    if (uv_fileno((const uv_handle_t *)&process->output, &fd) < 0)
        return;
    for (int i = 0; i < DRAIN_READS_MAX; i++) {
        ssize_t n = read(fd, process->read_buf, sizeof(process->read_buf));

        if (n <= 0)
            break;
        take_output(process, process->read_buf, (size_t)n);
    }
    end_line(process);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *process = handle->data;

    if (--process->open_handles == 0)
        free(process);
}

static void close_handles(struct process *process)
{
    if (process->spawned) {
        process->open_handles++;
        uv_close((uv_handle_t *)&process->uv, on_closed);
    }
    uv_close((uv_handle_t *)&process->output, on_closed);
}

static void append_way_out(char *text, size_t size)
{
    size_t len = strlen(text);

    snprintf(text + len, size - len, "; install it, or set engine.command");
}

/* NULL where the engine ran; else why it did not, in the guard's words. */
static const char *why_not_run(const struct process *process, int64_t status)
{
    const char *line = process_line(process, 0);
    bool said = line && strncmp(line, GUARD_NOT_RUN, strlen(GUARD_NOT_RUN)) == 0;

    return status == GUARD_STATUS_NOT_RUN && said ? line : NULL;
}

static void describe_end(
        const struct process *process, int64_t status, int signum, char *ret_text, size_t size)
{
    const char *not_run = why_not_run(process, status);

    if (not_run)
        snprintf(ret_text, size, "%s", not_run);
    else if (signum)
        snprintf(ret_text, size, "killed by signal %d (%s)", signum, strsignal(signum));
    else
        snprintf(ret_text, size, "exited with status %" PRId64, status);
    if (!not_run && signum != SIGKILL && signum != SIGTERM)
        last_words_tell(&process->last_words, ret_text, size);
    if (status == GUARD_STATUS_NOT_RUN)
        append_way_out(ret_text, size);
}

/* False where it was not the kernel who ended it, as far as is known. */
static bool describe_oom_kill(
        const struct process *process, int64_t status, int signum, char *ret_text, size_t size)
{
    return process->oom_watch && (signum == SIGKILL || status == STATUS_KILLED) &&
           oom_watch_explain(process->oom_watch, !process->elsewhere, ret_text, size);
}

static void on_process_exit(uv_process_t *uv, int64_t status, int signum)
{
    struct process *process = uv->data;
    char reason[REASON_MAX];

    if (signum == SIGKILL)
        guard_sweep_session(uv->pid);
    drain_output(process);
    if (!describe_oom_kill(process, status, signum, reason, sizeof(reason)))
        describe_end(process, status, signum, reason, sizeof(reason));
    close_handles(process);
    process->on_exit(process->ctx, reason);
}

size_t process_count_words(const char *const *words)
{
    size_t n = 0;

    while (words && words[n])
        n++;
    return n;
}

/* What a guard is started with; only the arrays are allocated. */
struct launch {
    char parent[24], timeout[24], nice[24];
    const char **words;
    char **environment;
};

static const char **guard_words(const struct process_spec *spec, const struct launch *launch)
{
    size_t stop_count = process_count_words(spec->stop_command),
           count = process_count_words(spec->command);
    const char **words, **at;

    at = words = calloc(12 + 2 * stop_count + count, sizeof(*words));
    if (!words)
        return NULL;
    *at++ = spec->self_path;
    *at++ = "guard";
    *at++ = "--parent";
    *at++ = launch->parent;
    *at++ = "--stop-timeout-ms";
    *at++ = launch->timeout;
    if (spec->socket_path) {
        *at++ = "--socket";
        *at++ = spec->socket_path;
    }
    if (spec->nice > 0) {
        *at++ = "--nice";
        *at++ = launch->nice;
    }
    for (size_t i = 0; i < stop_count; i++) {
        *at++ = "--stop";
        *at++ = spec->stop_command[i];
    }
    *at++ = "--";
    memcpy(at, spec->command, count * sizeof(*at));
    return words;
}

static bool is_set(const char *variable)
{
    size_t name_len = strcspn(variable, "=");

    for (char **at = environ; *at; at++)
        if (strncmp(*at, variable, name_len) == 0 && (*at)[name_len] == '=')
            return true;
    return false;
}

/* Ours and `variables`; only the array is allocated. */
static char **make_environment(const char *const *variables)
{
    size_t count = process_count_words((const char *const *)environ);
    char **environment = calloc(count + PROCESS_VARIABLES_MAX + 1, sizeof(*environment));

    if (!environment)
        return NULL;
    memcpy(environment, environ, count * sizeof(*environment));
    for (size_t i = 0; variables && variables[i] && i < PROCESS_VARIABLES_MAX; i++)
        if (!is_set(variables[i]))
            environment[count++] = (char *)(uintptr_t)variables[i];
    return environment;
}

static int launch_init(struct launch *launch, const struct process_spec *spec)
{
    snprintf(launch->parent, sizeof(launch->parent), "%d", (int)getpid());
    snprintf(launch->timeout, sizeof(launch->timeout), "%" PRIu32, spec->stop_timeout_ms);
    snprintf(launch->nice, sizeof(launch->nice), "%" PRIu32, spec->nice);
    launch->words = guard_words(spec, launch);
    launch->environment = make_environment(spec->variables);
    return launch->words && launch->environment ? 0 : -ENOMEM;
}

static void launch_fini(struct launch *launch)
{
    free(launch->words);
    free(launch->environment);
}

static int spawn_guard(
        struct loop *loop, struct process *process, const struct launch *launch, uv_file output)
{
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
            {.flags = UV_INHERIT_FD, .data.fd = output},
            {.flags = UV_INHERIT_FD, .data.fd = output}};
    uv_process_options_t options = {.exit_cb = on_process_exit,
            .file = launch->words[0],
            .args = (char **)(uintptr_t)launch->words,
            .env = launch->environment,
            .stdio = stdio,
            .stdio_count = 3};

    process->spawned = true;
    return uv_spawn(&loop->uv, &process->uv, &options);
}

static struct process *process_create(
        struct loop *loop, const struct process_spec *spec, process_exit_fn on_exit, void *ctx)
{
    struct process *process = calloc(1, sizeof(*process));

    if (!process)
        return NULL;
    process->on_line = spec->on_line;
    process->on_exit = on_exit;
    process->ctx = ctx;
    process->open_handles = 1;
    process->elsewhere = process_count_words(spec->stop_command) > 0;
    process->oom_watch = spec->oom_watch;
    last_words_init(&process->last_words);
    snprintf(process->name, sizeof(process->name), "%s", spec->name);
    uv_pipe_init(&loop->uv, &process->output, 0);
    process->output.data = process->uv.data = process;
    return process;
}

/* Takes `fd`. Where libuv refuses, the process runs on without its words. */
static void read_output(struct process *process, uv_file fd)
{
    if (uv_pipe_open(&process->output, fd) < 0 ||
            uv_read_start((uv_stream_t *)&process->output, on_alloc, on_read) < 0)
        log_debug("engine's output is not read", LOG_S("engine", process->name));
}

static int spawn(struct loop *loop, struct process *process, const struct launch *launch)
{
    uv_file fds[2];
    int r = uv_pipe(fds, UV_NONBLOCK_PIPE, 0);

    if (r < 0)
        return r;
    r = spawn_guard(loop, process, launch, fds[1]);
    close(fds[1]);
    if (r < 0)
        close(fds[0]);
    else
        read_output(process, fds[0]);
    return r;
}

int process_start(struct loop *loop, const struct process_spec *spec, process_exit_fn on_exit,
        void *ctx, struct process **ret_process, struct err *err)
{
    struct process *process = NULL;
    struct launch launch;
    int r;

    if (!spec->command[0])
        return err_set(err, -EINVAL, "no command to start %s with", spec->name);
    if (launch_init(&launch, spec) == 0)
        process = process_create(loop, spec, on_exit, ctx);
    r = process ? spawn(loop, process, &launch) : -ENOMEM;
    launch_fini(&launch);
    if (r == 0) {
        *ret_process = process;
        return 0;
    }
    if (process)
        close_handles(process);
    return err_set(
            err, r, "cannot start %s through %s: %s", spec->name, spec->self_path, uv_strerror(r));
}

void process_stop(struct process *process)
{
    uv_process_kill(&process->uv, SIGTERM);
}

int64_t process_pid(const struct process *process)
{
    return process->uv.pid;
}
