#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/answers/chat_chunk.h"
#include "tests/lib/delta_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int read_text(struct engine_answer *answer, struct delta_record *record, const char *text,
        struct err *err)
{
    const char *const events[] = {text, NULL};

    return delta_record_read(record, answer, chat_chunk_read, events, err);
}

static void assert_reads(const char *text, const char *expected)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};
    struct err err = {0};

    assert_int_equal(read_text(&answer, &record, text, &err), 0);
    assert_string_equal(record.text, expected);
}

static void assert_fails(const char *text, int code, const char *words)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};
    struct err err = {0};

    assert_int_equal(read_text(&answer, &record, text, &err), code);
    assert_non_null(strstr(err.text, words));
}

static void test_content(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":"
                 "\"h\\u00e9 \\\"\\n\"}}]}",
            "text:0:h\xc3\xa9 \"\n;");
}

static void test_role_and_empty_pieces_say_nothing(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"finish_reason\":null,\"index\":0,"
                 "\"delta\":{\"role\":\"assistant\",\"content\":null}}]}",
            "");
    assert_reads(
            "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"reasoning_content\":\"\"}}]}",
            "");
    assert_reads("{\"choices\":[]}", "");
    assert_reads("{\"choices\":null,\"x\":1}", "");
    assert_reads("{\"choices\":[{}]}", "");
}

static void test_reasoning_comes_before_text(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\",\"reasoning_content\":"
                 "\"a\"}}]}",
            "reasoning:0:a;text:0:b;");
}

/* As Ollama and newer vLLMs say it; some say both. */
static void test_reasoning_by_its_other_name(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"reasoning\":\"a\"}}]}",
            "reasoning:0:a;");
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"a\",\"reasoning\":"
                 "\"a\"}}]}",
            "reasoning:0:a;");
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":{\"effort\":1}}}]}", "");
}

static void test_tool_calls_go_through_raw(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\","
                 "\"type\":"
                 "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}",
            "tool_calls:0:[{\"index\":0,\"id\":\"c1\",\"type\":\"function\","
            "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}];");
}

static void test_logprobs_follow_their_text(void **state)
{
    (void)state;
    assert_reads(
            "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"},\"logprobs\":{\"content\":"
            "[{\"token\":\"A\",\"logprob\":-0.5}]}}]}",
            "text:0:A;logprobs:0:{\"content\":[{\"token\":\"A\",\"logprob\":-0.5}]};");
    assert_reads("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"},\"logprobs\":null}]}",
            "text:0:A;");
}

static void test_finish(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(
            read_text(&answer, &record,
                    "{\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}]}",
                    NULL),
            0);
    assert_true(answer.finished);
    assert_false(answer.done);
    assert_string_equal(record.text, "finish:0:length;");
}

static void test_several_choices(void **state)
{
    (void)state;
    assert_reads("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
                 "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
            "text:1:b;text:0:a;");
}

static void test_usage_and_timings_of_llama_server(void **state)
{
    static const char text[] = "{\"choices\":[],\"usage\":{\"completion_tokens\":12,\"prompt_"
                               "tokens\":17,\"total_tokens\":29,"
                               "\"prompt_tokens_details\":{\"cached_tokens\":5}},\"timings\":{"
                               "\"cache_n\":5,\"prompt_n\":12,"
                               "\"prompt_ms\":5.5,\"predicted_n\":12,\"predicted_ms\":7.25}}";
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record, text, NULL), 0);
    assert_true(answer.has_usage);
    assert_int_equal(answer.usage.prompt_tokens, 17);
    assert_int_equal(answer.usage.cached_tokens, 5);
    assert_int_equal(answer.usage.completion_tokens, 12);
    assert_true(answer.usage.prefill_ms == 5.5f && answer.usage.decode_ms == 7.25f);
    assert_string_equal(record.text, "");
}

