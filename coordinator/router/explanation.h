/* A decision told in full, for people: every instance that a request may go to, what it would cost
 * there, which one is chosen, and in a sentence why each of the others is not. It is the decision
 * of live requests itself (router_explain()); the best EXPLANATION_ROWS_MAX instances are kept.
 * Pure. */
#pragma once

#include "coordinator/router/router.h"

enum {
    EXPLANATION_ROWS_MAX = 200,
    EXPLANATION_WHY_MAX = 160, /* bytes of a sentence */
};

struct explanation_row {
    const struct fleet_instance *entry;
    size_t option; /* in the ask's models */
    enum refusal refusal;
    bool feasible;
    struct cost cost;   /* where it is */
    double held_tokens; /* of the prompt's beginning */
};

struct explanation {
    struct router_plan plan;
    uint32_t needs; /* of the ask */
    /* The one that is chosen, the others by what they cost, then those that cannot take it, by how
     * close they come; whatever the order of nodes. */
    struct explanation_row rows[EXPLANATION_ROWS_MAX];
    size_t row_count;
    size_t left_out; /* instances beyond these */
    /* Of each of the ask's models that row which would stand before its others; `entry` NULL: it
     * has none. */
    struct explanation_row first[ROUTING_OPTIONS_MAX];
};

/* Borrows from the router until an instance comes or goes. -ENOMEM. */
MUST_CHECK int explanation_make(
        struct router *router, const struct router_ask *ask, struct explanation *ret_explanation);
bool explanation_is_chosen(
        const struct explanation *explanation, const struct explanation_row *row);
/* Why it was chosen, refused, or lost, and by which term of the cost. Returns `why`. */
const char *explanation_why(const struct explanation *explanation,
        const struct explanation_row *row, char why[EXPLANATION_WHY_MAX]);
