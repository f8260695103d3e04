#include "coordinator/api/auto_call.h"

#include "common/json/json.h"
#include "coordinator/api/inference.h"
#include "coordinator/auto/auto_sessions.h"
#include "coordinator/auto/classifier.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum {
    TALKS = CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT,
    SEES = TALKS | CAPABILITY_VISION,
    NEVER_MS = 10 * 60 * 1000, /* a deadline that no test waits for */
};

static char *ask_models[] = {"asker"}, *code_models[] = {"coder"}, *debug_models[] = {"debugger"},
            *architect_models[] = {"architect-model"}, *see_models[] = {"seer"};

static struct mode mode_list[] = {{.name = "ask", .models = ask_models, .model_count = 1},
        {.name = "code", .models = code_models, .model_count = 1},
        {.name = "debug", .models = debug_models, .model_count = 1},
        {.name = "architect", .models = architect_models, .model_count = 1},
        {.name = "chat", .models = see_models, .model_count = 1}};

static const char *const models[] = {"asker", "coder", "debugger", "architect-model"};

struct world {
    struct fake_mesh mesh;
    struct loop loop;
    struct jobs *jobs;
    struct modes modes;
    struct admin_view view;
    struct affinities *affinities;
    struct auto_sessions *sessions;
    struct classifier *classifier;
    struct api_keys *keys;
    struct api api;
    struct http_exchange client;
    /* Of the next calls: */
    const char *name, *value; /* a header; NULL: none */
    const char *path_mode;
    const char *key_text; /* NULL: without a key */
    bool starves;         /* … after so many allocations, once */
    size_t allocations;
    bool starved; /* the last one did */
};

static void say(struct world *world, const char *name, enum instance_state state, uint32_t can,
        uint32_t busy)
{
    struct msg_instance instance = {.model = name,
            .state = state,
            .slots = 1,
            .busy = busy,
            .engine = "",
            .note = "",
            .architecture = "",
            .quantisation = "",
            .capabilities = can};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    fake_link_forget(&world->mesh.link, 0);
}

static void make_classifier(struct world *world, uint32_t deadline_ms)
{
    classifier_destroy(world->classifier);
    world->classifier = classifier_create(&(struct classifier_config){.loop = &world->loop,
            .env = &world->mesh.env.env,
            .nodes = world->mesh.nodes,
            .jobs = world->jobs,
            .deadline_ms = deadline_ms});
    assert_non_null(world->classifier);
    world->api.classifier = world->classifier;
    assert_int_equal(classifier_set_model(world->classifier, "tiny"), 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 2);
    assert_int_equal(loop_init(&world->loop), 0);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    world->affinities = affinities_create(16, 1);
    world->sessions = auto_sessions_create(&world->mesh.env.env, world->affinities);
    assert_int_equal(api_keys_open(scratch_path(&world->mesh.scratch, "api-keys.json"),
                             &world->mesh.env.env, &world->keys, NULL),
            0);
    world->modes = (struct modes){.list = mode_list, .count = LENGTH(mode_list)};
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .jobs = world->jobs};
    world->api = (struct api){.view = &world->view,
            .jobs = world->jobs,
            .keys = world->keys,
            .sessions = world->sessions};
    fake_exchange_init(&world->client);
    fake_mesh_hello(&world->mesh, 0, "s");
    for (size_t i = 0; i < LENGTH(models); i++)
        say(world, models[i], INSTANCE_RESIDENT, TALKS, 0);
    say(world, "seer", INSTANCE_RESIDENT, SEES, 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    classifier_destroy(world->classifier);
    jobs_destroy(world->jobs);
    auto_sessions_destroy(world->sessions);
    affinities_destroy(world->affinities);
    api_keys_close(world->keys);
    fake_mesh_fini(&world->mesh);
    fake_exchange_fini(&world->client);
    loop_fini(&world->loop);
    free(world);
    return 0;
}

/* --- clients --- */

/* The client's own buffers are made before. */
static void serve(struct world *world, const struct call *call)
{
    void *room;
    fake_exchange_must(buf_reserve(&world->client.headers, 4096, &room));
    fake_exchange_must(buf_reserve(&world->client.body, 4096, &room));
    if (world->starves)
        short_memory_begin(world->allocations);
    inference_serve(call);
    jobs_dispatch_changed(world->jobs);
    world->starved = world->starves && short_memory_end();
}

static struct http_exchange *post(
        struct world *world, const struct dialect *dialect, const char *body)
{
    struct http_exchange *client = &world->client;
    const struct caller caller = {
            .key = world->key_text ? api_keys_check(world->keys, world->key_text) : NULL,
            .nodes = world->mesh.nodes};
    const struct call call = {.api = &world->api,
            .exchange = client,
            .caller = &caller,
            .family = dialect->family,
            .dialect = dialect,
            .mode = world->path_mode,
            .tail = "",
            .request_id = "req_1"};
    if (client->events)
        fake_exchange_leave(client);
    fake_exchange_fini(client);
    fake_exchange_init(client);
    fake_link_forget(&world->mesh.link, 0);
    client->x_api_key = world->key_text;
    client->more[0].name = world->name;
    client->more[0].value = world->value;
    fake_exchange_must(buf_append_str(&client->request_body, body));
    fake_exchange_must(buf_terminate(&client->request_body));
    serve(world, &call);
    return client;
}

