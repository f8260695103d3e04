#include "coordinator/dialects/llamacpp/llamacpp.h"

#include "coordinator/cursor.h"

#include "tests/lib/dialect_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK(content, tokens)                                                                     \
    "data: {\"index\":0,\"content\":" content ",\"tokens\":[" tokens                               \
    "],\"stop\":false,\"id_slot\":-1"
#define TIMINGS                                                                                    \
    "\"timings\":{\"cache_n\":3,\"prompt_n\":5,\"prompt_ms\":2.5,\"prompt_per_token_ms\":0.5,"     \
    "\"prompt_per_second\":2000,\"predicted_n\":4,\"predicted_ms\":8,"                             \
    "\"predicted_per_token_ms\":2,\"predicted_per_second\":500}"
#define FACTS(stop_type, new_line)                                                                 \
    "\"id_slot\":-1,\"stop\":true,\"model\":\"small\",\"tokens_predicted\":4,"                     \
    "\"tokens_evaluated\":8,\"generation_settings\":{},\"has_new_line\":" new_line                 \
    ",\"truncated\":false,\"stop_type\":\"" stop_type                                              \
    "\",\"stopping_word\":\"\",\"tokens_cached\":11," TIMINGS "}"
#define LAST(index, content, tokens, stop_type, new_line)                                          \
    "{\"index\":" index ",\"content\":" content ",\"tokens\":[" tokens                             \
    "]," FACTS(stop_type, new_line)

static const struct dialect *const completion = &dialect_llamacpp_completion;
static const struct dialect *const infill = &dialect_llamacpp_infill;

static const struct msg_usage usage = {.prompt_tokens = 8,
        .cached_tokens = 3,
        .completion_tokens = 4,
        .prefill_ms = 2.5f,
        .decode_ms = 8};

/* --- completion requests --- */

static void a_completion_keeps_what_nobody_here_knows(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, completion,
            "{\"model\":\"m\",\"prompt\":\"p\",\"n_predict\":16,\"stream\":true,\"id_slot\":0,"
            "\"cache_prompt\":true,\"samplers\":[\"top_k\"],\"t_max_predict_ms\":100,"
            "\"grammar\":\"root ::= \\\"x\\\"\",\"big\":1.000000000000000000001,\"echo\":true,"
            "\"suffix\":\"s\",\"response_fields\":[\"content\"]}",
            "{\"prompt\":\"p\",\"cache_prompt\":true,\"samplers\":[\"top_k\"],"
            "\"t_max_predict_ms\":100,\"grammar\":\"root ::= \\\"x\\\"\","
            "\"big\":1.000000000000000000001,\"max_tokens\":16}");
    assert_int_equal(test.request.kind, REQUEST_COMPLETION);
    assert_int_equal(test.request.lane, LANE_CHAT);
    assert_int_equal(test.request.choices, 1);
    assert_true(test.request.stream);
    assert_string_equal(test.request.asked, "m");
    assert_string_equal(test.request.skipped, "id_slot");
    dialect_case_fini(&test);
}

