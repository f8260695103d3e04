#include "coordinator/dialects/anthropic/anthropic_answer.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"
#include "coordinator/dialects/tool_arguments.h"
#include "coordinator/dialects/tool_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum block { BLOCK_NONE, BLOCK_THINKING, BLOCK_TEXT, BLOCK_TOOL_USE };

/* Clients keep it and send it back; nobody reads it. */
static const char signature[] = "bW9kZW1lc2g=";

struct answer {
    struct answer_facts facts;
    enum block open;
    uint32_t index;                   /* of the block that is open, or of the next */
    struct buf thinking, text;        /* whole answers: all; streams: what waits for the calls */
    struct tool_calls calls;          /* streams: their arguments leave as they go out */
    size_t call;                      /* streams: the call whose turn it is */
    struct tool_arguments arguments;  /* of that call */
    struct buf piece;                 /* of them, on its way */
    char finish[GATHERED_FINISH_MAX]; /* "": not yet */
    struct msg_usage usage;
};

struct answer *anthropic_answer_create(
        const struct request *request, const struct answer_facts *facts)
{
    (void)request;
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    answer->facts = *facts;
    buf_init(&answer->thinking, GATHERED_BYTES_MAX);
    buf_init(&answer->text, GATHERED_BYTES_MAX);
    buf_init(&answer->piece, 2 * GATHERED_BYTES_MAX);
    return answer;
}

void anthropic_answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    buf_fini(&answer->thinking);
    buf_fini(&answer->text);
    buf_fini(&answer->piece);
    tool_calls_fini(&answer->calls);
    free(answer);
}

/* --- parts of both --- */

static int append_str(struct buf *out, const char *text)
{
    return json_append_str(out, text, strlen(text));
}

/* `"id":"msg_…","type":"message","role":"assistant","model":"…"` */
static int append_head(const struct answer *answer, struct buf *out)
{
    const char *id = answer->facts.request_id;
    id += strncmp(id, "req_", 4) == 0 ? 4 : 0;
    int r = buf_appendf(
            out, "\"id\":\"msg_%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", id);
    return r ? r : append_str(out, answer->facts.model);
}

/* What was in the cache counts as read from there, and not as input again. */
static int append_usage(const struct msg_usage *usage, struct buf *out)
{
    uint32_t cached = usage->cached_tokens < usage->prompt_tokens ? usage->cached_tokens
                                                                  : usage->prompt_tokens;
    return buf_appendf(out,
            "\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
            "\"cache_read_input_tokens\":%u,\"output_tokens\":%u}",
            usage->prompt_tokens - cached, cached, usage->completion_tokens);
}

static const char *stop_reason(const struct answer *answer)
{
    if (strcmp(answer->finish, "length") == 0)
        return "max_tokens";
    if (strcmp(answer->finish, "content_filter") == 0)
        return "refusal";
    return answer->calls.count > 0 ? "tool_use" : "end_turn";
}

/* `"id":"…","name":"…"`; an id that the engine lacks is made up. */
static int append_call(const struct answer *answer, size_t at, struct buf *out)
{
    const struct tool_call *call = &answer->calls.list[at];
    const char *request_id = answer->facts.request_id;
    request_id += strncmp(request_id, "req_", 4) == 0 ? 4 : 0;
    int r = buf_append_str(out, "\"id\":");
    if (!r)
        r = call->id ? append_str(out, call->id)
                     : buf_appendf(out, "\"toolu_%s_%zu\"", request_id, at);
    if (!r)
        r = buf_append_str(out, ",\"name\":");
    return r ? r : append_str(out, call->name ? call->name : "");
}

static int take_finish(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->len == 0 || delta->len >= GATHERED_FINISH_MAX)
        return -EPROTO;
    memcpy(answer->finish, delta->data, delta->len);
    answer->finish[delta->len] = '\0';
    return 0;
}

/* --- streams --- */

static int begin_event(struct buf *out, const char *name)
{
    return buf_appendf(out, "event: %s\ndata: {\"type\":\"%s\"", name, name);
}

static int end_event(struct buf *out)
{
    return buf_append_str(out, "}\n\n");
}

