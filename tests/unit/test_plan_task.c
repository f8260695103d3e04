#include "coordinator/deploy/plan_task.h"

#include "coordinator/api/operations.h"
#include "tests/lib/plan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

enum { ANSWER_MAX = 4096 };

static const struct task_facts *start(struct plan_bench *bench)
{
    const struct task_spec spec = {.kind = TASK_PLAN, .type_k = "", .type_v = ""};
    const struct task_facts *task;
    struct err err;
    if (tasks_start(bench->tasks, &spec, &task, &err))
        fail_msg("%s", err.text);
    return task;
}

static void a_plan_is_an_operation(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    const struct task_facts *task = start(bench);
    assert_string_equal(task_kind_name(task->spec.kind), "plan");
    assert_int_equal(task->state, TASK_RUNNING);
    plan_bench_make_plan(bench);
    uint64_t order = plan_bench_load(bench, 0);
    assert_string_equal(task->progress, "node0: load \"coder\" (step 1 of 1): for code");
    tasks_tick(bench->tasks);
    plan_bench_done(bench, 0, order, true, "loaded");
    assert_int_equal(task->state, TASK_DONE);
    assert_string_equal(task->message, "1 step done");
    tasks_tick(bench->tasks);
}

static void a_plan_with_nothing_to_do_is_done(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_RESIDENT);
    const struct task_facts *task = start(bench);
    plan_bench_make_plan(bench);
    assert_int_equal(task->state, TASK_DONE);
    assert_string_equal(task->message, "nothing was to be done");
}

static void a_step_that_fails_fails_it(void **state)
{
    struct plan_bench *bench = *state;
    plan_bench_say(bench, 0, INSTANCE_AVAILABLE);
    const struct task_facts *task = start(bench);
    plan_bench_make_plan(bench);
    plan_bench_done(bench, 0, plan_bench_load(bench, 0), false, "no memory");
    assert_int_equal(task->state, TASK_FAILED);
    assert_string_equal(
            task->message, "node0: \"coder\" is not loaded: no memory; 0 of 1 steps done");
}

static void it_is_begun_over_http(void **state)
{
    struct plan_bench *bench = *state;
    const struct operations operations = {.tasks = bench->tasks};
    const char *allowed;
    const struct operation *operation = operation_find("POST", "/mesh/v1/plan", &allowed);
    cJSON *body = cJSON_Parse("{\"apply\":true}");
    struct json_writer writer;
    struct buf out;
    struct err err;
    buf_init(&out, ANSWER_MAX);
    json_writer_init(&writer, &out);
    json_writer_object(&writer, NULL);
    assert_non_null(operation);
    assert_int_equal(operation->run(&operations, body, &writer, &err), 0);
    assert_int_equal(buf_append(&out, "", 1), 0);
    assert_non_null(strstr(buf_at(&out), tasks_at(bench->tasks, 0)->id));
    assert_int_equal(tasks_at(bench->tasks, 0)->spec.kind, TASK_PLAN);
    assert_false(tasks_at(bench->tasks, 0)->spec.automatic);
    cJSON_Delete(body);
    buf_fini(&out);
}

static void only_one_is_carried_out(void **state)
{
    struct plan_bench *bench = *state;
    const struct task_spec spec = {.kind = TASK_PLAN, .type_k = "", .type_v = ""};
    const struct task_facts *task;
    struct err err;
    start(bench);
    assert_int_equal(tasks_start(bench->tasks, &spec, &task, &err), -EEXIST);
    assert_non_null(strstr(err.text, "carried out already"));
    plan_bench_make_plan(bench);
    assert_int_equal(tasks_start(bench->tasks, &spec, &task, &err), 0);
}

#define TASK_TEST(f) cmocka_unit_test_setup_teardown(f, plan_bench_set_up, plan_bench_tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TASK_TEST(a_plan_is_an_operation),
            TASK_TEST(a_plan_with_nothing_to_do_is_done),
            TASK_TEST(a_step_that_fails_fails_it),
            TASK_TEST(it_is_begun_over_http),
            TASK_TEST(only_one_is_carried_out),
    };
    return cmocka_run_group_tests_name("plan_task", tests, NULL, NULL);
}
