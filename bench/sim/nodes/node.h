/* A model node, iteration by iteration, as engines with continuous batching work: requests wait in
 * the order in which they came until a slot is free. Each iteration computes one token of every
 * sequence that is past its prompt, and up to a chunk of the prompts that are not, first come first
 * served:
 *
 *   seconds = Σ prefill of the pieces, n·(1 + (d + n/2)/D) / R  +  (B > 0 ? a + b·B : 0)
 *
 * for a piece of n tokens behind d that are there, and B sequences that decode. The end of a
 * prompt is its first token. Blocks of the prompt that the cache holds when it gets its slot are
 * not computed, but its last token always is. When the prompt is done its blocks are in the cache.
 *
 * Only decoding, many iterations are reckoned at once; a request that comes meanwhile and finds a
 * slot ends that with the iteration that is under way. Owned by the world; time is virtual. */
#pragma once

#include "common/list.h"
#include "coordinator/scheduling/cost.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NODE_SLOTS_MAX = 256 };

struct node_params {
    struct cost_rates rates; /* as they truly are */
    uint32_t slots;
    uint32_t chunk_tokens; /* of prompts in one iteration */
    uint32_t cache_tokens; /* of prompts that it keeps between requests, those running too */
    double load_s;         /* until its model is loaded after a start */
};

struct node_task { /* a request on a node; the caller's memory */
    const uint64_t *chain;
    uint32_t block_count;
    uint32_t prompt_tokens, output_tokens; /* at least 1 each */
    /* What the engine tells of it, when it has ended: */
    uint32_t cached_tokens; /* of the prompt that were not computed */
    uint32_t cached_blocks; /* … as blocks */
    double prefill_s;       /* from its first piece to its first token */
    double decode_s;        /* from there to its last token */
    double mean_sequences;  /* that decoded at once meanwhile */
    /* The node's own: */
    struct list link;
    bool in_slot, begun;
    uint32_t pinned_blocks;
    uint32_t to_prefill, to_decode, piece; /* tokens; `piece`: of this iteration */
    double begun_s, first_s, sequence_s;
};

struct node_events {
    void (*first_token)(void *ctx, struct node_task *task, double now_s);
    void (*ended)(void *ctx, struct node_task *task, double now_s); /* it is nowhere any more */
};

struct node;

/* NULL where malloc refuses. */
struct node *node_create(
        const struct node_params *params, const struct node_events *events, void *ctx);
void node_destroy(struct node *node); /* takes NULL; tasks are nowhere */

void node_give(struct node *node, struct node_task *task, double now_s);
/* When it comes to the end of what it computes; INFINITY: it has nothing to do. */
double node_next_s(const struct node *node);
/* It is that time. */
void node_advance(struct node *node, double now_s);
/* It dies: its cache is empty, and what it had is told to `lost`, in the order in which it came,
 * with `to_decode` as it was then. Only whole iterations have written something. */
void node_kill(struct node *node, double now_s, void (*lost)(void *ctx, struct node_task *task),
        void *ctx);

uint32_t node_task_count(const struct node *node);
/* Seconds that it computed. */
double node_busy_s(const struct node *node);
