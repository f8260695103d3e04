#include "coordinator/away.h"

#include "tests/lib/fake_mesh.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 3, FULL = 64 /* models in one STATE */ };

static int setup(void **state)
{
    struct fake_mesh *mesh = calloc(1, sizeof(*mesh));
    fake_mesh_init(mesh, NODES);
    *state = mesh;
    return 0;
}

static int teardown(void **state)
{
    fake_mesh_fini(*state);
    free(*state);
    return 0;
}

static const char *const nick = "nick";

static struct msg_instance model(const char *name)
{
    return (struct msg_instance){.model = name,
            .state = INSTANCE_RESIDENT,
            .context = 8192,
            .capabilities = CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT,
            .quality = 70,
            .slots = 1,
            .engine = "fake",
            .note = ""};
}

static void say(struct fake_mesh *mesh, size_t node, const struct msg_instance *instance)
{
    fake_mesh_say(mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true,
                            .instances = instance,
                            .instance_count = instance ? 1 : 0}});
}

static void join(struct fake_mesh *mesh, size_t node, const char *name)
{
    const struct msg_instance instance = model(name);
    fake_mesh_hello(mesh, node, "s");
    fake_link_forget(&mesh->link, node);
    say(mesh, node, &instance);
}

static void lose(struct fake_mesh *mesh, size_t node)
{
    struct node_session *session = node_table_find_key(mesh->nodes, fake_link_peer(node).key);
    assert_non_null(session);
    node_session_end(session, "the test has ended it");
}

/* Instances of that model that are away. */
static uint32_t count_of(const struct fake_mesh *mesh, const char *name)
{
    const struct fleet_model *found = fleet_find(away_fleet(mesh->away), name);
    return found ? found->count : 0;
}

static const struct fleet_instance *only(const struct fake_mesh *mesh, const char *name)
{
    assert_int_equal(count_of(mesh, name), 1);
    return &fleet_find(away_fleet(mesh->away), name)->at[0];
}

static void wait_ms(struct fake_mesh *mesh, uint64_t ms)
{
    virtual_env_advance_ms(&mesh->env, ms);
    node_table_tick(mesh->nodes);
}

/* --- who is away */

static void what_a_lost_node_had_is_kept(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    assert_int_equal(count_of(mesh, "small"), 0);
    lose(mesh, 0);
    const struct fleet_instance *entry = only(mesh, "small");
    assert_string_equal(away_node(entry), "node0");
    assert_false(away_is_back(entry));
    assert_true(entry->silent && !entry->usable);
    assert_int_equal(entry->context, 8192);
    assert_int_equal(entry->quality, 70);
    assert_int_equal(entry->capabilities, CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT);
}

/* That is no loss: the node goes on without it. */
static void what_a_node_drops_is_not(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    say(mesh, 0, NULL);
    assert_int_equal(count_of(mesh, "small"), 0);
    lose(mesh, 0);
    assert_int_equal(count_of(mesh, "small"), 0);
}

static void each_node_is_away_by_itself(void **state)
{
    struct fake_mesh *mesh = *state;
    for (size_t i = 0; i < NODES; i++)
        join(mesh, i, "small");
    lose(mesh, 0);
    lose(mesh, 2);
    assert_int_equal(count_of(mesh, "small"), 2);
    join(mesh, 0, "small");
    assert_string_equal(away_node(only(mesh, "small")), "node2");
}

/* --- who is back */

static void what_a_node_tells_of_is_back(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    lose(mesh, 0);
    fake_mesh_hello(mesh, 0, "s");
    assert_true(away_is_back(only(mesh, "small")));
    const struct msg_instance instance = model("small");
    say(mesh, 0, &instance);
    assert_int_equal(count_of(mesh, "small"), 0);
}

static void what_it_does_not_tell_of_is_gone_after_a_while(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    lose(mesh, 0);
    wait_ms(mesh, 24ULL * 60 * 60 * 1000);
    assert_int_equal(count_of(mesh, "small"), 1); /* it is not back */
    join(mesh, 0, "other");
    for (unsigned ms = 0; ms < AWAY_BACK_MS - 1000; ms += 1000) { /* it is heard of all the time */
        say(mesh, 0, NULL);
        wait_ms(mesh, 1000);
    }
    assert_true(away_is_back(only(mesh, "small")));
    say(mesh, 0, NULL);
    wait_ms(mesh, 999);
    assert_int_equal(count_of(mesh, "small"), 1);
    wait_ms(mesh, 1);
    assert_int_equal(count_of(mesh, "small"), 0);
}

/* It has had no time to tell. */
static void who_goes_again_at_once_is_still_away(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    lose(mesh, 0);
    fake_mesh_hello(mesh, 0, "s");
    lose(mesh, 0);
    assert_false(away_is_back(only(mesh, "small")));
    wait_ms(mesh, 2 * AWAY_BACK_MS);
    assert_int_equal(count_of(mesh, "small"), 1);
}

static void a_newer_connection_of_the_same_node_is_no_second_one(void **state)
{
    struct fake_mesh *mesh = *state;
    struct link_peer newer = fake_link_peer(0);
    const struct msg_instance small = model("small");
    const struct msg hello = {.type = MSG_HELLO,
            .hello = {.name = "n", .software = "s", .version_min = 1, .version_max = 1}};
    newer.routing_id[0] ^= 1;
    join(mesh, 0, "small");
    fake_mesh_say_as(mesh, &newer, &hello);
    assert_true(away_is_back(only(mesh, "small")));
    fake_mesh_say_as(mesh, &newer,
            &(struct msg){.type = MSG_STATE, .state = {.instances = &small, .instance_count = 1}});
    assert_int_equal(count_of(mesh, "small"), 0);
    lose(mesh, 0);
    assert_int_equal(count_of(mesh, "small"), 1);
}

