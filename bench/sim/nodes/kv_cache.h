/* The prompts that a simulated engine keeps between requests: chains of blocks, shared where they
 * begin alike, at most `capacity` of them, slots and host cache together. What running requests use
 * is pinned; of the rest the block not used for the longest goes first, and of one chain the last
 * block before those in front of it. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

struct kv_cache;

/* NULL where malloc refuses. */
struct kv_cache *kv_cache_create(uint32_t capacity);
void kv_cache_destroy(struct kv_cache *cache); /* takes NULL */

/* How many blocks of it, from the beginning, are there. */
uint32_t kv_cache_held(const struct kv_cache *cache, const uint64_t *chain, uint32_t count);
/* … and pins these. */
uint32_t kv_cache_pin(struct kv_cache *cache, const uint64_t *chain, uint32_t count);
/* The first `from` blocks are pinned by the caller; puts in and pins those up to `count`, as far as
 * there is room. Returns how many are pinned now. */
uint32_t kv_cache_add(struct kv_cache *cache, const uint64_t *chain, uint32_t from, uint32_t count);
/* Pinned no more; the ones used last from now. */
void kv_cache_release(struct kv_cache *cache, const uint64_t *chain, uint32_t count);
/* The engine has ended: all is gone, what is pinned too. */
void kv_cache_clear(struct kv_cache *cache);
/* Blocks that are there. */
uint32_t kv_cache_count(const struct kv_cache *cache);
