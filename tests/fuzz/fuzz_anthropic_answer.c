/* Any order of deltas makes a stream in the API's order: each event has a name and JSON of that
 * type, blocks follow each other, all that the engine said is in them and every tool's input is an
 * object. The answer given whole says the same. */
#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 8, OUT_MAX = 8 * 1024 * 1024, SAID_MAX = 1024 * 1024 };

struct said {
    struct buf text, thinking, inputs; /* of all blocks of the kind; inputs printed anew */
    size_t calls;
};

static void said_init(struct said *said)
{
    *said = (struct said){0};
    buf_init(&said->text, SAID_MAX);
    buf_init(&said->thinking, SAID_MAX);
    buf_init(&said->inputs, SAID_MAX);
}

static void said_fini(struct said *said)
{
    buf_fini(&said->text);
    buf_fini(&said->thinking);
    buf_fini(&said->inputs);
}

static void keep(struct buf *buf, const char *text)
{
    int r = buf_append_str(buf, text);
    assert(r == 0);
}

static void keep_input(struct said *said, const cJSON *input)
{
    char *printed = cJSON_PrintUnformatted(input);
    assert(cJSON_IsObject(input));
    keep(&said->inputs, printed);
    cJSON_free(printed);
    said->calls++;
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(buf_at(a), buf_at(b), a->len) == 0;
}

static cJSON *parse(const char *text, size_t len)
{
    cJSON *json;
    int r = json_parse(text, len, &json_limits_request, &json, NULL);
    assert(r == 0);
    return json;
}

/* --- what the engine says --- */

struct feed {
    const uint8_t *data;
    size_t left;
    size_t calls; /* so far */
    struct buf fragment;
};

static uint8_t next(struct feed *feed)
{
    if (feed->left == 0)
        return 0;
    feed->left--;
    return *feed->data++;
}

/* Letters of JSON and others, all of them ASCII. */
static size_t next_text(struct feed *feed, char *text)
{
    static const char letters[] = "{}[]:,\"\\ \n0123456789.eE+-truefalsnul";
    size_t len = next(feed) % 32;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = next(feed);
        text[i] = c < 128 ? letters[c % (sizeof(letters) - 1)] : (char)(' ' + c % 90);
    }
    text[len] = '\0';
    return len;
}

static void make_fragment(struct feed *feed, char *text)
{
    uint8_t how = next(feed);
    size_t index = how % (feed->calls + 1), len = next_text(feed, text);
    index = index < CALLS_MAX ? index : 0;
    if (index == feed->calls)
        feed->calls++;
    buf_clear(&feed->fragment);
    int r = buf_appendf(&feed->fragment, "[{\"index\":%zu", index);
    if (!r && how & 64)
        r = buf_appendf(&feed->fragment, ",\"id\":\"c%zu\"", index);
    if (!r)
        r = buf_appendf(&feed->fragment,
                ",\"function\":{\"name\":\"%s\",\"arguments\":", how & 128 ? "f" : "");
    if (!r)
        r = json_append_str(&feed->fragment, text, len);
    if (!r)
        r = buf_append_str(&feed->fragment, "}}]");
    assert(r == 0);
}

static struct msg_delta next_delta(struct feed *feed, char *text)
{
    static const enum delta_kind kinds[] = {DELTA_TEXT, DELTA_REASONING, DELTA_TOOL_CALLS,
            DELTA_TOOL_CALLS, DELTA_USAGE, DELTA_PROGRESS};
    struct msg_delta delta = {.kind = kinds[next(feed) % (sizeof(kinds) / sizeof(*kinds))]};
    if (delta.kind == DELTA_TOOL_CALLS) {
        make_fragment(feed, text);
        delta.data = buf_at(&feed->fragment);
        delta.len = feed->fragment.len;
    } else {
        delta.len = next_text(feed, text);
        delta.data = text;
        delta.usage = (struct msg_usage){next(feed), next(feed), next(feed), 0, 0};
    }
    return delta;
}

/* --- what the client hears --- */

