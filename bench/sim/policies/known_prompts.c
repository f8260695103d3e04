#include "bench/sim/policies/known_prompts.h"

#include "bench/sim/policies/late_notes.h"
#include "coordinator/scheduling/prefix_index.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    INDEX_BYTES_MAX = 256 * 1024 * 1024,
    CLEAR_STEPS = 4096, /* of what the dead have left, at each look */
};

struct known_prompts {
    struct world *world;
    struct prefix_index *index;
    struct prefix_group *group;
    uint32_t *holders; /* by node */
    uint32_t *by_holder, *held;
    struct late_notes late;
};

uint32_t known_prompts_capacity(const struct world *world, uint32_t node)
{
    const struct world_params *params = world_params(world);
    double blocks = params->nodes[node].cache_tokens / WORKLOAD_BLOCK_TOKENS;

    return (uint32_t)fmax(1, blocks * params->index_share);
}

static int add_holder(struct known_prompts *known, uint32_t node)
{
    return prefix_holder_add(
            known->group, known_prompts_capacity(known->world, node), &known->holders[node]);
}

static int create_parts(struct known_prompts *known)
{
    uint32_t nodes = world_node_count(known->world);
    int r = 0;

    known->holders = calloc(nodes, sizeof(*known->holders));
    known->held = calloc(nodes, sizeof(*known->held));
    known->by_holder = calloc(PREFIX_HOLDERS_MAX, sizeof(*known->by_holder));
    known->index = prefix_index_create(INDEX_BYTES_MAX);
    if (!known->holders || !known->held || !known->by_holder || !known->index)
        return -ENOMEM;
    r = prefix_group_create(known->index, 0, &known->group);
    for (uint32_t i = 0; r == 0 && i < nodes; i++)
        r = add_holder(known, i);
    return r;
}

struct known_prompts *known_prompts_create(struct world *world)
{
    struct known_prompts *known = calloc(1, sizeof(*known));

    if (!known)
        return NULL;
    known->world = world;
    late_notes_init(&known->late);
    if (create_parts(known) == 0)
        return known;
    known_prompts_destroy(known);
    return NULL;
}

void known_prompts_destroy(struct known_prompts *known)
{
    if (!known)
        return;
    late_notes_fini(&known->late);
    prefix_group_destroy(known->group);
    if (known->index)
        prefix_index_destroy(known->index);
    free(known->by_holder);
    free(known->held);
    free(known->holders);
    free(known);
}

static void take_notes(struct known_prompts *known)
{
    struct late_note note;

    while (late_notes_pop(&known->late, world_now_s(known->world), &note))
        if (known->holders[note.node] != PREFIX_NO_HOLDER)
            prefix_note(known->group, known->holders[note.node], note.chain, note.count);
    (void)prefix_index_work(known->index, CLEAR_STEPS);
}

const uint32_t *known_prompts_find(struct known_prompts *known, const struct job *job)
{
    take_notes(known);
    prefix_find(known->group, job->task.chain, job->task.block_count, known->by_holder);
    for (uint32_t i = 0; i < world_node_count(known->world); i++)
        known->held[i] =
                known->holders[i] == PREFIX_NO_HOLDER ? 0 : known->by_holder[known->holders[i]];
    return known->held;
}

int known_prompts_note(struct known_prompts *known, uint32_t node, const struct job *job)
{
    int r = 0;

    if (known->holders[node] == PREFIX_NO_HOLDER)
        r = add_holder(known, node);
    if (r < 0)
        return r;
    return late_notes_push(&known->late,
            (struct late_note){
                    .due_s = world_now_s(known->world) + world_params(known->world)->index_lag_s,
                    .chain = job->task.chain,
                    .count = job->task.block_count,
                    .node = node,
            });
}

void known_prompts_drop(struct known_prompts *known, uint32_t node)
{
    prefix_holder_drop(known->group, known->holders[node]);
    known->holders[node] = PREFIX_NO_HOLDER;
}
