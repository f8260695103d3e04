#include "coordinator/modes/mode_look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEES = CAPABILITY_CHAT | CAPABILITY_VISION | CAPABILITY_EXACT };

/* Loaded, and heard of. */
static struct fleet_instance resident(uint32_t context, uint32_t capabilities)
{
    return (struct fleet_instance){.state = INSTANCE_RESIDENT,
            .usable = true,
            .fits = true,
            .context = context,
            .capabilities = capabilities};
}

static struct mode_model_facts look(
        struct fleet_instance *instances, uint32_t count, uint32_t needs, bool batch)
{
    const struct fleet_model model = {.at = instances, .count = count};
    return mode_look(&model, needs, batch);
}

static void what_nobody_has_is_not_known(void **state)
{
    (void)state;
    struct mode_model_facts facts = mode_look(NULL, CAPABILITY_CHAT, false);
    assert_false(facts.unable || facts.barred || facts.there);
    assert_int_equal(facts.context + facts.points, 0);
    facts = look(NULL, 0, CAPABILITY_CHAT, false);
    assert_false(facts.unable);
}

static void the_longest_and_the_best_count(void **state)
{
    (void)state;
    struct fleet_instance all[] = {resident(4096, CAPABILITY_CHAT), resident(8192, CAPABILITY_CHAT),
            resident(2048, CAPABILITY_CHAT)};
    all[0].quality = 60;
    all[2].quality = 70;
    struct mode_model_facts facts = look(all, 3, CAPABILITY_CHAT, false);
    assert_int_equal(facts.context, 8192);
    assert_int_equal(facts.points, 70);
    all[2].context = 0; /* it does not say */
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, UINT32_MAX);
    all[2].context = 2048;
    all[1].usable = false; /* gone */
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, 4096);
    all[1].silent = true; /* for a moment */
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, 8192);
    all[1].state = INSTANCE_AVAILABLE;
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, 8192);
    all[1].fits = false; /* it can never be loaded */
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, 4096);
    all[0].batch_only = true;
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, false).context, 2048);
    assert_int_equal(look(all, 3, CAPABILITY_CHAT, true).context, 4096);
    assert_true(look(all, 1, CAPABILITY_CHAT, true).there);
    assert_false(look(all, 1, CAPABILITY_CHAT, false).there);
    assert_false(look(all + 1, 1, CAPABILITY_CHAT, false).there);
}

static void who_lacks_what_is_needed_does_not_count(void **state)
{
    (void)state;
    struct fleet_instance all[] = {
            resident(8192, CAPABILITY_CHAT | CAPABILITY_EXACT), resident(4096, SEES)};
    const uint32_t needs = CAPABILITY_CHAT | CAPABILITY_VISION;
    struct mode_model_facts facts = look(all, 2, needs, false);
    assert_false(facts.unable);
    assert_int_equal(facts.context, 4096);
    facts = look(all, 1, needs, false);
    assert_true(facts.unable && !facts.there);
    all[0].capabilities = CAPABILITY_CHAT; /* it may turn out to see once it is loaded */
    assert_false(look(all, 1, needs, false).unable);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_nobody_has_is_not_known),
            cmocka_unit_test(the_longest_and_the_best_count),
            cmocka_unit_test(who_lacks_what_is_needed_does_not_count),
    };
    return cmocka_run_group_tests_name("mode_look", tests, NULL, NULL);
}
