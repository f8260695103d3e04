#include "coordinator/dialects/anthropic/anthropic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START                                                                                      \
    EVENT("message_start",                                                                         \
            ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","          \
            "\"model\":\"small\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"      \
            "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"                     \
            "\"cache_read_input_tokens\":0,\"output_tokens\":0}}")
#define OPEN(index, block)                                                                         \
    EVENT("content_block_start", ",\"index\":" index ",\"content_block\":{\"type\":" block "}")
#define OPEN_TEXT(index)     OPEN(index, "\"text\",\"text\":\"\"")
#define OPEN_THINKING(index) OPEN(index, "\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
#define OPEN_CALL(index, id, name)                                                                 \
    OPEN(index, "\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":{}")               \
    INPUT(index, "")
#define DELTA(index, delta)                                                                        \
    EVENT("content_block_delta", ",\"index\":" index ",\"delta\":{\"type\":" delta "}")
#define SAY(index, text)   DELTA(index, "\"text_delta\",\"text\":\"" text "\"")
#define THINK(index, text) DELTA(index, "\"thinking_delta\",\"thinking\":\"" text "\"")
#define SIGN(index)        DELTA(index, "\"signature_delta\",\"signature\":\"bW9kZW1lc2g=\"")
#define INPUT(index, text) DELTA(index, "\"input_json_delta\",\"partial_json\":\"" text "\"")
#define CLOSE(index)       EVENT("content_block_stop", ",\"index\":" index)
#define USAGE(input, cached, output)                                                               \
    "\"usage\":{\"input_tokens\":" input ",\"cache_creation_input_tokens\":0,"                     \
    "\"cache_read_input_tokens\":" cached ",\"output_tokens\":" output "}"
#define STOP_WITH(reason, usage)                                                                   \
    EVENT("message_delta",                                                                         \
            ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null}," usage)           \
    EVENT("message_stop", "")
#define STOP(reason) STOP_WITH(reason, USAGE("7", "5", "3"))

/* --- streams --- */

struct run {
    struct request request;
    struct answer *answer;
    struct buf out;
};

static void begin(struct run *run)
{
    static const struct answer_facts facts = {
            .request_id = "req_1", .model = "small", .created_s = 17};
    request_init(&run->request);
    run->answer = dialect_anthropic_messages.answer_create(&run->request, &facts);
    assert_non_null(run->answer);
    buf_init(&run->out, 100 * 1000);
}

static void end(struct run *run)
{
    dialect_anthropic_messages.answer_destroy(run->answer);
    buf_fini(&run->out);
    request_fini(&run->request);
}

static struct msg_delta make(enum delta_kind kind, const char *data)
{
    return (struct msg_delta){.kind = kind,
            .data = data,
            .len = strlen(data),
            .usage = {.prompt_tokens = 12, .cached_tokens = 5, .completion_tokens = 3}};
}

static int push(struct run *run, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = make(kind, data);
    return dialect_anthropic_messages.stream_delta(run->answer, &delta, &run->out);
}

static void says(struct run *run, enum delta_kind kind, const char *data, const char *wanted)
{
    buf_clear(&run->out);
    assert_int_equal(push(run, kind, data), 0);
    assert_int_equal(buf_terminate(&run->out), 0);
    assert_string_equal(buf_at(&run->out), wanted);
}

static void ends(struct run *run, const char *reason, const char *wanted)
{
    says(run, DELTA_FINISH, reason, "");
    says(run, DELTA_USAGE, "", "");
    assert_int_equal(dialect_anthropic_messages.stream_end(run->answer, &run->out), 0);
    assert_int_equal(buf_terminate(&run->out), 0);
    assert_string_equal(buf_at(&run->out), wanted);
    end(run);
}

static void a_stream_begins_with_its_message(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    assert_int_equal(dialect_anthropic_messages.stream_begin(run.answer, &run.out), 0);
    assert_int_equal(buf_terminate(&run.out), 0);
    assert_string_equal(buf_at(&run.out), START);
    ends(&run, "stop", STOP("end_turn"));
}

static void blocks_follow_each_other(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    says(&run, DELTA_REASONING, "", "");
    says(&run, DELTA_REASONING, "h", OPEN_THINKING("0") THINK("0", "h"));
    says(&run, DELTA_REASONING, "m", THINK("0", "m"));
    says(&run, DELTA_PROGRESS, "prefill", "");
    says(&run, DELTA_LOGPROBS, "{}", "");
    says(&run, DELTA_TEXT, "a\"", SIGN("0") CLOSE("0") OPEN_TEXT("1") SAY("1", "a\\\""));
    says(&run, DELTA_TEXT, "", "");
    says(&run, DELTA_TEXT, "b", SAY("1", "b"));
    says(&run, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]",
            CLOSE("1") OPEN_CALL("2", "c1", "read"));
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"arguments\":\"{\\\"p\\\"\"}}]",
            INPUT("2", "{\\\"p\\\""));
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"arguments\":\": 1}\"}}]",
            INPUT("2", ":1}") CLOSE("2"));
    ends(&run, "tool_calls", STOP("tool_use"));
}

