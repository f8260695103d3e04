#include "coordinator/plan/plan_apply.h"

#include "tests/lib/fake_mesh.h"
#include "tests/lib/plan_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 2 };

/* Two nodes of 100 GiB: what is planned of them is made up (`setup`), where the orders go to is a
 * mesh whose nodes the test plays. */
struct world {
    struct fake_mesh mesh;
    struct plan_setup *setup;
    struct plan_host *hosts[NODES];
    struct plan_apply *apply;
    unsigned progresses, dones;
    bool ok;
    char text[PLAN_APPLY_TEXT_MAX + 64], progress[PLAN_APPLY_TEXT_MAX];
};

static void on_progress(void *ctx, const char *node, const char *text)
{
    struct world *world = ctx;
    world->progresses++;
    snprintf(world->progress, sizeof(world->progress), "%s: %s", node ? node : "", text);
}

static void on_done(void *ctx, bool ok, const char *text)
{
    struct world *world = ctx;
    world->dones++;
    world->ok = ok;
    snprintf(world->text, sizeof(world->text), "%s", text);
    plan_apply_destroy(world->apply);
    world->apply = NULL;
}

static const struct plan_apply_events events = {.on_progress = on_progress, .on_done = on_done};

static int set_up(void **state)
{
    static const char *const names[NODES] = {"halo1", "halo2"};
    static char keys[NODES][KEY_Z85_LEN + 1];
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, NODES);
    world->setup = plan_setup_create();
    for (size_t i = 0; i < NODES; i++) {
        fake_mesh_hello(&world->mesh, i, "s");
        fake_link_forget(&world->mesh.link, i);
        strcpy(keys[i], fake_link_peer(i).key);
        world->hosts[i] = plan_setup_node(world->setup, names[i], 100, 200);
        world->hosts[i]->key = keys[i];
    }
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    plan_apply_destroy(world->apply);
    plan_setup_destroy(world->setup);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void begin(struct world *world, bool settled_only)
{
    const struct plan_apply_config config = {.env = &world->mesh.env.env,
            .nodes = world->mesh.nodes,
            .events = &events,
            .ctx = world,
            .settled_only = settled_only};
    struct err err;
    if (plan_apply_create(&config, plan_setup_plan(world->setup), &world->apply, &err))
        fail_msg("%s", err.text);
    plan_apply_start(world->apply);
    node_table_flush(world->mesh.nodes);
}

/* The next order to the node. */
static struct msg next(struct world *world, size_t node)
{
    struct msg msg;
    node_table_flush(world->mesh.nodes);
    if (!fake_link_next(&world->mesh.link, node, &msg))
        fail_msg("nothing was told to node %zu", node);
    return msg;
}

static void nothing_told(struct world *world, size_t node)
{
    struct msg msg;
    node_table_flush(world->mesh.nodes);
    assert_false(fake_link_next(&world->mesh.link, node, &msg));
}

static void done(struct world *world, size_t node, uint64_t order, bool ok, const char *message)
{
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_DONE, .done = {.order = order, .ok = ok, .message = message}});
}

static uint64_t next_unload(struct world *world, size_t node, const char *model)
{
    struct msg msg = next(world, node);
    assert_int_equal(msg.type, MSG_UNLOAD);
    assert_string_equal(msg.unload.model, model);
    return msg.unload.order;
}

static uint64_t next_load(struct world *world, size_t node, const char *model, uint32_t context)
{
    struct msg msg = next(world, node);
    assert_int_equal(msg.type, MSG_LOAD);
    assert_string_equal(msg.load.model, model);
    assert_int_equal(msg.load.context, context);
    assert_int_equal(msg.load.slots, 1);
    assert_string_equal(msg.load.replaces, "");
    assert_false(msg.load.keep || msg.load.rehearse);
    return msg.load.order;
}

