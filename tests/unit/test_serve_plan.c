#include "coordinator/api/serve_plan.h"

#include "common/json/json.h"
#include "coordinator/plan/planner.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static char *models[] = {"big"};

struct world {
    struct fake_mesh mesh;
    struct loop loop;
    struct mode mode;
    struct modes modes;
    struct planner *planner;
    struct api api;
    struct http_exchange client;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    assert_int_equal(loop_init(&world->loop), 0);
    world->mode = (struct mode){.name = "ask",
            .models = models,
            .model_count = 1,
            .context = 8192,
            .slots = 1,
            .copies = 1,
            .weight = 10};
    world->modes = (struct modes){.list = &world->mode, .count = 1};
    world->planner = planner_create(&(struct planner_config){
            .loop = &world->loop, .nodes = world->mesh.nodes, .modes = &world->modes});
    assert_non_null(world->planner);
    world->api = (struct api){.planner = world->planner};
    fake_exchange_init(&world->client);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    planner_destroy(world->planner);
    loop_fini(&world->loop);
    fake_exchange_fini(&world->client);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void ask(struct world *world)
{
    const struct caller owner = {.owner = true};
    const struct call call = {.api = &world->api,
            .exchange = &world->client,
            .caller = &owner,
            .family = &family_openai,
            .tail = "",
            .request_id = "req_1"};
    serve_plan(&call);
}

static void run(struct world *world)
{
    while (world->client.status == 0)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
}

static void the_plan_comes_when_it_is_made(void **state)
{
    struct world *world = *state;
    cJSON *json = NULL;
    ask(world);
    assert_int_equal(world->client.status, 0);
    run(world);
    assert_int_equal(world->client.status, 200);
    assert_int_equal(json_parse(buf_at(&world->client.body), world->client.body.len,
                             &json_limits_request, &json, NULL),
            0);
    assert_int_equal(cJSON_GetArraySize(json_array(json, "modes")), 1);
    cJSON_Delete(json);
}

static void a_plan_that_fails_says_why(void **state)
{
    struct world *world = *state;
    world->mode.weight = 0;
    ask(world);
    run(world);
    assert_int_equal(world->client.status, 500);
    assert_int_equal(buf_append(&world->client.body, "", 1), 0);
    assert_non_null(strstr(buf_at(&world->client.body), "weight"));
}

static void who_leaves_is_forgotten(void **state)
{
    struct world *world = *state;
    ask(world);
    assert_non_null(world->client.events);
    world->client.events->on_gone(world->client.ctx);
    loop_fini(&world->loop);
    assert_int_equal(loop_init(&world->loop), 0);
    assert_int_equal(world->client.status, 0);
}

static void on_plan(
        void *ctx, const struct plan *plan, const struct buf *answer, const struct err *err)
{
    (void)answer;
    (void)ctx;
    (void)plan;
    (void)err;
}

static void too_many_are_told_to_wait(void **state)
{
    struct world *world = *state;
    struct planner_wait *wait;
    while (planner_ask(world->planner, on_plan, NULL, &wait, NULL) == 0)
        continue;
    ask(world);
    assert_int_equal(world->client.status, 503);
}

#define SERVE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            SERVE_TEST(the_plan_comes_when_it_is_made),
            SERVE_TEST(a_plan_that_fails_says_why),
            SERVE_TEST(who_leaves_is_forgotten),
            SERVE_TEST(too_many_are_told_to_wait),
    };
    return cmocka_run_group_tests_name("serve_plan", tests, NULL, NULL);
}
