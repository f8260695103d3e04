#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engines.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"
#include "tests/lib/toy_answers.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* With MODEMESH_OLLAMA, the URL of an Ollama (or of tests/lib/ollama_standin.py), another test runs
 * instead of all these: the first model there that talks is adopted, loaded and unloaded. */

enum { PATIENCE_MS = 60000, PERIOD_MS = 20, TOLD_MAX = 32 };

static const char version[] = "{\"version\":\"0.13.4\"}";
static const char tags[] =
        "{\"models\":[{\"name\":\"llama3.2:latest\",\"size\":700,\"digest\":\"d1\",\"details\":{"
        "\"family\":\"llama\"}},{\"name\":\"qwen3:8b\",\"size\":900,\"digest\":\"d2\"}]}";
static const char ps[] = "{\"models\":[{\"name\":\"qwen3:8b\",\"size\":1200,\"size_vram\":1000,"
                         "\"context_length\":4096}]}";
static const char show_llama[] =
        "{\"details\":{\"family\":\"llama\",\"quantization_level\":\"Q4_K_M\"},\"parameters\":"
        "\"num_ctx 2048\",\"model_info\":{\"general.architecture\":\"llama\","
        "\"general.parameter_count\":3000,\"llama.context_length\":131072},\"capabilities\":["
        "\"completion\",\"tools\"]}";
static const char show_qwen[] = "{\"details\":{},\"capabilities\":[\"completion\",\"thinking\"]}";

struct told {
    char name[MSG_NAME_MAX + 1];
    struct found_model facts;
    enum engine_kind kind;
    char url[ENGINE_URL_MAX + 1];
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct http_client *http;
    struct scratch scratch;
    struct toy_answers *toy, *other;
    const char *usual[3];
    struct engines *engines;

    struct told told[TOLD_MAX];
    size_t count;
    unsigned tellings, gone, reports;
    struct engines_report report; /* the last; its texts are copied */
    char label[64], why[256], url[ENGINE_URL_MAX + 1];
};

static struct told *find(struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->told[i].name, name) == 0)
            return &f->told[i];
    return NULL;
}

static void on_model(void *ctx, const struct engines_model *model)
{
    struct fixture *f = ctx;
    struct told *told = find(f, model->facts->name);

    assert_string_equal(model->facts->id, model->place.id);
    assert_int_equal(model->here, engines_is_here(model->place.url));
    f->tellings++;
    if (!told) {
        assert_true(f->count < TOLD_MAX);
        told = &f->told[f->count++];
    }
    *told = (struct told){.facts = *model->facts, .kind = model->place.kind};
    snprintf(told->name, sizeof(told->name), "%s", model->facts->name);
    snprintf(told->url, sizeof(told->url), "%s", model->place.url);
}

static void on_gone(void *ctx, const char *name)
{
    struct fixture *f = ctx;
    struct told *told = find(f, name);

    assert_non_null(told);
    *told = f->told[--f->count];
    f->gone++;
}

static void on_engine(void *ctx, const struct engines_report *report)
{
    struct fixture *f = ctx;

    f->reports++;
    f->report = *report;
    snprintf(f->label, sizeof(f->label), "%s", report->label);
    snprintf(f->why, sizeof(f->why), "%s", report->why);
    snprintf(f->url, sizeof(f->url), "%s", report->url);
    assert_true((report->presence == ENGINE_PRESENT) == (report->untold[0] != '\0'));
    loop_stop(&f->loop);
}

static const struct engines_events events = {on_model, on_gone, on_engine};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    scratch_init(&f->scratch);
    f->http = http_client_create(&f->loop);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->toy = toy_answers_create();
    f->other = toy_answers_create();
    f->usual[0] = toy_answers_url(f->toy);
    f->usual[1] = toy_answers_url(f->other);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    engines_destroy(f->engines);
    http_client_destroy(f->http);
    toy_answers_destroy(f->toy);
    toy_answers_destroy(f->other);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static int create(struct fixture *f, const char *const *entries, struct err *err)
{
    struct engines_config config = {.loop = &f->loop,
            .http = f->http,
            .entries = entries,
            .period_ms = PERIOD_MS,
            .usual = f->usual};

    return engines_create(&config, &events, f, &f->engines, err);
}

