/* Blocks that the requests of each node use now, those that share one counting it once: the active
 * blocks of Dynamo's router. */
#pragma once

#include "bench/sim/world.h"

struct used_blocks;

struct used_blocks *used_blocks_create(uint32_t nodes); /* NULL where malloc refuses */
void used_blocks_destroy(struct used_blocks *used);     /* takes NULL */

/* By node; borrowed until the next call. */
const uint32_t *used_blocks_counts(const struct used_blocks *used);
/* By node: blocks that this job would add. Borrowed until the next call. */
const uint32_t *used_blocks_new(struct used_blocks *used, const struct job *job);
MUST_CHECK int used_blocks_take(
        struct used_blocks *used, uint32_t node, const struct job *job); /* -ENOMEM */
void used_blocks_return(struct used_blocks *used, uint32_t node, const struct job *job);