/* `model` and `text` need no escaping; `more` are members of the body. */
static struct http_exchange *chat(
        struct world *world, const char *model, const char *text, const char *more)
{
    char body[1000];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", model,
            text, more);
    return post(world, &dialect_openai_chat, body);
}

static struct http_exchange *ask(struct world *world, const char *text)
{
    return chat(world, "auto", text, "");
}

/* A key with these modes and models, of the next calls; NULL: all. */
static void use_key(struct world *world, const char *name, const char *const *modes,
        const char *const *keys_models)
{
    static char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = name,
            .modes = modes,
            .mode_count = modes ? 2 : 0,
            .models = keys_models,
            .model_count = keys_models ? 2 : 0};
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    world->key_text = text;
}

static void with_header(struct world *world, const char *name, const char *value)
{
    world->name = name;
    world->value = value;
}

/* --- nodes --- */

static void turn(struct world *world)
{
    jobs_dispatch_changed(world->jobs);
    node_table_flush(world->mesh.nodes);
}

/* The next request that went to the node; its body follows. */
static uint64_t goes_to(struct world *world, const char *model)
{
    struct msg msg;
    turn(world);
    if (!fake_link_next(&world->mesh.link, 0, &msg))
        fail_msg("nothing went to %s, but %d: %s", model, world->client.status,
                fake_exchange_text(&world->client.body));
    assert_int_equal(msg.type, MSG_START);
    assert_string_equal(msg.start.model, model);
    uint64_t stream = msg.start.stream;
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_BODY);
    return stream;
}

static void nothing_goes(struct world *world)
{
    struct msg msg;
    turn(world);
    assert_false(fake_link_next(&world->mesh.link, 0, &msg));
}

static void is_cancelled(struct world *world, uint64_t stream)
{
    struct msg msg;
    turn(world);
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_CANCEL);
    assert_int_equal(msg.cancel.stream, stream);
}

static void say_data(struct world *world, uint64_t stream, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.stream = stream, .kind = kind, .data = data, .len = strlen(data)};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

static void answers(struct world *world, uint64_t stream, const char *text)
{
    say_data(world, stream, DELTA_TEXT, text);
    say_data(world, stream, DELTA_FINISH, "stop");
    fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
}

static void is_told(struct world *world, uint64_t stream, const char *mode, const char *reason)
{
    char line[300];
    answers(world, stream, "well");
    assert_int_equal(world->client.status, 200);
    (void)snprintf(line, sizeof(line), "X-Modemesh-Mode: %s\n", mode);
    assert_true(fake_exchange_has_header(&world->client, line));
    (void)snprintf(line, sizeof(line), "X-Modemesh-Reason: %s", reason);
    if (!fake_exchange_has_header(&world->client, line))
        fail_msg("not %s: %s", line, fake_exchange_text(&world->client.headers));
}

/* --- what is asked for --- */

static void auto_has_many_spellings(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {
            "auto", "mesh-auto", "claude-mesh-auto", "auto:latest", "mesh-auto[1m]", ""};
    for (size_t i = 0; i < LENGTH(names); i++) {
        chat(world, names[i], "refactor it", "");
        goes_to(world, "coder");
    }
}

static void a_foreign_name_may_stand_for_it(void **state)
{
    struct world *world = *state;
    struct mode_alias alias = {.name = "gpt-*", .target = "auto", .foreign = true};
    world->modes.aliases = &alias;
    world->modes.alias_count = 1;
    chat(world, "gpt-5", "refactor it", "");
    goes_to(world, "coder");
    chat(world, "gpt-5:latest", "refactor it", "");
    goes_to(world, "coder");
    say(world, "gpt-5", INSTANCE_RESIDENT, TALKS, 0);
    chat(world, "gpt-5:latest", "refactor it", "");
    goes_to(world, "gpt-5");
}

static void the_header_comes_before_the_path_and_that_before_the_name(void **state)
{
    struct world *world = *state;
    chat(world, "debug", "refactor it", "");
    goes_to(world, "debugger");
    world->path_mode = "architect";
    chat(world, "debug", "refactor it", "");
    goes_to(world, "architect-model");
    with_header(world, "X-Modemesh-Mode", "ask");
    chat(world, "debug", "refactor it", "");
    goes_to(world, "asker");
    with_header(world, "X-Modemesh-Mode", "auto");
    chat(world, "debug", "refactor it", "");
    goes_to(world, "coder");
    with_header(world, "X-Modemesh-Mode", "");
    world->path_mode = "auto";
    chat(world, "debug", "refactor it", "");
    goes_to(world, "coder");
}

