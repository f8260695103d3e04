#include "node/backends/openai_run.h"

#include "common/json.h"
#include "common/sse_reader.h"
#include "node/backends/openai_chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_OK = 200,
    STATUS_NOT_READY = 503, /* llama-server while it loads */
    ERROR_BODY_MAX =
            64 * 1024, /* bytes kept of an answer that is no stream; JSON cut there has no words */
    BODY_ROOM = 1024,  /* bytes that the edited members may add to a body */
};

struct openai_run {
    struct http_call *call;
    struct sse_reader *sse;
    struct openai_stream stream;
    const struct run_events *events;
    void *ctx;
    int status;
    bool is_stream;
    struct buf error_body;
    struct err err;
    bool busy, cancelled; /* cancelled while busy: freed by whoever is busy with it */
};

static void run_free(struct openai_run *run)
{
    sse_reader_destroy(run->sse);
    buf_fini(&run->error_body);
    free(run);
}

static void run_end(struct openai_run *run, const struct msg_fail *fail)
{
    run->events->on_end(run->ctx, fail);
    run_free(run);
}

static void run_fail(struct openai_run *run, enum fail_code code, uint32_t http_status)
{
    struct msg_fail fail = {.code = code, .http_status = http_status, .message = run->err.text};

    run_end(run, &fail);
}

static bool pass_delta(void *ctx, const struct msg_delta *delta)
{
    struct openai_run *run = ctx;

    run->events->on_delta(run->ctx, delta);
    return !run->cancelled;
}

static int on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct openai_run *run = ctx;

    (void)name;
    return openai_chunk_read(&run->stream, data, len, pass_delta, run, &run->err);
}

static void on_status(void *ctx, int status, const char *content_type)
{
    struct openai_run *run = ctx;

    run->status = status;
    run->is_stream = status == STATUS_OK && strncmp(content_type, "text/event-stream", 17) == 0;
}

static void on_broken_stream(struct openai_run *run, int reason)
{
    http_call_cancel(run->call);
    if (reason == -EREMOTEIO)
        run_fail(run, run->stream.error.code, run->stream.error.http_status);
    else
        run_fail(run, FAIL_ENGINE_DIED, 0);
}

static void on_stream_data(struct openai_run *run, const char *data, size_t len)
{
    struct err err = {0};
    int r;

    run->busy = true;
    r = sse_reader_push(run->sse, data, len, &err);
    run->busy = false;
    if (run->cancelled) {
        run_free(run);
        return;
    }
    if (r == 0)
        return;
    if (!run->err.text[0])
        run->err = err;
    on_broken_stream(run, r);
}

static void on_body(void *ctx, const char *data, size_t len)
{
    struct openai_run *run = ctx;

    if (run->is_stream)
        on_stream_data(run, data, len);
    else if (buf_append(&run->error_body, data, len) < 0)
        buf_clear(&run->error_body);
}

static void finish_stream(struct openai_run *run)
{
    struct msg_delta usage = {.kind = DELTA_USAGE, .usage = run->stream.usage};

    if (run->stream.has_usage) {
        run->busy = true;
        run->events->on_delta(run->ctx, &usage);
        run->busy = false;
    }
    if (run->cancelled)
        run_free(run);
    else
        run_end(run, NULL);
}

static void finish_refusal(struct openai_run *run)
{
    struct openai_error error;

    openai_error_read(buf_at(&run->error_body), run->error_body.len, (uint32_t)run->status, &error,
            &run->err);
    if (run->status == STATUS_OK) {
        err_set(&run->err, -EPROTO, "the engine answered with something other than a stream");
        run_fail(run, FAIL_ENGINE_DIED, 0);
    } else if (run->status == STATUS_NOT_READY) {
        err_prefix(&run->err, -EAGAIN, "the engine is not ready");
        run_fail(run, FAIL_ENGINE_DIED, 0);
    } else {
        run_fail(run, error.code, error.http_status);
    }
}

static void on_done(void *ctx, int result, const struct err *err)
{
    struct openai_run *run = ctx;

    if (run->stream.finished && (run->stream.done || result == 0)) {
        finish_stream(run);
    } else if (result < 0 && !run->stream.done) {
        err_set(&run->err, result, "the connection to the engine was lost: %s", err->text);
        run_fail(run, FAIL_ENGINE_DIED, 0);
    } else if (!run->is_stream) {
        finish_refusal(run);
    } else {
        err_set(&run->err, -EPIPE, "the engine's stream ended before the answer was complete");
        run_fail(run, FAIL_ENGINE_DIED, 0);
    }
}

static const struct http_events http_events = {on_status, on_body, on_done};

static int edit_body(const struct run_spec *spec, struct buf *out, struct err *err)
{
    static const struct json_member members[] = {
            {"stream", "true"},
            {"stream_options", "{\"include_usage\":true}"},
            {"model", NULL},
            {"id_slot", NULL},
            {"num_ctx", NULL},
    };
    int r = json_edit(
            out, spec->body, spec->body_len, members, sizeof(members) / sizeof(members[0]));

    return r < 0 ? err_set(err, r, "the request's body cannot be used as a JSON object") : 0;
}

static int send_request(struct openai_run *run, const struct openai_target *target,
        const struct buf *body, struct err *err)
{
    static const char *const headers[] = {
            "Content-Type: application/json", "Accept: text/event-stream", NULL};
    struct http_request request = {.method = "POST",
            .url = target->url,
            .unix_socket = target->unix_socket,
            .headers = headers,
            .body = buf_at(body),
            .body_len = body->len};

    return http_call_start(target->http, &request, &http_events, run, &run->call, err);
}

static struct openai_run *run_create(const struct run_events *events, void *ctx)
{
    struct openai_run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->events = events;
    run->ctx = ctx;
    buf_init(&run->error_body, ERROR_BODY_MAX);
    run->sse = sse_reader_create(json_limits_event.max_bytes, on_event, run);
    if (!run->sse) {
        run_free(run);
        return NULL;
    }
    return run;
}

int openai_run_start(const struct openai_target *target, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct openai_run **ret_run, struct err *err)
{
    struct openai_run *run;
    struct buf body;
    int r;

    if (spec->kind != REQUEST_CHAT)
        return err_set(err, -ENOTSUP, "this engine is asked for chat only");
    buf_init(&body, json_limits_request.max_bytes + BODY_ROOM);
    run = run_create(events, ctx);
    r = run ? edit_body(spec, &body, err) : err_set(err, -ENOMEM, "no memory for a request");
    if (r == 0)
        r = send_request(run, target, &body, err);
    buf_fini(&body);
    if (r == 0)
        *ret_run = run;
    else if (run)
        run_free(run);
    return r;
}

void openai_run_cancel(struct openai_run *run)
{
    run->cancelled = true;
    http_call_cancel(run->call);
    if (!run->busy)
        run_free(run);
}

void openai_run_pause(struct openai_run *run)
{
    http_call_pause(run->call);
}

void openai_run_resume(struct openai_run *run)
{
    http_call_resume(run->call);
}
