/* What http_server.c (connections) and http_exchange.c (requests and answers) share. */
#pragma once

#include "common/list.h"
#include "common/tcp_listener.h"
#include "coordinator/http/http_server.h"
#include "coordinator/http/tls_handshakes.h"
#include "coordinator/http/unix_listener.h"

#include <microhttpd.h>

/* The library's memory of a connection: the request's headers, then the answer's and a chunk. */
enum { HTTP_CONNECTION_POOL = 8 * 1024 };

struct http_server {
    struct loop *loop;
    enum http_listen listen;
    bool tls;
    struct http_server_handler handler;
    size_t body_max, bodies_max;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch; /* of the library's epoll descriptor */
    struct loop_timer *timer;
    struct loop_hook hook;
    bool due;     /* the library has something to do */
    bool stirred; /* its last run has called us */
    struct tls_handshakes handshakes;
    struct list exchanges;
    size_t exchange_count;
    size_t bodies_bytes;                         /* of all exchanges */
    char tcp_address[TCP_LISTENER_NAME_MAX + 1]; /* "" where it listens on none */
    struct unix_listener *unix_listener;
    bool quiesced;
};

/* The library must run before the loop waits again. */
void http_server_kick(struct http_server *server);

/* For the library: MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; `ctx` is the server.
 */
enum MHD_Result http_exchange_on_access(void *ctx, struct MHD_Connection *connection,
        const char *path, const char *method, const char *version, const char *data, size_t *len,
        void **request_ctx);
void http_exchange_on_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
        enum MHD_RequestTerminationCode why);
/* Takes every exchange from its handler. The library then frees them. */
void http_exchange_lose_all(struct http_server *server);
