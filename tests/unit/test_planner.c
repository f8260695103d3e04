#include "coordinator/plan/planner.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct fake_mesh mesh;
    struct loop loop;
    struct mode mode;
    struct modes modes;
    struct planner *planner;
    unsigned called; /* of all askers */
};

struct asker {
    struct world *world;
    struct planner_wait *wait;
    unsigned called;
    size_t engines; /* of the plan */
    char reason[ERR_TEXT_MAX];
    bool ask_again, destroy;
};

static char *models[] = {"big"};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 2);
    assert_int_equal(loop_init(&world->loop), 0);
    world->mode = (struct mode){.name = "ask",
            .models = models,
            .model_count = 1,
            .context = 8192,
            .context_floor = 8192,
            .slots = 1,
            .copies = 1,
            .weight = 10};
    world->modes = (struct modes){.list = &world->mode, .count = 1};
    world->planner = planner_create(&(struct planner_config){
            .loop = &world->loop, .nodes = world->mesh.nodes, .modes = &world->modes});
    assert_non_null(world->planner);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    planner_destroy(world->planner);
    loop_fini(&world->loop);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void join(struct world *world, size_t node)
{
    struct msg_instance instance = {.model = "big",
            .state = INSTANCE_AVAILABLE,
            .memory_bytes = 100,
            .run_context = 8192,
            .run_slots = 1,
            .engine = "",
            .note = ""};
    fake_mesh_hello(&world->mesh, node, "s");
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true,
                            .instances = &instance,
                            .instance_count = 1,
                            .memory_limit_bytes = 1000}});
}

static void ask(struct world *world, struct asker *asker);

static void on_plan(
        void *ctx, const struct plan *plan, const struct buf *answer, const struct err *err)
{
    assert_true((plan != NULL) == (answer != NULL && answer->len > 0));
    struct asker *asker = ctx;
    asker->called++;
    asker->world->called++;
    asker->wait = NULL;
    if (plan)
        asker->engines = plan_placement(plan)->engine_count;
    else
        strcpy(asker->reason, err->text);
    if (asker->ask_again) {
        asker->ask_again = false;
        ask(asker->world, asker);
    }
    if (asker->destroy) {
        planner_destroy(asker->world->planner);
        asker->world->planner = NULL;
    }
}

static void ask(struct world *world, struct asker *asker)
{
    struct err err = {.text = ""};
    asker->world = world;
    if (planner_ask(world->planner, on_plan, asker, &asker->wait, &err))
        fail_msg("%s", err.text);
}

/* Until so many askers were called in all. */
static void run(struct world *world, unsigned called)
{
    while (world->called < called)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
}

/* Whatever still comes. */
static void run_out(struct world *world)
{
    loop_fini(&world->loop);
    assert_int_equal(loop_init(&world->loop), 0);
}

static void who_asks_gets_the_plan_of_the_fleet(void **state)
{
    struct world *world = *state;
    struct asker asker = {.called = 0};
    join(world, 0);
    ask(world, &asker);
    assert_int_equal(asker.called, 0);
    run(world, 1);
    assert_int_equal(asker.called, 1);
    assert_int_equal(asker.engines, 1);
}

static void who_asks_while_one_is_made_gets_the_next(void **state)
{
    struct world *world = *state;
    struct asker first = {.called = 0}, second = {.called = 0}, third = {.called = 0};
    ask(world, &first);
    join(world, 0);
    ask(world, &second);
    ask(world, &third);
    run(world, 3);
    assert_int_equal(first.engines, 0);
    assert_int_equal(second.engines, 1);
    assert_int_equal(third.engines, 1);
}

static void who_forgets_is_not_called(void **state)
{
    struct world *world = *state;
    struct asker first = {.called = 0}, second = {.called = 0}, third = {.called = 0};
    ask(world, &first);
    ask(world, &second);
    ask(world, &third);
    planner_forget(first.wait);
    planner_forget(second.wait);
    planner_forget(NULL);
    run(world, 1);
    assert_int_equal(first.called + second.called, 0);
    assert_int_equal(third.called, 1);
}

static void who_is_called_may_ask_again(void **state)
{
    struct world *world = *state;
    struct asker asker = {.ask_again = true};
    ask(world, &asker);
    run(world, 2);
    assert_int_equal(asker.called, 2);
}

static void who_is_called_may_end_it(void **state)
{
    struct world *world = *state;
    struct asker first = {.destroy = true}, second = {.called = 0};
    ask(world, &first);
    ask(world, &second);
    run(world, 1);
    run_out(world);
    assert_int_equal(first.called, 1);
    assert_int_equal(second.called, 0);
}

static void it_may_end_while_a_plan_is_made(void **state)
{
    struct world *world = *state;
    struct asker asker = {.called = 0};
    ask(world, &asker);
    planner_destroy(world->planner);
    world->planner = NULL;
    run_out(world);
    assert_int_equal(asker.called, 0);
}

static void what_cannot_be_planned_says_why(void **state)
{
    struct world *world = *state;
    struct asker asker = {.called = 0};
    world->mode.weight = 0;
    ask(world, &asker);
    run(world, 1);
    assert_int_equal(asker.called, 1);
    assert_non_null(strstr(asker.reason, "weight"));
}

static void not_everybody_can_wait(void **state)
{
    struct world *world = *state;
    struct asker askers[PLANNER_WAITING_MAX] = {{.called = 0}};
    struct planner_wait *wait;
    struct err err;
    for (size_t i = 0; i < PLANNER_WAITING_MAX; i++)
        ask(world, &askers[i]);
    assert_int_equal(planner_ask(world->planner, on_plan, askers, &wait, &err), -EBUSY);
    run(world, PLANNER_WAITING_MAX);
    for (size_t i = 0; i < PLANNER_WAITING_MAX; i++)
        assert_int_equal(askers[i].called, 1);
}

static void the_digest_follows_the_fleet(void **state)
{
    struct world *world = *state;
    uint64_t empty = planner_digest(world->planner), one;
    join(world, 0);
    one = planner_digest(world->planner);
    assert_true(one != empty);
    join(world, 1);
    assert_true(planner_digest(world->planner) != one);
}

static void an_edge_is_no_node(void **state)
{
    struct world *world = *state;
    uint64_t empty = planner_digest(world->planner);
    struct member laptop = *members_find_name(world->mesh.members, "node1");
    laptop.roles = CERTIFICATE_ROLE_EDGE;
    assert_int_equal(members_put(world->mesh.members, &laptop, NULL), 0);
    join(world, 1);
    assert_true(planner_digest(world->planner) == empty);
}

#define PLANNER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            PLANNER_TEST(who_asks_gets_the_plan_of_the_fleet),
            PLANNER_TEST(who_asks_while_one_is_made_gets_the_next),
            PLANNER_TEST(who_forgets_is_not_called),
            PLANNER_TEST(who_is_called_may_ask_again),
            PLANNER_TEST(who_is_called_may_end_it),
            PLANNER_TEST(it_may_end_while_a_plan_is_made),
            PLANNER_TEST(what_cannot_be_planned_says_why),
            PLANNER_TEST(not_everybody_can_wait),
            PLANNER_TEST(the_digest_follows_the_fleet),
            PLANNER_TEST(an_edge_is_no_node),
    };
    return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
