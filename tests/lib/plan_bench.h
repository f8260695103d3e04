/* A coordinator that plans, over a mesh without sockets: two nodes that the test plays, one mode,
 * plans made on a real work queue. What fails that should not fails the test. */
#pragma once

#include "coordinator/deploy/plan_keeper.h"
#include "coordinator/plan/planner.h"
#include "tests/lib/task_bench.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_bench {
    struct task_bench bench; /* its own tasks know of no plans */
    struct loop loop;
    struct planner *planner;
    struct tasks *tasks;
    struct plan_keeper *keeper;
};

/* Setup and teardown of a cmocka test, whose state it is. */
int plan_bench_set_up(void **state);
int plan_bench_tear_down(void **state);

/* The node comes in, if it is not there, and says of the only model of the only mode how it is
 * there: it has room for it. */
void plan_bench_say(struct plan_bench *bench, size_t node, enum instance_state model_state);
/* A model that no mode names fills the node, which has the other one on its disk only; it answers
 * somebody, or not. */
void plan_bench_say_filled(struct plan_bench *bench, size_t node, bool busy);
/* The work queue's part: one plan is made. */
void plan_bench_make_plan(struct plan_bench *bench);
/* The id of the next order to the node, which must be a LOAD. */
uint64_t plan_bench_load(struct plan_bench *bench, size_t node);
void plan_bench_done(
        struct plan_bench *bench, size_t node, uint64_t order, bool ok, const char *message);
