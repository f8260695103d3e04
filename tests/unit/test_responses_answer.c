#include "common/json/json.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "coordinator/dialects/responses/responses_object.h"
#include "tests/lib/response_events.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    struct virtual_env world;
    struct response_store *store;
    struct request request;
    struct answer *answer;
    struct buf out; /* since the last look */
    struct response_events events;
};

static void make_answer(struct stream *stream)
{
    static const struct answer_facts facts = {
            .request_id = "req_ab", .model = "small", .created_s = 17};
    stream->answer = dialect_responses.answer_create(&stream->request, &facts);
    assert_non_null(stream->answer);
}

/* `fields` are members of the request behind its input. */
static void open_stream(struct stream *stream, const char *fields)
{
    char body[2000];
    struct err err;
    const char *param;
    *stream = (struct stream){0};
    virtual_env_init(&stream->world);
    struct response_store_config config = {.env = &stream->world.env};
    stream->store = response_store_create(&config);
    snprintf(body, sizeof(body), "{\"input\":\"hi\"%s}", fields);
    struct dialect_input input = {.body = body,
            .len = strlen(body),
            .content_type = "",
            .owner = "me",
            .responses = stream->store};
    request_init(&stream->request);
    int r = dialect_responses.parse(&input, &stream->request, &param, &err);
    if (r)
        fail_msg("%s: %s", body, err.text);
    make_answer(stream);
    buf_init(&stream->out, DIALECT_ANSWER_MAX);
}

static void close_stream(struct stream *stream)
{
    dialect_responses.answer_destroy(stream->answer);
    request_fini(&stream->request);
    response_store_destroy(stream->store);
    buf_fini(&stream->out);
    response_events_fini(&stream->events);
}

static const char *text_of(struct buf *buf)
{
    assert_int_equal(buf_terminate(buf), 0);
    return buf_at(buf);
}

/* Its rules are checked, its text is what stands there until the next look. */
static void look(struct stream *stream)
{
    response_events_feed(&stream->events, text_of(&stream->out), stream->out.len);
}

static void wrote(struct stream *stream, const char *text)
{
    look(stream);
    assert_string_equal(text_of(&stream->out), text);
    buf_clear(&stream->out);
}

static int delta(struct stream *stream, enum delta_kind kind, const char *data)
{
    struct msg_delta msg = {.kind = kind,
            .data = data,
            .len = kind == DELTA_USAGE ? 0 : strlen(data),
            .usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3}};
    return stream->request.stream
                   ? dialect_responses.stream_delta(stream->answer, &msg, &stream->out)
                   : dialect_responses.gather(stream->answer, &msg);
}

static void deltas(struct stream *stream, enum delta_kind kind, const char *data)
{
    int r = delta(stream, kind, data);
    if (r)
        fail_msg("%d for %s", r, data);
}

static void begin(struct stream *stream)
{
    assert_int_equal(dialect_responses.stream_begin(stream->answer, &stream->out), 0);
    look(stream);
    buf_clear(&stream->out);
}

static void finish(struct stream *stream, const char *reason)
{
    deltas(stream, DELTA_FINISH, reason);
    deltas(stream, DELTA_USAGE, "");
    assert_int_equal(dialect_responses.stream_end(stream->answer, &stream->out), 0);
    look(stream);
    assert_true(stream->events.ended);
}

/* The response that the events told, at `path` of members and places. */
static char *told(const struct stream *stream, const char *key)
{
    char *text =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(stream->events.response, key));
    assert_non_null(text);
    return text;
}

static void tells(const struct stream *stream, const char *key, const char *expected)
{
    char *text = told(stream, key);
    assert_string_equal(text, expected);
    cJSON_free(text);
}

/* --- streams --- */

#define ECHO                                                                                       \
    "\"usage\":null,\"service_tier\":\"default\",\"background\":false,\"max_output_tokens\":null," \
    "\"max_tool_calls\":null,\"metadata\":{},\"parallel_tool_calls\":true,"                        \
    "\"previous_response_id\":null,\"prompt_cache_key\":null,\"reasoning\":{\"effort\":null,"      \
    "\"summary\":null},\"safety_identifier\":null,\"store\":true,\"temperature\":null,\"text\":{"  \
    "\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"top_logprobs\":0,\"top_p\":null,"  \
    "\"truncation\":\"disabled\",\"user\":null,\"instructions\":null,\"tools\":[]}"
#define HEAD                                                                                       \
    "{\"id\":\"resp_ab\",\"object\":\"response\",\"created_at\":17,\"status\":\"in_progress\","    \
    "\"error\":null,\"incomplete_details\":null,\"model\":\"small\",\"output\":"

