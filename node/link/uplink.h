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
#include "node/link/worker.h"
#include "node/residency/supervisor.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    UPLINK_SILENCE_MS = 3000, /* nothing heard, or no WELCOME: the coordinator is gone */
    UPLINK_DOUBT_MS = 750,    /* … and after uplink_doubt() only for so long; three heartbeats */
    UPLINK_STATE_MS = 100,    /* least time between two STATEs */
    UPLINK_MEMORY_MS = 900,   /* how often memory alone is worth a STATE, where it has moved */
    UPLINK_TICK_MS = 50,      /* how often uplink_tick() is to be called */
    UPLINK_OUTBOX_MAX =
            64 * 1024 * 1024,       /* bytes that wait for a slow link; past it the session ends */
    UPLINK_TUNNEL_MAX = 256 * 1024, /* … past which no more bytes of tunnels are taken */
};

struct uplink_config {
    const char *name;     /* of the node */
    const char *software; /* "modemesh 0.1.0" */
};

struct uplink_events {
    /* The coordinator answers. 0: the session works from here on; a negative errno with `err`: it
     * is not to be believed, and on_broken follows. */
    int (*on_welcome)(void *ctx, const struct msg_welcome *welcome, struct err *err);
    /* CERTIFICATE, JOINED and REFUSE: what the coordinator says of this node's membership. Before
     * on_welcome only REFUSE. */
    void (*on_membership)(void *ctx, const struct msg *msg);
    /* One of TUNNEL_…. As on_welcome. */
    int (*on_tunnel)(void *ctx, const struct msg *msg, struct err *err);
    /* LOAD, UNLOAD, PIN or DRAIN. */
    void (*on_order)(void *ctx, const struct msg *msg);
    /* At the end of each turn in which bytes of tunnels may be sent. */
    void (*on_room)(void *ctx);
    /* The coordinator is silent or broke the protocol: reset the connection; uplink_down() must
     * follow. */
    void (*on_broken)(void *ctx, const char *reason);
};

struct uplink;

/* NULL where malloc refuses. Makes its own worker. All is borrowed but the structs themselves. */
struct uplink *uplink_create(const struct env *env, const struct transport *transport,
        struct supervisor *supervisor, const struct uplink_config *config,
        const struct uplink_events *events, void *ctx);
void uplink_destroy(struct uplink *uplink);

/* A fresh connection; nothing was said on it. `certificate` goes into HELLO; empty: none. */
void uplink_up(struct uplink *uplink, const struct msg_bytes *certificate);
/* JOIN, PROGRESS, DONE and TUNNEL_…: behind what waits. Nothing while the session is not up. */
void uplink_send(struct uplink *uplink, const struct msg *msg);
/* True while bytes of tunnels may be sent: the link takes them fast enough. */
bool uplink_tunnel_room(const struct uplink *uplink);
/* Of the session, once it is up. */
uint32_t uplink_epoch(const struct uplink *uplink);
/* The connection is gone, and every run of it with it. Repeatable. */
void uplink_down(struct uplink *uplink);
void uplink_on_frame(struct uplink *uplink, const void *data, size_t len);
/* The host's network has changed: where nothing is heard for so much less time, the coordinator is
 * gone. */
void uplink_doubt(struct uplink *uplink);
/* Heartbeats, silence, STATE, and what the link did not take before. */
void uplink_tick(struct uplink *uplink);
/* At the end of a turn of the loop. */
void uplink_flush(struct uplink *uplink);

/* supervisor_events.on_change of the supervisor: the model goes into the next STATE. */
void uplink_model_changed(struct uplink *uplink, const char *model);
/* The node begins to drain: said at once. */
void uplink_draining(struct uplink *uplink);

/* The node takes no new requests, or takes them again. */
void uplink_pause(struct uplink *uplink, bool paused);

bool uplink_is_up(const struct uplink *uplink);
/* True where nothing waits to be sent. */
bool uplink_idle(const struct uplink *uplink);
size_t uplink_stream_count(const struct uplink *uplink);
