/* The coordinator's own scheduling in the simulated world: the same cost, routing, fleet, prefix
 * index, fair queue and learning of rates as live requests take, fed with what a coordinator would
 * hear. What it knows of the world is no more than that: what is told of a node's speed at first,
 * then the timings that engines give with each answer; of a prompt where it has sent it; of an
 * answer's length what answers had in the mean so far.
 *
 * Variants leave out one term each, to show what it is good for. */
#pragma once

#include "bench/sim/policies/policy.h"

struct modemesh_terms {
    bool no_prompts;      /* what nodes hold of a prompt counts as nothing */
    bool no_speeds;       /* every node is taken to be as fast as the mean */
    bool no_decode;       /* β = 0 */
    bool no_interference; /* γ = 0 */
    bool no_session;      /* a conversation does not stay where it was */
    bool early;           /* sent to the chosen node at once, where it waits */
    bool unfair;          /* one key for all users */
};

int modemesh_create(const struct policy *policy, struct world *world, void **ret_state);
void modemesh_destroy(void *state);
void modemesh_arrived(void *state, struct job *job);
void modemesh_first_token(void *state, struct job *job);
void modemesh_ended(void *state, struct job *job);
void modemesh_lost(void *state, struct job *job);
void modemesh_node_down(void *state, uint32_t node);
void modemesh_node_up(void *state, uint32_t node);
