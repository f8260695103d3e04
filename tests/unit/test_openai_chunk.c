#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/openai_chunk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct record {
    char text[4096]; /* "kind:choice:data;" for each delta */
    int stop_after;  /* deltas; 0: never */
    int count;
};

static bool record_delta(void *ctx, const struct msg_delta *delta)
{
    struct record *record = ctx;
    size_t len = strlen(record->text);

    assert_int_equal(delta->stream, 0);
    assert_false(delta->more);
    snprintf(record->text + len, sizeof(record->text) - len, "%s:%u:%.*s;",
            delta_kind_name(delta->kind), delta->choice, (int)delta->len, delta->data);
    return ++record->count != record->stop_after;
}

static int read_text(
        struct openai_stream *stream, struct record *record, const char *text, struct err *err)
{
    return openai_chunk_read(stream, text, strlen(text), record_delta, record, err);
}

static void assert_reads(const char *text, const char *expected)
{
    struct openai_stream stream = {0};
    struct record record = {0};
    struct err err = {0};

    assert_int_equal(read_text(&stream, &record, text, &err), 0);
    assert_string_equal(record.text, expected);
}

static void assert_fails(const char *text, int code, const char *words)
{
    struct openai_stream stream = {0};
    struct record record = {0};
    struct err err = {0};

    assert_int_equal(read_text(&stream, &record, text, &err), code);
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
    struct openai_stream stream = {0};
    struct record record = {0};

    (void)state;
    assert_int_equal(
            read_text(&stream, &record,
                    "{\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}]}",
                    NULL),
            0);
    assert_true(stream.finished);
    assert_false(stream.done);
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
    struct openai_stream stream = {0};
    struct record record = {0};

    (void)state;
    assert_int_equal(read_text(&stream, &record, text, NULL), 0);
    assert_true(stream.has_usage);
    assert_int_equal(stream.usage.prompt_tokens, 17);
    assert_int_equal(stream.usage.cached_tokens, 5);
    assert_int_equal(stream.usage.completion_tokens, 12);
    assert_true(stream.usage.prefill_ms == 5.5f && stream.usage.decode_ms == 7.25f);
    assert_string_equal(record.text, "");
}

static void test_usage_without_timings_and_the_other_way(void **state)
{
    struct openai_stream stream = {0}, other = {0};
    struct record record = {0};

    (void)state;
    assert_int_equal(read_text(&stream, &record,
                             "{\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":3,"
                             "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
                             NULL),
            0);
    assert_int_equal(stream.usage.cached_tokens, 1);
    assert_int_equal(
            read_text(&other, &record,
                    "{\"timings\":{\"cache_n\":2,\"prompt_n\":3,\"predicted_n\":4}}", NULL),
            0);
    assert_int_equal(other.usage.prompt_tokens, 5);
    assert_int_equal(other.usage.cached_tokens, 2);
    assert_int_equal(other.usage.completion_tokens, 4);
}

static void test_numbers_that_count_nothing(void **state)
{
    struct openai_stream stream = {0};
    struct record record = {0};

    (void)state;
    assert_int_equal(read_text(&stream, &record,
                             "{\"usage\":{\"completion_tokens\":-1,\"prompt_tokens\":1e30},"
                             "\"timings\":{\"prompt_ms\":-5,\"predicted_ms\":\"x\"}}",
                             NULL),
            0);
    assert_int_equal(stream.usage.prompt_tokens, 0);
    assert_int_equal(stream.usage.completion_tokens, 0);
    assert_true(stream.usage.prefill_ms == 0 && stream.usage.decode_ms == 0);
}

static void test_done_ends_the_stream(void **state)
{
    struct openai_stream stream = {0};
    struct record record = {0};

    (void)state;
    assert_int_equal(read_text(&stream, &record, "[DONE]", NULL), 0);
    assert_true(stream.done);
    assert_int_equal(read_text(&stream, &record, "not JSON, and ignored", NULL), 0);
}

static void test_errors_of_the_engine(void **state)
{
    struct openai_stream stream = {0};
    struct record record = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(read_text(&stream, &record,
                             "{\"error\":{\"code\":503,\"message\":\"out of memory\"}}", &err),
            -EREMOTEIO);
    assert_int_equal(stream.error.code, FAIL_ENGINE_ERROR);
    assert_int_equal(stream.error.http_status, 503);
    assert_string_equal(err.text, "out of memory");
    assert_int_equal(
            read_text(&stream, &record, "{\"error\":{\"code\":\"bad\"}}", &err), -EREMOTEIO);
    assert_int_equal(stream.error.http_status, 500);
    assert_int_equal(read_text(&stream, &record, "{\"error\":\"plain words\"}", &err), -EREMOTEIO);
    assert_string_equal(err.text, "plain words");
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
    struct openai_stream stream = {0};
    struct record record = {.stop_after = 1};

    (void)state;
    assert_int_equal(read_text(&stream, &record,
                             "{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"a\","
                             "\"content\":\"b\"},"
                             "\"finish_reason\":\"stop\"}]}",
                             NULL),
            -ECANCELED);
    assert_string_equal(record.text, "reasoning:0:a;");
    assert_false(stream.finished);
}

