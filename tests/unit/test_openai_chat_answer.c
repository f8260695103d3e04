#include "coordinator/dialects/openai/openai.h"
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

#define HEAD                                                                                       \
    "{\"id\":\"chatcmpl-req_1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":"    \
    "\"small\""
#define CHUNK(choice, inner)                                                                       \
    "data: " HEAD ",\"choices\":[{\"index\":" choice "," inner ",\"finish_reason\":null}]}\n\n"
#define FINISH(choice, reason)                                                                     \
    "data: " HEAD ",\"choices\":[{\"index\":" choice ",\"delta\":{},\"finish_reason\":\"" reason   \
    "\"}]}\n\n"
#define ROLE(choice) CHUNK(choice, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}")
#define TEXT(text)   CHUNK("0", "\"delta\":{\"content\":\"" text "\"}")
#define DONE         "data: [DONE]\n\n"
#define USAGE                                                                                      \
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_tokens\":8,"                   \
    "\"prompt_tokens_details\":{\"cached_tokens\":2}}"

/* `members` are the request's, each behind a comma. */
static void begin(struct dialect_case *test, const char *members)
{
    char body[400];
    snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]%s}",
            members);
    assert_int_equal(dialect_case_parse(test, &dialect_openai_chat, body), 0);
    dialect_case_answer(test);
}

static void says(struct dialect_case *test, enum delta_kind kind, uint32_t choice, const char *data,
        const char *text)
{
    assert_int_equal(dialect_case_delta(test, kind, choice, data), 0);
    dialect_case_wrote(test, text);
}

static int end(struct dialect_case *test)
{
    return dialect_openai_chat.stream_end(test->answer, &test->out);
}

static void idles(struct dialect_case *test, const char *text)
{
    assert_int_equal(dialect_openai_chat.stream_idle(test->answer, &test->out), 0);
    dialect_case_wrote(test, text);
}

static void a_stream_has_openais_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true");
    assert_int_equal(dialect_openai_chat.stream_begin(test.answer, &test.out), 0);
    dialect_case_wrote(&test, ROLE("0"));
    says(&test, DELTA_REASONING, 0, "hm", CHUNK("0", "\"delta\":{\"reasoning_content\":\"hm\"}"));
    says(&test, DELTA_TEXT, 0, "a\n\"é", TEXT("a\\n\\\"é"));
    says(&test, DELTA_PROGRESS, 0, "prefill", "");
    idles(&test, TEXT(""));
    says(&test, DELTA_FINISH, 0, "stop", FINISH("0", "stop"));
    says(&test, DELTA_USAGE, 0, "", "");
    assert_int_equal(end(&test), 0);
    dialect_case_wrote(&test, DONE);
    dialect_case_fini(&test);
}

static void usage_comes_only_where_it_was_asked_for(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    says(&test, DELTA_FINISH, 0, "stop", FINISH("0", "stop"));
    says(&test, DELTA_USAGE, 0, "", "");
    assert_int_equal(end(&test), 0);
    dialect_case_wrote(&test, "data: " HEAD ",\"choices\":[]," USAGE "}\n\n" DONE);
    dialect_case_fini(&test);
}

static void calls_say_id_and_name_once(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true");
    says(&test, DELTA_TOOL_CALLS, 0,
            "[ {\"index\":0,\r\n\n\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"arguments\":\"\"}} ]",
            CHUNK("0", "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":"
                       "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}"));
    says(&test, DELTA_TOOL_CALLS, 0,
            "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]",
            CHUNK("0", "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
                       "\"{\\\"a\"}}]}"));
    says(&test, DELTA_TOOL_CALLS, 0,
            "[{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"g\"}},{\"index\":0,\"function\":{"
            "\"arguments\":\"\\\":1}\"}}]",
            CHUNK("0", "\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"type\":"
                       "\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}},{\"index\":"
                       "0,\"function\":{\"arguments\":\"\\\":1}\"}}]}"));
    says(&test, DELTA_TOOL_CALLS, 0, "[]", "");
    says(&test, DELTA_FINISH, 0, "stop", FINISH("0", "tool_calls"));
    dialect_case_fini(&test);
}

