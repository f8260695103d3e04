#include "coordinator/router/explanation.h"

#include "coordinator/router/why.h"
#include "proto/capability.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- the rows, in order --- */

bool explanation_is_chosen(const struct explanation *explanation, const struct explanation_row *row)
{
    return row->entry == explanation->plan.routing.instance;
}

/* Less than 0: `a` stands before `b`. No two rows are alike in all of this. */
static int compare_names(const struct explanation_row *a, const struct explanation_row *b)
{
    const struct instance *one = router_instance(a->entry), *other = router_instance(b->entry);
    int by_node = strcmp(one->node, other->node), by_model = strcmp(one->model, other->model);
    if (by_node || by_model)
        return by_node ? by_node : by_model;
    return one->epoch < other->epoch ? -1 : 1;
}

static bool is_before(const struct explanation *explanation, const struct explanation_row *a,
        const struct explanation_row *b)
{
    bool a_chosen = explanation_is_chosen(explanation, a);
    if (a_chosen || explanation_is_chosen(explanation, b))
        return a_chosen;
    if (a->feasible != b->feasible)
        return a->feasible;
    if (a->feasible && (a->cost.total_s < b->cost.total_s || a->cost.total_s > b->cost.total_s))
        return a->cost.total_s < b->cost.total_s;
    if (!a->feasible && a->refusal != b->refusal)
        return a->refusal > b->refusal;
    return compare_names(a, b) < 0;
}

static void insert(struct explanation *explanation, const struct explanation_row *row)
{
    size_t at = explanation->row_count;
    while (at > 0 && is_before(explanation, row, &explanation->rows[at - 1]))
        at--;
    bool full = explanation->row_count == EXPLANATION_ROWS_MAX;
    explanation->left_out += full;
    if (at == EXPLANATION_ROWS_MAX)
        return;
    size_t behind = explanation->row_count - at - full;
    memmove(&explanation->rows[at + 1], &explanation->rows[at],
            behind * sizeof(explanation->rows[0]));
    explanation->rows[at] = *row;
    explanation->row_count += !full;
}

static void look(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    struct explanation *explanation = ctx;
    struct explanation_row row = {.entry = instance,
            .option = option,
            .refusal = refusal,
            .feasible = cost != NULL,
            .held_tokens = held_tokens};
    if (cost)
        row.cost = *cost;
    insert(explanation, &row);
    struct explanation_row *first = &explanation->first[option];
    if (!first->entry || is_before(explanation, &row, first))
        *first = row;
}

/* Asked twice: which one is chosen says where the rows stand. */
int explanation_make(
        struct router *router, const struct router_ask *ask, struct explanation *ret_explanation)
{
    struct router_plan again;
    ret_explanation->row_count = ret_explanation->left_out = 0;
    ret_explanation->needs = ask->needs;
    memset(ret_explanation->first, 0, sizeof(ret_explanation->first));
    int r = router_choose(router, ask, &ret_explanation->plan);
    return r ? r : router_explain(router, ask, look, ret_explanation, &again);
}

/* --- the sentences --- */

/* Of what the loser costs more, the largest part. */
static const char *worst_term(const struct cost *loser, const struct cost *chosen)
{
    size_t worst = 0;
    double most_s = -INFINITY;
    for (size_t i = 0; i < COST_TERM_COUNT; i++) {
        double more_s = cost_term_s(loser, i) - cost_term_s(chosen, i);
        if (more_s > most_s) {
            most_s = more_s;
            worst = i;
        }
    }
    return strcmp(cost_terms[worst].name, "round_trip") == 0 ? "round trip"
                                                             : cost_terms[worst].name;
}

/* An instance may have no room though a slot is free: it still computes much, or the slot is kept
 * for others. */
static bool has_slot(const struct explanation_row *row)
{
    uint32_t slots = row->entry->slots ? row->entry->slots : 1;
    return row->entry->running < slots;
}

