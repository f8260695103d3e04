#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/found/adopted.h"
#include "tests/lib/patience.h"
#include "tests/lib/toy_answers.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000, LOOK_MS = 20 };

static const char absent[] = "{\"models\":[]}";
static const char loaded[] =
        "{\"models\":[{\"name\":\"llama3.2:latest\",\"size\":900,\"size_vram\":800,"
        "\"context_length\":8192}]}";
static const char tags[] = "{\"models\":[{\"name\":\"llama3.2:latest\",\"size\":700}]}";
static const char stream[] =
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":"
        "\"llama3.2:latest\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":\"\",\"reasoning\":\"Hm.\"},\"finish_reason\":null}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A mesh\"},"
        "\"finish_reason\":null}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]"
        "}\n\n"
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2,"
        "\"total_tokens\":13}}\n\n"
        "data: [DONE]\n\n";
static const char first_token[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"}}]}\n\n";
static const char vllm[] = "{\"object\":\"list\",\"data\":[{\"id\":\"Qwen/Qwen3-32B\","
                           "\"owned_by\":\"vllm\",\"max_model_len\":40960}]}";

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct http_client *http;
    struct virtual_env world;
    struct toy_answers *toy;
    struct backend_host host;
    const struct backend_ops *ops;
    struct instance_backend *instance;
    bool inside; /* of a function of the backend: no callback may come */

    bool ready, exited, wanted;
    uint32_t slots, context, capabilities;
    char reason[ERR_TEXT_MAX];

    struct run *run;
    bool cancels; /* in its first delta */
    char text[4096];
    int ends, usages, fail_code; /* -1: complete */
    char fail_message[ERR_TEXT_MAX];
};

static void on_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct fixture *f = ctx;

    assert_false(f->inside || f->ready);
    f->ready = true;
    f->slots = slots;
    f->context = context;
    f->capabilities = capabilities;
    loop_stop(&f->loop);
}

static void on_exit_of_engine(void *ctx, bool wanted, const char *reason)
{
    struct fixture *f = ctx;

    assert_false(f->inside || f->exited);
    f->exited = true;
    f->wanted = wanted;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop);
}

static const struct backend_events backend_events = {on_ready, on_exit_of_engine, NULL};

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct fixture *f = ctx;
    size_t len = strlen(f->text);

    assert_false(f->inside);
    if (delta->kind == DELTA_USAGE)
        f->usages++;
    else
        snprintf(f->text + len, sizeof(f->text) - len, "%u:%.*s;", (unsigned)delta->kind,
                (int)delta->len, delta->data);
    if (f->cancels) {
        f->ops->run_cancel(f->run);
        f->run = NULL;
    }
    loop_stop(&f->loop);
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct fixture *f = ctx;

    assert_false(f->inside || f->exited);
    f->ends++;
    f->run = NULL;
    f->fail_code = fail ? (int)fail->code : -1;
    snprintf(f->fail_message, sizeof(f->fail_message), "%s", fail ? fail->message : "");
    loop_stop(&f->loop);
}

static const struct run_events run_events = {on_delta, on_end};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    virtual_env_init(&f->world);
    f->http = http_client_create(&f->loop);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->toy = toy_answers_create();
    f->host = (struct backend_host){.loop = &f->loop,
            .http = f->http,
            .env = &f->world.env,
            .start_timeout_ms = PATIENCE_MS,
            .stop_timeout_ms = PATIENCE_MS,
            .health_interval_ms = LOOK_MS};
    f->ops = &backend_ollama;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->ops->destroy(f->instance);
    http_client_destroy(f->http);
    toy_answers_destroy(f->toy);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static void create(struct fixture *f, const struct adopted_model *place, uint32_t capabilities)
{
    struct adopted_model own = *place;
    struct backend_model model = {.name = "m", .capabilities = capabilities, .adopted = &own};

    own.url = toy_answers_url(f->toy);
    f->ops = engine_manner(place->kind)->loads ? &backend_ollama : &backend_openai;
    f->instance = f->ops->create(&f->host, &model, &backend_events, f, NULL);
    assert_non_null(f->instance);
    assert_int_equal(f->ops->expect(&f->host, &model), capabilities);
    assert_int_equal(f->ops->pid(f->instance), 0);
}