static void a_model_may_be_called_so(void **state)
{
    struct world *world = *state;
    say(world, "mesh-auto", INSTANCE_RESIDENT, TALKS, 0);
    chat(world, "mesh-auto", "refactor it", "");
    goes_to(world, "mesh-auto");
}

static void what_is_told_is_said(void **state)
{
    struct world *world = *state;
    ask(world, "refactor it");
    is_told(world, goes_to(world, "coder"), "code",
            "auto, complexity 2, by facts: code, 11 B of text; code any model: coder; ");
    chat(world, "code", "design it", "");
    is_told(world, goes_to(world, "coder"), "code",
            "code any model: coder; the only instance: first token in about ");
}

static void a_prompt_chooses_only_where_that_is_asked_for(void **state)
{
    struct world *world = *state;
    static const char mark[] = "<user_input mode=\\\"plan\\\">refactor it";
    chat(world, "code", mark, "");
    goes_to(world, "coder");
    ask(world, mark);
    is_told(world, goes_to(world, "architect-model"), "architect",
            "auto, complexity 4, by the mark \"plan\" of Cline; ");
}

static void a_mark_is_found_in_every_api(void **state)
{
    struct world *world = *state;
    static const struct {
        const struct dialect *dialect;
        const char *body;
    } cases[] = {
            {&dialect_anthropic_messages,
                    "{\"model\":\"auto\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\","
                    "\"content\":"
                    "[{\"type\":\"text\",\"text\":\"<system-reminder>\\nx\\n</system-reminder>\"},"
                    "{\"type\":\"text\",\"text\":\"refactor "
                    "it\"}]},{\"role\":\"system\",\"content\":\"Plan "
                    "mode is active. The user indicated that they do not want you to execute yet "
                    "-- you\"}]}"},
            {&dialect_anthropic_messages,
                    "{\"model\":\"auto\",\"max_tokens\":99,\"system\":[{\"type\":\"text\",\"text\":"
                    "\"x-anthropic-billing-header: y\"},{\"type\":\"text\",\"text\":\"# Plan / Act "
                    "Modes\\n# Plan "
                    "Mode\\nz\"}],\"messages\":[{\"role\":\"user\",\"content\":\"refactor "
                    "it\"}]}"},
            {&dialect_responses, "{\"model\":\"auto\",\"instructions\":\"x\",\"input\":[{\"type\":"
                                 "\"message\",\"role\":"
                                 "\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"<"
                                 "environment_context>\"}]},"
                                 "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
                                 "\"input_text\",\"text\":"
                                 "\"<user_input mode=\\\"plan\\\">refactor it\"}]}]}"},
            {&dialect_ollama_chat,
                    "{\"model\":\"auto\",\"messages\":[{\"role\":\"system\",\"content\":\"x\\n<"
                    "context "
                    "name=\\\"planMode\\\">\"},{\"role\":\"user\",\"content\":\"refactor it\"}]}"},
            {&dialect_openai_chat,
                    "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                    "\"text\","
                    "\"text\":\"refactor it\"},{\"type\":\"text\",\"text\":\"<system-reminder>\\n# "
                    "Plan Mode - "
                    "System Reminder\\n\"}]}]}"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        post(world, cases[i].dialect, cases[i].body);
        goes_to(world, "architect-model");
    }
}

static void a_key_gets_no_mode_that_it_may_not_use(void **state)
{
    struct world *world = *state;
    static const char *const only[] = {"code"};
    char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = "narrow", .modes = only, .mode_count = 1};
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    world->key_text = text;
    ask(world, "<user_input mode=\\\"plan\\\">design it");
    goes_to(world, "coder");
    ask(world, "what is it");
    goes_to(world, "coder");
}

static void no_mark_sends_a_conversation_to_what_completes(void **state)
{
    struct world *world = *state;
    struct mode list[] = {{.name = (char *)"autocomplete", .models = code_models, .model_count = 1},
            {.name = (char *)"slow", .models = debug_models, .model_count = 1}};
    world->modes = (struct modes){.list = list, .count = LENGTH(list)};
    ask(world, "<user_input mode=\\\"autocomplete\\\">what is it");
    goes_to(world, "debugger");
    ask(world, "what is it");
    goes_to(world, "debugger");
}

#define FIM "<|fim_prefix|>int a<|fim_suffix|>;<|fim_middle|>"

static void complete(struct world *world, const char *model)
{
    char body[400];
    (void)snprintf(body, sizeof(body), "{\"model\":\"%s\",\"prompt\":\"" FIM "\"}", model);
    post(world, &dialect_openai_completions, body);
}

