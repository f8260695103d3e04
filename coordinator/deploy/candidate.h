/* Which of the nodes that have rehearsed a load carries it out. Pure. */
#pragma once

#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

struct candidate {
    const char *node;
    enum order_way way;       /* as it would do it; ORDER_WAY_NONE: it cannot */
    uint64_t bandwidth_bytes; /* of its memory, a second; 0: not known */
    float decode_tok_s;       /* of the model there; 0: not measured */
    uint64_t free_bytes;      /* of its limit, before the load */
};

/* The index of the best: one where the model is there already before one that has room beside the
 * others, and that before one that must let another go, which costs people a wait; then the faster
 * one, by its memory's bandwidth and then as measured; then the one with more free memory; then the
 * first by name, so that the choice repeats. `count` where none can. */
size_t candidate_choose(const struct candidate *candidates, size_t count);
