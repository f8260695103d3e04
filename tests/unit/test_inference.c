#include "coordinator/api/inference.h"

#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/responses/response_store.h"
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
    MODES = 6,
    TALKS = CAPABILITY_CHAT | CAPABILITY_TOOLS,
    FILLS = CAPABILITY_CHAT | CAPABILITY_FIM,
    HEARS = CAPABILITY_CHAT | CAPABILITY_AUDIO,
};

struct world {
    struct fake_mesh mesh;
    struct jobs *jobs;
    struct modes modes;
    struct mode mode_list[MODES];
    struct admin_view view;
    struct response_store *responses;
    struct api api;
    struct api_key key;
    const char *header; /* X-Modemesh-Mode of the next calls */
    bool keyless;
    struct http_exchange client;
};

static char *ask_models[] = {"small", "tiny"}, *code_models[] = {"coder"},
            *fill_models[] = {"filler-a", "filler-b"}, *embed_models[] = {"vectors"},
            *rerank_models[] = {"ranks"}, *transcribe_models[] = {"ears"};

static const struct mode all_modes[MODES] = {
        {.name = "ask", .models = ask_models, .model_count = 2},
        {.name = "code", .models = code_models, .model_count = 1},
        {.name = "autocomplete", .models = fill_models, .model_count = 2},
        {.name = "embed", .models = embed_models, .model_count = 1},
        {.name = "rerank", .models = rerank_models, .model_count = 1},
        {.name = "transcribe", .models = transcribe_models, .model_count = 1}};

static const struct {
    const char *name;
    uint32_t capabilities;
} models[] = {{"small", TALKS}, {"tiny", TALKS}, {"coder", TALKS}, {"filler-a", FILLS},
        {"filler-b", FILLS}, {"vectors", CAPABILITY_EMBEDDINGS}, {"ranks", CAPABILITY_RERANK},
        {"ears", HEARS}};
enum { MODELS = sizeof(models) / sizeof(models[0]) };

static void say(struct world *world, const char *name, enum instance_state state, uint32_t can)
{
    struct msg_instance instance = {.model = name,
            .state = state,
            .slots = 1,
            .engine = "",
            .note = "",
            .architecture = "",
            .quantisation = "",
            .capabilities = can};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

/* A node with all models. */
static void join(struct world *world)
{
    fake_mesh_hello(&world->mesh, 0, "s");
    for (size_t i = 0; i < MODELS; i++)
        say(world, models[i].name, INSTANCE_RESIDENT, models[i].capabilities);
    fake_link_forget(&world->mesh.link, 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    world->responses =
            response_store_create(&(struct response_store_config){.env = &world->mesh.env.env});
    assert_non_null(world->responses);
    memcpy(world->mode_list, all_modes, sizeof(all_modes));
    world->modes = (struct modes){.list = world->mode_list, .count = MODES};
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .jobs = world->jobs};
    world->api =
            (struct api){.view = &world->view, .jobs = world->jobs, .responses = world->responses};
    world->key = (struct api_key){.name = "narrow"};
    world->keyless = true;
    fake_exchange_init(&world->client);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    jobs_destroy(world->jobs);
    response_store_destroy(world->responses);
    fake_mesh_fini(&world->mesh);
    fake_exchange_fini(&world->client);
    free(world);
    return 0;
}

static struct http_exchange *post(
        struct world *world, const struct dialect *dialect, const char *type, const char *body)
{
    struct http_exchange *client = &world->client;
    const struct caller caller = {
            .key = world->keyless ? NULL : &world->key, .nodes = world->mesh.nodes};
    const struct call call = {.api = &world->api,
            .exchange = client,
            .caller = &caller,
            .family = dialect->family,
            .dialect = dialect,
            .tail = "",
            .request_id = "req_1"};
    if (client->events)
        fake_exchange_leave(client);
    fake_exchange_fini(client);
    fake_exchange_init(client);
    fake_link_forget(&world->mesh.link, 0);
    client->more[0].name = "Content-Type";
    client->more[0].value = type;
    if (world->header) {
        client->more[1].name = "X-Modemesh-Mode";
        client->more[1].value = world->header;
    }
    fake_exchange_must(buf_append_str(&client->request_body, body));
    fake_exchange_must(buf_terminate(&client->request_body));
    inference_serve(&call);
    jobs_dispatch_changed(world->jobs);
    return client;
}

static struct http_exchange *ask(
        struct world *world, const struct dialect *dialect, const char *body)
{
    return post(world, dialect, "application/json", body);
}

static struct http_exchange *chat(struct world *world, const char *model)
{
    char body[MSG_NAME_MAX + 200];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", model);
    return ask(world, &dialect_openai_chat, body);
}

static struct http_exchange *infill(struct world *world, const char *model)
{
    char body[200];
    (void)snprintf(body, sizeof(body),
            "{\"model\":\"%s\",\"input_prefix\":\"a\",\"input_suffix\":\"b\"}", model);
    return ask(world, &dialect_llamacpp_infill, body);
}

/* The model that got the request. */
static void goes_to(struct world *world, const char *model)
{
    struct msg msg;
    if (!fake_link_next(&world->mesh.link, 0, &msg))
        fail_msg("nothing went to %s, but %d: %s", model, world->client.status,
                fake_exchange_text(&world->client.body));
    assert_int_equal(msg.type, MSG_START);
    assert_string_equal(msg.start.model, model);
}

static void is_refused(
        struct world *world, struct http_exchange *client, int status, const char *text)
{
    struct msg msg;
    if (client->status != status || !fake_exchange_has(client, text))
        fail_msg("%d, not %d: %s", client->status, status, fake_exchange_text(&client->body));
    assert_false(fake_link_next(&world->mesh.link, 0, &msg));
}

static void drop_mode(struct world *world, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->modes.count; i++)
        if (strcmp(world->mode_list[i].name, name) != 0)
            world->mode_list[kept++] = world->mode_list[i];
    world->modes.count = kept;
}