static void a_prompt_with_a_models_tokens_goes_to_what_completes(void **state)
{
    struct world *world = *state;
    static char *fill_models[] = {"coder", "filler"};
    struct mode list[LENGTH(mode_list) + 1];
    memcpy(list, mode_list, sizeof(mode_list));
    list[LENGTH(mode_list)] =
            (struct mode){.name = (char *)"autocomplete", .models = fill_models, .model_count = 1};
    world->modes = (struct modes){.list = list, .count = LENGTH(list)};
    complete(world, "auto"); /* nobody there knows the tokens */
    goes_to(world, "asker");
    say(world, "filler", INSTANCE_RESIDENT, TALKS | CAPABILITY_FIM, 0);
    list[LENGTH(mode_list)].model_count = 2;
    complete(world, "auto"); /* not the first that is listed */
    is_told(world, goes_to(world, "filler"), "autocomplete",
            "auto, complexity 1, by facts: code completion, tokens of Qwen, CodeGemma, 48 B of "
            "text; ");
    complete(world, "debug"); /* who is asked for by name gets it */
    goes_to(world, "debugger");
    ask(world, FIM); /* talks about it */
    goes_to(world, "asker");
}

static void a_key_gets_the_mode_that_it_has(void **state)
{
    struct world *world = *state;
    static const char *const only[] = {"architect"};
    char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = "narrow", .modes = only, .mode_count = 1};
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    world->key_text = text;
    ask(world, "what is it");
    is_told(world, goes_to(world, "architect-model"), "architect",
            "auto, complexity 1, by facts: question, 10 B of text; the key may not use ask; "
            "architect any model: ");
}

static void a_mode_whose_models_cannot_is_passed_over(void **state)
{
    struct world *world = *state;
    post(world, &dialect_openai_chat,
            "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
            "\"text\":\"design it\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
            "\"data:image/png;base64,iVBORw0KGgo=\"}}]}]}");
    is_told(world, goes_to(world, "seer"), "chat",
            "auto, complexity 4, by facts: design, 9 B of text, 1 image; no model of architect can "
            "see images; chat any model: ");
}

/* Not what its last model lacks: what none of them can. */
static void a_mode_is_passed_over_for_what_all_its_models_lack(void **state)
{
    static char *both[] = {"mute", "blind"};
    struct world *world = *state;
    struct mode list[] = {{.name = "ask", .models = both, .model_count = 2},
            {.name = "code", .models = code_models, .model_count = 1}};
    static const char tools[] =
            ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
    world->modes = (struct modes){.list = list, .count = LENGTH(list)};
    say(world, "mute", INSTANCE_RESIDENT, SEES & ~(uint32_t)CAPABILITY_TOOLS, 0);
    say(world, "blind", INSTANCE_RESIDENT, CAPABILITY_CHAT | CAPABILITY_EXACT, 0);
    chat(world, "auto", "what is it", tools);
    is_told(world, goes_to(world, "coder"), "code",
            "auto, complexity 1, by facts: question, 35 B of text, 1 tool; no model of ask can "
            "call "
            "tools; code any model: ");
    say(world, "blind", INSTANCE_RESIDENT, TALKS, 0);
    chat(world, "auto", "what is it", tools);
    goes_to(world, "blind");
}

/* The same file on each node. */
static void say_copy(struct world *world, size_t node, enum instance_state state, uint32_t can)
{
    const uint8_t fingerprint[MSG_FINGERPRINT_BYTES] = {1};
    const struct msg_instance instance = {.model = "asker",
            .state = state,
            .slots = 1,
            .engine = "",
            .note = "",
            .capabilities = can,
            .fingerprint = {fingerprint, sizeof(fingerprint)}};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    fake_link_forget(&world->mesh.link, node);
}

static void a_copy_can_what_the_engine_of_another_one_says(void **state)
{
    static const char tools[] =
            ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
    struct world *world = *state;
    fake_mesh_hello(&world->mesh, 1, "s");
    say_copy(world, 0, INSTANCE_RESIDENT, CAPABILITY_CHAT | CAPABILITY_EXACT);
    say_copy(world, 1, INSTANCE_AVAILABLE, CAPABILITY_CHAT); /* which itself knows nothing of it */
    chat(world, "auto", "what is it", tools);
    is_told(world, goes_to(world, "seer"), "chat",
            "auto, complexity 1, by facts: question, 35 B of text, 1 tool; no model of ask can "
            "call tools; chat any model: ");
}

static void what_no_mode_can_any_model_does_where_there_is_no_mode_for_it(void **state)
{
    static const char looks[] =
            "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_"
            "url\","
            "\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0KGgo=\"}}]}]}";
    struct world *world = *state;
    struct mode list[] = {{.name = "code", .models = code_models, .model_count = 1},
            {.name = "ask", .models = ask_models, .model_count = 1}};
    static const char *const only[] = {"code", "debug"};
    world->modes = (struct modes){.list = list, .count = 1};
    post(world, &dialect_openai_chat, looks);
    goes_to(world, "seer"); /* of no mode */
    world->modes.count = 2;
    post(world, &dialect_openai_chat, looks);
    assert_int_equal(world->client.status, 400);
    assert_true(fake_exchange_has_header(&world->client, "X-Modemesh-Mode: ask\n"));
    use_key(world, "narrow", only, NULL);
    post(world, &dialect_openai_chat, looks);
    assert_int_equal(world->client.status, 400);
    assert_true(fake_exchange_has_header(&world->client, "X-Modemesh-Mode: code\n"));
}