static void a_stream_has_the_apis_order(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    assert_int_equal(dialect_responses.stream_begin(stream.answer, &stream.out), 0);
    wrote(&stream, "event: response.created\ndata: {\"type\":\"response.created\","
                   "\"sequence_number\":0,\"response\":" HEAD "[]," ECHO "}\n\n"
                   "event: response.in_progress\ndata: {\"type\":\"response.in_progress\","
                   "\"sequence_number\":1,\"response\":" HEAD "[]," ECHO "}\n\n");
    deltas(&stream, DELTA_TEXT, "a\n\"é");
    wrote(&stream,
            "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","
            "\"sequence_number\":2,\"output_index\":0,\"item\":{\"id\":\"msg_ab_0\",\"type\":"
            "\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n"
            "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\","
            "\"sequence_number\":3,\"item_id\":\"msg_ab_0\",\"output_index\":0,\"content_index\":0,"
            "\"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"\"}}"
            "\n\n"
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
            "\"sequence_number\":4,\"item_id\":\"msg_ab_0\",\"output_index\":0,\"content_index\":0,"
            "\"delta\":\"a\\n\\\"é\",\"logprobs\":[]}\n\n");
    deltas(&stream, DELTA_PROGRESS, "prefill");
    wrote(&stream, "");
    deltas(&stream, DELTA_FINISH, "stop");
    look(&stream);
    assert_non_null(strstr(text_of(&stream.out),
            "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\","
            "\"sequence_number\":5,\"item_id\":\"msg_ab_0\",\"output_index\":0,\"content_index\":0,"
            "\"text\":\"a\\n\\\"é\",\"logprobs\":[]}\n\n"
            "event: response.content_part.done\n"));
    close_stream(&stream);
}

static void what_is_told_at_the_end_was_told_before(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_REASONING, "h");
    deltas(&stream, DELTA_REASONING, "m\\\n");
    deltas(&stream, DELTA_TEXT, "a");
    deltas(&stream, DELTA_TEXT, "b");
    finish(&stream, "stop");
    tells(&stream, "status", "\"completed\"");
    tells(&stream, "output",
            "[{\"id\":\"rs_ab_0\",\"type\":\"reasoning\",\"status\":\"completed\",\"summary\":[{"
            "\"type\":\"summary_text\",\"text\":\"hm\\\\\\n\"}]},{\"id\":\"msg_ab_1\",\"type\":"
            "\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"
            "\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"ab\"}]}]");
    tells(&stream, "usage",
            "{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":2,\"cache_write_"
            "tokens\":0},\"output_tokens\":3,\"output_tokens_details\":{\"reasoning_tokens\":0},"
            "\"total_tokens\":8}");
    close_stream(&stream);
}

static void calls_may_come_in_mixed_pieces(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_TEXT, "I look.");
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"id\":\"call_1\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}"
            "]");
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}},{\"index\":1,\"id\":\"call_2\","
            "\"function\":{\"name\":\"write\",\"arguments\":\"{}\"}}]");
    deltas(&stream, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]");
    deltas(&stream, DELTA_TEXT, "and more");
    finish(&stream, "tool_calls");
    tells(&stream, "output",
            "[{\"id\":\"msg_ab_0\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
            "\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":"
            "[],\"text\":\"I look.\"}]},"
            "{\"id\":\"fc_ab_1\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":"
            "\"call_1\",\"name\":\"read\",\"arguments\":\"{\\\"a\\\":1}\"},"
            "{\"id\":\"fc_ab_2\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":"
            "\"call_2\",\"name\":\"write\",\"arguments\":\"{}\"},"
            "{\"id\":\"msg_ab_3\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
            "\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":"
            "[],\"text\":\"and more\"}]}]");
    close_stream(&stream);
}

static void calls_go_back_under_the_clients_names(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream,
            ",\"stream\":true,\"tools\":[{\"type\":\"namespace\",\"name\":\"agents\",\"tools\":[{"
            "\"type\":\"function\",\"name\":\"spawn\"}]},{\"type\":\"custom\",\"name\":"
            "\"apply_patch\"}]");
    begin(&stream);
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"function\":{\"arguments\":\"{\"}}]"); /* before its name */
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"function\":{\"name\":\"agents__spawn\",\"arguments\":\"}\"}}]");
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":1,\"id\":\"c\",\"function\":{\"name\":\"apply_patch\",\"arguments\":"
            "\"{\\\"input\\\":\\\"*** Be\"}}]");
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":1,\"function\":{\"arguments\":\"gin\\\\n\\\"}\"}}]");
    finish(&stream, "tool_calls");
    tells(&stream, "output",
            "[{\"id\":\"fc_ab_0\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":"
            "\"call_ab_0\",\"name\":\"spawn\",\"namespace\":\"agents\",\"arguments\":\"{}\"},"
            "{\"id\":\"ctc_ab_1\",\"type\":\"custom_tool_call\",\"status\":\"completed\","
            "\"call_id\":\"c\",\"name\":\"apply_patch\",\"input\":\"*** Begin\\n\"}]");
    assert_non_null(strstr(text_of(&stream.out), "event: response.custom_tool_call_input.delta"));
    close_stream(&stream);
}

