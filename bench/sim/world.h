/* The simulated world: nodes, the requests of a workload, and one policy between them, on a virtual
 * clock. The same parameters, workload and seed give the same run. What a policy may call is here
 * too. */
#pragma once

#include "bench/sim/nodes/node.h"
#include "bench/sim/workload/chance.h"
#include "bench/sim/workload/workload.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORLD_NODES_MAX = 1000,
    WORLD_VAIN_MAX = 1000,               /* deaths amid one prompt, one after the other */
    WORLD_DEATHS_MAX = 10 * 1000 * 1000, /* … of all nodes together, in one run */
};
#define WORLD_NOWHERE UINT32_MAX

struct world_params {
    const struct node_params *nodes; /* `node_count`; borrowed as long as the world is there */
    uint32_t node_count;
    uint64_t seed;
    double rate_error;  /* what is told of a node's speed is off by up to this share, 0 … < 1 */
    double index_share; /* of a node's cache that what is known of prompts has room for; 1: all */
    double index_lag_s; /* … and how late it hears of a prompt */
    double mtbf_s;      /* mean time from a node's start to its death; 0: it does not die */
    double repair_s;    /* … and from there to its start, before it loads its model */
    double missed_s;    /* until its death is noticed */
};

struct job { /* a request in this world */
    struct node_task task;
    const struct work *work;
    uint32_t node;     /* it was sent to; WORLD_NOWHERE: to none, or that has died */
    uint32_t tries;    /* times that it was sent */
    uint32_t vain;     /* … and its node died amid its prompt, since it last had a token */
    double first_s;    /* its first token; negative: it has had none */
    double end_s;      /* its last token; negative: it has not ended */
    uint64_t computed; /* tokens of prompts, in all tries */
    uint64_t wanted;   /* … that would have been without a cache */
    struct job *next;  /* the policy's own, while the job waits with it */
};

struct policy;
struct world;

struct world_tally { /* of a run that is over */
    double end_s;
    double busy_s; /* of all nodes together */
    uint32_t deaths;
};

/* -ENOMEM. `workload` is borrowed. */
MUST_CHECK int sim_world_create(const struct world_params *params, const struct workload *workload,
        const struct policy *policy, struct world **ret_world);
void sim_world_destroy(struct world *world); /* takes NULL */

/* Until every request has ended. -ENOMEM; -EPROTO where the policy leaves requests lying;
 * -ETIMEDOUT past WORLD_VAIN_MAX or WORLD_DEATHS_MAX, as it might never end. */
MUST_CHECK int world_run(struct world *world, struct err *err);
const struct job *world_job(const struct world *world, size_t index);
size_t world_job_count(const struct world *world);
struct world_tally world_tally(const struct world *world);

/* For policies. */
double world_now_s(const struct world *world);
uint32_t world_node_count(const struct world *world);
/* What is told of a node before its first request. */
const struct node_params *world_told(const struct world *world, uint32_t node);
const struct world_params *world_params(const struct world *world);
const struct workload *world_workload(const struct world *world);
/* The policy's own randomness. */
struct chance *world_chance(struct world *world);
/* `job` is nowhere. Sent to a node that has died unnoticed, it is lost when that is noticed. */
void world_send(struct world *world, struct job *job, uint32_t node);
/* The run ends with this failure. */
void world_fail(struct world *world, int failure);