/* `ask` cannot, then come two modes of no known name. */
static void have_odd_modes(struct world *world, struct mode list[3], char **first, char **second)
{
    static char *mute_models[] = {"mute"};
    list[0] = (struct mode){.name = (char *)"ask", .models = mute_models, .model_count = 1};
    list[1] = (struct mode){.name = (char *)"first", .models = first, .model_count = 1};
    list[2] = (struct mode){.name = (char *)"second", .models = second, .model_count = 1};
    say(world, "mute", INSTANCE_RESIDENT, CAPABILITY_EMBEDDINGS | CAPABILITY_EXACT, 0);
    world->modes = (struct modes){.list = list, .count = 3};
}

static void at_last_a_mode_whose_model_is_there_comes_first(void **state)
{
    static char *absent[] = {"absent"};
    struct world *world = *state;
    struct mode list[3];
    have_odd_modes(world, list, absent, code_models);
    ask(world, "hello");
    is_told(world, goes_to(world, "coder"), "second", "auto, complexity 1, by default: ");
    world->modes.count = 2; /* what is there cannot, and of the other nobody has heard */
    ask(world, "hello");
    assert_int_equal(world->client.status, 400);
    assert_true(fake_exchange_has_header(&world->client, "X-Modemesh-Mode: ask\n"));
    world->modes = (struct modes){.list = list + 1, .count = 1};
    ask(world, "hello");
    assert_int_equal(world->client.status, 503);
    assert_true(fake_exchange_has_header(&world->client, "X-Modemesh-Mode: first\n"));
}

static void at_last_a_mode_whose_node_is_away_comes_before_one_that_never_was(void **state)
{
    static char *absent[] = {"absent"}, *far[] = {"far"};
    struct world *world = *state;
    struct mode list[3];
    const struct msg_instance instance = {.model = "far",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .engine = "",
            .note = "",
            .capabilities = TALKS};
    have_odd_modes(world, list, absent, far);
    fake_mesh_hello(&world->mesh, 1, "s");
    fake_mesh_say(&world->mesh, 1,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    node_session_end(node_table_find_key(world->mesh.nodes, fake_link_peer(1).key), "it is gone");
    ask(world, "hello");
    assert_int_equal(world->client.status, 0);
    assert_int_equal(jobs_waiting(world->jobs), 1); /* until the node is back */
}

/* --- how long its user waits --- */

static void say_speed(struct world *world, size_t node, float prefill_tok_s, float decode_tok_s)
{
    struct msg_instance instance = {.model = "shared",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .prefill_tok_s = prefill_tok_s,
            .decode_tok_s = decode_tok_s,
            .engine = "",
            .note = "",
            .capabilities = TALKS};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

/* Prompts of a thousand tokens and answers of a hundred: node 0 begins `later_s` before node 1,
 * which writes them in 4.5 s less. */
static void be_unlike(struct world *world, float later_s)
{
    say_speed(world, 0, 1e6F, 20);
    say_speed(world, 1, 1000 / later_s, 200);
}

static size_t node_of(struct world *world, const char *system, const char *text)
{
    static unsigned number; /* no prompt begins like another */
    struct msg msg;
    char body[5000], filler[5000];
    (void)snprintf(filler, sizeof(filler), "%0*u", (int)(1000 * TOKEN_RATIO_PRIOR), ++number);
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"auto\",\"max_tokens\":100,\"messages\":[{\"role\":\"system\","
            "\"content\":\"%s\"},{\"role\":\"user\",\"content\":\"%s %s\"}]}",
            system, filler, text);
    fake_link_forget(&world->mesh.link, 1);
    post(world, &dialect_openai_chat, body);
    turn(world);
    size_t node = fake_link_next(&world->mesh.link, 0, &msg) ? 0 : 1;
    assert_true(node == 0 || fake_link_next(&world->mesh.link, 1, &msg));
    assert_int_equal(msg.type, MSG_START);
    fake_exchange_leave(&world->client);
    return node;
}

/* For a title, a question, a design: β 0.15, 0.3 and 0.6 of those 4.5 s. */
static void goes_by_patience(struct world *world, size_t title, size_t question, size_t design)
{
    static const char titles[] = "You are a title generator. You output ONLY a title.";
    assert_int_equal(node_of(world, titles, "design it"), title);
    assert_int_equal(node_of(world, "", "what is it"), question);
    assert_int_equal(node_of(world, "", "design it"), design);
}

static void who_waits_gladly_gets_what_writes_quickly(void **state)
{
    struct world *world = *state;
    static char *shared[] = {"shared"};
    struct mode list[] = {{.name = "ask", .models = shared, .model_count = 1, .beta = 0.3},
            {.name = "title", .models = shared, .model_count = 1, .beta = 0.3},
            {.name = "architect", .models = shared, .model_count = 1, .beta = 0.3}};
    world->modes = (struct modes){.list = list, .count = LENGTH(list)};
    fake_mesh_hello(&world->mesh, 1, "s");
    be_unlike(world, 0.3F);
    goes_by_patience(world, 1, 1, 1);
    be_unlike(world, 1);
    goes_by_patience(world, 0, 1, 1);
    be_unlike(world, 2);
    goes_by_patience(world, 0, 0, 1);
    be_unlike(world, 4);
    goes_by_patience(world, 0, 0, 0);
    for (size_t i = 0; i < LENGTH(list); i++)
        list[i].beta_is_set = true;
    be_unlike(world, 1);
    goes_by_patience(world, 1, 1, 1);
    be_unlike(world, 2);
    goes_by_patience(world, 0, 0, 0);
}

static void without_a_mode_for_it_any_model_does(void **state)
{
    struct world *world = *state;
    world->modes.count = 0;
    ask(world, "refactor it");
    goes_to(world, "architect-model"); /* the first by name */
}

/* --- conversations --- */

static void a_mark_holds_for_its_conversation(void **state)
{
    struct world *world = *state;
    with_header(world, "session-id", "s1");
    ask(world, "<user_input mode=\\\"plan\\\">refactor it");
    goes_to(world, "architect-model");
    ask(world, "refactor it");
    is_told(world, goes_to(world, "architect-model"), "architect",
            "auto, complexity 2, by its conversation, by a mark; ");
    with_header(world, "session-id", "s2");
    ask(world, "refactor it");
    goes_to(world, "coder");
    with_header(world, NULL, NULL);
    ask(world, "refactor it");
    goes_to(world, "coder");
}

/* `opening` and an answer to it, then `text`. */
static void go_on(struct world *world, const char *opening, const char *text)
{
    char body[1000];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
            "\"text\":\"%s\"}]},{\"role\":\"assistant\",\"content\":\"well\"},{\"role\":\"user\","
            "\"content\":\"%s\"}]}",
            opening, text);
    post(world, &dialect_openai_chat, body);
}

