#include "bench/sim/nodes/u64_map.h"

#include "bench/sim/workload/chance.h"

#include <stdlib.h>
#include <string.h>

void u64_map_init(struct u64_map *map)
{
    *map = (struct u64_map){0};
}

void u64_map_fini(struct u64_map *map)
{
    free(map->cells);
    u64_map_init(map);
}

void u64_map_clear(struct u64_map *map)
{
    if (map->cells)
        memset(map->cells, 0, map->room * sizeof(*map->cells));
    map->count = 0;
}

static size_t home_of(const struct u64_map *map, uint64_t key)
{
    return (size_t)chance_mix(key) & (map->room - 1);
}

/* Where it is, or would be. */
static struct u64_map_cell *cell_of(const struct u64_map *map, uint64_t key)
{
    size_t at = home_of(map, key);

    while (map->cells[at].used && map->cells[at].key != key)
        at = (at + 1) & (map->room - 1);
    return &map->cells[at];
}

uint32_t *u64_map_find(const struct u64_map *map, uint64_t key)
{
    struct u64_map_cell *cell = map->room > 0 ? cell_of(map, key) : NULL;

    return cell && cell->used ? &cell->value : NULL;
}

/* At most half full, so that probes stay short. */
static bool make_room(struct u64_map *map)
{
    struct u64_map grown = {.count = map->count, .room = map->room ? 2 * map->room : 64};

    if (2 * (map->count + 1) <= map->room)
        return true;
    grown.cells = calloc(grown.room, sizeof(*grown.cells));
    if (!grown.cells)
        return false;
    for (size_t i = 0; i < map->room; i++)
        if (map->cells[i].used)
            *cell_of(&grown, map->cells[i].key) = map->cells[i];
    free(map->cells);
    *map = grown;
    return true;
}

uint32_t *u64_map_put(struct u64_map *map, uint64_t key, uint32_t value)
{
    struct u64_map_cell *cell;

    if (!make_room(map))
        return NULL;
    cell = cell_of(map, key);
    if (!cell->used) {
        *cell = (struct u64_map_cell){.key = key, .value = value, .used = true};
        map->count++;
    }
    return &cell->value;
}

/* Moves those that probed past the hole back into it (Knuth, vol. 3, 6.4, algorithm R). */
static void close_hole(struct u64_map *map, size_t hole)
{
    size_t mask = map->room - 1;

    for (size_t at = (hole + 1) & mask; map->cells[at].used; at = (at + 1) & mask) {
        size_t home = home_of(map, map->cells[at].key);

        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        map->cells[hole] = map->cells[at];
        hole = at;
    }
    map->cells[hole].used = false;
}

void u64_map_remove(struct u64_map *map, uint64_t key)
{
    struct u64_map_cell *cell = map->room > 0 ? cell_of(map, key) : NULL;

    if (!cell || !cell->used)
        return;
    map->count--;
    close_hole(map, (size_t)(cell - map->cells));
}