static void start(struct fixture *f)
{
    f->ready = f->exited = false;
    f->inside = true;
    assert_int_equal(f->ops->start(f->instance, NULL), 0);
    f->inside = false;
    while (!f->ready && !f->exited)
        loop_run(&f->loop);
}

static void serve_ollama(struct fixture *f)
{
    toy_answers_set(f->toy, "GET /api/tags", tags);
    toy_answers_set(f->toy, "GET /api/ps", absent);
    toy_answers_add(f->toy, &(struct toy_answer){.request = "POST /api/generate",
                                    .body = "{\"done\":true,\"done_reason\":\"load\"}",
                                    .then = "GET /api/ps",
                                    .then_body = loaded});
    toy_answers_add(f->toy, &(struct toy_answer){.request = "POST /api/generate",
                                    .holds = "\"keep_alive\":0",
                                    .body = "{\"done\":true,\"done_reason\":\"unload\"}",
                                    .then = "GET /api/ps",
                                    .then_body = absent});
    toy_answers_set(f->toy, "POST /v1/chat/completions", stream);
}

static void adopt_ollama(struct fixture *f)
{
    static const struct adopted_model place = {.kind = ENGINE_OLLAMA, .id = "llama3.2:latest"};

    create(f, &place, CAPABILITY_CHAT | CAPABILITY_TOOLS);
}

static void start_ollama(struct fixture *f)
{
    serve_ollama(f);
    adopt_ollama(f);
    start(f);
    assert_true(f->ready);
}

static void wait_for_exit(struct fixture *f)
{
    while (!f->exited)
        loop_run(&f->loop);
}

static void stop(struct fixture *f)
{
    f->inside = true;
    f->ops->stop(f->instance);
    f->ops->stop(f->instance);
    f->inside = false;
    wait_for_exit(f);
    assert_true(f->wanted);
}

static void begin(struct fixture *f, const char *body)
{
    struct run_spec spec = {
            .request_id = "r1", .kind = REQUEST_CHAT, .body = body, .body_len = strlen(body)};

    f->ends = f->usages = 0;
    f->text[0] = '\0';
    f->inside = true;
    assert_int_equal(f->ops->run(f->instance, &spec, &run_events, f, &f->run, NULL), 0);
    f->inside = false;
}

static void run_to_end(struct fixture *f)
{
    begin(f, "{\"model\":\"mesh-code\",\"num_ctx\":5,\"messages\":[]}");
    while (f->ends == 0)
        loop_run(&f->loop);
}

static void assert_reason(struct fixture *f, const char *words)
{
    if (!strstr(f->reason, words))
        fail_msg("\"%s\" is not in \"%s\"", words, f->reason);
}

/* What /api/ps tells after the load is what every request gets. */
static void test_a_load_and_what_came_of_it(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    assert_int_equal(f->context, 8192);
    assert_int_equal(f->slots, 1);
    assert_int_equal(f->capabilities, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    stop(f);
    assert_string_equal(f->reason, "stopped");
}

static void test_the_words_of_a_load(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    start_ollama(f);
    toy_answers_last(f->toy, "POST /api/generate", asked);
    assert_non_null(strstr(asked, "{\"model\":\"llama3.2:latest\",\"stream\":false,"
                                  "\"keep_alive\":\"900s\"}"));
    assert_null(strstr(asked, "num_ctx"));
    assert_null(strstr(asked, "Authorization"));
    stop(f);
    toy_answers_last(f->toy, "POST /api/generate", asked);
    assert_non_null(strstr(asked, "\"keep_alive\":0"));
}

static void test_a_model_that_only_embeds(void **state)
{
    struct fixture *f = *state;
    static const struct adopted_model place = {.kind = ENGINE_OLLAMA, .id = "llama3.2:latest"};

    serve_ollama(f);
    toy_answers_add(f->toy, &(struct toy_answer){.request = "POST /api/embed",
                                    .holds = "\"input\":[]",
                                    .body = "{\"embeddings\":[]}",
                                    .then = "GET /api/ps",
                                    .then_body = loaded});
    create(f, &place, CAPABILITY_EMBEDDINGS);
    start(f);
    assert_true(f->ready);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", NULL), 0);
    stop(f);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", "\"keep_alive\":0"), 1);
}