/* An old model of halo1 makes way for a new one; halo2 loads one. */
static void plan_a_move(struct world *world)
{
    plan_setup_reside(plan_setup_plain_model(world->hosts[0], "old", 70, 64), 8192, 1);
    plan_setup_plain_model(world->hosts[0], "coder", 60, 64);
    plan_setup_plain_model(world->hosts[1], "thinker", 60, 64);
    plan_setup_modes(world->setup, "modes:\n  code:\n    models: [coder]\n"
                                   "  architect:\n    models: [thinker]\n    context: 16384\n");
}

static void a_node_unloads_before_it_loads(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    uint64_t unload = next_unload(world, 0, "old");
    uint64_t load = next_load(world, 1, "thinker", 16384); /* at the same time */
    nothing_told(world, 0);
    done(world, 1, load, true, "loaded");
    done(world, 0, unload, true, "gone");
    load = next_load(world, 0, "coder", 32768);
    assert_int_equal(world->dones, 0);
    done(world, 0, load, true, "loaded");
    assert_int_equal(world->dones, 1);
    assert_true(world->ok);
    assert_string_equal(world->text, "3 steps done");
}

static void a_reload_in_less_memory_makes_room_first(void **state)
{
    struct world *world = *state;
    plan_setup_plain_model(world->hosts[0], "coder", 40, 64);
    plan_setup_reside(plan_setup_plain_model(world->hosts[0], "thinker", 40, 64), 131072, 8);
    plan_setup_modes(world->setup, "modes:\n  code:\n    models: [coder]\n"
                                   "  architect:\n    models: [thinker]\n");
    begin(world, false);
    done(world, 0, next_load(world, 0, "thinker", 32768), true, "");
    done(world, 0, next_load(world, 0, "coder", 32768), true, "");
    assert_true(world->ok);
}

/* What a person has set stays, and is what the plan has counted with. */
static void a_reload_keeps_the_cache_types(void **state)
{
    struct world *world = *state;
    struct instance *coder = plan_setup_model(world->hosts[0], "coder", "30b-a3b", "Q4_K_M");
    coder->type_k = CACHE_TYPE_Q8_0;
    coder->type_v = CACHE_TYPE_Q4_0;
    plan_setup_reside(coder, 8192, 1);
    plan_setup_modes(world->setup, "modes:\n  code:\n    models: [coder]\n    context: 32768\n");
    begin(world, false);
    struct msg msg = next(world, 0);
    assert_int_equal(msg.type, MSG_LOAD);
    assert_string_equal(msg.load.type_k, "q8_0");
    assert_string_equal(msg.load.type_v, "q4_0");
}

static void what_fails_leaves_the_rest_of_its_node(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    done(world, 0, next_unload(world, 0, "old"), false, "it is pinned");
    nothing_told(world, 0);
    assert_int_equal(world->dones, 0);
    done(world, 1, next_load(world, 1, "thinker", 16384), true, "loaded");
    assert_int_equal(world->dones, 1);
    assert_false(world->ok);
    assert_string_equal(
            world->text, "halo1: \"old\" is not let go: it is pinned; 1 of 3 steps done");
}

static void a_node_that_goes_leaves_the_others(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    node_session_end(
            node_table_find_key(world->mesh.nodes, fake_link_peer(0).key), "the cable was cut");
    assert_int_equal(world->dones, 0);
    done(world, 1, next_load(world, 1, "thinker", 16384), true, "loaded");
    assert_false(world->ok);
    assert_non_null(strstr(world->text, "halo1: \"old\" is not let go: "));
    assert_non_null(strstr(world->text, "1 of 3 steps done"));
}

static void a_node_that_is_not_there_fails_at_once(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    for (size_t i = 0; i < NODES; i++)
        node_session_end(node_table_find_key(world->mesh.nodes, fake_link_peer(i).key), "gone");
    begin(world, false);
    assert_int_equal(world->dones, 1);
    assert_string_equal(world->text, "halo1: \"old\" is not let go: the node is not connected any "
                                     "more; 0 of 3 steps done");
}

