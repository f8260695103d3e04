/* What supervisor.c and supervisor_orders.c share; of no use to others. */
#pragma once

#include "node/residency/measurement_file.h"
#include "node/residency/residency.h"
#include "node/residency/supervisor.h"

struct supervisor {
    struct supervisor_config config;
    const struct supervisor_events *events;
    void *ctx;
    struct loop_timer *timer;
    struct instance_common common;
    struct instance **instances;
    size_t count, capacity;
    struct memory *memory;
    uint64_t room_bytes; /* for all engines in sum, as the last decision saw it */
    struct measurement_file *measurements;
    uint64_t short_at_ms, released_at_ms, released_bytes; /* as struct residency_host has them */
    bool draining, stopped_told;
    uint64_t grace_until_ms; /* while draining */
};

/* Of all instances, in their order; `ret_models` has room for them. */
void supervisor_snapshot(const struct supervisor *s, struct residency_model *ret_models);
/* As of the last look at memory. */
struct residency_host supervisor_host(const struct supervisor *s);

struct footprint_room supervisor_room(const struct supervisor *s);
/* It passes the limit, as the swap allowance lets it: interactive requests do not run on it. */
bool supervisor_is_for_batch(const struct supervisor *s, const struct instance *instance);

/* NULL where malloc refuses. */
struct instance *supervisor_add(struct supervisor *s, const char *name, enum instance_role role);
/* Takes `source`, which is NULL where there was no memory for it. */
void supervisor_put(struct supervisor *s, const char *name, struct source *source);
/* The file of the model is not what its successor is loaded for (any more). */
void supervisor_give_up_successor(struct supervisor *s, const char *name);
