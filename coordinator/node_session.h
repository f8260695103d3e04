/* One connected node: its session on the link (PROTOCOL.md), the instances it has told us of, and
 * the streams that run on it. A session is (key, routing id, epoch): it begins with HELLO and ends
 * when the node is gone, replaced by a newer session of the same key, or breaks the protocol.
 * Sans-I/O: frames come in through node_session_on_frame(), go out through a transport, time comes
 * from env; so tests and the simulator own the world. Loop thread.
 *
 *      WELCOME sent    silent for SESSION_SUSPECT_MS
 *   (new) ──────▶ UP ──────────────────────────────▶ SUSPECT
 *                 │ ◀─────────────────────────────────  │
 *                 │           anything heard            │
 *                 └────────────────┬────────────────────┘
 *                                  │ silent for SESSION_GONE_MS, unreachable,
 *                                  ▼ protocol broken, replaced
 *                                GONE
 */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/link/link.h"
#include "common/list.h"
#include "common/stream.h"
#include "common/trust/certificate.h"
#include "coordinator/instance.h"
#include "coordinator/node_orders.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SESSION_HEARTBEAT_MS = 250,
    SESSION_SUSPECT_MS = 1000,            /* takes no new work */
    SESSION_GONE_MS = 3000,               /* its streams move elsewhere */
    SESSION_OUTBOX_MAX = 4 * 1024 * 1024, /* bytes waiting for a slow link */
    SESSION_OUTBOX_BODY_MAX = 256 * 1024, /* … past which no more request bodies are put in … */
    SESSION_OUTBOX_TUNNEL_MAX = 256 * 1024, /* … nor bytes of tunnels */
};

enum session_state { SESSION_UP, SESSION_SUSPECT, SESSION_GONE, SESSION_STATE_COUNT };

struct node_session;
struct node_stream; /* one request on a node */

enum instance_event { INSTANCE_ADDED, INSTANCE_CHANGED, INSTANCE_REMOVED };

struct node_session_events {
    /* One of its instances: it has come, something that the scheduler looks at has changed, or it
     * is gone after this. What is there in the end goes with the session, one by one. May be NULL.
     */
    void (*on_instance)(void *ctx, struct instance *instance, enum instance_event event);
    /* Something that the scheduler or a person looks at has changed. */
    void (*on_change)(void *ctx, struct node_session *session);
    /* A stream has ended, so that an instance has room for another, or an order has begun or ended.
     * No instance has come or gone. */
    void (*on_room)(void *ctx, struct node_session *session);
    /* It wants another link key of its own to be the member's. */
    void (*on_join)(void *ctx, struct node_session *session, const struct msg_join *join);
    /* One of TUNNEL_…. A negative errno: it broke the protocol, with the reason in `err`. */
    int (*on_tunnel)(
            void *ctx, struct node_session *session, const struct msg *msg, struct err *err);
    /* The session is GONE and all its streams have failed. The owner destroys it now or later. */
    void (*on_gone)(void *ctx, struct node_session *session, const char *reason);
};

struct node_stream_events {
    /* `delta->data` is borrowed. The stream may be cancelled inside. */
    void (*on_delta)(void *ctx, const struct msg_delta *delta);
    /* Last, once, never after cancel. `fail` is NULL where the answer is complete; the stream is
     * freed on return. */
    void (*on_end)(void *ctx, const struct msg_fail *fail);
};

struct session_admission { /* as what a node is let in; borrowed for the call */
    const char *name;      /* the member's */
    unsigned roles;        /* CERTIFICATE_ROLE_…: without NODE its models do not count */
    const char *coordinator_name;
    struct msg_bytes mesh;                /* the mesh's identity … */
    struct msg_bytes certificate;         /* … the node's new certificate, or empty … */
    const struct msg_bytes *coordinators; /* … and those of coordinators, as WELCOME has them */
    size_t coordinator_count;
};

/* `peer` and `hello` are copied; WELCOME goes out at once. -EPROTONOSUPPORT, -ENOMEM. */
MUST_CHECK int node_session_create(const struct env *env, const struct transport *transport,
        const struct link_peer *peer, const struct msg_hello *hello,
        const struct session_admission *admission, const struct node_session_events *events,
        void *ctx, struct node_session **ret_session, struct err *err);
