/* A priority queue of the caller's own members: an intrusive pairing heap. Nothing is allocated;
 * the heap owns nothing. Where no two members are equal, the order in which they come out does not
 * depend on how they went in. O(1) to push, O(log n) amortised to remove.
 *
 * Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", Algorithmica 1 (1986). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
    struct heap_node *child, *next;
    struct heap_node *prev; /* sibling before, or parent of the first child; NULL: the root */
};

/* True where `a` comes out before `b`. */
typedef bool heap_before_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node *root; /* NULL: empty */
    heap_before_fn *before;
};

static inline void heap_init(struct heap *heap, heap_before_fn *before)
{
    heap->root = NULL;
    heap->before = before;
}

/* The one that comes out next; NULL where it is empty. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->root;
}

/* `node` is in no heap. */
void heap_push(struct heap *heap, struct heap_node *node);
/* `node` is in `heap`. */
void heap_remove(struct heap *heap, struct heap_node *node);

#define heap_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
