#include "node/backends/openai_chunk.h"

#include "common/json.h"
#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    STATUS_MIN = 400, /* of an error; others become STATUS_UNKNOWN */
    STATUS_MAX = 599,
    STATUS_UNKNOWN = 500,
    STATUS_BAD_REQUEST = 400,
    MESSAGE_MAX = 400, /* bytes of the engine's words that are passed on */
};

static const char no_reason[] = "the engine gave no reason";
static const char past_context_type[] = "exceed_context_size_error"; /* of llama-server */

struct emitter {
    openai_delta_fn fn;
    void *ctx;
    uint32_t choice;
};

static int emit(const struct emitter *emitter, enum delta_kind kind, const char *data, size_t len)
{
    struct msg_delta delta = {.kind = kind, .choice = emitter->choice, .data = data, .len = len};

    if (len == 0)
        return 0;
    return emitter->fn(emitter->ctx, &delta) ? 0 : -ECANCELED;
}

static int emit_text(const struct emitter *emitter, enum delta_kind kind, const char *text)
{
    return text ? emit(emitter, kind, text, strlen(text)) : 0;
}

static int emit_json(const struct emitter *emitter, enum delta_kind kind, const cJSON *json)
{
    struct buf text;
    int r;

    if (!json)
        return 0;
    buf_init(&text, json_limits_event.max_bytes);
    r = json_append(&text, json);
    if (r == 0)
        r = emit(emitter, kind, buf_at(&text), text.len);
    buf_fini(&text);
    return r;
}

static int read_delta(const struct emitter *emitter, const cJSON *delta)
{
    int r = emit_text(emitter, DELTA_REASONING, json_str(delta, "reasoning_content", NULL));

    if (r == 0)
        r = emit_text(emitter, DELTA_TEXT, json_str(delta, "content", NULL));
    if (r == 0)
        r = emit_json(emitter, DELTA_TOOL_CALLS, json_array(delta, "tool_calls"));
    return r;
}

static int read_choice(struct openai_stream *stream, struct emitter *emitter, const cJSON *choice)
{
    double index = json_num(choice, "index", 0);
    const cJSON *delta = json_obj(choice, "delta");
    const char *finish = json_str(choice, "finish_reason", NULL);
    int r;

    if (!(index >= 0 && index < OPENAI_CHOICES_MAX))
        return -EPROTO;
    emitter->choice = (uint32_t)index;
    r = delta ? read_delta(emitter, delta) : 0;
    if (r == 0)
        r = emit_json(emitter, DELTA_LOGPROBS, json_obj(choice, "logprobs"));
    if (r == 0 && finish) {
        stream->finished = true;
        r = emit_text(emitter, DELTA_FINISH, finish);
    }
    return r;
}