static void without_an_id_a_conversation_is_known_by_how_it_began(void **state)
{
    struct world *world = *state;
    char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = "other"};
    ask(world, "design it");
    goes_to(world, "architect-model");
    go_on(world, "design it", "refactor it");
    is_told(world, goes_to(world, "architect-model"), "architect",
            "auto, complexity 2, by its conversation; ");
    go_on(world, "what is it", "refactor it");
    goes_to(world, "coder");
    go_on(world, "what is it", "<user_input mode=\\\"plan\\\">refactor it");
    goes_to(world, "architect-model");
    go_on(world, "what is it", "refactor it");
    goes_to(world, "architect-model");
    ask(world, "what is it"); /* another that begins so */
    goes_to(world, "asker");
    go_on(world, "what is it", "why is it");
    goes_to(world, "asker");
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    world->key_text = text;
    go_on(world, "design it", "refactor it");
    goes_to(world, "coder");
}

static void what_only_asks_about_a_conversation_does_not_move_it(void **state)
{
    struct world *world = *state;
    with_header(world, "x-session-id", "s1");
    post(world, &dialect_anthropic_count,
            "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"design it\"}]}");
    goes_to(world, "architect-model");
    chat(world, "auto", "design it", ",\"max_tokens\":9");
    goes_to(world, "asker");
    ask(world, "refactor it");
    goes_to(world, "coder");
}

static void another_client_has_another_conversation(void **state)
{
    struct world *world = *state;
    char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = "other"};
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    with_header(world, "session-id", "s1");
    ask(world, "<user_input mode=\\\"plan\\\">refactor it");
    goes_to(world, "architect-model");
    world->key_text = text;
    ask(world, "refactor it");
    goes_to(world, "coder");
}

/* --- the small model --- */

static uint64_t asks_tiny(struct world *world)
{
    struct msg msg;
    turn(world);
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_START);
    assert_string_equal(msg.start.model, "tiny");
    uint64_t stream = msg.start.stream;
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    cJSON *body = cJSON_ParseWithLength(msg.body.data, msg.body.len);
    assert_non_null(strstr(json_str(body, "grammar", ""), "root ::= "));
    assert_int_equal((int)json_num(body, "max_tokens", 0), 1);
    const cJSON *user = json_array(body, "messages")->child->next;
    assert_string_equal(json_str(user, "content", ""), "hm\n");
    cJSON_Delete(body);
    nothing_goes(world);
    return stream;
}

static void a_small_model_says_what_the_request_does_not(void **state)
{
    struct world *world = *state;
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    ask(world, "hm");
    answers(world, asks_tiny(world), "C");
    is_told(world, goes_to(world, "debugger"), "debug",
            "auto, complexity 3, by a small model's answer; ");
    ask(world, "refactor it"); /* it says so itself */
    goes_to(world, "coder");
}

static void it_is_asked_once_in_a_conversation(void **state)
{
    struct world *world = *state;
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    with_header(world, "session-id", "s1");
    ask(world, "hm");
    answers(world, asks_tiny(world), "D");
    answers(world, goes_to(world, "architect-model"), "x");
    ask(world, "hm");
    is_told(world, goes_to(world, "architect-model"), "architect",
            "auto, complexity 1, by its conversation; ");
}

