#include "tests/lib/cli_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define ASKED "GET /mesh/v1/explain?mode=code&tokens=30k"
#define COST                                                                                       \
    "\"wait\":0,\"load\":0,\"swap\":0,\"prefill\":2.5,\"round_trip\":0.001,\"decode\":1.25,"
#define OTHERS "\"interference\":0.5,\"quality\":0,\"price\":0,\"failure\":0,"
#define SUMS   "\"time_to_first_token\":2.501,\"total\":4.251"

/* One that is chosen, one that cannot be. */
#define ANSWER(verdict, chosen, left_out)                                                          \
    "{\"mode\":\"code\",\"rule\":\"code up to 64k: large\",\"prompt_tokens\":30720,"               \
    "\"output_tokens\":400,\"needs\":[\"chat\"],\"session\":null,\"verdict\":\"" verdict           \
    "\",\"why\":\"the instance that costs least\",\"chosen\":" chosen                              \
    ",\"models\":[{\"model\":\"large\",\"points\":70,\"option\":true,\"why\":"                     \
    "\"the rule names it\"},{\"model\":\"small\",\"points\":55,\"option\":false,\"why\":"          \
    "\"the rule does not name it\"}],\"instances\":[{\"node\":\"halo1\",\"model\":\"large\","      \
    "\"state\":\"resident\",\"running\":0,\"slots\":2,\"chosen\":true,\"feasible\":true,"          \
    "\"why\":\"chosen: it costs least\",\"held_tokens\":1024,\"seconds\":{" COST OTHERS SUMS       \
    "}},{\"node\":\"halo2\",\"model\":\"large\",\"state\":\"stopping\",\"running\":0,"             \
    "\"slots\":2,\"chosen\":false,\"feasible\":false,\"why\":\"engine is being stopped\","         \
    "\"held_tokens\":0,\"seconds\":null}],\"left_out\":" left_out "}"
#define BEGINNING                                                                                  \
    "The mode code has none for it, and debug is asked instead: no node.\n"                        \
    "The mode debug has none for it, and ask is asked instead: too long.\n"                        \
    "Rule: ask any model: a (a prompt of 1 tokens, about 2 of answer)\n"                           \
    "Goes to a on halo1 now: the only instance.\n"
#define HALO1 "{\"node\":\"halo1\",\"model\":\"large\"}"