static void a_call_cut_short_keeps_its_reason(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true");
    assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, "[{\"id\":\"c\"}]"), 0);
    buf_clear(&test.out);
    says(&test, DELTA_FINISH, 0, "length", FINISH("0", "length"));
    dialect_case_fini(&test);
}

static void a_client_of_functions_sees_functions(void **state)
{
    (void)state;
    static const char call[] = "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\","
                               "\"arguments\":\"{}\"}},{\"index\":1,\"id\":\"c2\"}]";
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"functions\":[{\"name\":\"f\"}]");
    says(&test, DELTA_TOOL_CALLS, 0, call,
            CHUNK("0", "\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}}"));
    says(&test, DELTA_TOOL_CALLS, 0, "[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]", "");
    says(&test, DELTA_FINISH, 0, "tool_calls", FINISH("0", "function_call"));
    dialect_case_fini(&test);

    begin(&test, ",\"functions\":[{\"name\":\"f\"}]");
    says(&test, DELTA_TOOL_CALLS, 0, call, "");
    says(&test, DELTA_FINISH, 0, "stop", "");
    assert_int_equal(dialect_openai_chat.whole(test.answer, &test.out), 0);
    assert_int_equal(buf_terminate(&test.out), 0);
    assert_non_null(strstr(buf_at(&test.out),
            "\"message\":{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":"
            "\"f\",\"arguments\":\"{}\"}},\"logprobs\":null,\"finish_reason\":\"function_call\""));
    dialect_case_fini(&test);
}

static void log_probs_stand_beside_their_text(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"logprobs\":true,\"top_logprobs\":1");
    says(&test, DELTA_TEXT, 0, "a", "");
    says(&test, DELTA_LOGPROBS, 0,
            "{\"content\":[\n{\"token\":\"a\",\"logprob\":-0.25,\"top_logprobs\":[1]}]}",
            CHUNK("0", "\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"token\":\"a\","
                       "\"logprob\":-0.25,\"top_logprobs\":[1]}]}"));
    says(&test, DELTA_TEXT, 0, "b", "");
    says(&test, DELTA_TEXT, 0, "c", TEXT("b"));
    idles(&test, TEXT("c") TEXT(""));
    says(&test, DELTA_LOGPROBS, 0, "{\"content\":null}",
            CHUNK("0", "\"delta\":{\"content\":\"\"},\"logprobs\":{\"content\":null}"));
    says(&test, DELTA_TEXT, 0, "d", "");
    says(&test, DELTA_FINISH, 0, "stop", TEXT("d") FINISH("0", "stop"));
    dialect_case_fini(&test);
}

static void alternatives_come_only_where_they_were_asked_for(void **state)
{
    (void)state;
    static const char came[] = "{\"content\":[{\"token\":\"a\",\"top_logprobs\":[{}]},7]}";
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"logprobs\":true");
    says(&test, DELTA_LOGPROBS, 0, came,
            CHUNK("0", "\"delta\":{\"content\":\"\"},\"logprobs\":{\"content\":[{\"token\":\"a\","
                       "\"top_logprobs\":[]},7]}"));
    dialect_case_fini(&test);

    begin(&test, ",\"logprobs\":true");
    says(&test, DELTA_LOGPROBS, 0, came, "");
    says(&test, DELTA_FINISH, 0, "stop", "");
    assert_int_equal(dialect_openai_chat.whole(test.answer, &test.out), 0);
    assert_int_equal(buf_terminate(&test.out), 0);
    assert_non_null(strstr(buf_at(&test.out),
            "\"logprobs\":{\"content\":[{\"token\":\"a\",\"top_logprobs\":[]},7]}"));
    dialect_case_fini(&test);
}

static void nonsense_of_an_engine_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum delta_kind kind;
        uint32_t choice;
        const char *data;
    } cases[] = {
            {DELTA_TOOL_CALLS, 0, "{}"},
            {DELTA_TOOL_CALLS, 0, "[]}]}\n\ndata: [DONE]"},
            {DELTA_TOOL_CALLS, 0, "[{\"index\":1}]"},
            {DELTA_TOOL_CALLS, 0, ""},
            {DELTA_LOGPROBS, 0, "[]"},
            {DELTA_LOGPROBS, 0, ""},
            {DELTA_FINISH, 0, ""},
            {DELTA_FINISH, 0, "a reason that is much too long to be one"},
            {DELTA_TEXT, 1, "x"},
            {DELTA_TEXT, UINT32_MAX, "x"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int streamed = 0; streamed <= 1; streamed++) {
            struct dialect_case test;
            begin(&test, streamed ? ",\"stream\":true" : "");
            assert_int_equal(
                    dialect_case_delta(&test, cases[i].kind, cases[i].choice, cases[i].data),
                    -EPROTO);
            dialect_case_fini(&test);
        }
    }
}