/* --- names --- */

static void modes_and_models_are_asked_for_by_name(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *asked, *model;
    } cases[] = {{"ask", "small"}, {"mesh-ask", "small"}, {"claude-mesh-code[1m]", "coder"},
            {"mesh-code:latest", "coder"}, {"mesh-auto", "small"}, {"auto", "small"}, {"", "small"},
            {"tiny", "tiny"}, {"tiny:latest", "tiny"}, {"ranks", NULL}};
    join(world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_exchange *client = chat(world, cases[i].asked);
        if (cases[i].model)
            goes_to(world, cases[i].model);
        else
            is_refused(world, client, 400, "\"code\":\"unsupported_by_model\"");
    }
    is_refused(world, chat(world, "gpt-5"), 404, "there is no mode or model \\\"gpt-5\\\"");
}

static void a_models_whole_name_comes_before_spellings_of_modes(void **state)
{
    struct world *world = *state;
    join(world);
    say(world, "mesh-code", INSTANCE_RESIDENT, TALKS);
    chat(world, "mesh-code");
    goes_to(world, "mesh-code");
    say(world, "code", INSTANCE_RESIDENT, TALKS);
    chat(world, "code");
    goes_to(world, "coder");
}

static void a_mode_with_a_model_is_that_model(void **state)
{
    struct world *world = *state;
    join(world);
    infill(world, "mesh-autocomplete-filler-b");
    goes_to(world, "filler-b");
    infill(world, "mesh-autocomplete-FILLER");
    goes_to(world, "filler-a");
    say(world, "filler-a", INSTANCE_FAILED, FILLS); /* it waits rather than get other tokens */
    struct http_exchange *client = infill(world, "mesh-autocomplete-filler-a");
    struct msg msg;
    assert_int_equal(client->status, 0);
    assert_false(fake_link_next(&world->mesh.link, 0, &msg));
}

static void the_header_comes_first(void **state)
{
    struct world *world = *state;
    join(world);
    world->header = "code";
    chat(world, "tiny");
    goes_to(world, "coder");
    world->header = "mesh-code";
    chat(world, "no such model");
    goes_to(world, "coder");
    world->header = "";
    chat(world, "tiny");
    goes_to(world, "tiny");
    static const char *const wrong[] = {"tiny", "\xff\"\\", "mesh-"};
    for (size_t i = 0; i < 3; i++) {
        world->header = wrong[i];
        struct http_exchange *client = chat(world, "tiny");
        is_refused(world, client, 404, "(X-Modemesh-Mode); known are: ");
        assert_true(fake_exchange_has(&world->client, "\"param\":null"));
        cJSON *json = NULL;
        assert_int_equal(json_parse(buf_at(&client->body), client->body.len, &json_limits_request,
                                 &json, NULL),
                0);
        cJSON_Delete(json);
    }
}

