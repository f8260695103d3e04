#include "common/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct item {
    int value;
    struct list link;
};

static int value_of(struct list *member)
{
    return list_entry(member, struct item, link)->value;
}

/* The values as one decimal number, first to last. */
static int digits(struct list *head)
{
    int number = 0;
    list_for_each (it, head)
        number = number * 10 + value_of(it);
    return number;
}

static void push_keeps_order(void **state)
{
    (void)state;
    struct list head;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    list_init(&head);
    assert_true(list_empty(&head));
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    list_insert_after(&items[1].link, &items[3].link);
    assert_false(list_empty(&head));
    assert_int_equal(digits(&head), 1243);
    assert_ptr_equal(head.prev, &items[2].link);
}

static void del_may_be_repeated(void **state)
{
    (void)state;
    struct list head;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i].link);
    assert_true(list_linked(&items[1].link));
    list_del(&items[1].link);
    list_del(&items[1].link);
    assert_false(list_linked(&items[1].link));
    assert_int_equal(digits(&head), 13);
    list_del(&items[0].link);
    list_del(&items[2].link);
    assert_true(list_empty(&head));
}

static void safe_walk_frees_members(void **state)
{
    (void)state;
    struct list head;
    int freed = 0;
    list_init(&head);
    for (int i = 1; i <= 3; i++) {
        struct item *item = malloc(sizeof(*item));
        assert_non_null(item);
        item->value = i;
        list_push_back(&head, &item->link);
    }
    list_for_each_safe (it, &head) {
        freed = freed * 10 + value_of(it);
        list_del(it);
        free(list_entry(it, struct item, link));
    }
    assert_int_equal(freed, 123);
    assert_true(list_empty(&head));
}

static void walking_an_empty_list_visits_nothing(void **state)
{
    (void)state;
    struct list head;
    int visits = 0;
    list_init(&head);
    list_for_each (it, &head)
        visits++;
    list_for_each_safe (it, &head)
        visits++;
    assert_int_equal(visits, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(push_keeps_order),
            cmocka_unit_test(del_may_be_repeated),
            cmocka_unit_test(safe_walk_frees_members),
            cmocka_unit_test(walking_an_empty_list_visits_nothing),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
