#include "coordinator/reply.h"

/* --- to an exchange --- */

static void exchange_set_header(void *ctx, const char *name, const char *value)
{
    http_exchange_set_header(ctx, name, value);
}

static void exchange_send(
        void *ctx, int status, const char *content_type, const void *body, size_t len)
{
    http_exchange_reply(ctx, status, content_type, body, len);
}

static void exchange_watch(void *ctx, const struct http_exchange_events *events, void *events_ctx)
{
    http_exchange_watch(ctx, events, events_ctx);
}

static void exchange_begin(void *ctx, int status, const char *content_type)
{
    http_exchange_begin(ctx, status, content_type);
}

static size_t exchange_room(const void *ctx)
{
    return http_exchange_room(ctx);
}

static int exchange_write(void *ctx, const void *data, size_t len)
{
    return http_exchange_write(ctx, data, len);
}

static void exchange_end(void *ctx)
{
    http_exchange_end(ctx);
}

static void exchange_abort(void *ctx)
{
    http_exchange_abort(ctx);
}

struct reply reply_to_exchange(struct http_exchange *exchange)
{
    static const struct reply_ops ops = {
            .set_header = exchange_set_header,
            .send = exchange_send,
            .watch = exchange_watch,
            .begin = exchange_begin,
            .room = exchange_room,
            .write = exchange_write,
            .end = exchange_end,
            .abort = exchange_abort,
    };
    return (struct reply){.ops = &ops, .ctx = exchange};
}

/* --- to any --- */

void reply_set_header(const struct reply *reply, const char *name, const char *value)
{
    reply->ops->set_header(reply->ctx, name, value);
}

void reply_send(const struct reply *reply, int status, const char *content_type, const void *body,
        size_t len)
{
    reply->ops->send(reply->ctx, status, content_type, body, len);
}

void reply_watch(
        const struct reply *reply, const struct http_exchange_events *events, void *events_ctx)
{
    reply->ops->watch(reply->ctx, events, events_ctx);
}

void reply_begin(const struct reply *reply, int status, const char *content_type)
{
    reply->ops->begin(reply->ctx, status, content_type);
}

size_t reply_room(const struct reply *reply)
{
    return reply->ops->room(reply->ctx);
}

int reply_write(const struct reply *reply, const void *data, size_t len)
{
    return reply->ops->write(reply->ctx, data, len);
}

void reply_end(const struct reply *reply)
{
    reply->ops->end(reply->ctx);
}

void reply_abort(const struct reply *reply)
{
    reply->ops->abort(reply->ctx);
}
