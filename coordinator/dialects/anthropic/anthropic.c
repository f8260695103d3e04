#include "coordinator/dialects/anthropic/anthropic.h"

#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic_answer.h"
#include "coordinator/dialects/anthropic/anthropic_request.h"
#include "coordinator/dialects/engine_result.h"

#include <errno.h>
#include <string.h>

/* --- errors --- */

static const char *error_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
            {401, "authentication_error"},
            {402, "billing_error"},
            {403, "permission_error"},
            {404, "not_found_error"},
            {413, "request_too_large"},
            {429, "rate_limit_error"},
            {503, "overloaded_error"},
            {504, "timeout_error"},
            {529, "overloaded_error"},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (types[i].status == status)
            return types[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}

/* Clients find the words and both numbers in the text and shorten their conversation. */
static int append_message(const struct api_error *error, struct buf *out)
{
    const char *message = error->message ? error->message : "";
    bool too_long = error->code && strcmp(error->code, "context_length_exceeded") == 0;
    if (too_long && error->prompt_tokens && error->context_tokens)
        return buf_appendf(out, "\"prompt is too long: %u tokens > %u maximum\"",
                error->prompt_tokens, error->context_tokens);
    return json_append_str(out, message, strlen(message));
}

static int error_body(const struct api_error *error, const char *request_id, struct buf *out)
{
    int r = buf_appendf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
            error_type(error->status));
    if (!r)
        r = append_message(error, out);
    if (!r)
        r = buf_append_str(out, "}");
    if (!r && *request_id) /* before a request has one, there is none to tell */
        r = buf_appendf(out, ",\"request_id\":\"%s\"", request_id);
    return r ? r : buf_append_str(out, "}");
}

const struct dialect_family family_anthropic = {.name = "anthropic", .error_body = error_body};

/* --- messages --- */

const struct dialect dialect_anthropic_messages = {
        .name = "anthropic messages",
        .family = &family_anthropic,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = anthropic_request_parse,
        .answer_create = anthropic_answer_create,
        .answer_destroy = anthropic_answer_destroy,
        .stream_begin = anthropic_stream_begin,
        .stream_delta = anthropic_stream_delta,
        .stream_idle = anthropic_stream_idle,
        .stream_end = anthropic_stream_end,
        .stream_error = anthropic_stream_error,
        .gather = anthropic_gather,
        .whole = anthropic_whole,
};

/* --- count_tokens --- */

static int count_whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    uint64_t tokens;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    bool sound = json_whole(cJSON_GetObjectItemCaseSensitive(result, "input_tokens"), &tokens);
    cJSON_Delete(result);
    if (!sound)
        return -EPROTO;
    return buf_appendf(out, "{\"input_tokens\":%llu}", (unsigned long long)tokens);
}

const struct dialect dialect_anthropic_count = {
        .name = "anthropic count_tokens",
        .family = &family_anthropic,
        .whole_type = "application/json",
        .parse = anthropic_request_parse_count,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = count_whole,
};
