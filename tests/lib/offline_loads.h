/* How few loads would have done, for one who knows what comes: what a test of on-demand loading is
 * measured against. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { OFFLINE_MODELS_MAX = 64 };

struct offline_service { /* a request that was served */
    uint64_t asked_ms;
    size_t model;   /* below OFFLINE_MODELS_MAX */
    uint64_t bytes; /* that it takes */
};

/* In as few groups of models as fit into `limit_bytes` at once, in the order in which it was asked
 * for: whoever serves in that order, knowing all of it, loads at least one model for each group but
 * the first. Sorts `services`. */
unsigned offline_loads(struct offline_service *services, size_t count, uint64_t limit_bytes);