static void watch_entry(struct fixture *f, const char *entry)
{
    const char *const entries[] = {entry, NULL};

    assert_int_equal(create(f, entries, NULL), 0);
}

static void wait_report(struct fixture *f, enum engine_presence presence, size_t models)
{
    while (f->reports == 0 || f->report.presence != presence || f->report.model_count != models)
        loop_run(&f->loop);
}

static void wait_asked(struct fixture *f, struct toy_answers *toy, const char *request, unsigned n)
{
    unsigned before = toy_answers_count(toy, request, NULL);

    while (toy_answers_count(toy, request, NULL) < before + n)
        patience_run_for(&f->loop, 1);
}

static void serve_ollama(struct toy_answers *toy)
{
    toy_answers_set(toy, "GET /", "Ollama is running");
    toy_answers_set(toy, "GET /api/version", version);
    toy_answers_set(toy, "GET /api/tags", tags);
    toy_answers_set(toy, "GET /api/ps", ps);
    toy_answers_add(toy, &(struct toy_answer){.request = "POST /api/show",
                                 .holds = "\"llama3.2:latest\"",
                                 .body = show_llama});
    toy_answers_add(
            toy, &(struct toy_answer){
                         .request = "POST /api/show", .holds = "\"qwen3:8b\"", .body = show_qwen});
}

static void find_ollama(struct fixture *f)
{
    serve_ollama(f->toy);
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_PRESENT, 2);
}

static void test_an_ollama_is_found(void **state)
{
    struct fixture *f = *state;
    const struct told *llama, *qwen;

    find_ollama(f);
    assert_string_equal(f->label, "Ollama");
    assert_string_equal(f->url, toy_answers_url(f->toy));
    llama = find(f, "llama3.2:latest");
    qwen = find(f, "qwen3:8b");
    assert_non_null(llama);
    assert_non_null(qwen);
    assert_int_equal(llama->kind, ENGINE_OLLAMA);
    assert_string_equal(llama->url, toy_answers_url(f->toy));
    assert_false(llama->facts.resident);
    assert_int_equal(llama->facts.context, 2048);
    assert_int_equal(llama->facts.context_trained, 131072);
    assert_string_equal(llama->facts.quantisation, "Q4_K_M");
    assert_int_equal(
            llama->facts.capabilities, CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT);
    assert_true(qwen->facts.resident && qwen->facts.memory_bytes == 1200);
    assert_int_equal(qwen->facts.context, 4096);
    assert_true(qwen->facts.capabilities & CAPABILITY_REASONING);
    assert_ptr_equal(engines_backend(llama->kind), &backend_ollama);
}

/* A model is told again only when something is new, and shown once. */
static void test_what_stays_is_told_once(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    wait_asked(f, f->toy, "GET /api/ps", 4);
    assert_int_equal(f->tellings, 2);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/show", NULL), 2);
    assert_int_equal(toy_answers_count(f->toy, "GET /v1/models", NULL), 0);
}

static void test_what_changes_is_told_again(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    toy_answers_set(f->toy, "GET /api/ps", "{\"models\":[]}");
    while (find(f, "qwen3:8b")->facts.resident)
        patience_run_for(&f->loop, 1);
    assert_int_equal(f->tellings, 3);
    assert_int_equal(f->gone, 0);
    assert_true(find(f, "qwen3:8b")->facts.memory_bytes == 0);
}

static void test_a_model_that_is_pulled_anew_is_shown_again(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    toy_answers_set(f->toy, "GET /api/tags",
            "{\"models\":[{\"name\":\"qwen3:8b\",\"size\":901,\"digest\":\"d3\"}]}");
    wait_report(f, ENGINE_PRESENT, 1);
    assert_null(find(f, "llama3.2:latest"));
    assert_int_equal(f->gone, 1);
    assert_int_equal(toy_answers_count(f->toy, "POST /api/show", NULL), 3);
    assert_true(find(f, "qwen3:8b")->facts.file_bytes == 901);
}

