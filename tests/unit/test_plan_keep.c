#include "coordinator/plan/plan_keep.h"

#include "coordinator/plan/plan_digest.h"
#include "tests/lib/plan_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LOOK_MS = 1000, HOUR_MS = 60 * 60 * 1000 };

/* Looks once a second until a plan is due, for `limit_ms` at most; how long that took. */
static uint64_t wait_due(
        struct plan_keep *keep, uint64_t digest, bool held, uint64_t *now_ms, uint64_t limit_ms)
{
    uint64_t begun_ms = *now_ms;
    while (*now_ms - begun_ms < limit_ms) {
        if (plan_keep_look(keep, digest, held, *now_ms))
            return *now_ms - begun_ms;
        *now_ms += LOOK_MS;
    }
    return UINT64_MAX;
}

static void the_first_look_is_a_change(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 5000;
    (void)state;
    assert_int_equal(wait_due(&keep, 1, false, &now_ms, HOUR_MS), PLAN_KEEP_SETTLE_MS);
    plan_keep_idle(&keep);
    assert_true(wait_due(&keep, 1, false, &now_ms, HOUR_MS) == UINT64_MAX);
}

static void what_is_over_in_a_moment_moves_nothing(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    unsigned due = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_idle(&keep);
    for (int i = 0; i < 60; i++, now_ms += LOOK_MS) /* a node comes and goes, each ten seconds */
        due += plan_keep_look(&keep, 1 + (uint64_t)(i / 10 % 2), false, now_ms);
    assert_int_equal(due, 0);
    assert_true(wait_due(&keep, 2, false, &now_ms, HOUR_MS) < PLAN_KEEP_SETTLE_MS);
}

static void what_never_settles_is_planned_in_the_end(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0, digest = 1;
    (void)state;
    while (!plan_keep_look(&keep, digest++, false, now_ms))
        now_ms += LOOK_MS;
    assert_int_equal(now_ms, PLAN_KEEP_SETTLE_MAX_MS);
}

static void plans_that_are_carried_out_keep_their_distance(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_ended(&keep, true, now_ms);
    assert_int_equal(wait_due(&keep, 2, false, &now_ms, HOUR_MS), PLAN_KEEP_INTERVAL_MS);
}

static void nothing_is_due_while_steps_are_carried_out(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    assert_true(wait_due(&keep, 2, false, &now_ms, HOUR_MS) == UINT64_MAX);
    plan_keep_idle(&keep);
    assert_int_equal(wait_due(&keep, 2, false, &now_ms, HOUR_MS), 0);
}

static void people_come_first(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    assert_true(wait_due(&keep, 1, true, &now_ms, HOUR_MS) == UINT64_MAX);
    assert_int_equal(wait_due(&keep, 1, false, &now_ms, HOUR_MS), 0);
}

static void failures_are_tried_again_ever_later(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0, waited_ms, pause_ms = PLAN_KEEP_INTERVAL_MS;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    for (int i = 0; i < 10; i++) {
        pause_ms = 2 * pause_ms < PLAN_KEEP_FAILED_MAX_MS ? 2 * pause_ms : PLAN_KEEP_FAILED_MAX_MS;
        plan_keep_ended(&keep, false, now_ms);
        waited_ms = wait_due(&keep, 1, false, &now_ms, 3 * HOUR_MS);
        assert_int_equal(waited_ms, pause_ms);
    }
    assert_int_equal(pause_ms, PLAN_KEEP_FAILED_MAX_MS);
    plan_keep_ended(&keep, true, now_ms);
    assert_int_equal(wait_due(&keep, 2, false, &now_ms, HOUR_MS), PLAN_KEEP_INTERVAL_MS);
}

static void what_has_to_wait_is_tried_again(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_later(&keep, now_ms);
    assert_int_equal(wait_due(&keep, 1, false, &now_ms, HOUR_MS), PLAN_KEEP_INTERVAL_MS);
    plan_keep_later(&keep, now_ms);
    assert_int_equal(wait_due(&keep, 1, false, &now_ms, HOUR_MS), PLAN_KEEP_INTERVAL_MS);
}

static void new_settings_do_not_wait(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_ended(&keep, true, now_ms);
    plan_keep_hurry(&keep);
    assert_int_equal(wait_due(&keep, 2, false, &now_ms, HOUR_MS), PLAN_KEEP_SETTLE_MS);
}

static void new_settings_do_not_wait_for_what_came_before(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_hurry(&keep); /* in the middle of it */
    plan_keep_ended(&keep, true, now_ms);
    assert_int_equal(wait_due(&keep, 2, false, &now_ms, HOUR_MS), PLAN_KEEP_SETTLE_MS);
    plan_keep_ended(&keep, true, now_ms);
    assert_int_equal(wait_due(&keep, 3, false, &now_ms, HOUR_MS), PLAN_KEEP_INTERVAL_MS);
}

static void what_is_not_known_changes_nothing(void **state)
{
    struct plan_keep keep = {0};
    uint64_t now_ms = 0;
    (void)state;
    assert_true(wait_due(&keep, 0, false, &now_ms, HOUR_MS) == UINT64_MAX);
    wait_due(&keep, 1, false, &now_ms, HOUR_MS);
    plan_keep_idle(&keep);
    assert_true(wait_due(&keep, 0, false, &now_ms, HOUR_MS) == UINT64_MAX);
}

