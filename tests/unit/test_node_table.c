#include "coordinator/node_table.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TRUSTED = 3 };

struct world {
    struct fake_mesh mesh;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, TRUSTED);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void hello_as(struct world *world, const struct link_peer *peer, uint32_t version)
{
    fake_mesh_say_as(&world->mesh, peer,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = "own-name",
                            .software = "s",
                            .version_min = version,
                            .version_max = version}});
}

static void say_model(
        struct world *world, const struct link_peer *peer, const char *model, uint32_t context)
{
    struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .context = context,
            .engine = "",
            .note = ""};
    fake_mesh_say_as(&world->mesh, peer,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void join(struct world *world, size_t number)
{
    struct link_peer peer = fake_link_peer(number);
    hello_as(world, &peer, 1);
}

static bool was_welcomed(struct world *world, size_t number)
{
    struct msg msg;
    return fake_link_next(&world->mesh.link, number, &msg) && msg.type == MSG_WELCOME;
}

static void hello_makes_a_session_with_the_trusted_name(void **state)
{
    struct world *world = *state;
    join(world, 1);
    assert_true(was_welcomed(world, 1));
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(1).key);
    assert_string_equal(node_session_name(session), "node1");
    assert_null(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key));
}

static void strangers_and_other_first_words_get_no_answer(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(0);
    join(world, TRUSTED);
    say_model(world, &peer, "small", 1);
    node_table_on_frame(world->mesh.nodes, &peer, "garbage", 7);
    hello_as(world, &peer, 9);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    for (size_t i = 0; i <= TRUSTED; i++)
        assert_false(was_welcomed(world, i));
}

static void a_key_has_one_session(void **state)
{
    struct world *world = *state;
    struct link_peer again = fake_link_peer(0);
    join(world, 0);
    again.routing_id[3] = 7;
    hello_as(world, &again, 1);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    struct node_session *session = node_table_find_key(world->mesh.nodes, again.key);
    assert_memory_equal(
            node_session_peer(session)->routing_id, again.routing_id, LINK_ROUTING_ID_BYTES);
    /* What the older connection still says changes nothing. */
    struct link_peer old = fake_link_peer(0);
    say_model(world, &old, "small", 1);
    assert_int_equal(node_session_instance_count(session), 0);
}

static void a_wrong_key_for_a_routing_id_is_not_heard(void **state)
{
    struct world *world = *state;
    join(world, 0);
    struct link_peer thief = fake_link_peer(0);
    memcpy(thief.key, fake_link_peer(1).key, sizeof(thief.key));
    say_model(world, &thief, "small", 1);
    size_t count;
    node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 0);
}

static void instances_follow_the_sessions(void **state)
{
    struct world *world = *state;
    struct link_peer zero = fake_link_peer(0), one = fake_link_peer(1);
    size_t count;
    node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 0);
    join(world, 0);
    join(world, 1);
    unsigned before = world->mesh.changes;
    say_model(world, &zero, "small", 1);
    say_model(world, &one, "small", 1);
    say_model(world, &one, "large", 1);
    assert_int_equal(world->mesh.changes, before + 3);
    struct instance *const *instances = node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 3);
    assert_string_equal(instances[0]->node, "node0");
    assert_string_equal(instances[2]->model, "large");
    node_session_end(node_table_find_key(world->mesh.nodes, one.key), "test");
    instances = node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 1);
    assert_string_equal(instances[0]->node, "node0");
}

static void models_are_named_once_and_in_order(void **state)
{
    struct world *world = *state;
    struct link_peer zero = fake_link_peer(0), one = fake_link_peer(1);
    size_t count;
    join(world, 0);
    join(world, 1);
    say_model(world, &zero, "zebra", 1);
    say_model(world, &zero, "ant", 4096);
    say_model(world, &one, "ant", 8192);
    struct instance *const *models = node_table_models(world->mesh.nodes, &count);
    assert_int_equal(count, 2);
    assert_string_equal(models[0]->model, "ant");
    assert_int_equal(models[0]->context, 8192);
    assert_string_equal(models[1]->model, "zebra");
    say_model(world, &one, "bee", 1);
    node_table_models(world->mesh.nodes, &count);
    assert_int_equal(count, 3);
}

static void several_end_in_one_flush(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < TRUSTED; i++) {
        join(world, i);
        struct link_peer peer = fake_link_peer(i);
        if (i != 1)
            node_table_on_frame(world->mesh.nodes, &peer, "garbage", 7);
    }
    node_table_flush(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    assert_non_null(node_table_find_key(world->mesh.nodes, fake_link_peer(1).key));
}

static void all_end_in_one_tick_but_not_after_a_stall(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < TRUSTED; i++)
        join(world, i);
    virtual_env_advance_ms(&world->mesh.env, 60000); /* our own loop stood still */
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), TRUSTED);
    for (unsigned ms = 0; ms <= SESSION_GONE_MS; ms += 100) {
        assert_int_equal(node_table_count(world->mesh.nodes), TRUSTED);
        virtual_env_advance_ms(&world->mesh.env, 100);
        node_table_tick(world->mesh.nodes);
    }
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
}

static void a_key_that_is_trusted_no_more_loses_its_session(void **state)
{
    struct world *world = *state;
    struct err err;
    for (size_t i = 0; i < TRUSTED; i++)
        join(world, i);
    trust_destroy(fake_link_trust(&world->mesh.scratch, 1)); /* writes the same file anew */
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), TRUSTED);
    assert_int_equal(trust_refresh(world->mesh.trust, &err), 0);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    assert_non_null(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key));
}

static void a_hint_probes_only_that_descriptor(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        join(world, i);
        assert_true(was_welcomed(world, i));
        world->mesh.link.result[i] = -EHOSTUNREACH;
    }
    node_table_on_disconnect_hint(world->mesh.nodes, fake_link_peer(0).fd);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    node_table_on_disconnect_hint(world->mesh.nodes, 4711);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TABLE_TEST(hello_makes_a_session_with_the_trusted_name),
            TABLE_TEST(strangers_and_other_first_words_get_no_answer),
            TABLE_TEST(a_key_has_one_session),
            TABLE_TEST(a_wrong_key_for_a_routing_id_is_not_heard),
            TABLE_TEST(instances_follow_the_sessions),
            TABLE_TEST(models_are_named_once_and_in_order),
            TABLE_TEST(several_end_in_one_flush),
            TABLE_TEST(all_end_in_one_tick_but_not_after_a_stall),
            TABLE_TEST(a_key_that_is_trusted_no_more_loses_its_session),
            TABLE_TEST(a_hint_probes_only_that_descriptor),
    };
    return cmocka_run_group_tests_name("node_table", tests, NULL, NULL);
}
