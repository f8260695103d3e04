#include "bench/sim/nodes/kv_cache.h"

#include "bench/sim/nodes/u64_map.h"
#include "common/list.h"

#include <stdlib.h>

struct block {
    struct list link; /* in `unpinned`, the one used last in front, or in `spare` */
    uint64_t id;
    uint32_t pins;
};

struct kv_cache {
    struct block *blocks; /* `capacity` */
    struct u64_map index; /* from a block's id to its place */
    struct list unpinned, spare;
    uint32_t capacity, count;
};

static void make_empty(struct kv_cache *cache)
{
    list_init(&cache->unpinned);
    list_init(&cache->spare);
    for (uint32_t i = 0; i < cache->capacity; i++)
        list_push_back(&cache->spare, &cache->blocks[i].link);
    cache->count = 0;
}

struct kv_cache *kv_cache_create(uint32_t capacity)
{
    struct kv_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    u64_map_init(&cache->index);
    cache->capacity = capacity;
    cache->blocks = calloc((size_t)capacity + 1, sizeof(*cache->blocks));
    if (!cache->blocks) {
        kv_cache_destroy(cache);
        return NULL;
    }
    make_empty(cache);
    return cache;
}

void kv_cache_destroy(struct kv_cache *cache)
{
    if (!cache)
        return;
    u64_map_fini(&cache->index);
    free(cache->blocks);
    free(cache);
}

void kv_cache_clear(struct kv_cache *cache)
{
    if (cache->count == 0)
        return;
    u64_map_clear(&cache->index);
    make_empty(cache);
}

uint32_t kv_cache_count(const struct kv_cache *cache)
{
    return cache->count;
}

uint32_t kv_cache_held(const struct kv_cache *cache, const uint64_t *chain, uint32_t count)
{
    uint32_t held = 0;

    while (held < count && u64_map_find(&cache->index, chain[held]))
        held++;
    return held;
}

static struct block *block_of(const struct kv_cache *cache, uint64_t id)
{
    return &cache->blocks[*u64_map_find(&cache->index, id)];
}

static void pin(struct block *block)
{
    block->pins++;
    list_del(&block->link);
}

uint32_t kv_cache_pin(struct kv_cache *cache, const uint64_t *chain, uint32_t count)
{
    uint32_t held = kv_cache_held(cache, chain, count);

    for (uint32_t i = 0; i < held; i++)
        pin(block_of(cache, chain[i]));
    return held;
}

/* A place for one more; NULL where all are pinned. */
static struct block *take_place(struct kv_cache *cache)
{
    struct list *from = list_empty(&cache->spare) ? &cache->unpinned : &cache->spare;
    struct block *block;

    if (list_empty(from))
        return NULL;
    block = list_entry(from->prev, struct block, link);
    list_del(&block->link);
    if (from == &cache->unpinned) {
        u64_map_remove(&cache->index, block->id);
        cache->count--;
    }
    return block;
}

static bool add_block(struct kv_cache *cache, uint64_t id)
{
    struct block *block = take_place(cache);

    if (!block)
        return false;
    if (!u64_map_put(&cache->index, id, (uint32_t)(block - cache->blocks))) {
        list_push_back(&cache->spare, &block->link);
        return false;
    }
    *block = (struct block){.id = id, .pins = 1};
    list_init(&block->link);
    cache->count++;
    return true;
}

uint32_t kv_cache_add(struct kv_cache *cache, const uint64_t *chain, uint32_t from, uint32_t count)
{
    for (; from < count; from++) {
        uint32_t *at = u64_map_find(&cache->index, chain[from]);

        if (at)
            pin(&cache->blocks[*at]);
        else if (!add_block(cache, chain[from]))
            break;
    }
    return from;
}

void kv_cache_release(struct kv_cache *cache, const uint64_t *chain, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        struct block *block = block_of(cache, chain[i]);

        if (--block->pins == 0)
            list_push_front(&cache->unpinned, &block->link);
    }
}