static void test_what_another_computer_answers_is_left_out(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f->toy);
    toy_answers_add(f->toy, &(struct toy_answer){.request = "POST /api/show",
                                    .holds = "\"llama3.2:latest\"",
                                    .body = "{\"remote_host\":\"https://ollama.com:443\"}"});
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_PRESENT, 1);
    assert_null(find(f, "llama3.2:latest"));
    assert_int_equal(f->report.left_out, 1);
}

static void test_an_engine_that_ends(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    wait_report(f, ENGINE_ABSENT, 0);
    assert_int_equal(f->count, 0);
    assert_int_equal(f->gone, 2);
    assert_true(f->why[0]);
}

/* Two failures are no end. */
static void test_an_engine_that_stumbles(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    toy_answers_add(f->toy, &(struct toy_answer){.request = "GET /api/tags",
                                    .status = 500,
                                    .body = "{}",
                                    .then = "GET /api/tags",
                                    .then_body = tags});
    wait_asked(f, f->toy, "GET /api/tags", 4);
    assert_int_equal(f->gone, 0);
    assert_int_equal(f->report.presence, ENGINE_PRESENT);
}

static void test_a_modemesh_is_left_alone(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f->toy);
    toy_answers_set(f->toy, "GET /", "modemesh is running\n");
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_MESH, 0);
    assert_int_equal(f->tellings, 0);
    assert_int_equal(toy_answers_count(f->toy, "GET /api/version", NULL), 0);
    assert_string_equal(f->label, "");
}

static void test_a_modemesh_that_takes_the_port(void **state)
{
    struct fixture *f = *state;

    find_ollama(f);
    toy_answers_set(f->toy, "GET /", "modemesh is running\n");
    wait_report(f, ENGINE_MESH, 0);
    assert_int_equal(f->count, 0);
}

static void test_a_modemesh_behind_a_proxy(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->toy, "GET /v1/models",
            "{\"object\":\"list\",\"data\":[{\"id\":\"mesh-code\",\"owned_by\":\"modemesh\"}]}");
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_MESH, 0);
    assert_int_equal(f->tellings, 0);
}

static void test_somebody_elses_server(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    toy_answers_set(f->toy, "GET /", "<html>welcome</html>");
    toy_answers_set(f->toy, "GET /api/version", "{\"error\":\"no such page\"}");
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_STRANGER, 0);
    patience_run_for(&f->loop, 10 * PERIOD_MS);
    asked = toy_answers_count(f->toy, "GET /", NULL);
    assert_in_range(asked, 1, 6); /* and not ten times */
    serve_ollama(f->toy);
    wait_report(f, ENGINE_PRESENT, 2);
}

static void serve_lm_studio(struct toy_answers *toy)
{
    toy_answers_set(toy, "GET /", "{\"error\":\"Unexpected endpoint or method. (GET /)\"}");
    toy_answers_set(toy, "GET /api/version", "{\"error\":\"Unexpected endpoint\"}");
    toy_answers_set(toy, "GET /api/v0/models",
            "{\"data\":[{\"id\":\"qwen3:8b\",\"type\":\"llm\",\"state\":\"loaded\","
            "\"loaded_context_length\":1024},{\"id\":\"other\",\"type\":\"llm\",\"state\":"
            "\"not-loaded\"}]}");
}

/* What is not loaded there cannot be had there. */
static void test_an_lm_studio(void **state)
{
    struct fixture *f = *state;

    serve_lm_studio(f->toy);
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_PRESENT, 1);
    assert_string_equal(f->label, "LM Studio");
    assert_int_equal(f->report.left_out, 1);
    assert_non_null(find(f, "qwen3:8b"));
    assert_ptr_equal(engines_backend(find(f, "qwen3:8b")->kind), &backend_openai);
}

static void test_a_lemonade_that_speaks_as_ollama_too(void **state)
{
    struct fixture *f = *state;

    serve_ollama(f->toy);
    toy_answers_set(f->toy, "GET /api/v1/health",
            "{\"status\":\"ok\",\"model_loaded\":\"m\",\"all_models_loaded\":[{\"model_name\":"
            "\"m\"}]}");
    toy_answers_set(f->toy, "GET /api/v1/models", "{\"data\":[{\"id\":\"m\"}]}");
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_PRESENT, 1);
    assert_string_equal(f->label, "Lemonade");
}