static void no_answer_leaves_it_at_the_guess(void **state)
{
    struct world *world = *state;
    static const char *const texts[] = {"", "E", "AB", "a", "because"};
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    for (size_t i = 0; i < LENGTH(texts); i++) {
        ask(world, "hm");
        answers(world, asks_tiny(world), texts[i]);
        is_told(world, goes_to(world, "asker"), "ask",
                "auto, complexity 1, by default: nothing says more; ");
    }
    ask(world, "hm");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_FAIL,
                    .fail = {.stream = asks_tiny(world),
                            .code = FAIL_BAD_REQUEST,
                            .message = "no grammar here"}});
    goes_to(world, "asker");
}

static void at_the_deadline_the_question_is_cancelled(void **state)
{
    struct world *world = *state;
    make_classifier(world, 1);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    ask(world, "hm");
    uint64_t stream = asks_tiny(world);
    while (world->mesh.link.sent[0].len == 0) {
        uv_run(&world->loop.uv, UV_RUN_ONCE);
        turn(world);
    }
    is_cancelled(world, stream);
    goes_to(world, "asker");
    answers(world, stream, "D"); /* too late */
}

static void who_leaves_takes_the_question_with_him(void **state)
{
    struct world *world = *state;
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    ask(world, "hm");
    uint64_t stream = asks_tiny(world);
    fake_exchange_leave(&world->client);
    is_cancelled(world, stream);
    nothing_goes(world);
    assert_int_equal(jobs_running(world->jobs), 0);
}

static void only_what_is_loaded_and_free_is_asked(void **state)
{
    struct world *world = *state;
    static const struct {
        enum instance_state state;
        uint32_t can, busy;
    } cases[] = {{INSTANCE_AVAILABLE, TALKS, 0}, {INSTANCE_LOADING, TALKS, 0},
            {INSTANCE_RESIDENT, CAPABILITY_EMBEDDINGS, 0}, {INSTANCE_RESIDENT, TALKS, 1}};
    make_classifier(world, NEVER_MS);
    ask(world, "hm");
    goes_to(world, "asker");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        say(world, "tiny", cases[i].state, cases[i].can, cases[i].busy);
        ask(world, "hm");
        goes_to(world, "asker");
    }
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    assert_int_equal(classifier_set_model(world->classifier, NULL), 0);
    ask(world, "hm");
    goes_to(world, "asker");
}

static void no_answer_comes(void *ctx, const enum task *task)
{
    (void)ctx;
    assert_null(task);
}

static void so_many_are_asked_at_once(void **state)
{
    struct world *world = *state;
    struct classifier_question *questions[CLASSIFIER_QUESTIONS_MAX], *more;
    struct msg_instance instance = {.model = "tiny",
            .state = INSTANCE_RESIDENT,
            .slots = 2 * CLASSIFIER_QUESTIONS_MAX,
            .engine = "",
            .note = "",
            .capabilities = TALKS};
    static const struct request request = {.id = "req_1", .client = "local"};
    static const struct classifier_reply reply = {.fn = no_answer_comes};
    make_classifier(world, NEVER_MS);
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    for (size_t i = 0; i < CLASSIFIER_QUESTIONS_MAX; i++)
        assert_int_equal(
                classifier_ask(world->classifier, &request, "hm", &reply, &questions[i]), 0);
    assert_int_equal(classifier_ask(world->classifier, &request, "hm", &reply, &more), -EBUSY);
    classifier_cancel(questions[0]);
    assert_int_equal(classifier_ask(world->classifier, &request, "hm", &reply, &more), 0);
}

static void a_key_that_may_not_use_the_small_model_is_left_with_the_guess(void **state)
{
    struct world *world = *state;
    static const char *const modes[] = {"ask", "code"}, *const without[] = {"asker", "coder"};
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    use_key(world, "by-models", NULL, without);
    ask(world, "hm");
    is_told(world, goes_to(world, "asker"), "ask",
            "auto, complexity 1, by default: nothing says more; ");
    use_key(world, "by-modes", modes, NULL);
    ask(world, "hm");
    goes_to(world, "asker");
}

static void a_key_that_may_use_the_small_model_asks_it(void **state)
{
    struct world *world = *state;
    static const char *const with[] = {"tiny", "asker"}, *const modes[] = {"ask", "tags"};
    static char *tiny[] = {"tiny"};
    struct mode list[] = {
            mode_list[0], {.name = "tags", .models = tiny, .model_count = LENGTH(tiny)}};
    world->modes = (struct modes){.list = list, .count = LENGTH(list)};
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    const struct {
        const char *name;
        const char *const *modes, *const *models;
    } keys[] = {{"all", NULL, NULL}, {"by-models", NULL, with}, {"by-modes", modes, NULL}};
    for (size_t i = 0; i < LENGTH(keys); i++) {
        use_key(world, keys[i].name, keys[i].modes, keys[i].models);
        ask(world, "hm");
        answers(world, asks_tiny(world), "A");
        is_told(world, goes_to(world, "asker"), "ask",
                "auto, complexity 1, by a small model's answer; ");
    }
}