static void a_long_name_in_the_header_is_cut(void **state)
{
    struct world *world = *state;
    char name[4000];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    world->header = name;
    struct http_exchange *client = chat(world, "tiny");
    is_refused(world, client, 404, "there is no mode \\\"nnn");
    assert_true(client->body.len < 1000);
}

/* --- aliases --- */

static void call_it(struct world *world, const char *model, const char *alias)
{
    const struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .aliases = &alias,
            .alias_count = 1,
            .capabilities = FILLS,
            .engine = "",
            .note = "",
            .architecture = "",
            .quantisation = ""};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static struct mode_alias words[] = {{.name = (char *)"review", .target = (char *)"code"},
        {.name = (char *)"gpt-*", .target = (char *)"review", .foreign = true},
        {.name = (char *)"gpt-tiny", .target = (char *)"tiny", .foreign = true},
        {.name = (char *)"loop", .target = (char *)"loop-2", .foreign = true},
        {.name = (char *)"loop-2", .target = (char *)"loop", .foreign = true}};

static void words_of_editors_and_tools_mean_modes(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *asked, *model;
    } cases[] = {{"review", "coder"}, {"mesh-review[1m]", "coder"}, {"claude-mesh-review", "coder"},
            {"mesh-review-CODER", "coder"}, {"agent", "coder"}, {"mesh-edit", "coder"},
            {"fast:latest", "small"}, {"gpt-4o", "coder"}, {"gpt-tiny", "tiny"},
            {"gpt-tiny-2", "coder"}};
    join(world);
    world->modes.aliases = words;
    world->modes.alias_count = sizeof(words) / sizeof(words[0]);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        chat(world, cases[i].asked);
        goes_to(world, cases[i].model);
    }
    is_refused(world, chat(world, "loop"), 404, "there is no mode or model \\\"loop\\\"");
    is_refused(world, chat(world, "plan"), 404, "there is no mode or model \\\"plan\\\"");
    say(world, "fast", INSTANCE_RESIDENT, TALKS); /* a model's own name comes first */
    chat(world, "fast:latest");
    goes_to(world, "fast");
    chat(world, "mesh-fast");
    goes_to(world, "small");
    world->header = "mesh-review";
    chat(world, "tiny");
    goes_to(world, "coder");
    world->header = "gpt-4o"; /* the header names modes alone */
    is_refused(world, chat(world, "tiny"), 404,
            "there is no mode \\\"gpt-4o\\\" (X-Modemesh-Mode); known are: ");
    assert_true(fake_exchange_has(&world->client, "\"param\":null"));
    assert_false(fake_exchange_has(&world->client, "tiny"));
}

static void a_key_for_a_mode_may_use_its_words(void **state)
{
    struct world *world = *state;
    join(world);
    world->modes.aliases = words;
    world->modes.alias_count = sizeof(words) / sizeof(words[0]);
    world->keyless = false;
    world->key.modes = (char *[]){(char *)"code"};
    world->key.mode_count = 1;
    chat(world, "mesh-agent");
    goes_to(world, "coder");
    chat(world, "gpt-4o");
    goes_to(world, "coder");
    is_refused(world, chat(world, "fast"), 403,
            "may not use the mode \\\"ask\\\"; GET /v1/models lists what it may");
    is_refused(world, chat(world, "gpt-tiny"), 403, "may not use the model \\\"tiny\\\"");
}

static void a_model_is_asked_for_by_its_alias(void **state)
{
    struct world *world = *state;
    join(world);
    call_it(world, "tiny", "nick");
    chat(world, "nick");
    goes_to(world, "tiny");
    chat(world, "nick:latest");
    goes_to(world, "tiny");
    infill(world, "nick");
    goes_to(world, "tiny");
    ask(world, &dialect_ollama_chat,
            "{\"model\":\"nick\",\"messages\":[{\"role\":\"user\","
            "\"content\":\"hi\"}]}");
    goes_to(world, "tiny");
    is_refused(world, chat(world, "nic"), 404, "there is no mode or model \\\"nic\\\"");
    assert_true(fake_exchange_has(&world->client, ", nick\""));
    call_it(world, "tiny", "code"); /* a mode's name asks for the mode */
    chat(world, "code");
    goes_to(world, "coder");
    call_it(world, "tiny", "small"); /* a model's own name comes first */
    chat(world, "small");
    goes_to(world, "small");
}

