#include "tests/lib/cli_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define STATUS "GET /mesh/v1/status"

/* All that a mode may be, and one that is bare. */
static const char policy[] =
        "{\"modes\":[{\"name\":\"code\",\"models\":[\"small\",\"large\",\"other\"],\"quality\":["
        "{\"model\":\"small\",\"points\":55,\"from\":\"config\"},"
        "{\"model\":\"large\",\"points\":70,\"from\":\"node\"},"
        "{\"model\":\"other\",\"points\":65,\"from\":\"place\"}],"
        "\"rules\":[{\"up_to\":16384,\"models\":[\"small\"],\"floor\":50},"
        "{\"up_to\":40000,\"models\":[\"large\",\"other\"],\"floor\":0}],"
        "\"planning\":[\"large\"],\"floor\":60,\"floors\":[],\"stand_in\":true,\"priority\":7,"
        "\"beta\":0.3,\"temperature\":null,\"max_output\":0,\"when_none\":\"next\",\"next\":"
        "\"ask\","
        "\"patience_ms\":600000,\"deployed\":\"\",\"replaced\":[],"
        "\"now\":{\"model\":\"small\",\"node\":\"halo\"},\"reason\":\"it is idle\"},"
        "{\"name\":\"ask\",\"models\":[\"small\"],\"quality\":[],\"rules\":[],\"planning\":[],"
        "\"floor\":0,\"floors\":[],\"stand_in\":false,\"when_none\":\"wait\",\"next\":\"\","
        "\"patience_ms\":1200000,\"now\":null,\"reason\":\"no node\"},"
        "{\"name\":\"once\",\"models\":[\"small\"],\"quality\":[],\"rules\":[],\"planning\":[],"
        "\"floor\":0,\"when_none\":\"refuse\",\"next\":\"\",\"now\":null}],"
        "\"modes_derived\":false,\"aliases\":["
        "{\"name\":\"gpt-*\",\"means\":\"code\",\"kind\":\"model\",\"known\":false},"
        "{\"name\":\"agent\",\"means\":\"code\",\"kind\":\"mode\",\"known\":true}]}";

static void modes_show_their_policy(void **state)
{
    struct cli_bench *bench = *state;
    static const char *const words[] = {"small 55, large 70, other", "asks ask", "waits 20 min",
            "refuses", "up to 16k", "small, or as good", "50", "up to 40000",
            "large, other, or as good", "above 40000", "any that holds it", "60", "planning calls",
            "gpt-*", "config", "agent", "what editors say", "halo"};

    cli_bench_answer(bench, STATUS, 200, policy);
    assert_int_equal(cli_bench_run(bench, "modes"), 0);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        cli_bench_assert_has(bench->out, words[i]);
    assert_null(strstr(bench->out, "any that holds it, or"));
}

static void modes_are_json_and_rows(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, STATUS, 200, policy);
    assert_int_equal(cli_bench_run(bench, "modes --json"), 0);
    cli_bench_assert_has(bench->out, "\"rules\":[{\"up_to\":16384,\"models\":[\"small\"]");
    cli_bench_assert_has(bench->out, "\"model\":\"small\",\"node\":\"halo\"");
    cli_bench_assert_has(bench->out, "\"aliases\":[{\"name\":\"gpt-*\",\"means\":\"code\"");
    cli_bench_assert_has(bench->out, "\"derived\":false");
    assert_int_equal(cli_bench_run(bench, "modes --raw"), 0);
    cli_bench_assert_has(bench->out, "code small,large,other small halo");
    assert_int_equal(cli_bench_run(bench, "modes --raw --json"), -EINVAL);
}

static void modes_that_are_derived_say_so(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, STATUS, 200,
            "{\"modes\":[{\"name\":\"ask\",\"models\":[\"a\"]}],\"modes_derived\":true,"
            "\"aliases\":[]}");
    assert_int_equal(cli_bench_run(bench, "modes"), 0);
    cli_bench_assert_has(bench->out, "Derived from what the nodes have");
    cli_bench_answer(bench, STATUS, 200, "{\"modes\":[],\"modes_derived\":true}");
    assert_int_equal(cli_bench_run(bench, "modes"), 0);
    cli_bench_assert_has(bench->out, "no node has a model to derive them from");
}

static void what_a_mode_waits_for_is_no_answer(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, STATUS, 200,
            "{\"modes\":[{\"name\":\"ask\",\"models\":[\"a\"],\"now\":null,\"waits_for\":"
            "{\"model\":\"a\",\"node\":\"halo\"},\"reason\":\"full\"}],\"aliases\":[]}");
    assert_int_equal(cli_bench_run(bench, "modes"), 0);
    cli_bench_assert_has(bench->out, "ask  a      waits for a halo ");
    assert_int_equal(cli_bench_run(bench, "modes --json"), 0);
    cli_bench_assert_has(bench->out, "\"model\":\"\",\"node\":\"\"");
    assert_int_equal(cli_bench_run(bench, "modes --raw"), 0);
    assert_null(strstr(bench->out, "waits"));
    assert_null(strstr(bench->out, "halo"));
}

static void modes_to_keep_are_printed(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/modes/suggestion", 200,
            "{\"derived\":true,\"yaml\":\"modes:\\n  ask:\\n    models: [\\u001ba]\\n\"}");
    assert_int_equal(cli_bench_run(bench, "modes --suggest"), 0);
    cli_bench_assert_has(bench->out, "# Derived from what the nodes have, and in force now.\n"
                                     "modes:\n  ask:\n    models: [a]\n");
    assert_int_equal(cli_bench_run(bench, "modes --suggest --json"), 0);
    cli_bench_assert_has(bench->out, "{\"derived\":true,");
    cli_bench_answer(
            bench, "GET /mesh/v1/modes/suggestion", 200, "{\"derived\":false,\"yaml\":\"\"}");
    assert_int_equal(cli_bench_run(bench, "modes --suggest"), 0);
    cli_bench_assert_has(bench->out, "the config has modes of its own.\n# No node has a model.\n");
}

#define MODES_TEST(f) cmocka_unit_test_setup_teardown(f, cli_bench_set_up, cli_bench_tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            MODES_TEST(modes_show_their_policy),
            MODES_TEST(modes_are_json_and_rows),
            MODES_TEST(modes_that_are_derived_say_so),
            MODES_TEST(what_a_mode_waits_for_is_no_answer),
            MODES_TEST(modes_to_keep_are_printed),
    };
    return cmocka_run_group_tests_name("cli_modes", tests, NULL, NULL);
}
