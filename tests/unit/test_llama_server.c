#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/backend.h"
#include "node/backends/slots/engine_slots.h"
#include "node/backends/slots/slot_files.h"
#include "node/process/guard.h"
#include "tests/lib/patience.h"
#include "tests/lib/toy_http.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* This program is also the engine that it tests against: `test toy-engine MODE … --host SOCKET …`.
 * With MODEMESH_LLAMA_SERVER, the path of llama-server, the tests named "real" run too. */

enum { PATIENCE_MS = 60000 };

static const char stream_head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/* Recorded from llama-server b11669 and shortened. */
static const char recorded[] =
        "data: "
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":null}}],"
        "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\"}\n\n"
        "data: "
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"reasoning_content\":\"Hm."
        "\"}}]}\n\n"
        "data: "
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"A\"}}]}\n\n"
        ": a comment\n\n"
        "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\" "
        "node\"}}]}\n\n"
        "data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"delta\":{}}]}\n\n"
        "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":17,"
        "\"prompt_tokens_details\":{\"cached_tokens\":4}},\"timings\":{\"cache_n\":4,\"prompt_n\":"
        "13,"
        "\"prompt_ms\":5.0,\"predicted_n\":2,\"predicted_ms\":7.0}}\n\n"
        "data: [DONE]\n\n";

struct toy_engine {
    const char *mode;
};

static bool is_mode(const struct toy_engine *engine, const char *mode)
{
    return strcmp(engine->mode, mode) == 0;
}

/* Tells what became of the members that the backend edits. */
static void answer_about_body(int fd, const char *body)
{
    char text[512];

    snprintf(text, sizeof(text),
            "%sdata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"stream=%d usage=%d "
            "model=%d id_slot=%d "
            "num_ctx=%d kept=%d\"},\"finish_reason\":\"stop\"}]}\n\n",
            stream_head, strstr(body, "\"stream\":true") != NULL,
            strstr(body, "\"include_usage\":true") != NULL, strstr(body, "model") != NULL,
            strstr(body, "id_slot") != NULL, strstr(body, "num_ctx") != NULL,
            strstr(body, "\"big\": 12345678901234567890") != NULL);
    toy_send_text(fd, text);
}

/* What llama-server prints of its memory, a device's buffers beside the host's. */
static void print_memory(const char *cache)
{
    const char *level = getenv("LLAMA_ARG_LOG_VERBOSITY");

    if (!level || strcmp(level, "4") != 0)
        return;
    printf("0.00.046.179 I srv    load_model: loading model 'toy.gguf'\n"
           "0.00.062.596 I load_tensors:   CPU_Mapped model buffer size =     1.00 MiB\n"
           "0.00.062.596 I load_tensors:        CUDA0 model buffer size =   100.00 MiB\n"
           "0.00.062.909 I llama_context: n_outputs_max         = 2\n"
           "0.00.063.005 I llama_kv_cache:      CUDA0 KV buffer size =     %s MiB\n"
           "0.00.072.526 I sched_reserve:        CUDA0 compute buffer size =     5.50 MiB\n",
            cache);
    fflush(stdout);
}

static void toy_chat(const struct toy_engine *engine, int fd, const struct toy_request *request)
{
    if (is_mode(engine, "refuse")) {
        toy_answer(
                fd, 400, "application/json", "{\"error\":{\"code\":400,\"message\":\"too long\"}}");
    } else if (is_mode(engine, "loading-again")) {
        toy_answer(fd, 503, "application/json",
                "{\"error\":{\"code\":503,\"message\":\"Loading model\"}}");
    } else if (is_mode(engine, "no-stream")) {
        toy_answer(fd, 200, "text/html", "<html>");
    } else if (is_mode(engine, "loads-anew")) {
        print_memory("8.00");
    } else if (is_mode(engine, "body")) {
        answer_about_body(fd, request->body);
    } else {
        toy_send_text(fd, stream_head);
        if (is_mode(engine, "good"))
            toy_send_text(fd, recorded);
        else
            toy_send(fd, recorded,
                    (size_t)(strstr(recorded, "data: {\"choices\":[{\"finish_reason\":\"stop") -
                             recorded));
        if (is_mode(engine, "error-event"))
            toy_send_text(fd, "data: {\"error\":{\"code\":500,\"message\":\"out of cells\"}}\n\n");
        if (is_mode(engine, "no-reason"))
            toy_send_text(fd, "data: [DONE]\n\n");
        if (is_mode(engine, "garbage"))
            toy_send_text(fd, "data: {\"choices\":[{\n\n");
        if (is_mode(engine, "die"))
            kill(getpid(), SIGKILL);
        if (is_mode(engine, "endless"))
            toy_wait_closed(fd, PATIENCE_MS);
        if (is_mode(engine, "watch-close") && toy_wait_closed(fd, PATIENCE_MS))
            _exit(77);
    }
}

static const char *props_of(const struct toy_engine *engine)
{
    if (is_mode(engine, "seeing"))
        return "{\"total_slots\":3,\"modalities\":{\"vision\":true,\"audio\":false},"
               "\"chat_template\":\"{{ message.reasoning_content }}\","
               "\"chat_template_caps\":{\"supports_tools\":true}}";
    if (is_mode(engine, "plain"))
        return "{\"modalities\":{\"vision\":false,\"audio\":true},\"chat_template\":\"tools\","
               "\"chat_template_caps\":{\"supports_tools\":false}}";
    return "{\"total_slots\":3,\"default_generation_settings\":{\"n_ctx\":777}}";
}

static void toy_handle(void *ctx, int fd, const struct toy_request *request)
{
    const struct toy_engine *engine = ctx;
    static atomic_int health_count;

    if (strncmp(request->head, "GET /health ", 12) == 0) {
        if (is_mode(engine, "hang") && health_count > 1)
            toy_wait_closed(fd, PATIENCE_MS);
        toy_answer(fd, health_count++ < 1 || is_mode(engine, "never-ready") ? 503 : 200,
                "application/json", "{}");
    } else if (strncmp(request->head, "GET /props ", 11) == 0) {
        toy_answer(fd, 200, "application/json", props_of(engine));
    } else if (strncmp(request->head, "POST /v1/chat/completions ", 26) == 0) {
        toy_chat(engine, fd, request);
    }
}