static void a_mode_may_list_an_alias(void **state)
{
    struct world *world = *state;
    char *names[] = {"nick", "tiny", "small"};
    join(world);
    call_it(world, "tiny", "nick");
    world->mode_list[1].models = names;
    world->mode_list[1].model_count = 3;
    chat(world, "code");
    goes_to(world, "tiny");
    infill(world, "code"); /* it can */
    goes_to(world, "tiny");
    infill(world, "mesh-code-ni");
    goes_to(world, "tiny");
    say(world, "tiny", INSTANCE_FAILED, FILLS);
    chat(world, "code");
    goes_to(world, "small");
}

/* --- what is larger than its node --- */

static void only_modes_for_batch_work_reach_a_model_that_swaps(void **state)
{
    struct world *world = *state;
    const struct msg_instance huge = {.model = "coder",
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .capabilities = TALKS,
            .batch_only = true,
            .engine = "",
            .note = "",
            .architecture = "",
            .quantisation = ""};
    struct msg start;
    join(world);
    chat(world, "code");
    assert_true(fake_link_next(&world->mesh.link, 0, &start));
    assert_false(start.start.batch);
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_STATE, .state = {.instances = &huge, .instance_count = 1}});
    is_refused(world, chat(world, "code"), 503, "only modes with batch: true may use it");
    world->mode_list[1].batch = true; /* code */
    is_refused(world, chat(world, "coder"), 503, "only modes with batch: true may use it");
    chat(world, "code");
    assert_true(fake_link_next(&world->mesh.link, 0, &start));
    assert_string_equal(start.start.model, "coder");
    assert_true(start.start.batch);
}

/* --- where each kind goes by itself --- */

#define FORM_TYPE "multipart/form-data; boundary=b"
static const char form[] = "--b\r\nContent-Disposition: form-data; name=\"file\"; "
                           "filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n";
