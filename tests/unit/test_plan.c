#include "coordinator/plan/plan.h"

#include "tests/lib/plan_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB(n) ((uint64_t)((n) * (double)(UINT64_C(1) << 30)))

static int set_up(void **state)
{
    *state = plan_setup_create();
    return 0;
}

static int tear_down(void **state)
{
    plan_setup_destroy(*state);
    return 0;
}

static void gets(struct plan_setup *setup, const char *mode, const char *expected)
{
    assert_string_equal(plan_setup_gets(setup, mode, 0), expected);
}

static void has_note(const struct plan *plan, const char *text)
{
    const char *note;
    for (size_t i = 0; (note = plan_note(plan, i)); i++)
        if (strstr(note, text))
            return;
    fail_msg("no note says \"%s\"; the first is \"%s\"", text,
            plan_note(plan, 0) ? plan_note(plan, 0) : "none");
}

static enum placement_action action(
        const struct plan_setup *setup, const char *node, const char *model)
{
    const struct placement_engine *engine = plan_setup_engine(setup, node, model);
    assert_non_null(engine);
    return engine->action;
}

static const char ask_big[] = "modes:\n  ask:\n    models: [big, small]\n";

static void modes_get_their_models(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_plain_model(halo, "small", 10, 64);
    plan_setup_plain_model(halo, "other", 10, 64);
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    gets(setup, "ask", "big on halo, 32768");
    assert_int_equal(action(setup, "halo", "big"), PLACEMENT_LOAD);
    assert_null(plan_setup_engine(setup, "halo", "other"));
    assert_string_equal(plan_key(plan, 0), "halo");
    assert_null(plan_note(plan, 0));
    plan_setup_apply(setup);
    plan_setup_plan(setup);
    assert_int_equal(action(setup, "halo", "big"), PLACEMENT_KEEP);
}

static void an_empty_mesh_has_a_plan(void **state)
{
    struct plan_setup *setup = *state;
    plan_setup_modes(setup, "");
    plan_setup_plan(setup);
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
    assert_int_equal(plan_placement(plan)->lost_permille, 1000);
}

