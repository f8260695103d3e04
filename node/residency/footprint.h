/* What a model will take in this node's memory, and with which context, before its engine is
 * started. The arithmetic is common/model/estimate.h's; this chooses what goes into it. Pure. */
#pragma once

#include "common/model/estimate.h"
#include "node/models/catalogue_scan.h"
#include "node/models/model_settings.h"

#include <stdint.h>

enum {
    FOOTPRINT_CONTEXT_MIN = 16384,    /* a context that is chosen here is not cut below this for the
                                         sake of other models … */
    FOOTPRINT_CONTEXT_LEAST = 4096,   /* … nor below this, so that it fits at all */
    FOOTPRINT_CONTEXT_SWAPPED = 8192, /* at most, of a model that is larger than the memory */
    /* A model whose shape is not known counts its file and an eighth of it, or so much: */
    FOOTPRINT_UNKNOWN_MIN_BYTES = 512 * 1024 * 1024,
    FOOTPRINT_UNKNOWN_DIVISOR = 8,
    /* Earlier prompts may take so many times what its slots' cache takes, where nobody says. */
    FOOTPRINT_PROMPTS_PER_CACHE = 4,
    FOOTPRINT_CHECKPOINTS_MAX = 32, /* of one slot: the engine's own default */
};
#define FOOTPRINT_CACHE_FREE_BYTES (UINT64_C(1) << 30)

struct footprint {
    uint32_t context; /* tokens of one sequence; 0: not known, the engine's choice */
    struct model_memory memory;
    uint64_t prompt_cache_bytes; /* that its engine may keep of earlier prompts, checkpoints and
                                    all; not in `memory` */
    uint64_t checkpoint_bytes;   /* one checkpoint of each slot, so that a sliding window or a
                                    recurrent state can go back in its prompt; 0: it needs none */
};

/* How an engine with such settings would run it at `context` tokens of a sequence. */
struct model_run footprint_run(const struct catalogue_model *model,
        const struct model_settings *settings, uint32_t context);

/* An engine of that kind reserves so many rows of logits for each sequence; 0: not known. */
void footprint_set_rows(struct model_run *run, uint32_t rows_of_sequence);

/* What that run takes of an engine that reserves so many rows for each sequence; where those, the
 * context or the shape are not known: `otherwise`. */
uint64_t footprint_bytes(const struct model_shape *shape, struct model_run run,
        uint32_t rows_of_sequence, uint64_t otherwise);

struct footprint_room {
    uint64_t limit_bytes;        /* for all engines of this node in sum */
    uint64_t swap_bytes;         /* swap_allowance: by how much one of them may pass it, in batch */
    uint64_t prompt_cache_bytes; /* of earlier prompts of one model where its settings say nothing,
                                    at most; 0: none */
};

/* An engine takes no more than the trained length of `settings->context`. 0 leaves it to us: the
 * trained length, halved until the cache of all slots takes no more than the weights do (or
 * FOOTPRINT_CACHE_FREE_BYTES, for small models), so that one model of a very long context does not
 * have the host to itself, never below FOOTPRINT_CONTEXT_MIN; and then as long as it does not fit
 * the limit. What passes the limit by no more than the swap allowance has a reduced context.
 *
 * Where the settings leave it to us what the engine may keep of earlier prompts, that is
 * FOOTPRINT_PROMPTS_PER_CACHE times what its slots' cache takes at most, and nothing where the
 * model makes vectors. It is the most that it is given: no model is refused for it. */
void footprint_of(const struct catalogue_model *model, const struct model_settings *settings,
        const struct footprint_room *room, struct footprint *ret_footprint);

/* How many checkpoints a slot may have, so that those of all slots take half of
 * `prompt_cache_bytes` at most, but one in any case; 0: it needs none. */
uint32_t footprint_checkpoints(uint64_t checkpoint_bytes, uint64_t prompt_cache_bytes);