static int toy_engine_main(int argc, char **argv)
{
    struct toy_engine engine = {.mode = argv[2]};
    const char *socket = NULL;

    for (int i = 3; i < argc; i++) {
        printf("%s ", strcmp(argv[i - 1], "--host") == 0 ? "SOCKET" : argv[i]);
        if (strcmp(argv[i - 1], "--host") == 0)
            socket = argv[i];
    }
    printf("\n");
    fflush(stdout);
    if (!socket || is_mode(&engine, "exit"))
        return 1;
    if (is_mode(&engine, "good") || is_mode(&engine, "loads-anew"))
        print_memory("4.00");
    toy_server_create(socket, toy_handle, &engine);
    for (;;)
        pause();
}

struct fixture {
    struct loop loop;
    struct loop_timer *patience, *timer;
    struct http_client *http;
    struct backend_host host;
    struct instance_backend *instance;
    const char *command[5];
    char dir[64];
    bool inside; /* of a function of the backend: no callback may come */

    bool ready, exited, wanted, stop_at_ready;
    bool measures; /* listens to on_measured */
    int measured_count;
    struct backend_measured measured;
    uint32_t slots, context, capabilities;
    uint64_t prompt_cache_bytes; /* that a real engine is given */
    uint64_t session;            /* of the next run */
    char reason[1024];

    struct run *run;
    void (*delta_hook)(struct fixture *f);
    char text[1 << 16];
    size_t text_len;
    struct msg_usage usage;
    int usages, ends, fail_code; /* -1: complete */
    uint32_t fail_status;
    char fail_message[1024];
};

static void on_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    f->ready = true;
    f->slots = slots;
    f->context = context;
    f->capabilities = capabilities;
    loop_stop(&f->loop);
}

static void on_exit_of_engine(void *ctx, bool wanted, const char *reason)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_false(f->exited);
    f->exited = true;
    f->wanted = wanted;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop);
}

static void on_measured(void *ctx, const struct backend_measured *measured)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_true(f->ready);
    assert_false(f->exited);
    f->measured = *measured;
    f->measured_count++;
    loop_stop(&f->loop);
}

static const struct backend_events backend_events = {on_ready, on_exit_of_engine, NULL};
static const struct backend_events measuring_events = {on_ready, on_exit_of_engine, on_measured};

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_int_equal(f->ends, 0);
    assert_int_equal(f->usages, 0);
    if (delta->kind == DELTA_USAGE) {
        f->usage = delta->usage;
        f->usages++;
    } else if (delta->kind == DELTA_RESULT) {
        f->text_len += (size_t)snprintf(f->text + f->text_len, sizeof(f->text) - f->text_len,
                "%.*s", (int)delta->len, delta->data);
    } else {
        f->text_len += (size_t)snprintf(f->text + f->text_len, sizeof(f->text) - f->text_len,
                "%u:%.*s;", (unsigned)delta->kind, (int)delta->len, delta->data);
    }
    if (f->delta_hook)
        f->delta_hook(f);
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_false(f->exited);
    f->ends++;
    f->run = NULL;
    f->fail_code = fail ? (int)fail->code : -1;
    f->fail_status = fail ? fail->http_status : 0;
    snprintf(f->fail_message, sizeof(f->fail_message), "%s", fail ? fail->message : "");
    loop_stop(&f->loop);
}

static const struct run_events run_events = {on_delta, on_end};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->dir, "/tmp/llama-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(loop_init(&f->loop), 0);
    f->http = http_client_create(&f->loop);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->host = (struct backend_host){.loop = &f->loop,
            .http = f->http,
            .env = &env_system,
            .runtime_dir = f->dir,
            .self_path = "/proc/self/exe",
            .command = f->command,
            .start_timeout_ms = 30000,
            .stop_timeout_ms = 5000};
    *state = f;
    return 0;
}

static void assert_empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        assert_int_equal(entry->d_name[0], '.');
    closedir(dir);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_empty_folder(f->dir); /* no engine leaves its socket */
    backend_llama_server.destroy(f->instance);
    http_client_destroy(f->http);
    loop_timer_destroy(f->timer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void create(struct fixture *f, const struct backend_model *model)
{
    const struct backend_events *events = f->measures ? &measuring_events : &backend_events;

    f->instance = backend_llama_server.create(&f->host, model, events, f, NULL);
    assert_non_null(f->instance);
    assert_int_equal(backend_llama_server.pid(f->instance), 0);
}

static void start(struct fixture *f)
{
    f->inside = true;
    assert_int_equal(backend_llama_server.start(f->instance, NULL), 0);
    f->inside = false;
    assert_true(backend_llama_server.pid(f->instance) > 0);
    loop_run(&f->loop);
}

static void start_toy_with(struct fixture *f, const char *mode, const struct backend_model *model)
{
    f->command[0] = "/proc/self/exe";
    f->command[1] = "toy-engine";
    f->command[2] = mode;
    create(f, model);
    start(f);
}

static void start_toy(struct fixture *f, const char *mode)
{
    static const char *const extra[] = {"--temp", "0", NULL};
    struct backend_model model = {.name = "org/toy:1",
            .path = "/models/toy.gguf",
            .context = 4096,
            .slots = 2,
            .extra_args = extra,
            .capabilities = CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_REASONING |
                            CAPABILITY_TEMPLATE | CAPABILITY_VISION | CAPABILITY_SENSES};

    start_toy_with(f, mode, &model);
}

static void stop(struct fixture *f)
{
    f->inside = true;
    backend_llama_server.stop(f->instance);
    backend_llama_server.stop(f->instance);
    f->inside = false;
    while (!f->exited)
        loop_run(&f->loop);
    assert_true(f->wanted);
    assert_string_equal(f->reason, "stopped");
}

static int begin_kind(struct fixture *f, enum request_kind kind, const char *body, struct err *err)
{
    struct run_spec spec = {.request_id = "r1",
            .kind = kind,
            .body = body,
            .body_len = strlen(body),
            .session = f->session,
            .prompt_tokens = ENGINE_SLOTS_TOKENS_MIN};
    int r;

    f->inside = true;
    r = backend_llama_server.run(f->instance, &spec, &run_events, f, &f->run, err);
    f->inside = false;
    return r;
}

static int begin_run(struct fixture *f, const char *body, struct err *err)
{
    return begin_kind(f, REQUEST_CHAT, body, err);
}

static void run_kind(struct fixture *f, enum request_kind kind, const char *body)
{
    f->ends = f->usages = 0;
    f->text_len = 0;
    f->text[0] = '\0';
    assert_int_equal(begin_kind(f, kind, body, NULL), 0);
    while (f->ends == 0)
        loop_run(&f->loop);
}

static void run_to_end(struct fixture *f, const char *body)
{
    run_kind(f, REQUEST_CHAT, body);
}

static void assert_failed(
        struct fixture *f, enum fail_code code, uint32_t status, const char *words)
{
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->fail_code, (int)code);
    assert_int_equal(f->fail_status, status);
    if (!strstr(f->fail_message, words))
        fail_msg("\"%s\" is not in \"%s\"", words, f->fail_message);
}

