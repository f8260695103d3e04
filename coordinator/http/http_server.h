/* The HTTP server that editors talk to: libmicrohttpd on our loop (external epoll). It knows HTTP
 * and nothing of inference: a request comes in whole, an answer goes out whole or as a pull-driven
 * stream.
 *
 * An exchange is one request with its answer. The server owns it; the handler may use it until it
 * has called http_exchange_reply() / _end() / _abort(), or until on_gone. Loop thread only.
 *
 * Streams are pull-driven: the producer writes while http_exchange_room() > 0, stops, and goes on
 * in on_room. A client that leaves is noticed at once, also while nothing is being sent (own watch
 * on its descriptor, since a suspended MHD connection does not look). */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_BODY_MAX = 32 * 1024 * 1024,       /* bytes of one request's body: past it 413 */
    HTTP_BODIES_MAX = 512 * 1024 * 1024,    /* bytes of all bodies that are held: past it 503 */
    HTTP_DROPPED_MAX = 64 * 1024 * 1024,    /* bytes of a refused body that are read: then a cut */
    HTTP_STREAM_BUFFER = 8 * 1024,          /* bytes held for a slow reader before "no room" */
    HTTP_STREAM_HELD_MAX = 4 * 1024 * 1024, /* bytes held at all: one event may be large */
    HTTP_CONNECTIONS_MAX = 16384,           /* open at once; RLIMIT_NOFILE may lower it */
    HTTP_HANDSHAKES_MAX = 1024,             /* TLS: begun and not finished; past it, or past a
                                               quarter of the connections, the oldest is cut */
    HTTP_PATH_MAX = 1024,                   /* bytes of a path: past it 414 */
    HTTP_PEER_MAX = 79,                     /* bytes of a peer's name */
    HTTP_HEADER_VALUE_MAX = 1024,           /* bytes of a header value that we set */
    HTTP_IDLE_TIMEOUT_S = 75,               /* a connection without a request in progress */
    HTTP_UPLOAD_TIMEOUT_S = 30,             /* no byte of a promised body for so long */
};

struct http_server;
struct http_exchange;

struct http_server_handler {
    /* The headers are in, the body is not. Return 0 to take the request, or answer by
     * http_exchange_reply() and return nonzero: the body is then dropped. The place for Host,
     * Origin, keys, unknown paths. */
    int (*on_headers)(void *ctx, struct http_exchange *exchange);
    /* The whole request is in. Must lead to an answer, now or later; later only with
     * http_exchange_watch(). */
    void (*on_request)(void *ctx, struct http_exchange *exchange);
    /* The server does not take the request (413, 414, 431, 503): answer by http_exchange_reply().
     * Comes instead of on_headers or on_request. */
    void (*on_refusal)(void *ctx, struct http_exchange *exchange, int status, const char *message);
    void *ctx;
};

enum http_listen {
    HTTP_LISTEN_TCP,  /* on `addr` */
    HTTP_LISTEN_UNIX, /* on `path`: mode 0600, a stale socket file is replaced, removed when the
                         server stops listening; peers of another user than ours or root are closed
                         at once */
    HTTP_LISTEN_NONE, /* nowhere: connections come by http_server_adopt() */
};

struct http_server_config {
    enum http_listen listen;
    struct text_addr addr;    /* port 0: any free one */
    const char *path;         /* of the Unix socket */
    bool tls;                 /* with what tls_create() has made; TCP only */
    unsigned connections_max; /* 0: HTTP_CONNECTIONS_MAX */
    size_t body_max;          /* 0: HTTP_BODY_MAX */
    size_t bodies_max;        /* 0: HTTP_BODIES_MAX */
};

/* Binds and listens. -EADDRINUSE, -EACCES, -EADDRNOTAVAIL name the address and a way out; of a Unix
 * socket the errors of unix_listener_create(). */
MUST_CHECK int http_server_create(struct loop *loop, const struct http_server_config *config,
        const struct http_server_handler *handler, struct http_server **ret_server,
        struct err *err);
/* Stops listening, ends what is open (on_gone is called for each exchange), frees. Takes NULL. Not
 * from a callback of this header. */
void http_server_destroy(struct http_server *server);
/* Serves a connection that is there already: `fd`, a stream socket, is the server's from here on
 * (closed on failure too). `peer` stands for its address (copied, cut at HTTP_PEER_MAX). Only for
 * HTTP_LISTEN_NONE. -EBUSY at the limit of connections, -ESHUTDOWN after http_server_quiesce(),
 * -ENOMEM. Not from a callback of this header. */
MUST_CHECK int http_server_adopt(struct http_server *server, int fd, const char *peer);
/* Stops taking new connections; what is open goes on. */
void http_server_quiesce(struct http_server *server);
/* "127.0.0.1:8420" with the port that was bound; the path of a Unix socket; "" where it listens
 * nowhere. Borrowed. */
const char *http_server_address(const struct http_server *server);
size_t http_server_open_exchanges(const struct http_server *server);

/* Also "GET" for a HEAD request, of whose answer only the headers go out. */
const char *http_exchange_method(const struct http_exchange *exchange);
const char *http_exchange_path(const struct http_exchange *exchange); /* without the query */
/* The decoded value of `name` in the query: "" for "?name" and "?name=", NULL where absent. */
const char *http_exchange_query(const struct http_exchange *exchange, const char *name);
/* Without white space around it. NULL where absent; names are case-insensitive. */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);
/* Empty until on_request. NUL-terminated behind `*ret_len` bytes. Freed early by
 * http_exchange_free_body(). */
const char *http_exchange_body(const struct http_exchange *exchange, size_t *ret_len);
void http_exchange_free_body(struct http_exchange *exchange);
/* "127.0.0.1" or "::1": the peer's address; "unix" of a Unix socket; what http_server_adopt() was
 * given. */
const char *http_exchange_peer(const struct http_exchange *exchange);

/* Adds a header to the answer. Before reply or begin. Control characters in the value become '?', a
 * value past HTTP_HEADER_VALUE_MAX is cut. */
void http_exchange_set_header(struct http_exchange *exchange, const char *name, const char *value);

/* Answers whole; `body` is copied. The exchange is not the caller's any more. */
void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
        const void *body, size_t len);

struct http_exchange_events {
    /* The client took bytes and there is room again. Comes only after a write that left no room. */
    void (*on_room)(void *ctx);
    /* The client has left, or the server is being destroyed. The exchange is not the caller's any
     * more. Never after reply, end or abort. */
    void (*on_gone)(void *ctx);
};
/* To be set in on_request where the answer is not complete when on_request returns; `events` is
 * borrowed (static const). Before on_request a client that leaves is the server's own business. */
void http_exchange_watch(
        struct http_exchange *exchange, const struct http_exchange_events *events, void *ctx);

/* Starts a streamed answer: status and headers go out at once. */
void http_exchange_begin(struct http_exchange *exchange, int status, const char *content_type);
/* Bytes that should be written now: HTTP_STREAM_BUFFER less what the client has not taken. */
size_t http_exchange_room(const struct http_exchange *exchange);
/* Takes all `len` bytes, also past the room. -ENOBUFS past HTTP_STREAM_HELD_MAX, -ENOMEM. */
MUST_CHECK int http_exchange_write(struct http_exchange *exchange, const void *data, size_t len);
/* The answer is complete: what is held still goes out, then the final chunk. */
void http_exchange_end(struct http_exchange *exchange);
/* The answer must not look complete: the connection is cut after what is held. */
void http_exchange_abort(struct http_exchange *exchange);
