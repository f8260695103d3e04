#include "coordinator/dialects/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HEAD                                                                                       \
    "{\"id\":\"chatcmpl-req_1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":"    \
    "\"small\""

/* --- requests --- */

static int parse(const char *body, struct request *request, const char **param, struct err *err)
{
    request_init(request);
    *err = (struct err){.text = ""};
    return dialect_openai.parse(body, strlen(body), request, param, err);
}

static void a_request_is_read_and_kept_byte_for_byte(void **state)
{
    (void)state;
    static const char body[] =
            " {\"model\" : \"ask\", " MESSAGES ", \"n\":3, \"stream\":true,"
            "\"stream_options\":{\"include_usage\":true}, \"unknown\":1.000000000000000000001}\n";
    struct request request;
    const char *param;
    struct err err;
    assert_int_equal(parse(body, &request, &param, &err), 0);
    assert_string_equal(request.asked, "ask");
    assert_int_equal(request.choices, 3);
    assert_true(request.stream);
    assert_true(request.include_usage);
    assert_int_equal(request.kind, REQUEST_CHAT);
    assert_int_equal(request.body.len, strlen(body));
    assert_memory_equal(buf_at(&request.body), body, strlen(body));
    request_fini(&request);
}

static void what_is_absent_or_null_has_its_default(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{" MESSAGES "}",
            "{" MESSAGES ",\"model\":null,\"n\":null,\"stream\":null,\"stream_options\":null}",
            "{" MESSAGES ",\"stream_options\":{\"include_usage\":null}}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct request request;
        const char *param;
        struct err err;
        assert_int_equal(parse(bodies[i], &request, &param, &err), 0);
        assert_string_equal(request.asked, "auto");
        assert_int_equal(request.choices, 1);
        assert_false(request.stream);
        assert_false(request.include_usage);
        request_fini(&request);
    }
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"", NULL, "line 1, column 1"},
            {"{\n \"model\": }", NULL, "line 2, column 11"},
            {"[]", NULL, "JSON object"},
            {"\"text\"", NULL, "JSON object"},
            {"{}", "messages", "at least one"},
            {"{\"messages\":[]}", "messages", "at least one"},
            {"{\"messages\":{}}", "messages", "array"},
            {"{\"messages\":[1]}", "messages", "role"},
            {"{\"messages\":[{\"content\":\"hi\"}]}", "messages", "role"},
            {"{" MESSAGES ",\"model\":1}", "model", "string"},
            {"{" MESSAGES ",\"model\":\"\"}", "model", "1 to 128"},
            {"{" MESSAGES ",\"n\":0}", "n", "1 to 16"},
            {"{" MESSAGES ",\"n\":17}", "n", "1 to 16"},
            {"{" MESSAGES ",\"n\":1.5}", "n", "whole"},
            {"{" MESSAGES ",\"n\":\"2\"}", "n", "whole"},
            {"{" MESSAGES ",\"n\":-1e300}", "n", "whole"},
            {"{" MESSAGES ",\"stream\":\"true\"}", "stream", "true or false"},
            {"{" MESSAGES ",\"stream\":1}", "stream", "true or false"},
            {"{" MESSAGES ",\"stream_options\":true}", "stream_options", "object"},
            {"{" MESSAGES ",\"stream_options\":{\"include_usage\":1}}",
                    "stream_options.include_usage", "true or false"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request;
        const char *param = "unset";
        struct err err;
        assert_int_equal(parse(cases[i].body, &request, &param, &err), -EINVAL);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].body, err.text, cases[i].text);
        if (cases[i].param)
            assert_string_equal(param, cases[i].param);
        else
            assert_null(param);
        assert_int_equal(request.body.len, 0);
        request_fini(&request);
    }
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char body[400], name[MSG_NAME_MAX + 2];
    struct request request;
    const char *param;
    struct err err;
    memset(name, 'm', sizeof(name));
    for (size_t len = MSG_NAME_MAX; len <= MSG_NAME_MAX + 1; len++) {
        name[len] = '\0';
        (void)snprintf(body, sizeof(body), "{\"model\":\"%s\"," MESSAGES "}", name);
        assert_int_equal(parse(body, &request, &param, &err), len == MSG_NAME_MAX ? 0 : -EINVAL);
        request_fini(&request);
        name[len] = 'm';
    }
}

/* --- streams --- */

struct stream {
    struct request request;
    struct answer *answer;
    struct buf out;
};

