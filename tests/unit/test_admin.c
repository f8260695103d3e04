#include "coordinator/api/admin.h"

#include "common/json/json.h"
#include "coordinator/api/caller.h"
#include "tests/lib/fake_mesh.h"
#include "tests/lib/modes_maker.h"
#include "tests/lib/task_bench.h"

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
    struct jobs *jobs;
    struct modes modes;
    struct mode mode_list[2];
    struct admin_view view;
    struct api_key *key; /* of who asks; NULL: the owner asks */
    cJSON *json;         /* what was appended last */
};

static char *ask_models[] = {"small", "large"};
static char *code_models[] = {"coder"};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 2);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    world->mode_list[0] = (struct mode){
            .name = "ask", .models = ask_models, .model_count = 2, .context = 4096, .copies = 3};
    world->mode_list[1] = (struct mode){.name = "code", .models = code_models, .model_count = 1};
    world->modes = (struct modes){.list = world->mode_list, .count = 2};
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .name = "mesh",
            .version = "1.2.3",
            .http = "127.0.0.1:8420",
            .link = "tcp://0.0.0.0:8421",
            .key = "key",
            .mesh = "k3vqz7m2a5tdh4ef",
            .started_us = world->mesh.env.now_us,
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .jobs = world->jobs,
            .door = world->mesh.door};
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    cJSON_Delete(world->json);
    jobs_destroy(world->jobs);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void join(struct world *world, size_t node, const char *model)
{
    static const char *const aliases[] = {"the best"};
    const uint8_t fingerprint[MSG_FINGERPRINT_BYTES] = {0xab, (uint8_t)node};
    struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 2,
            .aliases = aliases,
            .alias_count = 1,
            .fingerprint = {.data = fingerprint, .len = sizeof(fingerprint)},
            .quality = 80,
            .load_ms = 900,
            .context = 4096,
            .prefill_tok_s = 812.5f,
            .engine = "llama-server",
            .note = "a \"note\""};
    fake_mesh_hello(&world->mesh, node, "modemesh 9");
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.instances = &instance,
                            .instance_count = 1,
                            .memory_total_bytes = UINT64_C(1) << 40}});
}

static int append_status(const struct world *world, struct buf *out)
{
    struct api api = {.view = &world->view};
    const struct caller caller = {
            .owner = !world->key, .key = world->key, .nodes = world->mesh.nodes};
    const struct call call = {.api = &api, .caller = &caller};
    return admin_append_status(&call, out);
}

static int append_suggestion(const struct world *world, struct buf *out)
{
    return admin_append_suggestion(&world->view, out);
}

static const cJSON *get(
        struct world *world, int (*append)(const struct world *world, struct buf *out))
{
    struct buf out;
    struct err err = {.text = ""};
    buf_init(&out, 1024 * 1024);
    cJSON_Delete(world->json);
    world->json = NULL;
    assert_int_equal(append(world, &out), 0);
    if (json_parse(buf_at(&out), out.len, &json_limits_event, &world->json, &err))
        fail_msg("%s", err.text);
    buf_fini(&out);
    return world->json;
}

static const cJSON *at(const cJSON *array, int index)
{
    const cJSON *item = cJSON_GetArrayItem(array, index);
    assert_non_null(item);
    return item;
}