static void what_an_engine_was_seen_to_take_counts_at_any_context(void **state)
{
    struct plan_setup *setup = *state;
    struct instance *big =
            plan_setup_plain_model(plan_setup_node(setup, "halo", 100, 200), "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    uint64_t estimate = plan_setup_engine(setup, "halo", "big")->memory_bytes;
    big->measured_bytes = big->memory_bytes + GIB(3);
    plan_setup_plan(setup);
    assert_int_equal(plan_setup_engine(setup, "halo", "big")->memory_bytes, estimate + GIB(3));
    big->measured_bytes = big->memory_bytes - GIB(2);
    plan_setup_plan(setup);
    assert_int_equal(plan_setup_engine(setup, "halo", "big")->memory_bytes, estimate - GIB(2));
    big->measured_bytes = big->memory_bytes + GIB(45);
    plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
}

static void a_projector_takes_room_too(void **state)
{
    struct plan_setup *setup = *state;
    struct instance *big =
            plan_setup_plain_model(plan_setup_node(setup, "halo", 100, 200), "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    uint64_t without = plan_setup_engine(setup, "halo", "big")->memory_bytes;
    big->side_bytes = GIB(1.5);
    plan_setup_plan(setup);
    assert_int_equal(plan_setup_engine(setup, "halo", "big")->memory_bytes, without + GIB(1.5));
}

/* As a node of an earlier version tells it. */
static void without_a_shape_it_takes_what_its_node_says(void **state)
{
    struct plan_setup *setup = *state;
    struct instance *big =
            plan_setup_plain_model(plan_setup_node(setup, "halo", 100, 200), "big", 60, 64);
    big->shape = (struct model_shape){.tensor_bytes = 0};
    big->memory_bytes = GIB(70);
    big->context = 16384;
    big->run_context = big->run_slots = 0;
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    gets(setup, "ask", "big on halo, 16384");
    assert_int_equal(plan_setup_engine(setup, "halo", "big")->memory_bytes, GIB(70));
    big->context = 4096;
    plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
}

static void what_loads_is_resident_and_what_stops_is_not(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    struct instance *big = plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_reside(big, 32768, 1);
    big->state = INSTANCE_LOADING;
    big->slots = 0; /* until it is loaded */
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    assert_int_equal(action(setup, "halo", "big"), PLACEMENT_KEEP);
    assert_true(plan_is_unsettled(plan, 0));
    big->state = INSTANCE_STOPPING;
    plan = plan_setup_plan(setup);
    assert_int_equal(action(setup, "halo", "big"), PLACEMENT_LOAD);
    assert_true(plan_is_unsettled(plan, 0));
    big->state = INSTANCE_AVAILABLE;
    plan = plan_setup_plan(setup);
    assert_false(plan_is_unsettled(plan, 0));
    big->ordered = true;
    plan = plan_setup_plan(setup);
    assert_true(plan_is_unsettled(plan, 0));
}

static void what_answers_by_its_own_name_is_not_to_be_undone(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    struct instance *other = plan_setup_plain_model(halo, "other", 60, 64),
                    *small = plan_setup_plain_model(halo, "small", 1, 1);
    plan_setup_reside(other, 8192, 1);
    plan_setup_reside(small, 32768, 1);
    plan_setup_modes(setup, ask_big);
    small->busy = 1;
    assert_false(plan_is_unsettled(plan_setup_plan(setup), 0));
    other->running = 1;
    assert_true(plan_is_unsettled(plan_setup_plan(setup), 0));
    other->foreign = true;
    assert_false(plan_is_unsettled(plan_setup_plan(setup), 0));
}

static void a_model_that_failed_is_left_out(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    struct instance *big = plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_plain_model(halo, "small", 10, 64);
    big->state = INSTANCE_FAILED;
    strcpy(big->note, "the file is cut short");
    plan_setup_modes(setup, ask_big);
    has_note(plan_setup_plan(setup),
            "\"big\" on \"halo\" is left out: its engine failed: the file is cut short");
    gets(setup, "ask", "small on halo, 32768");
    big->pinned = true; /* the node tries it again and again: its room is taken */
    plan_setup_plan(setup);
    gets(setup, "ask", "small on halo, 32768");
    assert_int_equal(action(setup, "halo", "big"), PLACEMENT_LOAD);
}

static void what_is_pinned_stays_as_it_is(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 80, 200);
    struct instance *other = plan_setup_plain_model(halo, "other", 30, 64);
    plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_plain_model(halo, "small", 10, 64);
    plan_setup_reside(other, 4096, 2);
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    gets(setup, "ask", "big on halo, 32768");
    assert_int_equal(action(setup, "halo", "other"), PLACEMENT_UNLOAD);
    other->pinned = true;
    plan_setup_plan(setup);
    gets(setup, "ask", "small on halo, 32768");
    assert_int_equal(action(setup, "halo", "other"), PLACEMENT_KEEP);
}

static void what_is_foreign_serves_and_takes_nothing(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *mac = plan_setup_node(setup, "mac", 8, 400);
    struct instance *big = plan_setup_plain_model(mac, "big", 200, 64);
    plan_setup_plain_model(mac, "small", 2, 64);
    plan_setup_reside(big, 65536, 1);
    big->foreign = true;
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    gets(setup, "ask", "big on mac, 32768");
    assert_int_equal(action(setup, "mac", "big"), PLACEMENT_KEEP);
    assert_true(plan_placement(plan)->hosts[0].free_bytes >= GIB(7.9));
    big->state = INSTANCE_AVAILABLE;
    has_note(plan_setup_plan(setup), "\"big\" on \"mac\" is not ours and not loaded");
    gets(setup, "ask", "small on mac, 32768");
}

static void nodes_that_take_no_work_are_left_out(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo1 = plan_setup_node(setup, "halo1", 100, 200),
                     *halo2 = plan_setup_node(setup, "halo2", 100, 100);
    plan_setup_plain_model(halo1, "big", 60, 64);
    plan_setup_plain_model(halo2, "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    gets(setup, "ask", "big on halo1, 32768");
    halo1->facts.draining = true;
    has_note(plan_setup_plan(setup), "\"halo1\" is left out: it is draining");
    gets(setup, "ask", "big on halo2, 32768");
    halo2->facts.memory_limit_bytes = 0;
    has_note(plan_setup_plan(setup), "\"halo2\" is left out: it has not told its memory yet");
    gets(setup, "ask", "nothing");
}

static void what_others_hold_is_not_planned(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    halo->facts.memory_room_bytes = GIB(40);
    plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
    halo->facts.memory_used_bytes = GIB(63); /* it is there */
    plan_setup_plan(setup);
    gets(setup, "ask", "big on halo, 32768");
}

static void the_swap_allowance_counts_for_batch_work(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    plan_setup_plain_model(halo, "big", 110, 64);
    halo->facts.swap_allowance_bytes = GIB(50);
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
    plan_setup_modes(setup, "modes:\n  night:\n    models: [big]\n    batch: true\n");
    plan_setup_plan(setup);
    gets(setup, "night", "big on halo, 16384");
    assert_true(plan_setup_engine(setup, "halo", "big")->swap_bytes > GIB(10));
}

static void set_alias(struct instance *instance, const char *alias)
{
    instance->aliases = calloc(1, sizeof(*instance->aliases));
    assert_non_null(instance->aliases);
    strcpy(instance->aliases[0], alias);
    instance->alias_count = 1;
}

static void an_alias_means_the_model_that_requests_get(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo1 = plan_setup_node(setup, "halo1", 30, 200),
                     *halo2 = plan_setup_node(setup, "halo2", 100, 200);
    set_alias(plan_setup_plain_model(halo1, "glm-q8", 20, 64), "glm");
    set_alias(plan_setup_plain_model(halo2, "glm-q4", 60, 64), "glm");
    set_alias(plan_setup_plain_model(halo2, "large", 70, 64), "small");
    plan_setup_plain_model(halo1, "small", 10, 64);
    plan_setup_modes(setup, "modes:\n  ask:\n    models: [glm, glm-q4, small]\n");
    const struct plan *plan = plan_setup_plan(setup);
    gets(setup, "ask", "glm-q4 on halo2, 32768");
    assert_int_equal(plan_fleet(plan)->modes[0].choice_count, 2);
    assert_int_equal(plan_fleet(plan)->model_count, 2);
}

static void a_name_that_no_node_has_stays_a_choice(void **state)
{
    struct plan_setup *setup = *state;
    plan_setup_plain_model(plan_setup_node(setup, "halo", 30, 200), "small", 10, 64);
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    gets(setup, "ask", "small on halo, 32768");
    assert_int_equal(plan_setup_service(setup, "ask", 0)->choice, 1);
    assert_int_equal(plan_fleet(plan)->model_count, 2);
}

static void qualities_are_the_models_own(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 200, 200);
    plan_setup_plain_model(halo, "big", 60, 64)->quality = 90;
    plan_setup_plain_model(plan_setup_node(setup, "other", 10, 1), "small", 60, 64)->quality = 70;
    plan_setup_plain_model(halo, "small", 60, 64);
    plan_setup_modes(setup, ask_big);
    const struct placement_mode *ask = &plan_fleet(plan_setup_plan(setup))->modes[0];
    assert_int_equal(ask->choices[0].quality, 90);
    assert_int_equal(ask->choices[1].quality, 70);
    plan_setup_modes(setup, "modes:\n  ask:\n    models: [big, small]\n    quality: {small: 95}\n");
    ask = &plan_fleet(plan_setup_plan(setup))->modes[0];
    assert_int_equal(ask->choices[0].quality, 90);
    assert_int_equal(ask->choices[1].quality, 95); /* in this mode */
}

static void a_model_with_other_content_is_told(void **state)
{
    struct plan_setup *setup = *state;
    struct instance *models[3];
    static const char *const names[] = {"halo1", "halo2", "halo3"};
    for (size_t i = 0; i < 3; i++) {
        models[i] =
                plan_setup_plain_model(plan_setup_node(setup, names[i], 100, 200), "big", 60, 64);
        models[i]->has_fingerprint = i > 0;
    }
    plan_setup_modes(setup, ask_big);
    assert_null(plan_note(plan_setup_plan(setup), 0));
    models[0]->has_fingerprint = true;
    models[2]->fingerprint[31] = 1;
    const struct plan *plan = plan_setup_plan(setup);
    has_note(plan, "\"big\" is not the same file on \"halo1\" and on \"halo3\"");
    assert_null(plan_note(plan, 1));
    assert_int_equal(plan_fleet(plan)->model_count, 2);
}

static void too_many_notes_are_counted(void **state)
{
    struct plan_setup *setup = *state;
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    char name[16], yaml[1024] = "modes:\n  a:\n    models: [";
    for (int i = 0; i < PLAN_NOTES_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "m%d", i);
        plan_setup_plain_model(halo, name, 1, 1)->state = INSTANCE_FAILED;
        if (i == 30)
            strcat(yaml, "m30]\n  b:\n    models: [");
        else
            (void)snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "%s,", name);
    }
    strcat(yaml, "x]\n");
    plan_setup_modes(setup, yaml);
    const struct plan *plan = plan_setup_plan(setup);
    assert_non_null(plan_note(plan, PLAN_NOTES_MAX - 1));
    assert_string_equal(plan_note(plan, PLAN_NOTES_MAX), "3 more like these");
    assert_null(plan_note(plan, PLAN_NOTES_MAX + 1));
}