static void open_stream(struct stream *stream, uint32_t choices, bool streamed, bool include_usage)
{
    static const struct answer_facts facts = {
            .request_id = "req_1", .model = "small", .created_s = 17};
    request_init(&stream->request);
    stream->request.choices = choices;
    stream->request.stream = streamed;
    stream->request.include_usage = include_usage;
    stream->answer = dialect_openai.answer_create(&stream->request, &facts);
    assert_non_null(stream->answer);
    buf_init(&stream->out, DIALECT_ANSWER_MAX);
}

static void close_stream(struct stream *stream)
{
    dialect_openai.answer_destroy(stream->answer);
    request_fini(&stream->request);
    buf_fini(&stream->out);
}

/* What was appended since the last time. */
static void wrote(struct stream *stream, const char *text)
{
    assert_int_equal(buf_terminate(&stream->out), 0);
    assert_string_equal(buf_at(&stream->out), text);
    buf_clear(&stream->out);
}

static int delta(struct stream *stream, enum delta_kind kind, uint32_t choice, const char *data)
{
    struct msg_delta msg = {.kind = kind,
            .choice = choice,
            .data = data,
            .len = strlen(data),
            .usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3}};
    if (kind == DELTA_USAGE)
        msg.len = 0;
    return stream->request.stream ? dialect_openai.stream_delta(stream->answer, &msg, &stream->out)
                                  : dialect_openai.gather(stream->answer, &msg);
}

static void a_stream_has_openais_shape(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, 1, true, false);
    assert_int_equal(dialect_openai.stream_begin(stream.answer, &stream.out), 0);
    wrote(&stream, "data: " HEAD
                   ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                   "\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_REASONING, 0, "hm"), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":"
                   "\"hm\"},\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_TEXT, 0, "a\n\"é"), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\n\\\"é\"},"
                   "\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_PROGRESS, 0, "prefill"), 0);
    wrote(&stream, "");
    assert_int_equal(dialect_openai.stream_idle(stream.answer, &stream.out), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_"
                   "reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_FINISH, 0, "stop"), 0);
    wrote(&stream, "data: " HEAD
                   ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_USAGE, 0, ""), 0);
    wrote(&stream, "");
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), 0);
    wrote(&stream, "data: [DONE]\n\n");
    close_stream(&stream);
}

static void usage_comes_only_where_it_was_asked_for(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, 1, true, true);
    assert_int_equal(delta(&stream, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(delta(&stream, DELTA_USAGE, 0, ""), 0);
    buf_clear(&stream.out);
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_"
                   "tokens\":3,\"total_tokens\":8,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n");
    close_stream(&stream);
}

static void json_of_an_engine_stays_on_its_line(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, 1, true, false);
    assert_int_equal(
            delta(&stream, DELTA_TOOL_CALLS, 0, "[ {\"index\":0,\r\n\n\"id\":\"c\"} ]"), 0);
    wrote(&stream,
            "data: " HEAD
            ",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\"}]},"
            "\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_LOGPROBS, 0, "{\"content\":[{\"logprob\":-0.25}]}"), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":{"
                   "\"content\":[{\"logprob\":-0.25}]},"
                   "\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_TOOL_CALLS, 0, "{}"), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_TOOL_CALLS, 0, "[]}]}\n\ndata: [DONE]"), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_LOGPROBS, 0, "[]"), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_LOGPROBS, 0, ""), -EPROTO);
    close_stream(&stream);
}

static void every_choice_begins_and_must_finish(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, 2, true, false);
    assert_int_equal(dialect_openai.stream_begin(stream.answer, &stream.out), 0);
    wrote(&stream, "data: " HEAD ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                   "\"content\":\"\"},\"finish_reason\":null}]}\n\n"
                   "data: " HEAD ",\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\","
                   "\"content\":\"\"},\"finish_reason\":null}]}\n\n");
    assert_int_equal(delta(&stream, DELTA_TEXT, 2, "x"), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_TEXT, 100, "x"), -EPROTO);
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(delta(&stream, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), -EPROTO);
    assert_int_equal(delta(&stream, DELTA_FINISH, 1, "length"), 0);
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), 0);
    close_stream(&stream);
}

static void the_most_choices_fit(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, REQUEST_CHOICES_MAX, true, false);
    for (uint32_t i = 0; i < REQUEST_CHOICES_MAX; i++) {
        assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), -EPROTO);
        assert_int_equal(delta(&stream, DELTA_FINISH, i, "stop"), 0);
    }
    assert_int_equal(dialect_openai.stream_end(stream.answer, &stream.out), 0);
    close_stream(&stream);
}

/* --- whole answers --- */

