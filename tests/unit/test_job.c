#include "coordinator/job/job.h"

#include "coordinator/dialects/openai/openai.h"
#include "coordinator/router/router.h"
#include "coordinator/scheduling/affinity.h"

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

enum { NODES = 3, CLIENTS = 8, GATHERED_MAX = 1000 };

/* A coordinator without sockets: the test plays the nodes and the clients, and owns the clock. */
struct world {
    struct fake_mesh mesh;
    struct affinities *affinities;
    struct jobs *jobs;
    struct http_exchange clients[CLIENTS];
    void (*edit)(struct request *request); /* what the test makes of the next ones */
};

static void leave_as_it_is(struct request *request)
{
    (void)request;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, NODES);
    world->edit = leave_as_it_is;
    world->affinities = affinities_create(16, 1);
    world->jobs = jobs_create(&(struct jobs_config){.env = &world->mesh.env.env,
            .router = world->mesh.router,
            .affinities = world->affinities,
            .gathered_max = GATHERED_MAX});
    for (size_t i = 0; i < CLIENTS; i++)
        fake_exchange_init(&world->clients[i]);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    jobs_destroy(world->jobs);
    affinities_destroy(world->affinities);
    fake_mesh_fini(&world->mesh);
    for (size_t i = 0; i < CLIENTS; i++)
        fake_exchange_fini(&world->clients[i]);
    free(world);
    return 0;
}

/* --- the nodes --- */

static void say_model(
        struct world *world, size_t node, const char *model, enum instance_state state)
{
    struct msg_instance instance = {
            .model = model, .state = state, .slots = 1, .engine = "fake", .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void say_context(struct world *world, size_t node, const char *model,
        enum instance_state state, uint32_t context)
{
    struct msg_instance instance = {.model = model,
            .state = state,
            .slots = 1,
            .context = context,
            .engine = "fake",
            .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void join(struct world *world, size_t node, const char *model)
{
    fake_mesh_hello(&world->mesh, node, "s");
    fake_link_forget(&world->mesh.link, node);
    say_model(world, node, model, INSTANCE_RESIDENT);
}

static struct msg next(struct world *world, size_t node, enum msg_type type)
{
    struct msg msg;
    assert_true(fake_link_next(&world->mesh.link, node, &msg));
    assert_string_equal(msg_type_name(msg.type), msg_type_name(type));
    return msg;
}

static void nothing_sent(struct world *world, size_t node)
{
    struct msg msg;
    assert_false(fake_link_next(&world->mesh.link, node, &msg));
}

/* What the coordinator's loop does in each turn. */
static void turn(struct world *world)
{
    if (world->mesh.changes)
        jobs_dispatch(world->jobs);
    world->mesh.changes = 0;
    jobs_dispatch_changed(world->jobs);
    node_table_flush(world->mesh.nodes);
}

static void wait_ms(struct world *world, uint64_t ms)
{
    virtual_env_advance_ms(&world->mesh.env, ms);
    jobs_dispatch(world->jobs);
    jobs_tick(world->jobs);
    node_table_flush(world->mesh.nodes);
}

/* The node gets the next request with its body. */
static uint64_t take_request(struct world *world, size_t node)
{
    turn(world);
    uint64_t stream = next(world, node, MSG_START).start.stream;
    assert_true(next(world, node, MSG_BODY).body.last);
    return stream;
}

static void say_data(
        struct world *world, size_t node, uint64_t stream, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.stream = stream, .kind = kind, .data = data, .len = strlen(data)};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

static void say_end(struct world *world, size_t node, uint64_t stream)
{
    fake_mesh_say(&world->mesh, node, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
}

static void say_fail(struct world *world, size_t node, uint64_t stream, enum fail_code code,
        uint32_t status, const char *message)
{
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_FAIL,
                    .fail = {.stream = stream,
                            .code = code,
                            .http_status = status,
                            .message = message}});
}

static void complete(struct world *world, size_t node, uint64_t stream, const char *text)
{
    say_data(world, node, stream, DELTA_TEXT, text);
    say_data(world, node, stream, DELTA_FINISH, "stop");
    say_end(world, node, stream);
}

/* --- the clients --- */

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

/* Takes `terms`. Others may come in the same turn of the loop. */
static void come_by(struct world *world, size_t client, bool stream, struct job_terms *terms)
{
    static unsigned number;
    struct http_exchange *exchange = &world->clients[client];
    char body[200];
    const char *param;
    struct request request;
    fake_exchange_fini(exchange);
    fake_exchange_init(exchange);
    request_init(&request);
    (void)snprintf(request.id, sizeof(request.id), "req_%u", number++);
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"ask\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
            "}",
            stream ? "true" : "false");
    const struct dialect_input input = {
            .body = body, .len = strlen(body), .content_type = "", .header = no_header};
    assert_int_equal(dialect_openai_chat.parse(&input, &request, &param, NULL), 0);
    world->edit(&request);
    assert_int_equal(request_chain(&request, jobs_prompt_seed(world->jobs)), 0);
    const struct reply reply = reply_to_exchange(exchange);
    jobs_start(world->jobs, &reply, &dialect_openai_chat, &request, terms);
    assert_int_equal(request.body.len, 0);
}

static void ask_by(struct world *world, size_t client, bool stream, struct job_terms *terms)
{
    come_by(world, client, stream, terms);
    jobs_dispatch_changed(world->jobs);
}

static void ask_for(
        struct world *world, size_t client, bool stream, const char *const *models, size_t count)
{
    ask_by(world, client, stream, job_terms_of_models("ask", models, count));
}

static struct http_exchange *ask(struct world *world, size_t client, bool stream)
{
    static const char *const models[] = {"small"};
    ask_for(world, client, stream, models, 1);
    return &world->clients[client];
}

static void be_of_key_a(struct request *request)
{
    strcpy(request->client, "key a");
}

static void be_of_key_b(struct request *request)
{
    strcpy(request->client, "key b");
}

static void is_complete_stream(struct http_exchange *client)
{
    assert_int_equal(client->status, 200);
    assert_false(client->open);
    assert_false(client->aborted);
    assert_true(fake_exchange_has(client, "data: [DONE]\n\n"));
}

static void is_broken_stream(struct http_exchange *client)
{
    assert_int_equal(client->status, 200);
    assert_false(client->open);
    assert_true(fake_exchange_has(client, "data: {\"error\":{"));
    assert_false(fake_exchange_has(client, "[DONE]"));
}

/* --- the good way --- */

static void a_stream_goes_through(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    assert_int_equal(client->status, 0);
    say_data(world, 0, stream, DELTA_PROGRESS, "prefill");
    assert_int_equal(client->status, 0);
    say_data(world, 0, stream, DELTA_TEXT, "Hel");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"content\":\"Hel\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Mode: ask\n"));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Model: small\n"));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Node: node0\n"));
    assert_true(fake_exchange_has_header(
            client, "X-Modemesh-Reason: the only instance: first token in about "));
    complete(world, 0, stream, "lo");
    is_complete_stream(client);
    assert_false(fake_exchange_has(client, ": modemesh")); /* all is said */
    assert_int_equal(jobs_running(world->jobs), 0);
}

static void a_whole_answer_is_given_at_the_end(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, false);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "Hel");
    assert_int_equal(client->status, 0);
    complete(world, 0, stream, "lo");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"content\":\"Hello\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Node: node0\n"));
}

static void headers_go_out_a_second_after_start(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    wait_ms(world, JOB_HEADERS_RUNNING_MS - 1);
    assert_int_equal(client->status, 0);
    wait_ms(world, 1);
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"role\":\"assistant\""));
    complete(world, 0, stream, "late");
    is_complete_stream(client);
}

static void a_silent_stream_shows_signs_of_life(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    wait_ms(world, JOB_HEADERS_RUNNING_MS);
    size_t before = client->body.len;
    wait_ms(world, JOB_IDLE_MS - 1);
    assert_int_equal(client->body.len, before);
    wait_ms(world, 1);
    assert_true(client->body.len > before);
    before = client->body.len;
    wait_ms(world, JOB_IDLE_MS - 1);
    assert_int_equal(client->body.len, before);
    complete(world, 0, stream, "late");
    is_complete_stream(client);
}

/* --- failures --- */

static void in_a_conversation(struct request *request)
{
    strcpy(request->session, "s-1");
}

static void a_conversation_stays_where_it_was(void **state)
{
    struct world *world = *state;
    world->edit = in_a_conversation;
    join(world, 0, "small");
    for (size_t i = 0; i < 3; i++) { /* else the two would take turns */
        (void)ask(world, 0, true);
        complete(world, 0, take_request(world, 0), "Hello");
        if (i == 0)
            join(world, 1, "small");
    }
    world->edit = leave_as_it_is;
    (void)ask(world, 0, true);
    complete(world, 1, take_request(world, 1), "Hello");
}

static void a_conversation_goes_on_elsewhere_where_its_node_is_gone(void **state)
{
    struct world *world = *state;
    world->edit = in_a_conversation;
    join(world, 0, "small");
    (void)ask(world, 0, true);
    complete(world, 0, take_request(world, 0), "Hello");
    world->mesh.link.result[0] = -EHOSTUNREACH;
    node_table_on_disconnect_hint(world->mesh.nodes, fake_link_peer(0).fd);
    join(world, 1, "small");
    (void)ask(world, 0, true);
    complete(world, 1, take_request(world, 1), "Hello");
    world->mesh.link.result[0] = 0;
    join(world, 0, "small");
    (void)ask(world, 0, true);
    complete(world, 1, take_request(world, 1), "Hello");
}

static void what_fails_before_its_content_moves(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    join(world, 1, "small");
    wait_ms(world, JOB_HEADERS_RUNNING_MS);
    assert_int_equal(client->status, 200); /* the headers are no content */
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    stream = take_request(world, 1);
    nothing_sent(world, 0);
    complete(world, 1, stream, "from the other");
    is_complete_stream(client);
    assert_true(fake_exchange_has(client, "from the other"));
    assert_true(
            fake_exchange_has(client, "\n\n: modemesh node=node1 model=small mode=ask reason="));
    assert_false(fake_exchange_has(client, "node=node0")); /* its headers say that */
}

static void a_whole_answer_moves_at_any_time(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, false);
    uint64_t stream = take_request(world, 0);
    join(world, 1, "small");
    say_data(world, 0, stream, DELTA_TEXT, "half of ");
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    stream = take_request(world, 1);
    complete(world, 1, stream, "all");
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has(client, "\"content\":\"all\""));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Node: node1\n"));
}

static void it_moves_to_the_next_model_on_the_same_node(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small", "large"};
    join(world, 0, "small");
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    ask_for(world, 0, true, models, 2);
    turn(world);
    struct msg start = next(world, 0, MSG_START);
    assert_string_equal(start.start.model, "small");
    uint64_t stream = start.start.stream;
    next(world, 0, MSG_BODY);
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    turn(world);
    start = next(world, 0, MSG_START);
    assert_string_equal(start.start.model, "large");
    complete(world, 0, start.start.stream, "x");
    is_complete_stream(&world->clients[0]);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Model: large\n"));
}

static void want_of_memory_is_told_to_everybody_who_asks(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    for (unsigned request = 0; request < 3; request++) {
        struct http_exchange *client = ask(world, 0, false);
        for (unsigned attempt = 0; attempt < JOB_ATTEMPTS_MAX; attempt++) {
            say_fail(world, 0, take_request(world, 0), FAIL_NO_MEMORY, 0, "unload the other one");
            wait_ms(world, JOB_SAME_AGAIN_MS);
        }
        assert_int_equal(client->status, 503);
        assert_true(fake_exchange_has(client, "unload the other one"));
    }
}

static void the_only_instance_is_tried_again_after_a_pause(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    for (unsigned attempt = 1; attempt < JOB_ATTEMPTS_MAX; attempt++) {
        uint64_t stream = take_request(world, 0);
        say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
        turn(world);
        nothing_sent(world, 0);
        wait_ms(world, JOB_SAME_AGAIN_MS);
    }
    say_fail(world, 0, take_request(world, 0), FAIL_ENGINE_DIED, 0, "killed by signal 9");
    assert_int_equal(client->status, 502);
    assert_true(fake_exchange_has(client, "killed by signal 9"));
    assert_true(fake_exchange_has(client, "\"code\":\"engine_died\""));
}

static void a_lost_node_moves_its_requests(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    take_request(world, 0);
    join(world, 1, "small");
    world->mesh.link.result[0] = -EHOSTUNREACH;
    node_table_on_disconnect_hint(world->mesh.nodes, fake_link_peer(0).fd);
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(client);
}

static void after_its_content_it_ends_with_an_error(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    join(world, 1, "small");
    say_data(world, 0, stream, DELTA_TEXT, "half");
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    turn(world);
    nothing_sent(world, 1);
    is_broken_stream(client);
    assert_true(fake_exchange_has(client, "half"));
}

static void an_engines_refusal_keeps_its_status(void **state)
{
    static const struct {
        enum fail_code code;
        uint32_t http_status;
        int status;
        const char *told;
    } cases[] = {
            {FAIL_ENGINE_ERROR, 400, 400, "\"code\":\"invalid_request\""},
            {FAIL_ENGINE_ERROR, 429, 429, "\"code\":\"rate_limit_exceeded\""},
            {FAIL_ENGINE_ERROR, 500, 500, "\"code\":\"engine_error\""},
            {FAIL_ENGINE_ERROR, 401, 502,
                    "engine_error"}, /* the node's credentials, not the client's */
            {FAIL_ENGINE_ERROR, 200, 502, "engine_error"},
            {FAIL_CONTEXT_EXCEEDED, 400, 400,
                    "\"param\":\"messages\",\"code\":\"context_length_exceeded\""},
            {FAIL_BAD_REQUEST, 0, 400, "bad_request"},
            {FAIL_PROTOCOL, 0, 502, "protocol"},
    };
    struct world *world = *state;
    join(world, 0, "small");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_exchange *client = ask(world, 0, true);
        say_fail(world, 0, take_request(world, 0), cases[i].code, cases[i].http_status,
                "the engine's own words");
        assert_int_equal(client->status, cases[i].status);
        assert_true(fake_exchange_has(client, "the engine's own words"));
        assert_true(fake_exchange_has(client, cases[i].told));
        assert_true(fake_exchange_has_header(client, "Content-Type: application/json\n"));
    }
}

/* It is idle, and so the quickest. */
static void an_engine_that_answers_with_errors_does_not_get_all(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    for (unsigned i = 0; i < 2; i++) {
        ask(world, 0, true);
        say_fail(world, 0, take_request(world, 0), FAIL_ENGINE_ERROR, 500, "broken");
        wait_ms(world, 1);
    }
    join(world, 1, "small");
    for (unsigned i = 0; i < 2; i++) {
        ask(world, 0, true);
        complete(world, 1, take_request(world, 1), "x");
    }
}

static void a_failure_without_words_still_says_something(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    say_fail(world, 0, take_request(world, 0), FAIL_PROTOCOL, 0, "");
    assert_true(fake_exchange_has(client, "\"message\":\"protocol\""));
}

static void an_answer_without_a_finish_is_not_complete(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *streamed = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "half");
    say_end(world, 0, stream);
    is_broken_stream(streamed);

    struct http_exchange *whole = ask(world, 1, false);
    stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "half");
    say_end(world, 0, stream);
    assert_int_equal(whole->status, 502);
}

static void an_empty_answer_is_an_error(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *streamed = ask(world, 0, true);
    say_end(world, 0, take_request(world, 0));
    assert_int_equal(streamed->status, 502);

    struct http_exchange *begun = ask(world, 1, true);
    uint64_t stream = take_request(world, 0);
    wait_ms(world, JOB_HEADERS_RUNNING_MS);
    say_end(world, 0, stream);
    is_broken_stream(begun);
}

static void a_stream_may_fail_in_the_queue(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    wait_ms(world, JOB_HEADERS_RUNNING_MS);
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    assert_int_equal(jobs_waiting(world->jobs), 1);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    is_broken_stream(client);
}