static const char talk[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                           "\"max_tokens\":5}";

static const struct kind {
    const struct dialect *dialect;
    const char *body, *mode, *model;
    bool automatic; /* goes by auto, to a mode that its caller may use; else it has the mode */
} kinds[] = {{&dialect_openai_chat, talk, "ask", "small", true},
        {&dialect_openai_completions, "{\"prompt\":\"a\"}", "ask", "small", true},
        {&dialect_openai_fim, "{\"prompt\":\"a\",\"suffix\":\"b\"}", "autocomplete", "filler-a",
                false},
        {&dialect_llamacpp_infill, "{\"input_prefix\":\"a\",\"input_suffix\":\"b\"}",
                "autocomplete", "filler-a", false},
        {&dialect_openai_embeddings, "{\"input\":\"a\"}", "embed", "vectors", false},
        {&dialect_openai_rerank, "{\"query\":\"a\",\"documents\":[\"b\"]}", "rerank", "ranks",
                false},
        {&dialect_openai_transcriptions, form, "transcribe", "ears", false},
        {&dialect_llamacpp_completion, "{\"prompt\":\"a\"}", "ask", "small", true},
        {&dialect_llamacpp_tokenize, "{\"content\":\"a\"}", "ask", "small", true},
        {&dialect_llamacpp_detokenize, "{\"tokens\":[1]}", "ask", "small", true},
        {&dialect_llamacpp_template, talk, "ask", "small", true},
        {&dialect_responses, "{\"input\":\"hi\"}", "ask", "small", true}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct http_exchange *ask_kind(struct world *world, const struct kind *kind)
{
    return post(
            world, kind->dialect, kind->body == form ? FORM_TYPE : "application/json", kind->body);
}

static void without_a_name_each_kind_has_its_mode(void **state)
{
    struct world *world = *state;
    join(world);
    for (size_t i = 0; i < KINDS; i++) {
        ask_kind(world, &kinds[i]);
        goes_to(world, kinds[i].model);
    }
}

static void auto_in_the_header_is_the_mode_of_the_kind(void **state)
{
    struct world *world = *state;
    static const char *const spellings[] = {"auto", "mesh-auto"};
    join(world);
    for (size_t i = 0; i < 2 * KINDS; i++) {
        world->header = spellings[i / KINDS];
        ask_kind(world, &kinds[i % KINDS]);
        goes_to(world, kinds[i % KINDS].model);
    }
    drop_mode(world, "embed"); /* any model that can */
    ask_kind(world,
            &(struct kind){.dialect = &dialect_openai_embeddings, .body = "{\"input\":\"a\"}"});
    goes_to(world, "vectors");
}

static void without_that_mode_any_model_that_can_will_do(void **state)
{
    struct world *world = *state;
    join(world);
    world->modes.count = 0;
    for (size_t i = 0; i < KINDS; i++) {
        struct msg msg;
        ask_kind(world, &kinds[i]);
        assert_true(fake_link_next(&world->mesh.link, 0, &msg));
        assert_int_equal(msg.type, MSG_START);
        if (strcmp(kinds[i].mode, "ask") != 0)
            assert_string_equal(msg.start.model, kinds[i].model);
    }
}

static void what_is_resident_comes_first_of_any(void **state)
{
    struct world *world = *state;
    join(world);
    world->modes.count = 0;
    say(world, "filler-a", INSTANCE_AVAILABLE, FILLS);
    infill(world, "");
    goes_to(world, "filler-b");
}

static void where_nobody_can_that_is_said(void **state)
{
    struct world *world = *state;
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, "small", INSTANCE_RESIDENT, TALKS);
    say(world, "silent on what it can", INSTANCE_RESIDENT, 0);
    world->modes.count = 0;
    is_refused(world, infill(world, ""), 404,
            "there is no mode \\\"autocomplete\\\", and no node has a model that can do this");
}

static void any_of_more_than_a_mode_may_have(void **state)
{
    struct world *world = *state;
    char name[16];
    fake_mesh_hello(&world->mesh, 0, "s");
    for (int i = 0; i < MODE_MODELS_MAX + 8; i++) {
        (void)snprintf(name, sizeof(name), "m%03d", i);
        say(world, name, INSTANCE_RESIDENT, TALKS);
    }
    world->modes.count = 0;
    chat(world, "");
    goes_to(world, "m000");
}

static void infill_goes_where_the_tokens_are(void **state)
{
    struct world *world = *state;
    join(world);
    infill(world, "code"); /* whose model has none */
    goes_to(world, "filler-a");
    say(world, "coder", INSTANCE_RESIDENT, TALKS | FILLS);
    infill(world, "code");
    goes_to(world, "coder");
    chat(world, "ask"); /* only infill moves */
    goes_to(world, "small");
    say(world, "coder", INSTANCE_RESIDENT, TALKS);
    drop_mode(world, "autocomplete");
    is_refused(world, infill(world, "code"), 400, "has no FIM tokens");
    is_refused(world, infill(world, "tiny"), 400, "has no FIM tokens");
}

static void tools_are_refused_where_the_engine_says_so(void **state)
{
    static const char with_tools[] =
            "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":["
            "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]}";
    struct world *world = *state;
    join(world);
    say(world, "tiny", INSTANCE_RESIDENT, CAPABILITY_CHAT); /* as far as the file tells */
    ask(world, &dialect_openai_chat, with_tools);
    goes_to(world, "tiny");
    say(world, "tiny", INSTANCE_RESIDENT, CAPABILITY_CHAT | CAPABILITY_EXACT);
    is_refused(world, ask(world, &dialect_openai_chat, with_tools), 400, "cannot call tools");
}

/* --- keys --- */

static void narrow(struct world *world, char **modes, size_t mode_count, char **names, size_t count)
{
    world->keyless = false;
    world->key.modes = modes;
    world->key.mode_count = mode_count;
    world->key.models = names;
    world->key.model_count = count;
}

static void a_key_is_kept_to_its_modes_in_every_kind(void **state)
{
    struct world *world = *state;
    char *only[] = {"code"};
    join(world);
    narrow(world, only, 1, NULL, 0);
    for (size_t i = 0; i < KINDS; i++) {
        ask_kind(world, &kinds[i]);
        if (kinds[i].automatic)
            goes_to(world, "coder");
        else
            is_refused(world, &world->client, 403, "may not use the mode");
        world->header = kinds[i].mode;
        is_refused(world, ask_kind(world, &kinds[i]), 403, "may not use the mode");
        world->header = NULL;
    }
    is_refused(world, chat(world, "small"), 403, "may not use the model \\\"small\\\"");
    is_refused(world, infill(world, "code"), 403, "may not use the mode \\\"autocomplete\\\"");
    is_refused(world, infill(world, "mesh-autocomplete-filler-b"), 403, "may not use the mode");
    chat(world, "code");
    goes_to(world, "coder");
    chat(world, "coder");
    goes_to(world, "coder");
}

static void a_key_is_kept_to_its_models_where_any_will_do(void **state)
{
    struct world *world = *state;
    char *only[] = {"filler-b", "vectors"};
    join(world);
    world->modes.count = 0;
    narrow(world, NULL, 0, only, 2);
    infill(world, "");
    goes_to(world, "filler-b");
    ask(world, &dialect_openai_embeddings, "{\"input\":\"a\"}");
    goes_to(world, "vectors");
    is_refused(world, ask(world, &dialect_openai_rerank, "{\"query\":\"a\",\"documents\":[\"b\"]}"),
            404, "no node has a model that can do this");
}

static void of_a_mode_a_key_gets_its_own_models(void **state)
{
    struct world *world = *state;
    char *only[] = {"filler-b"};
    join(world);
    narrow(world, NULL, 0, only, 1);
    infill(world, "autocomplete");
    goes_to(world, "filler-b");
    is_refused(world, infill(world, "mesh-autocomplete-filler-a"), 403, "may not use the mode");
}

static void a_key_gets_what_an_alias_of_its_models_means(void **state)
{
    struct world *world = *state;
    char *only[] = {"tiny"}, *gone[] = {"absent"};
    join(world);
    call_it(world, "tiny", "nick");
    narrow(world, NULL, 0, only, 1);
    chat(world, "nick");
    goes_to(world, "tiny");
    chat(world, "ask"); /* small, tiny */
    goes_to(world, "tiny");
    call_it(world, "coder", "nick"); /* comes before it */
    is_refused(world, chat(world, "nick"), 403, "may not use the model \\\"nick\\\"");
    call_it(world, "coder", "absent"); /* a name that is the key's, and now another model's */
    narrow(world, NULL, 0, gone, 1);
    is_refused(world, chat(world, "absent"), 403, "may not use the model \\\"absent\\\"");
}

static void a_key_for_a_mode_gets_its_models_by_any_name(void **state)
{
    struct world *world = *state;
    char *only[] = {"code"}, *names[] = {"nick"};
    join(world);
    call_it(world, "tiny", "nick");
    world->mode_list[1].models = names;
    narrow(world, only, 1, NULL, 0);
    chat(world, "tiny");
    goes_to(world, "tiny");
    chat(world, "nick");
    goes_to(world, "tiny");
    is_refused(world, chat(world, "coder"), 403, "may not use the model");
}

static void an_unknown_name_tells_a_key_only_what_is_its_own(void **state)
{
    struct world *world = *state;
    char *only[] = {"code"};
    join(world);
    narrow(world, only, 1, NULL, 0);
    is_refused(world, chat(world, "gpt-5"), 404, "known are: mesh-code, mesh-auto, coder\"");
    world->header = "nothing";
    is_refused(world, chat(world, "gpt-5"), 404, "known are: code\"");
}

/* --- what needs no engine --- */

static void a_settled_answer_asks_nobody(void **state)
{
    struct world *world = *state;
    char *only[] = {"tiny"};
    join(world);
    struct http_exchange *client =
            ask(world, &dialect_ollama_generate, "{\"model\":\"small\",\"stream\":false}");
    is_refused(world, client, 200, "\"done_reason\":\"load\"");
    assert_true(fake_exchange_has_header(client, "Content-Type: application/json"));
    client = ask(world, &dialect_ollama_chat, "{\"model\":\"small\",\"keep_alive\":0}");
    is_refused(world, client, 200, "\"done_reason\":\"unload\"");
    assert_true(fake_exchange_has_header(client, "Content-Type: application/x-ndjson\n"));
    is_refused(world, ask(world, &dialect_ollama_generate, "{\"model\":\"gpt-5\"}"), 404,
            "there is no mode or model");
    narrow(world, NULL, 0, only, 1);
    is_refused(world, ask(world, &dialect_ollama_generate, "{\"model\":\"small\"}"), 403,
            "may not use the model");
}

/* --- what a request is called --- */

static void an_error_carries_the_requests_id(void **state)
{
    struct world *world = *state;
    char expected[100], id[REQUEST_ID_MAX];
    struct http_exchange *client = ask(world, &dialect_anthropic_messages, "{\"model\":\"x\"}");
    const char *headers = fake_exchange_text(&client->headers);
    assert_int_equal(client->status, 400);
    const char *told = strstr(headers, "request-id: req_");
    assert_non_null(told);
    assert_int_equal(sscanf(told, "request-id: %31s", id), 1);
    (void)snprintf(expected, sizeof(expected), "\"request_id\":\"%s\"", id);
    assert_true(fake_exchange_has(client, expected));
    (void)snprintf(expected, sizeof(expected), "X-Modemesh-Request: %s\n", id);
    assert_true(fake_exchange_has_header(client, expected));
    client = chat(world, "gpt-5");
    assert_true(fake_exchange_has_header(client, "x-request-id: req_"));
}

static void what_is_built_on_and_gone_has_openais_own_code(void **state)
{
    struct world *world = *state;
    join(world);
    struct http_exchange *client = ask(world, &dialect_responses,
            "{\"model\":\"ask\",\"input\":\"hi\",\"previous_response_id\":\"resp_gone\"}");
    is_refused(world, client, 400, "\"code\":\"previous_response_not_found\"");
}

static void the_body_is_freed_before_anything_is_asked(void **state)
{
    struct world *world = *state;
    join(world);
    assert_int_equal(chat(world, "ask")->request_body.len, 0);
    assert_int_equal(ask(world, &dialect_openai_chat, "{")->request_body.len, 0);
    assert_int_equal(world->client.status, 400);
}

/* --- what a mode's rules make of a request --- */

/* A chat of about so many bytes, with members besides. */
static struct http_exchange *chat_of(
        struct world *world, const char *model, size_t bytes, const char *more)
{
    char *body = malloc(bytes + 500);
    assert_non_null(body);
    int len = snprintf(body, bytes + 500,
            "{\"model\":\"%s\"%s,\"messages\":[{\"role\":\"user\",\"content\":\"%*s\"}]}", model,
            more, (int)bytes, "x");
    assert_in_range(len, 0, bytes + 499);
    struct http_exchange *client = ask(world, &dialect_openai_chat, body);
    free(body);
    return client;
}

static struct mode *set_mode(struct world *world, char **names, size_t count)
{
    struct mode *mode = &world->mode_list[0]; /* ask */
    mode->models = names;
    mode->model_count = count;
    return mode;
}

/* What the node gets of the next request. */
static struct cJSON *sent_body(struct world *world)
{
    struct msg msg;
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_START);
    node_table_flush(world->mesh.nodes);
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_BODY);
    cJSON *body = cJSON_ParseWithLength(msg.body.data, msg.body.len);
    assert_non_null(body);
    return body;
}

