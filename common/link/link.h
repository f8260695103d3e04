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
#include "common/loop.h"
#include "common/trust/keys.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LINK_MESSAGE_MAX = 256 * 1024, /* bytes with CURVE's 33; libzmq cuts the peer off past it */
    LINK_QUEUE_MAX = 1024,         /* messages that libzmq holds for one peer, each direction */
    LINK_ROUTING_ID_BYTES = 5,     /* libzmq's own ids: a zero byte and a counter */
    LINK_ADDRESS_MAX = 63,
    LINK_RETRY_MIN_MS = 100,  /* first wait before a new connection; doubles … */
    LINK_RETRY_MAX_MS = 1000, /* … up to this, and a quarter of jitter on top */
    LINK_SPEAK_MS =
            10000, /* a peer of a server that has said nothing for so long after it came is cut */
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
    /* A connection has ended that never proved a key: no CURVE, no ZeroMQ at all, a handshake that
     * is garbled, replayed or not done in time. `address` is a hint, NULL where it is not known.
     * Not told of who hangs up by itself, which is how a dialer looks for an address; and what is
     * no ZeroMQ may be missed while others prove their keys. May not send, nor destroy the server.
     */
    void (*on_bad_handshake)(void *ctx, const char *address);
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
/* Ends the peer's connection now (revocation): shutdown() of its socket, which libzmq then closes.
 * Told apart by the kernel's cookie of the socket and by an empty frame that libzmq has to be able
 * to route, so that a descriptor that is somebody else's by now is left alone. Nothing where the
 * peer has gone already. What was sent just before may not arrive; the hint comes from the loop. */
void link_server_cut(struct link_server *server, const struct link_peer *peer);

/* --- client --- */

struct link_client;

enum link_failure {
    LINK_UNREACHABLE, /* nobody answers at the address, or there is no such address */
    LINK_HANDSHAKE,   /* who answers speaks no such link, or has not the key */
    LINK_REFUSED,     /* the server does not let this key in */
    LINK_LOST,        /* it was up; also after link_client_reset() */
};

/* Each of these may send, reset the client, or destroy it as its last act. */
struct link_client_events {
    /* Time for a connection: link_client_connect() or link_client_wait() must follow, now or later.
     * The first comes from the loop, soon after the client was made. */
    void (*on_seek)(void *ctx);
    /* Connected and mutually authenticated: a fresh connection on which nothing was said. It may be
     * over by now; on_down follows then. */
    void (*on_up)(void *ctx);
    /* `data` is borrowed, `len` never 0: an empty frame only asks whether the link is there. */
    void (*on_frame)(void *ctx, const void *data, size_t len);
    /* The connection is gone, was refused or did not come about; on_seek comes again by itself,
     * after a wait. `reason` is for people, borrowed. Comes once for each link_client_connect().
     * Frames that were under way are lost. */
    void (*on_down)(void *ctx, enum link_failure failure, const char *reason);
};

/* Asks where to connect, until destroyed. `env`, `pair` and `events` are borrowed. -ENOMEM, -EIO.
 */
MUST_CHECK int link_client_create(struct loop *loop, const struct env *env,
        const struct key_pair *pair, const struct link_client_events *events, void *ctx,
        struct link_client **ret_client, struct err *err);
/* Nothing that is still unsent goes out. Takes NULL. */
void link_client_destroy(struct link_client *client);
/* After on_seek: connects to `endpoint`. `server_key` is the only server that is believed. What
 * cannot be right is told through on_down. */
void link_client_connect(struct link_client *client, const char *endpoint, const char *server_key);
/* After on_seek: nowhere to connect now; ask again after the wait. */
void link_client_wait(struct link_client *client);
/* Ask now instead of after the wait: something has changed. Nothing where it is not waiting. */
void link_client_hurry(struct link_client *client);
/* Another key pair from the next connection on; borrowed. */
void link_client_set_pair(struct link_client *client, const struct key_pair *pair);
/* The peer is dead or broke the protocol: no frame comes or goes any more, on_down follows from the
 * loop, then a new connection. Does nothing between two connections. `reason` is copied. */
void link_client_reset(struct link_client *client, const char *reason);
/* The session works: when it is lost, the waits begin again at LINK_RETRY_MIN_MS. */
void link_client_settled(struct link_client *client);
/* `peer` is ignored (NULL). -EAGAIN also while there is no connection: on_up says when to begin. */
struct transport link_client_transport(struct link_client *client);
