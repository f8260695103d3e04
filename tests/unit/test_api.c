#include "coordinator/api/api.h"

#include "common/log.h"
#include "coordinator/api/recordings.h"
#include "coordinator/deploy/tasks.h"
#include "coordinator/dialects/responses/response_store.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTENERS = ACCESS_SOCKET + 1, HEADER_MAX = 100, LOG_MAX = 4096 };

struct world {
    struct fake_mesh mesh;
    struct jobs *jobs;
    struct modes modes;
    struct mode mode_list[1];
    struct admin_view view;
    struct api_keys *keys;
    struct throttle *throttle;
    struct tasks *tasks;
    struct operations operations;
    struct response_store *responses;
    struct recordings *recordings;
    struct api api;
    struct api_listener listeners[LISTENERS];
    /* The next call comes so: */
    enum access_listener via;
    const char *peer, *host, *origin, *forwarded, *authorization, *x_api_key;
    const char *query, *header, *value; /* and one more header */
    struct http_exchange client;
};

static const char wrong_key[] = "Bearer mm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static char *ask_models[] = {"small", "named only in a mode"};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    world->mode_list[0] = (struct mode){.name = "ask", .models = ask_models, .model_count = 2};
    world->modes = (struct modes){.list = world->mode_list, .count = 1};
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .name = "mesh",
            .version = "1",
            .http = "",
            .link = "",
            .key = "",
            .mesh = "",
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .jobs = world->jobs,
            .door = world->mesh.door};
    assert_int_equal(api_keys_open(scratch_path(&world->mesh.scratch, "api-keys.json"),
                             &world->mesh.env.env, &world->keys, NULL),
            0);
    world->throttle = throttle_create();
    assert_non_null(world->throttle);
    world->tasks = tasks_create(
            &(struct tasks_config){.env = &world->mesh.env.env, .nodes = world->mesh.nodes});
    assert_non_null(world->tasks);
    world->operations = (struct operations){.env = &world->mesh.env.env,
            .door = world->mesh.door,
            .keys = world->keys,
            .nodes = world->mesh.nodes,
            .tasks = world->tasks,
            .link_endpoint = "tcp://127.0.0.1:8421"};
    world->responses =
            response_store_create(&(struct response_store_config){.env = &world->mesh.env.env});
    world->recordings = recordings_create(
            &(struct recordings_config){.env = &world->mesh.env.env, .store = world->responses});
    assert_non_null(world->recordings);
    world->api = (struct api){.view = &world->view,
            .jobs = world->jobs,
            .keys = world->keys,
            .throttle = world->throttle,
            .operations = &world->operations,
            .responses = world->responses,
            .recordings = world->recordings,
            .own_name = "tower"};
    for (unsigned i = 0; i < LISTENERS; i++)
        world->listeners[i] =
                (struct api_listener){.api = &world->api, .kind = (enum access_listener)i};
    world->peer = "127.0.0.1";
    world->host = "localhost";
    fake_exchange_init(&world->client);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    tasks_destroy(world->tasks);
    jobs_destroy(world->jobs);
    recordings_destroy(world->recordings);
    response_store_destroy(world->responses);
    api_keys_close(world->keys);
    throttle_destroy(world->throttle);
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

static struct http_server_handler handler(struct world *world)
{
    return api_handler(&world->listeners[world->via]);
}

/* A new client, of whom the headers have come. */
static struct http_exchange *begin(struct world *world, const char *method, const char *path)
{
    struct http_exchange *client = &world->client;
    fake_exchange_fini(client);
    fake_exchange_init(client);
    client->method = method;
    client->path = path;
    client->peer = world->peer;
    client->host = world->host;
    client->origin = world->origin;
    client->forwarded = world->forwarded;
    client->authorization = world->authorization;
    client->x_api_key = world->x_api_key;
    client->query = world->query;
    client->more[0].name = world->header;
    client->more[0].value = world->value;
    int r = handler(world).on_headers(handler(world).ctx, client);
    assert_true((r == 0) == (client->status == 0));
    return client;
}

/* The rest of what the server does with one request. */
static struct http_exchange *finish(struct world *world, const char *body)
{
    struct http_exchange *client = &world->client;
    fake_exchange_must(buf_append_str(&client->request_body, body));
    if (client->status == 0)
        handler(world).on_request(handler(world).ctx, client);
    jobs_dispatch_changed(world->jobs);
    return client;
}

static struct http_exchange *call(
        struct world *world, const char *method, const char *path, const char *body)
{
    begin(world, method, path);
    return finish(world, body);
}

static struct http_exchange *get(struct world *world, const char *path)
{
    return call(world, "GET", path, "");
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
    assert_true(fake_exchange_has(client, "\"id\":\"mesh-ask\""));
    client = call(world, "GET", "/mesh/v1/status", "");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"node0\""));
    assert_true(fake_exchange_has_header(client, "Content-Type: application/json\n"));
    world->query = "mode=ask&tokens=100";
    client = call(world, "GET", "/mesh/v1/explain", "");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"verdict\":\"none\""));
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
    static const char path[] = "/v1/chat/completions";
    world->host = "rebind.evil.com";
    struct http_exchange *client = begin(world, "POST", path);
    assert_int_equal(client->status, 403);
    assert_true(fake_exchange_has(client, "\"type\":\"permission_error\""));
    world->host = "localhost";
    world->origin = "https://evil.com";
    assert_int_equal(begin(world, "POST", path)->status, 403);
    world->origin = NULL;
    world->forwarded = "203.0.113.5";
    assert_int_equal(begin(world, "POST", path)->status, 403);
    world->forwarded = NULL;
    assert_int_equal(begin(world, "POST", path)->status, 0);
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
    assert_true(fake_exchange_has(client,
            "there is no mode or model \\\"gpt-5\\\"; known are: mesh-ask, mesh-auto, small\""));
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
    assert_true(
            fake_exchange_has(client, "known are: mesh-ask, mesh-auto, m-a-rather-long-name-00, "));
    assert_true(fake_exchange_has(client, ", …\""));
    const char *first = strstr(fake_exchange_text(&client->body), "…");
    assert_null(strstr(first + 1, "…"));
}