static void test_ready_with_the_engines_numbers(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "good");
    assert_true(f->ready);
    assert_int_equal(f->slots, 3);
    assert_int_equal(f->context, 777);
    stop(f);
}

static void assert_can(struct fixture *f, const char *mode, uint32_t capabilities)
{
    start_toy(f, mode);
    assert_int_equal(f->capabilities, capabilities);
    stop(f);
}

static void test_what_the_engine_says_of_itself(void **state)
{
    assert_can(*state, "seeing",
            CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_TOOLS | CAPABILITY_VISION |
                    CAPABILITY_REASONING | CAPABILITY_EXACT);
}

/* Its word on tools, thinking and the senses goes before the files'. */
static void test_what_the_engine_denies(void **state)
{
    assert_can(*state, "plain",
            CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_AUDIO | CAPABILITY_EXACT);
}

/* It may make more of a template than the template says. */
static void test_an_engine_that_says_nothing(void **state)
{
    assert_can(*state, "good",
            CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_REASONING | CAPABILITY_VISION);
}

static uint32_t expect(const char *const *command, const char *const *extra, uint32_t capabilities)
{
    const struct backend_host host = {.command = command};
    const struct backend_model model = {.extra_args = extra, .capabilities = capabilities};

    return backend_llama_server.expect(&host, &model);
}

static void test_words_that_say_what_it_can(void **state)
{
    static const char *const plain[] = {"llama-server", NULL};
    static const char *const embeds[] = {"llama-server", "--embedding", NULL};
    static const char *const more[] = {"--embeddings", "--pooling", "mean", NULL};
    static const char *const ranks[] = {"--rerank", NULL};
    static const char *const parts[] = {"--embeddings-x", "x--reranking", "embeddings", NULL};

    (void)state;
    assert_int_equal(expect(plain, NULL, CAPABILITY_CHAT), CAPABILITY_CHAT);
    assert_int_equal(expect(plain, more, CAPABILITY_CHAT), CAPABILITY_CHAT | CAPABILITY_EMBEDDINGS);
    assert_int_equal(
            expect(embeds, NULL, CAPABILITY_CHAT), CAPABILITY_CHAT | CAPABILITY_EMBEDDINGS);
    assert_int_equal(expect(embeds, ranks, CAPABILITY_CHAT), CAPABILITY_CHAT | CAPABILITY_RERANK);
    assert_int_equal(expect(plain, parts, CAPABILITY_CHAT), CAPABILITY_CHAT);
}

/* What the engine makes of it then is not known. */
static void test_words_that_set_what_was_read(void **state)
{
    static const uint32_t read = CAPABILITY_CHAT | CAPABILITY_TEMPLATE | CAPABILITY_SENSES;
    static const char *const plain[] = {"llama-server", NULL};
    static const char *const sees[] = {"llama-server", "--mmproj", "eye.gguf", NULL};
    static const char *const template[] = {"--chat-template-file", "mine.jinja", NULL};

    (void)state;
    assert_int_equal(expect(plain, NULL, read), read);
    assert_int_equal(expect(plain, template, read), CAPABILITY_CHAT | CAPABILITY_SENSES);
    assert_int_equal(
            expect(sees, NULL, read | CAPABILITY_AUDIO), CAPABILITY_CHAT | CAPABILITY_TEMPLATE);
    assert_int_equal(setenv("LLAMA_ARG_CHAT_TEMPLATE", "chatml", 1), 0);
    assert_int_equal(expect(plain, NULL, read), CAPABILITY_CHAT | CAPABILITY_SENSES);
    assert_int_equal(unsetenv("LLAMA_ARG_CHAT_TEMPLATE"), 0);
    assert_int_equal(setenv("LLAMA_ARG_MMPROJ_AUTO", "off", 1), 0);
    assert_int_equal(
            expect(plain, NULL, read | CAPABILITY_VISION), CAPABILITY_CHAT | CAPABILITY_TEMPLATE);
    assert_int_equal(unsetenv("LLAMA_ARG_MMPROJ_AUTO"), 0);
}

static void assert_words(struct fixture *f, uint32_t capabilities, uint32_t context,
        uint32_t trained, const char *words)
{
    struct backend_model model = {.name = "toy",
            .path = "/x.gguf",
            .slots = 1,
            .context = context,
            .context_trained = trained,
            .capabilities = capabilities};

    start_toy_with(f, "exit", &model);
    assert_true(f->exited);
    if (!strstr(f->reason, words))
        fail_msg("\"%s\" is not in \"%s\"", words, f->reason);
}

static void test_words_for_a_model_that_makes_vectors(void **state)
{
    assert_words(*state, CAPABILITY_EMBEDDINGS, 0, 512,
            "--jinja --embeddings --batch-size 512 --ubatch-size 512 ");
}

static void test_words_for_a_model_that_ranks(void **state)
{
    assert_words(*state, CAPABILITY_RERANK, 32768, 0,
            "-c 32768 --reranking --batch-size 2048 --ubatch-size 2048 ");
}

