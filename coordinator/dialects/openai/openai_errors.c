/* Errors in OpenAI's shape: {"error":{"message","type","param","code"}}. */
#include "common/json/json.h"
#include "coordinator/dialects/dialect.h"

#include <errno.h>
#include <string.h>

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

static int error_body(const struct api_error *error, const char *request_id, struct buf *out)
{
    (void)request_id;
    const char *message = error->message ? error->message : "";
    if (buf_append_str(out, "{\"error\":{\"message\":") ||
            json_append_str(out, message, strlen(message)) ||
            buf_appendf(out, ",\"type\":\"%s\",\"param\":", error_type(error->status)) ||
            append_str_or_null(out, error->param) || buf_append_str(out, ",\"code\":") ||
            append_str_or_null(out, error->code) || buf_append_str(out, "}}"))
        return -ENOBUFS;
    return 0;
}

const struct dialect_family family_openai = {.name = "openai", .error_body = error_body};