/* --- paths --- */

static void the_tail_of_a_path_is_taken_whole(void **state)
{
    struct world *world = *state;
    char path[HTTP_PATH_MAX + 1];
    join_with(world, "org/model:7b");
    struct http_exchange *client = get(world, "/v1/models/org/model:7b");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"id\":\"org/model:7b\""));
    assert_int_equal(get(world, "/v1/models/mesh-ask")->status, 200);
    client = get(world, "/v1/models/org");
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(client, "\"code\":\"model_not_found\""));
    client = get(world, "/v1/models/");
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(client, "nothing is served at"));

    memset(path, 'x', sizeof(path));
    memcpy(path, "/v1/models/", strlen("/v1/models/"));
    path[HTTP_PATH_MAX] = '\0';
    client = get(world, path);
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(client, "there is no mode or model \\\"xxx"));
}

static void a_star_within_a_path_takes_one_part(void **state)
{
    struct world *world = *state;
    static const char *const no_response[] = {
            "/v1/responses/resp_1", "/v1/responses/resp_1/input_items", "/v1/responses/a/b/c"};
    for (size_t i = 0; i < 3; i++) {
        struct http_exchange *client = get(world, no_response[i]);
        assert_int_equal(client->status, 404);
        assert_true(fake_exchange_has(client, "there is no such response"));
    }
    struct http_exchange *client = call(world, "POST", "/v1/responses/resp_1/cancel", "");
    assert_true(fake_exchange_has(client, "there is no such response"));
    assert_int_equal(call(world, "POST", "/v1/responses/a/b/cancel", "")->status, 405);
    client = call(world, "DELETE", "/v1/responses/resp_1", "");
    assert_true(fake_exchange_has(client, "there is no such response"));
    assert_int_equal(call(world, "POST", "/v1/chat/completions/", "")->status, 404);
    assert_int_equal(call(world, "POST", "/V1/chat/completions", "")->status, 404);
    assert_int_equal(get(world, "")->status, 404);
}

static void a_path_names_all_its_methods(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *path, *allow;
    } cases[] = {{"/v1/responses", "Allow: POST, GET, HEAD\n"},
            {"/v1/responses/resp_1", "Allow: GET, HEAD, DELETE\n"},
            {"/v1/models", "Allow: GET, HEAD\n"}, {"/api/delete", "Allow: DELETE\n"},
            {"/infill", "Allow: POST\n"}, {"/", "Allow: GET, HEAD\n"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_exchange *client = call(world, "PUT", cases[i].path, "");
        assert_int_equal(client->status, 405);
        if (!fake_exchange_has_header(client, cases[i].allow))
            fail_msg("%s: %s", cases[i].path, fake_exchange_text(&client->headers));
    }
}

static void a_websocket_is_refused_as_codex_wants_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(get(world, "/v1/responses")->status, 405);
    world->header = "Upgrade";
    world->value = "websocket";
    struct http_exchange *client = get(world, "/v1/responses");
    assert_int_equal(client->status, 426);
    assert_true(fake_exchange_has(client, "\"code\":\"upgrade_required\""));
}

/* What an error of each API begins with. */
static const char openai[] = "{\"error\":{\"message\":",
                  anthropic[] = "{\"type\":\"error\",\"error\":{", ollama[] = "{\"error\":\"",
                  llamacpp[] = "{\"error\":{\"code\":";

static void errors_have_the_shape_of_their_path(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *method, *path, *header, *shape;
    } cases[] = {{"POST", "/v1/chat/completions", NULL, openai},
            {"POST", "/v1/chat/completions", "anthropic-version", openai},
            {"POST", "/v1/messages", NULL, anthropic},
            {"POST", "/v1/messages/count_tokens", NULL, anthropic},
            {"GET", "/v1/messages", NULL, anthropic}, {"POST", "/api/chat", NULL, ollama},
            {"GET", "/api/chat", NULL, ollama}, {"POST", "/infill", NULL, llamacpp},
            {"GET", "/infill", NULL, llamacpp}, {"GET", "/no/such", NULL, openai},
            {"GET", "/no/such", "anthropic-version", anthropic},
            {"GET", "/api/no/such", NULL, ollama},
            {"GET", "/api/no/such", "anthropic-version", anthropic},
            {"GET", "/v1/models/none", NULL, openai},
            {"GET", "/v1/models/none", "anthropic-version", anthropic},
            {"POST", "/v1/models", "anthropic-version", anthropic}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->header = cases[i].header;
        world->value = "2023-06-01";
        struct http_exchange *client = call(world, cases[i].method, cases[i].path, "{");
        const char *text = fake_exchange_text(&client->body);
        assert_true(client->status >= 400);
        if (strncmp(text, cases[i].shape, strlen(cases[i].shape)) != 0)
            fail_msg("%s %s: %s", cases[i].method, cases[i].path, text);
    }
}

static void the_servers_refusals_have_the_shape_of_their_path(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = &world->client;
    client->path = "/api/generate";
    handler(world).on_refusal(handler(world).ctx, client, 413, "too large");
    assert_string_equal(fake_exchange_text(&client->body), "{\"error\":\"too large\"}");
}

/* --- pages of other origins --- */

static const char page[] = "https://chat.example.org",
                  allows_page[] = "Access-Control-Allow-Origin: https://chat.example.org\n",
                  allows[] = "Access-Control-Allow-", varies[] = "Vary: Origin\n";

static void let_page_in(struct world *world)
{
    static const char *const origins[] = {page};
    world->api.cors = (struct cors){.origins = origins, .count = 1};
    world->origin = page;
}

