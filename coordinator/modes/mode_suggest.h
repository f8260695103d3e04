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
 * than its node's memory is in no mode. Speeds count by powers of two, so that a measurement does
 * not turn the order around; a model that was never measured counts as one byte a weight read at
 * SUGGEST_BANDWIDTH. Pure. */
#pragma once

#include "coordinator/instance.h"
#include "coordinator/modes/modes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUGGEST_MODELS_MAX = 256 }; /* past it the rest is not looked at */
#define SUGGEST_BANDWIDTH 200e9    /* bytes a second */

struct suggest_model { /* what all instances of it tell together */
    char name[MSG_NAME_MAX + 1];
    uint32_t capabilities; /* CAPABILITY_… of any */
    uint64_t parameters;   /* 0: not known */
    float decode_tok_s;    /* of the quickest; 0: not measured */
    bool swaps;            /* it is larger than the memory of each node that has it */
    bool seen;             /* in the last look */
};

struct suggest_models {
    struct suggest_model at[SUGGEST_MODELS_MAX]; /* in the order of names */
    size_t count;
};

/* Takes in what is there now. A model that is gone stays as it was last: its node may come back,
 * and who asks for its mode meanwhile is told that it is away, not that there is no such mode. */
void suggest_look(struct suggest_models *models, struct instance *const *instances, size_t count);
/* `ret_modes` is `derived` and has no aliases. -ENOMEM. */
MUST_CHECK int suggest_modes(
        const struct suggest_models *models, struct modes *ret_modes, struct err *err);
