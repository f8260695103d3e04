#include "coordinator/scheduling/affinity.h"

#include "common/number.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ROOM_MIN = 64 };
#define NONE UINT32_MAX

/* Entries keep their places; a bucket names the first of those that belong to it. */
struct entry {
    struct affinity affinity;
    uint32_t next;         /* in its bucket, or of the free ones */
    uint32_t older, newer; /* by when they were seen */
};

struct affinities {
    struct entry *entries;
    uint32_t *buckets; /* `room` of them, a power of two */
    uint32_t room, used, count, max;
    uint32_t free, oldest, newest;
    uint64_t seed;
};

/* --- ids */

static uint64_t but_not_0(uint64_t hash)
{
    return hash ? hash : 1;
}

uint64_t affinity_id(const struct affinities *table, const char *tenant, const char *text)
{
    uint64_t seed = XXH3_64bits_withSeed(tenant, strlen(tenant), table->seed);
    return but_not_0(XXH3_64bits_withSeed(text, strlen(text), seed));
}

uint64_t affinity_model(const char *model)
{
    return but_not_0(XXH3_64bits(model, strlen(model)));
}

/* --- the table */

struct affinities *affinities_create(size_t max, uint64_t seed)
{
    struct affinities *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->max = (uint32_t)number_lesser(number_greater(max, 1), AFFINITIES_MAX);
    table->seed = seed;
    table->free = table->oldest = table->newest = NONE;
    return table;
}

void affinities_destroy(struct affinities *table)
{
    if (!table)
        return;
    free(table->entries);
    free(table->buckets);
    free(table);
}

size_t affinities_count(const struct affinities *table)
{
    return table->count;
}

static uint32_t *bucket_of(const struct affinities *table, uint64_t id)
{
    return &table->buckets[XXH3_64bits_withSeed(&id, sizeof(id), table->seed) & (table->room - 1)];
}

static void add_to_bucket(struct affinities *table, uint32_t i)
{
    uint32_t *bucket = bucket_of(table, table->entries[i].affinity.id);
    table->entries[i].next = *bucket;
    *bucket = i;
}

static bool grow(struct affinities *table)
{
    uint32_t room = table->room ? 2 * table->room : ROOM_MIN;
    uint32_t *buckets = malloc(room * sizeof(*buckets));
    struct entry *entries = buckets ? realloc(table->entries, room * sizeof(*entries)) : NULL;
    if (!entries) {
        free(buckets);
        return false;
    }
    free(table->buckets);
    memset(buckets, 0xff, room * sizeof(*buckets)); /* NONE */
    table->buckets = buckets;
    table->entries = entries;
    table->room = room;
    for (uint32_t i = table->oldest; i != NONE; i = entries[i].newer)
        add_to_bucket(table, i);
    return true;
}

/* --- in the order in which they were seen */

static void take_out_of_order(struct affinities *table, uint32_t i)
{
    struct entry *entry = &table->entries[i];
    *(entry->older == NONE ? &table->oldest : &table->entries[entry->older].newer) = entry->newer;
    *(entry->newer == NONE ? &table->newest : &table->entries[entry->newer].older) = entry->older;
}

static void make_newest(struct affinities *table, uint32_t i)
{
    struct entry *entry = &table->entries[i];
    entry->older = table->newest;
    entry->newer = NONE;
    *(table->newest == NONE ? &table->oldest : &table->entries[table->newest].newer) = i;
    table->newest = i;
}

/* --- entries */

static uint32_t find(const struct affinities *table, uint64_t id)
{
    uint32_t i = table->room ? *bucket_of(table, id) : NONE;
    while (i != NONE && table->entries[i].affinity.id != id)
        i = table->entries[i].next;
    return i;
}

static void forget(struct affinities *table, uint32_t i)
{
    uint32_t *link = bucket_of(table, table->entries[i].affinity.id);
    while (*link != i)
        link = &table->entries[*link].next;
    *link = table->entries[i].next;
    take_out_of_order(table, i);
    table->entries[i].next = table->free;
    table->free = i;
    table->count--;
}

static bool is_idle(const struct affinities *table, uint32_t i, double now_s)
{
    return now_s - table->entries[i].affinity.seen_s > AFFINITY_IDLE_S;
}

static void forget_idle(struct affinities *table, double now_s)
{
    while (table->oldest != NONE && is_idle(table, table->oldest, now_s))
        forget(table, table->oldest);
}

struct affinity *affinities_find(struct affinities *table, uint64_t id, double now_s)
{
    uint32_t i = find(table, id);
    return i == NONE || is_idle(table, i, now_s) ? NULL : &table->entries[i].affinity;
}

/* NONE where malloc refuses. */
static uint32_t take_place(struct affinities *table)
{
    if (table->count == table->max)
        forget(table, table->oldest);
    if (table->free == NONE && table->used == table->room && !grow(table))
        return NONE;
    uint32_t i = table->free;
    if (i == NONE)
        return table->used++;
    table->free = table->entries[i].next;
    return i;
}

static uint32_t add(struct affinities *table, uint64_t id)
{
    uint32_t i = take_place(table);
    if (i == NONE)
        return NONE;
    table->entries[i].affinity = (struct affinity){.id = id, .mode = UINT16_MAX};
    add_to_bucket(table, i);
    make_newest(table, i);
    table->count++;
    return i;
}

struct affinity *affinities_touch(struct affinities *table, uint64_t id, double now_s)
{
    forget_idle(table, now_s);
    uint32_t i = find(table, id);
    if (i == NONE)
        i = add(table, id);
    if (i == NONE)
        return NULL;
    take_out_of_order(table, i);
    make_newest(table, i);
    table->entries[i].affinity.seen_s = now_s;
    return &table->entries[i].affinity;
}