static void a_preflight_shows_no_key(void **state)
{
    struct world *world = *state;
    let_page_in(world);
    static const enum access_listener kinds[] = {ACCESS_LOOPBACK, ACCESS_NETWORK, ACCESS_EDGE};
    for (size_t i = 0; i < 3; i++) {
        world->via = kinds[i];
        struct http_exchange *client = begin(world, "OPTIONS", "/v1/chat/completions");
        assert_int_equal(client->status, 204);
        assert_true(fake_exchange_has_header(client, allows_page));
        world->origin = "https://chat.example.org.evil.com";
        client = begin(world, "OPTIONS", "/v1/chat/completions");
        assert_true(client->status == 401 || client->status == 403);
        assert_false(fake_exchange_has_header(client, allows));
        world->origin = page;
    }
    world->api.cors.count = 0; /* as it is where the owner says nothing */
    world->via = ACCESS_LOOPBACK;
    struct http_exchange *client = begin(world, "OPTIONS", "/v1/chat/completions");
    assert_int_equal(client->status, 403);
    assert_false(fake_exchange_has_header(client, allows));
    world->origin = NULL;
    client = begin(world, "OPTIONS", "/v1/chat/completions");
    assert_int_equal(client->status, 405);
    assert_false(fake_exchange_has_header(client, varies));
}

static void a_page_that_is_let_in_reads_refusals(void **state)
{
    struct world *world = *state;
    let_page_in(world);
    assert_true(fake_exchange_has_header(get(world, "/v1/models"), allows_page));
    world->via = ACCESS_NETWORK;
    struct http_exchange *client = get(world, "/v1/models");
    assert_int_equal(client->status, 401);
    assert_true(fake_exchange_has_header(client, allows_page));
    world->authorization = wrong_key;
    for (unsigned i = 0; i <= THROTTLE_FREE; i++) {
        client = get(world, "/v1/models");
        assert_int_equal(client->status, 401);
        assert_true(fake_exchange_has_header(client, allows_page));
    }
    client = get(world, "/v1/models");
    assert_int_equal(client->status, 429);
    assert_true(fake_exchange_has_header(client, allows_page));
    assert_true(fake_exchange_has_header(client, varies));
}

static void what_is_for_no_page_is_kept_for_none(void **state)
{
    struct world *world = *state;
    let_page_in(world);
    world->origin = NULL;
    struct http_exchange *client = get(world, "/v1/models");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has_header(client, varies));
    assert_false(fake_exchange_has_header(client, allows));
    world->origin = "https://evil.com";
    client = get(world, "/v1/models");
    assert_int_equal(client->status, 403);
    assert_true(fake_exchange_has_header(client, varies));
    assert_false(fake_exchange_has_header(client, allows));
}

/* --- bodies --- */

static void a_bad_body_is_the_clients_fault(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = call(world, "POST", "/v1/chat/completions", "{\"messages\": [}");
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "line 1, column 15"));
    client = call(world, "POST", "/v1/chat/completions",
            "{\"n\":0,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "\"param\":\"n\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Request: req_"));
    client = call(world, "POST", "/v1/chat/completions", "");
    assert_int_equal(client->status, 400);
}

static void every_refusal_has_an_id(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = call(world, "GET", "/v1/messages", "");
    assert_int_equal(client->status, 405);
    assert_true(fake_exchange_has(client, "\"request_id\":\"req_"));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Request: req_"));
    assert_true(fake_exchange_has_header(client, "request-id: req_"));
    client = chat(world, "gpt-5");
    assert_int_equal(client->status, 404);
    const char *first = strstr(fake_exchange_text(&client->headers), "x-request-id: req_");
    assert_non_null(first);
    assert_null(strstr(first + 1, "x-request-id")); /* told once */
}

static void the_servers_own_errors_have_our_shape(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = &world->client;
    handler(world).on_refusal(handler(world).ctx, client, 413, "the body is too large");
    assert_int_equal(client->status, 413);
    assert_string_equal(fake_exchange_text(&client->body),
            "{\"error\":{\"message\":\"the body is too large\","
            "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"request_too_large\"}}");
    assert_false(fake_exchange_has_header(client, "Retry-After"));

    fake_exchange_fini(client);
    fake_exchange_init(client);
    handler(world).on_refusal(handler(world).ctx, client, 503, "no memory");
    assert_true(fake_exchange_has(client, "\"code\":\"overloaded\""));
    assert_true(fake_exchange_has_header(client, "Retry-After: 5\n"));
}

/* --- who may what --- */

/* In the order of operations.h. */
static const struct {
    const char *method, *path;
} all_operations[] = {
        {"GET", "/mesh/v1/nodes"},
        {"POST", "/mesh/v1/nodes/approve"},
        {"POST", "/mesh/v1/nodes/revoke"},
        {"POST", "/mesh/v1/nodes/forget"},
        {"POST", "/mesh/v1/nodes/accept"},
        {"GET", "/mesh/v1/tokens"},
        {"POST", "/mesh/v1/tokens"},
        {"POST", "/mesh/v1/tokens/revoke"},
        {"GET", "/mesh/v1/keys"},
        {"POST", "/mesh/v1/keys"},
        {"POST", "/mesh/v1/keys/revoke"},
        {"GET", "/mesh/v1/tls"},
        {"POST", "/mesh/v1/deploy"},
        {"POST", "/mesh/v1/models/load"},
        {"POST", "/mesh/v1/models/unload"},
        {"POST", "/mesh/v1/models/pin"},
        {"POST", "/mesh/v1/nodes/drain"},
        {"GET", "/mesh/v1/operations"},
};
enum { OPERATIONS = sizeof(all_operations) / sizeof(all_operations[0]) };

static void no_operation_is_reached(struct world *world)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct http_exchange *client =
                call(world, all_operations[i].method, all_operations[i].path, "{}");
        assert_int_equal(client->status, 403);
        assert_true(fake_exchange_has(client, "\"code\":\"insufficient_scope\""));
    }
}