/* --- who does not come back */

static void who_is_revoked_is_forgotten(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    join(mesh, 1, "small");
    lose(mesh, 0);
    assert_int_equal(door_revoke(mesh->door, "node1", NULL), 0); /* while it is there */
    node_table_tick(mesh->nodes);
    assert_string_equal(away_node(only(mesh, "small")), "node0");
    assert_int_equal(door_revoke(mesh->door, "node0", NULL), 0); /* while it is away */
    node_table_tick(mesh->nodes);
    assert_int_equal(count_of(mesh, "small"), 0);
}

static void a_membership_that_ends_is_not_waited_for(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 0, "small");
    lose(mesh, 0);
    wait_ms(mesh, 1000 * (FAKE_MESH_MEMBERSHIP_S - 1ULL));
    assert_int_equal(count_of(mesh, "small"), 1);
    wait_ms(mesh, 2 * NODE_TABLE_RENEW_MS);
    assert_int_equal(count_of(mesh, "small"), 0);
}

static void join_full(struct fake_mesh *mesh, size_t node, size_t count)
{
    char names[FULL][16];
    struct msg_instance instances[FULL];
    fake_mesh_hello(mesh, node, "s");
    for (size_t done = 0; done < count; done += FULL) {
        for (size_t i = 0; i < FULL; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "model%zu", done + i);
            instances[i] = model(names[i]);
        }
        fake_mesh_say(mesh, node,
                &(struct msg){.type = MSG_STATE,
                        .state = {.instances = instances, .instance_count = FULL}});
    }
}

static void past_the_limit_the_oldest_are_forgotten(void **state)
{
    struct fake_mesh *mesh = *state;
    join(mesh, 1, "first");
    lose(mesh, 1);
    join_full(mesh, 0, AWAY_INSTANCES_MAX);
    lose(mesh, 0);
    assert_int_equal(count_of(mesh, "first"), 0);
    assert_int_equal(fleet_model_count(away_fleet(mesh->away)), AWAY_INSTANCES_MAX);
    join(mesh, 1, "last");
    lose(mesh, 1);
    assert_int_equal(count_of(mesh, "last"), 1);
    assert_int_equal(fleet_model_count(away_fleet(mesh->away)), AWAY_INSTANCES_MAX);
}

/* --- names */

static void its_names_are_known_while_it_is_away(void **state)
{
    struct fake_mesh *mesh = *state;
    struct msg_instance small = model("small");
    small.aliases = &nick;
    small.alias_count = 1;
    fake_mesh_hello(mesh, 0, "s");
    say(mesh, 0, &small);
    assert_null(away_model(mesh->away, "small"));
    lose(mesh, 0);
    assert_string_equal(away_model(mesh->away, "small"), "small");
    assert_string_equal(node_table_model(mesh->nodes, "nick"), "small");
    assert_string_equal(node_table_model(mesh->nodes, "nobody"), "nobody");
    join(mesh, 1, "nick"); /* a model that is here has the name of its own */
    assert_string_equal(node_table_model(mesh->nodes, "nick"), "nick");
}

static void of_two_models_with_one_alias_the_first_is_meant(void **state)
{
    struct fake_mesh *mesh = *state;
    static const char *const names[] = {"other", "first"};
    for (size_t i = 0; i < 2; i++) {
        struct msg_instance it = model(names[i]);
        it.aliases = &nick;
        it.alias_count = 1;
        fake_mesh_hello(mesh, i, "s");
        say(mesh, i, &it);
    }
    lose(mesh, 0);
    lose(mesh, 1);
    assert_string_equal(away_model(mesh->away, "nick"), "first");
}

/* --- memory */

/* It is kept or it is not: all else goes on. */
static void nothing_breaks_where_there_is_no_memory(void **state)
{
    struct fake_mesh *mesh = *state;
    bool failed = true;
    for (size_t nth = 0; failed; nth++) {
        struct msg_instance small = model("small");
        small.aliases = &nick;
        small.alias_count = 1;
        fake_mesh_hello(mesh, 0, "s");
        say(mesh, 0, &small);
        short_memory_begin(nth);
        lose(mesh, 0);
        failed = short_memory_end();
        assert_int_equal(count_of(mesh, "small"), failed ? 0 : 1);
        assert_null(router_model(mesh->router, "small"));
    }
}

#define AWAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            AWAY_TEST(what_a_lost_node_had_is_kept),
            AWAY_TEST(what_a_node_drops_is_not),
            AWAY_TEST(each_node_is_away_by_itself),
            AWAY_TEST(what_a_node_tells_of_is_back),
            AWAY_TEST(what_it_does_not_tell_of_is_gone_after_a_while),
            AWAY_TEST(who_goes_again_at_once_is_still_away),
            AWAY_TEST(a_newer_connection_of_the_same_node_is_no_second_one),
            AWAY_TEST(who_is_revoked_is_forgotten),
            AWAY_TEST(a_membership_that_ends_is_not_waited_for),
            AWAY_TEST(past_the_limit_the_oldest_are_forgotten),
            AWAY_TEST(its_names_are_known_while_it_is_away),
            AWAY_TEST(of_two_models_with_one_alias_the_first_is_meant),
            AWAY_TEST(nothing_breaks_where_there_is_no_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("away", tests, NULL, NULL);
}