static void an_empty_mesh_is_described(void **state)
{
    struct world *world = *state;
    virtual_env_advance_ms(&world->mesh.env, 5000);
    const cJSON *json = get(world, append_status);
    const cJSON *coordinator = json_obj(json, "coordinator");
    assert_string_equal(json_str(coordinator, "version", ""), "1.2.3");
    assert_true(json_num(coordinator, "uptime_ms", 0) == 5000);
    assert_true(json_num(json_obj(json, "queue"), "waiting_max", 0) == JOBS_WAITING_MAX);
    assert_true(json_num(json_obj(json, "queue"), "waiting_for_models", -1) == 0);
    const cJSON *ask = at(json_array(json, "modes"), 0);
    assert_true(json_num(ask, "waiting", -1) == 0);
    assert_string_equal(json_str(ask, "name", ""), "ask");
    assert_int_equal(cJSON_GetArraySize(json_array(ask, "models")), 2);
    assert_true(json_num(ask, "context", 0) == 4096 && json_num(ask, "copies", 0) == 3);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(ask, "now")));
    assert_string_equal(json_str(ask, "reason", ""), "no connected node has the model");
    const cJSON *node = at(json_array(json, "nodes"), 1);
    assert_string_equal(json_str(node, "name", ""), "node1");
    assert_string_equal(json_str(node, "state", ""), "offline");
    assert_string_equal(json_str(node, "address", "?"), "");
    assert_true(json_num(node, "connected_ms", -1) == 0);
    assert_int_equal(cJSON_GetArraySize(json_array(node, "models")), 0);
    assert_true(json_num(json_obj(node, "memory"), "total_bytes", -1) == 0);
}

static void a_policy_is_told(void **state)
{
    struct world *world = *state;
    struct modes modes = modes_maker_make(
            "modes:\n  code:\n    models: [small, large, other]\n    quality: {small: 55}\n"
            "    up-to: {16k: [small], 65k: [large]}\n    planning: [large]\n    floor: 60\n"
            "    floor-up-to: {16k: 50}\n    stand-in: true\n    temperature: 0.2\n"
            "    when-none: ask\n    patience: 20m\n  ask:\n    models: [small]\n"
            "model-aliases: {\"gpt-*\": code}\n");
    world->view.modes = &modes;
    join(world, 1, "large");
    const cJSON *json = get(world, append_status);
    const cJSON *code = at(json_array(json, "modes"), 0), *ask = at(json_array(json, "modes"), 1);
    const cJSON *quality = json_array(code, "quality"), *rule = at(json_array(code, "rules"), 0);
    static const char *const from[] = {"config", "node", "place"};
    static const int points[] = {55, 80, 75};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(json_str(at(quality, i), "from", ""), from[i]);
        assert_true(json_num(at(quality, i), "points", 0) == points[i]);
    }
    assert_true(json_num(rule, "up_to", 0) == 16384 && json_num(rule, "floor", 0) == 50);
    assert_string_equal(at(json_array(rule, "models"), 0)->valuestring, "small");
    assert_true(json_num(at(json_array(code, "rules"), 1), "floor", 0) == 60);
    assert_string_equal(at(json_array(code, "planning"), 0)->valuestring, "large");
    assert_true(json_bool(code, "stand_in", false) && json_num(code, "temperature", 0) == 0.2);
    assert_string_equal(json_str(code, "when_none", ""), "next");
    assert_string_equal(json_str(code, "next", ""), "ask");
    assert_true(json_num(code, "patience_ms", 0) == 1200000);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(ask, "temperature")));
    const cJSON *alias = at(json_array(json, "aliases"), 0);
    assert_string_equal(json_str(alias, "name", ""), "gpt-*");
    assert_string_equal(json_str(alias, "kind", ""), "model");
    assert_true(json_bool(at(json_array(json, "aliases"), 1), "known", false));
    assert_false(json_bool(json, "modes_derived", true));
    modes_fini(&modes);
}

static void a_mode_goes_where_its_requests_go(void **state)
{
    struct world *world = *state;
    struct modes modes = modes_maker_make(
            "modes:\n  ask:\n    models: [large, small]\n    quality: {large: 90, small: 60}\n"
            "  code:\n    models: [small, large]\n    quality: {small: 60, large: 90}\n"
            "    up-to: {1k: [small]}\n"
            "  debug:\n    models: [small]\n    floor: 85\n"
            "  autocomplete:\n    models: [small]\n");
    static const char *const models[] = {"large", "small"};
    static const char *const reasons[] = {"the instance that costs least", "the only instance",
            "no connected node has a model as good as the mode asks for",
            "no model that may answer can do that"};
    world->view.modes = &modes;
    join(world, 0, "small");
    join(world, 1, "large");
    const cJSON *json = get(world, append_status);
    for (int i = 0; i < 4; i++) {
        const cJSON *mode = at(json_array(json, "modes"), i);
        assert_string_equal(json_str(mode, "reason", ""), reasons[i]);
        assert_string_equal(json_str(json_obj(mode, "now"), "model", ""), i < 2 ? models[i] : "");
    }
    modes_fini(&modes);
}