/* Nothing is found there, or "{}" asks for nothing, but nobody is turned away. */
static void all_operations_are_reached(struct world *world)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        int status = call(world, all_operations[i].method, all_operations[i].path, "{}")->status;
        assert_true(status == 200 || status == 400 || status == 404);
    }
}

static void use_spec(struct world *world, const struct api_key_spec *spec)
{
    static char header[HEADER_MAX];
    char text[API_KEY_TEXT_LEN + 1];
    assert_int_equal(api_keys_create(world->keys, spec, text, NULL), 0);
    (void)snprintf(header, sizeof(header), "Bearer %s", text);
    world->authorization = header;
}

/* The next calls show a new key. */
static void use_key(struct world *world, const char *name, bool admin)
{
    use_spec(world, &(struct api_key_spec){.name = name, .admin = admin});
}

static void is_unauthorized(struct http_exchange *client)
{
    assert_int_equal(client->status, 401);
    assert_true(fake_exchange_has_header(client, "WWW-Authenticate: Bearer\n"));
    assert_true(fake_exchange_has(client, "\"code\":\"invalid_api_key\""));
}

static void without_a_key_loopback_may_use_the_mesh_and_not_run_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(get(world, "/v1/models")->status, 200);
    assert_int_equal(chat(world, "ask")->status, 503); /* there is no node */
    no_operation_is_reached(world);
}

static void the_owners_socket_may_all(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_SOCKET;
    world->peer = "unix";
    world->host = "";
    assert_int_equal(get(world, "/v1/models")->status, 200);
    all_operations_are_reached(world);
    world->origin = "https://evil.com";
    assert_int_equal(get(world, "/mesh/v1/nodes")->status, 403);
}

static void a_key_that_is_shown_on_the_socket_counts(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_SOCKET;
    use_key(world, "editor", false);
    no_operation_is_reached(world);
    world->authorization = wrong_key;
    is_unauthorized(get(world, "/mesh/v1/nodes"));
}

