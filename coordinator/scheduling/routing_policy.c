#include "coordinator/scheduling/routing_policy.h"

#include <string.h>

static const char *const names[ROUTING_POLICY_COUNT] = {
        [ROUTING_BEST] = "best",
        [ROUTING_ROUND_ROBIN] = "round-robin",
        [ROUTING_LEAST_REQUESTS] = "least-requests",
};

const char *routing_policy_name(enum routing_policy policy)
{
    return names[policy];
}

enum routing_policy routing_policy_named(const char *name)
{
    enum routing_policy policy = ROUTING_POLICY_COUNT - 1;
    while (policy != ROUTING_BEST && strcmp(names[policy], name) != 0)
        policy--;
    return policy;
}

static bool must_load(const struct fleet_instance *it)
{
    return it->state != INSTANCE_RESIDENT && it->state != INSTANCE_LOADING;
}

static uint32_t ahead_of(enum routing_policy policy, uint32_t pass, const struct fleet_instance *it)
{
    uint32_t promised = fleet_promised(it, pass);
    return policy == ROUTING_LEAST_REQUESTS ? it->running + promised : promised;
}

bool routing_policy_prefers(enum routing_policy policy, uint32_t pass,
        const struct fleet_instance *a, const struct fleet_instance *b)
{
    uint32_t a_ahead = ahead_of(policy, pass, a), b_ahead = ahead_of(policy, pass, b);
    if (must_load(a) != must_load(b))
        return must_load(b);
    if (a_ahead != b_ahead)
        return a_ahead < b_ahead;
    return a->last_used != b->last_used ? a->last_used < b->last_used : a->epoch < b->epoch;
}
