#include "node/backends/answers/engine_answer.h"

#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

static int emit(struct engine_answer *answer, uint32_t choice, enum delta_kind kind,
        const char *data, size_t len)
{
    struct msg_delta delta = {.kind = kind, .choice = choice, .data = data, .len = len};

    if (len == 0)
        return 0;
    return answer->fn(answer->ctx, &delta) ? 0 : -ECANCELED;
}

int engine_answer_text(
        struct engine_answer *answer, uint32_t choice, enum delta_kind kind, const char *text)
{
    return text ? emit(answer, choice, kind, text, strlen(text)) : 0;
}

int engine_answer_json(
        struct engine_answer *answer, uint32_t choice, enum delta_kind kind, const cJSON *json)
{
    struct buf text;
    int r;

    if (!json)
        return 0;
    buf_init(&text, json_limits_event.max_bytes);
    r = json_append(&text, json);
    if (r == 0)
        r = emit(answer, choice, kind, buf_at(&text), text.len);
    buf_fini(&text);
    return r;
}

int engine_answer_finish(struct engine_answer *answer, uint32_t choice, const char *reason)
{
    if (!reason)
        return 0;
    answer->finished = true;
    return engine_answer_text(answer, choice, DELTA_FINISH, reason);
}

int engine_answer_choice(const cJSON *object, uint32_t *ret_choice, struct err *err)
{
    double index = json_num(object, "index", 0);

    if (!(index >= 0 && index < MSG_CHOICES_MAX))
        return err_set(err, -EPROTO, "the engine's stream holds an unusable choice");
    *ret_choice = (uint32_t)index;
    return 0;
}