/* Embedding models know 512 tokens, demo models few more. */
static void a_context_that_nobody_set_is_what_models_know(void **state)
{
    struct plan_setup *setup = *state;
    struct instance *big =
            plan_setup_plain_model(plan_setup_node(setup, "halo", 100, 200), "big", 60, 64);
    big->context_trained = big->shape.context_trained = 2048;
    plan_setup_modes(setup, ask_big);
    plan_setup_plan(setup);
    gets(setup, "ask", "big on halo, 2048");
    plan_setup_modes(setup, "modes:\n  ask:\n    models: [big]\n    context: 32768\n");
    plan_setup_plan(setup);
    gets(setup, "ask", "nothing");
}

static void who_connected_first_makes_no_difference(void **state)
{
    struct plan_setup *setup = *state;
    plan_setup_plain_model(plan_setup_node(setup, "b", 100, 200), "big", 60, 64);
    plan_setup_plain_model(plan_setup_node(setup, "a", 100, 200), "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    const struct plan *plan = plan_setup_plan(setup);
    assert_string_equal(plan_fleet(plan)->nodes[0].name, "a");
    gets(setup, "ask", "big on a, 32768");
}

static void a_plan_owns_all_that_it_says(void **state)
{
    (void)state;
    struct plan_setup *setup = plan_setup_create();
    struct plan_host *halo = plan_setup_node(setup, "halo", 100, 200);
    plan_setup_plain_model(halo, "big", 60, 64);
    plan_setup_modes(setup, ask_big);
    size_t count;
    const struct plan_host *hosts = plan_setup_hosts(setup, &count);
    struct plan *plan;
    struct err err;
    assert_int_equal(plan_create(hosts, count, plan_setup_all_modes(setup), &plan, &err), 0);
    plan_setup_destroy(setup);
    assert_int_equal(plan_place(plan, &err), 0);
    assert_string_equal(plan_fleet(plan)->models[0], "big");
    assert_int_equal(plan_placement(plan)->engine_count, 1);
    plan_destroy(plan);
    plan_destroy(NULL);
}

static void modes_that_make_no_sense_are_refused(void **state)
{
    struct plan_setup *setup = *state;
    char *models[] = {"big"};
    struct mode mode = {.name = "ask", .models = models, .model_count = 1};
    const struct modes modes = {.list = &mode, .count = 1};
    struct plan *plan;
    struct err err;
    size_t count;
    const struct plan_host *hosts = plan_setup_hosts(setup, &count);
    assert_int_equal(plan_create(hosts, count, &modes, &plan, &err), 0);
    assert_int_not_equal(plan_place(plan, &err), 0);
    assert_non_null(strstr(err.text, "\"ask\""));
    plan_destroy(plan);
}

#define PLAN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            PLAN_TEST(modes_get_their_models),
            PLAN_TEST(an_empty_mesh_has_a_plan),
            PLAN_TEST(what_an_engine_was_seen_to_take_counts_at_any_context),
            PLAN_TEST(a_projector_takes_room_too),
            PLAN_TEST(without_a_shape_it_takes_what_its_node_says),
            PLAN_TEST(what_loads_is_resident_and_what_stops_is_not),
            PLAN_TEST(what_answers_by_its_own_name_is_not_to_be_undone),
            PLAN_TEST(a_model_that_failed_is_left_out),
            PLAN_TEST(what_is_pinned_stays_as_it_is),
            PLAN_TEST(what_is_foreign_serves_and_takes_nothing),
            PLAN_TEST(nodes_that_take_no_work_are_left_out),
            PLAN_TEST(what_others_hold_is_not_planned),
            PLAN_TEST(the_swap_allowance_counts_for_batch_work),
            PLAN_TEST(an_alias_means_the_model_that_requests_get),
            PLAN_TEST(a_name_that_no_node_has_stays_a_choice),
            PLAN_TEST(qualities_are_the_models_own),
            PLAN_TEST(a_model_with_other_content_is_told),
            PLAN_TEST(too_many_notes_are_counted),
            PLAN_TEST(a_context_that_nobody_set_is_what_models_know),
            PLAN_TEST(who_connected_first_makes_no_difference),
            cmocka_unit_test(a_plan_owns_all_that_it_says),
            PLAN_TEST(modes_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
