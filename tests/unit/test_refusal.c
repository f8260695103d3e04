#include "coordinator/scheduling/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct fleet_instance sound = {
        .state = INSTANCE_RESIDENT, .usable = true, .fits = true};

static void each_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < REFUSAL_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(refusal_name((enum refusal)i), refusal_name((enum refusal)j));
    assert_string_equal(refusal_name(REFUSAL_CONTEXT), "context too small");
    assert_true(REFUSAL_CONTEXT < REFUSAL_NOT_LOADED && REFUSAL_NOT_LOADED < REFUSAL_SILENT);
}

static void what_runs_or_can_is_open(void **state)
{
    (void)state;
    struct fleet_instance it = sound;
    assert_int_equal(refusal_for_all(&it), REFUSAL_NONE);
    it.state = INSTANCE_LOADING;
    assert_int_equal(refusal_for_all(&it), REFUSAL_NONE);
    it.state = INSTANCE_AVAILABLE;
    assert_int_equal(refusal_for_all(&it), REFUSAL_NONE);
    it.fits = false;
    assert_int_equal(refusal_for_all(&it), REFUSAL_NO_FIT);
    it.state = INSTANCE_RESIDENT; /* it is there, whatever the numbers say */
    assert_int_equal(refusal_for_all(&it), REFUSAL_NONE);
}

static void what_is_away_is_told_apart(void **state)
{
    (void)state;
    struct fleet_instance it = sound;
    it.usable = false;
    assert_int_equal(refusal_for_all(&it), REFUSAL_UNUSABLE);
    it.silent = true;
    assert_int_equal(refusal_for_all(&it), REFUSAL_SILENT);
    it.usable = true;
    it.tripped = true;
    assert_int_equal(refusal_for_all(&it), REFUSAL_TRIPPED);
    it.state = INSTANCE_STOPPING;
    assert_int_equal(refusal_for_all(&it), REFUSAL_STOPPING);
    it.state = INSTANCE_FAILED;
    assert_int_equal(refusal_for_all(&it), REFUSAL_FAILED);
}

/* Not loaded and silent: waiting for its node would not help. */
static void what_never_fits_is_not_waited_for(void **state)
{
    (void)state;
    struct fleet_instance it = {.state = INSTANCE_AVAILABLE, .silent = true};
    assert_int_equal(refusal_for_all(&it), REFUSAL_NO_FIT);
    it.silent = false; /* it drains */
    assert_int_equal(refusal_for_all(&it), REFUSAL_NO_FIT);
    assert_true(REFUSAL_NO_FIT < REFUSAL_UNUSABLE && REFUSAL_UNUSABLE < REFUSAL_SILENT);
}

static void what_is_ordered_is_open_in_any_state(void **state)
{
    (void)state;
    static const enum instance_state states[] = {
            INSTANCE_AVAILABLE, INSTANCE_STOPPING, INSTANCE_LOADING, INSTANCE_FAILED};
    struct fleet_instance it = sound;
    it.ordered = true;
    it.fits = false; /* beside what there is now */
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        it.state = states[i];
        assert_int_equal(refusal_for_all(&it), REFUSAL_NONE);
    }
    it.tripped = true;
    assert_int_equal(refusal_for_all(&it), REFUSAL_TRIPPED);
}

static void what_only_the_engine_knows_is_tried_before_it_runs(void **state)
{
    (void)state;
    struct fleet_instance it = sound; /* a node of an earlier version says nothing */
    const uint32_t unsure = CAPABILITY_TOOLS | CAPABILITY_VISION | CAPABILITY_AUDIO;
    assert_int_equal(refusal_abilities(&it) & (CAPABILITY_CHAT | unsure), CAPABILITY_CHAT | unsure);
    assert_int_equal(refusal_abilities(&it) & CAPABILITY_EMBEDDINGS, 0);
    it.capabilities = CAPABILITY_FIM;
    assert_int_equal(refusal_abilities(&it) & unsure, unsure);
    assert_int_equal(refusal_abilities(&it) & (CAPABILITY_CHAT | CAPABILITY_FIM), CAPABILITY_FIM);
    it.capabilities |= CAPABILITY_TEMPLATE; /* it was read, and takes no tools */
    assert_int_equal(refusal_abilities(&it) & unsure, unsure & ~(uint32_t)CAPABILITY_TOOLS);
    it.capabilities |= CAPABILITY_EXACT;
    assert_int_equal(refusal_abilities(&it) & unsure, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_has_a_name_of_its_own),
            cmocka_unit_test(what_runs_or_can_is_open),
            cmocka_unit_test(what_is_away_is_told_apart),
            cmocka_unit_test(what_never_fits_is_not_waited_for),
            cmocka_unit_test(what_is_ordered_is_open_in_any_state),
            cmocka_unit_test(what_only_the_engine_knows_is_tried_before_it_runs),
    };
    return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