static void an_answer_that_is_cut_short_says_so(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
            {"length", "\"incomplete\"", "{\"reason\":\"max_output_tokens\"}"},
            {"content_filter", "\"incomplete\"", "{\"reason\":\"content_filter\"}"},
            {"stop", "\"completed\"", "null"}};
    for (size_t i = 0; i < 3; i++) {
        struct stream stream;
        open_stream(&stream, ",\"stream\":true");
        begin(&stream);
        deltas(&stream, DELTA_TEXT, "a");
        finish(&stream, cases[i][0]);
        tells(&stream, "status", cases[i][1]);
        tells(&stream, "incomplete_details", cases[i][2]);
        const cJSON *item =
                cJSON_GetObjectItemCaseSensitive(stream.events.response, "output")->child;
        assert_int_equal(
                strcmp(json_str(item, "status", ""), i < 2 ? "incomplete" : "completed"), 0);
        close_stream(&stream);
    }
}

static void an_answer_without_words_is_an_empty_message(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_TEXT, "");
    finish(&stream, "stop");
    tells(&stream, "output",
            "[{\"id\":\"msg_ab_0\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
            "\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":"
            "[],\"text\":\"\"}]}]");
    close_stream(&stream);
}

static void signs_of_life_tell_what_there_is(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dialect_responses.stream_idle(stream.answer, &stream.out), 0);
        assert_non_null(strstr(text_of(&stream.out), "event: response.in_progress\n"));
        look(&stream);
        buf_clear(&stream.out);
        deltas(&stream, DELTA_TEXT, "a");
        deltas(&stream, DELTA_TOOL_CALLS, "[{\"index\":0,\"function\":{\"name\":\"f\"}}]");
        look(&stream);
        buf_clear(&stream.out);
    }
    close_stream(&stream);
}

static void a_large_snapshot_is_only_a_sign_of_life(void **state)
{
    (void)state;
    struct stream stream;
    static char text[300 * 1024];
    memset(text, 'x', sizeof(text) - 1);
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_TEXT, text);
    look(&stream);
    buf_clear(&stream.out);
    assert_int_equal(dialect_responses.stream_idle(stream.answer, &stream.out), 0);
    wrote(&stream, "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":5}\n\n");
    finish(&stream, "stop");
    close_stream(&stream);
}

/* A request that waits has shown signs of life before an instance was found, or found again. */
static void an_answer_made_anew_goes_on_counting(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    assert_int_equal(dialect_responses.stream_idle(stream.answer, &stream.out), 0);
    dialect_responses.answer_destroy(stream.answer);
    make_answer(&stream);
    deltas(&stream, DELTA_TEXT, "a");
    finish(&stream, "stop");
    close_stream(&stream);
}

static void logprobs_come_with_their_text(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true,\"include\":[\"message.output_text.logprobs\"]");
    begin(&stream);
    deltas(&stream, DELTA_REASONING, "hm");
    deltas(&stream, DELTA_LOGPROBS, "{\"content\":[{\"token\":\"hm\",\"logprob\":-1}]}");
    look(&stream);
    buf_clear(&stream.out);
    deltas(&stream, DELTA_TEXT, "a");
    look(&stream);
    assert_null(strstr(text_of(&stream.out), "output_text.delta"));
    buf_clear(&stream.out);
    deltas(&stream, DELTA_LOGPROBS,
            "{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97]}]}");
    look(&stream);
    assert_non_null(strstr(text_of(&stream.out),
            "\"delta\":\"a\",\"logprobs\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],\"top_"
            "logprobs\":[]}]"));
    buf_clear(&stream.out);
    deltas(&stream, DELTA_TEXT, "b");
    finish(&stream, "stop");
    char *output = told(&stream, "output");
    assert_non_null(strstr(output, "\"logprobs\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],"
                                   "\"top_logprobs\":[]}],\"text\":\"ab\""));
    cJSON_free(output);
    close_stream(&stream);
}