static void thinking_is_signed_also_at_the_end(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    says(&run, DELTA_REASONING, "hm", OPEN_THINKING("0") THINK("0", "hm"));
    ends(&run, "length", SIGN("0") CLOSE("0") STOP("max_tokens"));
}

static void mixed_calls_go_out_one_by_one(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    says(&run, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\"}},"
            "{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}},"
            "{\"index\":2,\"id\":\"c\",\"function\":{\"name\":\"h\",\"arguments\":\"{\"}}]",
            OPEN_CALL("0", "a", "f") INPUT("0", "{\\\"x"));
    says(&run, DELTA_TEXT, "aside", "");
    says(&run, DELTA_REASONING, "late", "");
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]",
            INPUT("0", "\\\":1}") CLOSE("0") OPEN_CALL("1", "b", "g") INPUT("1", "{}") CLOSE("1")
                    OPEN_CALL("2", "c", "h") INPUT("2", "{"));
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":1,\"function\":{\"arguments\":\"more\"}}]", "");
    ends(&run, "stop",
            INPUT("2", "}") CLOSE("2") OPEN_THINKING("3") THINK("3", "late") SIGN("3") CLOSE("3")
                    OPEN_TEXT("4") SAY("4", "aside") CLOSE("4") STOP("tool_use"));
}

static void a_call_waits_for_its_name(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":0,\"id\":\"a\"}]", "");
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"name\":\"f\"}}]",
            OPEN_CALL("0", "a", "f"));
    says(&run, DELTA_TOOL_CALLS, "[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]", "");
    ends(&run, "tool_calls",
            INPUT("0", "{}") CLOSE("0") OPEN_CALL("1", "toolu_1_1", "") INPUT("1", "{}") CLOSE("1")
                    STOP("tool_use"));
}

static void an_input_is_always_an_object(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", INPUT("0", "{}")}, {"{}", INPUT("0", "{}")},
            {"nonsense", INPUT("0", "{}")}, {"{\\\"a\\\":1} x", INPUT("0", "{\\\"a\\\":1}")},
            {"{\\\"a\\\":tru", INPUT("0", "{\\\"a\\\":tru") INPUT("0", "e}")}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct run run;
        char data[200];
        begin(&run);
        (void)snprintf(data, sizeof(data),
                "[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"%s\"}}]",
                cases[i][0]);
        assert_int_equal(push(&run, DELTA_TOOL_CALLS, data), 0);
        assert_int_equal(push(&run, DELTA_FINISH, "length"), 0);
        assert_int_equal(dialect_anthropic_messages.stream_end(run.answer, &run.out), 0);
        assert_int_equal(buf_terminate(&run.out), 0);
        char wanted[3000];
        (void)snprintf(wanted, sizeof(wanted), "%s%s%s%s", OPEN_CALL("0", "a", "f"), cases[i][1],
                CLOSE("0"), STOP_WITH("max_tokens", USAGE("0", "0", "0")));
        assert_string_equal(buf_at(&run.out), wanted);
        end(&run);
    }
}

static void reasons_are_translated(void **state)
{
    (void)state;
    static const char *const reasons[][2] = {{"stop", STOP("end_turn")},
            {"length", STOP("max_tokens")}, {"tool_calls", STOP("end_turn")},
            {"content_filter", STOP("refusal")}, {"other", STOP("end_turn")}};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        struct run run;
        begin(&run);
        ends(&run, reasons[i][0], reasons[i][1]);
    }
}

static void an_answer_without_a_reason_is_broken(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    assert_int_equal(push(&run, DELTA_FINISH, ""), -EPROTO);
    assert_int_equal(push(&run, DELTA_FINISH, "a reason that is much too long to be one"), -EPROTO);
    assert_int_equal(dialect_anthropic_messages.stream_end(run.answer, &run.out), -EPROTO);
    assert_int_equal(dialect_anthropic_messages.whole(run.answer, &run.out), -EPROTO);
    assert_int_equal(run.out.len, 0);
    end(&run);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct run run;
    struct msg_delta second = make(DELTA_TEXT, "x");
    second.choice = 1;
    begin(&run);
    assert_int_equal(
            dialect_anthropic_messages.stream_delta(run.answer, &second, &run.out), -EPROTO);
    assert_int_equal(dialect_anthropic_messages.gather(run.answer, &second), -EPROTO);
    assert_int_equal(push(&run, DELTA_TOOL_CALLS, "{}"), -EPROTO);
    assert_int_equal(push(&run, DELTA_TOOL_CALLS, "[{\"index\":1}]"), -EPROTO);
    assert_int_equal(run.out.len, 0);
    end(&run);
}