/* Why one that costs about the same is not taken; NULL: it costs more all the same. */
static const char *why_no_tie(const struct routing_plan *plan, const struct explanation_row *row)
{
    if (row->refusal == REFUSAL_FULL && plan->verdict == ROUTING_RUN)
        return has_slot(row) ? "as good, and has no room just now" : "as good, and full";
    return row->entry->last_used > plan->instance->last_used
                   ? "as good, and was given a request more recently"
                   : NULL;
}

static bool only_stands_in(const struct router_plan *plan, const struct explanation_row *row)
{
    return plan->named_count && row->option >= plan->named_count && !plan->stands_in;
}

/* Why another was taken by a policy that knows no costs. */
static const char *why_not_by_policy(
        const struct routing_plan *plan, const struct explanation_row *row)
{
    if (row->option != plan->option)
        return "a model that is liked better can answer";
    return plan->policy == ROUTING_ROUND_ROBIN
                   ? "its turn comes later"
                   : "as many requests or more, or its turn comes later";
}

static void say_lost(const struct explanation *explanation, const struct explanation_row *row,
        char why[EXPLANATION_WHY_MAX])
{
    const struct routing_plan *plan = &explanation->plan.routing;
    double more_s = row->cost.total_s - plan->cost.total_s;
    const char *no_room = has_slot(row) ? ", and it has no room just now" : ", and it is full";
    const char *full = row->refusal == REFUSAL_FULL ? no_room : "";
    const char *tie = more_s <= ROUTING_TIE_S ? why_no_tie(plan, row) : NULL;
    if (plan->policy != ROUTING_BEST)
        snprintf(why, EXPLANATION_WHY_MAX, "%s (routing: %s)%s", why_not_by_policy(plan, row),
                routing_policy_name(plan->policy), full);
    else if (plan->stayed && more_s < 0)
        snprintf(why, EXPLANATION_WHY_MAX, "%.2f s less: too little to leave the conversation's%s",
                -more_s, full);
    else if (only_stands_in(&explanation->plan, row) && more_s <= ROUTING_TIE_S)
        snprintf(why, EXPLANATION_WHY_MAX, "%.2f s less: too little to stand in%s",
                fmax(-more_s, 0), full);
    else if (tie)
        snprintf(why, EXPLANATION_WHY_MAX, "%s", tie);
    else
        snprintf(why, EXPLANATION_WHY_MAX, "%.2f s more, most of it %s%s", more_s,
                worst_term(&row->cost, &plan->cost), full);
}

static void say_refused(const struct explanation *explanation, const struct explanation_row *row,
        char why[EXPLANATION_WHY_MAX])
{
    const char *name = refusal_name(row->refusal);
    uint32_t lacking = explanation->needs & ~refusal_abilities(row->entry);
    if (row->refusal == REFUSAL_CONTEXT)
        snprintf(why, EXPLANATION_WHY_MAX, "%s: %u tokens", name, row->entry->context);
    else if (row->refusal == REFUSAL_LACKS)
        snprintf(why, EXPLANATION_WHY_MAX, "cannot %s", capability_lack_name(lacking));
    else
        snprintf(why, EXPLANATION_WHY_MAX, "%s", name);
}

static void say_chosen(const struct routing_plan *plan, const struct explanation_row *row,
        char why[EXPLANATION_WHY_MAX])
{
    const char *awaits = has_slot(row) ? "others wait for the slot that is free" : "full now";
    if (plan->verdict == ROUTING_RUN)
        snprintf(why, EXPLANATION_WHY_MAX, "chosen: %s", why_there(plan));
    else
        snprintf(why, EXPLANATION_WHY_MAX, "chosen, and %s",
                plan->slot_there ? "it waits for its turn" : awaits);
}

const char *explanation_why(const struct explanation *explanation,
        const struct explanation_row *row, char why[EXPLANATION_WHY_MAX])
{
    const struct routing_plan *plan = &explanation->plan.routing;
    if (!row->feasible)
        say_refused(explanation, row, why);
    else if (!explanation_is_chosen(explanation, row))
        say_lost(explanation, row, why);
    else
        say_chosen(plan, row, why);
    return why;
}
