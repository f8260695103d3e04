#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/workload/trace.h"
#include "common/buf.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static void assert_near(double value, double wanted, double off)
{
    if (!(fabs(value - wanted) <= off))
        fail_msg("%.9g is not %.9g", value, wanted);
}

static struct workload parse(const char *text)
{
    struct workload workload;
    struct err err = {""};
    assert_int_equal(trace_parse(text, strlen(text), &workload, &err), 0);
    return workload;
}

/* Refused, with a text that says `words`. */
static void assert_refused(const char *text, const char *words)
{
    struct workload workload = {.sessions = 77};
    struct err err = {""};
    assert_int_equal(trace_parse(text, strlen(text), &workload, &err), -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(workload.sessions, 77);
}

static void assert_says(const char *text, const char *words)
{
    struct workload workload;
    struct err err = {""};
    assert_int_equal(trace_parse(text, strlen(text), &workload, &err), -EINVAL);
    assert_string_equal(err.text, words);
    assert_int_equal(trace_parse(text, strlen(text), &workload, NULL), -EINVAL);
}

static void mooncake_gives_times_lengths_and_chains(void **state)
{
    struct workload workload = parse("{\"timestamp\": 1000, \"input_length\": 513, "
                                     "\"output_length\": 7, \"hash_ids\": [4, 9]}\n"
                                     "\r\n"
                                     "{\"timestamp\": 3500, \"input_length\": 512, "
                                     "\"output_length\": 1, \"hash_ids\": [4]}");
    (void)state;
    assert_int_equal(workload.count, 2);
    assert_near(workload.at[0].arrival_s, 0, 0);
    assert_near(workload.at[1].arrival_s, 2.5, 1e-9);
    assert_int_equal(workload.at[0].prompt_tokens, 513);
    assert_int_equal(workload.at[0].output_tokens, 7);
    assert_int_equal(workload.at[0].block_count, 2);
    assert_int_equal(workload_chain(&workload, &workload.at[0])[1], 9);
    assert_int_equal(workload_chain(&workload, &workload.at[1])[0], 4);
    workload_fini(&workload);
}

static void requests_that_share_a_block_are_one_session(void **state)
{
    struct workload workload = parse(
            "{\"timestamp\":0,\"input_length\":600,\"output_length\":1,\"hash_ids\":[1,2]}\n"
            "{\"timestamp\":0,\"input_length\":600,\"output_length\":1,\"hash_ids\":[3,4]}\n"
            "{\"timestamp\":0,\"input_length\":1200,\"output_length\":1,\"hash_ids\":[1,2,5]}\n");
    (void)state;
    assert_int_equal(workload.sessions, 2);
    assert_int_equal(workload.at[0].session, workload.at[2].session);
    assert_int_not_equal(workload.at[0].session, workload.at[1].session);
    workload_fini(&workload);
}

static void a_block_that_many_begin_with_ties_nobody(void **state)
{
    struct buf text;
    struct workload workload;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 2 * TRACE_COMMON_MIN; i++)
        assert_int_equal(buf_appendf(&text,
                                 "{\"timestamp\":%d,\"input_length\":600,\"output_length\":1,"
                                 "\"hash_ids\":[0,%d]}\n",
                                 i, i / 2 + 1),
                0);
    assert_int_equal(buf_appendf(&text, "{\"timestamp\":999,\"input_length\":1,"
                                        "\"output_length\":1,\"hash_ids\":[0]}"),
            0);
    assert_int_equal(trace_parse(buf_at(&text), text.len, &workload, NULL), 0);
    assert_int_equal(workload.sessions, TRACE_COMMON_MIN + 1);
    assert_int_equal(workload.at[0].session, workload.at[1].session);
    assert_int_not_equal(workload.at[1].session, workload.at[2].session);
    workload_fini(&workload);
    buf_fini(&text);
}

#define LINE(stamp, input, output, ids)                                                            \
    "{\"timestamp\":" stamp ",\"input_length\":" input ",\"output_length\":" output                \
    ",\"hash_ids\":" ids "}"

