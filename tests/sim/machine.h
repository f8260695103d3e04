/* A host that is not there: memory, other programs that take some of it, and fake engines
 * (node/backends/fake.h) that take theirs bit by bit as they load and give it back a while after
 * they have ended. What is free shows as a kernel or a driver shows it, in files below a folder,
 * to the node's own readers. All of it on a virtual clock. One in a process. */
#pragma once

#include "common/loop.h"
#include "node/backends/backend.h"
#include "node/residency/supervisor.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MACHINE_ENGINES_MAX = 16,
    MACHINE_LAGS_MAX = 64,
    MACHINE_FILES_MAX = MACHINE_ENGINES_MAX + 1,
};

enum machine_kind {
    MACHINE_PROCESSES,  /* main memory; what each engine has can be seen */
    MACHINE_CONTAINERS, /* main memory; the engines are no processes that the node knows */
    MACHINE_GPU,
    MACHINE_KIND_COUNT,
};

/* What the next engine of a model will do. */
struct machine_plan {
    uint64_t bytes; /* once it is loaded */
    uint32_t load_ms, run_ms;
    uint32_t stop_ms; /* from the order to stop until it has ended … */
    uint32_t lag_ms;  /* … and until its memory is seen as free */
    bool fails;       /* it dies instead of getting ready */
    bool dies;        /* with its first request */
};

/* From inside the node's calls, before the engine does it; do not call the node. */
struct machine_events {
    void (*on_start)(void *ctx, const char *model, struct machine_plan *ret_plan);
    void (*on_ready)(void *ctx, const char *model);
    void (*on_stop)(void *ctx, const char *model);
    void (*on_exit)(void *ctx, const char *model);
    void (*on_run)(void *ctx, const char *request_id);
};

struct machine_engine {
    const char *model; /* NULL: there is none */
    struct machine_plan plan;
    struct instance_backend *backend;
    const struct backend_events *events; /* the node's */
    void *ctx;
    struct loop_timer *timer; /* until it ends */
    uint64_t began_ms;
    bool loaded, stopping;
};

struct machine {
    enum machine_kind kind;
    struct loop loop;
    struct virtual_env world;
    struct scratch files;
    struct backend_ops ops; /* the fake engine's, with what is told and counted here */
    const struct machine_events *events;
    void *ctx;
    uint64_t total_bytes, foreign_bytes;
    struct machine_engine engines[MACHINE_ENGINES_MAX];
    struct {
        uint64_t bytes, until_ms;
    } lags[MACHINE_LAGS_MAX];
    int fds[MACHINE_FILES_MAX]; /* what is free, and what each engine has; -1: not made */
    uint64_t shown_bytes;       /* as free */
};

/* The random numbers of its world begin with `seed`. */
void machine_init(struct machine *machine, enum machine_kind kind, uint64_t total_bytes,
        uint64_t seed, const struct machine_events *events, void *ctx);
/* No engine is left. */
void machine_fini(struct machine *machine);

/* A node on it; the rest of its config is the caller's. */
void machine_config(struct machine *machine, struct supervisor_config *config);

uint64_t machine_now_ms(const struct machine *machine);
/* Other programs have so much from now on. */
void machine_set_foreign(struct machine *machine, uint64_t bytes);
/* An engine of `model` dies by itself; false where there is none that is loaded. */
bool machine_kill(struct machine *machine, const char *model);

/* What is free, as the node would see it now. */
uint64_t machine_free_bytes(const struct machine *machine);
/* What has been given back and does not show as free yet. */
uint64_t machine_lagging_bytes(const struct machine *machine);
/* What the engine of `model` has now; 0 where there is none. */
uint64_t machine_taken_bytes(const struct machine *machine, const char *model);
/* Moves the clock to the next thing that happens, no further than `until_ms`, and lets it happen.
 */
void machine_step(struct machine *machine, uint64_t until_ms);
