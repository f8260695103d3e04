#include "coordinator/router/why.h"

#include <stdio.h>

static const char *const waits[REFUSAL_COUNT] = {
        [REFUSAL_AVOIDED] = "it failed on the only instance: tried again shortly",
        [REFUSAL_UNUSABLE] = "each node that has the model is away, or draining",
        [REFUSAL_SILENT] = "its node is silent: back in a moment, or gone",
        [REFUSAL_STOPPING] = "the engine is being stopped",
        [REFUSAL_FAILED] = "the engine is being restarted",
        [REFUSAL_FULL] = "every instance that could serve it soon is full",
};

static const char *const refusals[REFUSAL_COUNT] = {
        [REFUSAL_NONE] = "no connected node has the model",
        [REFUSAL_LACKS] = "no connected node has a model that can do that",
        [REFUSAL_QUALITY] = "no connected node has a model as good as the mode asks for",
        [REFUSAL_BATCH_ONLY] = ("the model is larger than its node's memory: only modes with "
                                "batch: true may use it"),
        [REFUSAL_CONTEXT] = "prompt and answer are longer than the context of each node",
        [REFUSAL_AVOIDED] = "it failed on every node that has the model",
        [REFUSAL_UNUSABLE] = "each node that has the model is draining",
        [REFUSAL_NO_FIT] = "the model is larger than the memory limit of each node that has it",
};

const char *why_awaited(enum awaited state)
{
    static const char *const words[] = {[AWAITED_NONE] = "",
            [AWAITED_AWAY] = "is away",
            [AWAITED_BACK] = "is back, and has not told of the model yet",
            [AWAITED_DRAINING] = "is draining"};
    return words[state];
}

const char *why_not(const struct routing_plan *plan)
{
    bool waits_for = plan->verdict == ROUTING_WAIT;
    const char *sentence = (waits_for ? waits : refusals)[plan->refusal];
    if (plan->refusal == REFUSAL_LACKS && plan->absent == 0)
        return "no model that may answer can do that";
    if (waits_for && plan->slot_free && plan->refusal == REFUSAL_FULL)
        return plan->slot_there ? "a slot is free, and its turn has not come"
                                : "another has a slot free, and costs more than to wait";
    return sentence ? sentence : "no instance takes it now";
}

void why_not_full(const struct router_plan *plan, char *text, size_t size)
{
    const struct router_awaited *awaited = &plan->awaited;
    if (awaited->state)
        snprintf(text, size, "%s, which has the model, %s", awaited->node,
                why_awaited(awaited->state));
    else if (plan->far_too_long)
        snprintf(text, size,
                "the prompt has about %.0f tokens, and the longest context, that of %.64s, is %u",
                plan->prompt_tokens, plan->longest, plan->routing.context_max);
    else if (plan->routing.refusal == REFUSAL_CONTEXT && plan->routing.context_max > 0)
        snprintf(text, size, "%s, of at most %u tokens", why_not(&plan->routing),
                plan->routing.context_max);
    else
        snprintf(text, size, "%s", why_not(&plan->routing));
}

const char *why_too_long(const struct router_plan *plan)
{
    if (!plan->instance || plan->prompt_tokens >= plan->whole_tokens)
        return NULL;
    return "longer than every context: its engine counts the tokens, and refuses what it cannot "
           "hold";
}

const char *why_there(const struct routing_plan *plan)
{
    const struct fleet_instance *instance = plan->instance;
    if (instance->state == INSTANCE_LOADING)
        return "being loaded";
    if (instance->state != INSTANCE_RESIDENT)
        return "not loaded there yet: the node loads it";
    if (plan->policy == ROUTING_ROUND_ROBIN)
        return "its turn (routing: round-robin)";
    if (plan->policy == ROUTING_LEAST_REQUESTS)
        return "the fewest requests (routing: least-requests)";
    if (plan->stayed)
        return "the instance of its conversation";
    return plan->feasible > 1 ? "the instance that costs least" : "the only instance";
}
