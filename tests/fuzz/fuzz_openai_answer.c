/* Answers of the OpenAI dialects that stream, made of any deltas. The first bytes choose the
 * dialect and the request; then each delta is a kind, a choice, a length and its data. Whatever an
 * engine says, the client reads whole events in their order: each choice begins once, finishes once
 * and is silent then, and a tool call says its id and name first. */
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/openai/openai_answer.h"
#include "tests/lib/answer_json.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { CHOICES_MAX = 3, FLAG_WHOLE = 1, FLAG_TEXT = 2, FLAG_LOGPROBS = 4, FLAG_FUNCTIONS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen { /* of one choice */
    bool begun, finished;
    uint32_t calls;
};

struct client {
    bool chat;
    struct seen seen[CHOICES_MAX];
};

static void see_calls(struct seen *seen, const cJSON *calls)
{
    const cJSON *call;
    cJSON_ArrayForEach(call, calls)
    {
        uint32_t index = (uint32_t)json_num(call, "index", UINT32_MAX);
        const char *id = json_str(call, "id", NULL);
        assert(index <= seen->calls);
        assert((id != NULL) == (index == seen->calls));
        assert(json_str(json_obj(call, "function"), "arguments", NULL));
        seen->calls += index == seen->calls;
    }
}

static void see_choice(struct client *client, const cJSON *choice)
{
    uint32_t index = (uint32_t)json_num(choice, "index", UINT32_MAX);
    const cJSON *delta = json_obj(choice, "delta");
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(choice, "finish_reason");
    assert(index < CHOICES_MAX && (cJSON_IsNull(reason) || cJSON_IsString(reason)));
    struct seen *seen = &client->seen[index];
    assert(!seen->finished);
    if (client->chat) {
        assert(delta && seen->begun == !json_str(delta, "role", NULL));
        see_calls(seen, json_array(delta, "tool_calls"));
    } else {
        assert(json_str(choice, "text", NULL));
    }
    seen->begun = true;
    seen->finished = cJSON_IsString(reason);
}

static void see_event(struct client *client, const char *text, size_t len)
{
    cJSON *json = answer_json(text, len);
    assert(json_str(json, "id", NULL) && json_str(json, "model", NULL));
    const cJSON *choices = json_array(json, "choices"), *choice;
    assert(choices);
    cJSON_ArrayForEach(choice, choices)
    {
        see_choice(client, choice);
    }
    cJSON_Delete(json);
}

/* Takes all that was written. */
static void see(struct client *client, struct buf *out)
{
    static const char mark[] = "data: ", done[] = "[DONE]";
    while (out->len > 0) {
        const char *at = buf_at(out), *end = memmem(at, out->len, "\n\n", 2);
        assert(end && strncmp(at, mark, strlen(mark)) == 0);
        at += strlen(mark);
        size_t len = (size_t)(end - at);
        assert(!memchr(at, '\n', len));
        if (len != strlen(done) || memcmp(at, done, len) != 0)
            see_event(client, at, len);
        buf_consume(out, len + strlen(mark) + 2);
    }
}

/* U+0000 is sound JSON, but our own parser refuses it. */
static void copy_text(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ? from[i] : '0';
}

/* The data is borrowed from `room`. */
static bool next_delta(struct reader *reader, char room[UINT8_MAX], struct msg_delta *ret_delta)
{
    uint8_t kind, choice, len;
    const void *data;
    if (reader_u8(reader, &kind) || reader_u8(reader, &choice) || reader_u8(reader, &len))
        return false;
    if (len > reader->left)
        len = (uint8_t)reader->left;
    if (reader_bytes(reader, len, &data))
        return false;
    copy_text(room, data, len);
    *ret_delta = (struct msg_delta){.kind = kind % DELTA_KIND_COUNT,
            .choice = choice % (CHOICES_MAX + 1),
            .data = room,
            .len = len};
    return true;
}

static void check_failure(int r)
{
    assert(r == -EPROTO || r == -ENOBUFS);
}

static int run_stream(const struct dialect *dialect, struct answer *answer, struct client *client,
        struct reader *reader, struct buf *out)
{
    struct msg_delta delta;
    char room[UINT8_MAX];
    int r = dialect->stream_begin(answer, out);
    while (!r && next_delta(reader, room, &delta)) {
        see(client, out);
        r = delta.kind == DELTA_PROGRESS ? dialect->stream_idle(answer, out)
                                         : dialect->stream_delta(answer, &delta, out);
    }
    if (!r) {
        see(client, out);
        r = dialect->stream_end(answer, out);
    }
    return r;
}

static void try_stream(const struct dialect *dialect, struct answer *answer,
        const struct request *request, struct reader *reader)
{
    struct client client = {.chat = dialect == &dialect_openai_chat};
    struct buf out;
    buf_init(&out, DIALECT_ANSWER_MAX);
    int r = run_stream(dialect, answer, &client, reader, &out);
    if (r)
        check_failure(r);
    else
        see(&client, &out);
    for (uint32_t i = 0; !r && i < request->choices; i++)
        assert(client.seen[i].finished);
    buf_fini(&out);
}

static void try_whole(const struct dialect *dialect, struct answer *answer,
        const struct request *request, struct reader *reader)
{
    struct msg_delta delta;
    char room[UINT8_MAX];
    struct buf out;
    cJSON *json = NULL;
    int r = 0;
    buf_init(&out, DIALECT_ANSWER_MAX);
    while (!r && next_delta(reader, room, &delta))
        r = dialect->gather(answer, &delta);
    if (!r)
        r = dialect->whole(answer, &out);
    if (r) {
        check_failure(r);
    } else {
        json = answer_json(buf_at(&out), out.len);
        assert(cJSON_GetArraySize(json_array(json, "choices")) == (int)request->choices);
    }
    cJSON_Delete(json);
    buf_fini(&out);
}

static void make_request(struct request *request, uint8_t flags, uint8_t choices)
{
    request_init(request);
    request->stream = !(flags & FLAG_WHOLE);
    request->include_usage = true;
    request->choices = 1 + choices % CHOICES_MAX;
    request->kept = cJSON_CreateObject();
    if (flags & FLAG_LOGPROBS)
        cJSON_AddTrueToObject(request->kept, OPENAI_KEPT_LOGPROBS);
    if (flags & FLAG_FUNCTIONS)
        cJSON_AddTrueToObject(request->kept, OPENAI_KEPT_FUNCTIONS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct request request;
    struct reader reader;
    if (size < 2)
        return 0;
    const struct dialect *dialect =
            data[0] & FLAG_TEXT ? &dialect_openai_completions : &dialect_openai_chat;
    make_request(&request, data[0], data[1]);
    struct answer *answer = dialect->answer_create(&request, &facts);
    reader_init(&reader, data + 2, size - 2);
    if (request.stream)
        try_stream(dialect, answer, &request, &reader);
    else
        try_whole(dialect, answer, &request, &reader);
    dialect->answer_destroy(answer);
    request_fini(&request);
    return 0;
}