/* Fails what is open first. Takes NULL. */
void node_session_destroy(struct node_session *session);

/* A frame from this session's peer. One that breaks the protocol ends the session at the next
 * flush, tick or probe. */
void node_session_on_frame(struct node_session *session, const void *data, size_t len);
/* These three may end the session: on_gone then comes as their last act.
 * Sends what waits: returned credit and the rest of control first, then bodies under credit. Call
 * once a turn. */
void node_session_flush(struct node_session *session);
/* Heartbeats and silence, then as flush. `stalled`: our own loop stood still, so silence proves
 * nothing yet. */
void node_session_tick(struct node_session *session, bool stalled);
/* The connection seems gone: finds out by sending. */
void node_session_probe(struct node_session *session);
/* JOINED, CERTIFICATE and TUNNEL_…. */
void node_session_send(struct node_session *session, const struct msg *msg);
/* True while bytes of tunnels may be sent: the link takes them fast enough. */
bool node_session_tunnel_room(const struct node_session *session);
/* Ends the session from our side; on_gone follows at once. */
void node_session_end(struct node_session *session, const char *reason);

struct node_work { /* what START says of a request; borrowed, the body until the stream ends */
    const char *request_id;
    enum request_kind kind;
    bool batch;             /* nobody waits in front of a screen */
    uint64_t session;       /* of its conversation; 0: none is known */
    uint32_t prompt_tokens; /* about; 0: not known */
    uint32_t needs;         /* CAPABILITY_… */
    const void *body;
    size_t body_len;
};
/* Sends START for `instance` and then the body. -EAGAIN where the session takes no work, -ENFILE at
 * its limit of streams, -ENOMEM. */
MUST_CHECK int node_session_open(struct instance *instance, const struct node_work *work,
        const struct node_stream_events *events, void *ctx, struct node_stream **ret_stream,
        struct err *err);
/* The consumer took a delta that cost `bytes`. */
void node_stream_took(struct node_stream *stream, uint32_t bytes);
/* True once the body is not needed any more and may be freed. */
bool node_stream_body_sent(const struct node_stream *stream);
/* Tells the node at once; no event comes any more, the stream is freed. Takes NULL. */
void node_stream_cancel(struct node_stream *stream);

/* Gives the node an order: one of LOAD, UNLOAD, PIN and DRAIN, whose id is made here. It goes
 * behind the requests that were sent before it. -EAGAIN where the node is not heard of now, or what
 * node_orders_open() returns; no event comes before this returns. */
MUST_CHECK int node_session_order(struct node_session *session, const struct msg *order,
        const struct node_order_events *events, void *ctx, struct node_order **ret_order,
        struct err *err);

/* What people and the scheduler read. Borrowed. */
const char *node_session_name(const struct node_session *session);
unsigned node_session_roles(const struct node_session *session);
uint32_t node_session_epoch(const struct node_session *session);
const struct link_peer *node_session_peer(const struct node_session *session);
enum session_state node_session_state(const struct node_session *session);
const char *session_state_name(enum session_state state);
/* Changes whenever a model or one of its aliases has come or gone; on_change follows. */
unsigned node_session_names_edition(const struct node_session *session);
size_t node_session_instance_count(const struct node_session *session);
struct instance *node_session_instance(const struct node_session *session, size_t index);

struct node_facts {
    const char *software;
    bool draining;
    uint64_t connected_us, last_heard_us; /* of env's clock */
    uint64_t rtt_us;                      /* 0: not measured yet */
    uint64_t memory_total_bytes, memory_available_bytes, memory_limit_bytes, memory_used_bytes;
    uint64_t memory_room_bytes;      /* 0: not told */
    uint64_t swap_allowance_bytes;   /* by how much one model may pass the limit */
    uint64_t memory_bandwidth_bytes; /* a second; 0: not known */
    uint64_t running, done, failed;  /* requests */
};
struct node_facts node_session_facts(const struct node_session *session);