static void whole_answers_have_a_limit_in_sum(void **state)
{
    struct world *world = *state;
    static char text[GATHERED_MAX / 2 + 1];
    memset(text, 'x', GATHERED_MAX / 2);
    join(world, 0, "small");
    for (int round = 0; round < 2; round++) { /* what has ended counts no more */
        struct http_exchange *fits = ask(world, 0, false);
        uint64_t stream = take_request(world, 0);
        struct http_exchange *too_much = ask(world, 1, false);
        uint64_t other = take_request(world, 0);
        say_data(world, 0, stream, DELTA_TEXT, text);
        say_data(world, 0, other, DELTA_TEXT, text);
        say_data(world, 0, other, DELTA_TEXT, "x");
        assert_int_equal(too_much->status, 500);
        next(world, 0, MSG_CANCEL);
        complete(world, 0, stream, "");
        assert_int_equal(fits->status, 200);
    }
}

static void nonsense_from_a_node_ends_only_its_request(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *bad = ask(world, 0, true);
    uint64_t bad_stream = take_request(world, 0);
    struct http_exchange *good = ask(world, 1, true);
    uint64_t good_stream = take_request(world, 0);
    say_data(world, 0, bad_stream, DELTA_TEXT, "a");
    say_data(world, 0, bad_stream, DELTA_TOOL_CALLS, "[]\n\ndata: [DONE]\n\n");
    is_broken_stream(bad);
    assert_int_equal(next(world, 0, MSG_CANCEL).cancel.stream, bad_stream);
    complete(world, 0, good_stream, "b");
    is_complete_stream(good);
}

static void a_value_that_lacks_its_end_is_an_error(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_FINISH, "stop");
    struct msg_delta delta = {
            .stream = stream, .kind = DELTA_LOGPROBS, .more = true, .data = "{", .len = 1};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
    say_end(world, 0, stream);
    is_broken_stream(client);
}

static void no_memory_for_a_stream_cuts_it_off(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "a");
    client->write_result = -ENOMEM;
    say_data(world, 0, stream, DELTA_TEXT, "b");
    assert_true(client->aborted);
    assert_int_equal(next(world, 0, MSG_CANCEL).cancel.stream, stream);
}

/* --- clients --- */

static void a_client_that_leaves_cancels(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    for (size_t i = 0; i < 2; i++) {
        struct http_exchange *client = ask(world, i, i == 0);
        uint64_t stream = take_request(world, 0);
        fake_exchange_leave(client);
        assert_int_equal(next(world, 0, MSG_CANCEL).cancel.stream, stream);
        assert_int_equal(jobs_running(world->jobs), 0);
    }
}

static void a_client_may_leave_the_queue(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, true);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    fake_exchange_leave(client);
    assert_int_equal(jobs_waiting(world->jobs), 0);
    turn(world);
    nothing_sent(world, 0);
}

static void a_slow_reader_slows_only_itself(void **state)
{
    struct world *world = *state;
    static char text[4001];
    memset(text, 'x', sizeof(text) - 1);
    join(world, 0, "small");
    struct http_exchange *slow = ask(world, 0, true);
    uint64_t slow_stream = take_request(world, 0);
    struct http_exchange *quick = ask(world, 1, true);
    uint64_t quick_stream = take_request(world, 0);
    for (size_t i = 0; i < 4; i++) {
        say_data(world, 0, slow_stream, DELTA_TEXT, text);
        say_data(world, 0, quick_stream, DELTA_TEXT, text);
        fake_exchange_read(quick);
    }
    assert_true(slow->unread < 3 * sizeof(text));
    turn(world);
    struct msg credit = next(world, 0, MSG_CREDIT);
    for (size_t i = 0; i < credit.credit.count; i++)
        assert_int_equal(credit.credit.grants[i].stream, quick_stream);
    nothing_sent(world, 0);

    fake_exchange_read(slow);
    fake_exchange_read(slow);
    turn(world);
    credit = next(world, 0, MSG_CREDIT);
    assert_int_equal(credit.credit.grants[0].stream, slow_stream);
    say_data(world, 0, slow_stream, DELTA_FINISH, "stop");
    say_end(world, 0, slow_stream);
    fake_exchange_read(slow);
    fake_exchange_read(slow);
    is_complete_stream(slow);
    assert_true(quick->open);
}

static void empty_text_does_not_use_up_the_credit(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    for (size_t i = 0; i < 2 * STREAM_WINDOW / MSG_DELTA_OVERHEAD; i++) {
        say_data(world, 0, stream, DELTA_TEXT, "");
        turn(world);
    }
    complete(world, 0, stream, "x");
    is_complete_stream(client);
}

/* --- the queue --- */

static void the_queue_is_served_when_there_is_room(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *first = ask(world, 0, true), *second = ask(world, 1, false);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    assert_int_equal(first->status, 0);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 0);
    uint64_t first_stream = next(world, 0, MSG_START).start.stream;
    complete(world, 0, next(world, 0, MSG_START).start.stream, "y");
    complete(world, 0, first_stream, "x");
    is_complete_stream(first);
    assert_int_equal(second->status, 200);
}

static void who_waits_is_counted_by_modes(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small"};
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    (void)ask(world, 0, true);
    (void)ask(world, 1, false);
    ask_by(world, 2, true, job_terms_of_models("code", models, 1));
    ask_by(world, 3, true, job_terms_of_models(NULL, models, 1));
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 4);
    assert_int_equal(jobs_waiting_in(world->jobs, "ask"), 2);
    assert_int_equal(jobs_waiting_in(world->jobs, "code"), 1);
    assert_int_equal(jobs_waiting_in(world->jobs, "debug"), 0);
    assert_int_equal(jobs_waiting_in(world->jobs, JOB_TERMS_NO_MODE), 1);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    assert_int_equal(jobs_running(world->jobs), 2); /* its slot, and one beyond it */
    assert_int_equal(jobs_waiting_in(world->jobs, "ask"), 0);
    assert_int_equal(jobs_waiting_in(world->jobs, "code"), 1);
}

/* Nobody tells the coordinator to look: the turn of its loop is enough. */
static void what_ends_makes_room_in_the_same_turn(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    ask(world, 1, true);
    take_request(world, 0);
    ask(world, 2, true);
    turn(world);
    nothing_sent(world, 0);
    complete(world, 0, stream, "done");
    world->mesh.changes = 0;
    take_request(world, 0);
}

static void who_leaves_makes_room_in_the_same_turn(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    for (size_t i = 0; i < 3; i++)
        ask(world, i, true);
    turn(world);
    fake_link_forget(&world->mesh.link, 0);
    fake_exchange_leave(&world->clients[0]);
    turn(world);
    next(world, 0, MSG_CANCEL);
    take_request(world, 0);
}

static void a_waiting_stream_shows_headers_and_life(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Node: -\n"));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Model: -\n"));
    assert_true(
            fake_exchange_has_header(client, "X-Modemesh-Reason: the engine is being restarted\n"));
    size_t before = client->body.len;
    wait_ms(world, JOB_IDLE_MS);
    assert_true(client->body.len > before);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    complete(world, 0, take_request(world, 0), "at last");
    is_complete_stream(client);
    assert_true(fake_exchange_has(client, "at last"));
}

static size_t count_of(struct http_exchange *client, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(fake_exchange_text(&client->body), text); at;
            at = strstr(at + 1, text))
        count++;
    return count;
}

/* Its headers could not. */
static void a_stream_that_waited_long_says_who_answers(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    assert_int_equal(count_of(client, ": modemesh"), 0);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    uint64_t stream = take_request(world, 0);
    assert_true(fake_exchange_has(client, "\n\n: modemesh node=node0 model=small mode=ask "
                                          "reason=the only instance: first token "));
    wait_ms(world, JOB_IDLE_MS);
    complete(world, 0, stream, "at last");
    is_complete_stream(client);
    assert_int_equal(count_of(client, ": modemesh"), 1);
}

/* Each instance that it moves to, however often that is the same. */
static void a_stream_says_anew_who_answers(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    uint64_t stream = take_request(world, 0);
    join(world, 1, "small");
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    complete(world, 1, take_request(world, 1), "at last");
    is_complete_stream(client);
    assert_int_equal(count_of(client, ": modemesh node=node0"), 1);
    assert_int_equal(count_of(client, ": modemesh node=node1"), 1);
}

static void no_memory_to_say_who_answers_cuts_it_off(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    client->write_result = -ENOMEM;
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    assert_true(client->aborted);
    assert_int_equal(jobs_running(world->jobs), 0);
}

static void waiting_has_a_limit(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *client = ask(world, 0, false);
    wait_ms(world, JOB_WAIT_MAX_MS);
    assert_int_equal(client->status, 0);
    wait_ms(world, 1);
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has_header(client, "Retry-After: 5\n"));
    assert_true(fake_exchange_has(client, "the engine is being restarted"));
}

/* Only the first is asked in each look. */
static void all_that_wait_in_vain_are_told_why(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    for (size_t i = 0; i < CLIENTS; i++)
        ask(world, i, false);
    wait_ms(world, JOB_WAIT_MAX_MS + 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(world->clients[i].status, 503);
        assert_true(fake_exchange_has(&world->clients[i], "the engine is being restarted"));
    }
}

static void only_the_time_in_the_queue_counts(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, false);
    uint64_t stream = take_request(world, 0);
    wait_ms(world, JOB_WAIT_MAX_MS + 1);
    say_model(world, 0, "small", INSTANCE_FAILED);
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "killed");
    wait_ms(world, 1000);
    assert_int_equal(client->status, 0);
    assert_int_equal(jobs_waiting(world->jobs), 1);
}

/* With a body of that many bytes, which nobody looks at, so that it costs no memory here. */
static void come_with(struct world *world, struct http_exchange *client, enum request_lane lane,
        size_t bytes, struct job_terms *terms)
{
    struct request request;
    void *room;
    request_init(&request);
    strcpy(request.id, "req_lane");
    request.lane = lane;
    assert_int_equal(buf_reserve(&request.body, bytes, &room), 0);
    buf_commit(&request.body, bytes);
    world->edit(&request);
    fake_exchange_init(client);
    const struct reply reply = reply_to_exchange(client);
    jobs_start(world->jobs, &reply, &dialect_openai_chat, &request, terms);
}

static void come_in_lane(
        struct world *world, struct http_exchange *client, enum request_lane lane, size_t bytes)
{
    static const char *const models[] = {"small"};
    come_with(world, client, lane, bytes, job_terms_of_models("ask", models, 1));
}

static void ask_in_lane(
        struct world *world, struct http_exchange *client, enum request_lane lane, size_t bytes)
{
    come_in_lane(world, client, lane, bytes);
    jobs_dispatch_changed(world->jobs);
}

static void the_queue_has_an_end(void **state)
{
    struct world *world = *state;
    static struct http_exchange many[JOBS_WAITING_MAX];
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &many[i], LANE_CHAT, 0);
    assert_int_equal(jobs_waiting(world->jobs), JOBS_WAITING_MAX);
    struct http_exchange *client = ask(world, 0, true);
    assert_int_equal(client->status, 429);
    assert_true(fake_exchange_has_header(client, "Retry-After: 5\n"));
    assert_true(fake_exchange_has(client, "the queue is full"));
    assert_int_equal(jobs_waiting(world->jobs), JOBS_WAITING_MAX);

    join(world, 1, "other");
    static const char *const other[] = {"other"};
    ask_for(world, 1, true, other, 1);
    take_request(world, 1); /* who need not wait is served past a full queue */

    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++) {
        assert_int_equal(many[i].status, 503);
        fake_exchange_fini(&many[i]);
    }
}

/* As many as there are kinds, and one more. */
static void what_a_lost_node_had_holds_up_nobody(void **state)
{
    enum { COUNT = JOBS_KINDS_MAX + 1 };
    static struct http_exchange many[COUNT];
    static const char *const other[] = {"other"};
    const struct msg_instance large = {.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = COUNT,
            .prefill_tok_s = 1e6F,
            .engine = "fake",
            .note = ""};
    struct world *world = *state;
    join(world, 1, "other");
    say_model(world, 1, "small", INSTANCE_FAILED);
    join(world, 0, "small");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_STATE, .state = {.instances = &large, .instance_count = 1}});
    for (size_t i = 0; i < COUNT; i++)
        ask_in_lane(world, &many[i], LANE_CHAT, 1);
    assert_int_equal(jobs_running(world->jobs), COUNT);
    world->mesh.link.result[0] = -EHOSTUNREACH;
    node_table_on_disconnect_hint(world->mesh.nodes, fake_link_peer(0).fd);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), COUNT);
    ask_for(world, 0, true, other, 1);
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[0]);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < COUNT; i++)
        fake_exchange_fini(&many[i]);
}

static void who_fills_the_queue_keeps_nobody_else_out(void **state)
{
    struct world *world = *state;
    static struct http_exchange many[JOBS_WAITING_MAX];
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &many[i], LANE_CHAT, 0);
    world->edit = be_of_key_b;
    assert_int_equal(ask(world, 0, true)->status, 0);
    assert_int_equal(jobs_waiting(world->jobs), JOBS_WAITING_MAX);
    assert_int_equal(many[JOBS_WAITING_MAX - 1].status, 429); /* its last */
    assert_int_equal(many[JOBS_WAITING_MAX - 2].status, 0);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        fake_exchange_fini(&many[i]);
}

static void chat_does_not_fill_the_queue_of_autocomplete(void **state)
{
    struct world *world = *state;
    static struct http_exchange chats[JOBS_WAITING_MAX], keys[JOBS_WAITING_MAX + 1];
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &chats[i], LANE_CHAT, 0);
    for (size_t i = 0; i <= JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &keys[i], LANE_AUTOCOMPLETE, 0);
    assert_int_equal(keys[JOBS_WAITING_MAX - 1].status, 0);
    assert_int_equal(keys[JOBS_WAITING_MAX].status, 429); /* its own has an end too */
    assert_int_equal(jobs_waiting(world->jobs), 2 * JOBS_WAITING_MAX);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        fake_exchange_fini(&chats[i]);
    for (size_t i = 0; i <= JOBS_WAITING_MAX; i++)
        fake_exchange_fini(&keys[i]);
}

static void bodies_have_a_limit_in_sum(void **state)
{
    struct world *world = *state;
    static struct http_exchange many[20], keys[3];
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    size_t refused = 0;
    for (size_t i = 0; i < 20; i++) {
        ask_in_lane(world, &many[i], LANE_CHAT, HTTP_BODY_MAX);
        refused += many[i].status == 503;
    }
    assert_int_equal(refused, 20 - JOBS_BODIES_MAX / HTTP_BODY_MAX);
    for (size_t i = 0; i < 3; i++) /* which what chat holds does not shut out */
        ask_in_lane(world, &keys[i], LANE_AUTOCOMPLETE, JOBS_AUTOCOMPLETE_BODIES_MAX / 2);
    assert_int_equal(keys[1].status, 0);
    assert_int_equal(keys[2].status, 503);
    for (size_t i = 0; i < 2; i++)
        fake_exchange_leave(&keys[i]);
    for (size_t i = 0; i < 3; i++)
        fake_exchange_fini(&keys[i]);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < 20; i++)
        fake_exchange_fini(&many[i]);
}

static void nobody_has_it(void **state)
{
    struct world *world = *state;
    struct http_exchange *client = ask(world, 0, true);
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has(client, "\"code\":\"no_node_available\""));
    assert_true(fake_exchange_has(client, "no connected node has the model"));
}

/* --- who waits for a node that is away --- */

static void lose(struct world *world, size_t node)
{
    node_session_end(
            node_table_find_key(world->mesh.nodes, fake_link_peer(node).key), "it is gone");
    turn(world);
}

static void drain(struct world *world, size_t node, bool draining)
{
    struct msg_instance small = {
            .model = "small", .state = INSTANCE_RESIDENT, .slots = 1, .engine = "fake", .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.draining = draining, .instances = &small, .instance_count = 1}});
    turn(world);
}

static void a_node_that_is_away_is_waited_for(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct http_exchange *client = ask(world, 0, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS - 1);
    assert_int_equal(client->status, 0);
    wait_ms(world, 1);
    assert_int_equal(client->status, 200);
    assert_true(fake_exchange_has_header(
            client, "X-Modemesh-Reason: node0, which has the model, is away\n"));
    size_t before = client->body.len;
    wait_ms(world, JOB_IDLE_MS);
    assert_true(client->body.len > before);
    assert_true(fake_exchange_has(
            client, ": queued, 0 before it: node0, which has the model, is away\n\n"));
    join(world, 0, "small");
    complete(world, 0, take_request(world, 0), "back");
    is_complete_stream(client);
}

