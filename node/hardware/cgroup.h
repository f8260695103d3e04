/* The memory cgroup that this process is in, and those above it: what they allow, what they hold,
 * and how often the kernel's OOM killer has struck in them. Both versions are read, from where all
 * distributions mount them: version 1 below /sys/fs/cgroup/memory, version 2 below /sys/fs/cgroup.
 * Where both are mounted, the version that has the memory controller counts.
 *
 * In a container the path that the kernel tells may be the host's while the mount shows only the
 * container's own groups; or the path leads out of the mount. Then a folder on the way does not
 * exist, which is a group without limits, and the root of the mount is the container's own group.
 *
 * Source: Documentation/admin-guide/cgroup-v2.rst ("Memory") and cgroup-v1/memory.rst of the
 * kernel. Small reads of kernel files; any thread. */
#pragma once

#include "common/buf.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cgroup_version { CGROUP_V1, CGROUP_V2, CGROUP_VERSION_COUNT };

struct cgroup {
    enum cgroup_version version;
    size_t mount_len;      /* of `folder`: the root of what is mounted */
    char folder[PATH_MAX]; /* of this group */
};

/* `root` goes before "/proc" and "/sys". -ENOENT: no memory controller holds this process. */
MUST_CHECK int cgroup_own(const char *root, struct cgroup *ret_group);
/* To the one above; false where there is none, and then `group` stays. */
bool cgroup_climb(struct cgroup *group);
/* Its path in the hierarchy, "/" for the root; borrowed from `group`. */
const char *cgroup_path(const struct cgroup *group);

/* What it and those below it may hold at most; UINT64_MAX: it sets no limit. */
uint64_t cgroup_limit_bytes(const struct cgroup *group);
/* Who holds more is slowed down until it is less (memory.high; version 1 has no such mark);
 * UINT64_MAX: it sets none. */
uint64_t cgroup_high_bytes(const struct cgroup *group);
/* What it and those below it hold, without the cached pages of files, which the kernel gives back
 * when asked. 0 where that is not known. */
uint64_t cgroup_used_bytes(const struct cgroup *group);
/* Processes that the kernel has killed in it for want of memory, whosever limit it was. Version 2
 * counts those of the groups below as well, version 1 does not. Negative errno where the kernel
 * does not say: version 2's root group, kernels before 4.13. */
MUST_CHECK int cgroup_oom_kills(const struct cgroup *group, uint64_t *ret_count);
