#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
}

/* Blocks come zeroed and no byte of them is handed out twice, so that pieces are zeroed too. */
static struct arena_block *add_block(struct arena *arena, size_t cap)
{
    struct arena_block *block = calloc(1, sizeof(*block) + cap);
    if (!block)
        return NULL;
    block->cap = cap;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

/* A piece that fills a block by itself goes behind the block in use, whose room is still good. */
static struct arena_block *add_own_block(struct arena *arena, size_t cap)
{
    struct arena_block *head = arena->blocks;
    struct arena_block *block = add_block(arena, cap);
    if (block && head) {
        arena->blocks = head;
        block->next = head->next;
        head->next = block;
    }
    return block;
}

static struct arena_block *block_with_room(struct arena *arena, size_t size)
{
    struct arena_block *head = arena->blocks;
    if (head && size <= head->cap - head->used)
        return head;
    if (size > ARENA_BLOCK_BYTES)
        return add_own_block(arena, size);
    return add_block(arena, ARENA_BLOCK_BYTES);
}

/* 0 where `size_bytes` does not fit below the limit. */
static size_t padded_size(const struct arena *arena, size_t size_bytes)
{
    const size_t align = alignof(max_align_t);
    size_t left = arena->limit_bytes - arena->used_bytes;
    if (size_bytes > left || size_bytes > SIZE_MAX / 2)
        return 0;
    size_t padded = size_bytes ? (size_bytes + align - 1) / align * align : align;
    return padded <= left ? padded : 0;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    size_t padded = padded_size(arena, size_bytes);
    if (!padded)
        return NULL;
    struct arena_block *block = block_with_room(arena, padded);
    if (!block)
        return NULL;
    void *piece = block->data + block->used;
    block->used += padded;
    arena->used_bytes += padded;
    return piece;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_memdup(arena, text, strlen(text));
}

char *arena_memdup(struct arena *arena, const void *data, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, len + 1);
    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}
