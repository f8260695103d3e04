/* Modes from what the nodes have, for a config that has none: which models there are, by what their
 * files and engines tell, and which of them suits which mode. Names and order follow from the
 * models alone, so that a look that finds the same models gives the same modes.
 *
 *   ask           who chats, the quickest first
 *   code          … those with code in their name first, then the largest
 *   architect     … those that reason first, then the largest
 *   debug         likewise
 *   orchestrator  … the one of middle size first, then what is larger; planning: architect's first,
 *                 where that reasons
 *   autocomplete  who fills in the middle, the smallest first
 *   embed         who makes embeddings: the largest alone, as vectors of two models do not compare
 *   rerank        who ranks, the largest first
 *
 * What is autocomplete's first comes last where people wait for sentences. A model that is larger
 * than its node's memory is in no mode.
 *
 * How quick a model is counts by powers of two behind the quickest that chats, so that of those
 * about as quick the largest comes first. All are compared on the same footing: one that was
 * measured by the best that was, as a busy hour or an engine's end makes no model slower, another
 * by the parameters that a token goes through, of which as many are done in a second as the
 * measured ones do in the mean. So the first measurement changes no order, and later ones only
 * where they contradict it clearly: a model stays where it is until it is half a power of two
 * beyond its place. Pure. */
#pragma once

#include "coordinator/instance.h"
#include "coordinator/modes/modes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUGGEST_PARAMETERS_S 200e9 /* done in a second, where no model was measured yet */
#define SUGGEST_SLACK        0.5   /* powers of two */

enum { SUGGEST_MODELS_MAX = 256 }; /* past it what is gone is forgotten, then the rest left out */

struct suggest_model { /* what all instances of it tell together */
    char name[MSG_NAME_MAX + 1];
    uint32_t capabilities; /* CAPABILITY_… of any */
    uint64_t parameters;   /* 0: not known */
    double active_share;   /* of the parameters, that a token goes through */
    float decode_tok_s;    /* of the quickest, the best in all looks; 0: not measured */
    uint8_t slower;        /* by so many powers of two than the quickest, as it is placed … */
    bool placed;           /* … in a look before */
    bool swaps;            /* it is larger than the memory of each node that has it */
    bool seen;             /* in the last look */
};

struct suggest_models {
    struct suggest_model at[SUGGEST_MODELS_MAX]; /* in the order of names */
    size_t count;
};

/* Takes in what is there now. A model that is gone stays as it was last: its node may come back,
 * and who asks for its mode meanwhile is told that it is away, not that there is no such mode. Only
 * where SUGGEST_MODELS_MAX are known does it leave its place to one that is there. */
void suggest_look(struct suggest_models *models, struct instance *const *instances, size_t count);
/* `ret_modes` is `derived` and has no aliases. -ENOMEM. */
MUST_CHECK int suggest_modes(
        const struct suggest_models *models, struct modes *ret_modes, struct err *err);
