/* The nodes of a run, by a preset's name or in words:
 *
 *   1+2          1 fast + 2 slow: 4,500 and 1,000 prompt tok/s, 8 and 4 slots, decode steps of
 *                5 ms + 0.7 ms·B and 18.5 ms + 3 ms·B; any two numbers
 *   first-users  four machines: 1,135, 801, 131 and 101 prompt tok/s, 46, 37.5, 17.1 and 11.5 tok/s
 *                of one answer alone
 *   equal:N      N of one kind: 2,000 prompt tok/s, 4 slots, 10 ms + 1.5 ms·B
 *   COUNTxPREFILL/SLOTS/STEP_MS/STEP_SEQUENCE_MS, as often as wanted, with commas between;
 *                PREFILL and the steps within the limits below, one of the steps may be 0
 */
#pragma once

#include "bench/sim/nodes/node.h"
#include "common/buf.h"
#include "common/err.h"

#include <stdint.h>

/* What is reckoned with them stays finite, and above 0, also where what is told of them is off. */
enum { FLEET_PREFILL_MAX_TOK_S = 10000000, FLEET_STEP_MAX_MS = 1000000 };
#define FLEET_STEP_MIN_MS 0.001

struct fleet_spec {
    struct node_params *nodes; /* `count`; malloc */
    uint32_t count;            /* at most WORLD_NODES_MAX */
};

/* What no preset names comes from `common`: depth, chunk, cache and load. -EINVAL, -ENOMEM. */
MUST_CHECK int fleet_spec_parse(const char *text, const struct node_params *common,
        struct fleet_spec *ret_spec, struct err *err);
void fleet_spec_fini(struct fleet_spec *spec);
