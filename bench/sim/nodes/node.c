#include "bench/sim/nodes/node.h"

#include "bench/sim/nodes/kv_cache.h"
#include "bench/sim/workload/workload.h"

#include <math.h>
#include <stdlib.h>

struct node {
    struct node_params params;
    const struct node_events *events;
    void *ctx;
    struct kv_cache *cache;
    struct list waiting; /* for a slot */
    struct list running; /* in the order in which they got their slots */
    uint32_t task_count, in_slots, decoding;
    bool telling; /* what ended; what comes meanwhile is in the next iteration */
    struct {      /* what it computes now */
        double begun_s, iteration_s;
        uint32_t iterations; /* 0: nothing */
    } run;
    double busy_s;
};

struct node *node_create(
        const struct node_params *params, const struct node_events *events, void *ctx)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    node->params = *params;
    node->events = events;
    node->ctx = ctx;
    list_init(&node->waiting);
    list_init(&node->running);
    node->cache = kv_cache_create(params->cache_tokens / WORKLOAD_BLOCK_TOKENS);
    if (!node->cache) {
        free(node);
        return NULL;
    }
    return node;
}

void node_destroy(struct node *node)
{
    if (!node)
        return;
    kv_cache_destroy(node->cache);
    free(node);
}

uint32_t node_task_count(const struct node *node)
{
    return node->task_count;
}

double node_busy_s(const struct node *node)
{
    return node->busy_s;
}

