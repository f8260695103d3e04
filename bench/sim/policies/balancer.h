/* Policies that send each request on as it comes, and let it wait in the queue of its node, as
 * proxies and routers do: a baseline is what it keeps, and a function that names a node. What all
 * of them know is counted here: of each node the requests, the prompts that it still has to
 * compute, the blocks in use; and, where a baseline asks for it, how much of the prompt each node
 * holds, by the same index as the coordinator's (known_prompts.h). */
#pragma once

#include "bench/sim/policies/policy.h"

struct balancer_node {
    const struct node_params *told;
    bool up;
    uint32_t requests;     /* sent there and not ended */
    double prefill_tokens; /* of those without a first token, less what was thought to be held */
};

struct balancer_view {
    const struct balancer_node *nodes; /* `count`; at least one is up */
    uint32_t count;
    const uint32_t *held_blocks; /* of this prompt, by each node; NULL unless `uses_prompts` */
    const uint32_t *new_blocks;  /* … that no request on it uses; NULL unless `uses_blocks` */
    const uint32_t *used_blocks; /* by the requests of each node, shared ones once; as above */
    struct chance *chance;
};

struct balancer {
    bool uses_prompts, uses_blocks;
    /* Both may be NULL. -ENOMEM. */
    MUST_CHECK int (*create)(const struct world *world, void **ret_own);
    void (*destroy)(void *own);
    /* A node that is up, or WORLD_NOWHERE: it has to wait until another comes up. */
    uint32_t (*choose)(void *own, const struct balancer_view *view, const struct job *job);
};

int balancer_create(const struct policy *policy, struct world *world, void **ret_state);
void balancer_destroy(void *state);
void balancer_arrived(void *state, struct job *job);
void balancer_first_token(void *state, struct job *job);
void balancer_ended(void *state, struct job *job);
void balancer_lost(void *state, struct job *job);
void balancer_node_down(void *state, uint32_t node);
void balancer_node_up(void *state, uint32_t node);

/* Tokens of the prompt that would have to be computed there. */
double balancer_new_tokens(const struct balancer_view *view, const struct job *job, uint32_t node);
