#include "coordinator/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct instance instance_of(const char *model, enum instance_state state)
{
    struct instance it = {
            .epoch = 1, .node = "n", .state = state, .usable = true, .fits = true, .slots = 2};
    strcpy(it.model, model);
    return it;
}

static struct scheduler_plan choose(
        struct instance *list, size_t count, const char *const *models, size_t model_count)
{
    struct instance *pointers[8];
    for (size_t i = 0; i < count; i++)
        pointers[i] = &list[i];
    struct scheduler_request request = {.models = models, .model_count = model_count};
    return scheduler_choose(pointers, count, &request);
}

static const char *const small[] = {"small"};
static const char *const small_large[] = {"small", "large"};

static void runs_on(struct scheduler_plan plan, const struct instance *instance)
{
    assert_int_equal(plan.verdict, SCHEDULER_RUN);
    assert_ptr_equal(plan.instance, instance);
    assert_non_null(plan.reason);
}

static void the_least_busy_resident_one_serves(void **state)
{
    (void)state;
    struct instance list[] = {instance_of("small", INSTANCE_RESIDENT),
            instance_of("small", INSTANCE_RESIDENT), instance_of("large", INSTANCE_RESIDENT)};
    list[0].running = 1;
    runs_on(choose(list, 3, small, 1), &list[1]);
    list[1].running = 3;
    list[1].slots = 8; /* (3 + 1) / 8 is less than (1 + 1) / 2 */
    runs_on(choose(list, 3, small, 1), &list[1]);
}

static void ties_go_to_the_least_recently_used(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("small", INSTANCE_RESIDENT)};
    list[0].last_used_us = 2;
    list[1].last_used_us = 1;
    runs_on(choose(list, 2, small, 1), &list[1]);
}

static void the_order_of_models_counts_first(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("large", INSTANCE_RESIDENT), instance_of("small", INSTANCE_RESIDENT)};
    list[1].running = 5;
    runs_on(choose(list, 2, small_large, 2), &list[1]);
    list[1].state = INSTANCE_AVAILABLE;
    runs_on(choose(list, 2, small_large, 2), &list[0]);
}

static void a_full_instance_is_waited_for(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("small", INSTANCE_AVAILABLE)};
    list[0].running = 2 * SCHEDULER_REQUESTS_PER_SLOT - 1;
    runs_on(choose(list, 2, small, 1), &list[0]);
    list[0].running++;
    struct scheduler_plan plan = choose(list, 2, small, 1);
    assert_int_equal(plan.verdict, SCHEDULER_WAIT);
    assert_null(plan.instance);
}

static void a_resident_one_without_slots_still_serves(void **state)
{
    (void)state;
    struct instance list[] = {instance_of("small", INSTANCE_RESIDENT)};
    list[0].slots = 0;
    runs_on(choose(list, 1, small, 1), &list[0]);
    list[0].running = UINT32_MAX;
    assert_int_equal(choose(list, 1, small, 1).verdict, SCHEDULER_WAIT);
}

static void nothing_resident_is_loaded_once(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_AVAILABLE), instance_of("small", INSTANCE_AVAILABLE)};
    list[0].last_used_us = 9;
    runs_on(choose(list, 2, small, 1), &list[1]);
    /* Sent there, and the node has not spoken since: the next ones follow. */
    list[1].running = 1;
    list[1].last_used_us = 10;
    runs_on(choose(list, 2, small, 1), &list[1]);
    list[1].state = INSTANCE_LOADING;
    runs_on(choose(list, 2, small, 1), &list[1]);
    list[1].running = SCHEDULER_REQUESTS_PER_SLOT;
    runs_on(choose(list, 2, small, 1), &list[0]);
}

static void what_may_come_is_waited_for(void **state)
{
    (void)state;
    static const enum instance_state states[] = {
            INSTANCE_LOADING, INSTANCE_AVAILABLE, INSTANCE_FAILED, INSTANCE_STOPPING};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct instance list[] = {instance_of("small", states[i])};
        list[0].running = SCHEDULER_REQUESTS_PER_SLOT;
        assert_int_equal(choose(list, 1, small, 1).verdict, SCHEDULER_WAIT);
    }
}

static void what_fits_no_limit_is_never_sent_for(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_AVAILABLE), instance_of("small", INSTANCE_AVAILABLE)};
    list[0].fits = list[1].fits = false;
    struct scheduler_plan plan = choose(list, 2, small, 1);
    assert_int_equal(plan.verdict, SCHEDULER_NONE);
    assert_non_null(strstr(plan.reason, "memory limit"));
    list[1].fits = true;
    runs_on(choose(list, 2, small, 1), &list[1]);
    list[0].state = INSTANCE_RESIDENT; /* it is there, whatever the numbers say */
    runs_on(choose(list, 1, small, 1), &list[0]);
}

