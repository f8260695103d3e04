#include "common/heap.h"

/* Two roots become one. Either may be NULL. */
static struct heap_node *meld(const struct heap *heap, struct heap_node *a, struct heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (heap->before(b, a)) {
        struct heap_node *lesser = b;
        b = a;
        a = lesser;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* Takes the first node off a chain of siblings. */
static struct heap_node *detach(struct heap_node **chain)
{
    struct heap_node *node = *chain;
    if (!node)
        return NULL;
    *chain = node->next;
    node->next = node->prev = NULL;
    return node;
}

/* A chain of siblings becomes one root: by pairs, then from the last pair to the first. */
static struct heap_node *meld_all(const struct heap *heap, struct heap_node *chain)
{
    struct heap_node *pairs = NULL, *root = NULL;
    while (chain) {
        struct heap_node *a = detach(&chain), *b = detach(&chain);
        struct heap_node *pair = meld(heap, a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs)
        root = meld(heap, root, detach(&pairs));
    return root;
}

void heap_push(struct heap *heap, struct heap_node *node)
{
    *node = (struct heap_node){.child = NULL};
    heap->root = meld(heap, heap->root, node);
}

static void cut(struct heap_node *node)
{
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    struct heap_node *rest = meld_all(heap, node->child);
    if (node == heap->root) {
        heap->root = rest;
        return;
    }
    cut(node);
    heap->root = meld(heap, heap->root, rest);
}
