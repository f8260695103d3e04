#include "tests/lib/cli_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static void show(struct cli_bench *bench, const char *queue, unsigned on_instance)
{
    static char status[1024]; /* the server reads it later */
    (void)snprintf(status, sizeof(status),
            "{\"coordinator\":{\"version\":\"9\",\"mesh\":\"k3vq\",\"uptime_ms\":1000},\"queue\":{%"
            "s},"
            "\"modes\":[{\"name\":\"code\",\"models\":[\"small\"],\"now\":null,\"waiting\":17}],"
            "\"nodes\":[{\"name\":\"halo\",\"state\":\"up\",\"models\":[{\"name\":\"small\","
            "\"state\":\"resident\",\"slots\":2,\"running\":%u}]}]}",
            queue, on_instance);
    cli_bench_answer(bench, "GET /mesh/v1/status", 200, status);
    assert_int_equal(cli_bench_run(bench, "status"), 0);
    cli_bench_assert_has(bench->out, "1 of 1 nodes up\n");
}

static void what_runs_and_waits_is_counted(void **state)
{
    struct cli_bench *bench = *state;
    show(bench, "\"running\":0,\"waiting\":0", 0);
    cli_bench_assert_has(bench->out, "\n0 requests running\n");
    show(bench, "\"running\":1,\"waiting\":0", 1);
    cli_bench_assert_has(bench->out, "\n1 request running\n");
    show(bench, "\"running\":3,\"waiting\":0", 3);
    cli_bench_assert_has(bench->out, "\n3 requests running, 1 of them waits for a slot\n");
    show(bench, "\"running\":4,\"waiting\":18,\"waiting_for_models\":0", 4);
    cli_bench_assert_has(
            bench->out, "\n4 requests running, 2 of them wait for a slot; 18 queued\n");
    show(bench, "\"running\":2,\"waiting\":18,\"waiting_for_models\":1", 2);
    cli_bench_assert_has(
            bench->out, "\n2 requests running; 18 queued, 1 of them for a model by its name\n");
}

static void each_mode_tells_who_waits_for_it(void **state)
{
    struct cli_bench *bench = *state;
    show(bench, "\"running\":2,\"waiting\":17", 2);
    cli_bench_assert_has(bench->out, "QUEUED\n");
    cli_bench_assert_has(bench->out, " 17\n");
}

#define STATUS_TEST(f) cmocka_unit_test_setup_teardown(f, cli_bench_set_up, cli_bench_tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            STATUS_TEST(what_runs_and_waits_is_counted),
            STATUS_TEST(each_mode_tells_who_waits_for_it),
    };
    return cmocka_run_group_tests_name("cli_status", tests, NULL, NULL);
}
