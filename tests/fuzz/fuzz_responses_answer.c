/* Any deltas, in any order, to an answer of /v1/responses, streamed and whole side by side. The
 * events keep the API's rules (tests/lib/response_events.h: order, numbers, each "done" is the sum
 * of its pieces), the whole answer is what the events told, and both fail or neither does.
 *
 * The input is a list of steps: a byte that says which, a byte of length, and so many bytes. */
#include "common/json/json.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/response_events.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
    struct request request;
    struct answer *answer;
};

struct run {
    struct side streamed, whole;
    struct response_events events;
    struct buf out;
};

enum step {
    STEP_TEXT,
    STEP_REASONING,
    STEP_CALL,
    STEP_RAW_CALLS,
    STEP_LOGPROBS,
    STEP_RAW_LOGPROBS,
    STEP_FINISH,
    STEP_USAGE,
    STEP_IDLE,
    STEP_AGAIN,
    STEP_COUNT
};

static const struct answer_facts facts = {.request_id = "req_c", .model = "small", .created_s = 17};

static void open_side(struct side *side, bool stream, bool logprobs)
{
    static const char *const bodies[] = {
            "{\"input\":\"x\",\"stream\":true,\"tools\":[{\"type\":\"custom\",\"name\":\"c\"},{"
            "\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\",\"name\":"
            "\"f\"}]}]}",
            "{\"input\":\"x\",\"stream\":true,\"top_logprobs\":2,\"include\":[\"reasoning."
            "encrypted_content\"]}"};
    const char *param, *body = bodies[logprobs];
    struct dialect_input input = {.body = body, .len = strlen(body), .content_type = ""};
    struct err err;
    request_init(&side->request);
    int r = dialect_responses.parse(&input, &side->request, &param, &err);
    assert(r == 0);
    side->request.stream = stream;
    side->answer = dialect_responses.answer_create(&side->request, &facts);
    assert(side->answer);
}

static void close_side(struct side *side)
{
    dialect_responses.answer_destroy(side->answer);
    request_fini(&side->request);
}

static void look(struct run *run)
{
    response_events_feed(&run->events, buf_at(&run->out), run->out.len);
    buf_clear(&run->out);
}

/* No engine's JSON brings a NUL, and no JSON of ours is read with one. */
static char *without_nul(const void *data, size_t len)
{
    char *text = malloc(len + 1);
    assert(text);
    memcpy(text, data, len);
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] ? text[i] : 'n';
    return text;
}

static bool take(struct run *run, enum delta_kind kind, const void *data, size_t len)
{
    char *text = without_nul(data, len);
    struct msg_delta delta = {.kind = kind, .data = text, .len = len};
    int r = dialect_responses.stream_delta(run->streamed.answer, &delta, &run->out);
    int other = dialect_responses.gather(run->whole.answer, &delta);
    free(text);
    assert(r == other && (r == 0 || r == -EPROTO || r == -ENOBUFS));
    if (r == 0)
        look(run);
    return r == 0;
}

/* A piece of a call: its first byte says which call, and whether it has a name. */
static bool take_call(struct run *run, const uint8_t *data, size_t len)
{
    static const char *const names[] = {
            "", ",\"name\":\"f\"", ",\"name\":\"c\"", ",\"name\":\"n__f\""};
    uint8_t first = len ? data[0] : 0;
    struct buf text;
    buf_init(&text, 10000);
    int r = buf_appendf(&text, "[{\"index\":%u%s,\"function\":{\"arguments\":", first & 3u,
            first & 4 ? ",\"id\":\"call\"" : "");
    assert(r == 0);
    char *piece = without_nul(len ? data + 1 : data, len ? len - 1 : 0);
    r = json_append_str(&text, piece, len ? len - 1 : 0);
    assert(r == 0);
    free(piece);
    r = buf_appendf(&text, "%s}}]", names[first >> 3 & 3]);
    assert(r == 0);
    bool sound = take(run, DELTA_TOOL_CALLS, buf_at(&text), text.len);
    buf_fini(&text);
    return sound;
}

