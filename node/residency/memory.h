/* The memory that this node's engines may take: the pool that they load into (node/hardware/), the
 * limit for all of them in sum, and what is free now. Looked at again when it is asked for after
 * MEMORY_LOOK_MS. Loop thread. */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "node/hardware/hardware.h"
#include "node/hardware/oom_watch.h"

#include <stdint.h>

enum {
    MEMORY_LOOK_MS = 900,     /* what others take is to be seen, and told, within a second */
    MEMORY_HOST_PERCENT = 75, /* of main memory may be loaded where the config names no limit */
};
#define MEMORY_RESERVE_DEFAULT UINT64_MAX

struct memory_config {
    struct hardware_config hardware;
    uint64_t limit_bytes; /* 0: the pool less the reserve, or a percentage of that, as above. Never
                             more than the pool less what is kept free */
    uint64_t reserve_bytes; /* MEMORY_RESERVE_DEFAULT: hardware_reserve_bytes() */
};

struct memory;

/* `env` is borrowed. Errors: those of hardware_create(), and -EINVAL where the reserve leaves
 * nothing. */
MUST_CHECK int memory_create(const struct memory_config *config, const struct env *env,
        struct memory **ret_memory, struct err *err);
/* Takes NULL. */
void memory_destroy(struct memory *memory);

/* Looks now. Should the kernel or a driver fail to answer, nothing counts as free; that, and its
 * end, is logged once. */
void memory_look(struct memory *memory);
/* Looks where the last look is older than MEMORY_LOOK_MS, … */
void memory_refresh(struct memory *memory);
/* … which it is from this time on. */
uint64_t memory_due_ms(const struct memory *memory);

/* For those who start processes: it looks whenever the memory does. Valid as long as `memory`. */
struct oom_watch *memory_oom_watch(struct memory *memory);

/* At the last look; borrowed. */
const struct hardware_state *memory_state(const struct memory *memory);
/* What all engines together may take; constant. */
uint64_t memory_limit_bytes(const struct memory *memory);
/* What is to stay free of the pool beside them, as estimates are not exact: all that is not
 * estimate_usable_bytes() of the pool as it was at the start. Constant. */
uint64_t memory_keep_free_bytes(const struct memory *memory);
