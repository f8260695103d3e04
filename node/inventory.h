/* The memory of this host: what there is and what is free now, from /proc/meminfo and the limits of
 * the cgroups (v2) that the process is in. A few small reads of the kernel's own files: cheap
 * enough for the loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdint.h>

struct inventory {
    uint64_t memory_total_bytes;     /* MemTotal, or the least memory.max where that is lower */
    uint64_t memory_available_bytes; /* MemAvailable, or what a cgroup leaves where that is lower */
};

/* `root` goes before "/proc" and "/sys": "" for this host, a folder of recorded files in tests. A
 * cgroup without a limit, or none at all, is no error; no MemTotal is (-ENODATA). */
MUST_CHECK int inventory_read(const char *root, struct inventory *ret_inventory, struct err *err);
