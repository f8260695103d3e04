/* What `modemesh fit` finds out: each model alone at each context, and which of them stand beside
 * each other. Pure. */
#pragma once

#include "cli/fit/fit_models.h"
#include "common/model/combinations.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fit_cell { /* one model at one context */
    struct model_memory memory;
    bool fits;   /* with the margin */
    bool beyond; /* more tokens than the model was trained for */
};

struct fit_row { /* one model */
    struct fit_cell cells[FIT_CONTEXTS_MAX];
    uint32_t longest; /* of the contexts asked for, the longest that fits; 0: none */
    uint32_t largest; /* largest context at all, within the trained one; 0: none */
};

struct fit_set {      /* models that fit beside each other, and no other fits with them */
    uint16_t members; /* bit i: candidates[i] of the answer */
    uint64_t total_bytes, left_bytes;
    uint32_t largest; /* context for each of them */
};

struct fit_answer {
    struct fit_row *rows; /* as the models are listed */
    /* Those that fit alone with the context `together` (or all that they were trained for), by
     * their places in the list; at most COMBINATIONS_MODELS_MAX, else none and `too_many`. */
    size_t candidates[COMBINATIONS_MODELS_MAX];
    size_t candidate_count;
    bool too_many;
    struct fit_set *sets;
    size_t set_count;
};

/* `models` has at least one. -ENOMEM. */
MUST_CHECK int fit_answer_create(const struct fit_models *models, const struct fit_ask *ask,
        struct fit_answer **ret_answer, struct err *err);
/* Takes NULL. */
void fit_answer_destroy(struct fit_answer *answer);
