/* What a process and its descendants hold of main memory for themselves: anonymous and shared
 * pages, and what of mapped files is locked. Other pages of files, as weights that an engine has
 * mapped, are not in it: the kernel counts them as available. A few small reads. */
#pragma once

#include "common/buf.h"

#include <stdint.h>

enum { PROCESS_MEMORY_MAX = 64 }; /* processes that are looked at; others are not counted */

/* `root` goes before "/proc". -ENOENT …, -ENODATA where the kernel does not say, or
 * not whose children are whose. */
MUST_CHECK int process_memory_read(const char *root, int64_t pid, uint64_t *ret_bytes);
