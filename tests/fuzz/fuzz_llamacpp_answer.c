/* Any deltas, as an answer of llama.cpp's completion of one or two choices, streamed or whole, with
 * or without `response_fields`, which the first byte chooses. A stream is events of one JSON object
 * each; each choice stops once, at the end. */
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "tests/lib/answer_json.h"
#include "tests/lib/delta_maker.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const dialect = &dialect_llamacpp_completion;

static const char *const bodies[] = {
        "{\"prompt\":\"p\"}",
        "{\"prompt\":\"p\",\"n_probs\":1,\"n_cmpl\":2}",
        "{\"prompt\":\"p\",\"response_fields\":[\"content\",\"stop\",\"index\",\"timings/x\"]}",
        "{\"prompt\":\"p\",\"return_tokens\":true,\"n_cmpl\":2}",
};

static void check_object(const cJSON *object, bool last)
{
    assert(json_str(object, "content", NULL));
    assert(json_num(object, "index", -1) >= 0);
    assert(json_bool(object, "stop", !last) == last);
}

/* Checks events in a row and returns their number. */
static unsigned check_events(struct buf *out, bool last)
{
    const char *at = out->len ? buf_at(out) : "";
    unsigned count = 0;
    for (size_t left = out->len; left > 0; count++) {
        const char *end = memmem(at, left, "\n\n", 2);
        assert(end && end - at > 8 && memcmp(at, "data: ", 6) == 0);
        assert(!memchr(at, '\n', (size_t)(end - at)));
        cJSON *json = answer_json(at + 6, (size_t)(end - at) - 6);
        check_object(json, last);
        cJSON_Delete(json);
        left -= (size_t)(end - at) + 2;
        at = end + 2;
    }
    buf_clear(out);
    return count;
}

static void check_stream(const struct request *request, struct delta_maker *maker,
        struct answer *answer, struct buf *out)
{
    struct msg_delta delta;
    int r = dialect->stream_begin(answer, out);
    while (!r && delta_maker_next(maker, &delta)) {
        r = dialect->stream_delta(answer, &delta, out);
        if (!r && delta.len % 4 == 0)
            r = dialect->stream_idle(answer, out);
        if (!r)
            (void)check_events(out, false);
    }
    if (!r)
        r = dialect->stream_end(answer, out);
    assert(r == 0 || r == -EPROTO || r == -ENOBUFS);
    if (r)
        return;
    unsigned count = check_events(out, true);
    assert(count == request->choices);
}

static void check_whole(const struct request *request, struct delta_maker *maker,
        struct answer *answer, struct buf *out)
{
    struct msg_delta delta;
    const cJSON *object;
    cJSON *json;
    int r = 0;
    while (!r && delta_maker_next(maker, &delta))
        r = dialect->gather(answer, &delta);
    if (!r)
        r = dialect->whole(answer, out);
    assert(r == 0 || r == -EPROTO || r == -ENOBUFS);
    if (r)
        return;
    json = answer_json(buf_at(out), out->len);
    if (request->choices == 1) {
        check_object(json, true);
    } else {
        assert(cJSON_GetArraySize(json) == (int)request->choices);
        cJSON_ArrayForEach(object, json) check_object(object, true);
    }
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct request request;
    struct buf out;
    const char *param;
    if (size == 0)
        return 0;
    const char *body = bodies[data[0] % 4];
    struct delta_maker maker = {.at = data + 1, .left = size - 1};
    struct dialect_input input = {.body = body, .len = strlen(body)};
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, NULL);
    assert(r == 0);
    request.stream = data[0] & 4;
    struct answer *answer = dialect->answer_create(&request, &facts);
    buf_init(&out, DIALECT_ANSWER_MAX);
    assert(answer);
    if (request.stream)
        check_stream(&request, &maker, answer, &out);
    else
        check_whole(&request, &maker, answer, &out);
    dialect->answer_destroy(answer);
    buf_fini(&out);
    request_fini(&request);
    return 0;
}
