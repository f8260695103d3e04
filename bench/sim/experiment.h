/* One setup, run with several policies and seeds: every policy gets the same requests on the same
 * nodes, so that what differs is the policy. */
#pragma once

#include "bench/sim/policies/policy.h"
#include "bench/sim/report/figures.h"
#include "bench/sim/report/statistics.h"
#include "bench/sim/workload/generator.h"

enum { EXPERIMENT_SEEDS_MAX = 100 };

struct experiment {
    struct world_params world;    /* `seed` is set for each run */
    const struct workload *trace; /* NULL: the generator's */
    const struct generator_params *generator;
    double load;    /* × the sessions of the trace or the generator */
    uint32_t users; /* that the sessions of a trace belong to */
    uint64_t first_seed;
    uint32_t seeds;
    struct objective objective;
    uint32_t flood_times; /* user 0 sends so many times its share; 0 or 1: as the others */
    bool others_only;     /* user 0 does not count in the figures */
};

struct outcome { /* of one policy */
    const struct policy *policy;
    struct figures by_seed[EXPERIMENT_SEEDS_MAX];
    uint32_t seeds;
    uint32_t made, too_long; /* of these: with a made-up request; with sessions too long for one */
    uint32_t served, calm;   /* of these: with a request; with none of user 0's among them */
    double *ttft;            /* of all seeds together, sorted; malloc */
    size_t ttft_count;
};

/* -ENOMEM; -E2BIG past a limit of workloads; -ERANGE where made-up sessions are all too long, or
 * where `others_only` leaves out a user who sends nothing; or what world_run() returns. */
MUST_CHECK int experiment_run(const struct experiment *experiment, const struct policy *policy,
        struct outcome *ret_outcome, struct err *err);
void outcome_fini(struct outcome *outcome);
/* The mean of one figure over the seeds. */
struct estimate outcome_figure(const struct outcome *outcome, size_t figure);
/* How many times larger that figure of `above` is, seed by seed. */
struct estimate outcome_ratio(
        const struct outcome *above, const struct outcome *below, size_t figure);

/* The load at which the mean of a figure of `policy` comes to `wanted`, found by halving
 * EXPERIMENT_HALVINGS times between 0 and EXPERIMENT_LOAD_MAX, in steps of doubling at first. The
 * figure falls with the load, as goodput does, or grows, as `busy` does. -ERANGE: not even at
 * EXPERIMENT_LOAD_MAX, or at no load at which a request is left. */
enum { EXPERIMENT_LOAD_MAX = 64, EXPERIMENT_HALVINGS = 8 };
MUST_CHECK int experiment_find_load(const struct experiment *experiment,
        const struct policy *policy, size_t figure, double wanted, double *ret_load,
        struct err *err);
