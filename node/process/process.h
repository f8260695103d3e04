/* A guarded child process on the loop: an engine with all that it starts (node/process/guard.h).
 * Its standard output and error are read line by line, handed on, logged at debug, and the last
 * ones are kept for the report of its end (last_words.h). The process belongs to whoever started it
 * until on_exit has returned; then it is gone. Loop thread only. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "node/process/last_words.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PROCESS_LINE_MAX = LAST_WORDS_LINE_MAX, /* bytes of a line that are read, with its NUL */
    PROCESS_VARIABLES_MAX = 8,
};

struct process;
struct oom_watch;

/* A line that it wrote, not empty, without its end, cut to PROCESS_LINE_MAX, and of printable ASCII
 * only ('?' for what is not). Borrowed; the process may be asked to stop in it. */
typedef void (*process_line_fn)(void *ctx, const char *line);

struct process_spec {                /* all borrowed during process_start() */
    const char *name;                /* for the log */
    const char *self_path;           /* program that is the guard when its first word is "guard" */
    const char *const *command;      /* ends with NULL */
    const char *const *stop_command; /* ends with NULL; may be NULL */
    const char *socket_path;         /* a file that must not outlive it; may be NULL */
    /* NAME=VALUE, for its environment where ours has no NAME; ends with NULL, at most
     * PROCESS_VARIABLES_MAX; may be NULL */
    const char *const *variables;
    process_line_fn on_line; /* may be NULL; none comes after on_exit */
    uint32_t stop_timeout_ms;
    uint32_t nice;               /* beyond ours, at most GUARD_NICE_MAX */
    struct oom_watch *oom_watch; /* outlives the process; NULL: SIGKILL is not explained */
};

/* Nothing of the process is left. `reason` is for people: "exited with status 1: the lines that
 * tell most", "killed by signal 11 (Segmentation fault): …", "killed by the kernel for want of
 * memory (…)". After SIGKILL and SIGTERM, which come from outside, its lines say nothing and are
 * left out; for a command that could not be run it names the settings to look at. */
typedef void (*process_exit_fn)(void *ctx, const char *reason);

/* 0, -EINVAL for an empty command, or libuv's error with its words. A command that cannot be run is
 * reported by on_exit. */
MUST_CHECK int process_start(struct loop *loop, const struct process_spec *spec,
        process_exit_fn on_exit, void *ctx, struct process **ret_process, struct err *err);
/* Asks the guard to end it; on_exit follows, after the stop timeout at the latest. Repeatable. */
void process_stop(struct process *process);
int64_t process_pid(const struct process *process); /* of the guard */
/* The `back`-th last line that it wrote (0: the last), NULL where there is none. */
const char *process_line(const struct process *process, size_t back);
/* Words of a command that ends with NULL; 0 for NULL. */
size_t process_count_words(const char *const *words);
