/* Where an answer goes: to the client of an HTTP exchange, or into a record that is read later. A
 * reply is a plain value; what it points to is its owner's. The functions have the contract of
 * their namesakes http_exchange_*() (http/http_server.h): pull-driven, not the caller's any more
 * after send, end or abort, nor after on_gone. */
#pragma once

#include "common/buf.h"
#include "coordinator/http/http_server.h"

#include <stddef.h>

struct reply_ops {
    void (*set_header)(void *ctx, const char *name, const char *value);
    void (*send)(void *ctx, int status, const char *content_type, const void *body, size_t len);
    void (*watch)(void *ctx, const struct http_exchange_events *events, void *events_ctx);
    void (*begin)(void *ctx, int status, const char *content_type);
    size_t (*room)(const void *ctx);
    int (*write)(void *ctx, const void *data, size_t len);
    void (*end)(void *ctx);
    void (*abort)(void *ctx);
};

struct reply {
    const struct reply_ops *ops;
    void *ctx;
};

/* To the exchange's client. */
struct reply reply_to_exchange(struct http_exchange *exchange);

void reply_set_header(const struct reply *reply, const char *name, const char *value);
void reply_send(const struct reply *reply, int status, const char *content_type, const void *body,
        size_t len);
void reply_watch(
        const struct reply *reply, const struct http_exchange_events *events, void *events_ctx);
void reply_begin(const struct reply *reply, int status, const char *content_type);
size_t reply_room(const struct reply *reply);
MUST_CHECK int reply_write(const struct reply *reply, const void *data, size_t len);
void reply_end(const struct reply *reply);
void reply_abort(const struct reply *reply);
