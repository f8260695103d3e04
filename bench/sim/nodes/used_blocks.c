#include "bench/sim/nodes/used_blocks.h"

#include "bench/sim/nodes/u64_map.h"

#include <errno.h>
#include <stdlib.h>

struct used_blocks {
    uint32_t nodes;
    struct u64_map *users; /* by node: how many requests use each block */
    uint32_t *counts, *fresh;
};

struct used_blocks *used_blocks_create(uint32_t nodes)
{
    struct used_blocks *used = calloc(1, sizeof(*used));

    if (!used)
        return NULL;
    used->nodes = nodes;
    used->users = calloc(nodes, sizeof(*used->users));
    used->counts = calloc(nodes, sizeof(*used->counts));
    used->fresh = calloc(nodes, sizeof(*used->fresh));
    if (used->users && used->counts && used->fresh)
        return used;
    used_blocks_destroy(used);
    return NULL;
}

void used_blocks_destroy(struct used_blocks *used)
{
    if (!used)
        return;
    for (uint32_t i = 0; used->users && i < used->nodes; i++)
        u64_map_fini(&used->users[i]);
    free(used->users);
    free(used->counts);
    free(used->fresh);
    free(used);
}

const uint32_t *used_blocks_counts(const struct used_blocks *used)
{
    return used->counts;
}

/* As blocks are chained, those in use are the first ones. */
static uint32_t unused(const struct u64_map *users, const struct node_task *task)
{
    uint32_t used = 0;

    while (used < task->block_count && u64_map_find(users, task->chain[used]))
        used++;
    return task->block_count - used;
}

const uint32_t *used_blocks_new(struct used_blocks *used, const struct job *job)
{
    for (uint32_t i = 0; i < used->nodes; i++)
        used->fresh[i] = unused(&used->users[i], &job->task);
    return used->fresh;
}

int used_blocks_take(struct used_blocks *used, uint32_t node, const struct job *job)
{
    for (uint32_t i = 0; i < job->task.block_count; i++) {
        uint32_t *users = u64_map_put(&used->users[node], job->task.chain[i], 0);

        if (!users)
            return -ENOMEM;
        (*users)++;
    }
    used->counts[node] = (uint32_t)used->users[node].count;
    return 0;
}

void used_blocks_return(struct used_blocks *used, uint32_t node, const struct job *job)
{
    for (uint32_t i = 0; i < job->task.block_count; i++) {
        uint32_t *users = u64_map_find(&used->users[node], job->task.chain[i]);

        if (--*users == 0)
            u64_map_remove(&used->users[node], job->task.chain[i]);
    }
    used->counts[node] = (uint32_t)used->users[node].count;
}
