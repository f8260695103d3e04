/* One model on an engine that runs already, here or at a URL: what ollama.c and openai.c share. The
 * engine is never started or ended. start() has the model loaded where the engine takes that as a
 * wish, and sees that it is there; stop() has it unloaded, which Ollama does once nobody's request
 * runs on it; in between it is looked at again and again, for others may unload it too, and then
 * on_exit comes with `wanted` false and the engine's side of it as the reason. Loop thread only.
 *
 * A model that somebody else has loaded is lent: start() only sees that it is there, and it is
 * neither kept nor unloaded. One that we have loaded is on lease: it is kept for ADOPTED_LEASE_S
 * from the last look, so that a node that dies leaves nothing behind for long. */
#pragma once

#include "node/backends/backend.h"
#include "node/backends/found/found_engine.h"

enum { ADOPTED_LEASE_S = 15 * 60 };

struct adopted_model {
    enum engine_kind kind;
    const char *url;           /* "http://127.0.0.1:11434"; at most ENGINE_URL_MAX bytes */
    const char *authorization; /* a whole header, or NULL */
    const char *id;            /* what the engine calls the model */
    bool lent;                 /* somebody else has loaded it */
};

/* How an engine is told to load a model for ADOPTED_LEASE_S, or once more for as long, and to
 * unload it: appends the body of a POST and names its path. */
struct adopted_wish {
    const char *path;
    struct buf json;
};
struct adopted_ways {
    int (*load)(const char *id, uint32_t capabilities, struct adopted_wish *wish);
    int (*unload)(const char *id, struct adopted_wish *wish);
};

/* `ways` NULL: nothing can be loaded. Copies what `model` points to. The rest is as in backend_ops.
 */
struct instance_backend *adopted_create(const struct adopted_ways *ways,
        const struct backend_host *host, const struct backend_model *model,
        const struct backend_events *events, void *ctx, struct err *err);
void adopted_destroy(struct instance_backend *instance);
uint32_t adopted_expect(const struct backend_host *host, const struct backend_model *model);
MUST_CHECK int adopted_start(struct instance_backend *instance, struct err *err);
void adopted_stop(struct instance_backend *instance);
int64_t adopted_pid(const struct instance_backend *instance);
MUST_CHECK int adopted_run(struct instance_backend *instance, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err);
