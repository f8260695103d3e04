#include "coordinator/placement/placement_explain.h"
#include "tests/lib/placement_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

enum { K = 1024 };

struct scene {
    struct world *world;
    struct placement *plan;
    size_t node, big, little, ask;
};

/* 100 GiB; "big" takes 60 + 2 GiB at 32k, "little" 30 + 1; ask wants big, or else little. */
static int set_up(void **state)
{
    static struct scene scene;
    struct world *world = world_create();

    scene = (struct scene){.world = world};
    scene.node = world_node(world, "halo", 116, 16, 256);
    scene.big = world_model(world, "big", 60, 64);
    scene.little = world_model(world, "little", 30, 32);
    scene.ask = world_mode(world, "ask", 32 * K, 10);
    world_choice(world, scene.ask, scene.big);
    world_choice(world, scene.ask, scene.little);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    placement_destroy(scene->plan);
    world_destroy(scene->world);
    return 0;
}

static void plan(struct scene *scene)
{
    struct err err;
    placement_destroy(scene->plan);
    scene->plan = NULL;
    if (placement_create(&scene->world->fleet, &scene->plan, &err) < 0)
        fail_msg("%s", err.text);
}

static void engine_says(const struct scene *scene, size_t model, const char *expected)
{
    char text[PLACEMENT_TEXT_MAX];
    size_t file = world_find(scene->world, scene->node, model), i = 0;
    while (i < scene->plan->engine_count && scene->plan->engines[i].file != file)
        i++;
    assert_true(i < scene->plan->engine_count);
    assert_string_equal(
            placement_explain_engine(&scene->world->fleet, scene->plan, i, text), expected);
}

static void service_says(const struct scene *scene, size_t service, const char *expected)
{
    char text[PLACEMENT_TEXT_MAX];
    assert_string_equal(
            placement_explain_service(&scene->world->fleet, scene->plan, service, text), expected);
}

static void the_ideal_is_said_in_short(void **state)
{
    struct scene *scene = *state;
    world_files_everywhere(scene->world);
    plan(scene);
    service_says(scene, 0, "first choice; its whole context; alone on \"halo\"");
    engine_says(scene, scene->big, "for ask");
}

static void a_model_on_no_disk_is_named(void **state)
{
    struct scene *scene = *state;
    world_file(scene->world, scene->node, scene->little);
    plan(scene);
    service_says(scene, 0,
            "choice 2 of 2: no node of this plan has \"big\" to load; its whole context; alone on "
            "\"halo\"");
}

static void a_model_that_fits_nowhere_is_named_with_its_size(void **state)
{
    struct scene *scene = *state;
    scene->world->models[scene->big].fixed_bytes *= 2;
    world_files_everywhere(scene->world);
    plan(scene);
    service_says(scene, 0,
            "choice 2 of 2: \"big\" takes 120.5 GiB with 8192 tokens; \"halo\" has 100.0 GiB; its "
            "whole context; alone on \"halo\"");
}

static void what_has_no_room_beside_the_rest_says_how_much_there_is(void **state)
{
    struct scene *scene = *state;
    size_t code = world_mode(scene->world, "code", 32 * K, 90);
    size_t coder = world_model(scene->world, "coder", 50, 0);
    world_choice(scene->world, code, coder);
    world_files_everywhere(scene->world);
    plan(scene);
    service_says(scene, 0,
            "choice 2 of 2: \"big\" takes 60.5 GiB with 8192 tokens; \"halo\" has beside the rest "
            "of this plan 19.0 GiB; its whole context; shares \"halo\" with code");
    service_says(scene, 1, "first choice; its whole context; shares \"halo\" with ask");
}

/* What is spare does not stand in the way: 50 + 5 are taken, and 45 + 5 are what there is. */
static void what_is_spare_counts_as_room(void **state)
{
    struct scene *scene = *state;
    size_t code = world_mode(scene->world, "code", 32 * K, 90);
    size_t coder = world_model(scene->world, "coder", 50, 0);
    size_t spare = world_model(scene->world, "spare", 5, 0);
    world_choice(scene->world, code, coder);
    world_files_everywhere(scene->world);
    world_reside(scene->world, world_find(scene->world, scene->node, spare), 8 * K, 1);
    scene->world->modes[scene->ask].choice_count = 1;
    plan(scene);
    service_says(scene, 0,
            "not served: \"big\" takes 60.5 GiB with 8192 tokens; \"halo\" has beside the rest of "
            "this plan 50.0 GiB");
}

static void a_reduced_context_says_why(void **state)
{
    struct scene *scene = *state;
    scene->world->models[scene->big].token_bytes = 2000 * K;
    world_files_everywhere(scene->world);
    plan(scene);
    service_says(scene, 0,
            "first choice; 16384 of 32768 tokens: \"big\" takes 122.5 GiB with 32768 tokens; "
            "\"halo\" has 100.0 GiB; alone on \"halo\"");
    scene->world->files[world_find(scene->world, scene->node, scene->big)].context_max = 20 * K;
    plan(scene);
    service_says(scene, 0,
            "first choice; 16384 of 32768 tokens: \"big\" was not trained for 32768 tokens; alone "
            "on \"halo\"");
}

/* What the engine itself holds is room for it too. */
static void a_context_reduced_for_others_says_what_they_leave(void **state)
{
    struct scene *scene = *state;
    size_t code = world_mode(scene->world, "code", 32 * K, 90);
    size_t coder = world_model(scene->world, "coder", 50, 0);
    world_choice(scene->world, code, coder);
    scene->world->models[scene->big] =
            (struct world_model){.fixed_bytes = UINT64_C(40) << 30, .token_bytes = 500 * K};
    world_files_everywhere(scene->world);
    plan(scene);
    service_says(scene, 0,
            "first choice; 16384 of 32768 tokens: \"big\" takes 55.6 GiB with 32768 tokens; "
            "\"halo\" has beside the rest of this plan 50.0 GiB; shares \"halo\" with code");
}