static void a_whole_answer_has_openais_shape(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, 2, false, false);
    assert_int_equal(delta(&stream, DELTA_TEXT, 0, "a"), 0);
    assert_int_equal(delta(&stream, DELTA_TEXT, 1, "b"), 0);
    assert_int_equal(delta(&stream, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_openai.whole(stream.answer, &stream.out), -EPROTO);
    assert_int_equal(stream.out.len, 0);
    assert_int_equal(delta(&stream, DELTA_FINISH, 1, "length"), 0);
    assert_int_equal(delta(&stream, DELTA_USAGE, 0, ""), 0);
    assert_int_equal(dialect_openai.whole(stream.answer, &stream.out), 0);
    wrote(&stream, "{\"id\":\"chatcmpl-req_1\",\"object\":\"chat.completion\",\"created\":17,"
                   "\"model\":\"small\",\"choices\":["
                   "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\"},"
                   "\"logprobs\":null,\"finish_reason\":\"stop\"},"
                   "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"b\"},"
                   "\"logprobs\":null,\"finish_reason\":\"length\"}],"
                   "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_tokens\":8,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":2}}}");
    assert_int_equal(delta(&stream, DELTA_TEXT, 2, "x"), -EPROTO);
    close_stream(&stream);
}

/* --- errors --- */

static void errors_have_openais_shape(void **state)
{
    (void)state;
    static const struct {
        struct api_error error;
        const char *body;
    } cases[] = {
            {{400, "invalid_request", "n", "bad \"n\""},
                    "{\"error\":{\"message\":\"bad "
                    "\\\"n\\\"\",\"type\":\"invalid_request_error\",\"param\":\"n\",\"code\":"
                    "\"invalid_request\"}}"},
            {{404, "model_not_found", "model", "m"},
                    "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":"
                    "\"model\",\"code\":\"model_not_found\"}}"},
            {{401, "x", NULL, "m"}, "{\"error\":{\"message\":\"m\",\"type\":\"authentication_"
                                    "error\",\"param\":null,\"code\":\"x\"}}"},
            {{403, "x", NULL, "m"}, "{\"error\":{\"message\":\"m\",\"type\":\"permission_error\","
                                    "\"param\":null,\"code\":\"x\"}}"},
            {{429, "x", NULL, "m"}, "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\","
                                    "\"param\":null,\"code\":\"x\"}}"},
            {{503, NULL, NULL, NULL}, "{\"error\":{\"message\":\"\",\"type\":\"server_error\","
                                      "\"param\":null,\"code\":null}}"},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(dialect_openai.error_body(&cases[i].error, &out), 0);
        assert_int_equal(buf_terminate(&out), 0);
        assert_string_equal(buf_at(&out), cases[i].body);
        buf_clear(&out);
    }
    buf_fini(&out);
}

static void an_error_in_a_stream_is_an_event(void **state)
{
    (void)state;
    struct stream stream;
    struct api_error error = {.status = 502, .code = "engine_died", .message = "line\nline"};
    open_stream(&stream, 1, true, false);
    assert_int_equal(dialect_openai.stream_error(stream.answer, &error, &stream.out), 0);
    wrote(&stream, "data: "
                   "{\"error\":{\"message\":\"line\\nline\",\"type\":\"server_error\",\"param\":"
                   "null,\"code\":\"engine_died\"}}\n\n");
    close_stream(&stream);
}

static void content_is_what_a_client_would_see(void **state)
{
    (void)state;
    static const struct {
        enum delta_kind kind;
        size_t len;
        bool content;
    } cases[] = {{DELTA_TEXT, 1, true}, {DELTA_TEXT, 0, false}, {DELTA_REASONING, 1, true},
            {DELTA_REASONING, 0, false}, {DELTA_TOOL_CALLS, 2, true}, {DELTA_LOGPROBS, 2, true},
            {DELTA_FINISH, 4, true}, {DELTA_USAGE, 0, false}, {DELTA_PROGRESS, 7, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct msg_delta msg = {.kind = cases[i].kind, .data = "content", .len = cases[i].len};
        assert_int_equal(delta_is_content(&msg), cases[i].content);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_request_is_read_and_kept_byte_for_byte),
            cmocka_unit_test(what_is_absent_or_null_has_its_default),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(a_name_that_is_too_long_is_refused),
            cmocka_unit_test(a_stream_has_openais_shape),
            cmocka_unit_test(usage_comes_only_where_it_was_asked_for),
            cmocka_unit_test(json_of_an_engine_stays_on_its_line),
            cmocka_unit_test(every_choice_begins_and_must_finish),
            cmocka_unit_test(the_most_choices_fit),
            cmocka_unit_test(a_whole_answer_has_openais_shape),
            cmocka_unit_test(errors_have_openais_shape),
            cmocka_unit_test(an_error_in_a_stream_is_an_event),
            cmocka_unit_test(content_is_what_a_client_would_see),
    };
    return cmocka_run_group_tests_name("openai", tests, NULL, NULL);
}
