#include "node/backends/engine_ask.h"

#include "node/backends/answers/engine_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_OK = 200,
    STATUS_UNAUTHORIZED = 401,
    STATUS_FORBIDDEN = 403,
    PATH_MAX_BYTES = 64,
};

struct engine_ask {
    struct http_call *call;
    engine_ask_fn fn;
    void *ctx;
    int status;
    int body_result; /* of what was kept */
    struct buf body;
};

static void ask_free(struct engine_ask *ask)
{
    buf_fini(&ask->body);
    free(ask);
}

static void on_status(void *ctx, int status, const char *content_type)
{
    struct engine_ask *ask = ctx;

    (void)content_type;
    ask->status = status;
}

/* What is too long is not read to its end: it may have none. */
static void on_body(void *ctx, const char *data, size_t len)
{
    struct engine_ask *ask = ctx;
    struct err err;

    ask->body_result = buf_append(&ask->body, data, len);
    if (ask->body_result == 0)
        return;
    err_set(&err, ask->body_result,
            ask->body_result == -ENOBUFS ? "the answer is longer than 1 MiB" : "out of memory");
    http_call_cancel(ask->call);
    ask->fn(ask->ctx, ask->body_result == -ENOBUFS ? -EMSGSIZE : -ENOMEM, "", 0, &err);
    ask_free(ask);
}

static int read_refusal(struct engine_ask *ask, struct err *err)
{
    struct engine_error error;

    if (ask->status == STATUS_UNAUTHORIZED || ask->status == STATUS_FORBIDDEN)
        return err_set(err, -EACCES, "it wants an API key, or another one");
    engine_error_read(buf_at(&ask->body), ask->body.len, (uint32_t)ask->status, &error, err);
    return err_prefix(err, -EREMOTEIO, "status %d", ask->status);
}

static void on_done(void *ctx, int result, const struct err *err)
{
    struct engine_ask *ask = ctx;
    struct err refusal;

    ask->call = NULL;
    if (result == 0 && ask->status != STATUS_OK) {
        result = read_refusal(ask, &refusal);
        ask->fn(ask->ctx, result, "", 0, &refusal);
    } else {
        ask->fn(ask->ctx, result, buf_at(&ask->body), ask->body.len, err);
    }
    ask_free(ask);
}

static const struct http_events http_events = {on_status, on_body, on_done};

static int send_question(struct engine_ask *ask, struct http_client *http,
        const struct engine_address *address, const struct engine_question *question,
        struct err *err)
{
    char url[ENGINE_URL_MAX + PATH_MAX_BYTES];
    const char *const headers[] = {"Content-Type: application/json", address->authorization, NULL};
    struct http_request request = {.method = question->json ? "POST" : "GET",
            .url = url,
            .unix_socket = address->unix_socket,
            .headers = headers,
            .body = question->json,
            .body_len = question->json ? strlen(question->json) : 0,
            .connect_timeout_ms = question->timeout_ms,
            .total_timeout_ms = question->timeout_ms};

    (void)snprintf(url, sizeof(url), "%s%s", address->url, question->path);
    return http_call_start(http, &request, &http_events, ask, &ask->call, err);
}

int engine_ask_start(struct http_client *http, const struct engine_address *address,
        const struct engine_question *question, engine_ask_fn fn, void *ctx,
        struct engine_ask **ret_ask, struct err *err)
{
    struct engine_ask *ask = calloc(1, sizeof(*ask));
    int r;

    if (!ask)
        return err_set(err, -ENOMEM, "no memory for a question to an engine");
    ask->fn = fn;
    ask->ctx = ctx;
    buf_init(&ask->body, ENGINE_ANSWER_MAX);
    r = send_question(ask, http, address, question, err);
    if (r < 0)
        ask_free(ask);
    else
        *ret_ask = ask;
    return r;
}

void engine_ask_cancel(struct engine_ask *ask)
{
    if (!ask)
        return;
    http_call_cancel(ask->call);
    ask_free(ask);
}
