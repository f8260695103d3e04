/* The door of the link: ZeroMQ's authentication protocol (RFC 27) answered on our loop. A peer has
 * proven by the CURVE handshake that it holds the secret half of a key; `allow` says whether that
 * key may come in. A refused peer costs no connection. The key becomes the peer's User-Id. Loop
 * thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"

#include <stdbool.h>

#define ZAP_DOMAIN "modemesh"

struct zap;

/* `key_z85` is proven; `address` is the peer's IP address as libzmq gives it. May not destroy the
 * door. */
typedef bool (*zap_allow_fn)(void *ctx, const char *key_z85, const char *address);

/* Binds the one handler of this ZeroMQ context; must come before any server socket is bound. */
MUST_CHECK int zap_create(struct loop *loop, void *zmq_context, zap_allow_fn allow, void *ctx,
        struct zap **ret_zap, struct err *err);
/* After the server sockets of the context are closed. Takes NULL. */
void zap_destroy(struct zap *zap);