static void every_term_is_shown(void **state)
{
    struct cli_bench *bench = *state;
    static const char *const parts[] = {
            "Rule: code up to 64k: large (a prompt of 30720 tokens, about 400 of answer)\n",
            "Goes to large on halo1 now: the instance that costs least.\n",
            "NODE  MODEL STATE    HELD WAIT LOAD SWAP PREFILL TRIP FIRST DECODE OTHERS QUALITY "
            "PRICE "
            "FAILURE TOTAL WHY\n",
            "halo1 large resident 1024    0    0    0    2.50 0.00  2.50   1.25   0.50       0     "
            "0 "
            "      0  4.25 chosen: it costs least\n",
            "engine is being stopped", "MAY ANSWER", "the rule does not name it"};

    cli_bench_answer(bench, ASKED, 200, ANSWER("run", HALO1, "0"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        cli_bench_assert_has(bench->out, parts[i]);
    assert_null(strstr(bench->out, "left out"));
}

static void what_it_waits_for_is_told(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, ASKED, 200, ANSWER("wait", HALO1, "7"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    cli_bench_assert_has(bench->out, "Waits for large on halo1: the instance that costs least");
    cli_bench_assert_has(bench->out, "7 more, which are no better, are left out.\n");
    cli_bench_answer(bench, ASKED, 200, ANSWER("wait", "null", "0"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    cli_bench_assert_has(bench->out, "Waits: the instance that costs least");
    cli_bench_answer(bench, ASKED, 200,
            "{\"verdict\":\"wait\",\"chosen\":null,\"why\":\"halo1, which has the model, is away\","
            "\"awaited\":{\"node\":\"halo1\",\"why\":\"is away\"}}");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    cli_bench_assert_has(bench->out, "Waits for halo1, which is away.\n");
    cli_bench_answer(bench, ASKED, 200,
            "{\"mode\":\"code\",\"verdict\":\"next\",\"next\":\"ask\",\"why\":\"no node\","
            "\"chosen\":null}");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    cli_bench_assert_has(bench->out, "Goes to the mode ask, as code has none for it: no node.\n");
}

static void modes_that_have_none_are_told_first(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, ASKED, 200,
            "{\"mode\":\"ask\",\"passed\":[{\"mode\":\"code\",\"why\":\"no node\"},"
            "{\"mode\":\"debug\",\"why\":\"too\\u001b long\"}],\"rule\":\"ask any model: a\","
            "\"prompt_tokens\":1,\"output_tokens\":2,\"verdict\":\"run\",\"why\":\"the only "
            "instance\",\"chosen\":{\"node\":\"halo1\",\"model\":\"a\"}}");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    assert_int_equal(strncmp(bench->out, BEGINNING, strlen(BEGINNING)), 0);
}

static void nothing_to_choose_from_is_told(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/explain?model=b%2Fc&tokens=1&session=s%2B1", 200,
            "{\"rule\":\"a\\u001b[2Jb\",\"verdict\":\"none\",\"why\":\"no node\",\"chosen\":null,"
            "\"session\":{\"id\":\"s+1\",\"known\":false},\"models\":[],\"instances\":[]}");
    assert_int_equal(cli_bench_run(bench, "explain --model b/c --tokens 1 --session s+1"), 0);
    cli_bench_assert_has(bench->out, "Rule: a[2Jb (");
    cli_bench_assert_has(bench->out, "The conversation s+1 is not known.\n");
    cli_bench_assert_has(bench->out, "Is refused: no node.\n");
    cli_bench_assert_has(bench->out, "No connected node has a model that may answer.\n");
}

static void programs_get_json_and_rows(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, ASKED, 200, ANSWER("run", HALO1, "0"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k --json"), 0);
    assert_string_equal(bench->out, ANSWER("run", HALO1, "0") "\n");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k --raw"), 0);
    cli_bench_assert_has(
            bench->out, "halo1 large resident 1024 0.000000 0.000000 0.000000 2.500000 ");
    cli_bench_assert_has(bench->out, "halo2 large stopping 0 - - - ");
}

static void a_prompt_without_a_length_is_short(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(
            bench, "GET /mesh/v1/explain?mode=code&tokens=100", 200, ANSWER("run", HALO1, "0"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code"), 0);
    cli_bench_assert_has(bench->out, "Without --tokens, a prompt of 100 tokens.\nRule: ");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --raw"), 0);
    assert_int_equal(strncmp(bench->out, "node model ", 11), 0);
    cli_bench_answer(bench, ASKED, 200, ANSWER("run", HALO1, "0"));
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), 0);
    assert_null(strstr(bench->out, "Without --tokens"));
}

static void all_flags_travel(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, ASKED "&session=a%3D%26&output=100&needs=tools,vision", 200,
            ANSWER("run", HALO1, "0"));
    assert_int_equal(cli_bench_run(bench, "explain --needs tools,vision --session a=& --output "
                                          "100 --tokens 30k --mode code"),
            0);
}

static void wrong_command_lines_are_told(void **state)
{
    struct cli_bench *bench = *state;
    static const struct {
        const char *words, *says;
    } cases[] = {
            {"explain --tokens 1", "--mode or --model is missing"},
            {"explain --mode a --model b --tokens 1", "exclude each other"},
            {"explain --mode a --tokens many", "--tokens: \"many\" is no number of tokens"},
            {"explain --mode a --output many", "--output: \"many\" is no number of tokens"},
            {"explain --mode a --needs tool", "--needs: \"tool\" is none of chat, tools, "},
            {"explain --mode a --needs tools,,vision", "--needs: \"\" is none of chat, tools, "},
            {"explain --mode a --tokens 1 --json --raw", "exclude each other"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cli_bench_run(bench, cases[i].words), -EINVAL);
        cli_bench_assert_has(bench->err.text, cases[i].says);
        assert_string_equal(bench->requests, "");
    }
}

static void a_refusal_is_told(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(
            bench, ASKED, 404, "{\"error\":{\"message\":\"there is no mode \\\"code\\\"\"}}");
    assert_int_equal(cli_bench_run(bench, "explain --mode code --tokens 30k"), -EREMOTEIO);
    cli_bench_assert_has(bench->err.text, "there is no mode");
}

#define EXPLAIN_TEST(f) cmocka_unit_test_setup_teardown(f, cli_bench_set_up, cli_bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            EXPLAIN_TEST(every_term_is_shown),
            EXPLAIN_TEST(what_it_waits_for_is_told),
            EXPLAIN_TEST(modes_that_have_none_are_told_first),
            EXPLAIN_TEST(nothing_to_choose_from_is_told),
            EXPLAIN_TEST(programs_get_json_and_rows),
            EXPLAIN_TEST(a_prompt_without_a_length_is_short),
            EXPLAIN_TEST(all_flags_travel),
            EXPLAIN_TEST(wrong_command_lines_are_told),
            EXPLAIN_TEST(a_refusal_is_told),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_explain", tests, NULL, NULL);
}
