/* Runs the coordinator's requests: the streams of the link on one side, the runs of the backends on
 * the other. It gathers the body under credit, waits for the model, passes the engine's deltas on
 * under credit, pauses the engine where there is none, and ends each stream with END or FAIL
 * exactly once (CANCEL: with neither).
 *
 *   BODY ──body complete──▶ WAITING ──model ready──▶ RUNNING ──engine done──▶ FLUSHING ──▶ gone
 *    │                                               ▲   │         deltas wait         all out
 *    └────────body complete, model resident──────────┘   └──engine done, nothing waits──▶ gone
 *
 * CANCEL, a failure and a lost link end it from everywhere.
 *
 * Sans I/O: messages come in by worker_on_msg() and go out through the sink. Loop thread. */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "node/residency/supervisor.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WORKER_STREAMS_MAX = 2048,             /* open at once */
    WORKER_BODY_MAX = 32 * 1024 * 1024,    /* bytes of one request's body */
    WORKER_BODIES_MAX = 256 * 1024 * 1024, /* bytes of all bodies that are not yet with an engine */
    WORKER_BODY_WINDOW = 256 * 1024,       /* bytes of one body that may be on their way */
    WORKER_PENDING_MAX =
            4 * 1024 * 1024,  /* bytes read from the engine that wait for credit, one stream */
    WORKER_WINDOW_MIN = 1024, /* least window of deltas that START may give */
};

struct worker_sink {
    /* Takes `msg` (CREDIT, DELTAS of one delta, END, FAIL) with all that it borrows copied. Keeps
     * the order of each stream. Must not call the worker. */
    void (*send)(void *ctx, const struct msg *msg);
    void *ctx;
};

struct worker;

/* NULL where malloc refuses. All is borrowed but the sink. */
struct worker *worker_create(
        const struct env *env, struct supervisor *supervisor, const struct worker_sink *sink);
/* Ends the session. Takes NULL. */
void worker_destroy(struct worker *worker);

/* A session begins with WELCOME's epoch. -ENOMEM. */
MUST_CHECK int worker_session_begin(struct worker *worker, uint32_t epoch);
/* The link is lost: every run is cancelled, nothing more is sent. Repeatable. */
void worker_session_end(struct worker *worker);

/* START, BODY, CREDIT and CANCEL of a session. -EPROTO where the coordinator breaks the protocol of
 * the session (what it does wrong with one stream ends that stream); the caller then ends the
 * session. */
MUST_CHECK int worker_on_msg(struct worker *worker, const struct msg *msg, struct err *err);

/* It takes no new requests, or takes them again; those that run go on. */
void worker_pause(struct worker *worker, bool paused);
/* Paused, or the node is shutting down. */
bool worker_draining(const struct worker *worker);

size_t worker_stream_count(const struct worker *worker);