static void prompts_numbers_and_choices_are_translated(void **state)
{
    (void)state;
    static const struct {
        const char *body, *neutral;
    } cases[] = {
            {"{\"prompt\":[1,2,3]}", "{\"prompt\":[1,2,3]}"},
            {"{\"prompt\":[\"a\",2]}", "{\"prompt\":[\"a\",2]}"},
            {"{\"prompt\":[\"a\"]}", "{\"prompt\":\"a\"}"},
            {"{\"prompt\":\"a\",\"n_predict\":-1}", "{\"prompt\":\"a\"}"},
            {"{\"prompt\":\"a\",\"n_predict\":0}", "{\"prompt\":\"a\",\"max_tokens\":0}"},
            {"{\"prompt\":\"a\",\"max_tokens\":7}", "{\"prompt\":\"a\",\"max_tokens\":7}"},
            {"{\"prompt\":\"a\",\"n_predict\":3,\"max_tokens\":7}",
                    "{\"prompt\":\"a\",\"max_tokens\":3}"},
            {"{\"prompt\":\"a\",\"n_probs\":2}", "{\"prompt\":\"a\",\"logprobs\":2}"},
            {"{\"prompt\":\"a\",\"return_tokens\":true}", "{\"prompt\":\"a\",\"logprobs\":1}"},
            {"{\"prompt\":\"a\",\"logprobs\":3}", "{\"prompt\":\"a\"}"},
            {"{\"prompt\":\"a\",\"n_cmpl\":2,\"n\":9}", "{\"prompt\":\"a\",\"n\":2}"},
            {"{\"prompt\":\"a\",\"id_slot\":-1}", "{\"prompt\":\"a\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, completion, cases[i].body, cases[i].neutral);
        assert_string_equal(test.request.skipped, "");
        dialect_case_fini(&test);
    }
}

static void a_prompt_with_a_models_tokens_comes_from_a_cursor(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum request_lane lane;
        bool cursor;
    } cases[] = {{"{\"prompt\":\"[SUFFIX]b[PREFIX]a\"}", LANE_AUTOCOMPLETE, true},
            {"{\"prompt\":[\"[SUFFIX]b[PREFIX]a\"]}", LANE_AUTOCOMPLETE, true},
            {"{\"prompt\":\"[SUFFIX]b[PREFIX]a\",\"n_predict\":0}", LANE_AUTOCOMPLETE, false},
            {"{\"prompt\":\"a[SUFFIX]b[PREFIX]\"}", LANE_CHAT, false},
            {"{\"prompt\":[1,2]}", LANE_CHAT, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        assert_int_equal(dialect_case_parse(&test, completion, cases[i].body), 0);
        assert_int_equal(test.request.kind, REQUEST_COMPLETION);
        assert_int_equal(test.request.lane, cases[i].lane);
        assert_int_equal(test.request.cursor != NULL, cases[i].cursor);
        dialect_case_fini(&test);
    }
}

static void bad_completions_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
            {"", NULL, "line 1"},
            {"3", NULL, "JSON object"},
            {"{}", "prompt", "one prompt"},
            {"{\"prompt\":[]}", "prompt", "one prompt"},
            {"{\"prompt\":[\"a\",\"b\"]}", "prompt", "several requests"},
            {"{\"prompt\":[[1],[2]]}", "prompt", "one prompt"},
            {"{\"prompt\":{\"prompt_string\":\"a\"}}", "prompt", "pictures"},
            {"{\"prompt\":\"a\",\"stream\":1}", "stream", "true or false"},
            {"{\"prompt\":\"a\",\"n_predict\":\"1\"}", "n_predict", "number"},
            {"{\"prompt\":\"a\",\"n_predict\":1e12}", "n_predict", "2147483647"},
            {"{\"prompt\":\"a\",\"n_probs\":1001}", "n_probs", "1000"},
            {"{\"prompt\":\"a\",\"n_cmpl\":17}", "n_cmpl", "16"},
            {"{\"prompt\":\"a\",\"n_cmpl\":0}", "n_cmpl", "from 1"},
            {"{\"prompt\":\"a\",\"return_tokens\":1}", "return_tokens", "true or false"},
            {"{\"prompt\":\"a\",\"id_slot\":\"x\"}", "id_slot", "number"},
            {"{\"prompt\":\"a\",\"response_fields\":[1]}", "response_fields", "strings"},
            {"{\"prompt\":\"a\",\"response_fields\":\"content\"}", "response_fields", "array"},
            {"{\"prompt\":\"a\",\"model\":[]}", "model", "string"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        dialect_case_refuses(completion, cases[i].body, cases[i].param, cases[i].says);
}

/* --- infill requests --- */

static void an_infill_goes_on_as_it_came(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, infill,
            "{\"id_slot\":0,\"input_prefix\":\"a\\n\",\"input_suffix\":\"b\",\"input_extra\":["
            "{\"text\":\"t\",\"time\":[1,2],\"filename\":\"f.c\"}],\"prompt\":\"p\","
            "\"n_predict\":0,\"n_indent\":4,\"samplers\":[\"top_k\",\"infill\"],\"stream\":false,"
            "\"cache_prompt\":true,\"t_max_prompt_ms\":500,\"t_max_predict_ms\":1,"
            "\"response_fields\":[\"\"]}",
            "{\"input_prefix\":\"a\\n\",\"input_suffix\":\"b\",\"input_extra\":["
            "{\"text\":\"t\",\"time\":[1,2],\"filename\":\"f.c\"}],\"prompt\":\"p\","
            "\"n_predict\":0,\"n_indent\":4,\"samplers\":[\"top_k\",\"infill\"],"
            "\"cache_prompt\":true,\"t_max_prompt_ms\":500,\"t_max_predict_ms\":1}");
    assert_int_equal(test.request.kind, REQUEST_INFILL);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE);
    assert_int_equal(test.request.needs, CAPABILITY_FIM);
    assert_string_equal(test.request.asked, "");
    assert_null(test.request.cursor); /* it only warms up the cache */
    dialect_case_fini(&test);
}

