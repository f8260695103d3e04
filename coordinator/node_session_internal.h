/* What node_session.c and node_streams.c share: the session itself, how one sends for the other,
 * and what becomes of the streams. Loop thread. */
#pragma once

#include "common/sm.h"
#include "coordinator/node_session.h"
#include "coordinator/outbox.h"

enum { SESSION_REASON_MAX = 160 };

struct node_session {
    struct sm sm;
    const struct env *env;
    struct transport transport;
    struct link_peer peer;
    char name[MSG_NODE_NAME_MAX + 1];
    char software[MSG_NAME_MAX + 1];
    unsigned roles;
    const struct node_session_events *events;
    void *ctx;

    uint32_t epoch;
    struct stream_table *table;
    struct node_orders *orders;
    struct list streams; /* node_stream.open */
    struct list sending; /* node_stream.sending: body not out yet */
    struct list owing;   /* node_stream.owing: credit to return */
    struct outbox outbox;
    struct buf scratch;              /* the frame being encoded */
    struct arena arena;              /* the frame being decoded */
    char broken[SESSION_REASON_MAX]; /* why the session must end; "" while sound */

    struct instance **instances;
    size_t instance_count;
    unsigned names_edition; /* of the instances' names and aliases */

    struct node_facts facts;
    uint64_t last_sent_us;
};

/* The session ends at the next flush, tick or probe, never under the feet of the caller. */
void node_session_break(struct node_session *session, const char *reason);
/* Sends it, or puts it into the outbox; what belongs to no stream has `stream` 0. */
void node_session_post(struct node_session *session, uint64_t stream, const struct msg *msg);

/* The credit that is owed, and the bodies that may go. */
void node_streams_flush_credit(struct node_session *session);
void node_streams_flush_bodies(struct node_session *session);
/* What the node says; of a stream that is not open: nothing. */
void node_streams_on_delta(struct node_session *session, const struct msg_delta *delta);
void node_streams_on_credit(struct node_session *session, const struct msg_credit *credit);
void node_streams_on_end(struct node_session *session, uint64_t id, const struct msg_fail *fail);
void node_streams_fail_all(struct node_session *session, const struct msg_fail *fail);
/* The node has dropped the model; its streams go on. */
void node_streams_forget_instance(struct node_session *session, const struct instance *instance);
