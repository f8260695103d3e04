/* Streams of every API while their engine says nothing. Clients give up 300 s after the last event,
 * and some do not take a comment for one: a real event must come every 15 s. */
#include "coordinator/job/job.h"

#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 100, /* about as often as the coordinator's loop */
    OPENING_MS = 1000,
    LIFE_MS = 15 * 1000,
    SILENCE_MS = 60 * 1000,
};

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct api {
    const struct dialect *dialect;
    const char *body;
    const char *opening; /* what is told before anything is known; "": the API has nothing */
    const char *life;    /* … while nothing happens: an event, no comment */
    const char *ending;
} chat = {&dialect_openai_chat, "{\"stream\":true," USER "}",
        "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}", "\"delta\":{\"content\":\"\"}",
        "data: [DONE]\n\n"},
  completions = {&dialect_openai_completions, "{\"stream\":true,\"prompt\":\"hi\"}",
          "\"text\":\"\"", "\"text\":\"\"", "data: [DONE]\n\n"},
  responses = {&dialect_responses, "{\"stream\":true,\"input\":\"hi\"}",
          "event: response.created\n", "event: response.in_progress\n",
          "event: response.completed\n"},
  messages = {&dialect_anthropic_messages, "{\"stream\":true,\"max_tokens\":9," USER "}",
          "event: message_start\n", "event: ping\ndata: {\"type\":\"ping\"}\n",
          "event: message_stop\n"},
  ollama_chat = {&dialect_ollama_chat, "{" USER "}", "",
          "\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":false}\n",
          "\"done\":true"},
  ollama_generate = {&dialect_ollama_generate, "{\"prompt\":\"hi\"}", "",
          "\"response\":\"\",\"done\":false}\n", "\"done\":true"},
  completion = {&dialect_llamacpp_completion, "{\"stream\":true,\"prompt\":\"hi\"}", "",
          "\"content\":\"\",\"tokens\":[],\"stop\":false", "\"stop\":true"},
  infill = {&dialect_llamacpp_infill,
          "{\"stream\":true,\"input_prefix\":\"a\",\"input_suffix\":\"b\"}", "",
          "\"content\":\"\",\"tokens\":[],\"stop\":false", "\"stop\":true"};

static const struct api *const apis[] = {&chat, &completions, &responses, &messages, &ollama_chat,
        &ollama_generate, &completion, &infill};
enum { API_COUNT = sizeof(apis) / sizeof(apis[0]) };

struct world {
    struct fake_mesh mesh;
    struct jobs *jobs;
    struct http_exchange client;
    size_t read; /* bytes of its answer that the test has looked at */
    bool waits;  /* the request does, in the queue */
};