static void an_infill_is_at_a_cursor(void **state)
{
    (void)state;
    static const char body[] = "{\"input_prefix\":\"a\",\"input_suffix\":\"b\"}";
    struct dialect_case test;
    dialect_case_reads(&test, infill, body, body);
    assert_non_null(test.request.cursor);
    assert_int_equal(request_kept_bytes(&test.request), cursor_bytes());
    dialect_case_fini(&test);
}

static void bad_infills_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
            {"{\"input_suffix\":\"\"}", "input_prefix", "string"},
            {"{\"input_prefix\":\"\"}", "input_suffix", "string"},
            {"{\"input_prefix\":\"\",\"input_suffix\":1}", "input_suffix", "string"},
            {"{\"input_prefix\":\"\",\"input_suffix\":\"\",\"prompt\":1}", "prompt", "string"},
            {"{\"input_prefix\":\"\",\"input_suffix\":\"\",\"n_predict\":true}", "n_predict",
                    "number"},
            {"{\"input_prefix\":\"\",\"input_suffix\":\"\",\"input_extra\":{}}", "input_extra",
                    "array"},
            {"{\"input_prefix\":\"\",\"input_suffix\":\"\",\"input_extra\":[{}]}", "input_extra",
                    "text"},
            {"{\"input_prefix\":\"\",\"input_suffix\":\"\",\"input_extra\":[{\"text\":\"\","
             "\"filename\":1}]}",
                    "input_extra", "filename"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        dialect_case_refuses(infill, cases[i].body, cases[i].param, cases[i].says);
}

/* --- answers --- */

static void open_answer(struct dialect_case *test, const char *more)
{
    char body[300];
    (void)snprintf(body, sizeof(body), "{\"prompt\":\"p\"%s}", more);
    dialect_case_reads(test, completion, body, NULL);
    dialect_case_answer(test);
}

static void a_stream_has_the_servers_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, ",\"stream\":true");
    assert_string_equal(completion->stream_type, "text/event-stream");
    assert_int_equal(completion->stream_begin(test.answer, &test.out), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(completion->stream_idle(test.answer, &test.out), 0);
    dialect_case_wrote(&test, CHUNK("\"\"", "") "}\n\n");
    assert_int_equal(dialect_case_delta(&test, DELTA_PROGRESS, 0, "prefill"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a\n\""), 0);
    dialect_case_wrote(&test, CHUNK("\"a\\n\\\"\"", "") "}\n\n");
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "length"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, "data: " LAST("0", "\"\"", "", "limit", "true") "\n\n");
    dialect_case_fini(&test);
}

static void tokens_and_probabilities_come_where_they_were_asked_for(void **state)
{
    (void)state;
    static const char logprobs[] = "{\"content\":[{\"id\":7,\"token\":\"a\",\"logprob\":-0.5}]}";
    struct dialect_case test;
    open_answer(&test, ",\"stream\":true,\"n_probs\":1");
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, logprobs), 0);
    dialect_case_wrote(&test,
            CHUNK("\"\"", "7") ",\"completion_probabilities\":[{\"id\":7,\"token\":"
                               "\"a\",\"logprob\":-0.5}]}\n\n");
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, "{\"content\":[]}"), 0);
    dialect_case_wrote(&test, "");
    dialect_case_fini(&test);
    open_answer(&test, ",\"stream\":true,\"return_tokens\":true");
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, logprobs), 0);
    dialect_case_wrote(&test, CHUNK("\"\"", "7") "}\n\n");
    dialect_case_fini(&test);
    open_answer(&test, ",\"return_tokens\":true,\"response_fields\":[\"tokens\",\"content\","
                       "\"completion_probabilities\"]");
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, logprobs), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, logprobs), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, "{\"tokens\":[7,7],\"content\":\"\"}");
    dialect_case_fini(&test);
    open_answer(&test, ",\"n_probs\":1,\"response_fields\":[\"tokens\","
                       "\"completion_probabilities\"]");
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, logprobs), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test,
            "{\"tokens\":[],\"completion_probabilities\":[{\"id\":7,\"token\":\"a\","
            "\"logprob\":-0.5}]}");
    dialect_case_fini(&test);
}

static void a_whole_answer_has_the_servers_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, "");
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a\""), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "\xc3\xa9"), 0);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, LAST("0", "\"a\\\"\xc3\xa9\"", "", "eos", "false"));
    dialect_case_fini(&test);
}