uint32_t engine_tokens(const cJSON *object, const char *key)
{
    double number = json_num(object, key, 0);

    return number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static float milliseconds(const cJSON *object, const char *key)
{
    double number = json_num(object, key, 0);

    return number >= 0 && number <= UINT32_MAX ? (float)number : 0;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return b > UINT32_MAX - a ? UINT32_MAX : a + b;
}

static struct msg_usage usage_of(const cJSON *usage, const cJSON *timings)
{
    struct msg_usage found = {
            .prompt_tokens = engine_tokens(usage, "prompt_tokens"),
            .completion_tokens = engine_tokens(usage, "completion_tokens"),
            .cached_tokens =
                    engine_tokens(json_obj(usage, "prompt_tokens_details"), "cached_tokens"),
            .prefill_ms = milliseconds(timings, "prompt_ms"),
            .decode_ms = milliseconds(timings, "predicted_ms"),
    };

    if (timings)
        found.cached_tokens = engine_tokens(timings, "cache_n");
    if (!usage) {
        found.prompt_tokens = sum(found.cached_tokens, engine_tokens(timings, "prompt_n"));
        found.completion_tokens = engine_tokens(timings, "predicted_n");
    }
    return found;
}

void engine_answer_count(struct engine_answer *answer, const cJSON *usage, const cJSON *timings)
{
    struct msg_usage choice = usage_of(usage, timings);

    if (!usage && !timings)
        return;
    if (!answer->has_usage) {
        answer->usage = choice;
    } else {
        answer->usage.completion_tokens =
                sum(answer->usage.completion_tokens, choice.completion_tokens);
        answer->usage.decode_ms += choice.decode_ms;
    }
    answer->has_usage = true;
}

/* llama-server blames itself for what the model cannot take, and for tokens that it does not have.
 * The words for the client, who cannot give the model an mmproj; NULL: it is not at fault. */
static const char *words_for_client(const char *message)
{
    if (strstr(message, "image input is not supported"))
        return "the model cannot see images";
    if (strstr(message, "audio input is not supported"))
        return "the model cannot hear audio";
    return strncmp(message, "vector::_M_range_check", 22) == 0 ? message : NULL;
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

struct past_context { /* 0: not said */
    uint32_t prompt, limit;
};

/* vLLM: "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens
 * (…)", or "… and your request has 5000 input tokens". */
static bool is_past_vllms(const char *message, struct past_context *ret_past)
{
    const char *limit = strstr(message, "maximum context length is ");
    const char *asked = strstr(message, "you requested ");
    const char *has = strstr(message, "your request has ");

    if (!limit || sscanf(limit, "maximum context length is %9" SCNu32, &ret_past->limit) != 1)
        return false;
    if (!(asked && sscanf(asked, "you requested %9" SCNu32, &ret_past->prompt) == 1) && has)
        (void)sscanf(has, "your request has %9" SCNu32, &ret_past->prompt);
    return true;
}

/* True where the prompt is longer than the context, or than what an embedding model reads at once.
 */
static bool is_past_context(const cJSON *error, const char *message, struct past_context *ret_past)
{
    *ret_past = (struct past_context){
            engine_tokens(error, "n_prompt_tokens"), engine_tokens(error, "n_ctx")};
    if (strcmp(json_str(error, "type", ""), past_context_type) == 0 ||
            is_past_vllms(message, ret_past))
        return true;
    return sscanf(message,
                   "input (%9" SCNu32 " tokens) is too large to process. increase the physical "
                   "batch size (current batch size: %9" SCNu32 ")",
                   &ret_past->prompt, &ret_past->limit) == 2;
}

/* Editors look for "prompt is too long" and "maximum context length" to shorten and try again. */
static void describe_context(const struct past_context *past, const char *message, struct err *err)
{
    if (past->prompt == 0 || past->limit == 0)
        keep_words(message, err);
    else
        err_set(err, -EREMOTEIO,
                "request (%" PRIu32 " tokens) exceeds the available context size (%" PRIu32
                " tokens): prompt is too long, maximum context length is %" PRIu32 " tokens",
                past->prompt, past->limit, past->limit);
}

/* Older vLLMs say {"object":"error","message":…}. */
static const cJSON *error_object(const cJSON *json)
{
    return strcmp(json_str(json, "object", ""), "error") == 0 ? json : json_obj(json, "error");
}

/* True where `json` reports an error; its words go to `err`. `http_status` 0: none, the report's
 * own counts. */
static bool find_error(
        const cJSON *json, uint32_t http_status, struct engine_error *ret_error, struct err *err)
{
    const cJSON *error = error_object(json);
    const char *message = error ? json_str(error, "message", NULL) : json_str(json, "error", NULL);
    const char *words;
    struct past_context past;

    if (!error && !message)
        return false;
    if (!message || !message[0])
        message = no_reason;
    ret_error->code = FAIL_ENGINE_ERROR;
    ret_error->http_status = http_status ? http_status : status_in(error);
    if (is_past_context(error, message, &past)) {
        *ret_error = (struct engine_error){FAIL_CONTEXT_EXCEEDED, STATUS_BAD_REQUEST};
        describe_context(&past, message, err);
        return true;
    }
    words = words_for_client(message);
    if (words)
        ret_error->http_status = STATUS_BAD_REQUEST;
    keep_words(words ? words : message, err);
    return true;
}

/* A model may say NUL, which no text of ours can hold: U+FFFD stands for it. */
static int parse_without_nul(const char *data, size_t len, cJSON **ret_chunk, struct err *err)
{
    char *text = malloc(len);
    int r;

    if (text == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(text, data, len);
    (void)json_replace_nul(text, len);
    r = json_parse(text, len, &json_limits_event, ret_chunk, err);
    free(text);
    return r;
}

static int parse_event(const char *data, size_t len, cJSON **ret_chunk, struct err *err)
{
    int r = json_parse(data, len, &json_limits_event, ret_chunk, err);

    return r == -EINVAL && len > 0 ? parse_without_nul(data, len, ret_chunk, err) : r;
}

int engine_answer_event(struct engine_answer *answer, engine_chunk_fn read_chunk, const char *data,
        size_t len, struct err *err)
{
    cJSON *chunk;
    int r;

    if (answer->done)
        return 0;
    if (len == strlen("[DONE]") && memcmp(data, "[DONE]", len) == 0) {
        answer->done = true;
        return 0;
    }
    r = parse_event(data, len, &chunk, err);
    if (r < 0)
        return err_prefix(err, -EPROTO, "the engine's stream is not the JSON that it should be");
    r = find_error(chunk, 0, &answer->error, err) ? -EREMOTEIO : read_chunk(answer, chunk, err);
    cJSON_Delete(chunk);
    return r;
}

void engine_error_read(const char *body, size_t len, uint32_t http_status,
        struct engine_error *ret_error, struct err *err)
{
    cJSON *json;
    bool found;

    if (json_parse(body, len, &json_limits_event, &json, NULL) == 0) {
        found = find_error(json, http_status, ret_error, err);
        cJSON_Delete(json);
        if (found)
            return;
    }
    *ret_error = (struct engine_error){.code = FAIL_ENGINE_ERROR, .http_status = http_status};
    err_set(err, -EREMOTEIO, "%s", no_reason);
}