static void reasoning_carries_a_mark_where_it_is_wanted_back(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream,
            ",\"stream\":true,\"store\":false,\"include\":[\"reasoning.encrypted_content\"]");
    begin(&stream);
    deltas(&stream, DELTA_REASONING, "hm");
    finish(&stream, "stop");
    char *output = told(&stream, "output");
    assert_non_null(strstr(output, "\"encrypted_content\":\"summary\""));
    cJSON_free(output);
    close_stream(&stream);
}

static void the_request_is_told_again(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true,\"instructions\":\"I\",\"temperature\":0.5,\"metadata\":"
                         "{\"k\":\"v\"},\"tools\":[{\"type\":\"web_search\"}],\"store\":false,"
                         "\"text\":{\"verbosity\":\"low\"},\"max_output_tokens\":9");
    begin(&stream);
    tells(&stream, "instructions", "\"I\"");
    tells(&stream, "temperature", "0.5");
    tells(&stream, "metadata", "{\"k\":\"v\"}");
    tells(&stream, "tools", "[{\"type\":\"web_search\"}]");
    tells(&stream, "store", "false");
    tells(&stream, "text", "{\"verbosity\":\"low\"}");
    tells(&stream, "max_output_tokens", "9");
    close_stream(&stream);
}

static void what_is_too_large_to_repeat_is_left_out(void **state)
{
    (void)state;
    cJSON *body = cJSON_CreateObject();
    char *large = malloc(RESPONSES_ECHO_MAX + 1);
    struct buf echo;
    memset(large, 'x', RESPONSES_ECHO_MAX);
    large[RESPONSES_ECHO_MAX] = '\0';
    assert_non_null(cJSON_AddStringToObject(body, "instructions", large));
    assert_non_null(cJSON_AddStringToObject(body, "user", "u"));
    buf_init(&echo, RESPONSES_ECHO_MAX + 4096);
    assert_int_equal(responses_echo_append(body, &echo), 0);
    assert_non_null(strstr(text_of(&echo), "\"user\":\"u\",\"instructions\":null,\"tools\":[]"));
    buf_fini(&echo);
    free(large);
    cJSON_Delete(body);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum delta_kind kind;
        const char *data;
    } cases[] = {{DELTA_TOOL_CALLS, "{}"}, {DELTA_TOOL_CALLS, "["},
            {DELTA_TOOL_CALLS, "[{\"index\":1,\"function\":{\"name\":\"f\"}}]"},
            {DELTA_LOGPROBS, "[]"}, {DELTA_LOGPROBS, "x"}, {DELTA_LOGPROBS, "{\"content\":[1]}"},
            {DELTA_FINISH, ""}, {DELTA_FINISH, "a reason that is longer than any that there is"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream;
        open_stream(&stream, ",\"stream\":true");
        begin(&stream);
        if (delta(&stream, cases[i].kind, cases[i].data) != -EPROTO)
            fail_msg("taken: %s", cases[i].data);
        close_stream(&stream);
    }
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    assert_int_equal(dialect_responses.stream_end(stream.answer, &stream.out), -EPROTO);
    deltas(&stream, DELTA_FINISH, "stop");
    deltas(&stream, DELTA_FINISH, "stop");
    assert_int_equal(delta(&stream, DELTA_TEXT, "late"), -EPROTO);
    struct msg_delta other = {.kind = DELTA_TEXT, .choice = 1, .data = "x", .len = 1};
    assert_int_equal(dialect_responses.stream_delta(stream.answer, &other, &stream.out), -EPROTO);
    close_stream(&stream);
}

static void a_call_without_a_name_is_no_answer(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_TOOL_CALLS, "[{\"index\":0,\"id\":\"c\"}]");
    assert_int_equal(delta(&stream, DELTA_FINISH, "tool_calls"), -EPROTO);
    close_stream(&stream);
}

static void an_error_ends_the_stream(void **state)
{
    (void)state;
    struct stream stream;
    struct api_error error = {.status = 502, .code = "engine_died", .message = "line\n\"line\""};
    open_stream(&stream, ",\"stream\":true");
    begin(&stream);
    deltas(&stream, DELTA_TEXT, "part");
    assert_int_equal(delta(&stream, DELTA_TOOL_CALLS, "{}"), -EPROTO);
    look(&stream);
    buf_clear(&stream.out);
    assert_int_equal(dialect_responses.stream_error(stream.answer, &error, &stream.out), 0);
    look(&stream);
    assert_true(stream.events.ended);
    tells(&stream, "status", "\"failed\"");
    tells(&stream, "error", "{\"code\":\"engine_died\",\"message\":\"line\\n\\\"line\\\"\"}");
    char *output = told(&stream, "output");
    assert_non_null(strstr(output, "\"part\""));
    assert_non_null(strstr(output, "\"status\":\"incomplete\""));
    cJSON_free(output);
    assert_null(response_store_object(stream.store, "me", "resp_ab"));
    close_stream(&stream);
}