static void several_choices_are_an_array(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct dialect_case test;
        open_answer(&test, ",\"n_cmpl\":2,\"response_fields\":[\"index\",\"content\",\"stop\"]");
        test.request.stream = stream;
        assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 1, "b"), 0);
        assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 2, "c"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 1, "stop"), 0);
        buf_clear(&test.out);
        assert_int_equal(dialect_case_end(&test), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
        assert_int_equal(dialect_case_end(&test), 0);
        dialect_case_wrote(&test, stream ? "data: {\"index\":0,\"content\":\"\",\"stop\":true}\n\n"
                                           "data: {\"index\":1,\"content\":\"\",\"stop\":true}\n\n"
                                         : "[{\"index\":0,\"content\":\"\",\"stop\":true},"
                                           "{\"index\":1,\"content\":\"b\",\"stop\":true}]");
        dialect_case_fini(&test);
    }
}

static void only_the_fields_asked_for_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *text;
    } cases[] = {
            {"[]", "{}"},
            {"[\"\"]", "{}"},
            {"[\"nothing\",\"content/x\",\"timings/\",\"/content\"]", "{}"},
            {"[\"content\",\"timings/prompt_n\",\"truncated\",\"tokens_cached\",\"content\"]",
                    "{\"content\":\"a\",\"timings/prompt_n\":5,\"truncated\":false,"
                    "\"tokens_cached\":11}"},
            {"[\"timings\"]", "{" TIMINGS "}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        char more[200];
        (void)snprintf(more, sizeof(more), ",\"response_fields\":%s", cases[i].fields);
        open_answer(&test, more);
        assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a"), 0);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
        assert_int_equal(dialect_case_usage(&test, &usage), 0);
        assert_int_equal(dialect_case_end(&test), 0);
        dialect_case_wrote(&test, cases[i].text);
        dialect_case_fini(&test);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct dialect_case test;
        open_answer(&test, "");
        test.request.stream = stream;
        assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 1, "x"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, "{"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, ""), -EPROTO);
        dialect_case_fini(&test);
    }
}

static void an_answer_without_usage_has_no_rates(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, ",\"response_fields\":[\"tokens_cached\",\"timings/prompt_per_second\","
                       "\"timings/predicted_per_token_ms\"]");
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, "{\"tokens_cached\":0,\"timings/prompt_per_second\":0,"
                              "\"timings/predicted_per_token_ms\":0}");
    dialect_case_fini(&test);
}

/* --- errors --- */

static void errors_have_the_servers_shape(void **state)
{
    (void)state;
    static const struct {
        struct api_error error;
        const char *text;
    } cases[] = {
            {{.status = 400, .message = "bad \"n\""},
                    "{\"error\":{\"code\":400,\"message\":\"bad \\\"n\\\"\",\"type\":"
                    "\"invalid_request_error\"}}"},
            {{.status = 401, .message = "m"}, "{\"error\":{\"code\":401,\"message\":\"m\",\"type\":"
                                              "\"authentication_error\"}}"},
            {{.status = 403, .message = "m"},
                    "{\"error\":{\"code\":403,\"message\":\"m\",\"type\":\"permission_error\"}}"},
            {{.status = 404, .message = "m"},
                    "{\"error\":{\"code\":404,\"message\":\"m\",\"type\":\"not_found_error\"}}"},
            {{.status = 429, .message = "m"},
                    "{\"error\":{\"code\":429,\"message\":\"m\",\"type\":\"unavailable_error\"}}"},
            {{.status = 501, .message = "m"}, "{\"error\":{\"code\":501,\"message\":\"m\",\"type\":"
                                              "\"not_supported_error\"}}"},
            {{.status = 502},
                    "{\"error\":{\"code\":502,\"message\":\"\",\"type\":\"server_error\"}}"},
            {{.status = 400, .message = "m", .prompt_tokens = 9, .context_tokens = 4},
                    "{\"error\":{\"code\":400,\"message\":\"m\",\"type\":"
                    "\"exceed_context_size_error\",\"n_prompt_tokens\":9,\"n_ctx\":4}}"},
    };
    struct dialect_case test;
    open_answer(&test, ",\"stream\":true");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char event[300];
        assert_int_equal(family_llamacpp.error_body(&cases[i].error, "req_1", &test.out), 0);
        dialect_case_wrote(&test, cases[i].text);
        assert_int_equal(completion->stream_error(test.answer, &cases[i].error, &test.out), 0);
        (void)snprintf(event, sizeof(event), "data: %s\n\n", cases[i].text);
        dialect_case_wrote(&test, event);
    }
    dialect_case_fini(&test);
}

/* --- tokens --- */

