#include "coordinator/router/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* No plan says these: where nothing else can, one that rests is taken; and that only what is loaded
 * is asked for, only where something is. */
static bool is_said(enum refusal refusal)
{
    return refusal != REFUSAL_TRIPPED && refusal != REFUSAL_NOT_LOADED;
}

static void each_refusal_has_a_sentence_of_its_own(void **state)
{
    struct routing_plan plans[REFUSAL_COUNT];
    (void)state;
    for (enum refusal refusal = REFUSAL_NONE; refusal < REFUSAL_COUNT; refusal++) {
        if (!is_said(refusal))
            continue;
        bool passes = refusal >= REFUSAL_SILENT;
        plans[refusal] = (struct routing_plan){
                .verdict = passes ? ROUTING_WAIT : ROUTING_NONE, .refusal = refusal, .absent = 1};
        assert_string_not_equal(why_not(&plans[refusal]), "no instance takes it now");
        for (enum refusal other = REFUSAL_NONE; other < refusal; other++)
            if (is_said(other))
                assert_string_not_equal(why_not(&plans[other]), why_not(&plans[refusal]));
    }
}

static void who_is_awaited_is_named(void **state)
{
    struct router_plan plan = {.routing = {.verdict = ROUTING_WAIT, .refusal = REFUSAL_UNUSABLE},
            .awaited = {AWAITED_AWAY, "halo1"}};
    char text[WHY_MAX];
    (void)state;
    why_not_full(&plan, text, sizeof(text));
    assert_string_equal(text, "halo1, which has the model, is away");
    plan.awaited.state = AWAITED_BACK;
    why_not_full(&plan, text, sizeof(text));
    assert_non_null(strstr(text, "halo1, which has the model, is back, and has not told"));
    plan.awaited.state = AWAITED_DRAINING;
    why_not_full(&plan, text, sizeof(text));
    assert_string_equal(text, "halo1, which has the model, is draining");
    plan.awaited.state = AWAITED_NONE;
    plan.routing.refusal = REFUSAL_FAILED;
    why_not_full(&plan, text, sizeof(text));
    assert_string_equal(text, why_not(&plan.routing));
}

static void the_longest_context_is_named(void **state)
{
    struct router_plan plan = {.routing = {.verdict = ROUTING_NONE, .refusal = REFUSAL_CONTEXT}};
    char text[WHY_MAX];
    (void)state;
    why_not_full(&plan, text, sizeof(text));
    assert_string_equal(text, why_not(&plan.routing));
    plan.routing.context_max = UINT32_MAX;
    why_not_full(&plan, text, sizeof(text));
    assert_non_null(strstr(text, " of each node, of at most 4294967295 tokens"));
}

static void what_is_far_too_long_is_told_both_lengths(void **state)
{
    struct router_plan plan = {.routing = {.verdict = ROUTING_NONE,
                                       .refusal = REFUSAL_NO_FIT,
                                       .context_max = UINT32_MAX},
            .far_too_long = true,
            .prompt_tokens = 4e15,
            .longest = "gpt-oss-20b"};
    char text[WHY_MAX];
    (void)state;
    why_not_full(&plan, text, sizeof(text));
    assert_string_equal(text,
            "the prompt has about 4000000000000000 tokens, and the longest context, that of "
            "gpt-oss-20b, is 4294967295");
}

static void what_failed_it_may_be_waited_for(void **state)
{
    const struct routing_plan waits = {.verdict = ROUTING_WAIT, .refusal = REFUSAL_AVOIDED},
                              refused = {.verdict = ROUTING_NONE, .refusal = REFUSAL_AVOIDED};
    (void)state;
    assert_non_null(strstr(why_not(&waits), "tried again"));
    assert_non_null(strstr(why_not(&refused), "every node"));
}

static void models_that_are_all_there_are_not_called_absent(void **state)
{
    struct routing_plan plan = {.verdict = ROUTING_NONE, .refusal = REFUSAL_LACKS, .absent = 1};
    (void)state;
    assert_non_null(strstr(why_not(&plan), "no connected node"));
    plan.absent = 0;
    assert_null(strstr(why_not(&plan), "connected"));
}

static void what_is_only_held_back_does_not_call_the_others_full(void **state)
{
    struct routing_plan plan = {
            .verdict = ROUTING_WAIT, .refusal = REFUSAL_FULL, .slot_free = true};
    (void)state;
    assert_string_equal(why_not(&plan), "another has a slot free, and costs more than to wait");
    plan.slot_there = true;
    assert_string_equal(why_not(&plan), "a slot is free, and its turn has not come");
    plan.refusal = REFUSAL_AVOIDED;
    assert_non_null(strstr(why_not(&plan), "tried again"));
}

static void what_cannot_be_waited_for_still_has_words(void **state)
{
    const struct routing_plan plan = {.verdict = ROUTING_WAIT, .refusal = REFUSAL_CONTEXT};
    (void)state;
    assert_string_equal(why_not(&plan), "no instance takes it now");
}

static void it_says_by_what_an_instance_was_chosen(void **state)
{
    struct fleet_instance instance = {.state = INSTANCE_RESIDENT};
    struct routing_plan plan = {.verdict = ROUTING_RUN, .instance = &instance, .feasible = 1};
    (void)state;
    assert_string_equal(why_there(&plan), "the only instance");
    plan.feasible = 2;
    assert_string_equal(why_there(&plan), "the instance that costs least");
    plan.stayed = true;
    assert_string_equal(why_there(&plan), "the instance of its conversation");
    plan.policy = ROUTING_ROUND_ROBIN;
    assert_string_equal(why_there(&plan), "its turn (routing: round-robin)");
    plan.policy = ROUTING_LEAST_REQUESTS;
    assert_string_equal(why_there(&plan), "the fewest requests (routing: least-requests)");
    instance.state = INSTANCE_LOADING;
    assert_string_equal(why_there(&plan), "being loaded");
    instance.state = INSTANCE_AVAILABLE;
    assert_string_equal(why_there(&plan), "not loaded there yet: the node loads it");
}

static void what_is_shortened_is_longer_than_every_context(void **state)
{
    struct instance instance = {.slots = 1};
    struct router_plan plan = {.instance = &instance, .prompt_tokens = 2046, .whole_tokens = 28014};
    (void)state;
    assert_non_null(strstr(why_too_long(&plan), "longer than every context"));
    plan.prompt_tokens = plan.whole_tokens;
    assert_null(why_too_long(&plan));
    plan.prompt_tokens = 2046;
    plan.instance = NULL; /* it goes nowhere */
    assert_null(why_too_long(&plan));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_refusal_has_a_sentence_of_its_own),
            cmocka_unit_test(who_is_awaited_is_named),
            cmocka_unit_test(the_longest_context_is_named),
            cmocka_unit_test(what_is_far_too_long_is_told_both_lengths),
            cmocka_unit_test(what_failed_it_may_be_waited_for),
            cmocka_unit_test(models_that_are_all_there_are_not_called_absent),
            cmocka_unit_test(what_is_only_held_back_does_not_call_the_others_full),
            cmocka_unit_test(what_cannot_be_waited_for_still_has_words),
            cmocka_unit_test(it_says_by_what_an_instance_was_chosen),
            cmocka_unit_test(what_is_shortened_is_longer_than_every_context),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