double node_next_s(const struct node *node)
{
    return node->run.iterations > 0
                   ? node->run.begun_s + node->run.iterations * node->run.iteration_s
                   : INFINITY;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void enter_slot(struct node *node, struct node_task *task)
{
    list_del(&task->link);
    list_push_back(&node->running, &task->link);
    node->in_slots++;
    task->in_slot = true;
    task->begun = false;
    task->pinned_blocks = kv_cache_pin(node->cache, task->chain, task->block_count);
    task->cached_blocks = task->pinned_blocks;
    task->cached_tokens =
            min_u32(task->pinned_blocks * WORKLOAD_BLOCK_TOKENS, task->prompt_tokens - 1);
    task->to_prefill = task->prompt_tokens - task->cached_tokens;
    task->to_decode = task->output_tokens;
}

static void fill_slots(struct node *node)
{
    while (node->in_slots < node->params.slots && !list_empty(&node->waiting))
        enter_slot(node, list_entry(node->waiting.next, struct node_task, link));
}

static void begin_prefill(struct node_task *task, double now_s)
{
    if (!task->begun)
        task->begun_s = now_s;
    task->begun = true;
}

/* Shares the chunk out and returns the seconds that it takes. */
static double take_pieces(struct node *node, double now_s)
{
    uint32_t left = node->params.chunk_tokens;
    double seconds = 0;

    list_for_each (it, &node->running) {
        struct node_task *task = list_entry(it, struct node_task, link);

        task->piece = min_u32(task->to_prefill, left);
        left -= task->piece;
        if (task->piece == 0)
            continue;
        begin_prefill(task, now_s);
        seconds += cost_prefill_s(
                &node->params.rates, task->piece, task->prompt_tokens - task->to_prefill);
    }
    return seconds;
}

/* Until the first one that decodes is done. */
static uint32_t shortest_answer(const struct node *node)
{
    uint32_t tokens = UINT32_MAX;

    list_for_each (it, &node->running) {
        const struct node_task *task = list_entry(it, struct node_task, link);

        if (task->to_prefill == 0)
            tokens = min_u32(tokens, task->to_decode);
    }
    return tokens;
}

static void begin_run(struct node *node, double now_s)
{
    double prefill_s, step_s;

    fill_slots(node);
    node->run.iterations = 0;
    if (list_empty(&node->running))
        return;
    prefill_s = take_pieces(node, now_s);
    step_s = node->decoding > 0 ? cost_step_s(&node->params.rates, node->decoding) : 0;
    node->run.begun_s = now_s;
    node->run.iteration_s = prefill_s + step_s;
    node->run.iterations = prefill_s > 0 ? 1 : shortest_answer(node);
}

/* Ends a run of decoding with the iteration that is under way. */
static void cut_run(struct node *node, double now_s)
{
    double under_way = ceil((now_s - node->run.begun_s) / node->run.iteration_s - 1e-9);

    if (under_way < 1)
        under_way = 1;
    if (under_way < node->run.iterations)
        node->run.iterations = (uint32_t)under_way;
}

void node_give(struct node *node, struct node_task *task, double now_s)
{
    task->in_slot = false;
    task->pinned_blocks = 0;
    task->sequence_s = 0;
    list_push_back(&node->waiting, &task->link);
    node->task_count++;
    if (node->telling)
        return;
    if (node->run.iterations == 0)
        begin_run(node, now_s);
    else if (node->in_slots < node->params.slots)
        cut_run(node, now_s);
}

static void leave(struct node *node, struct node_task *task)
{
    list_del(&task->link);
    node->task_count--;
    node->in_slots -= task->in_slot;
}

static void end_task(struct node *node, struct node_task *task, double now_s)
{
    node->decoding--;
    kv_cache_release(node->cache, task->chain, task->pinned_blocks);
    leave(node, task);
    task->decode_s = now_s - task->first_s;
    task->mean_sequences = task->decode_s > 0 ? task->sequence_s / task->decode_s : 1;
    node->events->ended(node->ctx, task, now_s);
}

static void finish_prefill(struct node *node, struct node_task *task, double now_s)
{
    task->pinned_blocks =
            kv_cache_add(node->cache, task->chain, task->pinned_blocks, task->block_count);
    task->prefill_s = now_s - task->begun_s;
    task->first_s = now_s;
    task->to_decode--;
    node->decoding++;
    node->events->first_token(node->ctx, task, now_s);
}

/* What the run has done for one; before any of it is told, as those who hear of it give more. */
static void count_run(const struct node *node, struct node_task *task, uint32_t iterations)
{
    if (task->piece > 0) {
        task->to_prefill -= task->piece;
    } else if (task->to_prefill == 0) {
        task->to_decode -= iterations;
        task->sequence_s += node->decoding * iterations * node->run.iteration_s;
    }
}

static void tell_run(struct node *node, struct node_task *task, double now_s)
{
    if (task->to_prefill > 0)
        return;
    if (task->piece > 0)
        finish_prefill(node, task, now_s);
    if (task->to_decode == 0)
        end_task(node, task, now_s);
}

void node_advance(struct node *node, double now_s)
{
    uint32_t iterations = node->run.iterations;

    node->busy_s += now_s - node->run.begun_s;
    list_for_each (it, &node->running) {
        count_run(node, list_entry(it, struct node_task, link), iterations);
    }
    node->telling = true;
    list_for_each_safe (it, &node->running) {
        tell_run(node, list_entry(it, struct node_task, link), now_s);
    }
    node->telling = false;
    begin_run(node, now_s);
}

static void lose_all(struct list *from, void (*lost)(void *ctx, struct node_task *task), void *ctx)
{
    while (!list_empty(from)) {
        struct node_task *task = list_entry(from->next, struct node_task, link);

        list_del(&task->link);
        lost(ctx, task);
    }
}

/* What is whole of a run that does not come to its end: at least its last iteration is missing. */
static void break_run(struct node *node, double now_s)
{
    double ran_s = now_s - node->run.begun_s;
    uint32_t whole =
            (uint32_t)fmin(floor(ran_s / node->run.iteration_s + 1e-9), node->run.iterations - 1.0);

    node->busy_s += ran_s;
    list_for_each (it, &node->running) {
        struct node_task *task = list_entry(it, struct node_task, link);

        if (task->piece == 0)
            count_run(node, task, whole);
    }
}

void node_kill(
        struct node *node, double now_s, void (*lost)(void *ctx, struct node_task *task), void *ctx)
{
    if (node->run.iterations > 0)
        break_run(node, now_s);
    node->run.iterations = 0;
    node->task_count = node->in_slots = node->decoding = 0;
    kv_cache_clear(node->cache);
    lose_all(&node->running, lost, ctx);
    lose_all(&node->waiting, lost, ctx);
}