static void the_network_needs_a_key(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_NETWORK;
    world->peer = "192.0.2.7";
    world->host = "tower.local:8443";
    static const char *const not_ours[] = {NULL, "Bearer sk-1234", wrong_key};
    for (size_t i = 0; i < 3; i++) {
        world->authorization = not_ours[i];
        is_unauthorized(get(world, "/v1/models"));
        is_unauthorized(get(world, "/mesh/v1/nodes"));
        is_unauthorized(get(world, "/no/such/path"));
        throttle_succeeded(world->throttle, world->peer);
    }
    world->authorization = NULL;
    static const char *const open[] = {"/", "/health", "/v1/health", "/api/version"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(get(world, open[i])->status, 200);
    use_key(world, "editor", false);
    assert_int_equal(get(world, "/v1/models")->status, 200);
    no_operation_is_reached(world);
    use_key(world, "operator", true);
    all_operations_are_reached(world);
}

static void a_key_may_come_as_x_api_key(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_NETWORK;
    use_key(world, "claude", false);
    world->x_api_key = world->authorization + strlen("Bearer ");
    world->authorization = NULL;
    assert_int_equal(get(world, "/v1/models")->status, 200);
    assert_int_equal(chat(world, "ask")->status, 503);
}

static void without_keys_the_network_may_use_the_mesh_and_not_run_it(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_NETWORK;
    world->api.keyless_network = true;
    static const char *const hosts[] = {"192.0.2.1:8443", "tower", "TOWER.local:8443"};
    for (size_t i = 0; i < 3; i++) {
        world->host = hosts[i];
        assert_int_equal(get(world, "/v1/models")->status, 200);
    }
    no_operation_is_reached(world);
    world->host = "rebind.evil.com:8443";
    assert_int_equal(get(world, "/v1/models")->status, 403);
    assert_int_equal(get(world, "/health")->status, 403);
}

static void pages_of_other_origins_are_refused_with_a_key_too(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_NETWORK;
    world->host = "tower.local:8443";
    use_key(world, "operator", true);
    world->origin = "https://tower.local:8443";
    assert_int_equal(get(world, "/mesh/v1/nodes")->status, 200);
    static const char *const foreign[] = {"https://evil.com", "https://localhost", "null"};
    for (size_t i = 0; i < 3; i++) {
        world->origin = foreign[i];
        struct http_exchange *client = get(world, "/mesh/v1/nodes");
        assert_int_equal(client->status, 403);
        assert_true(fake_exchange_has(client, "\"code\":\"forbidden\""));
        assert_int_equal(get(world, "/health")->status, 403);
    }
    world->via = ACCESS_LOOPBACK;
    world->origin = "http://localhost:3000";
    assert_int_equal(get(world, "/v1/models")->status, 200);
    world->origin = "https://tower.local:8443";
    assert_int_equal(get(world, "/v1/models")->status, 403);
}

static void a_key_gets_past_host_and_proxy_on_loopback(void **state)
{
    struct world *world = *state;
    world->host = "mesh.example.org";
    world->forwarded = "203.0.113.5";
    assert_int_equal(get(world, "/v1/models")->status, 403);
    use_key(world, "proxy", false);
    assert_int_equal(get(world, "/v1/models")->status, 200);
}

static void where_no_key_is_needed_only_ours_count(void **state)
{
    struct world *world = *state;
    static const enum access_listener keyless[] = {ACCESS_LOOPBACK, ACCESS_EDGE, ACCESS_SOCKET};
    for (size_t i = 0; i < 3; i++) {
        world->via = keyless[i];
        world->authorization = "Bearer sk-no-key-required";
        assert_int_equal(get(world, "/v1/models")->status, 200);
        world->authorization = wrong_key;
        is_unauthorized(get(world, "/v1/models"));
        is_unauthorized(get(world, "/health"));
        world->authorization = NULL;
        world->x_api_key = "mm_short";
        is_unauthorized(chat(world, "ask"));
        world->x_api_key = NULL;
        throttle_succeeded(world->throttle, world->peer);
    }
}

static void an_inference_key_on_loopback_runs_nothing(void **state)
{
    struct world *world = *state;
    use_key(world, "editor", false);
    assert_int_equal(get(world, "/mesh/v1/status")->status, 200);
    no_operation_is_reached(world);
    use_key(world, "operator", true);
    all_operations_are_reached(world);
}

static void who_tries_keys_waits(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_NETWORK;
    world->peer = "192.0.2.7";
    use_key(world, "known", false);
    char known[HEADER_MAX];
    strcpy(known, world->authorization);
    assert_int_equal(get(world, "/v1/models")->status, 200);

    world->authorization = wrong_key;
    for (unsigned i = 0; i <= THROTTLE_FREE; i++)
        is_unauthorized(get(world, "/v1/models"));
    struct http_exchange *client = get(world, "/v1/models");
    assert_int_equal(client->status, 429);
    assert_true(fake_exchange_has_header(client, "Retry-After: 1\n"));
    assert_false(fake_exchange_has_header(client, "Retry-After: 5\n")); /* it is told once */
    assert_true(fake_exchange_has(client, "\"code\":\"rate_limit_exceeded\""));
    use_key(world, "fresh", false); /* good, but not from here yet */
    assert_int_equal(get(world, "/v1/models")->status, 429);
    world->peer = "192.0.2.8";
    assert_int_equal(get(world, "/v1/models")->status, 200);
    world->peer = "192.0.2.7";
    world->authorization = NULL;
    is_unauthorized(get(world, "/v1/models")); /* tries nothing */
    world->authorization = known;
    assert_int_equal(get(world, "/v1/models")->status, 200);
}

static void the_wait_ends(void **state)
{
    struct world *world = *state;
    world->authorization = wrong_key;
    for (unsigned i = 0; i <= THROTTLE_FREE; i++)
        is_unauthorized(get(world, "/v1/models"));
    use_key(world, "fresh", false);
    assert_int_equal(get(world, "/v1/models")->status, 429);
    virtual_env_advance_ms(&world->mesh.env, 1000);
    assert_int_equal(get(world, "/v1/models")->status, 200);
}

/* --- what a key may ask for --- */

static void is_out_of_scope(struct http_exchange *client, const char *what)
{
    assert_int_equal(client->status, 403);
    assert_true(fake_exchange_has(client, "\"param\":\"model\",\"code\":\"insufficient_scope\""));
    assert_true(fake_exchange_has(client, what));
}

static void a_key_is_kept_to_its_modes(void **state)
{
    struct world *world = *state;
    static const char *const modes[] = {"code"};
    join_with(world, "small");
    use_spec(world, &(struct api_key_spec){.name = "coder", .modes = modes, .mode_count = 1});
    is_out_of_scope(chat(world, "ask"), "\\\"coder\\\" may not use the mode \\\"ask\\\"");
    is_out_of_scope(chat(world, "auto"), "the mode");
    struct http_exchange *client = get(world, "/v1/models");
    assert_false(fake_exchange_has(client, "\"id\":\"mesh-ask\""));
    assert_false(fake_exchange_has(client, "\"id\":\"auto\""));
    assert_false(fake_exchange_has(client, "\"id\":\"small\"")); /* of no mode of its */
    is_out_of_scope(chat(world, "small"), "\\\"coder\\\" may not use the model \\\"small\\\"");
    client = chat(world, "gpt-5");
    assert_int_equal(client->status, 404);
    assert_false(fake_exchange_has(client, "ask"));
}

static void a_key_of_a_mode_may_name_its_models(void **state)
{
    struct world *world = *state;
    static const char *const modes[] = {"ask"};
    join_with(world, "small");
    use_spec(world, &(struct api_key_spec){.name = "asker", .modes = modes, .mode_count = 1});
    assert_true(fake_exchange_has(get(world, "/v1/models"), "\"id\":\"small\""));
    struct http_exchange *client = chat(world, "small");
    assert_string_equal(started(world).model, "small");
    fake_exchange_leave(client);
}

static void a_key_is_kept_to_its_models(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"tiny"};
    struct msg_instance instances[] = {
            {.model = "small", .state = INSTANCE_RESIDENT, .slots = 1, .engine = "", .note = ""},
            {.model = "tiny", .state = INSTANCE_RESIDENT, .slots = 1, .engine = "", .note = ""}};
    join(world, instances, 2);
    use_spec(world, &(struct api_key_spec){.name = "child", .models = models, .model_count = 1});
    is_out_of_scope(chat(world, "small"), "may not use the model \\\"small\\\"");
    is_out_of_scope(chat(world, "ask"), "the mode"); /* none of whose models it may get */
    assert_int_equal(chat(world, "no such model")->status, 404);
    struct http_exchange *client = get(world, "/v1/models");
    assert_false(fake_exchange_has(client, "\"id\":\"mesh-ask\""));
    assert_false(fake_exchange_has(client, "\"id\":\"small\""));
    assert_true(fake_exchange_has(client, "\"id\":\"tiny\""));
    client = chat(world, "tiny");
    assert_string_equal(started(world).model, "tiny");
    fake_exchange_leave(client);
}

static void of_a_mode_a_key_gets_its_own_models_only(void **state)
{
    struct world *world = *state;
    static const char *const second[] = {"named only in a mode"}, *const first[] = {"small"};
    join_with(world, "small");
    use_spec(world, &(struct api_key_spec){.name = "second", .models = second, .model_count = 1});
    struct http_exchange *client = chat(world, "ask");
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has(client, "\"code\":\"no_node_available\""));
    use_spec(world, &(struct api_key_spec){.name = "first", .models = first, .model_count = 1});
    client = chat(world, "ask");
    assert_string_equal(started(world).model, "small");
    fake_exchange_leave(client);
}

