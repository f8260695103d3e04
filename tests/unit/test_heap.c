#include "common/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { ITEMS = 500 };

struct item {
    unsigned value;
    bool inside;
    struct heap_node node;
};

static struct item items[ITEMS];
static unsigned random_state;

static unsigned below(unsigned bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

static struct item *item_of(const struct heap_node *node)
{
    return heap_entry(node, struct item, node);
}

static bool is_less(const struct heap_node *a, const struct heap_node *b)
{
    return item_of(a)->value < item_of(b)->value;
}

/* Values 0 … ITEMS − 1, in any order. */
static void shuffle(unsigned seed)
{
    random_state = seed;
    for (unsigned i = 0; i < ITEMS; i++)
        items[i] = (struct item){.value = i};
    for (unsigned i = ITEMS - 1; i > 0; i--) {
        unsigned j = below(i + 1), value = items[i].value;
        items[i].value = items[j].value;
        items[j].value = value;
    }
}

static void push_all(struct heap *heap)
{
    heap_init(heap, is_less);
    for (unsigned i = 0; i < ITEMS; i++) {
        heap_push(heap, &items[i].node);
        items[i].inside = true;
    }
}

static struct item *pop(struct heap *heap)
{
    struct item *item = item_of(heap_first(heap));
    heap_remove(heap, &item->node);
    item->inside = false;
    return item;
}

static void an_empty_one_has_no_first(void **state)
{
    struct heap heap;
    (void)state;
    heap_init(&heap, is_less);
    assert_null(heap_first(&heap));
}

static void the_least_comes_first(void **state)
{
    struct heap heap;
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        shuffle(seed);
        push_all(&heap);
        for (unsigned i = 0; i < ITEMS; i++)
            assert_int_equal(pop(&heap)->value, i);
        assert_null(heap_first(&heap));
    }
}

static void any_can_be_removed(void **state)
{
    struct heap heap;
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        shuffle(seed);
        push_all(&heap);
        pop(&heap); /* so that it is a tree, not one long row of children */
        for (unsigned i = 0; i < ITEMS; i += 3) {
            if (!items[i].inside)
                continue;
            heap_remove(&heap, &items[i].node);
            items[i].inside = false;
        }
        unsigned count = 0, left = 0, last = 0;
        for (unsigned i = 0; i < ITEMS; i++)
            left += items[i].inside;
        for (; heap_first(&heap); count++) {
            unsigned value = pop(&heap)->value;
            assert_true(count == 0 || value > last);
            last = value;
        }
        assert_int_equal(count, left);
    }
}

static void pushes_and_pops_mix(void **state)
{
    struct heap heap;
    (void)state;
    shuffle(7);
    heap_init(&heap, is_less);
    for (unsigned step = 0; step < 20 * ITEMS; step++) {
        struct item *item = &items[below(ITEMS)];
        if (item->inside)
            heap_remove(&heap, &item->node);
        else
            heap_push(&heap, &item->node);
        item->inside = !item->inside;
        const struct item *least = NULL;
        for (unsigned i = 0; i < ITEMS; i++)
            if (items[i].inside && (!least || items[i].value < least->value))
                least = &items[i];
        assert_ptr_equal(heap_first(&heap), least ? &least->node : NULL);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_empty_one_has_no_first),
            cmocka_unit_test(the_least_comes_first),
            cmocka_unit_test(any_can_be_removed),
            cmocka_unit_test(pushes_and_pops_mix),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
