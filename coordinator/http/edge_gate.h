/* The coordinator's end of one node's edge: each tunnel that the node opens for an editor becomes a
 * connection of the HTTP server, by a socketpair. Who the editor is is the node's word: its
 * certificate says whether it may carry any. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "coordinator/http/http_server.h"
#include "coordinator/node_session.h"

struct edge_gate;

/* For one session, of whose node requests are said to come. `http` listens nowhere
 * (HTTP_LISTEN_NONE). Everything is borrowed. NULL where malloc refuses. */
struct edge_gate *edge_gate_create(
        struct loop *loop, struct http_server *http, struct node_session *session);
/* Closes every connection. Takes NULL. */
void edge_gate_destroy(struct edge_gate *gate);
/* One of TUNNEL_…. -EPROTO with what the node did wrong, -EACCES where its certificate lacks the
 * role: the session is to end. */
MUST_CHECK int edge_gate_on_msg(struct edge_gate *gate, const struct msg *msg, struct err *err);
/* The link may have room again. */
void edge_gate_pump(struct edge_gate *gate);
size_t edge_gate_count(const struct edge_gate *gate);
