/* Any deltas, as an answer of Ollama's chat or generate, streamed or whole, which the first byte
 * chooses. What goes out is one JSON object a line and never an empty one; `done` is said once, at
 * the end; calls have a name and an object. */
#include "coordinator/dialects/ollama/ollama.h"
#include "tests/lib/answer_json.h"
#include "tests/lib/delta_maker.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct check {
    bool chat, errored;
    unsigned done; /* times that it was said */
};

static void check_calls(const cJSON *message)
{
    const cJSON *call;
    cJSON_ArrayForEach(call, json_array(message, "tool_calls"))
    {
        const cJSON *function = json_obj(call, "function");
        assert(json_str(function, "name", NULL));
        assert(json_obj(function, "arguments"));
    }
}

static void check_object(struct check *check, const char *text, size_t len)
{
    cJSON *json = answer_json(text, len);
    assert(cJSON_IsObject(json));
    assert(check->done == 0);
    if (check->errored) {
        assert(json_str(json, "error", NULL));
    } else {
        const cJSON *message = json_obj(json, "message");
        assert(strcmp(json_str(json, "model", ""), "m") == 0 && json_str(json, "created_at", NULL));
        assert(check->chat ? json_str(message, "content", NULL) : json_str(json, "response", NULL));
        check_calls(message);
        check->done += json_bool(json, "done", false);
        assert(!check->done == !json_str(json, "done_reason", NULL));
    }
    cJSON_Delete(json);
}

static void check_lines(struct check *check, struct buf *out)
{
    const char *at = out->len ? buf_at(out) : "";
    for (size_t left = out->len; left > 0;) {
        const char *end = memchr(at, '\n', left);
        assert(end && end > at);
        check_object(check, at, (size_t)(end - at));
        left -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    buf_clear(out);
}

static void end_with_error(
        const struct dialect *dialect, struct check *check, struct answer *answer, struct buf *out)
{
    struct api_error error = {.status = 502, .message = "the engine\nis gone"};
    buf_clear(out); /* a failed delta's bytes are dropped */
    int r = dialect->stream_error(answer, &error, out);
    assert(r == 0);
    check->errored = true;
    check_lines(check, out);
}

static void check_stream(const struct dialect *dialect, struct delta_maker *maker,
        struct check *check, struct answer *answer, struct buf *out)
{
    struct msg_delta delta;
    int r = dialect->stream_begin(answer, out);
    while (!r && delta_maker_next(maker, &delta)) {
        r = dialect->stream_delta(answer, &delta, out);
        if (!r && delta.len % 4 == 0)
            r = dialect->stream_idle(answer, out);
        if (!r)
            check_lines(check, out);
    }
    assert(check->done == 0);
    if (!r)
        r = dialect->stream_end(answer, out);
    if (r) {
        assert(r == -EPROTO || r == -ENOBUFS);
        end_with_error(dialect, check, answer, out);
    } else {
        check_lines(check, out);
        assert(check->done == 1);
    }
}

static void check_whole(const struct dialect *dialect, struct delta_maker *maker,
        struct check *check, struct answer *answer, struct buf *out)
{
    struct msg_delta delta;
    int r = 0;
    while (!r && delta_maker_next(maker, &delta))
        r = dialect->gather(answer, &delta);
    if (!r)
        r = dialect->whole(answer, out);
    assert(r == 0 || r == -EPROTO || r == -ENOBUFS);
    if (r)
        return;
    assert(!memchr(buf_at(out), '\n', out->len));
    check_object(check, buf_at(out), out->len);
    assert(check->done == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct request request;
    struct buf out;
    if (size == 0)
        return 0;
    struct check check = {.chat = data[0] & 1};
    struct delta_maker maker = {.at = data + 1, .left = size - 1};
    const struct dialect *dialect = check.chat ? &dialect_ollama_chat : &dialect_ollama_generate;
    request_init(&request);
    request.stream = data[0] & 2;
    struct answer *answer = dialect->answer_create(&request, &facts);
    buf_init(&out, DIALECT_ANSWER_MAX);
    assert(answer);
    if (request.stream)
        check_stream(dialect, &maker, &check, answer, &out);
    else
        check_whole(dialect, &maker, &check, answer, &out);
    dialect->answer_destroy(answer);
    buf_fini(&out);
    request_fini(&request);
    return 0;
}