static void a_sign_of_life_is_a_ping(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    assert_int_equal(dialect_anthropic_messages.stream_idle(run.answer, &run.out), 0);
    assert_int_equal(buf_terminate(&run.out), 0);
    assert_string_equal(buf_at(&run.out), EVENT("ping", ""));
    end(&run);
}

static void an_error_in_the_middle_is_an_event(void **state)
{
    (void)state;
    struct run run;
    struct api_error error = {.status = 502, .code = "engine_died", .message = "it\ndied"};
    begin(&run);
    assert_int_equal(dialect_anthropic_messages.stream_error(run.answer, &error, &run.out), 0);
    assert_int_equal(buf_terminate(&run.out), 0);
    assert_string_equal(buf_at(&run.out),
            EVENT("error", ",\"error\":{\"type\":\"api_error\",\"message\":\"it\\ndied\"},"
                           "\"request_id\":\"req_1\""));
    end(&run);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    struct buf little;
    buf_init(&little, 60);
    struct msg_delta delta = make(DELTA_TEXT, "x");
    assert_int_equal(dialect_anthropic_messages.stream_begin(run.answer, &little), -ENOBUFS);
    assert_int_equal(
            dialect_anthropic_messages.stream_delta(run.answer, &delta, &little), -ENOBUFS);
    buf_fini(&little);
    end(&run);
}

/* --- whole answers --- */

static void gather(struct run *run, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = make(kind, data);
    assert_int_equal(dialect_anthropic_messages.gather(run->answer, &delta), 0);
}

static void whole_is(struct run *run, const char *content, const char *reason)
{
    char wanted[2000];
    assert_int_equal(dialect_anthropic_messages.whole(run->answer, &run->out), 0);
    assert_int_equal(buf_terminate(&run->out), 0);
    (void)snprintf(wanted, sizeof(wanted),
            "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"small\","
            "\"content\":[%s],\"stop_reason\":\"%s\",\"stop_sequence\":null,%s}",
            content, reason, USAGE("7", "5", "3"));
    assert_string_equal(buf_at(&run->out), wanted);
    end(run);
}

static void a_whole_answer_has_its_blocks(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    gather(&run, DELTA_REASONING, "hm");
    gather(&run, DELTA_TEXT, "a");
    gather(&run, DELTA_TEXT, "b");
    gather(&run, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"p\"}},"
            "{\"index\":1,\"function\":{\"name\":\"g\"}}]");
    gather(&run, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"function\":{\"arguments\":\"\\\": 12345678901234567890}\"}}]");
    gather(&run, DELTA_FINISH, "tool_calls");
    gather(&run, DELTA_USAGE, "");
    whole_is(&run,
            "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"bW9kZW1lc2g=\"},"
            "{\"type\":\"text\",\"text\":\"ab\"},"
            "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"p\":"
            "12345678901234567890}},"
            "{\"type\":\"tool_use\",\"id\":\"toolu_1_1\",\"name\":\"g\",\"input\":{}}",
            "tool_use");
}

static void a_whole_answer_may_be_empty(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    gather(&run, DELTA_FINISH, "stop");
    gather(&run, DELTA_USAGE, "");
    whole_is(&run, "", "end_turn");
}

static void more_cached_than_read_is_not_less_than_nothing(void **state)
{
    (void)state;
    struct run run;
    struct msg_delta usage = {.kind = DELTA_USAGE,
            .data = "",
            .usage = {.prompt_tokens = 4, .cached_tokens = 5, .completion_tokens = 1}};
    begin(&run);
    gather(&run, DELTA_FINISH, "stop");
    assert_int_equal(dialect_anthropic_messages.gather(run.answer, &usage), 0);
    assert_int_equal(dialect_anthropic_messages.whole(run.answer, &run.out), 0);
    assert_int_equal(buf_terminate(&run.out), 0);
    assert_non_null(strstr(buf_at(&run.out), USAGE("0", "4", "1")));
    end(&run);
}

/* --- counts --- */