static void a_mode_that_has_none_goes_where_the_next_one_goes(void **state)
{
    struct world *world = *state;
    struct modes modes = modes_maker_make(
            "modes:\n  code:\n    models: [absent]\n    when-none: debug\n"
            "  debug:\n    models: [absent]\n    when-none: ask\n  ask:\n    models: [small]\n");
    world->view.modes = &modes;
    join(world, 0, "small");
    const cJSON *code = at(json_array(get(world, append_status), "modes"), 0);
    assert_string_equal(json_str(json_obj(code, "now"), "model", ""), "small");
    assert_string_equal(
            json_str(code, "reason", ""), "code has none for it; ask: the only instance");
    node_session_end(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key), "it is gone");
    code = at(json_array(get(world, append_status), "modes"), 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(code, "now")));
    assert_string_equal(json_str(code, "reason", ""),
            "code has none for it; ask: node0, which has the model, is away");
    modes_fini(&modes);
}

static void of_a_mode_that_the_key_does_not_allow_no_place_is_told(void **state)
{
    struct world *world = *state;
    char *allowed[] = {"code"};
    struct api_key key = {.name = "laptop", .modes = allowed, .mode_count = 1};
    world->key = &key;
    join(world, 0, "small");
    join(world, 1, "coder");
    const cJSON *json = json_array(get(world, append_status), "modes");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(at(json, 0), "now")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(at(json, 0), "waits_for")));
    assert_string_equal(json_str(at(json, 0), "reason", ""), "the API key does not allow it");
    assert_string_equal(json_str(json_obj(at(json, 1), "now"), "model", ""), "coder");
}

/* Its slots, and what comes next. */
static void what_a_mode_would_wait_for_is_not_where_it_goes(void **state)
{
    enum { TRIPS = 3 };
    struct world *world = *state;
    struct modes modes = modes_maker_make("modes:\n  ask:\n    models: [small]\n"
                                          "  once:\n    models: [small]\n    when-none: refuse\n");
    static const char *const models[] = {"small"};
    const struct prefix_chain chain = {.bytes = 300};
    const struct router_ask ask = {
            .chain = &chain, .mode = "ask", .models = models, .model_count = 1};
    struct router_trip trips[TRIPS] = {{.alone = false}};
    struct router_plan plan;
    world->view.modes = &modes;
    join(world, 0, "small");
    for (size_t i = 0; i < TRIPS; i++) {
        assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
        router_sent(world->mesh.router, &plan, &chain, &trips[i]);
    }
    const cJSON *json = json_array(get(world, append_status), "modes");
    for (int i = 0; i < 2; i++) {
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(at(json, i), "now")));
        assert_string_equal(json_str(at(json, i), "reason", ""),
                "every instance that could serve it soon is full");
    }
    const cJSON *waits_for = json_obj(at(json, 0), "waits_for");
    assert_string_equal(json_str(waits_for, "model", ""), "small");
    assert_string_equal(json_str(waits_for, "node", ""), "node0");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(at(json, 1), "waits_for")));
    for (size_t i = 0; i < TRIPS; i++)
        router_ended(world->mesh.router, &trips[i], "ask", &chain, ROUTER_REFUSED,
                &(struct msg_usage){.prompt_tokens = 0});
    json = at(json_array(get(world, append_status), "modes"), 0);
    assert_string_equal(json_str(json_obj(json, "now"), "node", ""), "node0");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "waits_for")));
    modes_fini(&modes);
}