static void a_key_has_so_many_requests_a_minute(void **state)
{
    struct world *world = *state;
    use_spec(world, &(struct api_key_spec){.name = "slow", .requests_per_minute = 2});
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(get(world, "/v1/models")->status, 200); /* which costs nothing */
    assert_int_equal(chat(world, "ask")->status, 503);
    assert_int_equal(chat(world, "ask")->status, 503);
    struct http_exchange *client = begin(world, "POST", "/v1/chat/completions");
    assert_int_equal(client->status, 429); /* before the body */
    assert_true(fake_exchange_has_header(client, "Retry-After: 30\n"));
    assert_true(fake_exchange_has(
            client, "\"the API key \\\"slow\\\" may ask 2 times a minute: again in 30 s\""));
    assert_int_equal(get(world, "/v1/models")->status, 200);
    virtual_env_advance_ms(&world->mesh.env, 30 * 1000);
    assert_int_equal(chat(world, "ask")->status, 503);
    assert_int_equal(chat(world, "ask")->status, 429);
    assert_int_equal(api_keys_at(world->keys, 0)->requests, 3);
}

static const char *const posts[] = {"/v1/chat/completions", "/chat/completions", "/v1/completions",
        "/v1/fim/completions", "/v1/embeddings", "/v1/rerank", "/v1/reranking",
        "/v1/audio/transcriptions", "/v1/responses", "/responses", "/v1/responses/x/cancel",
        "/v1/messages", "/v1/messages/count_tokens", "/api/chat", "/api/generate", "/api/embed",
        "/api/embeddings", "/api/show", "/api/pull", "/completion", "/infill", "/tokenize",
        "/detokenize", "/apply-template"};
enum { POSTS = sizeof(posts) / sizeof(posts[0]) };

static void every_post_counts_for_a_keys_minute(void **state)
{
    struct world *world = *state;
    use_spec(world, &(struct api_key_spec){.name = "slow", .requests_per_minute = POSTS});
    for (size_t i = 0; i < POSTS; i++)
        assert_int_equal(begin(world, "POST", posts[i])->status, 0);
    for (size_t i = 0; i < POSTS; i++)
        assert_int_equal(begin(world, "POST", posts[i])->status, 429);
}

static void an_explanation_counts_for_a_keys_minute(void **state)
{
    struct world *world = *state;
    use_spec(world, &(struct api_key_spec){.name = "slow", .requests_per_minute = 2});
    assert_int_equal(get(world, "/mesh/v1/explain")->status, 400); /* of what? */
    assert_int_equal(begin(world, "GET", "/mesh/v1/explain")->status, 0);
    assert_int_equal(get(world, "/mesh/v1/explain")->status, 429);
    assert_int_equal(chat(world, "ask")->status, 429);
    assert_int_equal(get(world, "/mesh/v1/status")->status, 200);
    assert_int_equal(get(world, "/mesh/v1/modes/suggestion")->status, 200);
    virtual_env_advance_ms(&world->mesh.env, 30 * 1000);
    assert_int_equal(chat(world, "ask")->status, 503);
    assert_int_equal(get(world, "/mesh/v1/explain")->status, 429);
}

static void no_post_is_open_on_the_network(void **state)
{
    struct world *world = *state;
    static const char *const gets[] = {"/v1/models", "/models", "/v1/models/small",
            "/v1/model/info", "/model/info", "/api/v0/models", "/api/tags", "/api/ps", "/props",
            "/slots", "/mesh/v1/status", "/mesh/v1/explain", "/v1/responses", "/v1/responses/x"};
    world->via = ACCESS_NETWORK;
    for (size_t i = 0; i < POSTS; i++)
        assert_int_equal(begin(world, "POST", posts[i])->status, 401);
    for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++)
        assert_int_equal(begin(world, "GET", gets[i])->status, 401);
    assert_int_equal(begin(world, "DELETE", "/v1/responses/x")->status, 401);
}

/* No listing of any API shows a key what is not for it, nor tells that it is there. */
static void a_key_learns_of_nothing_but_its_own(void **state)
{
    struct world *world = *state;
    static const char *const lists[] = {"/v1/models", "/models", "/v1/model/info", "/model/info",
            "/api/v0/models", "/api/tags", "/api/ps"};
    static const char *const modes[] = {"code"};
    join_with(world, "small");
    use_spec(world, &(struct api_key_spec){.name = "coder", .modes = modes, .mode_count = 1});
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct http_exchange *client = get(world, lists[i]);
        assert_int_equal(client->status, 200);
        assert_false(fake_exchange_has(client, "small"));
        assert_false(fake_exchange_has(client, "ask"));
    }
    static const char *const hidden[] = {"small", "ask", "mesh-ask", "nothing of that name"};
    for (size_t i = 0; i < 4; i++) {
        char path[64], query[64], body[64];
        (void)snprintf(path, sizeof(path), "/v1/models/%s", hidden[i]);
        (void)snprintf(query, sizeof(query), "model=%s", hidden[i]);
        (void)snprintf(body, sizeof(body), "{\"model\":\"%s\"}", hidden[i]);
        assert_int_equal(get(world, path)->status, 404);
        assert_int_equal(call(world, "POST", "/api/show", body)->status, 404);
        world->query = query;
        assert_int_equal(get(world, "/props")->status, 404);
        assert_int_equal(get(world, "/slots")->status, 404);
        world->query = NULL;
    }
}

static void a_key_that_is_revoked_meanwhile_is_good_no_more(void **state)
{
    struct world *world = *state;
    static const enum access_listener listeners[] = {ACCESS_NETWORK, ACCESS_LOOPBACK};
    for (size_t i = 0; i < 2; i++) {
        world->via = listeners[i];
        use_key(world, "leaver", true);
        assert_int_equal(begin(world, "POST", "/mesh/v1/tokens")->status, 0);
        assert_int_equal(api_keys_revoke(world->keys, "leaver", NULL), 0);
        is_unauthorized(finish(world, "{}"));
        assert_int_equal(tokens_count(world->mesh.tokens), 0);
    }
}

/* --- for the log --- */

