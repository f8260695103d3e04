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

static void test_done_ends_the_stream(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record, "[DONE]", NULL), 0);
    assert_true(answer.done);
    assert_int_equal(read_text(&answer, &record, "not JSON, and ignored", NULL), 0);
}

static void test_errors_of_the_engine(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record,
                             "{\"error\":{\"code\":503,\"message\":\"out of memory\"}}", &err),
            -EREMOTEIO);
    assert_int_equal(answer.error.code, FAIL_ENGINE_ERROR);
    assert_int_equal(answer.error.http_status, 503);
    assert_string_equal(err.text, "out of memory");
    assert_int_equal(
            read_text(&answer, &record, "{\"error\":{\"code\":\"bad\"}}", &err), -EREMOTEIO);
    assert_int_equal(answer.error.http_status, 500);
    assert_int_equal(read_text(&answer, &record, "{\"error\":\"plain words\"}", &err), -EREMOTEIO);
    assert_string_equal(err.text, "plain words");
}

static void assert_error(const char *body, uint32_t http_status, enum fail_code code,
        uint32_t expected_status, const char *words)
{
    struct engine_error error;
    struct err err = {0};

    engine_error_read(body, strlen(body), http_status, &error, &err);
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
    struct engine_error error;
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
    engine_error_read(body, strlen(body), 500, &error, &err);
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
    struct engine_answer answer = {0};
    struct delta_record record = {0};
    struct err err = {0};

    (void)state;
    assert_error(numbers, 400, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error(numbers, 500, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error("{\"error\":{\"message\":\"too long\",\"type\":\"exceed_context_size_error\"}}",
            400, FAIL_CONTEXT_EXCEEDED, 400, "too long");
    assert_error("{\"error\":{\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":-1,"
                 "\"n_ctx\":1e30}}",
            400, FAIL_CONTEXT_EXCEEDED, 400, "the engine gave no reason");
    assert_int_equal(read_text(&answer, &record, numbers, &err), -EREMOTEIO);
    assert_int_equal(answer.error.code, FAIL_CONTEXT_EXCEEDED);
    assert_int_equal(answer.error.http_status, 400);
    assert_string_equal(err.text, words);
}

static void test_prompt_past_the_context_of_a_vllm(void **state)
{
    static const char words[] =
            "request (5017 tokens) exceeds the available context size (4096 tokens): prompt is too "
            "long, maximum context length is 4096 tokens";
    static const char vague[] = "This model's maximum context length is 4096 tokens. Shorten it.";

    (void)state;
    assert_error("{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 "
                 "tokens. However, you requested 5017 tokens (5001 in the messages, 16 in the "
                 "completion).\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
            400, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error("{\"error\":{\"message\":\"'max_tokens' is too large: 16. This model's maximum "
                 "context length is 4096 tokens and your request has 5017 input tokens\"}}",
            400, FAIL_CONTEXT_EXCEEDED, 400, words);
    assert_error("{\"error\":\"This model's maximum context length is 4096 tokens. Shorten it.\"}",
            400, FAIL_CONTEXT_EXCEEDED, 400, vague);
    assert_error_body("{\"error\":\"the maximum context length is unknown\"}",
            "the maximum context length is unknown");
}

static void test_input_that_the_model_cannot_take(void **state)
{
    (void)state;
    assert_error("{\"error\":{\"code\":500,\"message\":\"image input is not supported - hint: if "
                 "this is unexpected, you may need to provide the mmproj\"}}",
            500, FAIL_ENGINE_ERROR, 400, "the model cannot see images");
    assert_error("{\"error\":{\"code\":500,\"message\":\"audio input is not supported\"}}", 500,
            FAIL_ENGINE_ERROR, 400, "the model cannot hear audio");
    assert_error("{\"error\":{\"code\":500,\"message\":\"input is not supported\"}}", 500,
            FAIL_ENGINE_ERROR, 500, "input is not supported");
    assert_error("{\"error\":{\"code\":500,\"message\":\"vector::_M_range_check: __n (which is "
                 "70000000) >= this->size() (which is 1120)\"}}",
            500, FAIL_ENGINE_ERROR, 400,
            "vector::_M_range_check: __n (which is 70000000) >= this->size() (which is 1120)");
}

static void test_what_the_engine_was_not_started_for(void **state)
{
    static const char words[] =
            "This server does not support reranking. Start it with `--reranking`";

    (void)state;
    assert_error(
            "{\"error\":{\"code\":501,\"message\":\"This server does not support reranking. Start "
            "it with `--reranking`\",\"type\":\"not_supported_error\"}}",
            501, FAIL_ENGINE_ERROR, 501, words);
}

/* An embedding model reads a text at once, up to its batch. */
static void test_text_past_the_batch(void **state)
{
    static const char body[] =
            "{\"error\":{\"code\":500,\"message\":\"input (702 tokens) is too large to process. "
            "increase the physical batch size (current batch size: "
            "512)\",\"type\":\"server_error\"}}";

    (void)state;
    assert_error(body, 500, FAIL_CONTEXT_EXCEEDED, 400,
            "request (702 tokens) exceeds the available context size (512 tokens): prompt is too "
            "long, maximum context length is 512 tokens");
    assert_error("{\"error\":\"input (702 tokens) is too large\"}", 500, FAIL_ENGINE_ERROR, 500,
            "input (702 tokens) is too large");
}

/* llama-server begins some streams with it. */
/* Random weights have done it. An escaped backslash before "u0000" is none. */
static void test_a_model_that_says_nul(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record,
                             "{\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                             "\"a\\u0000b\\\\u0000\"}}]}",
                             &err),
            0);
    assert_int_equal(record.count, 1);
    assert_string_equal(record.text, "text:0:a\xef\xbf\xbd"
                                     "b\\u0000;");
}

static void test_null_says_nothing(void **state)
{
    struct engine_answer answer = {0};
    struct delta_record record = {0};

    (void)state;
    assert_int_equal(read_text(&answer, &record, "null", NULL), 0);
    assert_string_equal(record.text, "");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_done_ends_the_stream),
            cmocka_unit_test(test_errors_of_the_engine),
            cmocka_unit_test(test_error_bodies),
            cmocka_unit_test(test_prompt_past_the_context),
            cmocka_unit_test(test_prompt_past_the_context_of_a_vllm),
            cmocka_unit_test(test_input_that_the_model_cannot_take),
            cmocka_unit_test(test_what_the_engine_was_not_started_for),
            cmocka_unit_test(test_text_past_the_batch),
            cmocka_unit_test(test_a_model_that_says_nul),
            cmocka_unit_test(test_null_says_nothing),
    };
    return cmocka_run_group_tests_name("engine_answer", tests, NULL, NULL);
}