static int append_block(const struct answer *answer, enum block block, struct buf *out)
{
    if (block == BLOCK_TEXT)
        return buf_append_str(out, "{\"type\":\"text\",\"text\":\"\"}");
    if (block == BLOCK_THINKING)
        return buf_append_str(out, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    int r = buf_append_str(out, "{\"type\":\"tool_use\",");
    if (!r)
        r = append_call(answer, answer->call, out);
    return r ? r : buf_append_str(out, ",\"input\":{}}");
}

static int open_block(struct answer *answer, enum block block, struct buf *out)
{
    answer->open = block;
    int r = begin_event(out, "content_block_start");
    if (!r)
        r = buf_appendf(out, ",\"index\":%u,\"content_block\":", answer->index);
    if (!r)
        r = append_block(answer, block, out);
    return r ? r : buf_append_str(out, "}\n\n");
}

static int append_delta(const struct answer *answer, const char *type, const char *key,
        const char *data, size_t len, struct buf *out)
{
    int r = begin_event(out, "content_block_delta");
    if (!r)
        r = buf_appendf(
                out, ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":", answer->index, type, key);
    if (!r)
        r = json_append_str(out, data, len);
    return r ? r : buf_append_str(out, "}}\n\n");
}

/* A piece of what is said in the block that is open. */
static int say(const struct answer *answer, const char *data, size_t len, struct buf *out)
{
    static const char *const words[][2] = {
            [BLOCK_THINKING] = {"thinking_delta", "thinking"},
            [BLOCK_TEXT] = {"text_delta", "text"},
            [BLOCK_TOOL_USE] = {"input_json_delta", "partial_json"},
    };
    return append_delta(answer, words[answer->open][0], words[answer->open][1], data, len, out);
}

static int close_block(struct answer *answer, struct buf *out)
{
    int r = 0;
    if (answer->open == BLOCK_NONE)
        return 0;
    if (answer->open == BLOCK_THINKING)
        r = append_delta(answer, "signature_delta", "signature", signature, strlen(signature), out);
    if (!r)
        r = begin_event(out, "content_block_stop");
    if (!r)
        r = buf_appendf(out, ",\"index\":%u", answer->index++);
    answer->open = BLOCK_NONE;
    return r ? r : end_event(out);
}

static int say_in(
        struct answer *answer, enum block block, const char *data, size_t len, struct buf *out)
{
    int r = 0;
    if (len == 0)
        return 0;
    if (answer->open != block)
        r = close_block(answer, out);
    if (!r && answer->open != block)
        r = open_block(answer, block, out);
    return r ? r : say(answer, data, len, out);
}

/* The API begins each input with an empty piece. */
static int open_call(struct answer *answer, struct buf *out)
{
    answer->arguments = (struct tool_arguments){0};
    int r = close_block(answer, out);
    if (!r)
        r = open_block(answer, BLOCK_TOOL_USE, out);
    return r ? r : say(answer, "", 0, out);
}

static int say_arguments(struct answer *answer, bool last, struct buf *out)
{
    struct buf *came = &answer->calls.list[answer->call].arguments;
    buf_clear(&answer->piece);
    int r = tool_arguments_push(&answer->arguments, buf_at(came), came->len, &answer->piece);
    if (!r && last)
        r = tool_arguments_close(&answer->arguments, &answer->piece);
    buf_clear(came);
    if (r || answer->piece.len == 0)
        return r;
    return say(answer, buf_at(&answer->piece), answer->piece.len, out);
}

/* Says what can be said of the call whose turn it is. `last`: no more comes. */
static int say_call(struct answer *answer, bool last, struct buf *out)
{
    int r = answer->open == BLOCK_TOOL_USE ? 0 : open_call(answer, out);
    if (!r)
        r = say_arguments(answer, last, out);
    if (r || !(last || tool_arguments_complete(&answer->arguments)))
        return r;
    answer->call++;
    return close_block(answer, out);
}

static int say_calls(struct answer *answer, bool last, struct buf *out)
{
    int r = 0;
    size_t before;
    do {
        before = answer->call;
        bool named = before < answer->calls.count && answer->calls.list[before].name;
        if (before < answer->calls.count && (named || last))
            r = say_call(answer, last, out);
    } while (!r && answer->call > before);
    return r;
}

static int take_calls(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    int r = tool_calls_add(&answer->calls, delta);
    return r ? r : say_calls(answer, false, out);
}

static int take_words(
        struct answer *answer, enum block block, const struct msg_delta *delta, struct buf *out)
{
    struct buf *waits = block == BLOCK_TEXT ? &answer->text : &answer->thinking;
    if (answer->calls.count > 0)
        return buf_append(waits, delta->data, delta->len);
    return say_in(answer, block, delta->data, delta->len, out);
}

int anthropic_stream_begin(struct answer *answer, struct buf *out)
{
    int r = begin_event(out, "message_start");
    if (!r)
        r = buf_append_str(out, ",\"message\":{");
    if (!r)
        r = append_head(answer, out);
    if (!r)
        r = buf_append_str(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
    if (!r)
        r = append_usage(&answer->usage, out);
    return r ? r : buf_append_str(out, "}}\n\n");
}

int anthropic_stream_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (delta->choice > 0)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        return take_words(answer, BLOCK_TEXT, delta, out);
    case DELTA_REASONING:
        return take_words(answer, BLOCK_THINKING, delta, out);
    case DELTA_TOOL_CALLS:
        return take_calls(answer, delta, out);
    case DELTA_FINISH:
        return take_finish(answer, delta);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

int anthropic_stream_idle(struct answer *answer, struct buf *out)
{
    (void)answer;
    int r = begin_event(out, "ping");
    return r ? r : end_event(out);
}

static int say_rest(struct answer *answer, struct buf *out)
{
    int r = say_calls(answer, true, out);
    if (!r)
        r = say_in(answer, BLOCK_THINKING, buf_at(&answer->thinking), answer->thinking.len, out);
    if (!r)
        r = say_in(answer, BLOCK_TEXT, buf_at(&answer->text), answer->text.len, out);
    return r ? r : close_block(answer, out);
}

int anthropic_stream_end(struct answer *answer, struct buf *out)
{
    if (answer->finish[0] == '\0')
        return -EPROTO;
    int r = say_rest(answer, out);
    if (!r)
        r = begin_event(out, "message_delta");
    if (!r)
        r = buf_appendf(out, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},",
                stop_reason(answer));
    if (!r)
        r = append_usage(&answer->usage, out);
    if (!r)
        r = end_event(out);
    if (!r)
        r = begin_event(out, "message_stop");
    return r ? r : end_event(out);
}

int anthropic_stream_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    int r = buf_append_str(out, "event: error\ndata: ");
    if (!r)
        r = family_anthropic.error_body(error, answer->facts.request_id, out);
    return r ? r : buf_append_str(out, "\n\n");
}

