#include "coordinator/inner_reply.h"

static void on_set_header(void *ctx, const char *name, const char *value)
{
    const struct inner_reply *reply = ctx;
    if (reply->events->on_header)
        reply->events->on_header(reply->ctx, name, value);
}

static void on_send(void *ctx, int status, const char *content_type, const void *body, size_t len)
{
    struct inner_reply *reply = ctx;
    (void)content_type;
    reply->job_events = NULL;
    reply->events->on_whole(reply->ctx, status, body, len);
}

static void on_watch(void *ctx, const struct http_exchange_events *events, void *events_ctx)
{
    struct inner_reply *reply = ctx;
    reply->job_events = events;
    reply->job = events_ctx;
}

static void on_begin(void *ctx, int status, const char *content_type)
{
    (void)ctx;
    (void)status;
    (void)content_type;
}

static size_t get_room(const void *ctx)
{
    (void)ctx;
    return HTTP_STREAM_BUFFER;
}

static int on_write(void *ctx, const void *data, size_t len)
{
    const struct inner_reply *reply = ctx;
    return reply->events->on_piece ? reply->events->on_piece(reply->ctx, data, len) : 0;
}

static void end(struct inner_reply *reply, bool complete)
{
    reply->job_events = NULL;
    reply->events->on_end(reply->ctx, complete);
}

static void on_end(void *ctx)
{
    end(ctx, true);
}

static void on_abort(void *ctx)
{
    end(ctx, false);
}

void inner_reply_init(struct inner_reply *reply, const struct inner_reply_events *events, void *ctx)
{
    *reply = (struct inner_reply){.events = events, .ctx = ctx};
}

struct reply inner_reply_for_job(struct inner_reply *reply)
{
    static const struct reply_ops ops = {.set_header = on_set_header,
            .send = on_send,
            .watch = on_watch,
            .begin = on_begin,
            .room = get_room,
            .write = on_write,
            .end = on_end,
            .abort = on_abort};
    return (struct reply){.ops = &ops, .ctx = reply};
}

void inner_reply_leave(struct inner_reply *reply)
{
    const struct http_exchange_events *events = reply->job_events;
    reply->job_events = NULL;
    if (events)
        events->on_gone(reply->job);
}
