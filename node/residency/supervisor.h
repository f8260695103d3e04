/* The engines of this node: one process per model, never more than memory allows, started when the
 * config or a request wants them and started again when they die; and the models of engines that
 * run already, loaded there by the same rules. Which are loaded together is decided in residency.h,
 * how one model lives in instance.h, how an engine is run in backends/. Loop thread. Callbacks
 * never come from inside the call that caused them, on_change excepted. */
#pragma once

#include "common/err.h"
#include "common/loop.h"
#include "node/backends/backend.h"
#include "node/backends/engines.h"
#include "node/models/catalogue.h"
#include "node/residency/instance.h"
#include "node/residency/memory.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SUPERVISOR_GRACE_MS = 5000,      /* while draining: what runs may finish for so long */
    SUPERVISOR_PROMPTS_DIVISOR = 16, /* one model's earlier prompts take such a part of the memory
                                        at most, where no setting says … */
};

#define SUPERVISOR_PROMPTS_MAX_BYTES (UINT64_C(8) << 30) /* … and so much */

struct supervisor_config {
    const struct backend_ops *ops; /* of the engines that are started for files */
    struct backend_host host;      /* its env gives time and jitter */
    const char *node_name;         /* for those who read a refusal */
    struct memory_config memory;
    uint64_t swap_bytes; /* swap_allowance: one model may pass the limit by so much, in batch */
    uint64_t bandwidth_bytes; /* a second, of the memory; 0: as the hardware tells */
    bool keeps_prompts; /* engines keep earlier prompts in the host's memory, also where no setting
                           says how much */
    const char *measurements; /* file that they are kept in (measurement_file.h); NULL: none */
};

struct supervisor_events {
    /* What supervisor_describe() says of `model` is new; false from it: the model is gone. Do no
     * more than note it. */
    void (*on_change)(void *ctx, const char *model);
    /* After supervisor_drain(): no engine is left. */
    void (*on_stopped)(void *ctx);
};

struct supervisor;

/* The config is copied, what it points to is borrowed. Errors: those of memory_create(). */
MUST_CHECK int supervisor_create(struct loop *loop, const struct supervisor_config *config,
        const struct supervisor_events *events, void *ctx, struct supervisor **ret_supervisor,
        struct err *err);
/* No engine runs: it was drained, or started none. Takes NULL. */
void supervisor_destroy(struct supervisor *supervisor);

/* From the catalogue; takes `settings`. A changed file, and settings that need another engine, are
 * taken up when the engine is idle; a lost file ends it then. */
void supervisor_model_put(struct supervisor *supervisor, const struct catalogue_model *model,
        struct model_settings *settings);
void supervisor_model_gone(struct supervisor *supervisor, const char *name);
/* The settings of the file that the model comes from, or is to have next; NULL where there is none.
 * Borrowed until the next of these calls. */
const struct model_settings *supervisor_settings(
        const struct supervisor *supervisor, const char *name);
/* From an engine that runs already, and which `ops` runs requests on. Where a file has the same
 * name, the file counts. `pin`: keep it loaded there. */
void supervisor_engine_model_put(struct supervisor *supervisor, const struct backend_ops *ops,
        const struct engines_model *model, bool pin);
void supervisor_engine_model_gone(struct supervisor *supervisor, const char *name);
/* Engines load into main memory, and compute on the processors. Constant. */
bool supervisor_uses_processors(const struct supervisor *supervisor);

/* --- orders --- */

enum { SUPERVISOR_TEXT_MAX = 384 };

/* How a load goes that somebody orders. */
struct supervisor_load {
    const char *name;     /* of a model of this node, not foreign */
    const char *replaces; /* another model, which may end for it; NULL: none */
    /* Where it comes from a file: how it shall run from then on, taken by supervisor_load().
     * NULL: as it is. */
    const struct catalogue_model *model;
    struct model_settings *settings;
};
/* Which way that would go now, and the numbers in a sentence: ORDER_WAY_NONE says why not and what
 * would fit. Changes nothing. */
enum order_way supervisor_rehearse(struct supervisor *supervisor,
        const struct supervisor_load *load, char ret_text[SUPERVISOR_TEXT_MAX]);
/* Goes that way: `wait` is answered when the model is loaded so, or why not. Not ORDER_WAY_NONE. */
void supervisor_load(struct supervisor *supervisor, const struct supervisor_load *load,
        enum order_way way, struct instance_wait *wait);
/* The engine takes no new run and ends when it is idle. */
void supervisor_unload(struct supervisor *supervisor, const char *name);
/* Of a model of an engine that runs already; that of a file is in its settings. */
void supervisor_engine_pin(struct supervisor *supervisor, const char *name, bool pin);

/* Refuses what waits, lets what runs finish for SUPERVISOR_GRACE_MS, stops every engine for sure,
 * then on_stopped. A second call ends the grace. */
void supervisor_drain(struct supervisor *supervisor);
bool supervisor_draining(const struct supervisor *supervisor);

/* Does what is due at this time. Its own timer calls it; tests that own the clock call it
 * themselves. */
void supervisor_tick(struct supervisor *supervisor);

/* NULL where the node has no such model (any more). Valid until the loop's next turn, and as long
 * as the caller waits for it or has acquired it. */
struct instance *supervisor_find(const struct supervisor *supervisor, const char *name);
/* For the link's STATE; strings are borrowed until the loop's next turn. False where there is no
 * such model. */
bool supervisor_describe(
        const struct supervisor *supervisor, const char *name, struct msg_instance *ret_instance);
/* True where `name` is larger than this node's memory, as its swap allowance lets it be: only batch
 * work runs on it. */
bool supervisor_batch_only(const struct supervisor *supervisor, const char *name);
/* The name of the model at `index`; NULL past the last. */
const char *supervisor_model_at(const struct supervisor *supervisor, size_t index);
/* The memory numbers of `state`, from a look that is no older than MEMORY_LOOK_MS. */
void supervisor_memory(struct supervisor *supervisor, struct msg_state *state);
