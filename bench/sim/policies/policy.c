#include "bench/sim/policies/policy.h"

#include "bench/sim/policies/baselines.h"
#include "bench/sim/policies/modemesh.h"

#include <string.h>

#define BALANCER(title, what, its)                                                                 \
    {                                                                                              \
        .name = (title), .about = (what), .create = balancer_create, .destroy = balancer_destroy,  \
        .arrived = balancer_arrived, .first_token = balancer_first_token, .ended = balancer_ended, \
        .lost = balancer_lost, .node_down = balancer_node_down, .node_up = balancer_node_up,       \
        .balancer = &(its),                                                                        \
    }

#define MODEMESH(title, what, ...)                                                                 \
    {                                                                                              \
        .name = (title), .about = (what), .create = modemesh_create, .destroy = modemesh_destroy,  \
        .arrived = modemesh_arrived, .first_token = modemesh_first_token, .ended = modemesh_ended, \
        .lost = modemesh_lost, .node_down = modemesh_node_down, .node_up = modemesh_node_up,       \
        .terms = &(const struct modemesh_terms){__VA_ARGS__},                                      \
    }

static const struct policy policies[] = {
        MODEMESH("modemesh", "the coordinator's own scheduling", .early = false),
        BALANCER("round-robin", "the nodes in turn", baseline_round_robin),
        BALANCER("port-per-mode", "each session's mode has one machine, spread evenly",
                baseline_port_per_mode),
        BALANCER("port-by-speed", "… and machines have modes by their speed",
                baseline_port_by_speed),
        BALANCER("least-requests", "the fewest requests", baseline_least_requests),
        BALANCER("power-of-two", "of two drawn by lot the one with fewer requests",
                baseline_power_of_two),
        BALANCER("bounded-hash", "consistent hashing of sessions, load at most 1.25 x the mean",
                baseline_bounded_hash),
        BALANCER("hash-by-speed", "… with points and bounds by a node's prefill speed",
                baseline_hash_by_speed),
        BALANCER("speed-weighted", "the fewest requests for a node's prefill speed",
                baseline_speed_weighted),
        BALANCER("lmetric", "prompt tokens to compute x requests", baseline_lmetric),
        BALANCER("dynamo", "blocks of prompts to compute + blocks in use", baseline_dynamo),
        MODEMESH("no-prompts", "modemesh without what nodes hold of a prompt", .no_prompts = true),
        MODEMESH("no-speeds", "modemesh taking all nodes to be of the mean speed",
                .no_speeds = true),
        MODEMESH("no-decode", "modemesh without the cost of decoding", .no_decode = true),
        MODEMESH("no-interference", "modemesh without what a prefill takes from others",
                .no_interference = true),
        MODEMESH("no-session", "modemesh without staying where a conversation was",
                .no_session = true),
        MODEMESH("no-affinity", "modemesh with neither: no prompts, no session", .no_prompts = true,
                .no_session = true),
        MODEMESH("early", "modemesh sending to the chosen node at once", .early = true),
        MODEMESH("unfair", "modemesh with one key for all users", .unfair = true),
};

const struct policy *policy_at(size_t index)
{
    return index < sizeof(policies) / sizeof(policies[0]) ? &policies[index] : NULL;
}

const struct policy *policy_find(const char *name)
{
    for (size_t i = 0; policy_at(i); i++)
        if (strcmp(policies[i].name, name) == 0)
            return &policies[i];
    return NULL;
}
