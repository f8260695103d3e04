/* The link between hosts: frames over ZeroMQ with CURVE. The coordinator is a server (ROUTER), a
 * node a client (DEALER). This layer moves whole frames between proven keys; what they say is
 * proto/'s business, who may come is the door's (zap.h). The rules and their reasons: DESIGN "The
 * link", proto/PROTOCOL.md. Loop thread.
 *
 * A frame is one message of one part. Messages of more parts, and peers that chose their own
 * routing id, are dropped: a routing id that a peer picks could be another peer's. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/keys.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LINK_MESSAGE_MAX = 256 * 1024, /* bytes with CURVE's 33; libzmq cuts the peer off past it */
    LINK_QUEUE_MAX = 1024,         /* messages that libzmq holds for one peer, each direction */
    LINK_ROUTING_ID_BYTES = 5,     /* libzmq's own ids: a zero byte and a counter */
    LINK_ADDRESS_MAX = 63,
    LINK_RETRY_MIN_MS = 100,  /* first wait before a new connection; doubles … */
    LINK_RETRY_MAX_MS = 1000, /* … up to this, and a quarter of jitter on top */
    LINK_HANDSHAKE_MS = 5000, /* a connect, and a handshake, that takes longer is ended */
};

/* --- server --- */

struct link_peer {
    uint8_t routing_id[LINK_ROUTING_ID_BYTES]; /* of this connection; the server gives it once */
    int fd;                                    /* a hint only: descriptors are used again */
    char key[KEY_Z85_LEN + 1];                 /* proven */
    char address[LINK_ADDRESS_MAX + 1];        /* IP address without port, as people write it */
};

struct link_server;

/* on_frame and on_disconnect_hint may destroy the server as their last act. */
struct link_server_events {
    /* May this key come in? Asked in every handshake. May not send, nor destroy the server. */
    bool (*allow)(void *ctx, const char *key_z85, const char *address);
    /* `data` is borrowed. May send. */
    void (*on_frame)(void *ctx, const struct link_peer *peer, const void *data, size_t len);
    /* The connection with this descriptor ended, also one that never got in. A hint: send that peer
     * something and see (-EHOSTUNREACH). The hint may be a moment ahead of libzmq, so that one send
     * still returns 0. */
    void (*on_disconnect_hint)(void *ctx, int fd);
};

/* Binds `endpoint` ("tcp://ADDR:PORT", "tcp://ADDR:0" or "tcp://ADDR:*": any free port). `pair` and
 * `events` are borrowed. -EADDRINUSE, -EINVAL (an address that cannot be bound), -ENOMEM, -EIO. */
MUST_CHECK int link_server_create(struct loop *loop, const char *endpoint,
        const struct key_pair *pair, const struct link_server_events *events, void *ctx,
        struct link_server **ret_server, struct err *err);
/* Nothing that is still unsent goes out. Takes NULL. */
void link_server_destroy(struct link_server *server);
/* "tcp://127.0.0.1:8421" with the port that was bound. Borrowed. */
const char *link_server_endpoint(const struct link_server *server);
/* Peers are `const struct link_peer *`. */
struct transport link_server_transport(struct link_server *server);

/* --- client --- */

struct link_client;

/* Each of these may send, reset the client, or destroy it as its last act. */
struct link_client_events {
    /* Connected and mutually authenticated: a fresh connection on which nothing was said. It may be
     * over by now; on_down follows then. */
    void (*on_up)(void *ctx);
    /* `data` is borrowed. */
    void (*on_frame)(void *ctx, const void *data, size_t len);
    /* The connection is gone, was refused or did not come about; the next try comes by itself.
     * `reason` is for people, borrowed. Comes once for each try, so also for one that never was up.
     * Frames that were under way are lost. */
    void (*on_down)(void *ctx, const char *reason);
};

/* Connects to `endpoint` and keeps at it until destroyed. `server_key` is the only server that is
 * believed. `env`, `pair` and `events` are borrowed. -EINVAL where `endpoint` or `server_key`
 * cannot be right, -ENOMEM, -EIO. */
MUST_CHECK int link_client_create(struct loop *loop, const struct env *env, const char *endpoint,
        const char *server_key, const struct key_pair *pair,
        const struct link_client_events *events, void *ctx, struct link_client **ret_client,
        struct err *err);
/* Nothing that is still unsent goes out. Takes NULL. */
void link_client_destroy(struct link_client *client);
/* The peer is dead or broke the protocol: no frame comes or goes any more, on_down follows from the
 * loop, then a new connection. Does nothing between two connections. `reason` is copied. */
void link_client_reset(struct link_client *client, const char *reason);
/* The session works: when it is lost, the waits begin again at LINK_RETRY_MIN_MS. */
void link_client_settled(struct link_client *client);
/* `peer` is ignored (NULL). -EAGAIN also while there is no connection: on_up says when to begin. */
struct transport link_client_transport(struct link_client *client);