static void modes_to_keep_are_told(void **state)
{
    struct world *world = *state;
    join(world, 1, "large");
    const cJSON *json = get(world, append_suggestion);
    assert_false(json_bool(json, "derived", true));
    assert_non_null(strstr(json_str(json, "yaml", ""), "modes:\n  ask:\n    models: [large]\n"));
    world->modes.derived = true; /* then those are told that are in force */
    mode_init(&world->mode_list[0]);
    mode_init(&world->mode_list[1]);
    world->mode_list[0].name = (char *)"ask";
    world->mode_list[0].models = ask_models;
    world->mode_list[0].model_count = 2;
    world->modes.count = 1;
    json = get(world, append_suggestion);
    assert_true(json_bool(json, "derived", false));
    assert_string_equal(json_str(json, "yaml", ""), "modes:\n  ask:\n    models: [small, large]\n");
}

static void a_mesh_without_a_loopback_listener_is_described(void **state)
{
    struct world *world = *state;
    world->view.http = NULL;
    const cJSON *json = get(world, append_status);
    assert_string_equal(json_str(json_obj(json, "coordinator"), "http", "?"), "");
}

static void a_node_is_described(void **state)
{
    struct world *world = *state;
    join(world, 1, "large");
    virtual_env_advance_ms(&world->mesh.env, 12);
    const cJSON *json = get(world, append_status);
    const cJSON *now = json_obj(at(json_array(json, "modes"), 0), "now");
    assert_string_equal(json_str(now, "model", ""), "large");
    assert_string_equal(json_str(now, "node", ""), "node1");
    const cJSON *node = at(json_array(json, "nodes"), 1);
    assert_string_equal(json_str(node, "state", ""), "up");
    assert_string_equal(json_str(node, "key", ""), fake_link_peer(1).key);
    assert_string_equal(json_str(node, "address", ""), "10.0.0.1");
    assert_string_equal(json_str(node, "software", ""), "modemesh 9");
    assert_true(json_num(node, "last_seen_ms", 0) == 12);
    assert_true(json_num(json_obj(node, "memory"), "total_bytes", 0) == 1099511627776.0);
    const cJSON *model = at(json_array(node, "models"), 0);
    assert_string_equal(json_str(model, "state", ""), "resident");
    assert_string_equal(json_str(model, "note", ""), "a \"note\"");
    assert_true(json_num(model, "prefill_tok_s", 0) == 812.5);
    assert_true(json_num(model, "slots", 0) == 2);
}

static void a_model_is_known_by_more_than_its_name(void **state)
{
    struct world *world = *state;
    join(world, 0, "large");
    join(world, 1, "large");
    const cJSON *json = get(world, append_status);
    const cJSON *first = at(json_array(at(json_array(json, "nodes"), 0), "models"), 0),
                *second = at(json_array(at(json_array(json, "nodes"), 1), "models"), 0);
    assert_string_equal(json_str(first, "fingerprint", ""),
            "ab00000000000000000000000000000000000000000000000000000000000000");
    assert_string_equal(at(json_array(first, "aliases"), 0)->valuestring, "the best");
    assert_true(json_num(first, "quality", 0) == 80);
    assert_true(json_num(first, "load_ms", 0) == 900);
    assert_false(json_bool(first, "foreign", true));
    /* one of the two stands for the name */
    const char *differs = json_str(first, "differs_from", ""),
               *other = json_str(second, "differs_from", "");
    assert_true((!*differs && strcmp(other, "node0") == 0) ||
                (!*other && strcmp(differs, "node1") == 0));
}

static void an_alias_that_means_another_model_is_told(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "large");
    const cJSON *json = get(world, append_status);
    const cJSON *small = at(json_array(at(json_array(json, "nodes"), 0), "models"), 0),
                *large = at(json_array(at(json_array(json, "nodes"), 1), "models"), 0);
    assert_int_equal(cJSON_GetArraySize(json_array(large, "aliases_of_others")), 0);
    const cJSON *other = at(json_array(small, "aliases_of_others"), 0);
    assert_string_equal(json_str(other, "alias", ""), "the best");
    assert_string_equal(json_str(other, "model", ""), "large");
}

