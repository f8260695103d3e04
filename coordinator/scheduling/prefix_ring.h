/* What a holder has in its cache, as a ring of keys with a hand (CLOCK), grown chunk by chunk as it
 * fills. Chunks come out of memory that the caller gave and go back to it. A ring knows no order
 * but that of its places; the bits that the hand looks at are the table's (prefix_table.h). One
 * thread. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PREFIX_CHUNK_KEYS = 63,
    PREFIX_KEY_NONE = 0, /* a place whose key was forgotten */
};

struct prefix_chunk { /* 512 bytes */
    uint32_t next, prev;
    uint64_t keys[PREFIX_CHUNK_KEYS];
};

struct prefix_chunks {
    struct prefix_chunk *at; /* the caller's memory */
    uint32_t room, used;     /* the first one is nobody's: 0 is no chunk */
    uint32_t free, free_count;
};

struct prefix_ring { /* zeroed: empty */
    uint32_t last;   /* chunk that the next place comes from; only it may be filled in part */
    uint32_t hand;
    uint16_t fill; /* places of the last chunk */
    uint16_t hand_at;
    uint32_t places;
};

/* `memory` stays where it is; it need not be touched before. */
void prefix_chunks_init(struct prefix_chunks *chunks, void *memory, size_t bytes);
/* Memory that was ever in use. */
size_t prefix_chunks_bytes(const struct prefix_chunks *chunks);
/* How many rings can still have. */
size_t prefix_chunks_left(const struct prefix_chunks *chunks);

/* One place more, at the end, PREFIX_KEY_NONE at first. NULL where no chunk is left. */
MUST_CHECK uint64_t *prefix_ring_grow(struct prefix_chunks *chunks, struct prefix_ring *ring);
/* The last place is gone; the ring is not empty. Returns its key. */
uint64_t prefix_ring_shrink(struct prefix_chunks *chunks, struct prefix_ring *ring);

/* The place that the hand points to; the ring is not empty. */
uint64_t *prefix_ring_at_hand(const struct prefix_chunks *chunks, const struct prefix_ring *ring);
/* Some key that it will point to soon. */
uint64_t prefix_ring_ahead(const struct prefix_chunks *chunks, const struct prefix_ring *ring);
void prefix_ring_advance(const struct prefix_chunks *chunks, struct prefix_ring *ring);

/* Takes the chunk that the hand points into out of the ring, which is not empty, and copies its
 * keys to ret_keys[]. Returns how many they are. */
size_t prefix_ring_give_chunk(struct prefix_chunks *chunks, struct prefix_ring *ring,
        uint64_t ret_keys[PREFIX_CHUNK_KEYS]);
