/* Nodes that are not there, each with models on toy engines: the other end of a coordinator's link
 * in memory (tests/lib/fake_mesh.h), on its virtual clock. An engine has slots; it computes prompts
 * one after another and writes each answer at its own pace; who comes beyond the slots waits there,
 * and so do requests for a model that loads. A model that is not loaded is loaded by the first
 * request for it, if the node's memory limit can hold it. All else that happens to nodes is the
 * test's to say. What has changed is told at once, so that the coordinator knows what stands here;
 * but a silent node says nothing, and stands still. */
#pragma once

#include "coordinator/request.h"
#include "tests/lib/fake_mesh.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOY_NODES = 6,
    TOY_MODELS = 4,
    TOY_RUNS_MAX = 256, /* requests on one node */
    TOY_SESSIONS = 16,  /* conversations, of which each engine knows how much it has of them */
    TOY_LOAD_MS = 5000,
    TOY_RESTART_MS = 2000, /* an engine that has died is started again after so long */
    TOY_STOP_MS = 500,
};

enum toy_fate {
    TOY_ANSWERS,
    TOY_DIES,    /* in the middle of the answer, and all that its engine has with it */
    TOY_REFUSES, /* at once: the node has no place for it */
};

struct toy_work { /* what a request is to an engine */
    uint32_t prompt_tokens, output_tokens;
    size_t session; /* below TOY_SESSIONS; or no session */
    enum toy_fate fate;
};

enum toy_phase { TOY_QUEUED, TOY_PREFILL, TOY_DECODE };

struct toy_run { /* a request on a node */
    char id[REQUEST_ID_MAX];
    uint64_t stream;
    size_t model;
    struct toy_work work;
    enum toy_phase phase;
    bool whole;             /* all of its body is here … */
    uint32_t owed_bytes;    /* … and what of it was not acknowledged yet */
    enum fail_code refusal; /* it will be told; FAIL_CODE_COUNT: none */
    uint32_t cached_tokens;
    uint64_t since_ms, until_ms; /* of its phase, past TOY_QUEUED */
    float prefill_ms;
};

struct toy_model { /* on a node */
    const char *name;
    bool here; /* on its disk */
    enum instance_state state;
    uint64_t due_ms; /* LOADING, FAILED, STOPPING: the next state comes then */
    uint32_t capabilities, context, slots;
    uint64_t memory_bytes;
    bool batch_only;
    double prefill_tok_s, step_ms;
    uint32_t held_tokens[TOY_SESSIONS]; /* of each conversation's last prompt */
};

struct toy_node {
    bool here; /* its link stands, as far as it knows */
    bool silent, draining;
    uint32_t epoch; /* of its session, as WELCOME said */
    uint64_t heard_ms, silent_until_ms;
    uint64_t limit_bytes;
    struct toy_model models[TOY_MODELS];
    struct toy_run runs[TOY_RUNS_MAX]; /* in the order in which they came */
    size_t run_count;
};

struct toy_events {
    /* START has come, before any answer to it; `*ret_work` says what to make of it. */
    void (*on_start)(void *ctx, size_t node, size_t model, const struct msg_start *start,
            struct toy_work *ret_work);
    /* The first of its answer goes out. */
    void (*on_content)(void *ctx, size_t node, const struct toy_run *run);
    /* It has ended, the coordinator will hear of it next: with an answer, with a failure, or by the
     * coordinator's word or the end of the session (`code` FAIL_CODE_COUNT). */
    void (*on_answered)(void *ctx, size_t node, const struct toy_run *run);
    void (*on_failed)(
            void *ctx, size_t node, const struct toy_run *run, enum fail_code code, bool blamed);
    void (*on_dropped)(void *ctx, size_t node, const struct toy_run *run);
};

struct toy_fleet {
    struct fake_mesh *mesh;
    const struct toy_events *events;
    void *ctx;
    struct toy_node nodes[TOY_NODES];
};

/* The nodes as drawn by the test are set up afterwards, before toy_node_comes(). */
void toy_fleet_init(struct toy_fleet *fleet, struct fake_mesh *mesh,
        const struct toy_events *events, void *ctx);
/* Reads what has been sent to the nodes, the silent ones too; they answer when they advance. True
 * where there was anything. */
bool toy_fleet_read(struct toy_fleet *fleet);
/* What is due is done; heartbeats are sent. */
void toy_fleet_advance(struct toy_fleet *fleet);
/* When something is due next; UINT64_MAX: nothing is. */
uint64_t toy_fleet_due_ms(const struct toy_fleet *fleet);

/* A new session, in which all models are told. What ran is forgotten. */
void toy_node_comes(struct toy_fleet *fleet, size_t node);
/* Its link breaks, and the coordinator's socket shows it. */
void toy_node_goes(struct toy_fleet *fleet, size_t node);
void toy_node_falls_silent(struct toy_fleet *fleet, size_t node, uint64_t for_ms);
/* Tells the node's models as they stand here. */
void toy_node_tell(struct toy_fleet *fleet, size_t node);
/* All that the engine has fails, and it is started again. */
void toy_engine_dies(struct toy_fleet *fleet, size_t node, size_t model);
/* The engine ends, as nothing runs there; else nothing happens. */
void toy_model_unloads(struct toy_fleet *fleet, size_t node, size_t model);
/* Requests that it has. */
size_t toy_model_runs(const struct toy_fleet *fleet, size_t node, size_t model);
bool toy_model_fits(const struct toy_node *node, const struct toy_model *model);
