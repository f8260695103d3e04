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

/* Two steps: what fills the node goes, and what a mode wants comes. The id of the first order. */
static uint64_t begin_two_steps(struct plan_bench *bench)
{
    plan_bench_say_filled(bench, 0, false);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_bench_make_plan(bench);
    plan_bench_make_plan(bench);
    return task_bench_next(&bench->bench, 0, MSG_UNLOAD).unload.order;
}

static struct task_spec spec_for_node0(enum task_kind kind)
{
    struct task_spec spec = {.kind = kind, .type_k = "", .type_v = "", .on = true};
    strcpy(spec.node, "node0");
    return spec;
}

static void a_plan_gives_way_to_people(void **state)
{
    struct plan_bench *bench = *state;
    struct task_spec drain = spec_for_node0(TASK_DRAIN);
    const struct task_facts *task;
    struct err err;
    uint64_t unload = begin_two_steps(bench);
    assert_int_equal(tasks_start(bench->tasks, &drain, &task, &err), 0);
    uint64_t order = task_bench_next(&bench->bench, 0, MSG_DRAIN).drain.order;
    plan_bench_done(bench, 0, unload, true, "gone");
    assert_true(task_bench_is_quiet(&bench->bench, 0));
    assert_int_equal(tasks_at(bench->tasks, 1)->state, TASK_FAILED);
    assert_string_equal(tasks_at(bench->tasks, 1)->message,
            "node0: \"coder\" is not loaded: people have asked for something else meanwhile; 1 of "
            "2 "
            "steps done");
    plan_bench_done(bench, 0, order, true, "drained");
    pass(bench, 2 * PLAN_KEEP_INTERVAL_MS + 2 * LOOK_MS);
    plan_bench_make_plan(bench); /* the rest is not forgotten */
    assert_int_equal(tasks_count(bench->tasks), 3);
}

static void a_plan_that_is_made_gives_way_too(void **state)
{
    struct plan_bench *bench = *state;
    struct task_spec drain = spec_for_node0(TASK_DRAIN);
    const struct task_facts *task;
    struct err err;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    plan_keeper_set(bench->keeper, true);
    pass(bench, PLAN_KEEP_SETTLE_MS + LOOK_MS);
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_count(bench->tasks), 1);
    assert_int_equal(tasks_start(bench->tasks, &drain, &task, &err), 0);
    task_bench_next(&bench->bench, 0, MSG_DRAIN);
    plan_bench_make_plan(bench);
    assert_true(task_bench_is_quiet(&bench->bench, 0));
    assert_int_equal(tasks_at(bench->tasks, 1)->state, TASK_FAILED);
    assert_non_null(strstr(tasks_at(bench->tasks, 1)->message, "people have asked"));
}

static void a_rehearsal_stops_no_plan(void **state)
{
    struct plan_bench *bench = *state;
    struct task_spec load = spec_for_node0(TASK_LOAD);
    const struct task_facts *task;
    struct err err;
    uint64_t unload = begin_two_steps(bench);
    strcpy(load.model, "coder");
    load.rehearse = true;
    assert_int_equal(tasks_start(bench->tasks, &load, &task, &err), 0);
    assert_true(task_bench_next(&bench->bench, 0, MSG_LOAD).load.rehearse);
    plan_bench_done(bench, 0, unload, true, "gone");
    plan_bench_done(bench, 0, plan_bench_load(bench, 0), true, "loaded");
    assert_string_equal(tasks_at(bench->tasks, 1)->message, "2 steps done");
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
            KEEPER_TEST(a_plan_gives_way_to_people),
            KEEPER_TEST(a_plan_that_is_made_gives_way_too),
            KEEPER_TEST(a_rehearsal_stops_no_plan),
            KEEPER_TEST(the_keeper_may_be_told_to_stop),
            KEEPER_TEST(a_failure_is_tried_again_later),
    };
    return cmocka_run_group_tests_name("plan_keeper", tests, NULL, NULL);
}