static void texts_tokens_and_chats_go_to_the_engine(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *dialect;
        enum request_kind kind;
        const char *body, *neutral;
    } cases[] = {
            {&dialect_llamacpp_tokenize, REQUEST_TOKENIZE,
                    "{\"model\":\"m\",\"content\":\"hi\",\"with_pieces\":true}",
                    "{\"content\":\"hi\",\"with_pieces\":true}"},
            {&dialect_llamacpp_tokenize, REQUEST_TOKENIZE,
                    "{\"model\":\"m\",\"content\":[\"hi\",3]}", "{\"content\":[\"hi\",3]}"},
            {&dialect_llamacpp_tokenize, REQUEST_TOKENIZE,
                    "{\"model\":\"m\",\"content\":null,\"x\":null}", "{\"x\":null}"},
            {&dialect_llamacpp_detokenize, REQUEST_DETOKENIZE, "{\"model\":\"m\",\"tokens\":[1,2]}",
                    "{\"tokens\":[1,2]}"},
            {&dialect_llamacpp_detokenize, REQUEST_DETOKENIZE, "{\"model\":\"m\",\"tokens\":null}",
                    "{}"},
            {&dialect_llamacpp_template, REQUEST_TEMPLATE,
                    "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},"
                    "{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[],\"stream\":true}",
                    "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
                    "\"content\":\"x\"}]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, cases[i].dialect, cases[i].body, cases[i].neutral);
        assert_int_equal(test.request.kind, cases[i].kind);
        assert_string_equal(test.request.asked, "m");
        assert_false(test.request.stream);
        assert_null(cases[i].dialect->stream_type);
        dialect_case_fini(&test);
    }
}

static void bad_texts_tokens_and_chats_are_named(void **state)
{
    (void)state;
    dialect_case_refuses(&dialect_llamacpp_tokenize, "{\"content\":{}}", "content", "string");
    dialect_case_refuses(&dialect_llamacpp_tokenize, "{\"content\":[[]]}", "content", "string");
    dialect_case_refuses(&dialect_llamacpp_detokenize, "{\"tokens\":\"x\"}", "tokens", "array");
    dialect_case_refuses(&dialect_llamacpp_detokenize, "{\"tokens\":[1.5]}", "tokens", "whole");
    dialect_case_refuses(&dialect_llamacpp_detokenize, "{\"tokens\":[-1]}", "tokens", "whole");
    dialect_case_refuses(&dialect_llamacpp_detokenize, "{\"tokens\":[1e10]}", "tokens", "whole");
    dialect_case_refuses(&dialect_llamacpp_template, "{}", "messages", "at least one");
    dialect_case_refuses(&dialect_llamacpp_template, "{\"messages\":[{}]}", "messages", "role");
    dialect_case_refuses(&dialect_llamacpp_template,
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
            "{\"url\":\"http://10.0.0.1/a.png\"}}]}]}",
            "messages", "not fetched");
}

static void the_engines_answer_is_the_answer(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, &dialect_llamacpp_tokenize, "{\"content\":\"hi\"}", NULL);
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, "{\"tokens\""), 0);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, ": [1]}"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, "{\"tokens\": [1]}");
    dialect_case_fini(&test);
    dialect_case_reads(&test, &dialect_llamacpp_tokenize, "{\"content\":\"hi\"}", NULL);
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, "[1]"), 0);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_completion_keeps_what_nobody_here_knows),
            cmocka_unit_test(prompts_numbers_and_choices_are_translated),
            cmocka_unit_test(a_prompt_with_a_models_tokens_comes_from_a_cursor),
            cmocka_unit_test(bad_completions_name_what_is_wrong),
            cmocka_unit_test(an_infill_goes_on_as_it_came),
            cmocka_unit_test(an_infill_is_at_a_cursor),
            cmocka_unit_test(bad_infills_name_what_is_wrong),
            cmocka_unit_test(a_stream_has_the_servers_shape),
            cmocka_unit_test(tokens_and_probabilities_come_where_they_were_asked_for),
            cmocka_unit_test(a_whole_answer_has_the_servers_shape),
            cmocka_unit_test(several_choices_are_an_array),
            cmocka_unit_test(only_the_fields_asked_for_are_told),
            cmocka_unit_test(what_makes_no_sense_is_refused),
            cmocka_unit_test(an_answer_without_usage_has_no_rates),
            cmocka_unit_test(errors_have_the_servers_shape),
            cmocka_unit_test(texts_tokens_and_chats_go_to_the_engine),
            cmocka_unit_test(bad_texts_tokens_and_chats_are_named),
            cmocka_unit_test(the_engines_answer_is_the_answer),
    };
    return cmocka_run_group_tests_name("llamacpp", tests, NULL, NULL);
}