static void a_rule_goes_by_the_length_of_the_prompt(void **state)
{
    struct world *world = *state;
    char *names[] = {"small", "tiny", "coder"}, *first[] = {"tiny"}, *second[] = {"coder"};
    struct mode_rule rules[] = {
            {.tokens = 1024, .models = {first, 1}}, {.tokens = 4096, .models = {second, 1}}};
    struct mode *mode = set_mode(world, names, 3);
    mode->rules = rules;
    mode->rule_count = 2;
    join(world);
    chat_of(world, "ask", 100, "");
    goes_to(world, "tiny");
    chat_of(world, "ask", 2000 * 4, "");
    goes_to(world, "coder");
    chat_of(world, "ask", 5000 * 4, "");
    goes_to(world, "small");
    chat_of(world, "ask", 100, ",\"max_tokens\":9"); /* so the answer is no longer than that: */
    goes_to(world, "tiny");
    chat_of(world, "ask", 900 * 4, ",\"max_tokens\":9");
    goes_to(world, "tiny");
    chat_of(world, "ask", 900 * 4, ""); /* … and else as long as answers are */
    goes_to(world, "coder");
}

static void a_planning_call_is_told_by_tools_and_by_the_editor(void **state)
{
    struct world *world = *state;
    static const char tools[] = ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                                "\"f\",\"parameters\":{}}}]";
    char *names[] = {"small", "coder"}, *planning[] = {"coder"};
    set_mode(world, names, 2)->planning = (struct mode_models){planning, 1};
    join(world);
    chat_of(world, "ask", 1, "");
    goes_to(world, "small");
    chat_of(world, "ask", 1, tools);
    goes_to(world, "coder");
    world->header = "ask";
    ask(world, &dialect_openai_chat,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\","
            "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":"
            "\"x\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"parameters\":{}}}]}");
    goes_to(world, "small");
    ask(world, &dialect_openai_chat,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"<user_input mode=\\\"plan\\\">\"}]}");
    goes_to(world, "coder");
}

