/* By what one of the instances that can take a request is chosen: by the least cost (routing.h),
 * or, for who wants to compare, as load balancers choose that know neither speeds nor prompts.
 * Those two look only at the instances of the model that is liked best of those that have one; one
 * that has to be loaded first comes behind all that are there. Pure. */
#pragma once

#include "coordinator/scheduling/fleet.h"

#include <stdbool.h>
#include <stdint.h>

enum routing_policy {
    ROUTING_BEST,
    ROUTING_ROUND_ROBIN,    /* each in turn; past one that others wait for */
    ROUTING_LEAST_REQUESTS, /* which has the fewest, with those that wait for it; of equal ones in
                               turn */
    ROUTING_POLICY_COUNT,
};

/* As the setting has it: "best", "round-robin", "least-requests". */
const char *routing_policy_name(enum routing_policy policy);
/* ROUTING_BEST for a name that is none of these. */
enum routing_policy routing_policy_named(const char *name);
/* Whether a policy that is not ROUTING_BEST takes `a` rather than `b`; `pass` is the fleet's. No
 * two instances of a model are equal in it. */
bool routing_policy_prefers(enum routing_policy policy, uint32_t pass,
        const struct fleet_instance *a, const struct fleet_instance *b);
