#include "coordinator/deploy/plan_keeper.h"

#include "coordinator/plan/plan_keep.h"
#include "tests/lib/plan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

enum { LOOK_MS = PLAN_KEEPER_LOOK_MS };

/* Looks once a second for so long. */
static void pass(struct plan_bench *bench, uint64_t ms)
{
    for (uint64_t gone_ms = 0; gone_ms < ms; gone_ms += LOOK_MS) {
        virtual_env_advance_ms(&bench->bench.mesh.env, LOOK_MS);
        plan_keeper_tick(bench->keeper);
    }
}

static void the_keeper_carries_out_what_is_planned(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    pass(bench, 2 * PLAN_KEEP_SETTLE_MS);
    assert_int_equal(tasks_count(bench->tasks), 0);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_bench_make_plan(bench); /* that there is something to do … */
    assert_int_equal(tasks_count(bench->tasks), 1);
    assert_true(tasks_at(bench->tasks, 0)->spec.automatic);
    plan_bench_make_plan(bench); /* … and what */
    plan_bench_done(bench, 0, plan_bench_load(bench, 0), true, "loaded");
    assert_int_equal(tasks_at(bench->tasks, 0)->state, TASK_DONE);
    plan_bench_say(bench, 0, INSTANCE_RESIDENT);
    pass(bench, PLAN_KEEP_INTERVAL_MS + PLAN_KEEP_SETTLE_MS);
    plan_bench_make_plan(bench); /* there is nothing more to do */
    assert_int_equal(tasks_count(bench->tasks), 1);
}

static void the_keeper_leaves_people_alone(void **state)
{
    struct plan_bench *bench = *state;
    struct task_spec drain = {.kind = TASK_DRAIN, .type_k = "", .type_v = "", .on = true};
    const struct task_facts *task;
    struct err err;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    plan_bench_say(bench, 1, INSTANCE_AVAILABLE);
    strcpy(drain.node, "node1");
    plan_keeper_set(bench->keeper, true);
    assert_int_equal(tasks_start(bench->tasks, &drain, &task, &err), 0);
    pass(bench, 60 * LOOK_MS);
    assert_int_equal(tasks_count(bench->tasks), 1);
    plan_bench_done(bench, 1, task_bench_next(&bench->bench, 1, MSG_DRAIN).drain.order, true, "");
    pass(bench, LOOK_MS);
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_count(bench->tasks), 2);
}

static void the_keeper_does_not_undo_what_people_ask_for(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say_filled(bench, 0, true);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_count(bench->tasks), 0);
    plan_bench_say_filled(bench, 0, false);
    pass(bench, PLAN_KEEP_INTERVAL_MS + LOOK_MS);
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_count(bench->tasks), 1);
    plan_bench_make_plan(bench);
    assert_string_equal(task_bench_next(&bench->bench, 0, MSG_UNLOAD).unload.model, "other");
}

static void the_keeper_may_be_told_to_stop(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_keeper_set(bench->keeper, false);
    plan_bench_make_plan(bench);
    pass(bench, 60 * LOOK_MS);
    assert_int_equal(tasks_count(bench->tasks), 0);
}

static void a_failure_is_tried_again_later(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_bench_make_plan(bench);
    plan_bench_make_plan(bench);
    plan_bench_done(bench, 0, plan_bench_load(bench, 0), false, "others have the memory");
    pass(bench, PLAN_KEEP_INTERVAL_MS);
    assert_int_equal(tasks_count(bench->tasks), 1);
    pass(bench, PLAN_KEEP_INTERVAL_MS + 2 * LOOK_MS);
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_count(bench->tasks), 2);
}

#define KEEPER_TEST(f) cmocka_unit_test_setup_teardown(f, plan_bench_set_up, plan_bench_tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            KEEPER_TEST(the_keeper_carries_out_what_is_planned),
            KEEPER_TEST(the_keeper_leaves_people_alone),
            KEEPER_TEST(the_keeper_does_not_undo_what_people_ask_for),
            KEEPER_TEST(the_keeper_may_be_told_to_stop),
            KEEPER_TEST(a_failure_is_tried_again_later),
    };
    return cmocka_run_group_tests_name("plan_keeper", tests, NULL, NULL);
}
