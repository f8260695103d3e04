/* An HTTP exchange without HTTP: what would go to the client is kept, and the test is the client.
 * To be included by one file of a program: it defines the functions of http_server.h that a request
 * needs, so that the linker takes these and leaves the server out. */
#pragma once

#include "common/buf.h"
#include "coordinator/http/http_server.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FAKE_EXCHANGE_MAX = 64 * 1024 * 1024 };

struct http_exchange {
    const char *method, *path, *peer;
    const char *query;                                                 /* NULL: none */
    const char *host, *origin, *forwarded, *authorization, *x_api_key; /* headers; NULL: absent */
    struct {
        const char *name, *value;
    } more[8]; /* headers */
    struct buf request_body;
    int status;         /* 0 before the headers are out */
    struct buf headers; /* "name: value\n" … */
    struct buf body;    /* all that was sent */
    size_t unread;      /* of a stream: what the client has not taken */
    bool choked;
    bool open;    /* of a stream: more may come */
    bool aborted; /* it must not look complete */
    int write_result;
    const struct http_exchange_events *events;
    void *ctx;
};

static inline void fake_exchange_init(struct http_exchange *exchange)
{
    *exchange = (struct http_exchange){.method = "POST",
            .path = "/v1/chat/completions",
            .peer = "127.0.0.1",
            .host = "localhost"};
    buf_init(&exchange->request_body, FAKE_EXCHANGE_MAX);
    buf_init(&exchange->headers, FAKE_EXCHANGE_MAX);
    buf_init(&exchange->body, FAKE_EXCHANGE_MAX);
}

static inline void fake_exchange_fini(struct http_exchange *exchange)
{
    buf_fini(&exchange->request_body);
    buf_fini(&exchange->headers);
    buf_fini(&exchange->body);
}

static inline void fake_exchange_must(int r)
{
    if (r)
        abort();
}

static inline const char *fake_exchange_text(struct buf *buf)
{
    fake_exchange_must(buf_terminate(buf));
    return buf_at(buf);
}

/* True where `text` was sent. */
static inline bool fake_exchange_has(struct http_exchange *exchange, const char *text)
{
    return strstr(fake_exchange_text(&exchange->body), text) != NULL;
}

static inline bool fake_exchange_has_header(struct http_exchange *exchange, const char *line)
{
    return strstr(fake_exchange_text(&exchange->headers), line) != NULL;
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

/* `query` is "name=value&…", taken as it stands. */
const char *http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    static char value[256];
    size_t len = strlen(name);
    for (const char *at = exchange->query; at && *at; at = *at ? at + 1 : at) {
        size_t size = strcspn(at, "&");
        if (strncmp(at, name, len) == 0 && (at[len] == '=' || len == size)) {
            const char *from = at + len + (at[len] == '=');
            snprintf(value, sizeof(value), "%.*s", (int)(size - (size_t)(from - at)), from);
            return value;
        }
        at += size;
    }
    return NULL;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    const struct {
        const char *name, *value;
    } headers[] = {{"Host", exchange->host}, {"Origin", exchange->origin},
            {"X-Forwarded-For", exchange->forwarded}, {"Authorization", exchange->authorization},
            {"x-api-key", exchange->x_api_key}};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].value;
    for (size_t i = 0; i < sizeof(exchange->more) / sizeof(exchange->more[0]); i++)
        if (exchange->more[i].name && strcasecmp(exchange->more[i].name, name) == 0)
            return exchange->more[i].value;
    return NULL;
}

const char *http_exchange_peer(const struct http_exchange *exchange)
{
    return exchange->peer;
}

/* A node table can carry editors; here nobody does. */
int http_server_adopt(struct http_server *server, int fd, const char *peer)
{
    (void)server;
    (void)fd;
    (void)peer;
    abort();
}

const char *http_exchange_body(const struct http_exchange *exchange, size_t *ret_len)
{
    *ret_len = exchange->request_body.len;
    return buf_at(&exchange->request_body);
}

void http_exchange_free_body(struct http_exchange *exchange)
{
    buf_fini(&exchange->request_body);
}

void http_exchange_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    assert(exchange->status == 0);
    fake_exchange_must(buf_appendf(&exchange->headers, "%s: %s\n", name, value));
}

void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
        const void *body, size_t len)
{
    assert(exchange->status == 0);
    http_exchange_set_header(exchange, "Content-Type", content_type);
    exchange->status = status;
    fake_exchange_must(buf_append(&exchange->body, body, len));
    exchange->events = NULL;
}

void http_exchange_watch(
        struct http_exchange *exchange, const struct http_exchange_events *events, void *ctx)
{
    exchange->events = events;
    exchange->ctx = ctx;
}

void http_exchange_begin(struct http_exchange *exchange, int status, const char *content_type)
{
    assert(exchange->status == 0 && exchange->events);
    http_exchange_set_header(exchange, "Content-Type", content_type);
    exchange->status = status;
    exchange->open = true;
}

size_t http_exchange_room(const struct http_exchange *exchange)
{
    return exchange->unread < HTTP_STREAM_BUFFER ? HTTP_STREAM_BUFFER - exchange->unread : 0;
}

int http_exchange_write(struct http_exchange *exchange, const void *data, size_t len)
{
    assert(exchange->open);
    if (exchange->write_result)
        return exchange->write_result;
    fake_exchange_must(buf_append(&exchange->body, data, len));
    exchange->unread += len;
    exchange->choked = http_exchange_room(exchange) == 0;
    return 0;
}

static inline void fake_exchange_close(struct http_exchange *exchange)
{
    assert(exchange->open);
    exchange->open = false;
    exchange->events = NULL;
}

void http_exchange_end(struct http_exchange *exchange)
{
    fake_exchange_close(exchange);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    exchange->aborted = true;
    fake_exchange_close(exchange);
}

/* The client takes all that was sent. */
static inline void fake_exchange_read(struct http_exchange *exchange)
{
    exchange->unread = 0;
    if (!exchange->choked || !exchange->events)
        return;
    exchange->choked = false;
    exchange->events->on_room(exchange->ctx);
}

/* The client leaves. */
static inline void fake_exchange_leave(struct http_exchange *exchange)
{
    const struct http_exchange_events *events = exchange->events;
    exchange->events = NULL;
    exchange->open = false;
    events->on_gone(exchange->ctx);
}