/* It looks for its models, and for engines that run already. */
static void a_node_that_is_back_may_take_a_moment_to_tell(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct http_exchange *client = ask(world, 0, false);
    join(world, 0, "other");
    turn(world);
    assert_int_equal(client->status, 0);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    complete(world, 0, take_request(world, 0), "back");
    assert_int_equal(client->status, 200);
}

/* It has come without the model. */
static void what_is_not_back_with_its_node_is_refused(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct http_exchange *client = ask(world, 0, false);
    join(world, 0, "other");
    for (unsigned ms = 0; ms < AWAY_BACK_MS; ms += 1000) {
        assert_int_equal(client->status, 0);
        say_model(world, 0, "other", INSTANCE_RESIDENT);
        virtual_env_advance_ms(&world->mesh.env, 1000);
        node_table_tick(world->mesh.nodes);
        wait_ms(world, 0);
    }
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has(client, "\"code\":\"no_node_available\""));
}

static void its_mode_says_for_how_long(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct job_terms *terms = job_terms_of_models("code", (const char *const[]){"small"}, 1);
    terms->patience_ms = 5000;
    ask_by(world, 0, false, terms);
    ask_by(world, 1, false, job_terms_of_models(NULL, (const char *const[]){"small"}, 1));
    wait_ms(world, 5000);
    assert_int_equal(world->clients[0].status, 0);
    wait_ms(world, 1);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0],
            "node0, which has the model, is away; waited 5.0 s, as long as the mode's patience; "));
    wait_ms(world, JOB_WAIT_MAX_MS - 5001);
    assert_int_equal(world->clients[1].status, 0);
    wait_ms(world, 1);
    assert_int_equal(world->clients[1].status, 503);
    assert_true(fake_exchange_has(&world->clients[1],
            "node0, which has the model, is away; waited 600.0 s, as long as any request may; "));
}

/* The first mode's patience is not the second's. */
static void the_last_mode_says_how_long_it_was_waited_for(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    lose(world, 0);
    lose(world, 1);
    struct job_terms *second = job_terms_of_models("ask", (const char *const[]){"other"}, 1);
    struct job_terms *first = job_terms_of_models("code", (const char *const[]){"small"}, 1);
    first->when_none = WHEN_NONE_NEXT;
    first->next = second;
    second->patience_ms = 2000;
    ask_by(world, 0, false, first);
    wait_ms(world, 2001);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0],
            "node1, which has the model, is away; waited 2.0 s, as long as the mode's patience; "));
}

static void who_does_not_wait_is_told_at_once(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    lose(world, 0);
    struct job_terms *refuses = job_terms_of_models("code", (const char *const[]){"small"}, 1);
    refuses->when_none = WHEN_NONE_REFUSE;
    ask_by(world, 0, false, refuses);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0], "\"code\":\"no_node_available\""));
    struct job_terms *goes_on = job_terms_of_models("code", (const char *const[]){"small"}, 1);
    goes_on->when_none = WHEN_NONE_NEXT;
    goes_on->next = job_terms_of_models("ask", (const char *const[]){"other"}, 1);
    ask_by(world, 1, false, goes_on);
    complete(world, 1, take_request(world, 1), "x");
    assert_int_equal(world->clients[1].status, 200);
}

/* Its key may not use the mode that others go on to. */
static void who_has_to_wait_holds_up_nobody_who_goes_on(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    lose(world, 0);
    for (size_t i = 0; i < 2; i++) {
        struct job_terms *terms = job_terms_of_models("code", (const char *const[]){"small"}, 1);
        terms->when_none = WHEN_NONE_NEXT;
        if (i == 1)
            terms->next = job_terms_of_models("ask", (const char *const[]){"other"}, 1);
        come_by(world, i, false, terms);
    }
    complete(world, 1, take_request(world, 1), "x");
    assert_int_equal(world->clients[0].status, 0);
    assert_int_equal(world->clients[1].status, 200);
}

static void a_node_that_drains_is_waited_for(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    drain(world, 0, true);
    struct http_exchange *client = ask(world, 0, true);
    turn(world);
    nothing_sent(world, 0);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    assert_true(fake_exchange_has_header(
            client, "X-Modemesh-Reason: node0, which has the model, is draining\n"));
    drain(world, 0, false);
    complete(world, 0, next(world, 0, MSG_START).start.stream, "x");
    is_complete_stream(client);
}

static void what_a_lost_node_had_begun_waits_for_it(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *client = ask(world, 0, false);
    take_request(world, 0);
    lose(world, 0);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    join(world, 0, "small");
    complete(world, 0, take_request(world, 0), "again");
    assert_int_equal(client->status, 200);
}

/* What it had could not have taken it either. */
static void who_could_not_take_it_is_not_waited_for(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct job_terms *terms = job_terms_of_models("code", (const char *const[]){"small"}, 1);
    terms->quality[0] = 50;
    terms->floor = 70;
    ask_by(world, 0, false, terms);
    assert_int_equal(world->clients[0].status, 503);
}

/* Each of a kind of its own, more than are told apart and looked at. */
static void however_many_wait_for_one_others_are_served(void **state)
{
    enum { COUNT = JOBS_KINDS_MAX + JOBS_LOOKS_MORE_MAX + 1 };
    static struct http_exchange many[COUNT];
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    lose(world, 0);
    world->edit = be_of_key_a;
    for (size_t i = 0; i < COUNT; i++) {
        struct job_terms *terms = job_terms_of_models("ask", (const char *const[]){"small"}, 1);
        (void)snprintf(terms->rule, sizeof(terms->rule), "rule %zu", i);
        come_with(world, &many[i], LANE_CHAT, 0, terms);
        jobs_dispatch_changed(world->jobs);
    }
    assert_int_equal(jobs_waiting(world->jobs), COUNT);
    world->edit = be_of_key_b;
    ask_for(world, 1, true, (const char *const[]){"other"}, 1);
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[1]);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < COUNT; i++)
        fake_exchange_fini(&many[i]);
}

/* --- who asks again as soon as it is refused --- */

static const char *const nobodys = "nobody's";

struct again {
    struct world *world;
    unsigned sent;
};

static void no_word(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    (void)name;
    (void)value;
}

static void on_again_watch(void *ctx, const struct http_exchange_events *events, void *events_ctx)
{
    (void)ctx;
    (void)events;
    (void)events_ctx;
}

static void on_again_send(
        void *ctx, int status, const char *content_type, const void *body, size_t len)
{
    struct again *again = ctx;
    (void)content_type;
    (void)body;
    (void)len;
    assert_int_equal(status, 503);
    if (again->sent++ == 0)
        come_by(again->world, 0, false, job_terms_of_models("ask", &nobodys, 1));
}

/* As the request does that `auto` asks a small model about (auto/classifier.h). */
static void one_that_is_refused_is_not_asked_for_again_meanwhile(void **state)
{
    static const struct reply_ops ops = {
            .set_header = no_word, .send = on_again_send, .watch = on_again_watch};
    struct world *world = *state;
    struct again again = {.world = world};
    const struct reply reply = {.ops = &ops, .ctx = &again};
    struct request request;
    request_init(&request);
    strcpy(request.id, "req_again");
    jobs_start(world->jobs, &reply, &dialect_openai_chat, &request,
            job_terms_of_models("ask", &nobodys, 1));
    jobs_dispatch_changed(world->jobs);
    assert_int_equal(again.sent, 1);
    assert_int_equal(world->clients[0].status, 503);
    assert_int_equal(jobs_waiting(world->jobs), 0);
}

static void a_node_that_cannot_take_it_is_not_named(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    /* Broken, but the table only learns it at the next flush. */
    fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_CANCEL, .cancel = {.stream = 1}});
    struct http_exchange *client = ask(world, 0, true);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    turn(world);
    wait_ms(world, JOB_WAIT_MAX_MS + 1); /* for it to come back */
    assert_int_equal(client->status, 503);
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Node: -\n"));
}

static void stopping_tells_nodes_and_clients(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *begun = ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    struct http_exchange *fresh = ask(world, 1, true);
    take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "half");
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    is_broken_stream(begun);
    assert_int_equal(fresh->status, 503);
    next(world, 0, MSG_CANCEL);
    next(world, 0, MSG_CANCEL);
}

/* --- when a mode moves --- */

static void follow_the_mode(struct request *request)
{
    request->follows_mode = true;
}

static void what_waits_goes_where_the_mode_goes(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small", "other"};
    world->edit = follow_the_mode;
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_link_forget(&world->mesh.link, 0);
    say_model(world, 0, "small", INSTANCE_STOPPING);
    ask_for(world, 0, true, models, 2);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    jobs_move_mode(world->jobs, "code", "small", "large"); /* another mode */
    jobs_move_mode(world->jobs, "ask", "nobody", "large");
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    jobs_move_mode(world->jobs, "ask", "small", "large");
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    struct msg start = next(world, 0, MSG_START);
    assert_string_equal(start.start.model, "large");
    next(world, 0, MSG_BODY);
    complete(world, 0, start.start.stream, "new");
    is_complete_stream(&world->clients[0]);
}

static void what_may_not_follow_stays(void **state)
{
    struct world *world = *state;
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_link_forget(&world->mesh.link, 0);
    say_model(world, 0, "small", INSTANCE_STOPPING);
    ask(world, 0, true);
    jobs_move_mode(world->jobs, "ask", "small", "large");
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    turn(world);
    nothing_sent(world, 0);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    assert_string_equal(next(world, 0, MSG_START).start.model, "small");
}

static void what_runs_stays_until_it_fails(void **state)
{
    struct world *world = *state;
    world->edit = follow_the_mode;
    join(world, 0, "small");
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    struct http_exchange *stays = ask(world, 0, true);
    uint64_t first = take_request(world, 0);
    struct http_exchange *fails = ask(world, 1, true);
    uint64_t second = take_request(world, 0);
    wait_ms(world, JOB_HEADERS_RUNNING_MS); /* both streams name the model that they began with */
    say_data(world, 0, first, DELTA_TEXT, "from the ");
    jobs_move_mode(world->jobs, "ask", "small", "large");
    say_fail(world, 0, second, FAIL_DRAINING, 0, "it is being replaced");
    complete(world, 0, first, "old one");
    turn(world);
    struct msg start = next(world, 0, MSG_START);
    assert_string_equal(start.start.model, "large");
    next(world, 0, MSG_BODY);
    complete(world, 0, start.start.stream, "from the new one");
    is_complete_stream(stays);
    is_complete_stream(fails);
    assert_true(fake_exchange_has(stays, "old one"));
    assert_true(fake_exchange_has(fails, "from the new one"));
}

static void a_model_of_the_list_comes_to_the_front(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small", "middle", "large"};
    world->edit = follow_the_mode;
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_link_forget(&world->mesh.link, 0);
    say_model(world, 0, "small", INSTANCE_STOPPING);
    ask_for(world, 0, true, models, 3);
    jobs_move_mode(world->jobs, "ask", "small", "large");
    say_model(world, 0, "middle", INSTANCE_RESIDENT);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    turn(world);
    assert_string_equal(next(world, 0, MSG_START).start.model, "large");
}

static void a_mode_that_moves_too_often_is_left_alone(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"small", "a", "b", "c", "d", "e"};
    world->edit = follow_the_mode;
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_link_forget(&world->mesh.link, 0);
    say_model(world, 0, "small", INSTANCE_STOPPING);
    ask(world, 0, true);
    for (size_t i = 0; i < JOB_MOVES_MAX + 1; i++)
        jobs_move_mode(world->jobs, "ask", names[i], names[i + 1]);
    say_model(world, 0, "d", INSTANCE_STOPPING);
    say_model(world, 0, "e", INSTANCE_RESIDENT);
    turn(world);
    nothing_sent(world, 0);
    say_model(world, 0, "d", INSTANCE_RESIDENT);
    turn(world);
    assert_string_equal(next(world, 0, MSG_START).start.model, "d");
}

#define JOB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void need_vision(struct request *request)
{
    request->needs = CAPABILITY_VISION;
    request_skip(request, "tool web_search");
}

static void what_no_model_can_is_the_clients_fault(void **state)
{
    struct world *world = *state;
    const struct msg_instance blind = {.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT};
    fake_mesh_hello(&world->mesh, 0, "test");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true, .instances = &blind, .instance_count = 1}});
    world->edit = need_vision;
    struct http_exchange *client = ask(world, 0, true);
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "cannot see images"));
    assert_true(fake_exchange_has(client, "unsupported_by_model"));
    assert_true(fake_exchange_has_header(client, "X-Modemesh-Skipped: tool web_search\n"));
}

static void say_sees(struct world *world, size_t node, const char *model, uint32_t sees)
{
    struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .engine = "fake",
            .note = "",
            .capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT | sees};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

/* That no other model can is no reason to tell the client that none can. */
static void the_only_instance_that_can_is_tried_again(void **state)
{
    static const char *const models[] = {"eyes", "small"};
    struct world *world = *state;
    join(world, 0, "eyes");
    join(world, 1, "small");
    say_sees(world, 0, "eyes", CAPABILITY_VISION);
    say_sees(world, 1, "small", 0);
    world->edit = need_vision;
    ask_for(world, 0, true, models, 2);
    say_fail(world, 0, take_request(world, 0), FAIL_ENGINE_DIED, 0, "killed");
    assert_int_equal(world->clients[0].status, 0);
    wait_ms(world, JOB_SAME_AGAIN_MS);
    complete(world, 0, take_request(world, 0), "a cat");
    is_complete_stream(&world->clients[0]);
}

static void need_tools(struct request *request)
{
    request->needs = CAPABILITY_CHAT | CAPABILITY_TOOLS;
}

/* "small" is loaded where `known` has the word of its engine. */
static void say_known(struct world *world, size_t node, uint32_t known)
{
    bool loaded = known & CAPABILITY_EXACT;
    struct msg_instance instance = {.model = "small",
            .state = loaded ? INSTANCE_RESIDENT : INSTANCE_AVAILABLE,
            .memory_bytes = 1,
            .slots = loaded,
            .engine = "fake",
            .note = "",
            .capabilities = CAPABILITY_CHAT | known};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.memory_limit_bytes = 1 << 30,
                            .instances = &instance,
                            .instance_count = 1}});
}

static void join_unloaded(struct world *world, size_t node)
{
    fake_mesh_hello(&world->mesh, node, "s");
    fake_link_forget(&world->mesh.link, node);
    say_known(world, node, 0);
}

static uint64_t take_with_tools(struct world *world, size_t node)
{
    turn(world);
    struct msg msg = next(world, node, MSG_START);
    assert_int_equal(msg.start.needs, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    assert_true(next(world, node, MSG_BODY).body.last);
    return msg.start.stream;
}

static void fail_without_tools(struct world *world, size_t node, uint64_t stream)
{
    say_fail(world, node, stream, FAIL_NO_MODEL, 0, "\"small\" cannot call tools");
}

/* It is loaded where nobody knows, and goes on, or is refused, once its engine has said so. */
static void an_engine_that_turns_out_unable_answers_nothing(void **state)
{
    struct world *world = *state;
    join_unloaded(world, 0);
    world->edit = need_tools;
    struct http_exchange *client = ask(world, 0, true);
    uint64_t stream = take_with_tools(world, 0);
    join_unloaded(world, 1);
    say_known(world, 0, CAPABILITY_EXACT);
    fail_without_tools(world, 0, stream);
    stream = take_with_tools(world, 1);
    assert_int_equal(client->status, 0);
    fail_without_tools(world, 1, stream); /* a moment before its node tells why */
    turn(world);
    assert_int_equal(client->status, 0);
    say_known(world, 1, CAPABILITY_EXACT);
    turn(world);
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "cannot call tools: its chat template takes none"));
    nothing_sent(world, 0);
    nothing_sent(world, 1);
}

static void be_autocomplete(struct request *request)
{
    request->lane = LANE_AUTOCOMPLETE;
}

