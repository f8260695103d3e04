#include "coordinator/deploy/mode_keeper.h"

#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct task_bench bench;
    struct mode_keeper *keeper;
};

static struct world *open_world(const char *yaml)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    task_bench_init(&world->bench, 2, yaml);
    world->keeper =
            mode_keeper_create(&(struct mode_keeper_config){.env = &world->bench.mesh.env.env,
                    .nodes = world->bench.mesh.nodes,
                    .moves = world->bench.moves});
    assert_non_null(world->keeper);
    return world;
}

static void close_world(struct world *world)
{
    mode_keeper_destroy(world->keeper);
    task_bench_fini(&world->bench);
    free(world);
}

static void have(struct world *world, size_t node, const char *model, uint32_t capabilities)
{
    struct msg_instance instance = task_bench_instance(model, INSTANCE_RESIDENT);
    instance.architecture = instance.quantisation = "";
    instance.capabilities = capabilities;
    task_bench_say_instance(&world->bench, node, &instance);
}

static bool tick_later(struct world *world)
{
    virtual_env_advance_ms(&world->bench.mesh.env, MODE_KEEPER_LOOK_MS);
    return mode_keeper_tick(world->keeper);
}

static const struct mode *mode(const struct world *world, const char *name)
{
    return modes_find(mode_moves_modes(world->bench.moves), name);
}

static void modes_come_with_the_models(void **state)
{
    (void)state;
    struct world *world = open_world("mode-aliases: {review: code}\n");
    assert_false(tick_later(world));
    assert_true(mode_moves_modes(world->bench.moves)->derived);
    have(world, 0, "small", CAPABILITY_CHAT);
    assert_true(mode_keeper_tick(world->keeper)); /* without modes nobody waits for a second */
    assert_string_equal(mode(world, "ask")->models[0], "small");
    assert_null(mode(world, "autocomplete"));
    assert_string_equal(mode_moves_modes(world->bench.moves)->aliases[0].name, "review");
    assert_false(tick_later(world));
    have(world, 1, "filler", CAPABILITY_FIM);
    assert_false(mode_keeper_tick(world->keeper)); /* it has just looked */
    assert_true(tick_later(world));
    assert_string_equal(mode(world, "autocomplete")->models[0], "filler");
    close_world(world);
}

static void a_config_with_modes_is_left_alone(void **state)
{
    (void)state;
    struct world *world = open_world("modes:\n  ask:\n    models: [other]\n");
    have(world, 0, "small", CAPABILITY_CHAT);
    assert_false(tick_later(world));
    assert_null(mode(world, "code"));
    assert_string_equal(mode(world, "ask")->models[0], "other");
    close_world(world);
}

static void a_reload_takes_them_and_brings_them_back(void **state)
{
    (void)state;
    struct world *world = open_world("");
    have(world, 0, "small", CAPABILITY_CHAT);
    assert_true(tick_later(world));
    struct modes config = task_bench_modes("modes:\n  mine:\n    models: [small]\n");
    assert_int_equal(mode_moves_reload(world->bench.moves, &config, NULL), 0);
    assert_false(tick_later(world));
    assert_null(mode(world, "ask"));
    config = task_bench_modes("mode-aliases: {quick: ask}\n");
    assert_int_equal(mode_moves_reload(world->bench.moves, &config, NULL), 0);
    assert_true(mode_keeper_tick(world->keeper)); /* the very modes that were there before */
    assert_non_null(mode(world, "ask"));
    assert_string_equal(mode_moves_modes(world->bench.moves)->aliases[0].name, "quick");
    close_world(world);
}

static void what_was_deployed_stays(void **state)
{
    (void)state;
    struct world *world = open_world("");
    have(world, 0, "small", CAPABILITY_CHAT);
    assert_true(tick_later(world));
    assert_int_equal(mode_moves_put(world->bench.moves, "ask", "new", 1, NULL), 0);
    have(world, 1, "larger", CAPABILITY_CHAT);
    assert_true(tick_later(world));
    assert_string_equal(mode(world, "ask")->models[0], "new");
    assert_true(mode_lists(mode(world, "code"), "larger"));
    close_world(world);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(modes_come_with_the_models),
            cmocka_unit_test(a_config_with_modes_is_left_alone),
            cmocka_unit_test(a_reload_takes_them_and_brings_them_back),
            cmocka_unit_test(what_was_deployed_stays),
    };
    return cmocka_run_group_tests_name("mode_keeper", tests, NULL, NULL);
}