/* ---- the whole of it, in a virtual day: the plan, its price of loads, and when it is followed */

struct day {
    struct plan_setup *setup;
    struct plan_keep keep;
    uint64_t now_ms;
    size_t loads, plans;
};

static size_t steps_of(const struct placement *placement)
{
    size_t steps = 0;
    for (size_t i = 0; i < placement->engine_count; i++)
        steps += placement->engines[i].action == PLACEMENT_LOAD ||
                 placement->engines[i].action == PLACEMENT_RELOAD ||
                 placement->engines[i].action == PLACEMENT_UNLOAD;
    return steps;
}

static void follow(struct day *day)
{
    const struct placement *placement = plan_placement(plan_setup_plan(day->setup));
    day->plans++;
    if (steps_of(placement) == 0) {
        plan_keep_idle(&day->keep);
        return;
    }
    day->loads += placement->load_count;
    plan_setup_apply(day->setup);
    plan_keep_ended(&day->keep, true, day->now_ms);
}

static void pass(struct day *day, uint64_t for_ms)
{
    for (uint64_t end_ms = day->now_ms + for_ms; day->now_ms < end_ms; day->now_ms += LOOK_MS) {
        size_t count;
        const struct plan_host *hosts = plan_setup_hosts(day->setup, &count);
        uint64_t digest = plan_digest(hosts, count, plan_setup_all_modes(day->setup));
        if (plan_keep_look(&day->keep, digest, false, day->now_ms))
            follow(day);
    }
}

static void a_fleet_that_follows_its_plan_comes_to_rest(void **state)
{
    struct day day = {.setup = plan_setup_create(), .now_ms = 1};
    struct plan_host *halo1 = plan_setup_node(day.setup, "halo1", 100, 200),
                     *halo2 = plan_setup_node(day.setup, "halo2", 100, 200);
    static const char *const names[] = {"coder", "thinker", "fast"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        plan_setup_plain_model(halo1, names[i], 40, 64);
        plan_setup_plain_model(halo2, names[i], 40, 64);
    }
    plan_setup_modes(day.setup, "modes:\n  code:\n    models: [coder]\n    copies: 2\n"
                                "  ask:\n    models: [fast, coder]\n"
                                "  architect:\n    models: [thinker, coder]\n");
    pass(&day, HOUR_MS);
    size_t loads = day.loads;
    assert_true(loads >= 3 && loads <= 4);
    pass(&day, 23 * HOUR_MS);
    assert_int_equal(day.loads, loads); /* nothing changed: nothing moves */

    /* Somebody asks for another model now and then, which takes the place of one. */
    struct instance *other = plan_setup_plain_model(halo1, "other", 60, 64);
    for (int i = 0; i < 12; i++) {
        for (size_t k = 0; k < halo1->count; k++)
            halo1->instances[k]->state = INSTANCE_AVAILABLE;
        plan_setup_reside(other, 8192, 1);
        pass(&day, HOUR_MS / 12);
    }
    assert_true(day.loads - loads <= 2 * 12); /* what was lost comes back, and no more */
    loads = day.loads;
    pass(&day, HOUR_MS);
    assert_true(day.loads - loads <= 2);
    loads = day.loads;
    pass(&day, 10 * HOUR_MS);
    assert_int_equal(day.loads, loads);
    plan_setup_destroy(day.setup);
}

static void a_node_that_blinks_costs_no_loads(void **state)
{
    struct day day = {.setup = plan_setup_create(), .now_ms = 1};
    struct plan_host *halo1 = plan_setup_node(day.setup, "halo1", 100, 200),
                     *halo2 = plan_setup_node(day.setup, "halo2", 100, 100);
    (void)state;
    plan_setup_plain_model(halo1, "coder", 40, 64);
    plan_setup_plain_model(halo2, "coder", 40, 64);
    plan_setup_modes(day.setup, "modes:\n  code:\n    models: [coder]\n");
    pass(&day, HOUR_MS);
    assert_int_equal(day.loads, 1);
    for (int i = 0; i < 100; i++) {
        halo1->facts.draining = i % 2 == 0;
        pass(&day, PLAN_KEEP_SETTLE_MS - 2 * LOOK_MS);
    }
    assert_true(day.loads <= 1 + 100 * PLAN_KEEP_SETTLE_MS / PLAN_KEEP_INTERVAL_MS);
    plan_setup_destroy(day.setup);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_first_look_is_a_change),
            cmocka_unit_test(what_is_over_in_a_moment_moves_nothing),
            cmocka_unit_test(what_never_settles_is_planned_in_the_end),
            cmocka_unit_test(plans_that_are_carried_out_keep_their_distance),
            cmocka_unit_test(nothing_is_due_while_steps_are_carried_out),
            cmocka_unit_test(people_come_first),
            cmocka_unit_test(failures_are_tried_again_ever_later),
            cmocka_unit_test(what_has_to_wait_is_tried_again),
            cmocka_unit_test(new_settings_do_not_wait),
            cmocka_unit_test(new_settings_do_not_wait_for_what_came_before),
            cmocka_unit_test(what_is_not_known_changes_nothing),
            cmocka_unit_test(a_fleet_that_follows_its_plan_comes_to_rest),
            cmocka_unit_test(a_node_that_blinks_costs_no_loads),
    };
    return cmocka_run_group_tests_name("plan_keep", tests, NULL, NULL);
}
