#include "coordinator/dialects/name_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static void an_empty_set_has_nothing(void **state)
{
    (void)state;
    struct name_set set = {0};
    name_set_sort(&set);
    assert_false(name_set_has(&set, ""));
    name_set_fini(&set);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    struct name_set set = {0};
    char names[100][8];
    for (int i = 99; i >= 0; i--) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        assert_int_equal(name_set_add(&set, names[i]), 0);
    }
    assert_int_equal(name_set_add(&set, "n7"), 0);
    name_set_sort(&set);
    for (int i = 0; i < 100; i++)
        assert_true(name_set_has(&set, names[i]));
    assert_false(name_set_has(&set, "n"));
    assert_false(name_set_has(&set, "n100"));
    name_set_fini(&set);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_empty_set_has_nothing),
            cmocka_unit_test(what_was_added_is_found),
    };
    return cmocka_run_group_tests_name("name_set", tests, NULL, NULL);
}