static void say_model(struct world *world, enum instance_state state)
{
    struct msg_instance instance = {.model = "small",
            .state = state,
            .slots = 1,
            .engine = "",
            .note = "",
            .capabilities = CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EXACT};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    fake_exchange_init(&world->client);
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_link_forget(&world->mesh.link, 0);
    say_model(world, INSTANCE_RESIDENT);
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

/* --- the node --- */

static struct msg next(struct world *world, enum msg_type type)
{
    struct msg msg;
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_string_equal(msg_type_name(msg.type), msg_type_name(type));
    return msg;
}

static uint64_t take_request(struct world *world)
{
    jobs_dispatch(world->jobs);
    node_table_flush(world->mesh.nodes);
    uint64_t stream = next(world, MSG_START).start.stream;
    assert_true(next(world, MSG_BODY).body.last);
    return stream;
}

static void say(struct world *world, uint64_t stream, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.stream = stream, .kind = kind, .data = data, .len = strlen(data)};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

static void complete(struct world *world, uint64_t stream)
{
    say(world, stream, DELTA_TEXT, "word");
    say(world, stream, DELTA_FINISH, "stop");
    fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
}

/* --- the client --- */

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static void ask(struct world *world, const struct api *api)
{
    static const char *const models[] = {"small"};
    const char *param;
    struct request request;
    fake_exchange_fini(&world->client);
    fake_exchange_init(&world->client);
    world->read = 0;
    request_init(&request);
    strcpy(request.id, "req_1");
    const struct dialect_input input = {.body = api->body,
            .len = strlen(api->body),
            .content_type = "",
            .header = no_header,
            .owner = "local"};
    assert_int_equal(api->dialect->parse(&input, &request, &param, NULL), 0);
    assert_int_equal(request_chain(&request, jobs_prompt_seed(world->jobs)), 0);
    const struct reply reply = reply_to_exchange(&world->client);
    jobs_start(world->jobs, &reply, api->dialect, &request, job_terms_of_models("ask", models, 1));
}

static void tick(struct world *world)
{
    virtual_env_advance_ms(&world->mesh.env, TICK_MS);
    jobs_dispatch(world->jobs);
    jobs_tick(world->jobs);
    node_table_flush(world->mesh.nodes);
}

/* What has come since the last time. */
static const char *news(struct world *world)
{
    const char *text = fake_exchange_text(&world->client.body) + world->read;
    world->read = world->client.body.len;
    fake_exchange_read(&world->client);
    return text;
}

static bool has_comments(const char *text)
{
    return *text == ':' || strstr(text, "\n:");
}

static bool knows_comments(const struct api *api)
{
    return strcmp(api->dialect->stream_type, "text/event-stream") == 0;
}

/* A comment is no event: one may only stand beside it, and tell who waits in the queue for how
 * long or for what, where the API has comments. What clients take for a ping of their own it never
 * is. */
static void has_its_comments(const struct world *world, const struct api *api, const char *text)
{
    bool may = world->waits && knows_comments(api);
    if (has_comments(text) && (!may || !strstr(text, ": queued, 0 before it: the engine is ")))
        fail_msg("a comment is no event: %s", text);
    if (strncmp(text, ": ping", 6) == 0 || strstr(text, "\n: ping"))
        fail_msg("a ping that is none: %s", text);
    if (may && strstr(text, api->life) && !has_comments(text))
        fail_msg("%s does not tell how long: %s", api->dialect->name, text);
}

/* The headers and what the API begins with come within `limit_ms`. */
static void opens(struct world *world, const struct api *api, unsigned limit_ms)
{
    for (unsigned ms = 0; ms < limit_ms && world->client.status == 0; ms += TICK_MS)
        tick(world);
    assert_int_equal(world->client.status, 200);
    const char *text = news(world);
    has_its_comments(world, api, text);
    if (!strstr(text, api->opening))
        fail_msg("%s begins with: %s", api->dialect->name, text);
}

static void stays_alive(struct world *world, const struct api *api)
{
    unsigned quiet_ms = 0;
    for (unsigned ms = 0; ms < SILENCE_MS; ms += TICK_MS) {
        tick(world);
        quiet_ms += TICK_MS;
        const char *text = news(world);
        if (*text == '\0') {
            assert_true(quiet_ms < LIFE_MS);
            continue;
        }
        has_its_comments(world, api, text);
        if (!strstr(text, api->life))
            fail_msg("%s shows as life: %s", api->dialect->name, text);
        quiet_ms = 0;
    }
}

static void ends(struct world *world, const struct api *api)
{
    assert_false(world->client.open);
    assert_false(world->client.aborted);
    assert_true(fake_exchange_has(&world->client, api->ending));
}

/* Before the first token, and between two. */
static void lives(struct world *world, const struct api *api)
{
    ask(world, api);
    uint64_t stream = take_request(world);
    opens(world, api, OPENING_MS);
    stays_alive(world, api);
    say(world, stream, DELTA_TEXT, "a ");
    assert_non_null(strstr(news(world), "a "));
    stays_alive(world, api);
    complete(world, stream);
    ends(world, api);
}

/* --- the cases --- */

static void a_chat_shows_empty_content(void **state)
{
    lives(*state, &chat);
}

static void a_completion_shows_empty_text(void **state)
{
    lives(*state, &completions);
}

static void a_response_says_that_it_is_in_progress(void **state)
{
    lives(*state, &responses);
}

static void a_message_pings(void **state)
{
    lives(*state, &messages);
}

static void ollama_says_lines_of_nothing(void **state)
{
    lives(*state, &ollama_chat);
    lives(*state, &ollama_generate);
}

static void llamacpp_says_chunks_of_nothing(void **state)
{
    lives(*state, &completion);
    lives(*state, &infill);
}

static void the_opening_comes_at_once(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < API_COUNT; i++) {
        ask(world, apis[i]);
        uint64_t stream = take_request(world);
        opens(world, apis[i], OPENING_MS);
        complete(world, stream);
        ends(world, apis[i]);
    }
}