static int count(const char *first, const char *second, struct buf *out)
{
    struct request request;
    struct answer_facts facts = {.request_id = "req_1", .model = "small"};
    struct msg_delta deltas[] = {
            make(DELTA_RESULT, first), make(DELTA_RESULT, second), make(DELTA_USAGE, "")};
    request_init(&request);
    struct answer *answer = dialect_anthropic_count.answer_create(&request, &facts);
    for (size_t i = 0; i < sizeof(deltas) / sizeof(*deltas); i++)
        assert_int_equal(dialect_anthropic_count.gather(answer, &deltas[i]), 0);
    int r = dialect_anthropic_count.whole(answer, out);
    dialect_anthropic_count.answer_destroy(answer);
    request_fini(&request);
    return r;
}

static void a_count_is_the_engines(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(count("{\"input_", "tokens\":4294967297,\"x\":1}", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "{\"input_tokens\":4294967297}");
    static const char *const bad[] = {"", "[]", "{}", "{\"input_tokens\":-1}",
            "{\"input_tokens\":\"1\"}", "{\"input_tokens\":1.5}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(count(bad[i], "", &out), -EPROTO);
    buf_fini(&out);
    assert_null(dialect_anthropic_count.stream_type);
    dialect_anthropic_count.answer_destroy(NULL);
    dialect_anthropic_messages.answer_destroy(NULL);
}

/* --- errors --- */

static void error_is(const struct api_error *error, const char *type, const char *message)
{
    struct buf out;
    char wanted[500];
    buf_init(&out, 1000);
    assert_int_equal(family_anthropic.error_body(error, "req_1", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    (void)snprintf(wanted, sizeof(wanted),
            "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"},"
            "\"request_id\":\"req_1\"}",
            type, message);
    assert_string_equal(buf_at(&out), wanted);
    buf_fini(&out);
}

static void errors_have_types_by_their_status(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } cases[] = {{400, "invalid_request_error"}, {401, "authentication_error"},
            {402, "billing_error"}, {403, "permission_error"}, {404, "not_found_error"},
            {409, "invalid_request_error"}, {413, "request_too_large"}, {429, "rate_limit_error"},
            {500, "api_error"}, {502, "api_error"}, {503, "overloaded_error"},
            {504, "timeout_error"}, {529, "overloaded_error"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct api_error error = {.status = cases[i].status, .message = "w\"y"};
        error_is(&error, cases[i].type, "w\\\"y");
    }
}

static void a_prompt_that_is_too_long_says_the_words_that_clients_know(void **state)
{
    (void)state;
    struct api_error error = {.status = 400,
            .code = "context_length_exceeded",
            .message = "prompt is too long",
            .prompt_tokens = 40000,
            .context_tokens = 32768};
    error_is(&error, "invalid_request_error", "prompt is too long: 40000 tokens > 32768 maximum");
    error.prompt_tokens = 0;
    error_is(&error, "invalid_request_error", "prompt is too long");
}

static void an_error_before_a_request_has_no_id(void **state)
{
    (void)state;
    struct api_error error = {.status = 401, .message = "no key"};
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(family_anthropic.error_body(&error, "", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "{\"type\":\"error\",\"error\":{\"type\":"
                                      "\"authentication_error\",\"message\":\"no key\"}}");
    buf_fini(&out);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_stream_begins_with_its_message),
            cmocka_unit_test(blocks_follow_each_other),
            cmocka_unit_test(thinking_is_signed_also_at_the_end),
            cmocka_unit_test(mixed_calls_go_out_one_by_one),
            cmocka_unit_test(a_call_waits_for_its_name),
            cmocka_unit_test(an_input_is_always_an_object),
            cmocka_unit_test(reasons_are_translated),
            cmocka_unit_test(an_answer_without_a_reason_is_broken),
            cmocka_unit_test(what_makes_no_sense_is_refused),
            cmocka_unit_test(a_sign_of_life_is_a_ping),
            cmocka_unit_test(an_error_in_the_middle_is_an_event),
            cmocka_unit_test(a_full_buffer_is_told),
            cmocka_unit_test(a_whole_answer_has_its_blocks),
            cmocka_unit_test(a_whole_answer_may_be_empty),
            cmocka_unit_test(more_cached_than_read_is_not_less_than_nothing),
            cmocka_unit_test(a_count_is_the_engines),
            cmocka_unit_test(errors_have_types_by_their_status),
            cmocka_unit_test(an_error_before_a_request_has_no_id),
            cmocka_unit_test(a_prompt_that_is_too_long_says_the_words_that_clients_know),
    };
    return cmocka_run_group_tests_name("anthropic_answer", tests, NULL, NULL);
}