static void who_is_not_served_learns_why(void **state)
{
    struct scene *scene = *state;
    plan(scene);
    service_says(scene, 0, "not served: no node of this plan has \"big\" to load");
}

/* The only engine of the model is pinned: no plan gives it what the mode wants. */
static void what_a_pin_does_not_give_is_said(void **state)
{
    struct scene *scene = *state;
    scene->world->modes[scene->ask].choice_count = 1;
    size_t big = world_file(scene->world, scene->node, scene->big);
    world_reside(scene->world, big, 1 * K, 2);
    scene->world->files[big].pinned = true;
    plan(scene);
    service_says(scene, 0,
            "not served: \"big\" is pinned on \"halo\" with 1024 tokens, fewer than 8192");
    scene->world->files[big].foreign = true;
    plan(scene);
    service_says(scene, 0,
            "not served: \"big\" is not ours on \"halo\" with 1024 tokens, fewer than 8192");
    scene->world->files[big].foreign = false;
    world_reside(scene->world, big, 16 * K, 2);
    plan(scene);
    service_says(scene, 0,
            "first choice; 16384 of 32768 tokens: \"big\" is pinned on \"halo\" with 16384 tokens, "
            "fewer than 32768; alone on \"halo\"");
    scene->world->modes[scene->ask].slots = 3;
    plan(scene);
    service_says(scene, 0, "not served: \"big\" is pinned on \"halo\": its slots are 2, too few");
    scene->world->files[big].resident = false;
    scene->world->nodes[scene->node].pool_bytes /= 2;
    plan(scene);
    service_says(
            scene, 0, "not served: \"big\" is pinned on \"halo\", where there is no room for it");
}

static void what_goes_says_for_whom(void **state)
{
    struct scene *scene = *state;
    size_t other = world_model(scene->world, "other", 50, 0);
    world_files_everywhere(scene->world);
    world_reside(scene->world, world_find(scene->world, scene->node, other), 8 * K, 1);
    plan(scene);
    engine_says(scene, other, "its room is needed for \"big\"");
    scene->world->models[other].fixed_bytes /= 2;
    world_reside(scene->world, world_find(scene->world, scene->node, other), 8 * K, 1);
    plan(scene);
    engine_says(scene, other, "no mode uses it, and nothing needs its room");
}

static void pins_and_copies_and_reloads_are_said(void **state)
{
    struct scene *scene = *state;
    scene->world->modes[scene->ask].copies = 2;
    world_files_everywhere(scene->world);
    world_reside(scene->world, world_find(scene->world, scene->node, scene->big), 32 * K, 1);
    plan(scene);
    engine_says(scene, scene->big, "for ask (2 copies); had 32768 tokens and 1 slots");
    service_says(scene, 0, "first choice; its whole context; shares \"halo\" with ask");

    struct placement_file *little =
            &scene->world->files[world_find(scene->world, scene->node, scene->little)];
    *little = (struct placement_file){.node = little->node,
            .model = little->model,
            .pinned = true,
            .context = 32 * K,
            .slots = 3};
    plan(scene);
    engine_says(scene, scene->little, "pinned");
    scene->world->nodes[scene->node].pool_bytes -= UINT64_C(70) << 30;
    plan(scene);
    engine_says(scene, scene->little,
            "pinned, but it takes 33.0 GiB, and beside what is pinned there before it the node has "
            "less of its 30.0 GiB");
}

static void swap_is_said(void **state)
{
    struct scene *scene = *state;
    scene->world->nodes[scene->node].swap_bytes = UINT64_C(30) << 30;
    scene->world->modes[scene->ask].batch = true;
    scene->world->modes[scene->ask].choice_count = 1;
    scene->world->models[scene->big].fixed_bytes = UINT64_C(120) << 30;
    world_files_everywhere(scene->world);
    plan(scene);
    engine_says(scene, scene->big, "for ask; 21.0 GiB of it in swap");
}

/* Names as long as they may be: cut, and never beyond the end. */
static void a_long_text_is_cut(void **state)
{
    struct scene *scene = *state;
    char name[2 * PLACEMENT_TEXT_MAX], text[PLACEMENT_TEXT_MAX];

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    world_file(scene->world, scene->node, scene->little);
    scene->world->modes[scene->ask].name = name;
    scene->world->nodes[scene->node].name = name;
    scene->world->names[scene->big] = name;
    plan(scene);
    placement_explain_engine(&scene->world->fleet, scene->plan, 0, text);
    assert_int_equal(strlen(text), PLACEMENT_TEXT_MAX - 1);
    placement_explain_service(&scene->world->fleet, scene->plan, 0, text);
    assert_int_equal(strlen(text), PLACEMENT_TEXT_MAX - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(the_ideal_is_said_in_short),
            TEST(a_model_on_no_disk_is_named),
            TEST(a_model_that_fits_nowhere_is_named_with_its_size),
            TEST(what_has_no_room_beside_the_rest_says_how_much_there_is),
            TEST(what_is_spare_counts_as_room),
            TEST(a_reduced_context_says_why),
            TEST(a_context_reduced_for_others_says_what_they_leave),
            TEST(who_is_not_served_learns_why),
            TEST(what_a_pin_does_not_give_is_said),
            TEST(what_goes_says_for_whom),
            TEST(pins_and_copies_and_reloads_are_said),
            TEST(swap_is_said),
            TEST(a_long_text_is_cut),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("placement_explain", tests, NULL, NULL);
}