static void a_key_that_was_revoked_meanwhile_is_refused(void **state)
{
    struct world *world = *state;
    char text[API_KEY_TEXT_LEN + 1];
    const struct api_key_spec spec = {.name = "short-lived"};
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    assert_int_equal(api_keys_create(world->keys, &spec, text, NULL), 0);
    world->key_text = text;
    ask(world, "hm");
    uint64_t stream = asks_tiny(world);
    assert_int_equal(api_keys_revoke(world->keys, "short-lived", NULL), 0);
    answers(world, stream, "A");
    assert_int_equal(world->client.status, 401);
    nothing_goes(world);
}

static void who_waits_goes_on_when_the_mesh_stops(void **state)
{
    struct world *world = *state;
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    ask(world, "hm");
    uint64_t stream = asks_tiny(world);
    classifier_destroy(world->classifier);
    world->classifier = NULL;
    is_cancelled(world, stream);
    goes_to(world, "asker");
}

/* Where something went to a node its body may still wait. */
static bool something_goes(struct world *world)
{
    struct msg msg;
    turn(world);
    return fake_link_next(&world->mesh.link, 0, &msg) && msg.type == MSG_START;
}

static void starve(struct world *world, const char *text)
{
    world->starves = world->starved = true;
    for (world->allocations = 0; world->starved; world->allocations++) {
        with_header(world, "session-id", world->allocations % 2 ? "s2" : "s3");
        ask(world, text);
        if (world->client.status == 0)
            assert_true(something_goes(world));
        else
            assert_in_range(world->client.status, 500, 503);
        if (world->client.events)
            fake_exchange_leave(&world->client);
        assert_int_equal(jobs_running(world->jobs) + jobs_waiting(world->jobs), 0);
    }
    assert_true(world->allocations > 5);
}

static void each_allocation_may_fail(void **state)
{
    struct world *world = *state;
    make_classifier(world, NEVER_MS);
    say(world, "tiny", INSTANCE_RESIDENT, TALKS, 0);
    ask(world, "hm"); /* the node's own buffers are made */
    fake_exchange_leave(&world->client);
    starve(world, "hm");
    starve(world, "refactor it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(auto_has_many_spellings, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_prompt_with_a_models_tokens_goes_to_what_completes, setup, teardown),
            cmocka_unit_test_setup_teardown(a_foreign_name_may_stand_for_it, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    the_header_comes_before_the_path_and_that_before_the_name, setup, teardown),
            cmocka_unit_test_setup_teardown(a_model_may_be_called_so, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_told_is_said, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_prompt_chooses_only_where_that_is_asked_for, setup, teardown),
            cmocka_unit_test_setup_teardown(a_mark_is_found_in_every_api, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_key_gets_no_mode_that_it_may_not_use, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    no_mark_sends_a_conversation_to_what_completes, setup, teardown),
            cmocka_unit_test_setup_teardown(a_key_gets_the_mode_that_it_has, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_mode_whose_models_cannot_is_passed_over, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_mode_is_passed_over_for_what_all_its_models_lack, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_copy_can_what_the_engine_of_another_one_says, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    what_no_mode_can_any_model_does_where_there_is_no_mode_for_it, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    at_last_a_mode_whose_model_is_there_comes_first, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    at_last_a_mode_whose_node_is_away_comes_before_one_that_never_was, setup,
                    teardown),
            cmocka_unit_test_setup_teardown(
                    who_waits_gladly_gets_what_writes_quickly, setup, teardown),
            cmocka_unit_test_setup_teardown(without_a_mode_for_it_any_model_does, setup, teardown),
            cmocka_unit_test_setup_teardown(a_mark_holds_for_its_conversation, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    without_an_id_a_conversation_is_known_by_how_it_began, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    what_only_asks_about_a_conversation_does_not_move_it, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    another_client_has_another_conversation, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_small_model_says_what_the_request_does_not, setup, teardown),
            cmocka_unit_test_setup_teardown(it_is_asked_once_in_a_conversation, setup, teardown),
            cmocka_unit_test_setup_teardown(no_answer_leaves_it_at_the_guess, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    at_the_deadline_the_question_is_cancelled, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    who_leaves_takes_the_question_with_him, setup, teardown),
            cmocka_unit_test_setup_teardown(only_what_is_loaded_and_free_is_asked, setup, teardown),
            cmocka_unit_test_setup_teardown(so_many_are_asked_at_once, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_key_that_may_not_use_the_small_model_is_left_with_the_guess, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_key_that_may_use_the_small_model_asks_it, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_key_that_was_revoked_meanwhile_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(who_waits_goes_on_when_the_mesh_stops, setup, teardown),
            cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("auto_call", tests, NULL, NULL);
}