static void test_words_for_settings_of_a_model(void **state)
{
    struct fixture *f = *state;
    const struct backend_model model = {.name = "toy",
            .path = "/x.gguf",
            .slots = 1,
            .context = 512,
            .type_k = "q8_0",
            .type_v = "f16",
            .projector = "/p.gguf",
            .draft = "/d.gguf"};

    start_toy_with(f, "exit", &model);
    assert_non_null(strstr(f->reason, "-c 512 --cache-type-k q8_0 --cache-type-v f16 "
                                      "--mmproj /p.gguf --model-draft /d.gguf "));
}

static void test_answer_in_deltas(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "good");
    run_to_end(f, "{\"messages\":[]}");
    assert_int_equal(f->fail_code, -1);
    assert_string_equal(f->text, "1:Hm.;0:A;0: node;4:stop;");
    assert_int_equal(f->usages, 1);
    assert_int_equal(f->usage.prompt_tokens, 17);
    assert_int_equal(f->usage.cached_tokens, 4);
    assert_int_equal(f->usage.completion_tokens, 2);
    assert_true(f->usage.prefill_ms == 5.0f && f->usage.decode_ms == 7.0f);
    stop(f);
}

static void test_body_as_the_mesh_wants_it(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "body");
    run_to_end(f, "{\"model\":\"x\",\"stream\":false,\"id_slot\":1,\"num_ctx\":9,\"big\": "
                  "12345678901234567890}");
    assert_int_equal(f->fail_code, -1);
    assert_string_equal(f->text, "0:stream=1 usage=1 model=0 id_slot=0 num_ctx=0 kept=1;4:stop;");
    stop(f);
}

static void assert_toy_fails(struct fixture *f, const char *mode, enum fail_code code,
        uint32_t status, const char *words)
{
    start_toy(f, mode);
    run_to_end(f, "{}");
    assert_failed(f, code, status, words);
    stop(f);
}

static void test_refusal(void **state)
{
    assert_toy_fails(*state, "refuse", FAIL_ENGINE_ERROR, 400, "too long");
}

static void test_engine_that_loads_again(void **state)
{
    assert_toy_fails(*state, "loading-again", FAIL_ENGINE_DIED, 0, "not ready: Loading model");
}

static void test_answer_that_is_no_stream(void **state)
{
    assert_toy_fails(*state, "no-stream", FAIL_ENGINE_DIED, 0, "other than a stream");
}

static void test_error_event(void **state)
{
    assert_toy_fails(*state, "error-event", FAIL_ENGINE_ERROR, 500, "out of cells");
}

static void test_garbage_in_the_stream(void **state)
{
    assert_toy_fails(*state, "garbage", FAIL_ENGINE_DIED, 0, "not the JSON");
}

static void test_stream_that_is_cut(void **state)
{
    struct fixture *f = *state;

    assert_toy_fails(f, "cut", FAIL_ENGINE_DIED, 0, "before the answer was complete");
    assert_string_equal(f->text, "1:Hm.;0:A;0: node;");
}

/* [DONE] alone is not the end of an answer: nobody knows whether that was all. */
static void test_stream_without_a_finish_reason(void **state)
{
    assert_toy_fails(*state, "no-reason", FAIL_ENGINE_DIED, 0, "before the answer was complete");
}

static void test_engine_that_dies(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "die");
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    while (!f->exited)
        loop_run(&f->loop);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->fail_code, FAIL_ENGINE_DIED);
    assert_false(f->wanted);
    assert_non_null(strstr(f->reason, "killed by signal 9"));
    assert_int_equal(backend_llama_server.pid(f->instance), 0);
}

static void test_stop_ends_runs(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "endless");
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    stop(f);
    assert_failed(f, FAIL_ENGINE_DIED, 0, "stopped");
}

static void stop_inside(struct fixture *f)
{
    f->delta_hook = NULL;
    f->inside = true;
    backend_llama_server.stop(f->instance);
    f->inside = false;
}

static void test_stop_from_on_delta(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "endless");
    f->delta_hook = stop_inside;
    run_to_end(f, "{}");
    assert_failed(f, FAIL_ENGINE_DIED, 0, "stopped");
    stop(f);
}

static void cancel_inside(struct fixture *f)
{
    backend_llama_server.run_cancel(f->run);
    f->run = NULL;
    loop_stop(&f->loop);
}

static void test_cancel_from_on_delta(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "good");
    f->delta_hook = cancel_inside;
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    loop_run(&f->loop);
    assert_string_equal(f->text, "1:Hm.;");
    assert_int_equal(f->ends, 0);
    stop(f);
}

static void test_cancel_reaches_the_engine(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "watch-close");
    f->delta_hook = cancel_inside;
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    while (!f->exited)
        loop_run(&f->loop);
    assert_int_equal(f->ends, 0);
    assert_non_null(strstr(f->reason, "exited with status 77"));
}

static void cancel_in_usage(struct fixture *f)
{
    if (f->usages)
        cancel_inside(f);
}

static void test_cancel_from_the_last_delta(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "good");
    f->delta_hook = cancel_in_usage;
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    loop_run(&f->loop);
    assert_int_equal(f->usages, 1);
    assert_int_equal(f->ends, 0);
    stop(f);
}

static void test_unusable_bodies_and_states(void **state)
{
    struct fixture *f = *state;
    struct run_spec spec = {.kind = REQUEST_KIND_COUNT, .body = "{}", .body_len = 2};
    struct err err;

    start_toy(f, "good");
    assert_int_equal(begin_run(f, "[]", &err), -EINVAL);
    assert_int_equal(begin_run(f, "{\"a\":", &err), -EINVAL);
    assert_int_equal(
            backend_llama_server.run(f->instance, &spec, &run_events, f, &f->run, &err), -ENOTSUP);
    stop(f);
    assert_int_equal(begin_run(f, "{}", &err), -EAGAIN);
}

static void test_start_again_after_the_end(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "good");
    stop(f);
    f->exited = f->ready = false;
    start(f);
    assert_true(f->ready);
    run_to_end(f, "{}");
    assert_int_equal(f->fail_code, -1);
    stop(f);
}

