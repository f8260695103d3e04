#include "coordinator/deploy/round.h"

#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 3, LIMIT_MS = 1000 };

struct world {
    struct task_bench bench;
    struct round *round;
    unsigned progresses, ends;
    char node[MSG_NODE_NAME_MAX + 1], text[MSG_TEXT_MAX + 1];
    bool destroys; /* at its end */
};

static void on_progress(void *ctx, const char *node, const char *text)
{
    struct world *world = ctx;
    world->progresses++;
    strcpy(world->node, node);
    strcpy(world->text, text);
}

static void on_end(void *ctx)
{
    struct world *world = ctx;
    world->ends++;
    if (world->destroys) {
        round_destroy(world->round);
        world->round = NULL;
    }
}

static const struct round_events events = {.on_progress = on_progress, .on_end = on_end};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    task_bench_init(&world->bench, NODES, "modes:\n  code:\n    models: [m]\n");
    for (size_t i = 0; i < NODES; i++)
        task_bench_say(&world->bench, i, "m", INSTANCE_AVAILABLE);
    world->round = round_create(&world->bench.mesh.env.env, LIMIT_MS, &events, world);
    assert_non_null(world->round);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    round_destroy(world->round);
    task_bench_fini(&world->bench);
    free(world);
    return 0;
}

static struct node_session *session(struct world *world, size_t node)
{
    return node_table_find_key(world->bench.mesh.nodes, fake_link_peer(node).key);
}

static uint64_t pin(struct world *world, size_t node)
{
    const struct msg order = {.type = MSG_PIN, .pin = {.model = "m", .pinned = true}};
    assert_int_equal(round_add(world->round, session(world, node), &order, NULL), 0);
    return task_bench_next(&world->bench, node, MSG_PIN).pin.order;
}

static void it_ends_with_the_last_answer(void **state)
{
    struct world *world = *state;
    uint64_t first = pin(world, 0), second = pin(world, 1);
    round_tick(world->round);
    assert_int_equal(round_count(world->round), 2);
    task_bench_done(&world->bench, 1, second, true, ORDER_WAY_NONE, "pinned");
    assert_int_equal(world->ends, 0);
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_PROGRESS, .progress = {.order = first, .text = "waits"}});
    assert_string_equal(world->node, "node0");
    assert_string_equal(world->text, "waits");
    task_bench_done(&world->bench, 0, first, false, ORDER_WAY_NONE, "no such model");
    assert_int_equal(world->ends, 1);
    const struct round_answer *answer = round_at(world->round, 0);
    assert_string_equal(answer->node, "node0");
    assert_false(answer->ok);
    assert_string_equal(answer->message, "no such model");
    assert_true(round_at(world->round, 1)->ok);
    round_tick(world->round);
    assert_int_equal(world->ends, 1);
}

static void nobody_to_wait_for_ends_it(void **state)
{
    struct world *world = *state;
    const struct msg order = {.type = MSG_PIN, .pin = {.model = "m"}};
    virtual_env_advance_ms(&world->bench.mesh.env, SESSION_SUSPECT_MS + 1);
    node_session_tick(session(world, 0), false);
    assert_int_equal(round_add(world->round, session(world, 0), &order, NULL), 0);
    assert_int_equal(world->ends, 0);
    round_tick(world->round);
    assert_int_equal(world->ends, 1);
    assert_non_null(strstr(round_at(world->round, 0)->message, "not heard of"));
}

static void time_ends_it(void **state)
{
    struct world *world = *state;
    uint64_t first = pin(world, 0), second = pin(world, 1);
    task_bench_done(&world->bench, 0, first, true, ORDER_WAY_NONE, "pinned");
    virtual_env_advance_ms(&world->bench.mesh.env, LIMIT_MS - 1);
    round_tick(world->round);
    assert_int_equal(world->ends, 0);
    virtual_env_advance_ms(&world->bench.mesh.env, 1);
    round_tick(world->round);
    assert_int_equal(world->ends, 1);
    assert_true(round_at(world->round, 0)->ok);
    assert_false(round_at(world->round, 1)->ok);
    assert_string_equal(round_at(world->round, 1)->message, "it has not answered within 1 s");
    task_bench_done(&world->bench, 1, second, true, ORDER_WAY_NONE, "late");
    assert_false(round_at(world->round, 1)->ok);
}

static void its_owner_may_destroy_it_at_its_end(void **state)
{
    struct world *world = *state;
    uint64_t first = pin(world, 0), second = pin(world, 1);
    world->destroys = true;
    task_bench_done(&world->bench, 0, first, true, ORDER_WAY_NONE, "");
    node_session_end(session(world, 1), "unreachable");
    assert_int_equal(world->ends, 1);
    assert_null(world->round);
    assert_int_not_equal(first, second);
}

static void who_destroys_it_early_hears_nothing(void **state)
{
    struct world *world = *state;
    uint64_t order = pin(world, 0);
    round_destroy(world->round);
    world->round = NULL;
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_NONE, "");
    assert_int_equal(world->ends, 0);
}

static void past_its_limit_no_node_is_told(void **state)
{
    struct world *world = *state;
    const struct msg order = {.type = MSG_PIN, .pin = {.model = "m"}};
    struct err err;
    for (size_t i = 0; i < ROUND_NODES_MAX; i++)
        assert_int_equal(round_add(world->round, session(world, i % NODES), &order, NULL), 0);
    fake_link_forget(&world->bench.mesh.link, 0);
    assert_int_equal(round_add(world->round, session(world, 0), &order, &err), -E2BIG);
    assert_true(task_bench_is_quiet(&world->bench, 0));
}

#define ROUND_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            ROUND_TEST(it_ends_with_the_last_answer),
            ROUND_TEST(nobody_to_wait_for_ends_it),
            ROUND_TEST(time_ends_it),
            ROUND_TEST(its_owner_may_destroy_it_at_its_end),
            ROUND_TEST(who_destroys_it_early_hears_nothing),
            ROUND_TEST(past_its_limit_no_node_is_told),
    };
    return cmocka_run_group_tests_name("round", tests, NULL, NULL);
}