/* … by us: not loaded, not kept, not unloaded. */
static void test_what_somebody_else_has_loaded(void **state)
{
    struct fixture *f = *state;
    static const struct adopted_model place = {
            .kind = ENGINE_OLLAMA, .id = "llama3.2:latest", .lent = true};
    unsigned looks;

    serve_ollama(f);
    toy_answers_set(f->toy, "GET /api/ps", loaded);
    create(f, &place, CAPABILITY_CHAT);
    start(f);
    assert_true(f->ready);
    assert_int_equal(f->context, 8192);
    run_to_end(f);
    assert_int_equal(f->fail_code, -1);
    virtual_env_advance_ms(&f->world, ADOPTED_LEASE_S * 1000);
    looks = toy_answers_count(f->toy, "GET /api/ps", NULL);
    while (toy_answers_count(f->toy, "GET /api/ps", NULL) < looks + 3)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    stop(f);
    assert_string_equal(f->reason, "stopped");
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", NULL), 0);
}

static void test_a_load_that_is_refused(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f);
    toy_answers_add(f->toy,
            &(struct toy_answer){.request = "POST /api/generate",
                    .status = 500,
                    .body = "{\"error\":\"model requires more system memory (9.9 GiB) than is "
                            "available (1.0 GiB)\"}"});
    adopt_ollama(f);
    start(f);
    assert_true(f->exited && !f->ready && !f->wanted);
    assert_reason(f, "did not load the model");
    assert_reason(f, "9.9 GiB");
}

static void test_a_load_of_which_nothing_came(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f);
    toy_answers_set(f->toy, "POST /api/generate", "{\"done\":true}");
    adopt_ollama(f);
    start(f);
    assert_true(f->exited && !f->wanted);
    assert_reason(f, "does not have the model loaded");
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;

    adopt_ollama(f);
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    start(f);
    assert_true(f->exited && !f->wanted);
    assert_reason(f, "Ollama at http://127.0.0.1:");
}

static void test_stop_while_it_loads(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f);
    toy_answers_add(f->toy,
            &(struct toy_answer){.request = "POST /api/generate", .holds = "900s", .body = NULL});
    adopt_ollama(f);
    f->inside = true;
    assert_int_equal(f->ops->start(f->instance, NULL), 0);
    f->inside = false;
    while (toy_answers_count(f->toy, "POST /api/generate", "900s") == 0)
        patience_run_for(&f->loop, 1);
    stop(f);
    assert_false(f->ready);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", "\"keep_alive\":0"), 1);
}

static void test_a_chat_in_deltas(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    start_ollama(f);
    run_to_end(f);
    assert_int_equal(f->fail_code, -1);
    assert_string_equal(f->text, "1:Hm.;0:A mesh;4:stop;");
    assert_int_equal(f->usages, 1);
    toy_answers_last(f->toy, "POST /v1/chat/completions", asked);
    assert_non_null(strstr(asked, "\"model\":\"llama3.2:latest\""));
    assert_non_null(strstr(asked, "\"stream\":true"));
    assert_null(strstr(asked, "num_ctx"));
    assert_null(strstr(asked, "mesh-code"));
    stop(f);
}