static void test_words_of_the_command(void **state)
{
    struct fixture *f = *state;

    start_toy(f, "exit");
    assert_true(f->exited);
    assert_false(f->ready || f->wanted);
    assert_string_equal(f->reason,
            "exited with status 1: -m /models/toy.gguf --host SOCKET --parallel 2 "
            "--no-webui --slots --jinja -c 8192 --temp 0 ");
}

/* Its words, as it says them at its end. */
static const char *words_with(struct fixture *f, const char *in_command, const char *behind)
{
    const char *const extra[] = {behind, NULL};
    const struct backend_model model = {.name = "toy",
            .path = "/x.gguf",
            .context = 512,
            .slots = 1,
            .extra_args = extra,
            .prompt_cache_bytes = 1 << 20,
            .start_key = "start",
            .token_bytes = 1};

    if (f->instance)
        backend_llama_server.destroy(f->instance);
    f->exited = false;
    f->command[3] = in_command;
    start_toy_with(f, "exit", &model);
    assert_true(f->exited);
    return f->reason;
}

static void test_prompts_are_kept_as_the_owner_says(void **state)
{
    struct fixture *f = *state;

    assert_non_null(strstr(words_with(f, NULL, NULL), " --slot-prompt-similarity 0.95 "));
    assert_null(strstr(words_with(f, NULL, "--no-cache-prompt"), "similarity"));
    assert_null(strstr(words_with(f, "--no-cache-prompt", NULL), "similarity"));
    assert_int_equal(setenv("LLAMA_ARG_CACHE_PROMPT", "0", 1), 0);
    assert_null(strstr(words_with(f, NULL, NULL), "similarity"));
    assert_int_equal(unsetenv("LLAMA_ARG_CACHE_PROMPT"), 0);
}

static void open_slot_files(struct fixture *f, char folder[PATH_MAX])
{
    snprintf(folder, PATH_MAX, "%s/slots", f->host.runtime_dir);
    assert_int_equal(slot_files_open(folder, 1 << 20, &env_system, &f->host.slot_files, NULL), 0);
}

static void close_slot_files(struct fixture *f, const char *folder)
{
    struct slot_files *none;

    slot_files_close(f->host.slot_files);
    assert_int_equal(slot_files_open(folder, 0, &env_system, &none, NULL), 0);
}

static void test_slots_are_kept_where_the_owner_says_no_other_folder(void **state)
{
    struct fixture *f = *state;
    char folder[PATH_MAX], option[PATH_MAX + 32];

    open_slot_files(f, folder);
    snprintf(option, sizeof(option), " --slot-save-path %s/", folder);
    assert_non_null(strstr(words_with(f, NULL, NULL), option));
    assert_null(strstr(words_with(f, NULL, "--slot-save-path"), option));
    assert_null(strstr(words_with(f, "--slot-save-path", NULL), option));
    assert_int_equal(setenv("LLAMA_ARG_SLOT_SAVE_PATH", "/elsewhere", 1), 0);
    assert_null(strstr(words_with(f, NULL, NULL), option));
    assert_int_equal(unsetenv("LLAMA_ARG_SLOT_SAVE_PATH"), 0);
    close_slot_files(f, folder);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* It is told that it ends, and writes on for a moment. */
static void test_nothing_is_left_of_what_an_engine_did_not_finish(void **state)
{
    struct fixture *f = *state;
    char folder[PATH_MAX], part[PATH_MAX];
    const char *own;

    open_slot_files(f, folder);
    own = strstr(words_with(f, NULL, NULL), folder);
    assert_non_null(own);
    snprintf(part, sizeof(part), "%.*s/1.state.part", (int)strcspn(own, " "), own);
    assert_int_equal(close(open(part, O_CREAT | O_WRONLY, 0600)), 0);
    assert_true(is_there(part));
    (void)words_with(f, NULL, NULL);
    assert_false(is_there(part));
    close_slot_files(f, folder);
}

/* Braces in a model's path are its own. */
static void test_placeholders_are_the_commands(void **state)
{
    struct fixture *f = *state;
    struct backend_model model = {.name = "toy", .path = "/m/{runtime}/x.gguf", .slots = 1};

    f->command[0] = "/proc/self/exe";
    f->command[1] = "toy-engine";
    f->command[2] = "exit";
    f->command[3] = "{model-dir}";
    create(f, &model);
    start(f);
    assert_true(f->exited);
    assert_non_null(strstr(f->reason, ": /m/{runtime} -m /m/{runtime}/x.gguf --host"));
}

static void test_missing_program(void **state)
{
    struct fixture *f = *state;
    struct backend_model model = {.name = "toy", .path = "/x.gguf", .slots = 1};

    f->command[0] = "/nonexistent/llama-server";
    create(f, &model);
    start(f);
    assert_true(f->exited);
    assert_non_null(
            strstr(f->reason, "the engine's command /nonexistent/llama-server cannot be run"));
}

static void test_engine_that_never_gets_ready(void **state)
{
    struct fixture *f = *state;

    f->host.start_timeout_ms = 300;
    start_toy(f, "never-ready");
    assert_true(f->exited);
    assert_false(f->wanted);
    /* A loaded machine may not have begun it by then: whether its words are there is open. */
    assert_non_null(strstr(f->reason, "not ready after 0.3 s"));
}

static void test_stop_while_loading(void **state)
{
    struct fixture *f = *state;
    struct backend_model model = {.name = "toy", .path = "/x.gguf", .slots = 1};

    f->command[0] = "sh";
    f->command[1] = "-c";
    f->command[2] = "exec sleep 1000";
    create(f, &model);
    assert_int_equal(backend_llama_server.start(f->instance, NULL), 0);
    stop(f);
}

static void test_engine_that_hangs(void **state)
{
    struct fixture *f = *state;

    f->host.health_interval_ms = 5;
    start_toy(f, "hang");
    assert_true(f->ready);
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    while (!f->exited)
        loop_run(&f->loop);
    assert_false(f->wanted);
    assert_int_equal(f->ends, 1);
    assert_non_null(strstr(f->reason, "no sign of life"));
}

static void test_folder_too_deep_for_a_socket(void **state)
{
    struct fixture *f = *state;
    struct backend_model model = {.name = "toy", .path = "/x.gguf", .slots = 1};
    char deep[200];
    struct err err;

    memset(deep, 'd', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    f->host.runtime_dir = deep;
    f->command[0] = "true";
    create(f, &model);
    assert_int_equal(backend_llama_server.start(f->instance, &err), -ENAMETOOLONG);
}

/* The demo's model, found from where this file was compiled. */
/* --- its memory --- */

static void wait_measured(struct fixture *f, int count)
{
    while (f->measured_count < count)
        loop_run(&f->loop);
    assert_int_equal(f->measured_count, count);
}

static void test_memory_is_told(void **state)
{
    struct fixture *f = *state;

    f->measures = true;
    start_toy(f, "good");
    wait_measured(f, 1);
    assert_int_equal(f->measured.device_bytes, (2 * 100 + 2 * 4 + 11) * (UINT64_C(1) << 19));
    assert_int_equal(f->measured.host_bytes, UINT64_C(1) << 20);
    assert_int_equal(f->measured.output_rows, 2);
    stop(f);
}

/* An engine that was idle for long lets its model go, and loads it when a request comes. */
static void test_memory_of_a_later_load_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t first;

    f->measures = true;
    start_toy(f, "loads-anew");
    wait_measured(f, 1);
    first = f->measured.device_bytes;
    assert_int_equal(begin_run(f, "{}", NULL), 0);
    wait_measured(f, 2);
    assert_int_equal(f->measured.device_bytes, first + 4 * (UINT64_C(1) << 20));
    stop(f);
}

static void test_memory_of_each_start_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t first;

    f->measures = true;
    start_toy(f, "good");
    wait_measured(f, 1);
    first = f->measured.device_bytes;
    stop(f);
    f->exited = f->ready = false;
    start(f);
    wait_measured(f, 2);
    assert_int_equal(f->measured.device_bytes, first);
    stop(f);
}