/* --- whole answers --- */

int anthropic_gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->choice > 0)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        return buf_append(&answer->text, delta->data, delta->len);
    case DELTA_REASONING:
        return buf_append(&answer->thinking, delta->data, delta->len);
    case DELTA_TOOL_CALLS:
        return tool_calls_add(&answer->calls, delta);
    case DELTA_FINISH:
        return take_finish(answer, delta);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

static int append_thinking(const struct answer *answer, struct buf *out)
{
    const struct buf *thinking = &answer->thinking;
    if (thinking->len == 0)
        return 0;
    int r = buf_append_str(out, "{\"type\":\"thinking\",\"thinking\":");
    if (!r)
        r = json_append_str(out, buf_at(thinking), thinking->len);
    return r ? r : buf_appendf(out, ",\"signature\":\"%s\"},", signature);
}

static int append_text(const struct answer *answer, struct buf *out)
{
    const struct buf *text = &answer->text;
    if (text->len == 0)
        return 0;
    int r = buf_append_str(out, "{\"type\":\"text\",\"text\":");
    if (!r)
        r = json_append_str(out, buf_at(text), text->len);
    return r ? r : buf_append_str(out, "},");
}

static int append_tool_use(const struct answer *answer, size_t at, struct buf *out)
{
    struct tool_arguments arguments = {0};
    const struct buf *came = &answer->calls.list[at].arguments;
    int r = buf_append_str(out, "{\"type\":\"tool_use\",");
    if (!r)
        r = append_call(answer, at, out);
    if (!r)
        r = buf_append_str(out, ",\"input\":");
    if (!r)
        r = tool_arguments_push(&arguments, buf_at(came), came->len, out);
    if (!r)
        r = tool_arguments_close(&arguments, out);
    return r ? r : buf_append_str(out, "},");
}

static int append_content(const struct answer *answer, struct buf *out)
{
    int r = buf_append_str(out, ",\"content\":[");
    size_t empty = out->len;
    if (!r)
        r = append_thinking(answer, out);
    if (!r)
        r = append_text(answer, out);
    for (size_t i = 0; !r && i < answer->calls.count; i++)
        r = append_tool_use(answer, i, out);
    if (!r && out->len > empty)
        out->len--; /* the comma behind the last block */
    return r ? r : buf_append_str(out, "],");
}

int anthropic_whole(struct answer *answer, struct buf *out)
{
    if (answer->finish[0] == '\0')
        return -EPROTO;
    int r = buf_append_str(out, "{");
    if (!r)
        r = append_head(answer, out);
    if (!r)
        r = append_content(answer, out);
    if (!r)
        r = buf_appendf(out, "\"stop_reason\":\"%s\",\"stop_sequence\":null,", stop_reason(answer));
    if (!r)
        r = append_usage(&answer->usage, out);
    return r ? r : buf_append_str(out, "}");
}