enum stage { STAGE_START, STAGE_BETWEEN, STAGE_BLOCK, STAGE_STOP, STAGE_OVER };

struct hearing {
    enum stage stage;
    int index;
    char block[16]; /* its type */
    bool is_signed;
    struct buf input;
    struct said said;
};

static void hear_start(struct hearing *hearing, const cJSON *event)
{
    const cJSON *block = json_obj(event, "content_block");
    assert(hearing->stage == STAGE_BETWEEN);
    assert((int)json_num(event, "index", -1) == hearing->index);
    strncpy(hearing->block, json_str(block, "type", ""), sizeof(hearing->block) - 1);
    assert(strcmp(hearing->block, "tool_use") != 0 || *json_str(block, "id", ""));
    hearing->stage = STAGE_BLOCK;
    hearing->is_signed = false;
    buf_clear(&hearing->input);
}

static void hear_delta(struct hearing *hearing, const cJSON *event)
{
    const cJSON *delta = json_obj(event, "delta");
    const char *type = json_str(delta, "type", "");
    assert(hearing->stage == STAGE_BLOCK && !hearing->is_signed);
    assert((int)json_num(event, "index", -1) == hearing->index);
    if (strcmp(hearing->block, "text") == 0) {
        assert(strcmp(type, "text_delta") == 0 && *json_str(delta, "text", ""));
        keep(&hearing->said.text, json_str(delta, "text", ""));
    } else if (strcmp(hearing->block, "tool_use") == 0) {
        assert(strcmp(type, "input_json_delta") == 0);
        keep(&hearing->input, json_str(delta, "partial_json", ""));
    } else if (strcmp(type, "signature_delta") == 0) {
        hearing->is_signed = true;
    } else {
        assert(strcmp(type, "thinking_delta") == 0);
        keep(&hearing->said.thinking, json_str(delta, "thinking", ""));
    }
}

static void hear_stop(struct hearing *hearing, const cJSON *event)
{
    assert(hearing->stage == STAGE_BLOCK);
    assert((int)json_num(event, "index", -1) == hearing->index);
    assert(hearing->is_signed == (strcmp(hearing->block, "thinking") == 0));
    if (strcmp(hearing->block, "tool_use") == 0) {
        cJSON *input = parse(buf_at(&hearing->input), hearing->input.len);
        keep_input(&hearing->said, input);
        cJSON_Delete(input);
    }
    hearing->index++;
    hearing->stage = STAGE_BETWEEN;
}

static void hear_event(struct hearing *hearing, const char *name, const cJSON *event)
{
    assert(strcmp(json_str(event, "type", ""), name) == 0);
    if (strcmp(name, "message_start") == 0) {
        assert(hearing->stage == STAGE_START && json_obj(event, "message"));
        hearing->stage = STAGE_BETWEEN;
    } else if (strcmp(name, "content_block_start") == 0) {
        hear_start(hearing, event);
    } else if (strcmp(name, "content_block_delta") == 0) {
        hear_delta(hearing, event);
    } else if (strcmp(name, "content_block_stop") == 0) {
        hear_stop(hearing, event);
    } else if (strcmp(name, "message_delta") == 0) {
        assert(hearing->stage == STAGE_BETWEEN && json_obj(event, "usage"));
        assert(json_str(json_obj(event, "delta"), "stop_reason", NULL));
        hearing->stage = STAGE_STOP;
    } else {
        assert(strcmp(name, "message_stop") == 0 && hearing->stage == STAGE_STOP);
        hearing->stage = STAGE_OVER;
    }
}

static void hear(struct hearing *hearing, const struct buf *out)
{
    const char *at = buf_at(out), *end = at + out->len;
    while (at < end) {
        char name[32];
        const char *data = memmem(at, (size_t)(end - at), "\ndata: ", 7);
        const char *stop = memmem(at, (size_t)(end - at), "\n\n", 2);
        assert(strncmp(at, "event: ", 7) == 0 && data && stop && data < stop);
        size_t len = (size_t)(data - at) - 7;
        assert(len < sizeof(name));
        memcpy(name, at + 7, len);
        name[len] = '\0';
        cJSON *event = parse(data + 7, (size_t)(stop - data) - 7);
        hear_event(hearing, name, event);
        cJSON_Delete(event);
        at = stop + 2;
    }
}

