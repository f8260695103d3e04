/* The OpenAI dialect: POST /v1/chat/completions. Shapes: OpenAI API reference, "Chat", as real
 * clients read it. */
#include "common/json.h"
#include "coordinator/dialects/dialect.h"
#include "coordinator/dialects/gathered.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    const struct request *request;
    struct buf head; /* `{"id":…,"model":"…"`: what every chunk begins with */
    struct answer_facts facts;
    uint32_t finished; /* bit i: choice i has its finish reason */
    struct msg_usage usage;
    struct gathered *gathered; /* whole answers only */
};

static_assert(REQUEST_CHOICES_MAX < 32, "answer.finished has a bit for each choice");

/* --- request --- */

static int bad(const char **ret_param, const char *param, struct err *err, const char *message)
{
    *ret_param = param;
    return err_set(err, -EINVAL, "%s", message);
}

static int check_messages(const cJSON *body, const char **ret_param, struct err *err)
{
    const cJSON *messages = json_array(body, "messages"), *message;
    if (!messages || cJSON_GetArraySize(messages) == 0)
        return bad(ret_param, "messages", err,
                "\"messages\" must be an array of at least one message");
    cJSON_ArrayForEach(message, messages)
    {
        if (!cJSON_IsObject(message) || !json_str(message, "role", NULL))
            return bad(ret_param, "messages", err,
                    "each entry of \"messages\" must be an object with a \"role\", such as "
                    "{\"role\":\"user\",\"content\":\"…\"}");
    }
    return 0;
}

/* NULL where the member is absent or null, which mean the same. */
static const cJSON *given(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

static int read_model(
        const cJSON *body, struct request *request, const char **ret_param, struct err *err)
{
    const cJSON *model = given(body, "model");
    if (model && !cJSON_IsString(model))
        return bad(
                ret_param, "model", err, "\"model\" must be a string: a mode, a model or \"auto\"");
    const char *name = model ? model->valuestring : "auto";
    if (*name == '\0' || strlen(name) > MSG_NAME_MAX) {
        *ret_param = "model";
        return err_set(err, -EINVAL, "\"model\" must have 1 to %d bytes", MSG_NAME_MAX);
    }
    strcpy(request->asked, name);
    return 0;
}

static int read_choices(
        const cJSON *body, struct request *request, const char **ret_param, struct err *err)
{
    const cJSON *item = given(body, "n");
    double n = item ? item->valuedouble : 1;
    if ((item && !cJSON_IsNumber(item)) || !(n >= 1 && n <= REQUEST_CHOICES_MAX) ||
            n != (uint32_t)n) {
        *ret_param = "n";
        return err_set(
                err, -EINVAL, "\"n\" must be a whole number from 1 to %d", REQUEST_CHOICES_MAX);
    }
    request->choices = (uint32_t)n;
    return 0;
}

static int read_stream(
        const cJSON *body, struct request *request, const char **ret_param, struct err *err)
{
    const cJSON *stream = given(body, "stream"), *options = given(body, "stream_options");
    if (stream && !cJSON_IsBool(stream))
        return bad(ret_param, "stream", err, "\"stream\" must be true or false");
    if (options && !cJSON_IsObject(options))
        return bad(ret_param, "stream_options", err,
                "\"stream_options\" must be an object, such as {\"include_usage\":true}");
    const cJSON *include_usage = options ? given(options, "include_usage") : NULL;
    if (include_usage && !cJSON_IsBool(include_usage))
        return bad(ret_param, "stream_options.include_usage", err,
                "\"include_usage\" must be true or false");
    request->stream = cJSON_IsTrue(stream);
    request->include_usage = cJSON_IsTrue(include_usage);
    return 0;
}

static int read_fields(
        const cJSON *body, struct request *request, const char **ret_param, struct err *err)
{
    if (!cJSON_IsObject(body))
        return bad(ret_param, NULL, err, "the body must be a JSON object");
    int r = read_model(body, request, ret_param, err);
    if (!r)
        r = check_messages(body, ret_param, err);
    if (!r)
        r = read_choices(body, request, ret_param, err);
    if (!r)
        r = read_stream(body, request, ret_param, err);
    return r;
}

static int parse(const char *body, size_t len, struct request *ret_request, const char **ret_param,
        struct err *err)
{
    cJSON *json;
    *ret_param = NULL;
    int r = json_parse(body, len, &json_limits_request, &json, err);
    if (r)
        return r == -ENOMEM ? r : err_prefix(err, -EINVAL, "the body is no usable JSON");
    ret_request->kind = REQUEST_CHAT;
    r = read_fields(json, ret_request, ret_param, err);
    cJSON_Delete(json);
    if (!r && buf_append(&ret_request->body, body, len))
        r = err_set(err, -ENOMEM, "no memory for a body of %zu bytes", len);
    return r;
}

/* --- answer --- */

static int make_head(struct answer *answer, const char *object)
{
    struct buf *head = &answer->head;
    if (buf_appendf(head, "{\"id\":\"chatcmpl-%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
                answer->facts.request_id, object, (long long)answer->facts.created_s) ||
            json_append_str(head, answer->facts.model, strlen(answer->facts.model)))
        return -ENOMEM;
    return 0;
}

static void answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    buf_fini(&answer->head);
    gathered_destroy(answer->gathered);
    free(answer);
}

