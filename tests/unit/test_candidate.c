#include "coordinator/deploy/candidate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void nobody_is_chosen_of_none(void **state)
{
    (void)state;
    const struct candidate list[] = {{.node = "a"}, {.node = "b"}};
    assert_int_equal(candidate_choose(list, 0), 0);
    assert_int_equal(candidate_choose(list, 2), 2);
}

static void what_costs_nobody_a_wait_comes_first(void **state)
{
    (void)state;
    const struct candidate list[] = {
            {.node = "a", .way = ORDER_WAY_SWAP, .bandwidth_bytes = 9, .free_bytes = 9},
            {.node = "b", .way = ORDER_WAY_NONE, .bandwidth_bytes = 99},
            {.node = "c", .way = ORDER_WAY_BESIDE, .bandwidth_bytes = 5},
            {.node = "d", .way = ORDER_WAY_THERE}};
    assert_int_equal(candidate_choose(list, 4), 3);
    assert_int_equal(candidate_choose(list, 3), 2);
    assert_int_equal(candidate_choose(list, 2), 0);
}

static void then_the_faster_then_the_emptier(void **state)
{
    (void)state;
    struct candidate list[] = {
            {.node = "b", .way = ORDER_WAY_BESIDE, .bandwidth_bytes = 5, .decode_tok_s = 9},
            {.node = "a", .way = ORDER_WAY_BESIDE, .bandwidth_bytes = 5, .decode_tok_s = 9}};
    assert_int_equal(candidate_choose(list, 2), 1); /* all alike: by name */
    list[0].free_bytes = 1;
    assert_int_equal(candidate_choose(list, 2), 0);
    list[1].decode_tok_s = 10;
    assert_int_equal(candidate_choose(list, 2), 1);
    list[0].bandwidth_bytes = 6;
    assert_int_equal(candidate_choose(list, 2), 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(nobody_is_chosen_of_none),
            cmocka_unit_test(what_costs_nobody_a_wait_comes_first),
            cmocka_unit_test(then_the_faster_then_the_emptier),
    };
    return cmocka_run_group_tests_name("candidate", tests, NULL, NULL);
}