static void nobody_has_it(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("large", INSTANCE_RESIDENT), instance_of("small", INSTANCE_RESIDENT)};
    list[1].usable = false;
    assert_int_equal(choose(list, 2, small, 1).verdict, SCHEDULER_NONE);
    assert_int_equal(choose(list, 0, small, 1).verdict, SCHEDULER_NONE);
    assert_int_equal(choose(list, 2, small, 0).verdict, SCHEDULER_NONE);
}

static void a_silent_node_is_waited_for(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("large", INSTANCE_RESIDENT)};
    list[0].usable = false;
    list[0].silent = true;
    assert_int_equal(choose(list, 2, small, 1).verdict, SCHEDULER_WAIT);
    runs_on(choose(list, 2, small_large, 2), &list[1]);
}

static void what_failed_is_avoided_and_nothing_else(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("large", INSTANCE_RESIDENT)};
    struct instance *pointers[] = {&list[0], &list[1]};
    struct scheduler_request request = {.models = small_large,
            .model_count = 2,
            .avoid = {{.epoch = 1, .model = "small"}},
            .avoid_count = 1};
    runs_on(scheduler_choose(pointers, 2, &request), &list[1]);
    list[0].epoch = 2; /* the node has come again */
    runs_on(scheduler_choose(pointers, 2, &request), &list[0]);
}

static struct scheduler_plan choose_able(
        struct instance *list, size_t count, uint32_t needs, enum request_lane lane)
{
    struct instance *pointers[8];
    for (size_t i = 0; i < count; i++)
        pointers[i] = &list[i];
    struct scheduler_request request = {
            .models = small_large, .model_count = 2, .needs = needs, .lane = lane};
    return scheduler_choose(pointers, count, &request);
}

static void what_a_model_cannot_do_is_not_asked_of_it(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("large", INSTANCE_RESIDENT)};
    list[0].capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    list[1].capabilities = CAPABILITY_CHAT | CAPABILITY_VISION | CAPABILITY_EXACT;
    runs_on(choose_able(list, 2, CAPABILITY_CHAT, LANE_CHAT), &list[0]);
    runs_on(choose_able(list, 2, CAPABILITY_CHAT | CAPABILITY_VISION, LANE_CHAT), &list[1]);
    struct scheduler_plan plan = choose_able(list, 2, CAPABILITY_FIM, LANE_CHAT);
    assert_int_equal(plan.verdict, SCHEDULER_UNABLE);
    assert_int_equal(plan.lacking, CAPABILITY_FIM);
}

static void a_model_that_nobody_has_now_may_be_able_to(void **state)
{
    (void)state;
    struct instance blind = instance_of("small", INSTANCE_RESIDENT);
    blind.capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    struct scheduler_plan plan = choose_able(&blind, 1, CAPABILITY_VISION, LANE_CHAT);
    assert_int_equal(plan.verdict, SCHEDULER_NONE); /* "large" sees, and its node is away */
    assert_string_equal(plan.reason, "no connected node has a model that can do that");
}

static void what_only_the_engine_knows_is_tried_before_it_runs(void **state)
{
    (void)state;
    struct instance it = instance_of("small", INSTANCE_AVAILABLE);
    assert_int_equal(instance_lacks(&it, CAPABILITY_CHAT | CAPABILITY_TOOLS), 0); /* says nothing */
    assert_int_equal(instance_lacks(&it, CAPABILITY_EMBEDDINGS), CAPABILITY_EMBEDDINGS);
    it.capabilities = CAPABILITY_CHAT;
    assert_int_equal(instance_lacks(&it, CAPABILITY_VISION | CAPABILITY_TOOLS), 0);
    assert_int_equal(instance_lacks(&it, CAPABILITY_FIM), CAPABILITY_FIM);
    it.capabilities |= CAPABILITY_EXACT;
    assert_int_equal(instance_lacks(&it, CAPABILITY_VISION), CAPABILITY_VISION);
}

static void chat_leaves_room_for_autocomplete(void **state)
{
    (void)state;
    struct instance it = instance_of("small", INSTANCE_RESIDENT);
    it.slots = 1;
    it.running = SCHEDULER_REQUESTS_PER_SLOT;
    assert_int_equal(choose_able(&it, 1, 0, LANE_CHAT).verdict, SCHEDULER_WAIT);
    runs_on(choose_able(&it, 1, 0, LANE_AUTOCOMPLETE), &it);
    it.running += SCHEDULER_AUTOCOMPLETE_PER_SLOT;
    assert_int_equal(choose_able(&it, 1, 0, LANE_AUTOCOMPLETE).verdict, SCHEDULER_WAIT);
}