static void read_whole(const struct buf *out, struct said *said)
{
    cJSON *message = parse(buf_at(out), out->len);
    const cJSON *block;
    cJSON_ArrayForEach(block, json_array(message, "content"))
    {
        if (strcmp(json_str(block, "type", ""), "tool_use") == 0)
            keep_input(said, json_obj(block, "input"));
        keep(&said->text, json_str(block, "text", ""));
        keep(&said->thinking, json_str(block, "thinking", ""));
    }
    assert(json_str(message, "stop_reason", NULL) && json_obj(message, "usage"));
    cJSON_Delete(message);
}

/* --- both --- */

struct answers {
    struct answer *streamed, *whole;
    struct buf out;
    struct said fed;
};

static void feed_delta(struct answers *answers, const struct msg_delta *delta)
{
    const struct dialect *dialect = &dialect_anthropic_messages;
    int r = dialect->stream_delta(answers->streamed, delta, &answers->out);
    assert(r == 0);
    r = dialect->gather(answers->whole, delta);
    assert(r == 0);
    if (delta->kind == DELTA_TEXT)
        keep(&answers->fed.text, delta->data);
    if (delta->kind == DELTA_REASONING)
        keep(&answers->fed.thinking, delta->data);
}

static void feed_all(struct answers *answers, struct feed *feed)
{
    static const struct msg_delta finish = {.kind = DELTA_FINISH, .data = "stop", .len = 4};
    char text[40];
    while (feed->left > 0) {
        struct msg_delta delta = next_delta(feed, text);
        feed_delta(answers, &delta);
    }
    feed_delta(answers, &finish);
    answers->fed.calls = feed->calls;
}

static void check_stream(struct answers *answers, struct said *ret_said)
{
    struct hearing hearing = {.stage = STAGE_START};
    said_init(&hearing.said);
    buf_init(&hearing.input, SAID_MAX);
    hear(&hearing, &answers->out);
    assert(hearing.stage == STAGE_OVER);
    buf_fini(&hearing.input);
    *ret_said = hearing.said;
}

static void check(struct answers *answers)
{
    struct said streamed, whole;
    int r = dialect_anthropic_messages.stream_end(answers->streamed, &answers->out);
    assert(r == 0);
    check_stream(answers, &streamed);
    assert(same(&streamed.text, &answers->fed.text));
    assert(same(&streamed.thinking, &answers->fed.thinking));
    assert(streamed.calls == answers->fed.calls);
    buf_clear(&answers->out);
    r = dialect_anthropic_messages.whole(answers->whole, &answers->out);
    assert(r == 0);
    said_init(&whole);
    read_whole(&answers->out, &whole);
    assert(same(&streamed.text, &whole.text) && same(&streamed.thinking, &whole.thinking));
    assert(same(&streamed.inputs, &whole.inputs));
    said_fini(&streamed);
    said_fini(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    const struct dialect *dialect = &dialect_anthropic_messages;
    struct request request;
    struct feed feed = {.data = data, .left = size < 4096 ? size : 4096};
    struct answers answers = {0};
    request_init(&request);
    buf_init(&feed.fragment, 4096);
    buf_init(&answers.out, OUT_MAX);
    said_init(&answers.fed);
    answers.streamed = dialect->answer_create(&request, &facts);
    answers.whole = dialect->answer_create(&request, &facts);
    int r = dialect->stream_begin(answers.streamed, &answers.out);
    assert(r == 0);
    feed_all(&answers, &feed);
    check(&answers);
    dialect->answer_destroy(answers.streamed);
    dialect->answer_destroy(answers.whole);
    said_fini(&answers.fed);
    buf_fini(&answers.out);
    buf_fini(&feed.fragment);
    request_fini(&request);
    return 0;
}
