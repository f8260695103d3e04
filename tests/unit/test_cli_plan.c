#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/cli_bench.h"

#include <errno.h>
#include <string.h>

#define PLAN                                                                                       \
    "{\"loads\":1,\"unloads\":0,\"lost_permille\":25,\"exact\":true,\"models\":[{\"node\":"        \
    "\"halo1\",\"model\":\"glm\",\"action\":\"load\",\"context\":8192,\"slots\":1,"                \
    "\"memory_bytes\":1073741824,\"why\":\"for code\"}],\"modes\":[],\"nodes\":[],\"notes\":[]}"
#define OPERATION(members) "{\"operations\":[{\"id\":\"12ab34cd\"," members "}]}"

static void a_plan_is_shown_and_nothing_done(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/plan", 200, PLAN);
    assert_int_equal(cli_bench_run(bench, "plan"), 0);
    cli_bench_assert_has(bench->out, "1 model to load, 0 to let go; 2.5 % lost");
    cli_bench_assert_has(bench->out, "halo1 glm   load      8192     1 1.0 GiB for code\n");
    assert_string_equal(bench->requests, "GET /mesh/v1/plan \n");
}

static void programs_get_the_coordinators_json(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/plan", 200, PLAN);
    assert_int_equal(cli_bench_run(bench, "plan --json"), 0);
    assert_string_equal(bench->out, PLAN "\n");
}

static void it_is_shown_then_carried_out(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/plan", 200, PLAN);
    cli_bench_answer(bench, "POST /mesh/v1/plan", 200, "{\"operation\":\"12ab34cd\"}");
    cli_bench_answer(bench, "GET /mesh/v1/operations", 200,
            OPERATION("\"state\":\"running\",\"progress\":\"halo1: load \\\"glm\\\"\""));
    cli_bench_then(bench, "GET /mesh/v1/operations",
            OPERATION("\"state\":\"done\",\"message\":\"1 step done\""));
    assert_int_equal(cli_bench_run(bench, "plan --apply"), 0);
    cli_bench_assert_has(bench->out, "for code\n");
    cli_bench_assert_has(bench->out, "\n1 step done\n");
    assert_string_equal(bench->notes, "halo1: load \"glm\"\n");
    cli_bench_assert_has(bench->requests, "POST /mesh/v1/plan {\"apply\":true}\n");
}

static void a_plan_that_fails_is_a_failure(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "POST /mesh/v1/plan", 200, "{\"operation\":\"12ab34cd\"}");
    cli_bench_answer(bench, "GET /mesh/v1/operations", 200,
            OPERATION("\"state\":\"failed\",\"message\":\"halo1: no memory\""));
    assert_int_equal(cli_bench_run(bench, "plan --apply --json"), -EREMOTEIO);
    assert_string_equal(bench->err.text, "halo1: no memory");
    assert_string_equal(bench->out, "");
}

static void a_refusal_is_told(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/plan", 403,
            "{\"error\":{\"message\":\"this needs the admin scope\"}}");
    assert_int_equal(cli_bench_run(bench, "plan --apply"), -EREMOTEIO);
    cli_bench_assert_has(bench->err.text, "admin scope");
    assert_string_equal(bench->requests, "GET /mesh/v1/plan \n");
}

#define PLAN_TEST(f) cmocka_unit_test_setup_teardown(f, cli_bench_set_up, cli_bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            PLAN_TEST(a_plan_is_shown_and_nothing_done),
            PLAN_TEST(programs_get_the_coordinators_json),
            PLAN_TEST(it_is_shown_then_carried_out),
            PLAN_TEST(a_plan_that_fails_is_a_failure),
            PLAN_TEST(a_refusal_is_told),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_plan", tests, NULL, NULL);
}