static void who_waits_in_the_queue_sees_life_too(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < API_COUNT; i++) {
        world->waits = true;
        say_model(world, INSTANCE_FAILED);
        ask(world, apis[i]);
        opens(world, apis[i], LIFE_MS);
        stays_alive(world, apis[i]);
        say_model(world, INSTANCE_RESIDENT);
        complete(world, take_request(world));
        ends(world, apis[i]);
    }
}

static void until_life(struct world *world, const struct api *api)
{
    unsigned ms = 0;
    do {
        assert_true(ms <= LIFE_MS);
        tick(world);
        ms += TICK_MS;
    } while (!strstr(news(world), api->life));
}

/* Where the API has comments; that is no sign of life, which comes when it would come without. */
static void who_waited_is_told_who_answers(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < API_COUNT; i++) {
        world->waits = true;
        say_model(world, INSTANCE_FAILED);
        ask(world, apis[i]);
        opens(world, apis[i], LIFE_MS);
        until_life(world, apis[i]);
        for (unsigned ms = TICK_MS; ms < LIFE_MS; ms += TICK_MS)
            tick(world);
        say_model(world, INSTANCE_RESIDENT);
        uint64_t stream = take_request(world);
        const char *text = news(world);
        if (knows_comments(apis[i]))
            assert_ptr_equal(strstr(text, ": modemesh node=node0 model=small mode=ask "), text);
        else
            assert_string_equal(text, "");
        tick(world);
        assert_non_null(strstr(news(world), apis[i]->life));
        complete(world, stream);
        ends(world, apis[i]);
    }
}

/* A stream that has begun can tell an overload only in words that no client's retry reads. */
static void a_refusal_of_the_first_moment_keeps_its_status(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < API_COUNT; i++) {
        ask(world, apis[i]);
        uint64_t stream = take_request(world);
        for (unsigned ms = TICK_MS; ms < OPENING_MS; ms += TICK_MS)
            tick(world);
        const struct msg_fail fail = {.stream = stream,
                .code = FAIL_ENGINE_ERROR,
                .http_status = 429,
                .message = "too many at once"};
        fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_FAIL, .fail = fail});
        assert_int_equal(world->client.status, 429);
        assert_true(fake_exchange_has_header(&world->client, "Retry-After: "));
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define LIFE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
            LIFE_TEST(a_chat_shows_empty_content),
            LIFE_TEST(a_completion_shows_empty_text),
            LIFE_TEST(a_response_says_that_it_is_in_progress),
            LIFE_TEST(a_message_pings),
            LIFE_TEST(ollama_says_lines_of_nothing),
            LIFE_TEST(llamacpp_says_chunks_of_nothing),
            LIFE_TEST(the_opening_comes_at_once),
            LIFE_TEST(who_waits_in_the_queue_sees_life_too),
            LIFE_TEST(who_waited_is_told_who_answers),
            LIFE_TEST(a_refusal_of_the_first_moment_keeps_its_status),
    };
    return cmocka_run_group_tests_name("heartbeats", tests, NULL, NULL);
}
