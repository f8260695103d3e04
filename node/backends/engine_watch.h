/* One address where an engine may run already: asks who is there, and then again and again what it
 * has. Who it is shows in the shape of the answers, whatever the port; a modemesh that answers
 * there is recognised and left alone, for a mesh that takes itself for an engine sends requests
 * round in a circle. Nothing there is ever started, stopped or changed. Loop thread only; no
 * callback from inside these functions.
 *
 *             somebody answers         3 looks fail
 *   ABSENT ──────────────────▶ PRESENT ───────────▶ ABSENT
 *      └──▶ STRANGER, LOCKED, MESH: asked again too, ever more seldom */
#pragma once

#include "common/loop.h"
#include "node/backends/engine_ask.h"
#include "node/backends/found/found_engine.h"

enum {
    ENGINE_WATCH_ABSENT_MAX = 6, /* times the period: how seldom an absent engine is looked for */
    ENGINE_WATCH_STRANGER_MAX = 60, /* … and one who answered, and is no engine for us */
    ENGINE_WATCH_FAILURES_MAX = 3,  /* looks in a row after which an engine is absent */
};

enum engine_presence {
    ENGINE_ABSENT,   /* nobody answers */
    ENGINE_STRANGER, /* somebody, but no engine that we know */
    ENGINE_MESH,     /* a modemesh */
    ENGINE_LOCKED,   /* it wants an API key, or another */
    ENGINE_PRESENT,
    ENGINE_PRESENCE_COUNT,
};
const char *engine_presence_name(enum engine_presence presence); /* "absent", … */

struct engine_watch_events {
    /* It is known at last, or another than before. `kind` counts where it is PRESENT; `why` is for
     * people, borrowed. After PRESENT on_models follows at once. */
    void (*on_presence)(
            void *ctx, enum engine_presence presence, enum engine_kind kind, const char *why);
    /* After each look, also where nothing changed; borrowed. */
    void (*on_models)(void *ctx, const struct found_list *list);
};

struct engine_watch_config {
    struct loop *loop;
    struct http_client *http;
    struct engine_address address; /* borrowed */
    uint32_t period_ms;
};

struct engine_watch;
/* Asks first at once. NULL where malloc refuses. */
struct engine_watch *engine_watch_create(const struct engine_watch_config *config,
        const struct engine_watch_events *events, void *ctx);
/* Takes NULL. */
void engine_watch_destroy(struct engine_watch *watch);
