#include "bench/sim/policies/balancer.h"

#include "bench/sim/nodes/used_blocks.h"
#include "bench/sim/policies/known_prompts.h"

#include <errno.h>
#include <stdlib.h>

struct state {
    struct world *world;
    const struct balancer *balancer;
    void *own;
    struct balancer_node *nodes;
    double *prefill_tokens;    /* by job: what was counted for it */
    struct job *first, **last; /* those that wait for a node to come up */
    uint32_t up_count;
    struct known_prompts *prompts; /* NULL unless used */
    struct used_blocks *blocks;    /* … */
};

static size_t number_of(const struct state *state, const struct job *job)
{
    return (size_t)(job->work - world_workload(state->world)->at);
}

static int create_parts(struct state *state)
{
    const struct balancer *balancer = state->balancer;
    uint32_t nodes = world_node_count(state->world);

    state->nodes = calloc(nodes, sizeof(*state->nodes));
    state->prefill_tokens =
            calloc(world_workload(state->world)->count + 1, sizeof(*state->prefill_tokens));
    if (!state->nodes || !state->prefill_tokens)
        return -ENOMEM;
    if (balancer->uses_prompts && !(state->prompts = known_prompts_create(state->world)))
        return -ENOMEM;
    if (balancer->uses_blocks && !(state->blocks = used_blocks_create(nodes)))
        return -ENOMEM;
    return balancer->create ? balancer->create(state->world, &state->own) : 0;
}

int balancer_create(const struct policy *policy, struct world *world, void **ret_state)
{
    struct state *state = calloc(1, sizeof(*state));
    int r;

    if (!state)
        return -ENOMEM;
    state->world = world;
    state->balancer = policy->balancer;
    state->last = &state->first;
    r = create_parts(state);
    if (r < 0) {
        balancer_destroy(state);
        return r;
    }
    for (uint32_t i = 0; i < world_node_count(world); i++)
        state->nodes[i] = (struct balancer_node){.told = world_told(world, i), .up = true};
    state->up_count = world_node_count(world);
    *ret_state = state;
    return 0;
}

void balancer_destroy(void *ctx)
{
    struct state *state = ctx;

    if (state->balancer->destroy && state->own)
        state->balancer->destroy(state->own);
    known_prompts_destroy(state->prompts);
    used_blocks_destroy(state->blocks);
    free(state->prefill_tokens);
    free(state->nodes);
    free(state);
}

static struct balancer_view look(struct state *state, const struct job *job)
{
    struct balancer_view view = {
            .nodes = state->nodes,
            .count = world_node_count(state->world),
            .chance = world_chance(state->world),
    };

    if (state->prompts)
        view.held_blocks = known_prompts_find(state->prompts, job);
    if (state->blocks) {
        view.new_blocks = used_blocks_new(state->blocks, job);
        view.used_blocks = used_blocks_counts(state->blocks);
    }
    return view;
}

double balancer_new_tokens(const struct balancer_view *view, const struct job *job, uint32_t node)
{
    uint32_t prompt = job->task.prompt_tokens;
    uint64_t held = (uint64_t)view->held_blocks[node] * WORKLOAD_BLOCK_TOKENS;

    return held < prompt ? prompt - (double)held : 1;
}

static void send_job(
        struct state *state, const struct balancer_view *view, struct job *job, uint32_t node)
{
    double *prefill_tokens = &state->prefill_tokens[number_of(state, job)];
    int r = 0;

    *prefill_tokens =
            view->held_blocks ? balancer_new_tokens(view, job, node) : job->task.prompt_tokens;
    state->nodes[node].requests++;
    state->nodes[node].prefill_tokens += *prefill_tokens;
    if (state->blocks)
        r = used_blocks_take(state->blocks, node, job);
    if (r == 0 && state->prompts)
        r = known_prompts_note(state->prompts, node, job);
    if (r < 0)
        world_fail(state->world, r);
    else
        world_send(state->world, job, node);
}

void balancer_arrived(void *ctx, struct job *job)
{
    struct state *state = ctx;
    uint32_t node = WORLD_NOWHERE;

    if (state->up_count > 0) {
        struct balancer_view view = look(state, job);

        node = state->balancer->choose(state->own, &view, job);
        if (node != WORLD_NOWHERE) {
            send_job(state, &view, job, node);
            return;
        }
    }
    job->next = NULL;
    *state->last = job;
    state->last = &job->next;
}

static void count_prefill_done(struct state *state, const struct job *job)
{
    double *prefill_tokens = &state->prefill_tokens[number_of(state, job)];

    state->nodes[job->node].prefill_tokens -= *prefill_tokens;
    *prefill_tokens = 0;
}

static void count_gone(struct state *state, const struct job *job)
{
    count_prefill_done(state, job);
    state->nodes[job->node].requests--;
    if (state->blocks)
        used_blocks_return(state->blocks, job->node, job);
}

void balancer_first_token(void *ctx, struct job *job)
{
    count_prefill_done(ctx, job);
}

void balancer_ended(void *ctx, struct job *job)
{
    count_gone(ctx, job);
}

void balancer_lost(void *ctx, struct job *job)
{
    count_gone(ctx, job);
}

void balancer_node_down(void *ctx, uint32_t node)
{
    struct state *state = ctx;

    state->nodes[node].up = false;
    state->up_count--;
    if (state->prompts)
        known_prompts_drop(state->prompts, node);
}

void balancer_node_up(void *ctx, uint32_t node)
{
    struct state *state = ctx;
    struct job *waiting = state->first;

    state->nodes[node].up = true;
    state->up_count++;
    state->first = NULL;
    state->last = &state->first;
    while (waiting) {
        struct job *job = waiting;

        waiting = job->next;
        balancer_arrived(state, job);
    }
}