/* Runs `fn` with standard error in a file, and gives what it logged. */
static void logged(
        struct world *world, struct http_exchange *(*fn)(struct world *world), char *text)
{
    const char *path = scratch_path(&world->mesh.scratch, "log");
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int before = dup(STDERR_FILENO);
    assert_true(file >= 0 && before >= 0 && dup2(file, STDERR_FILENO) >= 0);
    log_init("test", LOG_LEVEL_INFO);
    fn(world);
    log_init("test", LOG_LEVEL_ERROR);
    dup2(before, STDERR_FILENO);
    ssize_t len = pread(file, text, LOG_MAX - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    close(before);
    close(file);
}

static struct http_exchange *ask(struct world *world)
{
    return chat(world, "ask");
}

static void the_log_names_the_client(void **state)
{
    struct world *world = *state;
    char text[LOG_MAX];
    logged(world, ask, text);
    assert_non_null(strstr(text, " client=local "));
    world->via = ACCESS_EDGE;
    world->peer = "node0";
    logged(world, ask, text);
    assert_non_null(strstr(text, " client=\"edge node0\" "));
    use_key(world, "laptop", false);
    logged(world, ask, text);
    assert_non_null(strstr(text, " client=\"key laptop\" "));
    assert_null(strstr(text, world->authorization + strlen("Bearer ")));
}

static void what_a_node_carries_may_use_the_mesh_and_not_run_it(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_EDGE;
    world->peer = "node0";
    assert_int_equal(get(world, "/v1/models")->status, 200);
    no_operation_is_reached(world);
    world->host = "rebind.evil.com";
    assert_int_equal(get(world, "/v1/models")->status, 403);
    world->host = "localhost";
    world->origin = "https://evil.com";
    assert_int_equal(get(world, "/v1/models")->status, 403);
    world->origin = NULL;
    world->forwarded = "203.0.113.5";
    assert_int_equal(get(world, "/v1/models")->status, 403);
}

/* --- operations --- */

static void fails_as(struct http_exchange *client, int status, const char *code)
{
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "\"code\":\"%s\"", code);
    assert_int_equal(client->status, status);
    assert_true(fake_exchange_has(client, expected));
}

static void an_operations_failure_has_its_status(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_SOCKET;
    use_key(world, "laptop", true);
    static const struct {
        const char *path, *body;
        int status;
        const char *code;
    } cases[] = {
            {"/mesh/v1/keys", "", 400, "invalid_request"},
            {"/mesh/v1/keys", "{", 400, "invalid_request"},
            {"/mesh/v1/keys", "[]", 400, "invalid_request"},
            {"/mesh/v1/keys", "{\"name\":1}", 400, "invalid_request"},
            {"/mesh/v1/keys", "{\"name\":\"a\",\"x\":[[[[[]]]]]}", 400, "invalid_request"},
            {"/mesh/v1/tokens", "{\"uses\":0}", 400, "invalid_request"},
            {"/mesh/v1/keys", "{\"name\":\"laptop\"}", 409, "conflict"},
            {"/mesh/v1/keys/revoke", "{\"name\":\"nobody\"}", 404, "not_found"},
            {"/mesh/v1/nodes/approve", "{\"node\":\"nobody\"}", 404, "not_found"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        fails_as(call(world, "POST", cases[i].path, cases[i].body), cases[i].status, cases[i].code);
    fails_as(get(world, "/mesh/v1/tls"), 404, "not_found");
    assert_int_equal(api_keys_count(world->keys), 1);
}

static void an_operation_has_its_method(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_SOCKET;
    struct http_exchange *client = get(world, "/mesh/v1/nodes/approve");
    assert_int_equal(client->status, 405);
    assert_true(fake_exchange_has_header(client, "Allow: POST\n"));
    assert_int_equal(call(world, "DELETE", "/mesh/v1/keys", "")->status, 405);
    assert_int_equal(get(world, "/mesh/v1/nodes/")->status, 404);
}

static void an_operation_answers_in_json(void **state)
{
    struct world *world = *state;
    world->via = ACCESS_SOCKET;
    struct http_exchange *client =
            call(world, "POST", "/mesh/v1/nodes/accept", "{\"for_ms\":1000}");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has_header(client, "Content-Type: application/json\n"));
    assert_string_equal(fake_exchange_text(&client->body), "{\"accept_ms_left\":1000}");
}

#define API_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- a mode in the path --- */

static struct http_exchange *chat_at(struct world *world, const char *path, const char *model)
{
    char body[400];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"%s\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
            "\"hi\"}"
            "]}",
            model);
    return call(world, "POST", path, body);
}

static void a_path_may_name_the_mode(void **state)
{
    struct world *world = *state;
    static const char *const paths[] = {"/mode/ask/v1/chat/completions",
            "/mode/ask/chat/completions", "/mode/mesh-ask/v1/messages", "/mode/ask/api/chat",
            "/mode/auto/v1/chat/completions", "/mode/mesh-auto/v1/chat/completions"};
    join_with(world, "small");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        chat_at(world, paths[i], "gpt-5");
        assert_string_equal(started(world).model, "small");
        fake_exchange_leave(&world->client);
        fake_link_forget(&world->mesh.link, 0);
    }
}

static void what_an_editor_looks_at_is_there_too(void **state)
{
    struct world *world = *state;
    static const char *const paths[] = {"/mode/ask", "/mode/ask/", "/mode/ask/v1/models",
            "/mode/ask/api/tags", "/mode/ask/api/version", "/mode/ask/health", "/mode/ask/props"};
    join_with(world, "small");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (get(world, paths[i])->status != 200)
            fail_msg("%s: %d", paths[i], world->client.status);
}