static void test_usage_without_timings(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record,
                             "{\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":3,"
                             "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
                             NULL),
            0);
    assert_int_equal(answer.usage.cached_tokens, 1);
}

/* A client may ask for timings with each token. */
static void test_timings_alone_are_no_usage(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(
            read_text(&answer, &record,
                    "{\"timings\":{\"cache_n\":2,\"prompt_n\":3,\"predicted_n\":4}}", NULL),
            0);
    assert_false(answer.has_usage);
}

/* As llama-server answers n=2: the choices share the prompt, which was read once. */
static void test_usage_of_several_choices(void **state)
{
    static const char *const events[] = {
            "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}",
            "{\"choices\":[],\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":17},"
            "\"timings\":{\"cache_n\":4,\"prompt_ms\":5,\"predicted_ms\":7}}",
            "{\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}",
            "{\"choices\":[],\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":17},"
            "\"timings\":{\"cache_n\":16,\"prompt_ms\":1,\"predicted_ms\":9}}",
            NULL};
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(delta_record_read(&record, &answer, chat_chunk_read, events, NULL), 0);
    assert_string_equal(record.text, "finish:0:length;finish:1:stop;");
    assert_int_equal(answer.usage.prompt_tokens, 17);
    assert_int_equal(answer.usage.cached_tokens, 4);
    assert_int_equal(answer.usage.completion_tokens, 5);
    assert_true(answer.usage.prefill_ms == 5 && answer.usage.decode_ms == 16);
}

static void test_numbers_that_count_nothing(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record,
                             "{\"usage\":{\"completion_tokens\":-1,\"prompt_tokens\":1e30},"
                             "\"timings\":{\"prompt_ms\":-5,\"predicted_ms\":\"x\"}}",
                             NULL),
            0);
    assert_int_equal(answer.usage.prompt_tokens, 0);
    assert_int_equal(answer.usage.completion_tokens, 0);
    assert_true(answer.usage.prefill_ms == 0 && answer.usage.decode_ms == 0);
}

static void test_broken_events_are_refused(void **state)
{
    (void)state;
    assert_fails("{\"choices\":[", -EPROTO, "not the JSON");
    assert_fails("", -EPROTO, "not the JSON");
    assert_fails("{\"choices\":[{\"index\":-1}]}", -EPROTO, "unusable choice");
    assert_fails("{\"choices\":[{\"index\":128}]}", -EPROTO, "unusable choice");
    assert_fails("{\"choices\":[{\"index\":1e300}]}", -EPROTO, "unusable choice");
}

static void test_reader_that_wants_no_more(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {.stop_after = 1};

    (void)state;
    assert_int_equal(read_text(&answer, &record,
                             "{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"a\","
                             "\"content\":\"b\"},"
                             "\"finish_reason\":\"stop\"}]}",
                             NULL),
            -ECANCELED);
    assert_string_equal(record.text, "reasoning:0:a;");
    assert_false(answer.finished);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_content),
            cmocka_unit_test(test_role_and_empty_pieces_say_nothing),
            cmocka_unit_test(test_reasoning_comes_before_text),
            cmocka_unit_test(test_reasoning_by_its_other_name),
            cmocka_unit_test(test_tool_calls_go_through_raw),
            cmocka_unit_test(test_logprobs_follow_their_text),
            cmocka_unit_test(test_finish),
            cmocka_unit_test(test_several_choices),
            cmocka_unit_test(test_usage_and_timings_of_llama_server),
            cmocka_unit_test(test_usage_without_timings),
            cmocka_unit_test(test_timings_alone_are_no_usage),
            cmocka_unit_test(test_usage_of_several_choices),
            cmocka_unit_test(test_numbers_that_count_nothing),
            cmocka_unit_test(test_broken_events_are_refused),
            cmocka_unit_test(test_reader_that_wants_no_more),
    };
    return cmocka_run_group_tests_name("chat_chunk", tests, NULL, NULL);
}