static void mooncake_is_read_strictly(void **state)
{
    (void)state;
    assert_refused("", "no request");
    assert_refused("\n\n", "no request");
    assert_says(
            LINE("0", "1", "1", "[1]") "\nx", "line 2: column 1: no JSON value begins like this");
    assert_says("[]", "line 1: it is no JSON object; this is neither Mooncake's JSON lines nor "
                      "Azure's CSV with its heading");
    assert_says("# A trace", "line 1: column 1: no JSON value begins like this; this is neither "
                             "Mooncake's JSON lines nor Azure's CSV with its heading");
    assert_refused(LINE("-1", "1", "1", "[1]"), "timestamp");
    assert_refused(LINE("0.5", "1", "1", "[1]"), "timestamp");
    assert_refused(LINE("0", "0", "1", "[]"), "input_length");
    assert_refused(LINE("0", "16777217", "1", "[1]"), "input_length");
    assert_refused(LINE("0", "1", "0", "[1]"), "output_length");
    assert_refused(LINE("0", "1", "\"1\"", "[1]"), "output_length");
    assert_refused(LINE("0", "1", "1", "[]"), "hash_ids");
    assert_refused(LINE("0", "1", "1", "[1,2]"), "hash_ids");
    assert_refused(LINE("0", "1", "1", "[1.5]"), "hash_ids");
    assert_refused(LINE("0", "1", "1", "7"), "hash_ids");
    assert_refused(LINE("5", "1", "1", "[1]") "\n" LINE("4", "1", "1", "[1]"), "before");
}

#define HEADING "TIMESTAMP,ContextTokens,GeneratedTokens\n"

static void azure_gives_times_and_lengths_and_shares_nothing(void **state)
{
    struct workload workload = parse(HEADING "2023-12-31 23:59:59.5000000,600,44\r\n"
                                             "2024-01-01 00:00:01,600,0\n");
    (void)state;
    assert_int_equal(workload.count, 2);
    assert_int_equal(workload.sessions, 2);
    assert_near(workload.at[1].arrival_s, 1.5, 1e-6);
    assert_int_equal(workload.at[0].prompt_tokens, 600);
    assert_int_equal(workload.at[0].output_tokens, 44);
    assert_int_equal(workload.at[1].output_tokens, 1);
    assert_int_equal(workload.at[0].block_count, 2);
    assert_int_not_equal(workload_chain(&workload, &workload.at[0])[0],
            workload_chain(&workload, &workload.at[1])[0]);
    workload_fini(&workload);
}

static void azure_is_read_strictly(void **state)
{
    (void)state;
    assert_refused(HEADING, "no request");
    assert_refused(HEADING "2023-11-16 18:17:03,1", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03,1,2,3", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03,,2", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03,-1,2", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03.,1,2", "line 2");
    assert_refused(HEADING "2023-13-16 18:17:03,1,2", "line 2");
    assert_refused(HEADING "2023-11-16 24:17:03,1,2", "line 2");
    assert_refused(HEADING "2023-11-16T18:17:03,1,2", "line 2");
    assert_refused(HEADING "23-11-16 18:17:03,1,2", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03,99999999999,2", "line 2");
    assert_refused(HEADING "2023-11-16 18:17:03,1,2\n2023-11-16 18:17:02,1,2", "line 3");
    assert_refused("TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,1", "line 1");
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    struct workload workload;
    struct err err;
    (void)state;
    assert_int_equal(trace_read("/nonexistent/trace.jsonl", &workload, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(mooncake_gives_times_lengths_and_chains),
            cmocka_unit_test(requests_that_share_a_block_are_one_session),
            cmocka_unit_test(a_block_that_many_begin_with_ties_nobody),
            cmocka_unit_test(mooncake_is_read_strictly),
            cmocka_unit_test(azure_gives_times_and_lengths_and_shares_nothing),
            cmocka_unit_test(azure_is_read_strictly),
            cmocka_unit_test(a_file_that_is_not_there_is_an_error),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_trace", tests, NULL, NULL);
}
