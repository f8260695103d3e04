/* What is known of the prompts that nodes hold: the coordinator's own prefix index, fed as jobs are
 * sent, for the baselines that know as much. (An engine that reused less than was thought has
 * computed the rest, which it holds then: there is nothing to correct.) It may be kept from knowing
 * all: less room for each node than its cache has, and news that come late (struct world_params).
 */
#pragma once

#include "bench/sim/world.h"

struct known_prompts;
struct prefix_index;
struct prefix_group;

/* Blocks of a node's cache that the index is told of. */
uint32_t known_prompts_capacity(const struct world *world, uint32_t node);

/* With an index of its own. NULL where malloc refuses. */
struct known_prompts *known_prompts_create(struct world *world);
void known_prompts_destroy(struct known_prompts *known); /* takes NULL */

/* By node: blocks of the job's prompt that it holds. Borrowed until the next call. */
const uint32_t *known_prompts_find(struct known_prompts *known, const struct job *job);
/* The job is sent there. -ENOMEM. */
MUST_CHECK int known_prompts_note(
        struct known_prompts *known, uint32_t node, const struct job *job);
/* The node has died: it holds nothing. */
void known_prompts_drop(struct known_prompts *known, uint32_t node);
