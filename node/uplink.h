/* The node's session with one coordinator (proto/PROTOCOL.md): HELLO, WELCOME, STATE, heartbeats,
 * and the frames of the worker's streams. It speaks through a transport and is told of frames and
 * of time, so that a test plays the coordinator without a socket.
 *
 *   DOWN ──uplink_up(): HELLO──▶ GREETING ──WELCOME: STATE──▶ UP      any ──uplink_down()──▶ DOWN
 *
 * What the streams bring in one turn of the loop goes out together at uplink_flush(): credits, then
 * as few DELTAS as hold them, then ENDs and FAILs. Loop thread. */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "node/supervisor.h"
#include "node/worker.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    UPLINK_SILENCE_MS = 3000, /* nothing heard for so long: the coordinator is gone */
    UPLINK_STATE_MS = 100,    /* least time between two STATEs */
    UPLINK_MEMORY_MS = 5000,  /* how often memory alone is worth a STATE, where it has moved */
    UPLINK_TICK_MS = 50,      /* how often uplink_tick() is to be called */
    UPLINK_OUTBOX_MAX =
            64 * 1024 * 1024, /* bytes that wait for a slow link; past it the session ends */
};

struct uplink_config {
    const char *name;     /* of the node */
    const char *software; /* "modemesh 0.1.0" */
};

struct uplink_events {
    /* The session works from here on. */
    void (*on_welcome)(void *ctx, const char *coordinator);
    /* The coordinator is silent or broke the protocol: reset the connection; uplink_down() must
     * follow. */
    void (*on_broken)(void *ctx, const char *reason);
};

struct uplink;

/* NULL where malloc refuses. Makes its own worker. All is borrowed but the structs themselves. */
struct uplink *uplink_create(const struct env *env, const struct transport *transport,
        struct supervisor *supervisor, const struct backend_ops *ops,
        const struct uplink_config *config, const struct uplink_events *events, void *ctx);
void uplink_destroy(struct uplink *uplink);

/* A fresh connection; nothing was said on it. */
void uplink_up(struct uplink *uplink);
/* The connection is gone, and every run of it with it. Repeatable. */
void uplink_down(struct uplink *uplink);
void uplink_on_frame(struct uplink *uplink, const void *data, size_t len);
/* Heartbeats, silence, STATE, and what the link did not take before. */
void uplink_tick(struct uplink *uplink);
/* At the end of a turn of the loop. */
void uplink_flush(struct uplink *uplink);

/* supervisor_events.on_change of the supervisor: the model goes into the next STATE. */
void uplink_model_changed(struct uplink *uplink, const char *model);
/* The node begins to drain: said at once. */
void uplink_draining(struct uplink *uplink);

bool uplink_is_up(const struct uplink *uplink);
/* True where nothing waits to be sent. */
bool uplink_idle(const struct uplink *uplink);
size_t uplink_stream_count(const struct uplink *uplink);