/* Numbers that are no token counts count as none. */
static uint32_t tokens(double number)
{
    return number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static float milliseconds(double number)
{
    return number >= 0 && number <= UINT32_MAX ? (float)number : 0;
}

static void read_usage(struct openai_stream *stream, const cJSON *usage)
{
    const cJSON *details = json_obj(usage, "prompt_tokens_details");

    stream->has_usage = true;
    stream->usage.prompt_tokens = tokens(json_num(usage, "prompt_tokens", 0));
    stream->usage.completion_tokens = tokens(json_num(usage, "completion_tokens", 0));
    if (details)
        stream->usage.cached_tokens = tokens(json_num(details, "cached_tokens", 0));
}

/* llama-server's own numbers: they stand in for `usage` where the engine sent none. */
static void read_timings(struct openai_stream *stream, const cJSON *timings)
{
    double cached = json_num(timings, "cache_n", 0);

    if (!stream->has_usage) {
        stream->usage.prompt_tokens = tokens(cached + json_num(timings, "prompt_n", 0));
        stream->usage.completion_tokens = tokens(json_num(timings, "predicted_n", 0));
    }
    stream->has_usage = true;
    stream->usage.cached_tokens = tokens(cached);
    stream->usage.prefill_ms = milliseconds(json_num(timings, "prompt_ms", 0));
    stream->usage.decode_ms = milliseconds(json_num(timings, "predicted_ms", 0));
}

/* llama-server blames itself for a picture or a sound that the model cannot take. */
static bool is_clients_fault(const char *message)
{
    return strstr(message, "image input is not supported") ||
           strstr(message, "audio input is not supported");
}

static uint32_t status_in(const cJSON *error)
{
    double status = error ? json_num(error, "code", STATUS_UNKNOWN) : STATUS_UNKNOWN;

    return status >= STATUS_MIN && status <= STATUS_MAX ? (uint32_t)status : STATUS_UNKNOWN;
}

static void keep_words(const char *message, struct err *err)
{
    size_t len = text_utf8_cut(message, strlen(message), MESSAGE_MAX);

    err_set(err, -EREMOTEIO, "%.*s", (int)len, message);
}

/* Editors look for "prompt is too long" and "maximum context length" to shorten and try again. */
static void describe_context(const cJSON *error, const char *message, struct err *err)
{
    uint32_t prompt = tokens(json_num(error, "n_prompt_tokens", 0));
    uint32_t context = tokens(json_num(error, "n_ctx", 0));

    if (prompt == 0 || context == 0)
        keep_words(message, err);
    else
        err_set(err, -EREMOTEIO,
                "request (%" PRIu32 " tokens) exceeds the available context size (%" PRIu32
                " tokens): prompt is too long, maximum context length is %" PRIu32 " tokens",
                prompt, context, context);
}

/* True where `json` reports an error; its words go to `err`. `http_status` 0: none, the report's
 * own counts. */
static bool find_error(
        const cJSON *json, uint32_t http_status, struct openai_error *ret_error, struct err *err)
{
    const cJSON *error = json_obj(json, "error");
    const char *message = error ? json_str(error, "message", NULL) : json_str(json, "error", NULL);
    bool past_context = error && strcmp(json_str(error, "type", ""), past_context_type) == 0;

    if (!error && !message)
        return false;
    if (!message || !message[0])
        message = no_reason;
    ret_error->code = past_context ? FAIL_CONTEXT_EXCEEDED : FAIL_ENGINE_ERROR;
    ret_error->http_status = http_status ? http_status : status_in(error);
    if (past_context || is_clients_fault(message))
        ret_error->http_status = STATUS_BAD_REQUEST;
    if (past_context)
        describe_context(error, message, err);
    else
        keep_words(message, err);
    return true;
}

static int read_chunk(
        struct openai_stream *stream, const cJSON *chunk, struct emitter *emitter, struct err *err)
{
    const cJSON *choices = json_array(chunk, "choices");
    const cJSON *usage = json_obj(chunk, "usage");
    const cJSON *timings = json_obj(chunk, "timings");
    const cJSON *choice;

    if (find_error(chunk, 0, &stream->error, err))
        return -EREMOTEIO;
    if (usage)
        read_usage(stream, usage);
    if (timings)
        read_timings(stream, timings);
    cJSON_ArrayForEach(choice, choices)
    {
        int r = read_choice(stream, emitter, choice);

        if (r < 0)
            return r == -ECANCELED
                           ? r
                           : err_set(err, r, "the engine's stream holds an unusable choice");
    }
    return 0;
}

int openai_chunk_read(struct openai_stream *stream, const char *data, size_t len,
        openai_delta_fn fn, void *ctx, struct err *err)
{
    struct emitter emitter = {.fn = fn, .ctx = ctx};
    cJSON *chunk;
    int r;

    if (stream->done)
        return 0;
    if (len == strlen("[DONE]") && memcmp(data, "[DONE]", len) == 0) {
        stream->done = true;
        return 0;
    }
    r = json_parse(data, len, &json_limits_event, &chunk, err);
    if (r < 0)
        return err_prefix(err, -EPROTO, "the engine's stream is not the JSON that it should be");
    r = read_chunk(stream, chunk, &emitter, err);
    cJSON_Delete(chunk);
    return r;
}

void openai_error_read(const char *body, size_t len, uint32_t http_status,
        struct openai_error *ret_error, struct err *err)
{
    cJSON *json;
    bool found;

    if (json_parse(body, len, &json_limits_event, &json, NULL) == 0) {
        found = find_error(json, http_status, ret_error, err);
        cJSON_Delete(json);
        if (found)
            return;
    }
    *ret_error = (struct openai_error){.code = FAIL_ENGINE_ERROR, .http_status = http_status};
    err_set(err, -EREMOTEIO, "%s", no_reason);
}