/* … and so does one whose owner has set another level. */
static void test_an_engine_that_tells_no_memory(void **state)
{
    struct fixture *f = *state;

    f->measures = true;
    setenv("LLAMA_ARG_LOG_VERBOSITY", "3", 1);
    start_toy(f, "good");
    patience_run_for(&f->loop, 500);
    unsetenv("LLAMA_ARG_LOG_VERBOSITY");
    assert_int_equal(f->measured_count, 0);
    stop(f);
}

static const char *real_model(void)
{
    static char path[512];
    const char *slash = strrchr(__FILE__, '/');

    snprintf(path, sizeof(path), "%.*s/../../configs/demo/models/modemesh-demo-fast.gguf",
            (int)(slash - __FILE__), __FILE__);
    return path;
}

static void need_real_engine(struct fixture *f)
{
    f->command[0] = getenv("MODEMESH_LLAMA_SERVER");
    if (f->command[0])
        return;
    print_message("# skipped: MODEMESH_LLAMA_SERVER names no real engine\n");
    skip();
}

static void start_real_with(struct fixture *f, const char *const *extra)
{
    struct backend_model model = {.extra_args = extra,
            .capabilities = CAPABILITY_CHAT,
            .name = "a-name-that-is-much-longer-than-what-a-unix-socket-has-room-for-"
                    "and-so-has-to-be-cut-somewhere",
            .path = real_model(),
            .context = 1024,
            .slots = 2,
            .prompt_cache_bytes = f->prompt_cache_bytes};

    need_real_engine(f);
    create(f, &model);
    start(f);
    assert_true(f->ready);
}

static void start_real(struct fixture *f)
{
    start_real_with(f, NULL);
}

static void assert_has(const struct fixture *f, const char *words)
{
    if (!strstr(f->text, words))
        fail_msg("\"%s\" is not in \"%s\" (%s)", words, f->text, f->fail_message);
}

static void test_real_engine_tells_its_memory(void **state)
{
    struct fixture *f = *state;

    f->measures = true;
    start_real(f);
    wait_measured(f, 1);
    assert_int_equal(f->measured.device_bytes, 0);
    /* 1 MB of weights, 2 MiB of cache, some to compute with. */
    assert_in_range(f->measured.host_bytes, 5 << 20, 20 << 20);
    assert_int_equal(f->measured.output_rows, 2);
    stop(f);
}

/* The cause, not what failed for it. */
static void test_real_engine_says_why_it_does_not_load(void **state)
{
    static char head[100000];
    char path[96];
    struct fixture *f = *state;
    FILE *whole, *cut;
    const struct backend_model model = {.name = "cut", .path = path, .context = 512, .slots = 1};

    need_real_engine(f);
    snprintf(path, sizeof(path), "%s/.cut.gguf", f->dir);
    whole = fopen(real_model(), "r");
    cut = fopen(path, "w");
    assert_int_equal(fread(head, 1, sizeof(head), whole), sizeof(head));
    assert_int_equal(fwrite(head, 1, sizeof(head), cut), sizeof(head));
    fclose(whole);
    fclose(cut);
    create(f, &model);
    start(f);
    assert_true(f->exited);
    assert_non_null(strstr(f->reason, "model is corrupted or incomplete"));
    unlink(path);
}

static void test_real_engine_completes(void **state)
{
    struct fixture *f = *state;

    start_real(f);
    assert_int_equal(f->capabilities, CAPABILITY_CHAT | CAPABILITY_EXACT);
    run_kind(f, REQUEST_COMPLETION,
            "{\"prompt\":\"The node\",\"max_tokens\":3,\"ignore_eos\":true,\"logprobs\":1}");
    assert_int_equal(f->fail_code, -1);
    assert_has(f, "3:{\"content\":[");
    assert_has(f, "4:length;");
    assert_int_equal(f->usage.completion_tokens, 3);
    run_kind(f, REQUEST_COMPLETION,
            "{\"prompt\":\"The node\",\"max_tokens\":3,\"ignore_eos\":true,\"n\":2}");
    assert_int_equal(f->usage.completion_tokens, 6);
    run_kind(f, REQUEST_COMPLETION, "{\"prompt\":[1,2,3],\"max_tokens\":1}");
    assert_int_equal(f->usage.prompt_tokens, 3);
    run_kind(f, REQUEST_COMPLETION, "{}");
    assert_failed(f, FAIL_ENGINE_ERROR, 400, "prompt");
    stop(f);
}