static void assert_error(const char *body, uint32_t http_status, enum fail_code code,
        uint32_t expected_status, const char *words)
{
    struct openai_error error;
    struct err err = {0};

    openai_error_read(body, strlen(body), http_status, &error, &err);
    assert_string_equal(err.text, words);
    assert_int_equal(error.code, code);
    assert_int_equal(error.http_status, expected_status);
}

static void assert_error_body(const char *body, const char *words)
{
    assert_error(body, 418, FAIL_ENGINE_ERROR, 418, words);
}

static void test_error_bodies(void **state)
{
    char body[2048], letters[1001] = {0};
    struct openai_error error;
    struct err err = {0};

    (void)state;
    assert_error_body("{\"error\":{\"code\":400,\"message\":\"too long\"}}", "too long");
    assert_error_body("{\"error\":\"File Not Found\"}", "File Not Found");
    assert_error_body("<html>", "the engine gave no reason");
    assert_error_body("", "the engine gave no reason");
    assert_error_body("{}", "the engine gave no reason");
    assert_error_body("{\"error\":\"\"}", "the engine gave no reason");
    for (int i = 0; i < 500; i++)
        memcpy(letters + 2 * i, "\xc3\xa9", 2);
    snprintf(body, sizeof(body), "{\"error\":\"x%s\"}", letters);
    openai_error_read(body, strlen(body), 500, &error, &err);
    assert_int_equal(strlen(err.text), 399); /* cut between two letters */
}

static void test_prompt_past_the_context(void **state)
{
    static const char numbers[] =
            "{\"error\":{\"code\":400,\"message\":\"request (5017 tokens) exceeds the available "
            "context size (1024 tokens), try increasing "
            "it\",\"type\":\"exceed_context_size_error\","
            "\"n_prompt_tokens\":5017,\"n_ctx\":1024}}";
    static const char words[] =
            "request (5017 tokens) exceeds the available context size (1024 tokens): prompt is too "
            "long, maximum context length is 1024 tokens";
    struct openai_stream stream = {0};
    struct record record = {0};
    struct err err = {0};

    (void)state;
    assert_error(numbers, 400, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error(numbers, 500, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error("{\"error\":{\"message\":\"too long\",\"type\":\"exceed_context_size_error\"}}",
            400, FAIL_CONTEXT_EXCEEDED, 400, "too long");
    assert_error("{\"error\":{\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":-1,"
                 "\"n_ctx\":1e30}}",
            400, FAIL_CONTEXT_EXCEEDED, 400, "the engine gave no reason");
    assert_int_equal(read_text(&stream, &record, numbers, &err), -EREMOTEIO);
    assert_int_equal(stream.error.code, FAIL_CONTEXT_EXCEEDED);
    assert_int_equal(stream.error.http_status, 400);
    assert_string_equal(err.text, words);
}

static void test_input_that_the_model_cannot_take(void **state)
{
    (void)state;
    assert_error("{\"error\":{\"code\":500,\"message\":\"image input is not supported - hint: if "
                 "this is unexpected, you may need to provide the mmproj\"}}",
            500, FAIL_ENGINE_ERROR, 400,
            "image input is not supported - hint: if this is unexpected, you may need to provide "
            "the mmproj");
    assert_error("{\"error\":{\"code\":500,\"message\":\"audio input is not supported\"}}", 500,
            FAIL_ENGINE_ERROR, 400, "audio input is not supported");
    assert_error("{\"error\":{\"code\":500,\"message\":\"input is not supported\"}}", 500,
            FAIL_ENGINE_ERROR, 500, "input is not supported");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_content),
            cmocka_unit_test(test_role_and_empty_pieces_say_nothing),
            cmocka_unit_test(test_reasoning_comes_before_text),
            cmocka_unit_test(test_tool_calls_go_through_raw),
            cmocka_unit_test(test_logprobs_follow_their_text),
            cmocka_unit_test(test_finish),
            cmocka_unit_test(test_several_choices),
            cmocka_unit_test(test_usage_and_timings_of_llama_server),
            cmocka_unit_test(test_usage_without_timings_and_the_other_way),
            cmocka_unit_test(test_numbers_that_count_nothing),
            cmocka_unit_test(test_done_ends_the_stream),
            cmocka_unit_test(test_errors_of_the_engine),
            cmocka_unit_test(test_broken_events_are_refused),
            cmocka_unit_test(test_reader_that_wants_no_more),
            cmocka_unit_test(test_error_bodies),
            cmocka_unit_test(test_prompt_past_the_context),
            cmocka_unit_test(test_input_that_the_model_cannot_take),
    };
    return cmocka_run_group_tests_name("openai_chunk", tests, NULL, NULL);
}
