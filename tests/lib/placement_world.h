/* A fleet for the tests of placements, built piece by piece: models whose engines take a fixed part
 * and so much per token, on the disks of nodes, and modes that want them. Sizes in GiB and KiB as
 * people write them, or in bytes. */
#pragma once

#include "coordinator/placement/placement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_MODELS_MAX = 64 };

struct world_model {
    uint64_t fixed_bytes, token_bytes;
    uint32_t context_max;
};

struct world {
    struct placement_node *nodes;
    struct placement_file *files;
    struct placement_mode *modes;
    struct placement_choice (*choices)[PLACEMENT_CHOICES_MAX];
    const char *names[WORLD_MODELS_MAX];
    struct world_model models[WORLD_MODELS_MAX];
    struct placement_fleet fleet; /* counts what there is */
};

struct world *world_create(void);
void world_destroy(struct world *world);

/* All return the index of the new one. */
size_t world_model(struct world *world, const char *name, double fixed_gib, double token_kib);
size_t world_node(struct world *world, const char *name, uint32_t pool_gib, uint32_t reserve_gib,
        uint32_t bandwidth_gib_s);
size_t world_file(struct world *world, size_t node, size_t model);
/* One copy with one slot, for people who wait; change the rest in `world->modes`. */
size_t world_mode(struct world *world, const char *name, uint32_t context, uint32_t weight);
void world_choice(struct world *world, size_t mode, size_t model);

/* Each model on each disk that has it not yet. */
void world_files_everywhere(struct world *world);
uint64_t world_bytes(const struct world *world, size_t file, uint32_t context, uint32_t slots);
/* Makes it resident. */
void world_reside(struct world *world, size_t file, uint32_t context, uint32_t slots);
/* The file of that model on that node; PLACEMENT_NONE. */
size_t world_find(const struct world *world, size_t node, size_t model);

/* Does what the plan says. */
void world_apply(struct world *world, const struct placement *plan);
/* NULL where the plan keeps every promise: nothing over budget, swap for batch alone, pins, slots,
 * contexts, counts. Else which one it breaks. */
const char *world_broken(const struct world *world, const struct placement *plan);