static void test_real_engine_and_tokens(void **state)
{
    struct fixture *f = *state;
    char tokens[256];

    start_real(f);
    run_kind(f, REQUEST_TOKENIZE, "{\"content\":\"What is a node?\",\"with_pieces\":false}");
    assert_int_equal(f->fail_code, -1);
    assert_has(f, "{\"tokens\":[");
    snprintf(tokens, sizeof(tokens), "%s", f->text);
    run_kind(f, REQUEST_DETOKENIZE, tokens);
    assert_string_equal(f->text, "{\"content\":\"What is a node?\"}");
    run_kind(f, REQUEST_DETOKENIZE, "{\"tokens\":[70000000]}");
    assert_failed(f, FAIL_ENGINE_ERROR, 400, "range_check");
    run_kind(f, REQUEST_TEMPLATE, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    assert_has(f, "{\"prompt\":\"<|im_start|>user\\nhi<|im_end|>");
    stop(f);
}

/* What a chat costs, whatever is in it. */
static void test_real_engine_counts_as_it_charges(void **state)
{
    static const char *const chats[] = {
            "{\"messages\":[{\"role\":\"user\",\"content\":\"What is a node?\"}],\"max_tokens\":1}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief. <|im_end|>\"},"
            "{\"role\":\"user\",\"content\":\"h\u00e9llo\"},{\"role\":\"assistant\","
            "\"content\":\"Yes?\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
            "\"text\":\"go \"},{\"type\":\"text\",\"text\":\"on\"}]}],\"max_tokens\":1}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"read it\"}],\"max_tokens\":1,"
            "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read_file\","
            "\"description\":\"Reads a file\",\"parameters\":{\"type\":\"object\",\"properties\":"
            "{\"path\":{\"type\":\"string\"}}}}}]}",
    };
    struct fixture *f = *state;
    char expected[64];

    start_real(f);
    for (size_t i = 0; i < sizeof(chats) / sizeof(chats[0]); i++) {
        run_kind(f, REQUEST_CHAT, chats[i]);
        assert_int_equal(f->fail_code, -1);
        snprintf(expected, sizeof(expected), "{\"input_tokens\":%u}", f->usage.prompt_tokens);
        run_kind(f, REQUEST_COUNT, chats[i]);
        assert_string_equal(f->text, expected);
    }
    run_kind(f, REQUEST_COUNT, "{}");
    assert_failed(f, FAIL_ENGINE_ERROR, 400, "'messages' is required");
    stop(f);
}

static void test_real_engine_makes_vectors(void **state)
{
    static const char *const extra[] = {"--embeddings", "--pooling", "mean", NULL};
    struct fixture *f = *state;

    start_real_with(f, extra);
    assert_int_equal(f->capabilities, CAPABILITY_CHAT | CAPABILITY_EMBEDDINGS | CAPABILITY_EXACT);
    run_kind(f, REQUEST_EMBEDDINGS, "{\"input\":[\"a\",\"b c\"],\"model\":\"m\"}");
    assert_int_equal(f->fail_code, -1);
    assert_has(f, "\"data\":[{\"embedding\":[");
    assert_int_equal(f->usages, 1);
    assert_int_equal(f->usage.prompt_tokens, 3);
    run_kind(f, REQUEST_EMBEDDINGS, "{\"input\":[]}");
    assert_failed(f, FAIL_ENGINE_ERROR, 400, "must not be empty");
    stop(f);
}

static void test_real_engine_ranks(void **state)
{
    static const char *const extra[] = {"--reranking", NULL};
    struct fixture *f = *state;

    start_real_with(f, extra);
    run_kind(f, REQUEST_RERANK, "{\"query\":\"q\",\"documents\":[\"a\",\"b c\"],\"top_n\":1}");
    assert_int_equal(f->fail_code, -1);
    assert_has(f, "\"results\":[{\"index\":");
    assert_true(f->usage.prompt_tokens > 0);
    stop(f);
}

/* The engine's own words, and the status that says that it never will. */
static void test_real_engine_cannot(void **state)
{
    struct fixture *f = *state;

    start_real(f);
    run_kind(f, REQUEST_INFILL, "{\"input_prefix\":\"a\",\"input_suffix\":\"b\"}");
    assert_failed(f, FAIL_ENGINE_ERROR, 501, "Infill is not supported by this model");
    run_kind(f, REQUEST_EMBEDDINGS, "{\"input\":\"a\"}");
    assert_failed(f, FAIL_ENGINE_ERROR, 501, "does not support embeddings");
    run_kind(f, REQUEST_RERANK, "{\"query\":\"q\",\"documents\":[\"a\"]}");
    assert_failed(f, FAIL_ENGINE_ERROR, 501, "does not support reranking");
    run_kind(f, REQUEST_TRANSCRIPTION, "{\"file\":{\"data\":\"UklGRg==\",\"name\":\"a.wav\"}}");
    assert_failed(f, FAIL_ENGINE_ERROR, 501, "does not support audio");
    stop(f);
}

static void test_real_engine_answers(void **state)
{
    struct fixture *f = *state;

    start_real(f);
    assert_int_equal(f->slots, 2);
    assert_int_equal(f->context, 1024);
    run_to_end(f,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"What is a node?\"}],\"max_tokens\":16,"
            "\"logprobs\":true}");
    assert_int_equal(f->fail_code, -1);
    assert_non_null(strstr(f->text, "0:"));
    assert_non_null(strstr(f->text, "3:{\"content\":["));
    assert_non_null(strstr(f->text, "4:"));
    assert_int_equal(f->usages, 1);
    assert_in_range(f->usage.completion_tokens, 1, 16);
    assert_in_range(f->usage.prompt_tokens, 5, 100);
    assert_true(f->usage.decode_ms > 0);
    stop(f);
}

/* One turn of a conversation that begins as all others do; returns the tokens of its prompt. */
static uint32_t take_turn(struct fixture *f, uint64_t session, unsigned turns)
{
    static char prompt[4096];
    char body[8192];
    size_t len = 0;

    for (unsigned i = 0; i < 60; i++)
        len += (size_t)snprintf(prompt + len, sizeof(prompt) - len, "rule %u; ", i);
    for (unsigned i = 0; i < turns * 20; i++)
        len += (size_t)snprintf(
                prompt + len, sizeof(prompt) - len, "%" PRIu64 "/%u ", session % 1000, i);
    snprintf(body, sizeof(body), "{\"prompt\":\"%s\",\"max_tokens\":4,\"temperature\":0}", prompt);
    f->session = session;
    run_kind(f, REQUEST_COMPLETION, body);
    assert_int_equal(f->fail_code, -1);
    return f->usage.prompt_tokens;
}

/* The engine alone would give the slot of one to the other, whose beginning is the same. */
static void test_real_engine_keeps_conversations_apart(void **state)
{
    struct fixture *f = *state;
    uint32_t first[2];

    f->prompt_cache_bytes = 64 << 20;
    start_real(f);
    for (unsigned i = 0; i < 2; i++)
        first[i] = take_turn(f, 1001 + i, 1);
    for (unsigned turns = 2; turns < 4; turns++) {
        for (unsigned i = 0; i < 2; i++) {
            uint32_t prompt = take_turn(f, 1001 + i, turns);

            assert_in_range(f->usage.cached_tokens, first[i] - 1, prompt);
            first[i] = prompt;
        }
    }
    stop(f);
}

static void test_real_engine_refuses_a_long_prompt(void **state)
{
    struct fixture *f = *state;
    char body[8192];

    start_real(f);
    snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\",\"content\":\"%05000d\"}]}", 0);
    run_to_end(f, body);
    assert_failed(f, FAIL_CONTEXT_EXCEEDED, 400, "maximum context length is 1024 tokens");
    stop(f);
}