/* --- whole answers and the store --- */

static void a_whole_answer_is_the_response(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, "");
    deltas(&stream, DELTA_REASONING, "hm");
    deltas(&stream, DELTA_TEXT, "a");
    deltas(&stream, DELTA_TOOL_CALLS,
            "[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\","
            "\"arguments\":\"{}\"}}]");
    assert_int_equal(dialect_responses.whole(stream.answer, &stream.out), -EPROTO);
    assert_int_equal(stream.out.len, 0);
    deltas(&stream, DELTA_FINISH, "tool_calls");
    assert_int_equal(dialect_responses.whole(stream.answer, &stream.out), 0);
    assert_string_equal(text_of(&stream.out),
            "{\"id\":\"resp_ab\",\"object\":\"response\",\"created_at\":17,\"status\":"
            "\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"small\","
            "\"output\":[{\"id\":\"rs_ab_0\",\"type\":\"reasoning\",\"status\":\"completed\","
            "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}]},{\"id\":\"msg_ab_1\","
            "\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
            "\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"a\"}]},{\"id\":"
            "\"fc_ab_2\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":\"c\","
            "\"name\":\"f\",\"arguments\":\"{}\"}]," ECHO);
    assert_string_equal(response_store_object(stream.store, "me", "resp_ab"), text_of(&stream.out));
    assert_null(response_store_object(stream.store, "another", "resp_ab"));
    cJSON *items;
    struct err err;
    assert_int_equal(response_store_conversation(stream.store, "me", "resp_ab", &items, &err), 0);
    assert_int_equal(cJSON_GetArraySize(items), 4);
    cJSON_Delete(items);
    close_stream(&stream);
}

static void what_shall_not_be_stored_is_not(void **state)
{
    (void)state;
    struct stream stream;
    open_stream(&stream, ",\"store\":false");
    deltas(&stream, DELTA_FINISH, "stop");
    assert_int_equal(dialect_responses.whole(stream.answer, &stream.out), 0);
    assert_null(response_store_object(stream.store, "me", "resp_ab"));
    close_stream(&stream);
}

static void an_answer_has_a_largest_size(void **state)
{
    (void)state;
    struct stream stream;
    size_t len = 1024 * 1024;
    char *text = malloc(len);
    memset(text, 'x', len);
    struct msg_delta msg = {.kind = DELTA_TEXT, .data = text, .len = len};
    open_stream(&stream, "");
    int r = 0;
    for (int i = 0; i < DIALECT_ANSWER_MAX / (int)len && !r; i++)
        r = dialect_responses.gather(stream.answer, &msg);
    assert_int_equal(r, 0);
    assert_int_equal(dialect_responses.gather(stream.answer, &msg), -ENOBUFS);
    free(text);
    close_stream(&stream);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_stream_has_the_apis_order),
            cmocka_unit_test(what_is_told_at_the_end_was_told_before),
            cmocka_unit_test(calls_may_come_in_mixed_pieces),
            cmocka_unit_test(calls_go_back_under_the_clients_names),
            cmocka_unit_test(an_answer_that_is_cut_short_says_so),
            cmocka_unit_test(an_answer_without_words_is_an_empty_message),
            cmocka_unit_test(signs_of_life_tell_what_there_is),
            cmocka_unit_test(a_large_snapshot_is_only_a_sign_of_life),
            cmocka_unit_test(an_answer_made_anew_goes_on_counting),
            cmocka_unit_test(logprobs_come_with_their_text),
            cmocka_unit_test(reasoning_carries_a_mark_where_it_is_wanted_back),
            cmocka_unit_test(the_request_is_told_again),
            cmocka_unit_test(what_is_too_large_to_repeat_is_left_out),
            cmocka_unit_test(nonsense_is_refused),
            cmocka_unit_test(a_call_without_a_name_is_no_answer),
            cmocka_unit_test(an_error_ends_the_stream),
            cmocka_unit_test(a_whole_answer_is_the_response),
            cmocka_unit_test(what_shall_not_be_stored_is_not),
            cmocka_unit_test(an_answer_has_a_largest_size),
    };
    return cmocka_run_group_tests_name("responses_answer", tests, NULL, NULL);
}
