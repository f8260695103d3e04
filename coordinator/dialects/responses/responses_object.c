#include "coordinator/dialects/responses/responses_object.h"

#include "common/json/json.h"
#include "common/json/json_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The large ones last, so that they lack no room for the others. */
static const struct {
    const char *key;
    const char *absent; /* told where the request said nothing */
} echoed[] = {
        {"background", "false"},
        {"max_output_tokens", "null"},
        {"max_tool_calls", "null"},
        {"metadata", "{}"},
        {"parallel_tool_calls", "true"},
        {"previous_response_id", "null"},
        {"prompt_cache_key", "null"},
        {"reasoning", "{\"effort\":null,\"summary\":null}"},
        {"safety_identifier", "null"},
        {"store", "true"},
        {"temperature", "null"},
        {"text", "{\"format\":{\"type\":\"text\"}}"},
        {"tool_choice", "\"auto\""},
        {"top_logprobs", "0"},
        {"top_p", "null"},
        {"truncation", "\"disabled\""},
        {"user", "null"},
        {"instructions", "null"},
        {"tools", "[]"},
};

const char *responses_id(const char *request_id, char ret_id[static RESPONSES_ID_MAX + 1])
{
    const char *mark = strchr(request_id, '_');
    snprintf(ret_id, RESPONSES_ID_MAX + 1, "resp_%s", mark ? mark + 1 : request_id);
    return ret_id;
}

static int append_member(struct buf *echo, const char *key, const char *value)
{
    size_t len_before = echo->len;
    int r = buf_appendf(echo, "%s\"%s\":", len_before ? "," : "", key);
    if (!r)
        r = buf_append_str(echo, value);
    if (r)
        echo->len = len_before;
    return r;
}

int responses_echo_append(const cJSON *body, struct buf *echo)
{
    for (size_t i = 0; i < sizeof(echoed) / sizeof(echoed[0]); i++) {
        const cJSON *given = cJSON_GetObjectItemCaseSensitive(body, echoed[i].key);
        char *value = given && !cJSON_IsNull(given) ? cJSON_PrintUnformatted(given) : NULL;
        bool fits = value && strlen(value) + echo->len <= RESPONSES_ECHO_MAX;
        int r = append_member(echo, echoed[i].key, fits ? value : echoed[i].absent);
        cJSON_free(value);
        if (r)
            return r;
    }
    return 0;
}

static int append_text_member(struct buf *out, const char *key, const char *text)
{
    int r = buf_appendf(out, ",\"%s\":", key);
    if (r)
        return r;
    return text ? json_append_str(out, text, strlen(text)) : buf_append_str(out, "null");
}

static int append_error(const struct responses_object *object, struct buf *out)
{
    if (!object->error_code)
        return buf_append_str(out, ",\"error\":null");
    if (buf_append_str(out, ",\"error\":{\"code\":") ||
            json_append_str(out, object->error_code, strlen(object->error_code)) ||
            append_text_member(out, "message", object->error_message))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

static int append_incomplete(const struct responses_object *object, struct buf *out)
{
    if (!object->incomplete)
        return buf_append_str(out, ",\"incomplete_details\":null");
    return buf_appendf(out, ",\"incomplete_details\":{\"reason\":\"%s\"}", object->incomplete);
}

static int append_output(const struct buf *output, struct buf *out)
{
    if (buf_append_str(out, "[") ||
            (output && output->len && buf_append(out, buf_at(output), output->len)))
        return -ENOBUFS;
    return buf_append_str(out, "]");
}

/* The engines do not count the tokens of reasoning apart. */
static int append_usage(const struct msg_usage *usage, struct buf *out)
{
    if (!usage)
        return buf_append_str(out, ",\"usage\":null");
    return buf_appendf(out,
            ",\"usage\":{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":%u,"
            "\"cache_write_tokens\":0},\"output_tokens\":%u,\"output_tokens_details\":{"
            "\"reasoning_tokens\":0},\"total_tokens\":%llu}",
            usage->prompt_tokens, usage->cached_tokens, usage->completion_tokens,
            (unsigned long long)usage->prompt_tokens + usage->completion_tokens);
}

static int append_head(const struct responses_object *object, struct buf *out)
{
    if (buf_append_str(out, "{\"id\":") || json_append_str(out, object->id, strlen(object->id)) ||
            buf_appendf(out, ",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\"",
                    (long long)object->created_s, object->status) ||
            append_error(object, out) || append_incomplete(object, out) ||
            append_text_member(out, "model", object->model))
        return -ENOBUFS;
    return buf_append_str(out, ",\"output\":");
}

static int append_tail(const struct responses_object *object, struct buf *out)
{
    if (append_usage(object->usage, out) || buf_append_str(out, ",\"service_tier\":\"default\",") ||
            buf_append_str(out, json_str(object->kept, "echo", "\"tools\":[]")))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

int responses_object_append(const struct responses_object *object, struct buf *out,
        size_t *ret_output_at, size_t *ret_output_len)
{
    size_t start = out->len;
    if (append_head(object, out))
        return -ENOBUFS;
    size_t output_at = out->len;
    if (append_output(object->output, out))
        return -ENOBUFS;
    size_t output_len = out->len - output_at;
    if (append_tail(object, out))
        return -ENOBUFS;
    if (ret_output_at)
        *ret_output_at = output_at - start;
    if (ret_output_len)
        *ret_output_len = output_len;
    return 0;
}
