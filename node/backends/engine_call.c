#include "node/backends/engine_call.h"

#include "node/backends/answers/engine_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_OK = 200,
    STATUS_NOT_READY = 503,     /* llama-server while it loads */
    ERROR_BODY_MAX = 64 * 1024, /* bytes kept of an error's body; JSON cut there has no words */
    PATH_ROOM = 40,             /* for the longest path of a post, and a NUL */
};

/* What a good answer is. */
struct wanted {
    const char *content_type, *words;
};

static const struct wanted wanted_stream = {"text/event-stream", "a stream"};
static const struct wanted wanted_json = {"application/json", "JSON"};

struct engine_call {
    struct http_call *http;
    const struct engine_call_events *events;
    void *ctx;
    const struct wanted *wanted;
    int status;
    bool is_good;
    struct buf error_body;
    struct err err;
    bool busy, cancelled; /* cancelled while busy: freed by whoever is busy with it */
};

static void call_free(struct engine_call *call)
{
    buf_fini(&call->error_body);
    free(call);
}

static void call_end(struct engine_call *call, const struct msg_fail *fail)
{
    call->events->on_end(call->ctx, fail);
    call_free(call);
}

static void call_fail(struct engine_call *call, enum fail_code code, uint32_t http_status)
{
    struct msg_fail fail = {.code = code, .http_status = http_status, .message = call->err.text};

    call_end(call, &fail);
}

static void on_status(void *ctx, int status, const char *content_type)
{
    struct engine_call *call = ctx;

    const char *wanted_type = call->wanted->content_type;

    call->status = status;
    call->is_good =
            status == STATUS_OK && strncmp(content_type, wanted_type, strlen(wanted_type)) == 0;
}

static void on_body(void *ctx, const char *data, size_t len)
{
    struct engine_call *call = ctx;

    if (!call->is_good) {
        if (buf_append(&call->error_body, data, len) < 0)
            buf_clear(&call->error_body);
        return;
    }
    call->busy = true;
    call->events->on_data(call->ctx, data, len);
    call->busy = false;
    if (call->cancelled)
        call_free(call);
}

static void finish_refusal(struct engine_call *call)
{
    struct engine_error error;

    engine_error_read(buf_at(&call->error_body), call->error_body.len, (uint32_t)call->status,
            &error, &call->err);
    if (call->status == STATUS_OK) {
        err_set(&call->err, -EPROTO, "the engine answered with something other than %s",
                call->wanted->words);
        call_fail(call, FAIL_ENGINE_DIED, 0);
    } else if (call->status == STATUS_NOT_READY) {
        err_prefix(&call->err, -EAGAIN, "the engine is not ready");
        call_fail(call, FAIL_ENGINE_DIED, 0);
    } else {
        call_fail(call, error.code, error.http_status);
    }
}

static void on_done(void *ctx, int result, const struct err *err)
{
    struct engine_call *call = ctx;

    if (result < 0) {
        err_set(&call->err, result, "the connection to the engine was lost: %s", err->text);
        call_fail(call, FAIL_ENGINE_DIED, 0);
    } else if (!call->is_good) {
        finish_refusal(call);
    } else {
        call_end(call, NULL);
    }
}

static const struct http_events http_events = {on_status, on_body, on_done};

static struct engine_call *call_create(
        const struct engine_post *post, const struct engine_call_events *events, void *ctx)
{
    struct engine_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->events = events;
    call->ctx = ctx;
    call->wanted = post->form == ENGINE_FORM_EVENTS ? &wanted_stream : &wanted_json;
    buf_init(&call->error_body, ERROR_BODY_MAX);
    return call;
}

static int send_post(struct engine_call *call, const struct engine_target *target,
        const struct engine_post *post, struct err *err)
{
    char url[ENGINE_BASE_MAX + PATH_ROOM], type[MULTIPART_TYPE_MAX + 16], accept[64];
    const char *const headers[] = {type, accept, target->authorization, NULL};
    struct http_request request = {.method = "POST",
            .url = url,
            .unix_socket = target->unix_socket,
            .headers = headers,
            .body = buf_at(&post->body),
            .body_len = post->body.len};

    (void)snprintf(url, sizeof(url), "%s%s", target->base, post->path);
    (void)snprintf(type, sizeof(type), "Content-Type: %s", post->content_type);
    (void)snprintf(accept, sizeof(accept), "Accept: %s", call->wanted->content_type);
    return http_call_start(target->http, &request, &http_events, call, &call->http, err);
}

int engine_call_start(const struct engine_target *target, const struct engine_post *post,
        const struct engine_call_events *events, void *ctx, struct engine_call **ret_call,
        struct err *err)
{
    struct engine_call *call = call_create(post, events, ctx);
    int r;

    if (!call)
        return err_set(err, -ENOMEM, "no memory for a request");
    r = send_post(call, target, post, err);
    if (r < 0)
        call_free(call);
    else
        *ret_call = call;
    return r;
}

void engine_call_cancel(struct engine_call *call)
{
    if (!call)
        return;
    call->cancelled = true;
    http_call_cancel(call->http);
    if (!call->busy)
        call_free(call);
}

void engine_call_pause(struct engine_call *call)
{
    http_call_pause(call->http);
}

void engine_call_resume(struct engine_call *call)
{
    http_call_resume(call->http);
}
