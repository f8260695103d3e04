#include "coordinator/api.h"

#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct fake_mesh mesh;
    struct jobs *jobs;
    struct modes modes;
    struct mode mode_list[1];
    struct admin_view view;
    struct api api;
    struct http_server_handler handler;
    struct http_exchange client;
};

static char *ask_models[] = {"small", "named only in a mode"};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .nodes = world->mesh.nodes});
    world->mode_list[0] = (struct mode){.name = "ask", .models = ask_models, .model_count = 2};
    world->modes = (struct modes){.list = world->mode_list, .count = 1};
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .name = "mesh",
            .version = "1",
            .http = "",
            .link = "",
            .key = "",
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .jobs = world->jobs,
            .trust = world->mesh.trust};
    world->api = (struct api){.view = &world->view, .jobs = world->jobs};
    world->handler = api_handler(&world->api);
    fake_exchange_init(&world->client);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    jobs_destroy(world->jobs);
    fake_mesh_fini(&world->mesh);
    fake_exchange_fini(&world->client);
    free(world);
    return 0;
}

static void join(struct world *world, const struct msg_instance *instances, size_t count)
{
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = instances, .instance_count = count}});
    fake_link_forget(&world->mesh.link, 0);
}

static void join_with(struct world *world, const char *model)
{
    struct msg_instance instance = {
            .model = model, .state = INSTANCE_RESIDENT, .slots = 1, .engine = "", .note = ""};
    join(world, &instance, 1);
}

/* What the server does with one request; a new client each time. */
static struct http_exchange *call(
        struct world *world, const char *method, const char *path, const char *body)
{
    struct http_exchange *client = &world->client;
    fake_exchange_fini(client);
    fake_exchange_init(client);
    client->method = method;
    client->path = path;
    fake_exchange_must(buf_append_str(&client->request_body, body));
    if (world->handler.on_headers(world->handler.ctx, client) == 0)
        world->handler.on_request(world->handler.ctx, client);
    return client;
}

static struct http_exchange *chat(struct world *world, const char *model)
{
    char body[400];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}"
            "]}",
            model);
    return call(world, "POST", "/v1/chat/completions", body);
}

static struct msg_start started(struct world *world)
{
    struct msg msg;
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_START);
    return msg.start;
}

static void gets_are_served(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = call(world, "GET", "/health", "");
    assert_int_equal(client->status, 200);
    assert_string_equal(fake_exchange_text(&client->body), "{\"status\":\"ok\",\"nodes\":0}");
    client = call(world, "GET", "/v1/models", "");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"id\":\"ask\""));
    client = call(world, "GET", "/mesh/v1/status", "");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"node0\""));
    assert_true(fake_exchange_has_header(client, "Content-Type: application/json\n"));
}

static void unknown_paths_and_methods_are_refused(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = call(world, "GET", "/v2/\"x", "");
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(client, "nothing is served at /v2/\\\"x"));
    client = call(world, "GET", "/v1/chat/completions", "");
    assert_int_equal(client->status, 405);
    assert_true(fake_exchange_has_header(client, "Allow: POST\n"));
    client = call(world, "DELETE", "/v1/models", "");
    assert_int_equal(client->status, 405);
    assert_true(fake_exchange_has_header(client, "Allow: GET, HEAD\n"));
}

static void strangers_are_refused_before_their_body(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = &world->client;
    client->host = "rebind.evil.com";
    assert_int_not_equal(world->handler.on_headers(world->handler.ctx, client), 0);
    assert_int_equal(client->status, 403);
    assert_true(fake_exchange_has(client, "\"type\":\"permission_error\""));
    fake_exchange_fini(client);
    fake_exchange_init(client);
    client->origin = "https://evil.com";
    assert_int_not_equal(world->handler.on_headers(world->handler.ctx, client), 0);
    assert_int_equal(client->status, 403);
    fake_exchange_fini(client);
    fake_exchange_init(client);
    client->forwarded = "203.0.113.5";
    assert_int_not_equal(world->handler.on_headers(world->handler.ctx, client), 0);
    assert_int_equal(client->status, 403);
}