static bool take_logprobs(struct run *run, size_t len)
{
    static const char *const texts[] = {"{\"content\":[]}",
            "{\"content\":[{\"token\":\"a\",\"logprob\":-1}]}",
            "{\"content\":[{\"token\":\"a\",\"top_logprobs\":[{\"token\":\"b\"}]},{}]}",
            "{\"content\":null}"};
    const char *text = texts[len % 4];
    return take(run, DELTA_LOGPROBS, text, strlen(text));
}

static bool take_finish(struct run *run, size_t len)
{
    static const char *const reasons[] = {"stop", "length", "tool_calls", "content_filter"};
    return take(run, DELTA_FINISH, reasons[len % 4], strlen(reasons[len % 4]));
}

static bool idle(struct run *run)
{
    int r = dialect_responses.stream_idle(run->streamed.answer, &run->out);
    assert(r == 0);
    look(run);
    return true;
}

/* Another instance: only before anything was said. */
static bool again(struct run *run)
{
    if (cJSON_GetObjectItemCaseSensitive(run->events.response, "output")->child)
        return true;
    dialect_responses.answer_destroy(run->streamed.answer);
    dialect_responses.answer_destroy(run->whole.answer);
    run->streamed.answer = dialect_responses.answer_create(&run->streamed.request, &facts);
    run->whole.answer = dialect_responses.answer_create(&run->whole.request, &facts);
    assert(run->streamed.answer && run->whole.answer);
    return true;
}

static bool step(struct run *run, enum step step, const uint8_t *data, size_t len)
{
    switch (step) {
    case STEP_TEXT:
        return take(run, DELTA_TEXT, data, len);
    case STEP_REASONING:
        return take(run, DELTA_REASONING, data, len);
    case STEP_CALL:
        return take_call(run, data, len);
    case STEP_RAW_CALLS:
        return take(run, DELTA_TOOL_CALLS, data, len);
    case STEP_LOGPROBS:
        return take_logprobs(run, len);
    case STEP_RAW_LOGPROBS:
        return take(run, DELTA_LOGPROBS, data, len);
    case STEP_FINISH:
        return take_finish(run, len);
    case STEP_USAGE:
        return take(run, DELTA_USAGE, "", 0);
    case STEP_IDLE:
        return idle(run);
    default:
        return again(run);
    }
}

static void check_whole(struct run *run)
{
    struct buf whole;
    cJSON *object;
    buf_init(&whole, DIALECT_ANSWER_MAX);
    int r = dialect_responses.whole(run->whole.answer, &whole);
    assert(r == 0);
    r = json_parse(buf_at(&whole), whole.len, &json_limits_request, &object, NULL);
    assert(r == 0);
    assert(cJSON_Compare(object, run->events.response, true));
    cJSON_Delete(object);
    buf_fini(&whole);
}

static void end(struct run *run, bool sound)
{
    static const struct api_error error = {.status = 502, .code = "bad_answer", .message = "m"};
    int r = sound ? dialect_responses.stream_end(run->streamed.answer, &run->out) : -EPROTO;
    assert(r == 0 || r == -EPROTO);
    if (r) {
        buf_clear(&run->out);
        r = dialect_responses.stream_error(run->streamed.answer, &error, &run->out);
        assert(r == 0);
        look(run);
    } else {
        look(run);
        check_whole(run);
    }
    assert(run->events.ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {0};
    bool sound = true, logprobs = size > 0 && data[0] & 1;
    open_side(&run.streamed, true, logprobs);
    open_side(&run.whole, false, logprobs);
    buf_init(&run.out, DIALECT_ANSWER_MAX);
    int r = dialect_responses.stream_begin(run.streamed.answer, &run.out);
    assert(r == 0);
    look(&run);
    for (size_t at = size ? 1 : 0; sound && at + 2 <= size;) {
        size_t len = data[at + 1] <= size - at - 2 ? data[at + 1] : size - at - 2;
        sound = step(&run, data[at] % STEP_COUNT, data + at + 2, len);
        at += 2 + len;
    }
    end(&run, sound);
    close_side(&run.streamed);
    close_side(&run.whole);
    response_events_fini(&run.events);
    buf_fini(&run.out);
    return 0;
}
