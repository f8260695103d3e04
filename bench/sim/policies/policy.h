/* A way to choose nodes, as the simulated world sees it: it is told what happens and sends jobs to
 * nodes (world_send()). All that it knows of a node is what world_told() says, what it has sent
 * there itself, and what has come back. A failure inside one is told by world_fail(). */
#pragma once

#include "bench/sim/world.h"

struct balancer;
struct modemesh_terms;

struct policy {
    const char *name;  /* as --policy takes it */
    const char *about; /* one line */
    MUST_CHECK int (*create)(
            const struct policy *policy, struct world *world, void **ret_state); /* -ENOMEM */
    void (*destroy)(void *state);
    /* It is to be sent somewhere, now or later: a new one, or one that was lost with its node. */
    void (*arrived)(void *state, struct job *job);
    void (*first_token)(void *state, struct job *job);
    /* `job->task` says what the engine told. */
    void (*ended)(void *state, struct job *job);
    /* Its node has died, which is noticed now; arrived() comes next. */
    void (*lost)(void *state, struct job *job);
    void (*node_down)(void *state, uint32_t node); /* noticed now; before lost() of its jobs */
    void (*node_up)(void *state, uint32_t node);   /* model loaded, nothing cached */
    const struct balancer *balancer;               /* of those that send at once; else NULL */
    const struct modemesh_terms *terms;            /* of modemesh and its variants; else NULL */
};

/* NULL: none has that name. */
const struct policy *policy_find(const char *name);
/* The n-th; NULL past the last. */
const struct policy *policy_at(size_t index);
