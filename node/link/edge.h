/* The edge: editors on this host use http://127.0.0.1:8420 as on the coordinator's own, and each of
 * their connections is carried over the node's link (common/link/tunnel.h). Where the port is
 * taken, by a coordinator or another program, it is tried again now and then. While there is no
 * session, or the coordinator does not let this node carry editors, an editor's connection gets one
 * plain HTTP answer, 503 or 403, that says why. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/link/tunnel.h"
#include "common/loop.h"
#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    EDGE_RETRY_MS = 10 * 1000, /* between two tries at a port that is taken */
    EDGE_REFUSALS_MAX =
            64, /* connections that are being told why not, at once; others are just closed */
};

struct edge;

/* `addr` must be a loopback one (-EACCES with the reason). A port that is taken is no error. */
MUST_CHECK int edge_create(
        struct loop *loop, const struct text_addr *addr, struct edge **ret_edge, struct err *err);
void edge_destroy(struct edge *edge); /* takes NULL */
/* "127.0.0.1:8420" as bound, NULL while it is not. Borrowed. */
const char *edge_address(const struct edge *edge);

/* A session began: its tunnels are of `epoch`, and what they say goes to `events` (borrowed until
 * edge_down()). */
MUST_CHECK int edge_up(
        struct edge *edge, uint32_t epoch, const struct tunnel_events *events, void *ctx);
/* The session is over: every connection is closed, and new ones are answered by 503 with `reason`
 * (copied). */
void edge_down(struct edge *edge, const char *reason);
/* The coordinator refuses tunnels of this node: answered by 403 from here on, until the next
 * edge_up(). */
void edge_forbidden(struct edge *edge, const char *reason);
/* NULL while there is no session. What the peer says of tunnels goes there. */
struct tunnel_set *edge_tunnels(struct edge *edge);
