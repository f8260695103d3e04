/* HTTP calls on the loop: libcurl's multi interface. Unix sockets and TCP, streamed answers,
 * back-pressure by pause and resume, cancel at any time. One client serves a whole process; its
 * connections are reused. Callbacks run on the loop thread, never from inside http_call_start(),
 * pause, resume or cancel. HTTP/1.1, one connection for each call in flight; TLS is verified.
 * Redirects are not followed, proxies of the environment not used, and an answer with more than 64
 * KiB of headers ends with -EPROTO. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdint.h>

struct http_client;
struct http_call;

struct http_request {
    const char *method; /* "GET", "POST" */
    const char *url;    /* http://… or https://…; with a Unix socket the host is only a name */
    const char *unix_socket;    /* path, or NULL for TCP */
    const char *const *headers; /* "Name: value", ends with NULL; may be NULL */
    const void *body;           /* copied; NULL for none */
    size_t body_len;
    uint32_t connect_timeout_ms; /* 0: 5 s */
    uint32_t total_timeout_ms;   /* 0: none (streams) */
};

struct http_events {
    /* Once, when the status and the headers are in. `content_type` may be "". */
    void (*on_status)(void *ctx, int status, const char *content_type);
    /* Pieces of the body, at most 16 KiB each. May pause or cancel the call. */
    void (*on_body)(void *ctx, const char *data, size_t len);
    /* Last, exactly once, and never after http_call_cancel(). 0, or -ECONNREFUSED, -ETIMEDOUT,
     * -ECONNRESET, -EPROTO… with libcurl's own words. The call is freed when this returns. */
    void (*on_done)(void *ctx, int result, const struct err *err);
};

/* NULL where libcurl cannot start. Destroy cancels what is open; not from inside a callback. */
struct http_client *http_client_create(struct loop *loop);
void http_client_destroy(struct http_client *client);

/* `events` is borrowed for the life of the call (static const). */
MUST_CHECK int http_call_start(struct http_client *client, const struct http_request *request,
        const struct http_events *events, void *ctx, struct http_call **ret_call, struct err *err);
/* Ends the call, closes its connection unless it was done with it, frees it. May be called from
 * on_status and on_body. Takes NULL. */
void http_call_cancel(struct http_call *call);
/* While paused no on_body comes; the peer is slowed down by TCP. */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);
