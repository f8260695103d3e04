/* Tells whether a process that ended by SIGKILL was killed by the kernel for want of memory.
 *
 * Who sent a SIGKILL is not told to anybody, but the kernel counts what its OOM killer does, before
 * it sends the signal: for our own memory cgroup (cgroup.h), and in /proc/vmstat for the whole
 * host. The counts are looked at again and again; a process that is found dead within
 * OOM_WATCH_RECENT_MS of a count that rose was killed so. A count from before that says nothing of
 * it.
 *
 * The group's count is exact for processes in our group. For one in another group (an engine in a
 * container), and where our group has no count, there is only the host's, which any process may
 * have raised: the words say so. Loop thread. */
#pragma once

#include "common/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OOM_WATCH_RECENT_MS = 30000 }; /* from the kill until nothing of an engine is left */

struct oom_count {
    bool known, rose;
    uint64_t value, rose_ms;
};

/* In the caller's memory; nothing of it needs to be freed. */
struct oom_watch {
    const char *root;
    const struct env *env;
    struct oom_count group, host;
};

/* Looks. `root` goes before "/proc" and "/sys"; it and `env` are borrowed. */
void oom_watch_init(struct oom_watch *watch, const char *root, const struct env *env);
/* To be done at least every few seconds while a process runs that oom_watch_explain() may be asked
 * about. */
void oom_watch_look(struct oom_watch *watch);
/* Looks. Of a process that SIGKILL has just ended and that nobody here has sent it to.
 * `in_our_group`: it was in the cgroup of this process, or below it. True, and why it ended into
 * `ret_text`, where the kernel has killed it, or probably has: "killed by the kernel for want of
 * memory (memory cgroup /box, limit 2.0 GiB)". The limit is the lowest of the groups that can be
 * seen, else the host's memory. */
bool oom_watch_explain(struct oom_watch *watch, bool in_our_group, char *ret_text, size_t size);
