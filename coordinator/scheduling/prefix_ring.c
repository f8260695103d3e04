#include "coordinator/scheduling/prefix_ring.h"

#include <string.h>

enum { AHEAD = 8 };
_Static_assert(sizeof(struct prefix_chunk) == 512, "chunks fill cache lines");

void prefix_chunks_init(struct prefix_chunks *chunks, void *memory, size_t bytes)
{
    size_t room = bytes / sizeof(struct prefix_chunk);
    *chunks = (struct prefix_chunks){
            .at = memory, .room = (uint32_t)(room < UINT32_MAX ? room : UINT32_MAX), .used = 1};
}

size_t prefix_chunks_bytes(const struct prefix_chunks *chunks)
{
    return (size_t)chunks->used * sizeof(struct prefix_chunk);
}

size_t prefix_chunks_left(const struct prefix_chunks *chunks)
{
    return chunks->free_count + (chunks->room - chunks->used);
}

/* 0 where none is left. */
static uint32_t take_chunk(struct prefix_chunks *chunks)
{
    uint32_t chunk = chunks->free;
    if (chunk) {
        chunks->free = chunks->at[chunk].next;
        chunks->free_count--;
    } else if (chunks->used < chunks->room) {
        chunk = chunks->used++;
    }
    return chunk;
}

static void give_chunk(struct prefix_chunks *chunks, uint32_t chunk)
{
    chunks->at[chunk].next = chunks->free;
    chunks->free = chunk;
    chunks->free_count++;
}

/* --- the ring */

static bool add_chunk(struct prefix_chunks *chunks, struct prefix_ring *ring)
{
    uint32_t last = ring->last, added = take_chunk(chunks);
    if (!added)
        return false;
    uint32_t first = last ? chunks->at[last].next : added;
    chunks->at[added].next = first;
    chunks->at[added].prev = last ? last : added;
    chunks->at[first].prev = added;
    if (last)
        chunks->at[last].next = added;
    else
        ring->hand = added;
    ring->last = added;
    ring->fill = 0;
    return true;
}

/* The hand then points to the chunk behind it. */
static void drop_chunk(struct prefix_chunks *chunks, struct prefix_ring *ring, uint32_t chunk)
{
    uint32_t next = chunks->at[chunk].next, prev = chunks->at[chunk].prev;
    give_chunk(chunks, chunk);
    if (next == chunk) {
        *ring = (struct prefix_ring){0};
        return;
    }
    chunks->at[prev].next = next;
    chunks->at[next].prev = prev;
    if (ring->last == chunk) {
        ring->last = prev;
        ring->fill = PREFIX_CHUNK_KEYS;
    }
    if (ring->hand == chunk) {
        ring->hand = next;
        ring->hand_at = 0;
    }
}

uint64_t *prefix_ring_grow(struct prefix_chunks *chunks, struct prefix_ring *ring)
{
    if ((!ring->last || ring->fill == PREFIX_CHUNK_KEYS) && !add_chunk(chunks, ring))
        return NULL;
    uint64_t *place = &chunks->at[ring->last].keys[ring->fill++];
    ring->places++;
    *place = PREFIX_KEY_NONE;
    return place;
}

uint64_t prefix_ring_shrink(struct prefix_chunks *chunks, struct prefix_ring *ring)
{
    uint32_t last = ring->last;
    uint64_t key = chunks->at[last].keys[--ring->fill];
    ring->places--;
    if (ring->fill == 0) {
        drop_chunk(chunks, ring, last);
    } else if (ring->hand == last && ring->hand_at == ring->fill) {
        ring->hand = chunks->at[last].next;
        ring->hand_at = 0;
    }
    return key;
}

uint64_t *prefix_ring_at_hand(const struct prefix_chunks *chunks, const struct prefix_ring *ring)
{
    return &chunks->at[ring->hand].keys[ring->hand_at];
}

uint64_t prefix_ring_ahead(const struct prefix_chunks *chunks, const struct prefix_ring *ring)
{
    const struct prefix_chunk *chunk = &chunks->at[ring->hand];
    size_t at = ring->hand_at + AHEAD;
    return at < PREFIX_CHUNK_KEYS ? chunk->keys[at]
                                  : chunks->at[chunk->next].keys[at - PREFIX_CHUNK_KEYS];
}

static uint16_t hand_places(const struct prefix_ring *ring)
{
    return ring->hand == ring->last ? ring->fill : PREFIX_CHUNK_KEYS;
}

void prefix_ring_advance(const struct prefix_chunks *chunks, struct prefix_ring *ring)
{
    if (++ring->hand_at < hand_places(ring))
        return;
    ring->hand = chunks->at[ring->hand].next;
    ring->hand_at = 0;
}

size_t prefix_ring_give_chunk(struct prefix_chunks *chunks, struct prefix_ring *ring,
        uint64_t ret_keys[PREFIX_CHUNK_KEYS])
{
    size_t count = hand_places(ring);
    memcpy(ret_keys, chunks->at[ring->hand].keys, count * sizeof(*ret_keys));
    ring->places -= (uint32_t)count;
    drop_chunk(chunks, ring, ring->hand);
    return count;
}