static void test_real_engine_is_killed(void **state)
{
    struct fixture *f = *state;

    start_real(f);
    kill((pid_t)backend_llama_server.pid(f->instance), SIGKILL);
    while (!f->exited)
        loop_run(&f->loop);
    assert_false(f->wanted);
    assert_non_null(strstr(f->reason, "killed by signal 9"));
}

static void resume(void *ctx)
{
    struct fixture *f = ctx;

    if (f->run)
        backend_llama_server.run_resume(f->run);
}

static void pause_each(struct fixture *f)
{
    backend_llama_server.run_pause(f->run);
    loop_timer_start(f->timer, 1, 0);
}

static void test_real_engine_with_a_slow_reader(void **state)
{
    struct fixture *f = *state;

    start_real(f);
    f->timer = loop_timer_create(&f->loop, resume, f);
    f->delta_hook = pause_each;
    run_to_end(f, "{\"messages\":[{\"role\":\"user\",\"content\":\"What is a "
                  "node?\"}],\"max_tokens\":50,"
                  "\"ignore_eos\":true}");
    assert_int_equal(f->fail_code, -1);
    assert_int_equal(f->usage.completion_tokens, 50);
    stop(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "guard") == 0)
        return guard_main(argc - 1, argv + 1);
    if (argc > 2 && strcmp(argv[1], "toy-engine") == 0)
        return toy_engine_main(argc, argv);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_ready_with_the_engines_numbers),
            TEST(test_what_the_engine_says_of_itself),
            TEST(test_what_the_engine_denies),
            TEST(test_an_engine_that_says_nothing),
            TEST(test_words_that_say_what_it_can),
            TEST(test_words_that_set_what_was_read),
            TEST(test_words_for_a_model_that_makes_vectors),
            TEST(test_words_for_a_model_that_ranks),
            TEST(test_words_for_settings_of_a_model),
            TEST(test_answer_in_deltas),
            TEST(test_body_as_the_mesh_wants_it),
            TEST(test_refusal),
            TEST(test_engine_that_loads_again),
            TEST(test_answer_that_is_no_stream),
            TEST(test_error_event),
            TEST(test_garbage_in_the_stream),
            TEST(test_stream_that_is_cut),
            TEST(test_stream_without_a_finish_reason),
            TEST(test_engine_that_dies),
            TEST(test_stop_ends_runs),
            TEST(test_stop_from_on_delta),
            TEST(test_cancel_from_on_delta),
            TEST(test_cancel_reaches_the_engine),
            TEST(test_cancel_from_the_last_delta),
            TEST(test_unusable_bodies_and_states),
            TEST(test_start_again_after_the_end),
            TEST(test_words_of_the_command),
            TEST(test_prompts_are_kept_as_the_owner_says),
            TEST(test_slots_are_kept_where_the_owner_says_no_other_folder),
            TEST(test_nothing_is_left_of_what_an_engine_did_not_finish),
            TEST(test_placeholders_are_the_commands),
            TEST(test_missing_program),
            TEST(test_engine_that_never_gets_ready),
            TEST(test_stop_while_loading),
            TEST(test_engine_that_hangs),
            TEST(test_folder_too_deep_for_a_socket),
            TEST(test_memory_is_told),
            TEST(test_memory_of_a_later_load_is_told),
            TEST(test_memory_of_each_start_is_told),
            TEST(test_an_engine_that_tells_no_memory),
            TEST(test_real_engine_tells_its_memory),
            TEST(test_real_engine_says_why_it_does_not_load),
            TEST(test_real_engine_completes),
            TEST(test_real_engine_and_tokens),
            TEST(test_real_engine_counts_as_it_charges),
            TEST(test_real_engine_makes_vectors),
            TEST(test_real_engine_ranks),
            TEST(test_real_engine_cannot),
            TEST(test_real_engine_answers),
            TEST(test_real_engine_keeps_conversations_apart),
            TEST(test_real_engine_refuses_a_long_prompt),
            TEST(test_real_engine_is_killed),
            TEST(test_real_engine_with_a_slow_reader),
    };
    return cmocka_run_group_tests_name("llama_server", tests, NULL, NULL);
}