static void every_choice_begins_and_finishes_once(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"n\":2");
    assert_int_equal(dialect_openai_chat.stream_begin(test.answer, &test.out), 0);
    dialect_case_wrote(&test, ROLE("0") ROLE("1"));
    assert_int_equal(end(&test), -EPROTO);
    says(&test, DELTA_FINISH, 0, "stop", FINISH("0", "stop"));
    says(&test, DELTA_FINISH, 0, "stop", "");
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "more"), -EPROTO);
    idles(&test, CHUNK("1", "\"delta\":{\"content\":\"\"}"));
    assert_int_equal(end(&test), -EPROTO);
    says(&test, DELTA_FINISH, 1, "length", FINISH("1", "length"));
    idles(&test, "data: " HEAD ",\"choices\":[]}\n\n");
    assert_int_equal(end(&test), 0);
    dialect_case_wrote(&test, DONE);
    dialect_case_fini(&test);
}

static void the_most_choices_fit(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"n\":16");
    for (uint32_t i = 0; i < REQUEST_CHOICES_MAX; i++) {
        assert_int_equal(end(&test), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, i, "stop"), 0);
    }
    assert_int_equal(end(&test), 0);
    dialect_case_fini(&test);
}

static void a_whole_answer_has_openais_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"n\":2");
    says(&test, DELTA_TEXT, 0, "a", "");
    says(&test, DELTA_TOOL_CALLS, 1,
            "[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]", "");
    says(&test, DELTA_FINISH, 0, "stop", "");
    assert_int_equal(dialect_openai_chat.whole(test.answer, &test.out), -EPROTO);
    assert_int_equal(test.out.len, 0);
    says(&test, DELTA_FINISH, 1, "stop", "");
    says(&test, DELTA_USAGE, 0, "", "");
    assert_int_equal(dialect_openai_chat.whole(test.answer, &test.out), 0);
    dialect_case_wrote(&test,
            "{\"id\":\"chatcmpl-req_1\",\"object\":\"chat.completion\",\"created\":17,"
            "\"model\":\"small\",\"choices\":["
            "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\"},"
            "\"logprobs\":null,\"finish_reason\":\"stop\"},"
            "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
            "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
            "]},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}]," USAGE "}");
    dialect_case_fini(&test);
}

static void an_error_in_a_stream_is_an_event(void **state)
{
    (void)state;
    struct dialect_case test;
    struct api_error error = {.status = 502, .code = "engine_died", .message = "line\nline"};
    begin(&test, ",\"stream\":true");
    assert_int_equal(dialect_openai_chat.stream_error(test.answer, &error, &test.out), 0);
    dialect_case_wrote(&test,
            "data: {\"error\":{\"message\":\"line\\nline\",\"type\":\"server_error\",\"param\":"
            "null,\"code\":\"engine_died\"}}\n\n");
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_stream_has_openais_shape),
            cmocka_unit_test(usage_comes_only_where_it_was_asked_for),
            cmocka_unit_test(calls_say_id_and_name_once),
            cmocka_unit_test(a_call_cut_short_keeps_its_reason),
            cmocka_unit_test(a_client_of_functions_sees_functions),
            cmocka_unit_test(log_probs_stand_beside_their_text),
            cmocka_unit_test(alternatives_come_only_where_they_were_asked_for),
            cmocka_unit_test(nonsense_of_an_engine_is_refused),
            cmocka_unit_test(every_choice_begins_and_finishes_once),
            cmocka_unit_test(the_most_choices_fit),
            cmocka_unit_test(a_whole_answer_has_openais_shape),
            cmocka_unit_test(an_error_in_a_stream_is_an_event),
    };
    return cmocka_run_group_tests_name("openai_chat_answer", tests, NULL, NULL);
}