static void test_a_llama_server_without_its_props(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->toy, "GET /v1/models",
            "{\"data\":[{\"id\":\"/models/coder.gguf\",\"owned_by\":\"llamacpp\",\"meta\":null}]}");
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_PRESENT, 1);
    assert_string_equal(f->label, "llama-server");
    assert_non_null(find(f, "coder"));
}

static void test_two_engines_with_one_name(void **state)
{
    struct fixture *f = *state;
    const char *const entries[] = {"auto", NULL};

    serve_ollama(f->toy);
    assert_int_equal(create(f, entries, NULL), 0);
    wait_report(f, ENGINE_PRESENT, 2);
    serve_lm_studio(f->other);
    while (strcmp(f->label, "LM Studio") != 0 || f->report.left_out != 2)
        loop_run(&f->loop);
    assert_int_equal(f->report.model_count, 0);
    assert_int_equal(find(f, "qwen3:8b")->kind, ENGINE_OLLAMA);
    toy_answers_set(f->toy, "GET /api/tags", "{\"models\":[]}");
    toy_answers_set(f->toy, "GET /api/ps", "{\"models\":[]}");
    while (!find(f, "qwen3:8b") || find(f, "qwen3:8b")->kind != ENGINE_LM_STUDIO)
        patience_run_for(&f->loop, 1);
    assert_int_equal(f->count, 1);
}

static const char *write_key(struct fixture *f, const char *key, mode_t mode)
{
    scratch_write(&f->scratch, "key", key);
    assert_int_equal(chmod(scratch_path(&f->scratch, "key"), mode), 0);
    return scratch_path(&f->scratch, "key");
}

static void test_a_server_that_wants_a_key(void **state)
{
    struct fixture *f = *state;
    const struct toy_answer refusal = {.request = "GET /v1/models",
            .status = 401,
            .body = "{\"error\":{\"message\":\"Incorrect API key\"}}"};

    toy_answers_add(f->toy, &refusal);
    watch_entry(f, toy_answers_url(f->toy));
    wait_report(f, ENGINE_LOCKED, 0);
    assert_non_null(strstr(f->why, "API key"));
}

static void test_a_key_from_a_file(void **state)
{
    struct fixture *f = *state;
    char entry[512];

    toy_answers_set(f->toy, "GET /v1/models",
            "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\",\"max_model_len\":99}]}");
    snprintf(entry, sizeof(entry), "%s/v1/ %s", toy_answers_url(f->toy),
            write_key(f, " token-abc123 \n", 0600) /* blanks around it are none of it */);
    watch_entry(f, entry);
    wait_report(f, ENGINE_PRESENT, 1);
    assert_true(toy_answers_count(f->toy, "GET /v1/models", "Bearer token-abc123\r\n") >= 2);
    assert_string_equal(f->url, toy_answers_url(f->toy));
}

static void assert_key_refused(struct fixture *f, const char *key, mode_t mode, int want)
{
    char entry[512];
    const char *const entries[] = {entry, NULL};
    struct err err = {.text = ""};

    snprintf(entry, sizeof(entry), "http://localhost:1 %s", write_key(f, key, mode));
    assert_int_equal(create(f, entries, &err), want);
    assert_non_null(strstr(err.text, "key"));
    assert_null(strstr(err.text, "sesame"));
}

static void test_keys_that_are_none(void **state)
{
    struct fixture *f = *state;
    const char *const missing[] = {"http://localhost:1 /nonexistent/key", NULL};
    struct err err;

    assert_key_refused(f, "sesame", 0644, -EPERM);
    assert_key_refused(f, "", 0600, -EINVAL);
    assert_key_refused(f, " \n", 0600, -EINVAL);
    assert_key_refused(f, "sesame\r\nHost: evil", 0600, -EINVAL);
    assert_int_equal(create(f, missing, &err), -ENOENT);
}

static void test_entries_that_are_none(void **state)
{
    struct fixture *f = *state;
    char longest[ENGINE_URL_MAX + 2];
    const char *const bad[] = {"", "automatic", "localhost:11434", "ftp://box", "http://",
            "http:///v1", "http://:80", "http://user:word@box", "http://box?x=1", "http://box ",
            "http://b\xc3\xb6x", longest};

    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "http://", 7);
    longest[ENGINE_URL_MAX + 1] = '\0';
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *const entries[] = {bad[i], NULL};
        struct err err = {.text = ""};

        assert_int_equal(create(f, entries, &err), -EINVAL);
        assert_non_null(strstr(err.text, "engines: "));
    }
}