static void a_mode_fills_in_what_the_client_left_open(void **state)
{
    struct world *world = *state;
    char *names[] = {"small"};
    struct mode *mode = set_mode(world, names, 1);
    mode->has_temperature = true;
    mode->temperature = 0.25;
    mode->max_output = 100;
    join(world);
    chat_of(world, "ask", 1, "");
    cJSON *body = sent_body(world);
    assert_true(cJSON_GetObjectItem(body, "temperature")->valuedouble == 0.25);
    assert_int_equal(cJSON_GetObjectItem(body, "max_tokens")->valueint, 100);
    cJSON_Delete(body);
    chat_of(world, "small", 1, ""); /* by its name nothing is filled in */
    body = sent_body(world);
    assert_null(cJSON_GetObjectItem(body, "temperature"));
    cJSON_Delete(body);
}

static void the_mode_that_is_asked_next_is_one_that_the_key_may_use(void **state)
{
    struct world *world = *state;
    char *names[] = {"absent"}, *both[] = {"ask", "code"}, *one[] = {"ask"};
    struct mode *mode = set_mode(world, names, 1);
    mode->when_none = WHEN_NONE_NEXT;
    mode->next = (char *)"code";
    join(world);
    chat(world, "ask");
    goes_to(world, "coder");
    narrow(world, both, 2, NULL, 0);
    chat(world, "ask");
    goes_to(world, "coder");
    narrow(world, one, 1, NULL, 0);
    is_refused(world, chat(world, "ask"), 503, "no connected node has the model");
    world->keyless = true;
    world->mode_list[1].models = names;
    is_refused(world, chat(world, "ask"), 503, "no connected node has the model");
    assert_true(fake_exchange_has_header(&world->client, "X-Modemesh-Mode: code\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(modes_and_models_are_asked_for_by_name),
            TEST(a_models_whole_name_comes_before_spellings_of_modes),
            TEST(a_mode_with_a_model_is_that_model),
            TEST(the_header_comes_first),
            TEST(a_long_name_in_the_header_is_cut),
            TEST(a_model_is_asked_for_by_its_alias),
            TEST(words_of_editors_and_tools_mean_modes),
            TEST(a_key_for_a_mode_may_use_its_words),
            TEST(a_mode_may_list_an_alias),
            TEST(only_modes_for_batch_work_reach_a_model_that_swaps),
            TEST(without_a_name_each_kind_has_its_mode),
            TEST(auto_in_the_header_is_the_mode_of_the_kind),
            TEST(without_that_mode_any_model_that_can_will_do),
            TEST(what_is_resident_comes_first_of_any),
            TEST(where_nobody_can_that_is_said),
            TEST(any_of_more_than_a_mode_may_have),
            TEST(infill_goes_where_the_tokens_are),
            TEST(tools_are_refused_where_the_engine_says_so),
            TEST(a_key_is_kept_to_its_modes_in_every_kind),
            TEST(a_key_is_kept_to_its_models_where_any_will_do),
            TEST(of_a_mode_a_key_gets_its_own_models),
            TEST(a_key_gets_what_an_alias_of_its_models_means),
            TEST(a_key_for_a_mode_gets_its_models_by_any_name),
            TEST(an_unknown_name_tells_a_key_only_what_is_its_own),
            TEST(a_settled_answer_asks_nobody),
            TEST(an_error_carries_the_requests_id),
            TEST(what_is_built_on_and_gone_has_openais_own_code),
            TEST(the_body_is_freed_before_anything_is_asked),
            TEST(a_rule_goes_by_the_length_of_the_prompt),
            TEST(a_planning_call_is_told_by_tools_and_by_the_editor),
            TEST(a_mode_fills_in_what_the_client_left_open),
            TEST(the_mode_that_is_asked_next_is_one_that_the_key_may_use),
    };
    return cmocka_run_group_tests_name("inference", tests, NULL, NULL);
}