static void autocomplete_overtakes_chat_in_the_queue(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    ask(world, 0, true);
    world->edit = be_autocomplete;
    ask(world, 1, true);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    long first = strtol(next(world, 0, MSG_START).start.request_id + strlen("req_"), NULL, 10);
    long second = strtol(next(world, 0, MSG_START).start.request_id + strlen("req_"), NULL, 10);
    assert_true(first > second);
}

/* --- what a mode asks --- */

static struct job_terms *terms_for(const char *mode, const char *model)
{
    struct job_terms *terms = job_terms_of_models(mode, &model, 1);
    assert_non_null(terms);
    (void)snprintf(terms->rule, sizeof(terms->rule), "%s any model: %s", mode, model);
    return terms;
}

/* Where none can, `next` is asked, which it takes. */
static struct job_terms *terms_before(const char *mode, const char *model, struct job_terms *next)
{
    struct job_terms *terms = terms_for(mode, model);
    terms->when_none = WHEN_NONE_NEXT;
    terms->next = next;
    return terms;
}

/* The model has all that it takes at once. */
static void fill(struct world *world)
{
    static const char *const small[] = {"small"};
    for (size_t i = 0; i < 1 + ROUTING_BEYOND_SLOTS; i++) {
        ask_for(world, CLIENTS - 1 - i, true, small, 1);
        take_request(world, 0);
    }
}

static unsigned retry_after(struct http_exchange *client)
{
    static const char name[] = "Retry-After: ";
    const char *at = strstr(fake_exchange_text(&client->headers), name);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(name), NULL, 10);
}

static void the_reason_begins_with_the_rule(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    ask_by(world, 0, true, terms_for("code", "small"));
    complete(world, 0, take_request(world, 0), "x");
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code any model: small; the only instance: first token in about "));
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: code\n"));
    ask_by(world, 0, true, terms_for("code", "nobody's"));
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code any model: nobody's; no connected node has the model\n"));
}

/* Whatever a rule says: one line, of bytes that every reader takes. */
static void a_comment_is_one_line(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct job_terms *terms = terms_for("code", "small");
    strcpy(terms->rule, "one\ndata: two\r\xc3\xa9\xe2\x80");
    ask_by(world, 0, true, terms);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    assert_true(fake_exchange_has(
            &world->clients[0], " reason=one?data: two?\xc3\xa9??; the only instance: "));
}

static void what_is_below_the_floor_is_waited_past(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small", "large"};
    struct job_terms *terms = job_terms_of_models("code", models, 2);
    join(world, 0, "small");
    say_model(world, 0, "large", INSTANCE_FAILED);
    terms->quality[0] = 55;
    terms->quality[1] = terms->floor = 70;
    ask_by(world, 0, true, terms);
    turn(world);
    nothing_sent(world, 0);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    say_model(world, 0, "large", INSTANCE_RESIDENT);
    turn(world);
    assert_string_equal(next(world, 0, MSG_START).start.model, "large");
}

static void another_stands_in_where_the_named_one_is_busy(void **state)
{
    struct world *world = *state;
    static const char *const models[] = {"small", "large"};
    join(world, 0, "small");
    join(world, 1, "large");
    for (size_t node = 0; node < 2; node++) { /* the first is free, then it is not */
        struct job_terms *terms = job_terms_of_models("ask", models, 2);
        terms->quality[0] = terms->wanted = 55;
        terms->quality[1] = 70;
        terms->named_count = 1;
        ask_by(world, node, true, terms);
        turn(world);
        struct msg start = next(world, node, MSG_START);
        assert_string_equal(start.start.model, models[node]);
        say_data(world, node, start.start.stream, DELTA_TEXT, "x");
    }
    assert_true(fake_exchange_has_header(
            &world->clients[1], "X-Modemesh-Reason: stands in, as it costs less: "));
}

static void a_mode_may_refuse_at_once(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    struct job_terms *terms = terms_for("code", "small");
    terms->when_none = WHEN_NONE_REFUSE;
    ask_by(world, 0, true, terms);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0], "every instance that could serve it soon"));
    assert_in_range(retry_after(&world->clients[0]), 1, JOB_RETRY_AFTER_MAX_S);
    terms = terms_for("code", "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    terms->when_none = WHEN_NONE_REFUSE;
    ask_by(world, 0, true, terms);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0], "the engine is being restarted"));
}

static void where_none_can_the_next_mode_is_asked(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct job_terms *second = terms_before("debug", "absent, too", terms_for("ask", "small"));
    ask_by(world, 0, true, terms_before("code", "absent", second));
    complete(world, 0, take_request(world, 0), "x");
    is_complete_stream(&world->clients[0]);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code has none for it; debug has none for it; "
            "ask any model: small; the only instance: first token"));
}

/* The mode that comes instead says what it would have said at first. */
static void the_next_mode_fills_the_body(void **state)
{
    struct world *world = *state;
    struct job_terms *second = terms_for("ask", "small");
    second->answer =
            (struct mode_answer){.has_temperature = true, .temperature = 0.7, .max_output = 9};
    join(world, 0, "small");
    ask_by(world, 0, true, terms_before("code", "absent", second));
    turn(world);
    struct msg start = next(world, 0, MSG_START), body = next(world, 0, MSG_BODY);
    char text[256];
    (void)snprintf(text, sizeof(text), "%.*s", (int)body.body.len, (const char *)body.body.data);
    assert_non_null(strstr(text, "\"temperature\":0.7"));
    assert_non_null(strstr(text, "\"max_tokens\":9"));
    complete(world, 0, start.start.stream, "x");
    is_complete_stream(&world->clients[0]);
}

static void the_last_mode_that_is_asked_says_why_not(void **state)
{
    struct world *world = *state;
    ask_by(world, 0, true, terms_before("code", "absent", terms_for("ask", "absent, too")));
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code has none for it; ask any model: absent, too; no connected"));
    assert_true(fake_exchange_has(&world->clients[0], "no_node_available"));
    assert_true(fake_exchange_has(&world->clients[0],
            "no node can serve \\\"ask\\\" now, nor \\\"ask\\\" in its place: no connected node"));
}

/* What each of them has stands under its own name. */
static void models_are_told_of_the_mode_that_has_them(void **state)
{
    static const char *const models[] = {"small", "eyes"};
    struct world *world = *state;
    join(world, 0, "small");
    say_sees(world, 0, "small", 0);
    join(world, 1, "other");
    say_sees(world, 1, "other", 0);
    world->edit = need_vision;
    struct job_terms *first = job_terms_of_models("code", models, 2);
    first->when_none = WHEN_NONE_NEXT;
    first->next = terms_for("debug", "other");
    ask_by(world, 0, true, first);
    assert_int_equal(world->clients[0].status, 400);
    assert_true(fake_exchange_has(&world->clients[0], "\\\"ask\\\" (small, …) has none for it, and "
                                                      "\\\"debug\\\" (other) cannot see images; "));
}

/* Its turn comes: that is no reason to ask less of a model. */
static void a_turn_is_waited_for_before_the_next_mode_is_asked(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    fill(world);
    struct job_terms *terms = terms_before("code", "small", terms_for("ask", "other"));
    terms->patience_ms = 5000;
    ask_by(world, 0, true, terms);
    wait_ms(world, 5000);
    nothing_sent(world, 1);
    wait_ms(world, 1); /* longer than its mode waits */
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[0]);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code had none in time; ask any model: other; "));
}

static void a_mode_has_its_own_patience(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    struct job_terms *terms = terms_for("code", "small");
    terms->patience_ms = 5000;
    ask_by(world, 0, false, terms);
    wait_ms(world, 5000);
    assert_int_equal(world->clients[0].status, 0);
    wait_ms(world, 1);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0], "\"code\":\"overloaded\""));
    assert_true(fake_exchange_has(
            &world->clients[0], " is full; waited 5.0 s, as long as the mode's patience; "));
    assert_in_range(retry_after(&world->clients[0]), 1, JOB_RETRY_AFTER_MAX_S);
}

/* However many they are: one that goes on says nothing of the others. */
static void all_that_wait_go_on_to_the_next_mode(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    say_model(world, 1, "other", INSTANCE_FAILED);
    fill(world);
    for (size_t i = 0; i < 2; i++)
        ask_by(world, i, true, terms_before("code", "small", terms_for("ask", "other")));
    say_model(world, 0, "small", INSTANCE_FAILED);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    for (size_t i = 0; i < 2; i++)
        assert_true(fake_exchange_has_header(&world->clients[i], "X-Modemesh-Mode: ask\n"));
}

static void a_higher_priority_is_served_first(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct job_terms *low = terms_for("code", "small"), *high = terms_for("ask", "small");
    low->priority = 1;
    high->priority = 8;
    ask_by(world, 0, true, low);
    ask_by(world, 1, true, high);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    turn(world);
    complete(world, 0, next(world, 0, MSG_START).start.stream, "x");
    is_complete_stream(&world->clients[1]);
}

static void who_waits_is_told_for_how_long(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    ask(world, 0, true);
    ask(world, 1, true);
    wait_ms(world, JOB_HEADERS_WAITING_MS);
    assert_true(
            fake_exchange_has(&world->clients[0], ": queued, 0 before it, first token in about "));
    assert_true(
            fake_exchange_has(&world->clients[1], ": queued, 1 before it, first token in about "));
}

static void who_has_waited_is_told_so(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    ask(world, 0, false);
    wait_ms(world, 2500);
    say_model(world, 0, "small", INSTANCE_RESIDENT);
    complete(world, 0, take_request(world, 0), "x");
    assert_true(fake_exchange_has(&world->clients[0], "\"content\":\"x\""));
    assert_true(fake_exchange_has_header(
            &world->clients[0], "X-Modemesh-Reason: the only instance: first token in about "));
    assert_true(fake_exchange_has_header(
            &world->clients[0], "s after 2.50 s in the queue, 0 of about "));
}

static void a_full_queue_says_when_to_come_back(void **state)
{
    struct world *world = *state;
    static struct http_exchange many[JOBS_WAITING_MAX];
    join(world, 0, "small");
    fill(world);
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &many[i], LANE_CHAT, 0);
    ask(world, 0, false);
    assert_int_equal(world->clients[0].status, 429);
    assert_true(fake_exchange_has(&world->clients[0], "\"code\":\"queue_full\""));
    assert_int_equal(retry_after(&world->clients[0]), JOB_RETRY_AFTER_MAX_S); /* a thousand wait */
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        fake_exchange_fini(&many[i]);
}

/* --- what nodes say is charged as far as it can be --- */

static void say_usage(
        struct world *world, size_t node, uint64_t stream, const struct msg_usage *usage)
{
    struct msg_delta delta = {.stream = stream, .kind = DELTA_USAGE, .usage = *usage};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

/* An answer to key a, of which its node says that, while both keys wait. */
static void tokens_cached_beyond_the_prompt_earn_nothing(void **state)
{
    static const struct msg_usage usage = {
            .prompt_tokens = 100, .cached_tokens = UINT32_MAX, .completion_tokens = 1000};
    struct world *world = *state;
    join(world, 0, "small");
    world->edit = be_of_key_a;
    ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    ask(world, 2, true);
    (void)take_request(world, 0);
    struct http_exchange *a = ask(world, 1, true);
    world->edit = be_of_key_b;
    struct http_exchange *b = ask(world, 3, true);
    say_usage(world, 0, stream, &usage);
    complete(world, 0, stream, "x");
    complete(world, 0, take_request(world, 0), "x");
    is_complete_stream(b);
    assert_int_equal(a->status, 0);
}

static void what_no_engine_writes_is_not_charged(void **state)
{
    static const struct msg_usage usage = {.prompt_tokens = 100, .completion_tokens = UINT32_MAX};
    struct world *world = *state;
    join(world, 0, "small");
    world->edit = be_of_key_a;
    ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    ask(world, 2, true);
    (void)take_request(world, 0);
    struct http_exchange *a = ask(world, 3, true);
    say_usage(world, 0, stream, &usage);
    world->edit = be_of_key_b;
    ask(world, 1, true);
    complete(world, 0, stream, "x");
    ask(world, 0, true);
    for (unsigned turns = 0; a->status == 0; turns++) {
        assert_in_range(turns, 0, 8);
        complete(world, 0, take_request(world, 0), "x");
        for (size_t i = 0; i < 2; i++) /* it always waits */
            if (world->clients[i].status)
                ask(world, i, true);
    }
}

static void what_comes_next_follows_its_mode_too(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    join(world, 1, "newer");
    world->edit = follow_the_mode;
    struct job_terms *terms = terms_before("code", "small", terms_for("ask", "older"));
    terms->patience_ms = 1000;
    ask_by(world, 0, true, terms);
    jobs_move_mode(world->jobs, "ask", "older", "newer");
    wait_ms(world, 1001);
    complete(world, 1, take_request(world, 1), "x");
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code had none in time; ask any model: newer; "));
}

/* --- where conversations are --- */

static void be_of_the_first_conversation(struct request *request)
{
    strcpy(request->session, "first");
}

static void be_of_the_second_conversation(struct request *request)
{
    strcpy(request->session, "second");
}

/* The node that got the next request, of which START says these. */
static size_t take_from_either(struct world *world, uint64_t *ret_stream, uint64_t *ret_session)
{
    struct msg msg;
    turn(world);
    size_t node = fake_link_next(&world->mesh.link, 0, &msg) ? 0 : 1;
    if (node == 1)
        msg = next(world, 1, MSG_START);
    *ret_stream = msg.start.stream;
    *ret_session = msg.start.session;
    assert_true(msg.start.prompt_tokens > 0);
    assert_true(next(world, node, MSG_BODY).body.last);
    return node;
}

static void turns_of_a_conversation_go_to_one_node(void **state)
{
    struct world *world = *state;
    size_t nodes[2];
    uint64_t sessions[2], session, stream;
    void (*const edits[])(struct request *) = {
            be_of_the_first_conversation, be_of_the_second_conversation};
    join(world, 0, "small");
    join(world, 1, "small");
    for (size_t i = 0; i < 10; i++) { /* those that cost the same take turns */
        size_t which = i < 2 ? i : (i / 2) % 2;
        world->edit = edits[which];
        ask(world, 0, true);
        size_t node = take_from_either(world, &stream, &session);
        if (i < 2) {
            nodes[i] = node;
            sessions[i] = session;
        }
        assert_int_equal(node, nodes[which]);
        assert_int_equal(session, sessions[which]);
        complete(world, node, stream, "done");
    }
    assert_int_not_equal(nodes[0], nodes[1]);
    assert_int_not_equal(sessions[0], sessions[1]);
    world->edit = leave_as_it_is;
    ask(world, 0, true);
    (void)take_from_either(world, &stream, &session);
    assert_int_equal(session, 0);
}

static void a_conversation_goes_on_elsewhere(void **state)
{
    struct world *world = *state;
    uint64_t session, stream;
    world->edit = be_of_the_first_conversation;
    join(world, 0, "small");
    join(world, 1, "small");
    ask(world, 0, true);
    size_t first = take_from_either(world, &stream, &session);
    say_fail(world, first, stream, FAIL_ENGINE_DIED, 0, "out of memory");
    size_t second = take_from_either(world, &stream, &session);
    assert_int_not_equal(first, second);
    complete(world, second, stream, "done");
    ask(world, 0, true);
    assert_int_equal(take_from_either(world, &stream, &session), second);
}

/* The next turn's prompt would seem to lie in its node's cache. */
static void no_answer_is_longer_than_its_time_allows(void **state)
{
    static const struct msg_usage usage = {.prompt_tokens = 100, .completion_tokens = UINT32_MAX};
    struct world *world = *state;
    uint64_t id = affinity_id(world->affinities, "", "first");
    world->edit = be_of_the_first_conversation;
    join(world, 0, "small");
    ask(world, 0, true);
    uint64_t stream = take_request(world, 0);
    say_usage(world, 0, stream, &usage);
    complete(world, 0, stream, "x");
    const struct affinity *place =
            affinities_find(world->affinities, id, (double)env_now_us(&world->mesh.env.env) / 1e6);
    assert_non_null(place);
    assert_int_equal(place->answer_tokens, JOB_ANSWER_TOKENS_MIN);
}

/* --- completions and newer keystrokes --- */

static const char function_start[] =
        "int main(void)\n{\n    const char *greeting = \"hello\";\n    ";
static const char function_end[] = "\n    return greeting == NULL;\n}\n";

static void be_at(struct request *request, const char *line)
{
    request->lane = LANE_AUTOCOMPLETE;
    assert_int_equal(request_set_cursor(request, function_start, line, function_end), 0);
}

static void be_typed(struct request *request)
{
    be_at(request, "pu");
}

static void be_typed_on(struct request *request)
{
    be_at(request, "put");
}

static void be_typed_for_two(struct request *request)
{
    be_typed(request);
    request->choices = 2;
}

static void be_typed_by_another(struct request *request)
{
    be_typed_on(request);
    strcpy(request->client, "key another");
}

static void be_typed_elsewhere(struct request *request)
{
    be_typed_on(request);
    strcpy(request->peer, "192.0.2.1");
}

static void be_typed_for_another_model(struct request *request)
{
    be_typed_on(request);
    strcpy(request->asked, "another");
}

static void be_typed_in_a_session(struct request *request)
{
    be_typed(request);
    be_of_the_first_conversation(request);
}

static void be_typed_on_in_the_session(struct request *request)
{
    be_typed_elsewhere(request);
    be_of_the_first_conversation(request);
}

static void be_typed_on_in_another_session(struct request *request)
{
    be_typed_on(request);
    be_of_the_second_conversation(request);
}

static struct http_exchange *type(
        struct world *world, size_t client, bool stream, void (*edit)(struct request *request))
{
    world->edit = edit;
    return ask(world, client, stream);
}

static void is_cut_off(struct http_exchange *client, const char *text)
{
    assert_int_equal(client->status, 200);
    assert_false(client->open);
    assert_false(client->aborted);
    assert_true(fake_exchange_has(client, text));
    assert_true(fake_exchange_has(client, "\"finish_reason\":\"length\""));
}

static void a_newer_keystroke_ends_what_runs(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *older = type(world, 0, false, be_typed);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "ts(gr");
    struct http_exchange *newer = type(world, 1, false, be_typed_on);
    is_cut_off(older, "\"content\":\"ts(gr\"");
    assert_true(fake_exchange_has_header(older, "X-Modemesh-Reason: cut off: a newer keystroke"));
    assert_int_equal(next(world, 0, MSG_CANCEL).cancel.stream, stream);
    complete(world, 0, take_request(world, 0), "s(greeting);");
    assert_true(fake_exchange_has(newer, "\"content\":\"s(greeting);\""));
    assert_int_equal(jobs_running(world->jobs), 0);
}