static void test_too_many_entries(void **state)
{
    struct fixture *f = *state;
    char urls[ENGINES_MAX + 1][32];
    const char *entries[ENGINES_MAX + 2] = {NULL};
    struct err err;

    for (int i = 0; i <= ENGINES_MAX; i++) {
        snprintf(urls[i], sizeof(urls[i]), "http://127.0.0.1:1/%d", i);
        entries[i] = urls[i];
    }
    assert_int_equal(create(f, entries, &err), -EINVAL);
    assert_non_null(strstr(err.text, "at most 16"));
    entries[ENGINES_MAX] = urls[0]; /* the same twice is one */
    assert_int_equal(create(f, entries, &err), 0);
}

static void test_none(void **state)
{
    struct fixture *f = *state;

    watch_entry(f, "none");
    patience_run_for(&f->loop, 3 * PERIOD_MS);
    assert_int_equal(f->reports, 0);
    assert_int_equal(toy_answers_count(f->toy, "GET /", NULL), 0);
}

/* That nobody is at one of them is no news. */
static void test_the_usual_ports_of_this_host(void **state)
{
    struct fixture *f = *state;
    const char *const entries[] = {"auto", NULL};
    char gone[64];

    snprintf(gone, sizeof(gone), "%s", toy_answers_url(f->other));
    toy_answers_destroy(f->other);
    f->other = NULL;
    f->usual[0] = gone;
    f->usual[1] = toy_answers_url(f->toy);
    serve_ollama(f->toy);
    assert_int_equal(create(f, entries, NULL), 0);
    wait_report(f, ENGINE_PRESENT, 2);
    patience_run_for(&f->loop, 5 * PERIOD_MS);
    assert_string_equal(f->url, toy_answers_url(f->toy));
    assert_int_equal(f->report.presence, ENGINE_PRESENT);
    for (size_t i = 0; engines_usual[i]; i++)
        assert_non_null(strstr(engines_usual[i], "http://127.0.0.1:"));
}

static void test_nobody_at_an_address_that_is_written_out(void **state)
{
    struct fixture *f = *state;
    char url[64];

    snprintf(url, sizeof(url), "%s", toy_answers_url(f->toy));
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    watch_entry(f, url);
    wait_report(f, ENGINE_ABSENT, 0);
    assert_true(f->why[0]);
    patience_run_for(&f->loop, 5 * PERIOD_MS);
    assert_int_equal(f->reports, 1);
}

static void test_which_addresses_are_here(void **state)
{
    static const char *const here[] = {"http://127.0.0.1:11434", "https://localhost",
            "http://localhost/x", "http://[::1]:80", "http://127.1.2.3"};
    static const char *const away[] = {"http://mac.local:11434", "http://127.example.org",
            "http://localhost.example.org:1", "http://[::2]:80", "http://1.127.0.0:1",
            "http://192.168.0.127", "http://[::1"};

    (void)state;
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        assert_true(engines_is_here(here[i]));
    for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++)
        assert_false(engines_is_here(away[i]));
}

/* --- a real one --- */

struct real {
    struct fixture *f;
    bool ready, exited, wanted;
    uint32_t context;
    int ends, fail_code;
    size_t text_bytes;
};

static void real_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct real *real = ctx;

    (void)slots;
    (void)capabilities;
    real->ready = true;
    real->context = context;
    loop_stop(&real->f->loop);
}

static void real_exit(void *ctx, bool wanted, const char *reason)
{
    struct real *real = ctx;

    real->exited = true;
    real->wanted = wanted;
    printf("# %s\n", reason);
    loop_stop(&real->f->loop);
}

static void real_delta(void *ctx, const struct msg_delta *delta)
{
    struct real *real = ctx;

    if (delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING)
        real->text_bytes += delta->len;
}