static void memberships_are_described(void **state)
{
    struct world *world = *state;
    struct member laptop = *members_find_name(world->mesh.members, "node1");
    laptop.roles = CERTIFICATE_ROLE_EDGE;
    assert_int_equal(members_put(world->mesh.members, &laptop, NULL), 0);
    assert_int_equal(door_revoke(world->mesh.door, "node0", NULL), 0);
    assert_false(door_allow(world->mesh.door, fake_link_peer(5).key, "10.0.0.5"));
    const cJSON *json = get(world, append_status);
    const cJSON *revoked = at(json_array(json, "nodes"), 0),
                *edge = at(json_array(json, "nodes"), 1);
    assert_true(json_bool(revoked, "revoked", false));
    assert_false(json_bool(revoked, "edge_only", true));
    assert_false(json_bool(edge, "revoked", true));
    assert_true(json_bool(edge, "edge_only", false));
    assert_true(json_num(edge, "editors", -1) == 0);
    assert_true(json_num(json, "pending_nodes", 0) == 1);
}

static void a_status_that_does_not_fit_is_an_error(void **state)
{
    struct world *world = *state;
    struct buf out;
    buf_init(&out, 200);
    assert_int_equal(append_status(world, &out), -ENOBUFS);
    buf_fini(&out);
}

static void a_mode_tells_what_a_deploy_has_moved(void **state)
{
    struct world *world = *state;
    const char *yaml = "modes:\n  ask:\n    models: [small, large]\n  code:\n    models: [coder]\n";
    struct modes config = task_bench_modes(yaml);
    struct mode_moves *moves;
    const cJSON *mode = at(json_array(get(world, append_status), "modes"), 0);
    assert_string_equal(json_str(mode, "deployed", "?"), "");
    assert_int_equal(mode_moves_open(scratch_path(&world->mesh.scratch, "moves.json"), &config,
                             &moves, NULL),
            0);
    assert_int_equal(mode_moves_put(moves, "ask", "new", 1234, NULL), 0);
    world->view.modes = mode_moves_modes(moves);
    world->view.moves = moves;
    const cJSON *modes = json_array(get(world, append_status), "modes");
    mode = at(modes, 0);
    assert_string_equal(json_str(mode, "deployed", ""), "new");
    assert_string_equal(at(json_array(mode, "models"), 0)->valuestring, "new");
    assert_string_equal(at(json_array(mode, "replaced"), 0)->valuestring, "small");
    assert_int_equal((int)json_num(mode, "deployed_ms", 0), 1234);
    mode = at(modes, 1);
    assert_string_equal(json_str(mode, "deployed", "?"), "");
    assert_int_equal(cJSON_GetArraySize(json_array(mode, "replaced")), 0);
    mode_moves_close(moves);
}

#define ADMIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            ADMIN_TEST(an_empty_mesh_is_described),
            ADMIN_TEST(a_mesh_without_a_loopback_listener_is_described),
            ADMIN_TEST(a_policy_is_told),
            ADMIN_TEST(a_mode_goes_where_its_requests_go),
            ADMIN_TEST(what_a_mode_would_wait_for_is_not_where_it_goes),
            ADMIN_TEST(a_mode_that_has_none_goes_where_the_next_one_goes),
            ADMIN_TEST(of_a_mode_that_the_key_does_not_allow_no_place_is_told),
            ADMIN_TEST(modes_to_keep_are_told),
            ADMIN_TEST(a_node_is_described),
            ADMIN_TEST(a_model_is_known_by_more_than_its_name),
            ADMIN_TEST(an_alias_that_means_another_model_is_told),
            ADMIN_TEST(memberships_are_described),
            ADMIN_TEST(a_mode_tells_what_a_deploy_has_moved),
            ADMIN_TEST(a_status_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