static void test_kinds_that_it_does_not_serve(void **state)
{
    struct fixture *f = *state;
    struct run_spec spec = {.kind = REQUEST_INFILL, .body = "{}", .body_len = 2};
    struct err err;

    start_ollama(f);
    assert_int_equal(f->ops->run(f->instance, &spec, &run_events, f, &f->run, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "infill"));
    stop(f);
    spec.kind = REQUEST_CHAT;
    assert_int_equal(f->ops->run(f->instance, &spec, &run_events, f, &f->run, &err), -EAGAIN);
}

static void begin_endless(struct fixture *f)
{
    toy_answers_add(f->toy,
            &(struct toy_answer){
                    .request = "POST /v1/chat/completions", .body = first_token, .stalls = true});
    begin(f, "{}");
    while (!f->text[0])
        loop_run(&f->loop);
}

static void test_cancel_closes_the_connection(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    f->cancels = true;
    begin_endless(f);
    while (toy_answers_closed(f->toy) == 0)
        patience_run_for(&f->loop, 1);
    assert_int_equal(f->ends, 0);
    stop(f);
}

static void test_stop_ends_what_runs(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    begin_endless(f);
    stop(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->fail_code, FAIL_ENGINE_DIED);
    assert_string_equal(f->fail_message, "stopped");
}

static void test_an_unload_that_fails(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    toy_answers_add(f->toy, &(struct toy_answer){.request = "POST /api/generate",
                                    .holds = "\"keep_alive\":0",
                                    .status = 404,
                                    .body = "{\"error\":\"model not found\"}"});
    stop(f);
    assert_string_equal(
            f->reason, "stopped; Ollama did not unload it: status 404: model not found");
}

static void test_unloaded_by_somebody_else(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    toy_answers_set(f->toy, "GET /api/ps", absent);
    wait_for_exit(f);
    assert_false(f->wanted);
    assert_reason(f, "has unloaded the model");
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", "\"keep_alive\":0"), 0);
}

/* Ollama may be loading it anew for that very request. */
static void test_absent_while_a_request_runs(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    start_ollama(f);
    begin_endless(f);
    toy_answers_set(f->toy, "GET /api/ps", absent);
    before = toy_answers_count(f->toy, "GET /api/ps", NULL);
    while (toy_answers_count(f->toy, "GET /api/ps", NULL) < before + 5)
        patience_run_for(&f->loop, 1);
    assert_false(f->exited);
    f->ops->run_cancel(f->run);
    wait_for_exit(f);
    assert_reason(f, "has unloaded the model");
}

static void test_an_engine_that_ends(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    wait_for_exit(f);
    assert_false(f->wanted);
    assert_reason(f, "gave no sign of life for too long");
}

static void test_the_lease_is_renewed(void **state)
{
    struct fixture *f = *state;
    unsigned looks;

    start_ollama(f);
    looks = toy_answers_count(f->toy, "GET /api/ps", NULL);
    while (toy_answers_count(f->toy, "GET /api/ps", NULL) < looks + 3)
        patience_run_for(&f->loop, 1);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", "900s"), 1);
    virtual_env_advance_ms(&f->world, ADOPTED_LEASE_S * 1000 / 3);
    while (toy_answers_count(f->toy, "POST /api/generate", "900s") < 2)
        patience_run_for(&f->loop, 1);
    looks = toy_answers_count(f->toy, "GET /api/ps", NULL);
    while (toy_answers_count(f->toy, "GET /api/ps", NULL) < looks + 3)
        patience_run_for(&f->loop, 1);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", "900s"), 2);
    stop(f);
}

static void test_start_again_after_the_end(void **state)
{
    struct fixture *f = *state;

    start_ollama(f);
    stop(f);
    start(f);
    assert_true(f->ready);
    run_to_end(f);
    assert_int_equal(f->fail_code, -1);
    stop(f);
}

static void start_vllm(struct fixture *f, const char *authorization)
{
    const struct adopted_model place = {
            .kind = ENGINE_VLLM, .id = "Qwen/Qwen3-32B", .authorization = authorization};

    toy_answers_set(f->toy, "GET /v1/models", vllm);
    toy_answers_set(f->toy, "POST /v1/chat/completions", stream);
    create(f, &place, CAPABILITY_CHAT);
    start(f);
    assert_true(f->ready);
}