static void a_newer_keystroke_ends_a_stream(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *older = type(world, 0, true, be_typed);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "ts(gr");
    type(world, 1, true, be_typed_on);
    is_cut_off(older, "\"content\":\"ts(gr\"");
    assert_true(fake_exchange_has(older, "data: [DONE]\n\n"));
    next(world, 0, MSG_CANCEL);
    say_data(world, 0, stream, DELTA_TEXT, "eeting"); /* was on its way already */
    assert_false(fake_exchange_has(older, "eeting"));
}

/* Before its first token the client gets a whole answer without a text. */
static void a_newer_keystroke_ends_a_prefill(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *whole = type(world, 0, false, be_typed);
    struct http_exchange *stream = type(world, 1, true, be_typed);
    turn(world);
    type(world, 2, false, be_typed_on);
    is_cut_off(whole, "\"content\":\"\"");
    is_cut_off(stream, "data: [DONE]\n\n");
    assert_int_equal(jobs_running(world->jobs) + jobs_waiting(world->jobs), 1);
}

static void a_newer_keystroke_ends_what_waits(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *whole = type(world, 0, false, be_typed);
    struct http_exchange *stream = type(world, 1, true, be_typed);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    type(world, 2, false, be_typed_on);
    is_cut_off(whole, "\"content\":\"\"");
    is_cut_off(stream, "data: [DONE]\n\n");
    assert_true(fake_exchange_has_header(whole, "X-Modemesh-Node: -\n"));
    assert_int_equal(jobs_waiting(world->jobs), 1);
}

/* What is cut off while its client reads slowly goes out in its own time. */
static void a_slow_reader_is_told_in_its_time(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *older = type(world, 0, true, be_typed);
    uint64_t stream = take_request(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "ts");
    older->unread = HTTP_STREAM_BUFFER;
    older->choked = true;
    type(world, 1, true, be_typed_on);
    next(world, 0, MSG_CANCEL);
    assert_true(older->open);
    type(world, 2, true, be_typed); /* a step back: the first one is over, the second is ended */
    assert_true(older->open);
    fake_exchange_read(older);
    is_cut_off(older, "data: [DONE]\n\n");
}

static void all_choices_are_cut_off(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    struct http_exchange *whole = type(world, 0, false, be_typed_for_two);
    struct http_exchange *stream = type(world, 1, true, be_typed_for_two);
    turn(world);
    type(world, 2, false, be_typed_on);
    is_cut_off(whole, "\"index\":1");
    is_cut_off(stream, "\"index\":1");
}

static void what_another_types_ends_nothing(void **state)
{
    struct world *world = *state;
    void (*const edits[])(struct request *) = {be_typed, be_typed_by_another, be_typed_elsewhere,
            be_typed_for_another_model, be_typed_on_in_another_session, leave_as_it_is};
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *older = type(world, 0, false, be_typed);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        struct http_exchange *client = type(world, 1, false, edits[i]);
        assert_int_equal(jobs_waiting(world->jobs), 2);
        fake_exchange_leave(client);
    }
    assert_int_equal(older->status, 0);
}

/* Where the editor says its session, that tells, from whatever address. */
static void a_session_tells_the_editor(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    struct http_exchange *older = type(world, 0, false, be_typed_in_a_session);
    type(world, 1, false, be_typed_on_in_the_session);
    is_cut_off(older, "\"content\":\"\"");
}

/* A chat whose beginning is long enough to be known again, and so many bytes behind it. */
static void begin(struct request *request, size_t more, char filler)
{
    char text[2048] = {0};
    memset(text, 'a', 1200);
    buf_clear(&request->body);
    assert_int_equal(buf_appendf(&request->body,
                             "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}", text),
            0);
    memset(text, filler, more);
    text[more] = '\0';
    assert_int_equal(
            buf_appendf(&request->body, ",{\"role\":\"user\",\"content\":\"%s\"}]}", text), 0);
}

static void be_a_first_turn(struct request *request)
{
    begin(request, 900, 'b');
}

static void be_a_second_turn(struct request *request)
{
    begin(request, 1900, 'b');
}

static void be_another_that_begins_alike(struct request *request)
{
    begin(request, 900, 'c');
}

static void who_names_no_conversation_is_known_by_its_beginning(void **state)
{
    struct world *world = *state;
    uint64_t session, stream, ids[4];
    void (*const edits[])(struct request *) = {be_a_first_turn, be_a_second_turn,
            be_another_that_begins_alike, be_another_that_begins_alike};
    join(world, 0, "small");
    join(world, 1, "small");
    for (size_t i = 0; i < 4; i++) {
        world->edit = edits[i];
        ask(world, 0, true);
        size_t node = take_from_either(world, &stream, &session);
        ids[i] = session;
        complete(world, node, stream, "done");
    }
    assert_int_not_equal(ids[0], 0);
    assert_int_equal(ids[1], ids[0]);
    assert_int_equal(ids[2], 0);      /* the first is not what this one goes on from … */
    assert_int_equal(ids[3], ids[0]); /* … and now it is this one that goes on */
}

/* --- … of what is typed --- */

enum { LINE_BYTES = 3008 }; /* of all that is sent, about: two whole blocks */

static void be_filled_in(struct request *request, char file, const char *line)
{
    char text[3000];
    memset(text, file, sizeof(text));
    request->kind = REQUEST_INFILL;
    request->lane = LANE_AUTOCOMPLETE;
    buf_clear(&request->body);
    assert_int_equal(buf_appendf(&request->body,
                             "{\"input_prefix\":\"%.*s\",\"prompt\":\"%s\",\"input_suffix\":\"}\"}",
                             (int)sizeof(text), text, line),
            0);
}

static void be_a_first_letter(struct request *request)
{
    be_filled_in(request, 'a', "p");
}

static void be_a_second_letter(struct request *request)
{
    be_filled_in(request, 'a', "pu");
}

static void be_a_letter_in_another_file(struct request *request)
{
    be_filled_in(request, 'b', "p");
}

static void be_a_letter_from_elsewhere(struct request *request)
{
    be_a_second_letter(request);
    strcpy(request->peer, "192.0.2.1");
}

static void be_a_letter_of_another_key(struct request *request)
{
    be_a_second_letter(request);
    strcpy(request->client, "key another");
}

static void be_a_letter_in_a_session(struct request *request)
{
    be_a_second_letter(request);
    be_of_the_first_conversation(request);
}

static void be_a_letter_from_elsewhere_in_the_session(struct request *request)
{
    be_a_letter_from_elsewhere(request);
    be_of_the_first_conversation(request);
}

/* As a client writes it that knows a model's family. */
static void be_written(struct request *request, const char *line)
{
    char text[3000];
    memset(text, 'a', sizeof(text));
    request->kind = REQUEST_COMPLETION;
    request->lane = LANE_AUTOCOMPLETE;
    buf_clear(&request->body);
    assert_int_equal(
            buf_appendf(&request->body, "{\"prompt\":\"%.*s%s\"}", (int)sizeof(text), text, line),
            0);
}

static void be_a_first_letter_written(struct request *request)
{
    be_written(request, "p");
}

static void be_a_second_letter_written(struct request *request)
{
    be_written(request, "pu");
}

static uint64_t session_of(struct world *world, void (*edit)(struct request *request))
{
    uint64_t stream, session;
    world->edit = edit;
    ask(world, 0, true);
    size_t node = take_from_either(world, &stream, &session);
    complete(world, node, stream, "done");
    return session;
}

static void a_line_that_is_typed_is_a_conversation(void **state)
{
    struct world *world = *state;
    void (*const others[])(struct request *) = {be_a_letter_in_another_file,
            be_a_letter_from_elsewhere, be_a_letter_of_another_key, be_a_letter_in_a_session,
            be_of_the_first_conversation};
    join(world, 0, "small");
    uint64_t line = session_of(world, be_a_first_letter);
    assert_int_not_equal(line, 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint64_t other = session_of(world, others[i]);
        assert_int_not_equal(other, 0);
        assert_int_not_equal(other, line);
        assert_int_equal(session_of(world, be_a_second_letter), line);
    }
}

static void where_the_editor_says_its_session_that_is_who_types(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    uint64_t line = session_of(world, be_a_letter_in_a_session);
    assert_int_equal(session_of(world, be_a_letter_from_elsewhere_in_the_session), line);
    assert_int_not_equal(session_of(world, be_of_the_first_conversation), line);
}

static void a_line_in_a_raw_prompt_is_a_conversation_too(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    uint64_t line = session_of(world, be_a_first_letter_written);
    assert_int_not_equal(line, 0);
    assert_int_equal(session_of(world, be_a_second_letter_written), line);
}

/* Whatever file: its engine is warm. Nor do others take it along. */
static void who_types_has_a_place(void **state)
{
    struct world *world = *state;
    uint64_t session, stream;
    void (*const edits[])(struct request *) = {be_a_first_letter, be_a_letter_from_elsewhere,
            be_a_second_letter, be_a_letter_in_another_file, be_a_letter_from_elsewhere};
    static const size_t places[] = {0, 1, 0, 0, 1};
    size_t nodes[2] = {0};
    join(world, 0, "small");
    join(world, 1, "small");
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        world->edit = edits[i];
        ask(world, 0, true);
        size_t node = take_from_either(world, &stream, &session);
        if (i < 2)
            nodes[i] = node;
        assert_int_equal(node, nodes[places[i]]);
        complete(world, node, stream, "done");
    }
    assert_int_not_equal(nodes[0], nodes[1]);
}

/* A letter's completion has another end than that of the letter before: nothing behind the blocks
 * that are the same is held. */
static void of_the_letter_before_only_whole_blocks_are_held(void **state)
{
    struct world *world = *state;
    struct buf *headers = &world->clients[0].headers;
    float held, prompt;
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 8192);
    (void)session_of(world, be_a_first_letter);
    (void)session_of(world, be_a_second_letter);
    assert_int_equal(buf_terminate(headers), 0);
    const char *told = strstr(buf_at(headers), " s, ");
    assert_non_null(told);
    assert_int_equal(
            sscanf(told, " s, %f of about %f tokens of the prompt cached", &held, &prompt), 2);
    assert_float_equal(held / prompt, (float)(2 * PREFIX_BLOCK_BYTES) / LINE_BYTES, 0.01);
}

/* --- what waits holds up nobody --- */

static void be_of_kib(struct request *request, int kib)
{
    char text[1024];
    memset(text, 'a', sizeof(text));
    buf_clear(&request->body);
    assert_int_equal(
            buf_append_str(&request->body, "{\"messages\":[{\"role\":\"user\",\"content\":\""), 0);
    for (int i = 0; i < kib; i++)
        assert_int_equal(buf_append(&request->body, text, sizeof(text)), 0);
    assert_int_equal(buf_append_str(&request->body, "\"}]}"), 0);
}

static void be_long(struct request *request)
{
    be_of_kib(request, 200);
}

/* It waits for an engine that is started again; the shorter one behind it does not need that. */
static void a_long_prompt_does_not_hold_up_a_short_one(void **state)
{
    static const char *const models[] = {"small", "large"};
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "large");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 8192);
    say_context(world, 1, "large", INSTANCE_FAILED, 131072);
    world->edit = be_long;
    ask_for(world, 0, true, models, 2);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    world->edit = leave_as_it_is;
    ask_for(world, 1, true, models, 2);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    uint64_t stream = take_request(world, 0);
    complete(world, 0, stream, "done");
    is_complete_stream(&world->clients[1]);
}

static void be_of_2k_tokens(struct request *request)
{
    be_of_kib(request, 8);
}

static void ask_for_any_answer(struct request *request)
{
    be_of_2k_tokens(request);
    request->said.limit_tokens = -1;
}

static void ask_for_ten_tokens(struct request *request)
{
    be_of_2k_tokens(request);
    request->said.limit_tokens = 10;
}

/* Both wait for a node that is away; then one comes that has room for the shorter answer. */
static void a_long_answer_does_not_hold_up_a_short_one(void **state)
{
    struct world *world = *state;
    join(world, 1, "small");
    lose(world, 1);
    world->edit = ask_for_any_answer;
    ask(world, 0, true);
    world->edit = ask_for_ten_tokens;
    ask(world, 1, true);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, (uint32_t)(8192 / TOKEN_RATIO_PRIOR) + 200);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    uint64_t stream = take_request(world, 0);
    complete(world, 0, stream, "done");
    is_complete_stream(&world->clients[1]);
}

/* --- what is too long for a mode --- */

/* Too long for the mode "code" by `code` tokens of context, and for "ask" where `ask` is short. */
static void ask_what_is_long(struct world *world, uint32_t code, uint32_t ask)
{
    struct job_terms *second = terms_for("ask", "other");
    struct job_terms *first = terms_before("code", "small", second);
    first->answer.max_output = 7;
    first->patience_ms = second->patience_ms = 5000;
    if (code) {
        join(world, 0, "small");
        say_context(world, 0, "small", INSTANCE_RESIDENT, code);
    }
    if (ask) {
        join(world, 1, "other");
        say_context(world, 1, "other", INSTANCE_RESIDENT, ask);
    }
    world->edit = be_of_2k_tokens;
    ask_by(world, 0, false, first);
    turn(world);
}

static void what_is_too_long_for_a_mode_goes_on_to_the_next(void **state)
{
    struct world *world = *state;
    ask_what_is_long(world, 1024, 8192);
    nothing_sent(world, 0);
    complete(world, 1, take_request(world, 1), "x");
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
    assert_int_equal(world->clients[0].status, 200);
}