static void a_mode_a_model_and_auto_are_found(void **state)
{
    struct world *world = *state;
    join_with(world, "small");
    static const char *const asked[] = {"ask", "auto", "small"};
    for (size_t i = 0; i < 3; i++) {
        struct http_exchange *client = chat(world, asked[i]);
        struct msg_start start = started(world);
        assert_string_equal(start.model, "small");
        assert_int_equal(strncmp(start.request_id, "req_", 4), 0);
        assert_int_equal(strlen(start.request_id), 28);
        assert_int_equal(client->request_body.len, 0);
        fake_exchange_leave(client);
        fake_link_forget(&world->mesh.link, 0);
    }
}

static void a_name_of_both_asks_for_the_mode(void **state)
{
    struct world *world = *state;
    struct msg_instance instances[] = {
            {.model = "ask", .state = INSTANCE_RESIDENT, .slots = 1, .engine = "", .note = ""},
            {.model = "small", .state = INSTANCE_RESIDENT, .slots = 1, .engine = "", .note = ""}};
    join(world, instances, 2);
    struct http_exchange *client = chat(world, "ask");
    assert_string_equal(started(world).model, "small");
    fake_exchange_leave(client);
}

static void a_model_that_nobody_has_now_is_not_unknown(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = chat(world, "named only in a mode");
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has(client, "\"code\":\"no_node_available\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Mode: -\n"));
    assert_true(fake_exchange_has_header(client, "Retry-After: 5\n"));
}

static void an_unknown_model_is_told_what_is_known(void **state)
{
    struct world *world = *state;
    join_with(world, "small");
    struct http_exchange *client = chat(world, "gpt-5");
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(
            client, "there is no mode or model \\\"gpt-5\\\"; known are: ask, auto, small\""));
    assert_true(fake_exchange_has(client, "\"param\":\"model\",\"code\":\"model_not_found\""));
    assert_true(fake_exchange_has(client, "\"type\":\"invalid_request_error\""));
}

static void a_long_list_of_names_ends_in_one_ellipsis(void **state)
{
    struct world *world = *state;
    static char names[40][32];
    static struct msg_instance instances[40];
    for (size_t i = 0; i < 40; i++) {
        /* Short ones behind the long ones, so that one would fit again behind the ellipsis. */
        (void)snprintf(
                names[i], sizeof(names[i]), i < 30 ? "m-a-rather-long-name-%02zu" : "z%zu", i);
        instances[i] = (struct msg_instance){.model = names[i], .engine = "", .note = ""};
    }
    join(world, instances, 40);
    struct http_exchange *client = chat(world, "gpt-5");
    assert_true(fake_exchange_has(client, "known are: ask, auto, m-a-rather-long-name-00, "));
    assert_true(fake_exchange_has(client, ", …\""));
    const char *first = strstr(fake_exchange_text(&client->body), "…");
    assert_null(strstr(first + 1, "…"));
}

static void a_bad_body_is_the_clients_fault(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = call(world, "POST", "/v1/chat/completions", "{\"messages\": [}");
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "line 1, column 15"));
    client = call(
            world, "POST", "/v1/chat/completions", "{\"n\":0,\"messages\":[{\"role\":\"user\"}]}");
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "\"param\":\"n\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Request: req_"));
    client = call(world, "POST", "/v1/chat/completions", "");
    assert_int_equal(client->status, 400);
}

static void the_servers_own_errors_have_our_shape(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = &world->client;
    world->handler.on_refusal(world->handler.ctx, client, 413, "the body is too large");
    assert_int_equal(client->status, 413);
    assert_string_equal(fake_exchange_text(&client->body),
            "{\"error\":{\"message\":\"the body is too large\","
            "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"request_too_large\"}}");
    assert_false(fake_exchange_has_header(client, "Retry-After"));

    fake_exchange_fini(client);
    fake_exchange_init(client);
    world->handler.on_refusal(world->handler.ctx, client, 503, "no memory");
    assert_true(fake_exchange_has(client, "\"code\":\"overloaded\""));
    assert_true(fake_exchange_has_header(client, "Retry-After: 5\n"));
}

#define API_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            API_TEST(gets_are_served),
            API_TEST(unknown_paths_and_methods_are_refused),
            API_TEST(strangers_are_refused_before_their_body),
            API_TEST(a_mode_a_model_and_auto_are_found),
            API_TEST(a_name_of_both_asks_for_the_mode),
            API_TEST(a_model_that_nobody_has_now_is_not_unknown),
            API_TEST(an_unknown_model_is_told_what_is_known),
            API_TEST(a_long_list_of_names_ends_in_one_ellipsis),
            API_TEST(a_bad_body_is_the_clients_fault),
            API_TEST(the_servers_own_errors_have_our_shape),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
