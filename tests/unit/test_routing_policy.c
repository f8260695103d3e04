#include "coordinator/scheduling/routing_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PASS = 7 };

/* Of whom each rule says the same. */
static struct fleet_instance one(uint32_t epoch)
{
    return (struct fleet_instance){.state = INSTANCE_RESIDENT, .epoch = epoch};
}

#define takes(policy, a, b)                                                                        \
    do {                                                                                           \
        assert_true(routing_policy_prefers(policy, PASS, &(a), &(b)));                             \
        assert_false(routing_policy_prefers(policy, PASS, &(b), &(a)));                            \
    } while (0)

static void each_has_its_name(void **state)
{
    (void)state;
    for (enum routing_policy policy = ROUTING_BEST; policy < ROUTING_POLICY_COUNT; policy++)
        assert_int_equal(routing_policy_named(routing_policy_name(policy)), policy);
    assert_string_equal(routing_policy_name(ROUTING_LEAST_REQUESTS), "least-requests");
    assert_int_equal(routing_policy_named("fastest"), ROUTING_BEST);
}

static void each_has_its_turn_however_much_it_has(void **state)
{
    struct fleet_instance a = one(2), b = one(1);
    (void)state;
    takes(ROUTING_ROUND_ROBIN, b, a); /* never used: by their nodes, whatever their order */
    a.last_used = 5;
    b.last_used = 6;
    a.running = 9;
    takes(ROUTING_ROUND_ROBIN, a, b);
    b.last_used = 4;
    takes(ROUTING_ROUND_ROBIN, b, a);
}

static void one_that_is_waited_for_is_passed(void **state)
{
    struct fleet_instance a = one(1), b = one(2);
    (void)state;
    b.last_used = 9;
    a.promised = 1;
    a.promise_pass = PASS - 1; /* of an earlier look through the queue */
    takes(ROUTING_ROUND_ROBIN, a, b);
    a.promise_pass = PASS;
    takes(ROUTING_ROUND_ROBIN, b, a);
    takes(ROUTING_LEAST_REQUESTS, b, a);
    b.running = 1;
    takes(ROUTING_LEAST_REQUESTS, a, b); /* as many: its turn */
}

static void the_fewest_requests_count(void **state)
{
    struct fleet_instance a = one(1), b = one(2);
    (void)state;
    a.running = 2;
    b.running = 1;
    b.last_used = 9;
    b.rates.prefill_tok_s = 1;
    takes(ROUTING_LEAST_REQUESTS, b, a);
    b.running = 2;
    takes(ROUTING_LEAST_REQUESTS, a, b);
}

static void what_is_loaded_goes_before_a_load(void **state)
{
    struct fleet_instance a = one(1), b = one(2);
    (void)state;
    a.state = INSTANCE_AVAILABLE;
    b.running = 9;
    b.last_used = 9;
    takes(ROUTING_ROUND_ROBIN, b, a);
    takes(ROUTING_LEAST_REQUESTS, b, a);
    a.state = INSTANCE_LOADING;
    takes(ROUTING_ROUND_ROBIN, a, b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_has_its_name),
            cmocka_unit_test(each_has_its_turn_however_much_it_has),
            cmocka_unit_test(one_that_is_waited_for_is_passed),
            cmocka_unit_test(the_fewest_requests_count),
            cmocka_unit_test(what_is_loaded_goes_before_a_load),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("routing_policy", tests, NULL, NULL);
}
