/* From a number of 64 bits to one of 32: open addressing, linear probing, no tombstones. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u64_map_cell {
    uint64_t key;
    uint32_t value;
    bool used;
};

struct u64_map {
    struct u64_map_cell *cells;
    size_t count, room; /* room: 0 or a power of two */
};

void u64_map_init(struct u64_map *map);
void u64_map_fini(struct u64_map *map);
/* NULL where it is not in. Borrowed until the next change. */
uint32_t *u64_map_find(const struct u64_map *map, uint64_t key);
/* As above, put in with `value` where it was not in. NULL where malloc refuses. */
uint32_t *u64_map_put(struct u64_map *map, uint64_t key, uint32_t value);
void u64_map_remove(struct u64_map *map, uint64_t key);
void u64_map_clear(struct u64_map *map);