static void is_refused_by_its_engine(struct world *world, size_t node, const char *mode)
{
    char header[64];
    (void)snprintf(header, sizeof(header), "X-Modemesh-Mode: %s\n", mode);
    say_fail(world, node, take_request(world, node), FAIL_CONTEXT_EXCEEDED, 400,
            "request (2100 tokens) exceeds the available context size (1024 tokens)");
    assert_int_equal(world->clients[0].status, 400);
    assert_true(fake_exchange_has_header(&world->clients[0], header));
    assert_int_equal(jobs_waiting(world->jobs), 0);
}

/* It is that one which says how long a prompt may be. */
static void what_is_too_long_for_all_modes_goes_to_the_longest(void **state)
{
    struct world *world = *state;
    ask_what_is_long(world, 1024, 512);
    nothing_sent(world, 1);
    is_refused_by_its_engine(world, 0, "code");
}

static void the_longest_may_be_that_of_the_last_mode(void **state)
{
    struct world *world = *state;
    ask_what_is_long(world, 512, 1024);
    nothing_sent(world, 0);
    is_refused_by_its_engine(world, 1, "ask");
}

/* By that of the last mode it would seem to fit in the first one's context. */
static void each_mode_has_its_own_limit_of_the_answer(void **state)
{
    struct world *world = *state;
    struct job_terms *second = terms_for("ask", "other");
    second->answer.max_output = 50;
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 2500);
    join(world, 1, "other");
    say_context(world, 1, "other", INSTANCE_RESIDENT, 1024);
    world->edit = be_of_2k_tokens;
    ask_by(world, 0, false, terms_before("code", "small", second));
    turn(world);
    nothing_sent(world, 1);
    is_refused_by_its_engine(world, 0, "code");
}

static void what_the_next_mode_lacks_leaves_the_longest(void **state)
{
    struct world *world = *state;
    ask_what_is_long(world, 1024, 0);
    turn(world);
    uint64_t stream = next(world, 0, MSG_START).start.stream;
    struct msg body = next(world, 0, MSG_BODY);
    static const char said[] = "\"max_tokens\":7";
    assert_non_null(memmem(body.body.data, body.body.len, said, strlen(said)));
    complete(world, 0, stream, "it was shorter than it was thought to be");
    assert_int_equal(world->clients[0].status, 200);
    assert_true(fake_exchange_has_header(&world->clients[0],
            "; longer than every context: its engine counts the tokens, and refuses what it cannot "
            "hold: first token in about "));
    assert_true(fake_exchange_has_header(
            &world->clients[0], " s, 0 of about 2284 tokens of the prompt cached\n"));
}

/* Node 1 is idle, and would load it at no cost; node 0 is slow. */
static void two_of_the_same(struct world *world, enum instance_state first)
{
    join(world, 0, "small");
    join(world, 1, "small");
    say_context(world, 0, "small", first, 1024);
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 1024);
}

static void ask_for_small(struct world *world, int kib)
{
    static const char *const models[] = {"small"};
    world->edit = kib > 8 ? be_long : be_of_2k_tokens;
    ask_for(world, 0, false, models, 1);
    turn(world);
}

static void is_refused_without_a_load(struct world *world, const char *model, unsigned context)
{
    struct http_exchange *client = &world->clients[0];
    char text[160];
    assert_int_equal(client->status, 400);
    assert_true(fake_exchange_has(client, "the prompt has about 56898"));
    (void)snprintf(text, sizeof(text),
            " tokens, and the longest context, that of %s, is %u: prompt is too long, maximum "
            "context "
            "length is %u tokens\"",
            model, context, context);
    assert_true(fake_exchange_has(client, text));
    assert_true(fake_exchange_has(
            client, "\"param\":\"messages\",\"code\":\"context_length_exceeded\""));
    assert_int_equal(jobs_waiting(world->jobs), 0);
    for (size_t node = 0; node < 2; node++)
        nothing_sent(world, node);
}

static void what_is_too_long_goes_to_what_is_loaded(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_RESIDENT);
    for (unsigned i = 0; i < 2; i++) { /* also what may be shorter than it is thought to be */
        ask_for_small(world, i == 0 ? 8 : 200);
        nothing_sent(world, 1);
        uint64_t stream = next(world, 0, MSG_START).start.stream;
        fake_link_forget(&world->mesh.link, 0);
        say_fail(world, 0, stream, FAIL_CONTEXT_EXCEEDED, 400, "it is too long");
        assert_int_equal(world->clients[0].status, 400);
    }
    say_context(world, 0, "small", INSTANCE_LOADING, 1024);
    ask_for_small(world, 200);
    nothing_sent(world, 1);
    (void)next(world, 0, MSG_START);
}

static void what_is_resident_comes_before_what_loads(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_LOADING);
    say_context(world, 1, "small", INSTANCE_RESIDENT, 1024);
    ask_for_small(world, 200);
    nothing_sent(world, 0);
    (void)next(world, 1, MSG_START);
}

static void a_somewhat_shorter_context_comes_before_a_load(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_RESIDENT);
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 2048);
    ask_for_small(world, 200);
    nothing_sent(world, 1);
    (void)next(world, 0, MSG_START);
}

static void what_is_far_too_long_loads_nothing(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_AVAILABLE);
    ask_for_small(world, 200);
    is_refused_without_a_load(world, "small", 1024);
}

/* By its engine's word a client would shorten too much. */
static void a_much_shorter_context_does_not_speak_for_the_longest(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_RESIDENT);
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 8192);
    ask_for_small(world, 200);
    is_refused_without_a_load(world, "small", 8192);
}

/* Estimates are rough. */
static void what_may_be_shorter_than_it_seems_is_loaded_for(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_AVAILABLE);
    say_context(world, 1, "small", INSTANCE_RESIDENT, 1000);
    ask_for_small(world, 8);
    (void)next(world, 0, MSG_START);
}

static void be_of_24_kib(struct request *request)
{
    be_of_kib(request, 24);
}

/* Eight bytes of a prompt are one of its tokens. */
static void learn_long_tokens(struct world *world, size_t node)
{
    static const struct msg_usage usage = {.prompt_tokens = 200 * 1024 / 8};
    static const char *const models[] = {"other"};
    world->edit = be_long;
    ask_for(world, 1, false, models, 1);
    turn(world);
    uint64_t stream = next(world, node, MSG_START).start.stream;
    fake_link_forget(&world->mesh.link, node);
    say_usage(world, node, stream, &usage);
    complete(world, node, stream, "x");
    fake_link_forget(&world->mesh.link, node);
}

/* The tokenizer of the next mode's model makes much less of it. */
static void what_is_far_too_long_for_the_longest_is_so_in_other_modes(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    join(world, 2, "other");
    say_context(world, 0, "small", INSTANCE_AVAILABLE, 2048);
    say_model(world, 2, "other", INSTANCE_STOPPING);
    learn_long_tokens(world, 1);
    say_context(world, 1, "other", INSTANCE_RESIDENT, 1024);
    say_context(world, 2, "other", INSTANCE_AVAILABLE, 2000);
    world->edit = be_of_24_kib;
    ask_by(world, 0, false, terms_before("code", "small", terms_for("ask", "other")));
    turn(world);
    nothing_sent(world, 0);
    nothing_sent(world, 2);
    (void)next(world, 1, MSG_START);
    ask_by(world, 2, false, terms_for("ask", "other")); /* by itself it may be shorter */
    turn(world);
    (void)next(world, 2, MSG_START);
}

static void say_drains(struct world *world, size_t node, uint32_t context, bool draining)
{
    struct msg_instance small = {.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .context = context,
            .engine = "fake",
            .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.draining = draining, .instances = &small, .instance_count = 1}});
}

/* Its context is of no use to who shortens the prompt. */
static void one_that_drains_does_not_speak_for_the_longest(void **state)
{
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_RESIDENT);
    say_drains(world, 1, 2000, true);
    for (unsigned i = 0; i < 2; i++) {
        ask_for_small(world, i == 0 ? 8 : 200);
        nothing_sent(world, 1);
        uint64_t stream = next(world, 0, MSG_START).start.stream;
        fake_link_forget(&world->mesh.link, 0);
        say_fail(world, 0, stream, FAIL_CONTEXT_EXCEEDED, 400, "it is too long");
        assert_int_equal(world->clients[0].status, 400);
    }
}

static void one_that_drains_is_not_the_longest_of_the_modes(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_drains(world, 0, 2000, true);
    ask_what_is_long(world, 0, 1024);
    is_refused_by_its_engine(world, 1, "ask");
    say_context(world, 1, "other", INSTANCE_AVAILABLE, 1024);
    world->edit = be_long;
    ask_by(world, 0, false, terms_before("code", "small", terms_for("ask", "other")));
    is_refused_without_a_load(world, "other", 1024);
    ask_by(world, 0, false, terms_before("ask", "other", terms_for("code", "small")));
    is_refused_without_a_load(world, "other", 1024);
}

/* Who waits does so for one that would take a shorter prompt: it may be shorter than it seems. */
static void where_all_drain_what_is_too_long_waits_as_others_do(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_drains(world, 0, 1024, true);
    ask_for_small(world, 200);
    is_refused_without_a_load(world, "small", 1024);
    world->edit = be_of_2k_tokens;
    struct job_terms *refuses = terms_for("ask", "small");
    refuses->when_none = WHEN_NONE_REFUSE;
    ask_by(world, 0, false, refuses);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(&world->clients[0], "each node that has the model is draining"));
    ask_for_small(world, 8);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    nothing_sent(world, 0);
    say_drains(world, 0, 1024, false);
    complete(world, 0, take_request(world, 0), "x");
    assert_int_equal(world->clients[0].status, 200);
}

/* The slow node 0 has all that it takes at once. */
static void fill_first_of_two(struct world *world)
{
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 1024);
    fill(world);
    join(world, 1, "small");
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 1024);
}

/* Estimates are rough: it is served where a short one would be. */
static void what_may_be_shorter_than_it_seems_waits_for_no_full_one(void **state)
{
    struct world *world = *state;
    struct job_terms *refuses = terms_for("ask", "small");
    fill_first_of_two(world);
    refuses->when_none = WHEN_NONE_REFUSE;
    world->edit = be_of_2k_tokens;
    ask_by(world, 0, false, refuses);
    nothing_sent(world, 0);
    complete(world, 1, take_request(world, 1), "x");
    assert_int_equal(world->clients[0].status, 200);
    ask_for_small(world, 8);
    (void)next(world, 1, MSG_START);
}

static void what_is_far_too_long_waits_for_what_is_loaded(void **state)
{
    struct world *world = *state;
    fill_first_of_two(world);
    ask_for_small(world, 200);
    nothing_sent(world, 1);
    assert_int_equal(jobs_waiting(world->jobs), 1);
}

static void count_tokens(struct request *request)
{
    be_long(request);
    request->kind = REQUEST_COUNT;
}

static void what_is_only_counted_is_never_too_long(void **state)
{
    static const char *const models[] = {"small"};
    struct world *world = *state;
    two_of_the_same(world, INSTANCE_AVAILABLE);
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 1000);
    world->edit = count_tokens;
    ask_for(world, 0, false, models, 1);
    turn(world);
    (void)next(world, 0, MSG_START);
}

static void ask_two_modes(struct world *world, enum instance_state first,
        enum instance_state second, uint32_t second_context)
{
    join(world, 0, "small");
    join(world, 1, "other");
    say_context(world, 0, "small", first, 2048);
    say_context(world, 1, "other", second, second_context);
    world->edit = be_long;
    ask_by(world, 0, false, terms_before("code", "small", terms_for("ask", "other")));
    turn(world);
}

static void what_is_too_long_for_all_modes_loads_nothing(void **state)
{
    struct world *world = *state;
    ask_two_modes(world, INSTANCE_AVAILABLE, INSTANCE_AVAILABLE, 4096);
    is_refused_without_a_load(world, "other", 4096);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
}

static void of_all_modes_that_which_is_loaded_counts(void **state)
{
    struct world *world = *state;
    ask_two_modes(world, INSTANCE_AVAILABLE, INSTANCE_RESIDENT, 1024);
    nothing_sent(world, 0);
    (void)next(world, 1, MSG_START);
}

static void be_long_and_follow_the_mode(struct request *request)
{
    be_of_2k_tokens(request);
    request->follows_mode = true;
}

/* It goes by those of another mode meanwhile. */
static void terms_that_may_count_again_follow_their_mode(void **state)
{
    struct world *world = *state;
    join(world, 0, "newer");
    say_context(world, 0, "newer", INSTANCE_RESIDENT, 1024);
    join(world, 1, "other");
    say_context(world, 1, "other", INSTANCE_FAILED, 8192);
    world->edit = be_long_and_follow_the_mode;
    ask_by(world, 0, false, terms_before("code", "older", terms_for("ask", "other")));
    assert_int_equal(jobs_waiting(world->jobs), 1);
    jobs_move_mode(world->jobs, "code", "older", "newer");
    say_context(world, 1, "other", INSTANCE_RESIDENT, 512);
    turn(world);
    nothing_sent(world, 1);
    is_refused_by_its_engine(world, 0, "code");
}

/* A prompt that may be shorter than it seems, while that of "ask" is full. What runs there: */
static uint64_t ask_beside_a_full_one(
        struct world *world, enum instance_state state_of_code, enum mode_when_none when_none)
{
    static const char *const other[] = {"other"};
    uint64_t stream = 0;
    join(world, 0, "small");
    say_context(world, 0, "small", state_of_code, 1024);
    join(world, 1, "other");
    say_context(world, 1, "other", INSTANCE_RESIDENT, 1024);
    for (size_t i = 0; i < 1 + ROUTING_BEYOND_SLOTS; i++) {
        ask_for(world, CLIENTS - 1 - i, true, other, 1);
        stream = take_request(world, 1);
    }
    struct job_terms *last = terms_for("ask", "other");
    last->when_none = when_none;
    world->edit = be_of_2k_tokens;
    ask_by(world, 0, false, terms_before("code", "small", last));
    turn(world);
    return stream;
}

static void what_may_be_shorter_is_loaded_for_where_another_mode_is_full(void **state)
{
    struct world *world = *state;
    (void)ask_beside_a_full_one(world, INSTANCE_AVAILABLE, WHEN_NONE_REFUSE);
    assert_int_equal(next(world, 0, MSG_START).type, MSG_START);
    assert_int_equal(world->clients[0].status, 0);
}

static void can_be_loaded_again(struct world *world, uint32_t context)
{
    (void)ask_beside_a_full_one(world, INSTANCE_FAILED, WHEN_NONE_WAIT);
    nothing_sent(world, 0);
    say_context(world, 0, "small", INSTANCE_AVAILABLE, context);
    take_request(world, 0);
    assert_int_equal(jobs_waiting(world->jobs), 0);
}

static void what_can_be_loaded_again_takes_it_from_the_full_one(void **state)
{
    can_be_loaded_again(*state, 1024);
}

static void what_holds_it_after_all_takes_it_from_the_full_one(void **state)
{
    can_be_loaded_again(*state, 8192);
}

/* Both are full, and too short. */
static void what_is_too_long_waits_for_another_where_the_longest_is_gone(void **state)
{
    struct world *world = *state;
    static const char *const small[] = {"small"};
    join(world, 2, "small");
    say_context(world, 2, "small", INSTANCE_RESIDENT, 2048);
    for (size_t i = 0; i < 1 + ROUTING_BEYOND_SLOTS; i++) {
        ask_for(world, 1 + i, false, small, 1);
        take_request(world, 2);
    }
    uint64_t stream = ask_beside_a_full_one(world, INSTANCE_FAILED, WHEN_NONE_WAIT);
    lose(world, 0);
    nothing_sent(world, 1);
    lose(world, 2);
    turn(world);
    complete(world, 1, stream, "x");
    complete(world, 1, take_request(world, 1), "y");
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
}

