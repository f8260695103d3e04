/* What tests of the node's streams stand on: a loop, a clock, and a supervisor with puppet engines
 * and the models "m" and "other" in 8 GiB. One at a time. */
#pragma once

#include "common/loop.h"
#include "node/residency/supervisor.h"
#include "tests/lib/puppet.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

struct node_bench {
    struct loop loop;
    struct virtual_env world;
    struct scratch scratch;
    struct supervisor *supervisor;
    void (*on_change)(void *ctx, const char *model); /* may be NULL */
    void *ctx;
};

void node_bench_init(struct node_bench *bench);
/* Every stream is over; engines that still run are stopped. */
void node_bench_fini(struct node_bench *bench);

/* So much of the host's memory is free from now on; at first all is. */
void node_bench_set_free(struct node_bench *bench, uint64_t bytes);
/* Moves the clock and lets the supervisor do what is due. */
void node_bench_tick(struct node_bench *bench, uint64_t ms);
/* Loads "m", with 2 slots, for a moment's request. */
void node_bench_load(struct node_bench *bench);