static void it_tells_what_it_waits_for(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    uint64_t unload = next_unload(world, 0, "old");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_PROGRESS,
                    .progress = {.order = unload, .text = "2 requests finish first"}});
    assert_string_equal(world->progress, "halo1: 2 requests finish first");
    done(world, 0, unload, true, "");
    assert_string_equal(world->progress, "halo1: load \"coder\" (step 2 of 2): for code");
}

static void a_plan_without_steps_is_done_at_once(void **state)
{
    struct world *world = *state;
    plan_setup_modes(world->setup, "");
    begin(world, false);
    assert_int_equal(world->dones, 1);
    assert_true(world->ok);
    assert_string_equal(world->text, "nothing was to be done");
    nothing_told(world, 0);
}

static void what_is_pinned_or_foreign_gets_no_order(void **state)
{
    struct world *world = *state;
    struct instance *pinned = plan_setup_plain_model(world->hosts[0], "coder", 60, 64),
                    *foreign = plan_setup_plain_model(world->hosts[1], "thinker", 60, 64);
    plan_setup_reside(foreign, 1024, 1);
    pinned->pinned = foreign->foreign = true;
    plan_setup_modes(world->setup, "modes:\n  code:\n    models: [coder, thinker]\n");
    assert_int_equal(plan_apply_count(plan_setup_plan(world->setup), false), 0);
    begin(world, false);
    nothing_told(world, 0);
    nothing_told(world, 1);
    assert_true(world->ok);
}

static void a_load_under_way_is_not_fought(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    struct instance *asked = plan_setup_plain_model(world->hosts[0], "asked", 20, 64);
    plan_setup_reside(asked, 8192, 1);
    asked->state = INSTANCE_LOADING;
    assert_int_equal(plan_apply_count(plan_setup_plan(world->setup), true), 1);
    begin(world, true);
    nothing_told(world, 0);
    done(world, 1, next_load(world, 1, "thinker", 16384), true, "");
    assert_string_equal(world->text, "1 step done");
}

static void a_node_that_never_ends_is_given_up(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    done(world, 1, next_load(world, 1, "thinker", 16384), true, "");
    uint64_t unload = next_unload(world, 0, "old");
    virtual_env_advance_ms(&world->mesh.env, PLAN_APPLY_ORDER_MS - 1);
    plan_apply_tick(world->apply);
    assert_int_equal(world->dones, 0);
    virtual_env_advance_ms(&world->mesh.env, 1);
    plan_apply_tick(world->apply);
    assert_int_equal(world->dones, 1);
    assert_false(world->ok);
    done(world, 0, unload, true, "at last"); /* nobody listens any more */
}

static void it_may_end_before_the_nodes_do(void **state)
{
    struct world *world = *state;
    plan_a_move(world);
    begin(world, false);
    uint64_t unload = next_unload(world, 0, "old");
    plan_apply_destroy(world->apply);
    world->apply = NULL;
    done(world, 0, unload, true, "");
    nothing_told(world, 0);
    assert_int_equal(world->dones, 0);
}

#define APPLY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            APPLY_TEST(a_node_unloads_before_it_loads),
            APPLY_TEST(a_reload_in_less_memory_makes_room_first),
            APPLY_TEST(a_reload_keeps_the_cache_types),
            APPLY_TEST(what_fails_leaves_the_rest_of_its_node),
            APPLY_TEST(a_node_that_goes_leaves_the_others),
            APPLY_TEST(a_node_that_is_not_there_fails_at_once),
            APPLY_TEST(it_tells_what_it_waits_for),
            APPLY_TEST(a_plan_without_steps_is_done_at_once),
            APPLY_TEST(what_is_pinned_or_foreign_gets_no_order),
            APPLY_TEST(a_load_under_way_is_not_fought),
            APPLY_TEST(a_node_that_never_ends_is_given_up),
            APPLY_TEST(it_may_end_before_the_nodes_do),
    };
    return cmocka_run_group_tests_name("plan_apply", tests, NULL, NULL);
}