/* Both wait for the model of "last", which their modes have in common. */
static void what_goes_on_to_the_same_is_not_the_same(void **state)
{
    struct world *world = *state;
    static const char *const modes[] = {"fast", "ask"}, *const models[] = {"tiny", "small"};
    join(world, 0, "other");
    say_context(world, 0, "other", INSTANCE_FAILED, 1024);
    world->edit = be_of_2k_tokens;
    for (size_t i = 0; i < 2; i++) {
        ask_by(world, i, true, terms_before(modes[i], models[i], terms_for("last", "other")));
        turn(world);
    }
    assert_int_equal(jobs_waiting(world->jobs), 2);
    join(world, 1, "small");
    say_context(world, 1, "small", INSTANCE_AVAILABLE, 2048);
    complete(world, 1, take_request(world, 1), "x");
    assert_true(fake_exchange_has(&world->clients[1], "x"));
    assert_int_equal(jobs_waiting(world->jobs), 1);
}

static void what_cannot_be_loaded_leaves_it_to_the_full_one(void **state)
{
    struct world *world = *state;
    uint64_t stream = ask_beside_a_full_one(world, INSTANCE_FAILED, WHEN_NONE_WAIT);
    nothing_sent(world, 0);
    lose(world, 0);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    complete(world, 1, stream, "x");
    complete(world, 1, take_request(world, 1), "y");
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: ask\n"));
}

static struct job_terms *terms_with_spare(const char *mode, const char *model, const char *spare)
{
    struct job_terms *terms = terms_for(mode, model);
    terms->spare = job_terms_of_models(mode, &spare, 1);
    assert_non_null(terms->spare);
    return terms;
}

static void who_has_lost_his_node_takes_what_is_there(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    ask_by(world, 0, true, terms_with_spare("code", "small", "other"));
    take_request(world, 0);
    nothing_sent(world, 1);
    lose(world, 0);
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[0]);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Model: other\n"));
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code any model: small; no node has one of those for it now; "
            "the only instance: "));
}

static void who_waits_takes_what_comes_first(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    for (size_t i = 0; i < 2 + ROUTING_BEYOND_SLOTS; i++)
        ask_by(world, i, true, terms_with_spare("code", "small", "other"));
    wait_ms(world, 1000);
    assert_int_equal(jobs_waiting(world->jobs), 2 + ROUTING_BEYOND_SLOTS);
    join(world, 1, "other");
    turn(world);
    uint64_t first = next(world, 1, MSG_START).start.stream;
    fake_link_forget(&world->mesh.link, 1); /* and one beyond its slots */
    join(world, 0, "small");                /* its own is not passed over any longer */
    complete(world, 0, take_request(world, 0), "y");
    complete(world, 1, first, "x");
    assert_int_equal(jobs_waiting(world->jobs), 0);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Model: other\n"));
    assert_true(fake_exchange_has_header(&world->clients[2], "X-Modemesh-Model: small\n"));
}

static void what_is_only_full_is_waited_for_beside_a_spare(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "other");
    fill(world);
    ask_by(world, 0, true, terms_with_spare("code", "small", "other"));
    wait_ms(world, 1000);
    nothing_sent(world, 1);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    drain(world, 0, true);
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[0]);
}

/* What is left of their own has too short a context for one of them. */
static void two_alike(struct world *world, uint8_t priority_of_longer)
{
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 8192);
    join(world, 1, "other");
    say_context(world, 1, "other", INSTANCE_RESIDENT, 8192);
    join(world, 2, "small");
    say_context(world, 2, "small", INSTANCE_FAILED, 1024);
    for (size_t i = 0; i < 2; i++) {
        struct job_terms *terms = terms_with_spare("code", "small", "other");
        terms->tokens = i ? 2000 : 500;
        terms->priority = i ? priority_of_longer : 1;
        world->edit = i ? be_of_2k_tokens : leave_as_it_is;
        ask_by(world, i, true, terms);
        take_request(world, 0);
    }
    lose(world, 0);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    complete(world, 1, take_request(world, 1), "x");
    assert_true(fake_exchange_has(&world->clients[1], "x"));
    nothing_sent(world, 1);
}

static void of_two_alike_only_the_longer_one_goes_to_the_spare(void **state)
{
    two_alike(*state, 0);
}

static void of_two_alike_the_first_one_may_go_to_the_spare(void **state)
{
    two_alike(*state, 2);
}

/* What is left of its own has too short a context. */
static void what_holds_it_no_more_is_not_there(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 8192);
    join(world, 1, "other");
    say_context(world, 1, "other", INSTANCE_RESIDENT, 8192);
    join(world, 2, "small");
    say_context(world, 2, "small", INSTANCE_RESIDENT, 1024);
    world->edit = be_of_2k_tokens;
    struct job_terms *terms = terms_with_spare("code", "small", "other");
    terms->tokens = 2000;
    ask_by(world, 0, true, terms);
    turn(world);
    take_request(world, 0);
    lose(world, 0);
    complete(world, 1, take_request(world, 1), "x");
    assert_true(fake_exchange_has_header(&world->clients[0],
            "X-Modemesh-Reason: code any model: small; no node has one of those for it now; "));
}

/* Two that differ in nothing else. */
static void another_model_more_is_not_a_spare(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    struct job_terms *both = terms_for("code", "small");
    assert_int_equal(job_terms_add(both, "other", 50), 0);
    both->named_count = 2;
    ask_by(world, 0, true, terms_with_spare("code", "small", "other"));
    ask_by(world, 1, true, both);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    join(world, 1, "other");
    turn(world);
    assert_int_equal(jobs_running(world->jobs), 2);
}

static void a_spare_follows_its_mode(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    lose(world, 0);
    world->edit = be_long_and_follow_the_mode;
    ask_by(world, 0, true, terms_with_spare("code", "small", "older"));
    jobs_move_mode(world->jobs, "code", "older", "newer");
    join(world, 1, "newer");
    complete(world, 1, take_request(world, 1), "x");
    is_complete_stream(&world->clients[0]);
}

/* However often it is looked at meanwhile. */
static void what_is_too_long_waits_no_longer_than_others(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    say_context(world, 0, "small", INSTANCE_RESIDENT, 1024);
    ask_what_is_long(world, 0, 512);
    for (unsigned ms = 0; ms < 10000; ms += 100) {
        nothing_sent(world, 1);
        wait_ms(world, 100);
    }
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has_header(&world->clients[0], "X-Modemesh-Mode: code\n"));
}

/* There is no room for an answer at all. */
static void the_longest_context_is_named(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 256);
    ask(world, 0, false);
    assert_int_equal(world->clients[0].status, 503);
    assert_true(fake_exchange_has(
            &world->clients[0], "longer than the context of each node, of at most 256 tokens"));
}

/* An instance that still has much to compute takes no other chat. */
static void what_waits_for_a_prefill_goes_with_its_first_token(void **state)
{
    static const char *const models[] = {"small"};
    struct world *world = *state;
    join(world, 0, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 131072);
    world->edit = be_long;
    ask_for(world, 0, true, models, 1);
    turn(world);
    uint64_t stream = next(world, 0, MSG_START).start.stream;
    fake_link_forget(&world->mesh.link, 0); /* as much of its body as has room */
    world->edit = leave_as_it_is;
    ask_for(world, 1, true, models, 1);
    turn(world);
    nothing_sent(world, 0);
    say_data(world, 0, stream, DELTA_TEXT, "first");
    assert_int_equal(world->mesh.changes, 0);
    take_request(world, 0);
}

/* What holds it has failed it, and the other one is too short. */
static void a_long_prompt_goes_back_to_what_holds_it(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    join(world, 1, "small");
    say_context(world, 0, "small", INSTANCE_RESIDENT, 131072);
    say_context(world, 1, "small", INSTANCE_RESIDENT, 8192);
    world->edit = be_long;
    ask(world, 0, true);
    turn(world);
    uint64_t stream = next(world, 0, MSG_START).start.stream;
    fake_link_forget(&world->mesh.link, 0);
    say_fail(world, 0, stream, FAIL_ENGINE_DIED, 0, "out of memory");
    turn(world);
    nothing_sent(world, 1);
    wait_ms(world, JOB_SAME_AGAIN_MS);
    next(world, 0, MSG_START);
    nothing_sent(world, 1);
}

static void be_of_a_neighbour(struct request *request)
{
    strcpy(request->client, "key neighbour");
}