static struct scheduler_plan choose_batch(struct instance *list, size_t count, bool batch)
{
    struct instance *pointers[8];
    for (size_t i = 0; i < count; i++)
        pointers[i] = &list[i];
    struct scheduler_request request = {.models = small_large, .model_count = 2, .batch = batch};
    return scheduler_choose(pointers, count, &request);
}

static void what_swaps_is_for_batch_alone(void **state)
{
    (void)state;
    static const enum instance_state states[] = {INSTANCE_RESIDENT, INSTANCE_AVAILABLE,
            INSTANCE_LOADING, INSTANCE_STOPPING, INSTANCE_FAILED};
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("large", INSTANCE_RESIDENT)};
    list[0].batch_only = true;
    runs_on(choose_batch(list, 2, true), &list[0]);
    runs_on(choose_batch(list, 2, false), &list[1]);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        list[0].state = states[i];
        list[0].ordered = states[i] == INSTANCE_STOPPING;
        struct scheduler_plan plan = choose_batch(list, 1, false);
        assert_int_equal(plan.verdict, SCHEDULER_NONE);
        assert_non_null(strstr(plan.reason, "only modes with batch: true may use it"));
        assert_int_not_equal(choose_batch(list, 1, true).verdict, SCHEDULER_NONE);
    }
    list[0].state = INSTANCE_AVAILABLE;
    runs_on(choose_batch(list, 1, true), &list[0]);
    list[0].fits = false; /* not even so */
    assert_int_equal(choose_batch(list, 1, true).verdict, SCHEDULER_NONE);
}

/* Where it fits elsewhere, that is waited for; nothing is said of what the request does not need.
 */
static void a_node_that_swaps_hides_no_other(void **state)
{
    (void)state;
    struct instance list[] = {
            instance_of("small", INSTANCE_RESIDENT), instance_of("small", INSTANCE_LOADING)};
    list[0].batch_only = true;
    list[1].running = SCHEDULER_REQUESTS_PER_SLOT;
    assert_int_equal(choose_batch(list, 2, false).verdict, SCHEDULER_WAIT);
    list[1].state = INSTANCE_AVAILABLE;
    list[1].running = 0;
    runs_on(choose_batch(list, 2, false), &list[1]);
    list[0].capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    assert_string_equal(choose_able(list, 1, CAPABILITY_VISION, LANE_CHAT).reason,
            "no connected node has a model that can do that");
}

/* Others that could load it are left alone: its node is about to. */
static void what_is_ordered_is_not_loaded_elsewhere(void **state)
{
    (void)state;
    static const enum instance_state states[] = {
            INSTANCE_AVAILABLE, INSTANCE_STOPPING, INSTANCE_LOADING, INSTANCE_FAILED};
    struct instance list[] = {
            instance_of("small", INSTANCE_AVAILABLE), instance_of("small", INSTANCE_AVAILABLE)};
    list[1].ordered = true;
    list[1].last_used_us = 9;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        list[1].state = states[i];
        runs_on(choose(list, 2, small, 1), &list[1]);
    }
    list[1].fits = false; /* beside what there is now */
    runs_on(choose(list, 2, small, 1), &list[1]);
    list[1].state = INSTANCE_AVAILABLE;
    list[1].running = SCHEDULER_REQUESTS_PER_SLOT;
    assert_int_equal(choose(&list[1], 1, small, 1).verdict, SCHEDULER_WAIT);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_least_busy_resident_one_serves),
            cmocka_unit_test(ties_go_to_the_least_recently_used),
            cmocka_unit_test(the_order_of_models_counts_first),
            cmocka_unit_test(a_full_instance_is_waited_for),
            cmocka_unit_test(a_resident_one_without_slots_still_serves),
            cmocka_unit_test(nothing_resident_is_loaded_once),
            cmocka_unit_test(what_may_come_is_waited_for),
            cmocka_unit_test(what_is_ordered_is_not_loaded_elsewhere),
            cmocka_unit_test(what_fits_no_limit_is_never_sent_for),
            cmocka_unit_test(nobody_has_it),
            cmocka_unit_test(a_silent_node_is_waited_for),
            cmocka_unit_test(what_failed_is_avoided_and_nothing_else),
            cmocka_unit_test(what_a_model_cannot_do_is_not_asked_of_it),
            cmocka_unit_test(a_model_that_nobody_has_now_may_be_able_to),
            cmocka_unit_test(what_only_the_engine_knows_is_tried_before_it_runs),
            cmocka_unit_test(chat_leaves_room_for_autocomplete),
            cmocka_unit_test(what_swaps_is_for_batch_alone),
            cmocka_unit_test(a_node_that_swaps_hides_no_other),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
