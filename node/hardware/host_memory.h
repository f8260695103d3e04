/* The main memory of this host: what there is and what is free now, from /proc/meminfo, the limits
 * of the cgroups that the process is in (cgroup.h), and how much programs wait for memory. A few
 * small reads of the kernel's own files: cheap enough for the loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdint.h>

struct host_memory {
    uint64_t total_bytes;     /* MemTotal, or the least limit of a cgroup where that is lower */
    uint64_t available_bytes; /* MemAvailable, or what a cgroup leaves where that is lower */
    float pressure_some_pct;  /* of the last ten seconds, in which some program waited for memory
                                 (PSI "some avg10"); negative: the kernel does not say */
};

/* `root` goes before "/proc" and "/sys": "" for this host, a folder of recorded files in tests. A
 * cgroup without a limit, or none at all, is no error; no MemTotal is (-ENODATA). */
MUST_CHECK int host_memory_read(const char *root, struct host_memory *ret_memory, struct err *err);