static void say_slots(struct world *world, size_t node, const char *model,
        enum instance_state state, uint32_t slots)
{
    struct msg_instance instance = {.model = model,
            .state = state,
            .slots = state == INSTANCE_RESIDENT ? slots : 0,
            .run_slots = slots,
            .engine = "fake",
            .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void what_nobody_has_loaded_is_loaded_though_others_are_there(void **state)
{
    struct world *world = *state;
    join(world, 2, "large");
    world->edit = be_of_a_neighbour;
    ask_for(world, 0, true, (const char *const[]){"large"}, 1);
    for (size_t node = 0; node < 2; node++) {
        join(world, node, "small");
        say_slots(world, node, "small", INSTANCE_AVAILABLE, 4);
    }
    world->edit = leave_as_it_is;
    ask(world, 1, true);
    assert_int_equal(jobs_running(world->jobs), 2);
}

/* Who has much of one model running has no less of another. */
static void a_key_is_greedy_only_where_it_has_much(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_slots(world, 0, "small", INSTANCE_RESIDENT, 2);
    join(world, 1, "large");
    say_slots(world, 1, "large", INSTANCE_RESIDENT, 6);
    world->edit = be_of_a_neighbour;
    ask(world, 0, true);
    world->edit = leave_as_it_is;
    for (size_t i = 1; i <= 4; i++)
        ask_for(world, i, true, (const char *const[]){"large"}, 1);
    assert_int_equal(jobs_running(world->jobs), 5);
    ask(world, 5, true);
    assert_int_equal(jobs_running(world->jobs), 6);
    ask(world, 6, true);
    assert_int_equal(jobs_running(world->jobs), 7);
    ask(world, 7, true); /* two of two slots: it waits, and now as one who has much */
    assert_int_equal(jobs_running(world->jobs), 7);
}

static void who_waited_is_told_of_a_slot_that_is_kept_for_others(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_slots(world, 0, "small", INSTANCE_RESIDENT, 4);
    join(world, 1, "large");
    say_slots(world, 1, "large", INSTANCE_RESIDENT, 4);
    static const char *const large[] = {"large"};
    world->edit = be_of_a_neighbour;
    ask_for(world, 0, true, large, 1);
    world->edit = be_of_key_a;
    ask_for(world, 1, true, large, 1);
    world->edit = leave_as_it_is;
    for (size_t i = 2; i < 5; i++)
        ask(world, i, true);
    assert_int_equal(jobs_running(world->jobs), 5);
    struct job_terms *terms = terms_for("code", "small");
    terms->patience_ms = 5000;
    ask_by(world, 5, false, terms);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    wait_ms(world, 5001);
    assert_int_equal(world->clients[5].status, 503);
    assert_true(fake_exchange_has(&world->clients[5],
            "a slot is free, and its turn has not come; waited 5.0 s, as long as "));
}

static struct job_terms *terms_that_refuse(void)
{
    struct job_terms *terms = terms_for("code", "small");
    terms->when_none = WHEN_NONE_REFUSE;
    return terms;
}

/* Node 0 computes it for long. Returns its stream. */
static uint64_t compute_long(struct world *world)
{
    world->edit = be_long;
    ask(world, 0, true);
    world->edit = leave_as_it_is;
    turn(world);
    uint64_t stream = next(world, 0, MSG_START).start.stream;
    fake_link_forget(&world->mesh.link, 0); /* as much of its body as has room */
    return stream;
}

static void what_is_only_held_back_is_neither_refused_nor_sent_on(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_slots(world, 0, "small", INSTANCE_RESIDENT, 4);
    join(world, 1, "other");
    uint64_t stream = compute_long(world);
    ask_by(world, 1, true, terms_that_refuse());
    ask_by(world, 2, true, terms_before("code", "small", terms_for("ask", "other")));
    turn(world);
    nothing_sent(world, 0);
    nothing_sent(world, 1);
    assert_int_equal(jobs_waiting(world->jobs), 2);
    say_data(world, 0, stream, DELTA_TEXT, "first");
    turn(world);
    assert_int_equal(jobs_running(world->jobs), 3);
}

static void what_is_held_back_is_refused_where_all_slots_are_taken(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    say_slots(world, 0, "small", INSTANCE_RESIDENT, 2);
    compute_long(world);
    ask_by(world, 1, true, terms_that_refuse());
    assert_int_equal(jobs_waiting(world->jobs), 1);
    ask_by(world, 2, true, terms_that_refuse()); /* the other slot is the first one's */
    assert_int_equal(world->clients[2].status, 503);
    say_slots(world, 0, "small", INSTANCE_RESIDENT, 1);
    turn(world);
    assert_int_equal(world->clients[1].status, 503);
    assert_int_equal(jobs_waiting(world->jobs), 0);
}

/* All but one slot are still free, for so many. */
static void none_that_is_to_be_refused_is_passed_over(void **state)
{
    enum { SLOTS = JOBS_LOOKS_MAX + 10, COUNT = SLOTS + 10 };
    static struct http_exchange many[COUNT];
    struct world *world = *state;
    join(world, 0, "small");
    say_slots(world, 0, "small", INSTANCE_RESIDENT, SLOTS);
    compute_long(world);
    for (size_t i = 0; i < COUNT; i++)
        come_with(world, &many[i], LANE_CHAT, 0, terms_that_refuse());
    turn(world);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(many[i].status, i < SLOTS - 1 ? 0 : 503);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < COUNT; i++)
        fake_exchange_fini(&many[i]);
}

static void who_refuses_tries_the_only_instance_again(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    ask_by(world, 0, true, terms_that_refuse());
    say_fail(world, 0, take_request(world, 0), FAIL_ENGINE_DIED, 0, "killed");
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    wait_ms(world, JOB_SAME_AGAIN_MS);
    complete(world, 0, take_request(world, 0), "x");
    is_complete_stream(&world->clients[0]);
}

/* How many run, where so many wait in vain, each in a mode of its own or with the same one, and one
 * asks for what is free behind them. */
static size_t count_behind(struct world *world, size_t kinds, bool same)
{
    enum { MANY = JOBS_KINDS_MAX + JOBS_LOOKS_MORE_MAX };
    static struct http_exchange many[MANY];
    static const char *const other[] = {"other"};
    assert_in_range(kinds, 1, MANY);
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    join(world, 1, "other");
    for (size_t i = 0; i < kinds; i++) {
        char mode[32];
        (void)snprintf(mode, sizeof(mode), "mode %zu", same ? 0 : i);
        come_with(world, &many[i], LANE_CHAT, 1, terms_for(mode, "small"));
    }
    ask_for(world, 0, true, other, 1);
    size_t running = jobs_running(world->jobs);
    jobs_end_all(world->jobs);
    for (size_t i = 0; i < kinds; i++)
        fake_exchange_fini(&many[i]);
    return running;
}

static void what_many_modes_wait_for_holds_up_no_other(void **state)
{
    assert_int_equal(count_behind(*state, JOBS_KINDS_MAX + JOBS_LOOKS_MORE_MAX - 1, false), 1);
}

static void how_many_kinds_are_looked_at_has_a_limit(void **state)
{
    assert_int_equal(count_behind(*state, JOBS_KINDS_MAX + JOBS_LOOKS_MORE_MAX, false), 0);
}

static void ask_for_one_token_more(struct request *request)
{
    static unsigned tokens;
    request->said.limit_tokens = ++tokens;
}

static void any_length_of_answers_makes_few_kinds(void **state)
{
    struct world *world = *state;
    world->edit = ask_for_one_token_more;
    assert_int_equal(count_behind(world, JOBS_KINDS_MAX + JOBS_LOOKS_MORE_MAX, true), 1);
}

/* --- many that come at once --- */

/* Nothing is decided before all are there, and then for each. */
static void what_comes_in_one_turn_is_looked_at_once(void **state)
{
    struct world *world = *state;
    join(world, 0, "small");
    fill(world);
    for (size_t i = 0; i < 3; i++) {
        world->edit = i == 2 ? be_autocomplete : leave_as_it_is;
        come_by(world, i, true, terms_that_refuse());
    }
    assert_int_equal(jobs_waiting(world->jobs), 3);
    turn(world);
    assert_int_equal(world->clients[0].status, 503);
    assert_int_equal(world->clients[1].status, 503);
    take_request(world, 0);
    assert_int_equal(jobs_waiting(world->jobs), 0);
}

static void a_burst_is_looked_at_before_it_grows_too_long(void **state)
{
    static struct http_exchange many[JOBS_BURST_MAX];
    struct world *world = *state;
    for (size_t i = 0; i < JOBS_BURST_MAX; i++) {
        assert_int_equal(many[0].status, 0);
        come_in_lane(world, &many[i], LANE_CHAT, 0);
    }
    for (size_t i = 0; i < JOBS_BURST_MAX; i++) {
        assert_int_equal(many[i].status, 503);
        fake_exchange_fini(&many[i]);
    }
}

/* Each that comes has one out, and the last look is for them alone. */
static void a_burst_makes_no_queue_longer(void **state)
{
    enum { BURST = JOBS_BURST_MAX - 1, COUNT = JOBS_WAITING_MAX + BURST };
    static struct http_exchange many[COUNT];
    struct world *world = *state;
    join(world, 0, "small");
    say_model(world, 0, "small", INSTANCE_FAILED);
    for (size_t i = 0; i < JOBS_WAITING_MAX; i++)
        ask_in_lane(world, &many[i], LANE_CHAT, 0);
    for (size_t i = JOBS_WAITING_MAX; i < COUNT; i++)
        come_in_lane(world, &many[i], LANE_CHAT, 0);
    assert_int_equal(jobs_waiting(world->jobs), COUNT);
    turn(world);
    assert_int_equal(jobs_waiting(world->jobs), JOBS_WAITING_MAX);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(many[i].status, i < JOBS_WAITING_MAX ? 0 : 429);
    jobs_destroy(world->jobs);
    world->jobs = NULL;
    for (size_t i = 0; i < COUNT; i++)
        fake_exchange_fini(&many[i]);
}

static void be_of_10k_tokens(struct request *request)
{
    request->chain.bytes = (size_t)(10000 * TOKEN_RATIO_PRIOR);
}

static void say_speed(struct world *world, size_t node, float prefill_tok_s)
{
    struct msg_instance instance = {.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .prefill_tok_s = prefill_tok_s,
            .decode_tok_s = 1000,
            .engine = "fake",
            .note = ""};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

/* How many run, of so many that come at once, where one that is slower by this factor is there. */
static size_t count_running(struct world *world, size_t count, float factor)
{
    enum { MANY = 300 };
    static struct http_exchange many[MANY];
    for (size_t node = 0; node < 2; node++) {
        join(world, node, "small");
        say_speed(world, node, node == 0 ? 10000 : 10000 / factor);
    }
    world->edit = be_of_10k_tokens;
    assert_in_range(count, 1, MANY);
    for (size_t i = 0; i < count; i++)
        come_in_lane(world, &many[i], LANE_CHAT, 1);
    turn(world);
    size_t running = jobs_running(world->jobs);
    jobs_end_all(world->jobs);
    for (size_t i = 0; i < count; i++)
        fake_exchange_fini(&many[i]);
    return running;
}

/* It is worth it only for who comes far behind those that wait for the quick one. */
static void a_slow_one_does_not_stand_idle_behind_a_crowd(void **state)
{
    assert_int_equal(count_running(*state, 60, 50), 2);
}

static void how_far_behind_is_looked_has_a_limit(void **state)
{
    enum { ASKED = 1 + JOBS_LOOKS_MAX + JOBS_LOOKS_MORE_MAX }; /* the first of them runs */
    assert_int_equal(count_running(*state, 2 * ASKED, ASKED * 1.5F), 1);
}

static long take_number(struct world *world, uint64_t *ret_stream)
{
    turn(world);
    struct msg start = next(world, 0, MSG_START);
    long number = strtol(start.start.request_id + strlen("req_"), NULL, 10);
    *ret_stream = start.start.stream;
    assert_true(next(world, 0, MSG_BODY).body.last);
    return number;
}

/* It has all the room that there is, again and again: what chat is due it gets. */
static void autocomplete_does_not_keep_chat_out_for_ever(void **state)
{
    enum { ROOM = 1 + ROUTING_BEYOND_SLOTS + ROUTING_AUTOCOMPLETE_BEYOND, CHAT = ROOM };
    struct world *world = *state;
    uint64_t streams[ROOM];
    long chat = 0;
    join(world, 0, "small");
    world->edit = be_autocomplete;
    for (size_t i = 0; i < ROOM; i++) {
        ask(world, i, true);
        chat = take_number(world, &streams[i]) + 1;
    }
    world->edit = leave_as_it_is;
    ask(world, CHAT, true);
    world->edit = be_autocomplete;
    for (size_t i = CHAT + 1; i < CLIENTS; i++)
        ask(world, i, true);
    for (size_t i = 0; i < ROOM; i++) {
        complete(world, 0, streams[i], "x");
        if (take_number(world, &streams[i]) == chat)
            return;
    }
    fail_msg("chat has had no turn");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            JOB_TEST(a_stream_goes_through),
            JOB_TEST(a_whole_answer_is_given_at_the_end),
            JOB_TEST(headers_go_out_a_second_after_start),
            JOB_TEST(a_silent_stream_shows_signs_of_life),
            JOB_TEST(a_conversation_stays_where_it_was),
            JOB_TEST(a_conversation_goes_on_elsewhere_where_its_node_is_gone),
            JOB_TEST(what_fails_before_its_content_moves),
            JOB_TEST(a_whole_answer_moves_at_any_time),
            JOB_TEST(it_moves_to_the_next_model_on_the_same_node),
            JOB_TEST(the_only_instance_is_tried_again_after_a_pause),
            JOB_TEST(want_of_memory_is_told_to_everybody_who_asks),
            JOB_TEST(a_lost_node_moves_its_requests),
            JOB_TEST(after_its_content_it_ends_with_an_error),
            JOB_TEST(an_engines_refusal_keeps_its_status),
            JOB_TEST(an_engine_that_answers_with_errors_does_not_get_all),
            JOB_TEST(a_failure_without_words_still_says_something),
            JOB_TEST(an_answer_without_a_finish_is_not_complete),
            JOB_TEST(an_empty_answer_is_an_error),
            JOB_TEST(a_stream_may_fail_in_the_queue),
            JOB_TEST(whole_answers_have_a_limit_in_sum),
            JOB_TEST(nonsense_from_a_node_ends_only_its_request),
            JOB_TEST(a_value_that_lacks_its_end_is_an_error),
            JOB_TEST(no_memory_for_a_stream_cuts_it_off),
            JOB_TEST(a_client_that_leaves_cancels),
            JOB_TEST(a_client_may_leave_the_queue),
            JOB_TEST(a_slow_reader_slows_only_itself),
            JOB_TEST(empty_text_does_not_use_up_the_credit),
            JOB_TEST(the_queue_is_served_when_there_is_room),
            JOB_TEST(who_waits_is_counted_by_modes),
            JOB_TEST(what_ends_makes_room_in_the_same_turn),
            JOB_TEST(who_leaves_makes_room_in_the_same_turn),
            JOB_TEST(a_waiting_stream_shows_headers_and_life),
            JOB_TEST(a_stream_that_waited_long_says_who_answers),
            JOB_TEST(a_stream_says_anew_who_answers),
            JOB_TEST(no_memory_to_say_who_answers_cuts_it_off),
            JOB_TEST(waiting_has_a_limit),
            JOB_TEST(all_that_wait_in_vain_are_told_why),
            JOB_TEST(only_the_time_in_the_queue_counts),
            JOB_TEST(the_queue_has_an_end),
            JOB_TEST(what_a_lost_node_had_holds_up_nobody),
            JOB_TEST(who_fills_the_queue_keeps_nobody_else_out),
            JOB_TEST(chat_does_not_fill_the_queue_of_autocomplete),
            JOB_TEST(bodies_have_a_limit_in_sum),
            JOB_TEST(nobody_has_it),
            JOB_TEST(a_node_that_is_away_is_waited_for),
            JOB_TEST(a_node_that_is_back_may_take_a_moment_to_tell),
            JOB_TEST(what_is_not_back_with_its_node_is_refused),
            JOB_TEST(its_mode_says_for_how_long),
            JOB_TEST(the_last_mode_says_how_long_it_was_waited_for),
            JOB_TEST(who_does_not_wait_is_told_at_once),
            JOB_TEST(who_has_to_wait_holds_up_nobody_who_goes_on),
            JOB_TEST(a_node_that_drains_is_waited_for),
            JOB_TEST(what_a_lost_node_had_begun_waits_for_it),
            JOB_TEST(who_could_not_take_it_is_not_waited_for),
            JOB_TEST(however_many_wait_for_one_others_are_served),
            JOB_TEST(one_that_is_refused_is_not_asked_for_again_meanwhile),
            JOB_TEST(a_node_that_cannot_take_it_is_not_named),
            JOB_TEST(stopping_tells_nodes_and_clients),
            JOB_TEST(what_no_model_can_is_the_clients_fault),
            JOB_TEST(an_engine_that_turns_out_unable_answers_nothing),
            JOB_TEST(the_only_instance_that_can_is_tried_again),
            JOB_TEST(autocomplete_overtakes_chat_in_the_queue),
            JOB_TEST(what_waits_goes_where_the_mode_goes),
            JOB_TEST(what_may_not_follow_stays),
            JOB_TEST(what_runs_stays_until_it_fails),
            JOB_TEST(a_model_of_the_list_comes_to_the_front),
            JOB_TEST(a_mode_that_moves_too_often_is_left_alone),
            JOB_TEST(the_reason_begins_with_the_rule),
            JOB_TEST(a_comment_is_one_line),
            JOB_TEST(what_is_below_the_floor_is_waited_past),
            JOB_TEST(another_stands_in_where_the_named_one_is_busy),
            JOB_TEST(a_mode_may_refuse_at_once),
            JOB_TEST(where_none_can_the_next_mode_is_asked),
            JOB_TEST(the_next_mode_fills_the_body),
            JOB_TEST(the_last_mode_that_is_asked_says_why_not),
            JOB_TEST(models_are_told_of_the_mode_that_has_them),
            JOB_TEST(a_turn_is_waited_for_before_the_next_mode_is_asked),
            JOB_TEST(a_mode_has_its_own_patience),
            JOB_TEST(all_that_wait_go_on_to_the_next_mode),
            JOB_TEST(a_higher_priority_is_served_first),
            JOB_TEST(who_waits_is_told_for_how_long),
            JOB_TEST(who_has_waited_is_told_so),
            JOB_TEST(a_full_queue_says_when_to_come_back),
            JOB_TEST(tokens_cached_beyond_the_prompt_earn_nothing),
            JOB_TEST(what_no_engine_writes_is_not_charged),
            JOB_TEST(what_comes_next_follows_its_mode_too),

            JOB_TEST(turns_of_a_conversation_go_to_one_node),
            JOB_TEST(a_conversation_goes_on_elsewhere),
            JOB_TEST(no_answer_is_longer_than_its_time_allows),
            JOB_TEST(a_newer_keystroke_ends_what_runs),
            JOB_TEST(a_newer_keystroke_ends_a_stream),
            JOB_TEST(a_newer_keystroke_ends_a_prefill),
            JOB_TEST(a_newer_keystroke_ends_what_waits),
            JOB_TEST(a_slow_reader_is_told_in_its_time),
            JOB_TEST(all_choices_are_cut_off),
            JOB_TEST(what_another_types_ends_nothing),
            JOB_TEST(a_session_tells_the_editor),
            JOB_TEST(a_line_that_is_typed_is_a_conversation),
            JOB_TEST(where_the_editor_says_its_session_that_is_who_types),
            JOB_TEST(a_line_in_a_raw_prompt_is_a_conversation_too),
            JOB_TEST(who_types_has_a_place),
            JOB_TEST(of_the_letter_before_only_whole_blocks_are_held),
            JOB_TEST(who_names_no_conversation_is_known_by_its_beginning),
            JOB_TEST(a_long_prompt_does_not_hold_up_a_short_one),
            JOB_TEST(a_long_answer_does_not_hold_up_a_short_one),
            JOB_TEST(what_is_too_long_for_a_mode_goes_on_to_the_next),
            JOB_TEST(what_is_too_long_for_all_modes_goes_to_the_longest),
            JOB_TEST(the_longest_may_be_that_of_the_last_mode),
            JOB_TEST(each_mode_has_its_own_limit_of_the_answer),
            JOB_TEST(what_the_next_mode_lacks_leaves_the_longest),
            JOB_TEST(what_is_too_long_goes_to_what_is_loaded),
            JOB_TEST(what_is_resident_comes_before_what_loads),
            JOB_TEST(a_somewhat_shorter_context_comes_before_a_load),
            JOB_TEST(what_is_far_too_long_loads_nothing),
            JOB_TEST(a_much_shorter_context_does_not_speak_for_the_longest),
            JOB_TEST(what_may_be_shorter_than_it_seems_is_loaded_for),
            JOB_TEST(what_is_only_counted_is_never_too_long),
            JOB_TEST(what_is_too_long_for_all_modes_loads_nothing),
            JOB_TEST(of_all_modes_that_which_is_loaded_counts),
            JOB_TEST(what_may_be_shorter_than_it_seems_waits_for_no_full_one),
            JOB_TEST(what_is_far_too_long_waits_for_what_is_loaded),
            JOB_TEST(what_is_far_too_long_for_the_longest_is_so_in_other_modes),
            JOB_TEST(one_that_drains_does_not_speak_for_the_longest),
            JOB_TEST(one_that_drains_is_not_the_longest_of_the_modes),
            JOB_TEST(where_all_drain_what_is_too_long_waits_as_others_do),
            JOB_TEST(terms_that_may_count_again_follow_their_mode),
            JOB_TEST(who_has_lost_his_node_takes_what_is_there),
            JOB_TEST(who_waits_takes_what_comes_first),
            JOB_TEST(what_is_only_full_is_waited_for_beside_a_spare),
            JOB_TEST(of_two_alike_only_the_longer_one_goes_to_the_spare),
            JOB_TEST(of_two_alike_the_first_one_may_go_to_the_spare),
            JOB_TEST(what_holds_it_no_more_is_not_there),
            JOB_TEST(another_model_more_is_not_a_spare),
            JOB_TEST(what_may_be_shorter_is_loaded_for_where_another_mode_is_full),
            JOB_TEST(what_can_be_loaded_again_takes_it_from_the_full_one),
            JOB_TEST(what_holds_it_after_all_takes_it_from_the_full_one),
            JOB_TEST(what_is_too_long_waits_for_another_where_the_longest_is_gone),
            JOB_TEST(what_goes_on_to_the_same_is_not_the_same),
            JOB_TEST(what_cannot_be_loaded_leaves_it_to_the_full_one),
            JOB_TEST(a_spare_follows_its_mode),
            JOB_TEST(what_is_too_long_waits_no_longer_than_others),
            JOB_TEST(the_longest_context_is_named),
            JOB_TEST(what_waits_for_a_prefill_goes_with_its_first_token),
            JOB_TEST(a_long_prompt_goes_back_to_what_holds_it),
            JOB_TEST(what_nobody_has_loaded_is_loaded_though_others_are_there),
            JOB_TEST(a_key_is_greedy_only_where_it_has_much),
            JOB_TEST(who_waited_is_told_of_a_slot_that_is_kept_for_others),
            JOB_TEST(what_is_only_held_back_is_neither_refused_nor_sent_on),
            JOB_TEST(what_is_held_back_is_refused_where_all_slots_are_taken),
            JOB_TEST(none_that_is_to_be_refused_is_passed_over),
            JOB_TEST(who_refuses_tries_the_only_instance_again),
            JOB_TEST(a_slow_one_does_not_stand_idle_behind_a_crowd),
            JOB_TEST(how_far_behind_is_looked_has_a_limit),
            JOB_TEST(what_many_modes_wait_for_holds_up_no_other),
            JOB_TEST(how_many_kinds_are_looked_at_has_a_limit),
            JOB_TEST(any_length_of_answers_makes_few_kinds),
            JOB_TEST(what_comes_in_one_turn_is_looked_at_once),
            JOB_TEST(a_burst_is_looked_at_before_it_grows_too_long),
            JOB_TEST(a_burst_makes_no_queue_longer),
            JOB_TEST(autocomplete_does_not_keep_chat_out_for_ever),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