static struct answer *answer_create(const struct request *request, const struct answer_facts *facts)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    answer->request = request;
    answer->facts = *facts;
    buf_init(&answer->head, 1024);
    bool sound =
            make_head(answer, request->stream ? "chat.completion.chunk" : "chat.completion") == 0;
    if (!request->stream)
        sound = sound && (answer->gathered = gathered_create(request->choices));
    if (sound)
        return answer;
    answer_destroy(answer);
    return NULL;
}

/* JSON that came from an engine, printed anew: it is one line then, whatever stood there. */
static int append_raw(
        const struct msg_delta *delta, cJSON_bool (*shape)(const cJSON *json), struct buf *out)
{
    cJSON *json;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &json, NULL);
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    r = shape(json) ? json_append(out, json) : -EPROTO;
    cJSON_Delete(json);
    return r;
}

static int begin_chunk(struct answer *answer, uint32_t choice, struct buf *out)
{
    if (buf_append_str(out, "data: ") || buf_append(out, buf_at(&answer->head), answer->head.len) ||
            buf_appendf(out, ",\"choices\":[{\"index\":%u,", choice))
        return -ENOBUFS;
    return 0;
}

static int text_chunk(
        struct answer *answer, const struct msg_delta *delta, const char *key, struct buf *out)
{
    if (begin_chunk(answer, delta->choice, out) || buf_appendf(out, "\"delta\":{\"%s\":", key) ||
            json_append_str(out, delta->data, delta->len))
        return -ENOBUFS;
    return buf_append_str(out, "},\"finish_reason\":null}]}\n\n");
}

static int tool_calls_chunk(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (begin_chunk(answer, delta->choice, out) ||
            buf_append_str(out, "\"delta\":{\"tool_calls\":"))
        return -ENOBUFS;
    int r = append_raw(delta, cJSON_IsArray, out);
    return r ? r : buf_append_str(out, "},\"finish_reason\":null}]}\n\n");
}

static int logprobs_chunk(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (begin_chunk(answer, delta->choice, out) ||
            buf_append_str(out, "\"delta\":{},\"logprobs\":"))
        return -ENOBUFS;
    int r = append_raw(delta, cJSON_IsObject, out);
    return r ? r : buf_append_str(out, ",\"finish_reason\":null}]}\n\n");
}

static int finish_chunk(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    answer->finished |= 1u << delta->choice;
    if (begin_chunk(answer, delta->choice, out) ||
            buf_append_str(out, "\"delta\":{},\"finish_reason\":") ||
            json_append_str(out, delta->data, delta->len))
        return -ENOBUFS;
    return buf_append_str(out, "}]}\n\n");
}

static int stream_begin(struct answer *answer, struct buf *out)
{
    for (uint32_t i = 0; i < answer->request->choices; i++)
        if (begin_chunk(answer, i, out) ||
                buf_append_str(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_"
                                    "reason\":null}]}\n\n"))
            return -ENOBUFS;
    return 0;
}

