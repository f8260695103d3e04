/* Bump allocator: many small pieces, freed together. Pieces are aligned for any type and zeroed.
 * The arena has a limit in bytes, so that what a peer drives cannot grow without end: an allocation
 * past it, or one that malloc refuses, returns NULL. One thread. */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the first one is being filled */
    size_t used_bytes, limit_bytes;
};

/* `limit_bytes` bounds what arena_alloc() hands out in sum, each piece rounded up to its alignment.
 * No memory is taken before the first piece. */
void arena_init(struct arena *arena, size_t limit_bytes);
/* Frees all pieces; the arena may be used again as after arena_init(). */
void arena_fini(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size_bytes) __attribute__((warn_unused_result));
/* Copies of a terminated string, and of `len` bytes with a final NUL. */
char *arena_strdup(struct arena *arena, const char *text) __attribute__((warn_unused_result));
char *arena_memdup(struct arena *arena, const void *data, size_t len)
        __attribute__((warn_unused_result));