static void real_end(void *ctx, const struct msg_fail *fail)
{
    struct real *real = ctx;

    real->ends++;
    real->fail_code = fail ? (int)fail->code : -1;
    loop_stop(&real->f->loop);
}

static const struct backend_events real_events = {real_ready, real_exit, NULL};
static const struct run_events real_run_events = {real_delta, real_end};

static const struct told *first_that_talks(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->told[i].facts.capabilities & CAPABILITY_CHAT)
            return &f->told[i];
    fail_msg("there is no model that talks");
    return NULL;
}

static void real_chat(struct real *real, struct instance_backend *instance)
{
    static const char body[] = "{\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"Say hello.\"}]}";
    struct run_spec spec = {
            .request_id = "r", .kind = REQUEST_CHAT, .body = body, .body_len = strlen(body)};
    struct run *run;

    assert_int_equal(backend_ollama.run(instance, &spec, &real_run_events, real, &run, NULL), 0);
    while (real->ends == 0)
        loop_run(&real->f->loop);
    assert_int_equal(real->fail_code, -1);
    assert_true(real->text_bytes > 0);
}

static void wait_resident(struct fixture *f, const char *name, bool resident)
{
    while (!find(f, name) || find(f, name)->facts.resident != resident)
        patience_run_for(&f->loop, PERIOD_MS);
}

static void test_a_real_ollama(void **state)
{
    struct fixture *f = *state;
    const char *url = getenv("MODEMESH_OLLAMA");
    struct real real = {.f = f};
    struct backend_host host = {.loop = &f->loop,
            .http = f->http,
            .env = &env_system,
            .start_timeout_ms = PATIENCE_MS,
            .stop_timeout_ms = PATIENCE_MS};
    struct told told;

    watch_entry(f, url);
    while (f->count == 0)
        loop_run(&f->loop);
    told = *first_that_talks(f);
    struct adopted_model place = {.kind = told.kind, .url = told.url, .id = told.facts.id};
    struct backend_model model = {
            .name = told.name, .capabilities = told.facts.capabilities, .adopted = &place};
    struct instance_backend *instance =
            backend_ollama.create(&host, &model, &real_events, &real, NULL);
    assert_non_null(instance);
    assert_int_equal(backend_ollama.start(instance, NULL), 0);
    while (!real.ready && !real.exited)
        loop_run(&f->loop);
    assert_true(real.ready && real.context > 0);
    wait_resident(f, told.name, true);
    real_chat(&real, instance);
    backend_ollama.stop(instance);
    while (!real.exited)
        loop_run(&f->loop);
    assert_true(real.wanted);
    wait_resident(f, told.name, false);
    backend_ollama.destroy(instance);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (sodium_init() < 0)
        return EXIT_FAILURE;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
            TEST(test_an_ollama_is_found),
            TEST(test_what_stays_is_told_once),
            TEST(test_what_changes_is_told_again),
            TEST(test_a_model_that_is_pulled_anew_is_shown_again),
            TEST(test_what_another_computer_answers_is_left_out),
            TEST(test_an_engine_that_ends),
            TEST(test_an_engine_that_stumbles),
            TEST(test_a_modemesh_is_left_alone),
            TEST(test_a_modemesh_that_takes_the_port),
            TEST(test_a_modemesh_behind_a_proxy),
            TEST(test_somebody_elses_server),
            TEST(test_an_lm_studio),
            TEST(test_a_lemonade_that_speaks_as_ollama_too),
            TEST(test_a_llama_server_without_its_props),
            TEST(test_two_engines_with_one_name),
            TEST(test_a_server_that_wants_a_key),
            TEST(test_a_key_from_a_file),
            TEST(test_keys_that_are_none),
            TEST(test_entries_that_are_none),
            TEST(test_too_many_entries),
            TEST(test_none),
            TEST(test_the_usual_ports_of_this_host),
            TEST(test_nobody_at_an_address_that_is_written_out),
            cmocka_unit_test(test_which_addresses_are_here),
    };
    const struct CMUnitTest real[] = {TEST(test_a_real_ollama)};

    if (getenv("MODEMESH_OLLAMA"))
        return cmocka_run_group_tests_name("engines", real, NULL, NULL);
    return cmocka_run_group_tests_name("engines", tests, NULL, NULL);
}