static int stream_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (delta->choice >= answer->request->choices)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        return text_chunk(answer, delta, "content", out);
    case DELTA_REASONING:
        return text_chunk(answer, delta, "reasoning_content", out);
    case DELTA_TOOL_CALLS:
        return tool_calls_chunk(answer, delta, out);
    case DELTA_LOGPROBS:
        return logprobs_chunk(answer, delta, out);
    case DELTA_FINISH:
        return finish_chunk(answer, delta, out);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

static int stream_idle(struct answer *answer, struct buf *out)
{
    static const struct msg_delta nothing = {.kind = DELTA_TEXT, .data = ""};
    return text_chunk(answer, &nothing, "content", out);
}

static int append_usage(const struct msg_usage *usage, struct buf *out)
{
    return buf_appendf(out,
            "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu,"
            "\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
            usage->prompt_tokens, usage->completion_tokens,
            (unsigned long long)usage->prompt_tokens + usage->completion_tokens,
            usage->cached_tokens);
}

static int usage_chunk(struct answer *answer, struct buf *out)
{
    if (buf_append_str(out, "data: ") || buf_append(out, buf_at(&answer->head), answer->head.len) ||
            buf_append_str(out, ",\"choices\":[],") || append_usage(&answer->usage, out))
        return -ENOBUFS;
    return buf_append_str(out, "}\n\n");
}

static int stream_end(struct answer *answer, struct buf *out)
{
    if (answer->finished != (1u << answer->request->choices) - 1)
        return -EPROTO;
    if (answer->request->include_usage && usage_chunk(answer, out))
        return -ENOBUFS;
    return buf_append_str(out, "data: [DONE]\n\n");
}

static int gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->kind == DELTA_USAGE)
        answer->usage = delta->usage;
    return gathered_add(answer->gathered, delta);
}

static int append_choice(struct answer *answer, uint32_t index, struct buf *out)
{
    if (buf_appendf(out, "%s{\"index\":%u,\"message\":", index ? "," : "", index) ||
            gathered_append_message(answer->gathered, index, out) ||
            buf_append_str(out, ",\"logprobs\":") ||
            gathered_append_logprobs(answer->gathered, index, out) ||
            buf_append_str(out, ",\"finish_reason\":"))
        return -ENOBUFS;
    const char *reason = gathered_finish(answer->gathered, index);
    return json_append_str(out, reason, strlen(reason)) || buf_append_str(out, "}") ? -ENOBUFS : 0;
}

static int whole(struct answer *answer, struct buf *out)
{
    for (uint32_t i = 0; i < answer->request->choices; i++)
        if (!*gathered_finish(answer->gathered, i))
            return -EPROTO;
    if (buf_append(out, buf_at(&answer->head), answer->head.len) ||
            buf_append_str(out, ",\"choices\":["))
        return -ENOBUFS;
    for (uint32_t i = 0; i < answer->request->choices; i++)
        if (append_choice(answer, i, out))
            return -ENOBUFS;
    if (buf_append_str(out, "],") || append_usage(&answer->usage, out) || buf_append_str(out, "}"))
        return -ENOBUFS;
    return 0;
}

/* --- errors --- */

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static int append_str_or_null(struct buf *out, const char *text)
{
    return text ? json_append_str(out, text, strlen(text)) : buf_append_str(out, "null");
}

static int error_body(const struct api_error *error, struct buf *out)
{
    const char *message = error->message ? error->message : "";
    if (buf_append_str(out, "{\"error\":{\"message\":") ||
            json_append_str(out, message, strlen(message)) ||
            buf_appendf(out, ",\"type\":\"%s\",\"param\":", error_type(error->status)) ||
            append_str_or_null(out, error->param) || buf_append_str(out, ",\"code\":") ||
            append_str_or_null(out, error->code) || buf_append_str(out, "}}"))
        return -ENOBUFS;
    return 0;
}

static int stream_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    (void)answer;
    if (buf_append_str(out, "data: ") || error_body(error, out))
        return -ENOBUFS;
    return buf_append_str(out, "\n\n");
}

const struct dialect dialect_openai = {
        .name = "openai",
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = parse,
        .answer_create = answer_create,
        .answer_destroy = answer_destroy,
        .stream_begin = stream_begin,
        .stream_delta = stream_delta,
        .stream_idle = stream_idle,
        .stream_end = stream_end,
        .stream_error = stream_error,
        .gather = gather,
        .whole = whole,
        .error_body = error_body,
};