static void test_a_server_that_has_its_model(void **state)
{
    struct fixture *f = *state;

    start_vllm(f, NULL);
    assert_int_equal(f->context, 40960);
    assert_int_equal(f->slots, 16);
    run_to_end(f);
    assert_int_equal(f->fail_code, -1);
    stop(f);
    assert_string_equal(f->reason, "stopped");
    assert_int_equal(toy_answers_count(f->toy, "POST /api/generate", NULL), 0);
}

static void test_a_server_that_wants_a_key(void **state)
{
    struct fixture *f = *state;

    start_vllm(f, "Authorization: Bearer sesame");
    run_to_end(f);
    stop(f);
    assert_int_equal(toy_answers_count(f->toy, "GET /v1/models", "Bearer sesame"),
            toy_answers_count(f->toy, "GET /v1/models", NULL));
    assert_int_equal(toy_answers_count(f->toy, "POST /v1/chat/completions", "Bearer sesame"), 1);
}

static void test_a_server_without_the_model(void **state)
{
    struct fixture *f = *state;
    static const struct adopted_model place = {.kind = ENGINE_LM_STUDIO, .id = "qwen"};

    toy_answers_set(f->toy, "GET /api/v0/models",
            "{\"data\":[{\"id\":\"qwen\",\"state\":\"not-loaded\"}]}");
    create(f, &place, CAPABILITY_CHAT);
    start(f);
    assert_true(f->exited && !f->wanted);
    assert_reason(f, "LM Studio");
    assert_reason(f, "does not have the model loaded");
}

static void test_lemonades_own_paths(void **state)
{
    struct fixture *f = *state;
    static const struct adopted_model place = {.kind = ENGINE_LEMONADE, .id = "Qwen3-GGUF"};

    toy_answers_set(f->toy, "GET /api/v1/models",
            "{\"data\":[{\"id\":\"Qwen3-GGUF\",\"recipe\":\"llamacpp\"}]}");
    toy_answers_set(f->toy, "GET /api/v1/health",
            "{\"model_loaded\":\"Qwen3-GGUF\",\"all_models_loaded\":[{\"model_name\":"
            "\"Qwen3-GGUF\",\"recipe_options\":{\"ctx_size\":4096}}]}");
    toy_answers_set(f->toy, "POST /api/v1/chat/completions", stream);
    create(f, &place, CAPABILITY_CHAT);
    start(f);
    assert_true(f->ready);
    assert_int_equal(f->context, 4096);
    run_to_end(f);
    assert_int_equal(f->fail_code, -1);
    toy_answers_set(f->toy, "GET /api/v1/health", "{\"all_models_loaded\":[]}");
    wait_for_exit(f);
    assert_reason(f, "Lemonade");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
            TEST(test_a_load_and_what_came_of_it),
            TEST(test_the_words_of_a_load),
            TEST(test_a_model_that_only_embeds),
            TEST(test_what_somebody_else_has_loaded),
            TEST(test_a_load_that_is_refused),
            TEST(test_a_load_of_which_nothing_came),
            TEST(test_nobody_listens),
            TEST(test_stop_while_it_loads),
            TEST(test_a_chat_in_deltas),
            TEST(test_kinds_that_it_does_not_serve),
            TEST(test_cancel_closes_the_connection),
            TEST(test_stop_ends_what_runs),
            TEST(test_an_unload_that_fails),
            TEST(test_unloaded_by_somebody_else),
            TEST(test_absent_while_a_request_runs),
            TEST(test_an_engine_that_ends),
            TEST(test_the_lease_is_renewed),
            TEST(test_start_again_after_the_end),
            TEST(test_a_server_that_has_its_model),
            TEST(test_a_server_that_wants_a_key),
            TEST(test_a_server_without_the_model),
            TEST(test_lemonades_own_paths),
    };
    return cmocka_run_group_tests_name("adopted", tests, NULL, NULL);
}