static void an_unknown_mode_in_the_path_is_refused_in_the_apis_shape(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *path, *text;
    } cases[] = {{"/mode/nope/v1/chat/completions", "\"code\":\"model_not_found\""},
            {"/mode/nope/v1/messages", "\"type\":\"error\""},
            {"/mode/nope/api/chat", "{\"error\":\"there is no mode"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_exchange *client = chat_at(world, cases[i].path, "ask");
        assert_int_equal(client->status, 404);
        assert_true(fake_exchange_has(client, cases[i].text));
        assert_true(fake_exchange_has(client, "known are: ask"));
    }
    assert_int_equal(get(world, "/mode/nope/v1/models")->status, 404);
}

static void strangers_do_not_learn_of_modes(void **state)
{
    struct world *world = *state;
    static const char *const open[] = {
            "/mode/ask", "/mode/nope", "/mode/nope/health", "/mode/nope/api/version"};
    world->via = ACCESS_NETWORK;
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        struct http_exchange *client = get(world, open[i]);
        if (client->status != 200 || fake_exchange_has(client, "known are"))
            fail_msg("%s: %d %s", open[i], client->status, fake_exchange_text(&client->body));
    }
    assert_int_equal(get(world, "/mode/nope/v1/models")->status, 401);
    assert_int_equal(get(world, "/mode/ask/v1/models")->status, 401);
}

static void a_long_list_of_modes_ends_in_one_ellipsis(void **state)
{
    struct world *world = *state;
    static char *models[] = {(char *)"small"};
    static char names[MODES_MAX][32];
    static struct mode list[MODES_MAX];
    for (size_t i = 0; i < MODES_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), i < 20 ? "a-rather-long-name-%02zu" : "z%zu", i);
        list[i] = (struct mode){.name = names[i], .models = models, .model_count = 1};
    }
    world->modes = (struct modes){.list = list, .count = MODES_MAX};
    struct http_exchange *client = chat_at(world, "/mode/nope/v1/chat/completions", "ask");
    assert_int_equal(client->status, 404);
    assert_true(fake_exchange_has(client, "known are: a-rather-long-name-00, a-rather-"));
    assert_true(fake_exchange_has(client, "a-rather-long-name-16, …\""));
    world->modes = (struct modes){.count = 0};
    chat_at(world, "/mode/nope/v1/chat/completions", "ask");
    assert_true(fake_exchange_has(client, "known are: none yet\""));
}

static void the_mesh_itself_has_no_modes(void **state)
{
    struct world *world = *state;
    char path[MSG_NAME_MAX + 64] = "/mode/";
    static const char *const paths[] = {"/mode", "/mode/", "/mode//v1/models",
            "/mode/ask/mesh/v1/status", "/mode/ask/mode/ask/v1/models", "/mode/ask/nothing"};
    world->via = ACCESS_SOCKET;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (get(world, paths[i])->status != 404)
            fail_msg("%s: %d", paths[i], world->client.status);
    memset(path + strlen(path), 'm', MSG_NAME_MAX + 1);
    strcat(path, "/v1/models");
    assert_int_equal(get(world, path)->status, 404);
}

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
            API_TEST(the_tail_of_a_path_is_taken_whole),
            API_TEST(a_star_within_a_path_takes_one_part),
            API_TEST(a_path_names_all_its_methods),
            API_TEST(a_websocket_is_refused_as_codex_wants_it),
            API_TEST(errors_have_the_shape_of_their_path),
            API_TEST(the_servers_refusals_have_the_shape_of_their_path),
            API_TEST(a_preflight_shows_no_key),
            API_TEST(a_page_that_is_let_in_reads_refusals),
            API_TEST(what_is_for_no_page_is_kept_for_none),
            API_TEST(a_bad_body_is_the_clients_fault),
            API_TEST(every_refusal_has_an_id),
            API_TEST(the_servers_own_errors_have_our_shape),
            API_TEST(without_a_key_loopback_may_use_the_mesh_and_not_run_it),
            API_TEST(the_owners_socket_may_all),
            API_TEST(a_key_that_is_shown_on_the_socket_counts),
            API_TEST(the_network_needs_a_key),
            API_TEST(a_key_may_come_as_x_api_key),
            API_TEST(without_keys_the_network_may_use_the_mesh_and_not_run_it),
            API_TEST(pages_of_other_origins_are_refused_with_a_key_too),
            API_TEST(a_key_gets_past_host_and_proxy_on_loopback),
            API_TEST(where_no_key_is_needed_only_ours_count),
            API_TEST(an_inference_key_on_loopback_runs_nothing),
            API_TEST(who_tries_keys_waits),
            API_TEST(the_wait_ends),
            API_TEST(a_key_is_kept_to_its_modes),
            API_TEST(a_key_of_a_mode_may_name_its_models),
            API_TEST(a_key_is_kept_to_its_models),
            API_TEST(of_a_mode_a_key_gets_its_own_models_only),
            API_TEST(a_key_has_so_many_requests_a_minute),
            API_TEST(every_post_counts_for_a_keys_minute),
            API_TEST(an_explanation_counts_for_a_keys_minute),
            API_TEST(no_post_is_open_on_the_network),
            API_TEST(a_key_learns_of_nothing_but_its_own),
            API_TEST(a_key_that_is_revoked_meanwhile_is_good_no_more),
            API_TEST(the_log_names_the_client),
            API_TEST(what_a_node_carries_may_use_the_mesh_and_not_run_it),
            API_TEST(an_operations_failure_has_its_status),
            API_TEST(an_operation_has_its_method),
            API_TEST(an_operation_answers_in_json),
            cmocka_unit_test_setup_teardown(a_path_may_name_the_mode, setup, teardown),
            cmocka_unit_test_setup_teardown(what_an_editor_looks_at_is_there_too, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    an_unknown_mode_in_the_path_is_refused_in_the_apis_shape, setup, teardown),
            API_TEST(strangers_do_not_learn_of_modes),
            cmocka_unit_test_setup_teardown(
                    a_long_list_of_modes_ends_in_one_ellipsis, setup, teardown),
            cmocka_unit_test_setup_teardown(the_mesh_itself_has_no_modes, setup, teardown),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
