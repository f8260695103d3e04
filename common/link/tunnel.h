/* Connections that are carried over a link: bytes between a socket on this side and one on the
 * other, many at once, each under credit (stream.h) so that one that nobody reads stops only
 * itself. Both ends of the link have one set: the node makes tunnels (editor's TCP connections),
 * the coordinator follows (socketpairs that its HTTP server is given). It reads a socket only while
 * the tunnel has credit and the link has room, so what it holds is bounded by the windows. What
 * goes over the link is the owner's business. Loop thread.
 *
 * The end of either socket closes the tunnel: what was read before goes first, then the other
 * side's socket is closed once it took what had come. There is no half-closed tunnel: an editor
 * that stops sending has left (HTTP needs no more). */
#pragma once

#include "common/buf.h"
#include "common/loop.h"
#include "common/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TUNNEL_WINDOW = 64 * 1024,   /* bytes of credit that a tunnel starts with, either direction */
    TUNNEL_PIECE_MAX = 8 * 1024, /* bytes that are sent at once */
    TUNNELS_MAX = 512,           /* at once on one link, also those that still deliver */
};

struct tunnel_set;

/* What the peer is to be told. May not destroy the set. */
struct tunnel_events {
    void (*send_open)(void *ctx, uint64_t id, uint32_t window); /* only where tunnels are made */
    void (*send_data)(void *ctx, uint64_t id, const void *data, size_t len);
    void (*send_credit)(void *ctx, uint64_t id, uint32_t bytes);
    void (*send_close)(void *ctx, uint64_t id); /* after all data; the id is free */
    /* May data be sent now? Where not, tunnel_set_pump() says when again. */
    bool (*has_room)(void *ctx);
};

/* `epoch` as of stream_table. NULL where malloc refuses. */
struct tunnel_set *tunnel_set_create(
        struct loop *loop, uint32_t epoch, const struct tunnel_events *events, void *ctx);
/* Closes every socket, says nothing. Takes NULL. */
void tunnel_set_destroy(struct tunnel_set *set);
/* Open ones, and those that the peer has closed and that still deliver what came before. */
size_t tunnel_set_count(const struct tunnel_set *set);

/* Makes a tunnel for `fd`, which is the set's from here on (closed on failure too). -ENFILE at
 * TUNNELS_MAX, -ENOMEM. */
MUST_CHECK int tunnel_set_open(struct tunnel_set *set, int fd);
/* Follows a tunnel that the peer has made; `window` is what we may send. As above, and -EPROTO,
 * -EEXIST for an id that cannot be. */
MUST_CHECK int tunnel_set_accept(struct tunnel_set *set, uint64_t id, uint32_t window, int fd);
/* The peer said so. An id that is open no more does nothing. -EPROTO: it overspent, or granted too
 * much; end the link. -ENOMEM: that tunnel was closed, the others go on. */
MUST_CHECK int tunnel_set_on_data(
        struct tunnel_set *set, uint64_t id, const void *data, size_t len);
MUST_CHECK int tunnel_set_on_credit(struct tunnel_set *set, uint64_t id, uint32_t bytes);
void tunnel_set_on_close(struct tunnel_set *set, uint64_t id);
/* The link has room again. */
void tunnel_set_pump(struct tunnel_set *set);
