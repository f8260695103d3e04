/* Which models fit into a memory together, and how much context each may then have. The table that
 * people write by hand ("these two, but never with that one"). Pure. */
#pragma once

#include "common/model/estimate.h"

#include <stddef.h>
#include <stdint.h>

enum {
    COMBINATIONS_MODELS_MAX = 16,
    COMBINATIONS_SETS_MAX = 12870, /* no set within another: at most 16 over 8 */
};

/* Finds all sets of the `count` models (at most COMBINATIONS_MODELS_MAX) whose sum is within
 * `limit_bytes` and to which no further model can be added. Bit i of a set stands for `bytes[i]`.
 * The sets with most models come first, among equals those with the earlier models. Returns their
 * number; a model that does not even fit alone is in none of them. */
size_t combinations_find(const uint64_t *bytes, size_t count, uint64_t limit_bytes,
        uint16_t ret_sets[COMBINATIONS_SETS_MAX]);

struct combination_member {
    const struct model_shape *shape;
    struct model_run run; /* its context is not read */
};

/* The largest context, a multiple of ESTIMATE_CONTEXT_STEP, with which all the members (any number)
 * fit into `limit_bytes` together: the same for each, except that a member that was trained for
 * less stays at what it was trained for. Not more than the longest of them was trained for (where
 * one does not say: 2^20). 0: they do not fit together at any context. */
uint32_t combinations_context(
        const struct combination_member *members, size_t count, uint64_t limit_bytes);
