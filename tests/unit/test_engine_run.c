#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/answers/result_scan.h"
#include "node/backends/engine_run.h"
#include "node/backends/slots/engine_slots.h"
#include "tests/lib/patience.h"
#include "tests/lib/toy_http.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, TEXT_MAX = 8 * 1024 * 1024, BODY_MAX = 4096 };

static const char json_type[] = "application/json; charset=utf-8";
static const char marker[] = "<__media_x__>";

/* What the toy engine answers to one path, by POST, or as it is written: "GET /slots"; several in a
 * row for several calls. */
struct scene {
    const char *path;
    int status;
    const char *content_type;
    const char *body;
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience, *timer;
    struct http_client *http;
    struct toy_server *server;
    struct engine_target target;
    char dir[32], socket[64];

    const struct scene *scenes; /* the engine's part, on its own thread */
    size_t unsent;              /* bytes of a body that it announces and never sends */
    bool stalls;                /* it waits until the call is closed */
    atomic_int calls;
    atomic_bool closed;
    char heads[3][1024];
    char bodies[3][BODY_MAX];
    size_t body_len;

    uint64_t session; /* of the next run */
    struct engine_run *run;
    void (*delta_hook)(struct fixture *f, const struct msg_delta *delta);
    char *text; /* "kind:data;" of what is no result, and the bytes of what is */
    size_t text_len;
    int deltas, usages, ends, fail_code; /* -1: complete */
    struct msg_usage usage;
    uint32_t fail_status;
    char fail_message[512];
};

static void play(const struct fixture *f, const struct scene *scene, int fd)
{
    char head[256];

    snprintf(head, sizeof(head),
            "HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            scene->status, scene->content_type, strlen(scene->body) + f->unsent);
    toy_send_text(fd, head);
    toy_send_text(fd, scene->body);
}

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct fixture *f = ctx;
    int call = f->calls++;
    const struct scene *scene = &f->scenes[call];
    char wanted[64];
    int len = snprintf(
            wanted, sizeof(wanted), "%s%s ", scene->path[0] == '/' ? "POST " : "", scene->path);

    snprintf(f->heads[call], sizeof(f->heads[call]), "%s", request->head);
    memcpy(f->bodies[call], request->body,
            request->body_len < BODY_MAX ? request->body_len + 1 : BODY_MAX);
    f->body_len = request->body_len;
    if (strncmp(request->head, wanted, (size_t)len) != 0) {
        toy_answer(fd, 404, json_type, "{\"error\":\"wrong path\"}");
        return;
    }
    play(f, scene, fd);
    if (f->stalls)
        f->closed = toy_wait_closed(fd, PATIENCE_MS);
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct fixture *f = ctx;
    size_t room = TEXT_MAX - f->text_len;

    assert_int_equal(f->ends + f->usages, 0);
    f->deltas++;
    if (delta->kind == DELTA_USAGE) {
        f->usage = delta->usage;
        f->usages++;
    } else if (delta->kind == DELTA_RESULT) {
        assert_true(delta->len <= room);
        memcpy(f->text + f->text_len, delta->data, delta->len);
        f->text_len += delta->len;
    } else {
        f->text_len += (size_t)snprintf(f->text + f->text_len, room, "%s:%.*s;",
                delta_kind_name(delta->kind), (int)delta->len, delta->data);
    }
    if (f->delta_hook)
        f->delta_hook(f, delta);
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct fixture *f = ctx;

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
    f->text = calloc(1, TEXT_MAX + 1);
    assert_non_null(f->text);
    strcpy(f->dir, "/tmp/run-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->socket, sizeof(f->socket), "%s/engine", f->dir);
    assert_int_equal(loop_init(&f->loop), 0);
    f->http = http_client_create(&f->loop);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->server = toy_server_create(f->socket, handle, f);
    f->target = (struct engine_target){.http = f->http,
            .base = "http://engine",
            .unix_socket = f->socket,
            .media_marker = marker,
            .env = &env_system};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    http_client_destroy(f->http);
    toy_server_destroy(f->server);
    loop_timer_destroy(f->timer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    unlink(f->socket);
    rmdir(f->dir);
    free(f->text);
    free(f);
    return 0;
}

static int begin(struct fixture *f, enum request_kind kind, const char *body, struct err *err)
{
    struct run_spec spec = {.request_id = "r1",
            .kind = kind,
            .body = body,
            .body_len = strlen(body),
            .session = f->session,
            .prompt_tokens = ENGINE_SLOTS_TOKENS_MIN};

    return engine_run_start(&f->target, &spec, &run_events, f, &f->run, err);
}

static void run_to_end(
        struct fixture *f, enum request_kind kind, const char *body, const struct scene *scenes)
{
    f->scenes = scenes;
    assert_int_equal(begin(f, kind, body, NULL), 0);
    while (f->ends == 0)
        loop_run(&f->loop);
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

static void assert_complete(struct fixture *f, const char *text)
{
    if (f->fail_code != -1)
        fail_msg("failed: %s", f->fail_message);
    assert_string_equal(f->text, text);
}

static void test_completion(void **state)
{
    static const struct scene scene = {"/v1/completions", 200, "text/event-stream",
            "data: null\n\n"
            "data: {\"choices\":[{\"text\":\"A\",\"index\":0,\"finish_reason\":null}]}\n\n"
            "data: {\"choices\":[{\"text\":\" node\",\"index\":0,\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":5}}\n\n"
            "data: [DONE]\n\n"};
    struct fixture *f = *state;

    run_to_end(f, REQUEST_COMPLETION, "{\"prompt\":\"x\",\"model\":\"m\"}", &scene);
    assert_complete(f, "text:A;text: node;finish:stop;");
    assert_string_equal(f->bodies[0],
            "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    assert_int_equal(f->usage.prompt_tokens, 5);
    assert_int_equal(f->usage.completion_tokens, 2);
}

static void test_infill(void **state)
{
    static const struct scene scene = {"/infill", 200, "text/event-stream",
            "data: {\"index\":0,\"content\":\",\",\"stop\":false}\n\n"
            "data: {\"index\":0,\"content\":\"\",\"stop\":true,\"stop_type\":\"limit\","
            "\"tokens_evaluated\":7,\"timings\":{\"predicted_n\":1}}\n\n"};
    struct fixture *f = *state;

    run_to_end(f, REQUEST_INFILL,
            "{\"input_prefix\":\"a\",\"id_slot\":0,\"response_fields\":[\"content\"]}", &scene);
    assert_complete(f, "text:,;finish:length;");
    assert_non_null(strstr(f->bodies[0], "{\"input_prefix\":\"a\",\"response_fields\":[\"index\""));
    assert_non_null(strstr(f->bodies[0], "\"stream\":true"));
    assert_null(strstr(f->bodies[0], "id_slot"));
    assert_int_equal(f->usage.prompt_tokens, 7);
}

/* The stream's own end is none where no choice said why it stopped. */
static void test_infill_that_is_cut(void **state)
{
    static const struct scene scene = {"/infill", 200, "text/event-stream",
            "data: {\"index\":0,\"content\":\",\",\"stop\":false}\n\n"};
    struct fixture *f = *state;

    run_to_end(f, REQUEST_INFILL, "{}", &scene);
    assert_failed(f, FAIL_ENGINE_DIED, 0, "before the answer was complete");
}

/* What a client has no say in, in any kind: nothing of it reaches the engine. */
static void test_what_no_client_says(void **state)
{
    static const struct {
        enum request_kind kind;
        struct scene scene;
    } cases[] = {
            {REQUEST_EMBEDDINGS, {"/v1/embeddings", 200, json_type, "{}"}},
            {REQUEST_RERANK, {"/v1/rerank", 200, json_type, "{}"}},
            {REQUEST_TOKENIZE, {"/tokenize", 200, json_type, "{}"}},
            {REQUEST_DETOKENIZE, {"/detokenize", 200, json_type, "{}"}},
            {REQUEST_TEMPLATE, {"/apply-template", 200, json_type, "{}"}},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->ends = 0;
        f->calls = 0;
        run_to_end(f, cases[i].kind,
                "{\"model\":1,\"big\": 12345678901234567890,\"id_slot\":1,\"num_ctx\":9,"
                "\"lora\":[],\"stream\":true,\"stream_options\":{},\"response_fields\":[]}",
                &cases[i].scene);
        assert_int_equal(f->fail_code, -1);
        assert_string_equal(f->bodies[0], "{\"big\": 12345678901234567890}");
    }
}

static void test_result_with_usage(void **state)
{
    static const struct scene scene = {"/v1/embeddings", 200, json_type,
            "{\"object\":\"list\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3},"
            "\"data\":[{\"embedding\":[-0.5,0.25],\"index\":0}]}"};
    struct fixture *f = *state;

    run_to_end(f, REQUEST_EMBEDDINGS, "{\"input\":\"a\"}", &scene);
    assert_complete(f, scene.body);
    assert_int_equal(f->usages, 1);
    assert_int_equal(f->usage.prompt_tokens, 3);
    assert_int_equal(f->usage.completion_tokens, 0);
    assert_non_null(strstr(f->heads[0], "Content-Type: application/json\r\n"));
}

static void test_result_without_usage(void **state)
{
    static const struct scene scenes[] = {{"/tokenize", 200, json_type, "{\"tokens\":[1,2]}"},
            {"/tokenize", 200, json_type, "{\"usage\":5}"},
            {"/tokenize", 200, json_type, "{\"usage\":x}"}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        f->ends = 0;
        f->calls = 0;
        f->text_len = 0;
        memset(f->text, 0, 64);
        run_to_end(f, REQUEST_TOKENIZE, "{\"content\":\"a\"}", &scenes[i]);
        assert_complete(f, scenes[i].body);
        assert_int_equal(f->usages, 0);
    }
}

/* A long one comes in pieces, as fast as its reader takes them. */

static char *long_json(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, '1', len);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

static void resume(void *ctx)
{
    struct fixture *f = ctx;

    if (f->run)
        engine_run_resume(f->run);
}

static void pause_each(struct fixture *f, const struct msg_delta *delta)
{
    (void)delta;
    engine_run_pause(f->run);
    loop_timer_start(f->timer, 1, 0);
}

static void test_long_result_and_a_slow_reader(void **state)
{
    struct fixture *f = *state;
    char *text = long_json(1024 * 1024);
    struct scene scene = {"/v1/embeddings", 200, json_type, text};

    f->timer = loop_timer_create(&f->loop, resume, f);
    f->delta_hook = pause_each;
    run_to_end(f, REQUEST_EMBEDDINGS, "{\"input\":\"a\"}", &scene);
    assert_complete(f, text);
    assert_true(f->deltas > 60);
    free(text);
}

static void drop_text(struct fixture *f, const struct msg_delta *delta)
{
    (void)delta;
    f->text_len = 0;
}

static void test_result_past_its_limit(void **state)
{
    struct fixture *f = *state;
    char *text = long_json(RESULT_BYTES_MAX + 1);
    struct scene scene = {"/v1/embeddings", 200, json_type, text};

    f->delta_hook = drop_text;
    run_to_end(f, REQUEST_EMBEDDINGS, "{\"input\":\"a\"}", &scene);
    assert_failed(f, FAIL_BAD_REQUEST, 0, "longer than 16 MiB");
    free(text);
}

static void test_results_that_are_none(void **state)
{
    static const struct {
        struct scene scene;
        const char *words;
    } cases[] = {
            {{"/tokenize", 200, "text/html", "<html>"}, "other than JSON"},
            {{"/tokenize", 200, json_type, "[1]"}, "not the JSON"},
            {{"/tokenize", 200, json_type, "{\"a\":]"}, "not the JSON"},
            {{"/tokenize", 200, json_type, "{} {}"}, "not the JSON"},
            {{"/tokenize", 200, json_type, ""}, "ended before it was complete"},
            {{"/tokenize", 200, json_type, "{\"a\":1"}, "ended before it was complete"},
            {{"/tokenize", 503, json_type, "{\"error\":{\"message\":\"Loading model\"}}"},
                    "not ready: Loading model"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->ends = 0;
        f->calls = 0;
        run_to_end(f, REQUEST_TOKENIZE, "{}", &cases[i].scene);
        assert_failed(f, FAIL_ENGINE_DIED, 0, cases[i].words);
    }
}

static void test_a_connection_that_is_lost(void **state)
{
    static const struct scene scene = {"/tokenize", 200, json_type, "{\"a\":1}"};
    struct fixture *f = *state;

    f->unsent = 5;
    run_to_end(f, REQUEST_TOKENIZE, "{}", &scene);
    assert_failed(f, FAIL_ENGINE_DIED, 0, "connection to the engine was lost");
}

static void test_refusals(void **state)
{
    static const struct {
        struct scene scene;
        uint32_t status;
        const char *words;
    } cases[] = {
            {{"/v1/rerank", 501, json_type,
                     "{\"error\":{\"code\":501,\"message\":\"This server does not support "
                     "reranking. Start it with `--reranking`\",\"type\":\"not_supported_error\"}}"},
                    501, "does not support reranking"},
            {{"/v1/rerank", 400, json_type,
                     "{\"error\":{\"code\":400,\"message\":\"\\\"documents\\\" must be a non-empty "
                     "string array\"}}"},
                    400, "must be a non-empty"},
            {{"/v1/rerank", 500, "text/plain", "oops"}, 500, "no reason"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->ends = 0;
        f->calls = 0;
        run_to_end(f, REQUEST_RERANK, "{}", &cases[i].scene);
        assert_failed(f, FAIL_ENGINE_ERROR, cases[i].status, cases[i].words);
        assert_int_equal(f->deltas, 0);
    }
}

static void cancel_inside(struct fixture *f, const struct msg_delta *delta)
{
    (void)delta;
    engine_run_cancel(f->run);
    f->run = NULL;
    loop_stop(&f->loop);
}

static void stop_loop(void *ctx)
{
    struct fixture *f = ctx;

    loop_stop(&f->loop);
}

static void wait_until_closed(struct fixture *f)
{
    f->timer = loop_timer_create(&f->loop, stop_loop, f);
    while (!f->closed) {
        loop_timer_start(f->timer, 1, 0);
        loop_run(&f->loop);
    }
}

static void test_cancel_closes_the_connection(void **state)
{
    static const struct scene scene = {"/v1/embeddings", 200, json_type, "{\"data\":["};
    struct fixture *f = *state;

    f->scenes = &scene;
    f->unsent = 1000;
    f->stalls = true;
    f->delta_hook = cancel_inside;
    assert_int_equal(begin(f, REQUEST_EMBEDDINGS, "{}", NULL), 0);
    loop_run(&f->loop);
    assert_int_equal(f->deltas, 1);
    wait_until_closed(f);
    assert_int_equal(f->ends, 0);
}

static void test_cancel_before_any_answer(void **state)
{
    static const struct scene scene = {"/v1/embeddings", 200, json_type, ""};
    struct fixture *f = *state;

    f->scenes = &scene;
    f->unsent = 1000;
    f->stalls = true;
    assert_int_equal(begin(f, REQUEST_EMBEDDINGS, "{}", NULL), 0);
    f->timer = loop_timer_create(&f->loop, stop_loop, f);
    while (f->calls == 0) {
        loop_timer_start(f->timer, 1, 0);
        loop_run(&f->loop);
    }
    loop_timer_destroy(f->timer);
    engine_run_cancel(f->run);
    wait_until_closed(f);
    assert_int_equal(f->deltas + f->ends, 0);
}

#define TWO_SLOTS                                                                                  \
    "[{\"id\":0,\"is_processing\":false,\"id_task\":4,\"n_prompt_tokens\":99},"                    \
    "{\"id\":1,\"is_processing\":false}]"
#define A_COMPLETION                                                                               \
    "data: {\"choices\":[{\"index\":0,\"text\":\"x\",\"finish_reason\":\"stop\"}]}\n\n"            \
    "data: [DONE]\n\n"

/* The engine is asked what its slots hold, then for the turn; returns the turn's body. */
static const char *take_turn_of(
        struct fixture *f, enum request_kind kind, uint64_t session, const struct scene *scenes)
{
    f->session = session;
    f->target.slots = engine_slots_create(f->http, "http://engine", f->socket);
    assert_non_null(f->target.slots);
    slot_table_restored(engine_slots_table(f->target.slots), 1, 77);
    run_to_end(f, kind, "{\"prompt\":\"p\",\"id_slot\":0}", scenes);
    engine_slots_destroy(f->target.slots);
    assert_int_equal(f->fail_code, -1);
    return f->bodies[f->calls - 1];
}

static const char *take_turn(struct fixture *f, uint64_t session, const struct scene *scenes)
{
    return take_turn_of(f, REQUEST_COMPLETION, session, scenes);
}

static void test_a_turn_goes_to_its_slot(void **state)
{
    static const struct scene scenes[] = {{"GET /slots", 200, json_type, TWO_SLOTS},
            {"/v1/completions", 200, "text/event-stream", A_COMPLETION}};
    struct fixture *f = *state;

    assert_non_null(strstr(take_turn(f, 77, scenes), "\"id_slot\":1"));
    assert_int_equal(f->calls, 2);
}

/* llama.vim says slot 0 with each. */
static void test_a_line_that_is_typed_goes_on_in_its_slot(void **state)
{
    static const struct scene scenes[] = {{"GET /slots", 200, json_type, TWO_SLOTS},
            {"/infill", 200, "text/event-stream",
                    "data: {\"content\":\"x\",\"stop\":true,\"stop_type\":\"eos\"}\n\n"}};
    struct fixture *f = *state;
    const char *body = take_turn_of(f, REQUEST_INFILL, 77, scenes);

    assert_non_null(strstr(body, "\"id_slot\":1"));
    assert_null(strstr(body, "\"id_slot\":0"));
    assert_int_equal(f->calls, 2);
}

static void test_the_engine_chooses_for_others(void **state)
{
    static const struct scene scenes[] = {{"GET /slots", 200, json_type, TWO_SLOTS},
            {"/v1/completions", 200, "text/event-stream", A_COMPLETION}};
    struct fixture *f = *state;

    assert_null(strstr(take_turn(f, 78, scenes), "id_slot"));
    assert_int_equal(f->calls, 2);
}

static void test_an_engine_that_does_not_tell_its_slots(void **state)
{
    static const struct scene scenes[] = {
            {"GET /slots", 501, json_type, "{\"error\":{\"message\":\"no\"}}"},
            {"/v1/completions", 200, "text/event-stream", A_COMPLETION}};
    struct fixture *f = *state;

    assert_null(strstr(take_turn(f, 77, scenes), "id_slot"));
}

static void test_no_session_is_not_asked_for(void **state)
{
    static const struct scene scene = {"/v1/completions", 200, "text/event-stream", A_COMPLETION};
    struct fixture *f = *state;

    assert_null(strstr(take_turn(f, 0, &scene), "id_slot"));
    assert_int_equal(f->calls, 1);
}

static void test_cancel_while_the_slot_is_asked_for(void **state)
{
    static const struct scene scene = {"GET /slots", 200, json_type, TWO_SLOTS};
    struct fixture *f = *state;

    f->scenes = &scene;
    f->session = 77;
    f->target.slots = engine_slots_create(f->http, "http://engine", f->socket);
    assert_int_equal(begin(f, REQUEST_COMPLETION, "{}", NULL), 0);
    engine_run_pause(f->run);
    engine_run_cancel(f->run);
    engine_slots_destroy(f->target.slots);
    assert_int_equal(f->deltas + f->ends, 0);
}

/* Which slot is warm for session 77, where the second has worked since. */
static int warm_slot(const struct fixture *f)
{
    static const char later[] =
            "[{\"id\":0,\"is_processing\":false,\"id_task\":4,\"n_prompt_tokens\":99},"
            "{\"id\":1,\"is_processing\":true,\"id_task\":9,\"n_prompt_tokens\":300}]";
    struct slot_look look;

    assert_int_equal(slot_look_read(later, strlen(later), &look, NULL), 0);
    return slot_table_find(engine_slots_table(f->target.slots), &look, 77);
}

/* `known`: its slot is known before. */
static void give_up_turn(struct fixture *f, bool known)
{
    static const struct scene scenes[] = {{"GET /slots", 200, json_type, TWO_SLOTS},
            {"/v1/completions", 200, "text/event-stream", A_COMPLETION}};

    f->scenes = scenes;
    f->session = 77;
    f->delta_hook = cancel_inside;
    f->target.slots = engine_slots_create(f->http, "http://engine", f->socket);
    if (known)
        slot_table_restored(engine_slots_table(f->target.slots), 1, 77);
    assert_int_equal(begin(f, REQUEST_COMPLETION, "{}", NULL), 0);
    loop_run(&f->loop);
    assert_int_equal(f->deltas, 1);
    assert_int_equal(warm_slot(f), 1);
    engine_slots_destroy(f->target.slots);
}

static void test_a_turn_that_is_given_up_keeps_its_slot(void **state)
{
    give_up_turn(*state, true);
}

static void test_a_first_turn_that_is_given_up_shows_its_slot(void **state)
{
    give_up_turn(*state, false);
}

static void expect_placed(struct fixture *f, const struct msg_delta *delta)
{
    (void)delta;
    assert_int_equal(engine_slots_table(f->target.slots)->unplaced, 0);
}

/* The engine may put it into any slot until it says something. */
static void test_what_the_engine_chooses_a_slot_for(void **state)
{
    static const struct scene scene = {"/v1/completions", 200, "text/event-stream", A_COMPLETION},
                              tokens = {"/tokenize", 200, json_type, "{\"tokens\":[]}"};
    struct fixture *f = *state;
    const struct slot_table *table;

    f->scenes = &scene;
    f->delta_hook = expect_placed;
    f->target.slots = engine_slots_create(f->http, "http://engine", f->socket);
    table = engine_slots_table(f->target.slots);
    assert_int_equal(begin(f, REQUEST_COMPLETION, "{}", NULL), 0);
    assert_int_equal(table->unplaced, 1);
    loop_run(&f->loop);
    assert_int_equal(table->strays, 1);
    assert_int_equal(begin(f, REQUEST_COMPLETION, "{}", NULL), 0);
    engine_run_cancel(f->run);
    assert_int_equal(table->strays, 2);
    assert_int_equal(table->unplaced, 0);
    f->ends = f->deltas = f->usages = 0;
    f->calls = 0;
    run_to_end(f, REQUEST_TOKENIZE, "{}", &tokens);
    assert_int_equal(table->strays, 2); /* it is in none */
    engine_slots_destroy(f->target.slots);
}

static void cancel_in_usage(struct fixture *f, const struct msg_delta *delta)
{
    if (delta->kind == DELTA_USAGE)
        cancel_inside(f, delta);
}

static void test_cancel_from_the_last_delta(void **state)
{
    static const struct scene scene = {
            "/v1/embeddings", 200, json_type, "{\"usage\":{\"prompt_tokens\":3}}"};
    struct fixture *f = *state;

    f->scenes = &scene;
    f->delta_hook = cancel_in_usage;
    assert_int_equal(begin(f, REQUEST_EMBEDDINGS, "{}", NULL), 0);
    loop_run(&f->loop);
    assert_int_equal(f->usages, 1);
    assert_int_equal(f->ends, 0);
}

/* --- the tokens of a chat --- */

static void test_count(void **state)
{
    static const struct scene scenes[] = {
            {"/apply-template", 200, json_type, "{\"prompt\":\"<|user|>\\n\\u00e9\\\"hi\"}"},
            {"/tokenize", 200, json_type, "{\"tokens\":[1,22,333]}"}};
    struct fixture *f = *state;

    run_to_end(f, REQUEST_COUNT, "{\"messages\":[],\"model\":\"m\"}", scenes);
    assert_complete(f, "{\"input_tokens\":3}");
    assert_string_equal(f->bodies[0], "{\"messages\":[]}");
    assert_string_equal(f->bodies[1], "{\"add_special\":true,\"parse_special\":true,\"content\":"
                                      "\"<|user|>\\n\\u00e9\\\"hi\"}");
    assert_int_equal(f->usages, 0);
}

static void test_count_while_paused(void **state)
{
    static const struct scene scenes[] = {{"/apply-template", 200, json_type, "{\"prompt\":\"\"}"},
            {"/tokenize", 200, json_type, "{\"tokens\":[]}"}};
    struct fixture *f = *state;

    f->scenes = scenes;
    f->timer = loop_timer_create(&f->loop, resume, f);
    assert_int_equal(begin(f, REQUEST_COUNT, "{}", NULL), 0);
    engine_run_pause(f->run);
    loop_timer_start(f->timer, 5, 0);
    while (f->ends == 0)
        loop_run(&f->loop);
    assert_complete(f, "{\"input_tokens\":0}");
}

static void test_count_fails(void **state)
{
    static const struct {
        struct scene scenes[2];
        enum fail_code code;
        uint32_t status;
        const char *words;
    } cases[] = {
            {{{"/apply-template", 400, json_type,
                     "{\"error\":{\"message\":\"'messages' is required\"}}"}},
                    FAIL_ENGINE_ERROR, 400, "is required"},
            {{{"/apply-template", 200, json_type, "{}"}}, FAIL_ENGINE_DIED, 0, "no prompt"},
            {{{"/apply-template", 200, json_type, "{\"prompt\":\"a <__media_x__> b\"}"}},
                    FAIL_ENGINE_ERROR, 501, "of text only"},
            {{{"/apply-template", 200, json_type, "{\"prompt\":\"a\"}"},
                     {"/tokenize", 500, json_type, "{\"error\":\"broken\"}"}},
                    FAIL_ENGINE_ERROR, 500, "broken"},
            {{{"/apply-template", 200, json_type, "{\"prompt\":\"a\"}"},
                     {"/tokenize", 200, json_type, "{\"x\":1}"}},
                    FAIL_ENGINE_DIED, 0, "no tokens"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->ends = 0;
        f->calls = 0;
        run_to_end(f, REQUEST_COUNT, "{}", cases[i].scenes);
        assert_failed(f, cases[i].code, cases[i].status, cases[i].words);
        assert_int_equal(f->deltas, 0);
    }
}

/* --- sound --- */

static void test_transcription(void **state)
{
    static const struct scene scene = {
            "/v1/audio/transcriptions", 200, json_type, "{\"text\":\"A node\"}"};
    struct fixture *f = *state;
    const char *body = f->bodies[0];

    run_to_end(f, REQUEST_TRANSCRIPTION,
            "{\"file\":{\"data\":\"UklG/"
            "w==\",\"name\":\"a.wav\"},\"language\":\"de\",\"model\":\"m\","
            "\"response_format\":\"srt\",\"temperature\":0.5}",
            &scene);
    assert_complete(f, "{\"text\":\"A node\"}");
    assert_non_null(strstr(f->heads[0], "Content-Type: multipart/form-data; boundary="));
    assert_non_null(strstr(body, "name=\"language\"\r\n\r\nde\r\n"));
    assert_non_null(strstr(body, "name=\"temperature\"\r\n\r\n0.5\r\n"));
    assert_non_null(strstr(body, "name=\"response_format\"\r\n\r\njson\r\n"));
    assert_non_null(strstr(body, "name=\"file\"; filename=\"a.wav\"\r\n"));
    assert_non_null(strstr(body, "\r\n\r\nRIF\xff\r\n--"));
    assert_null(strstr(body, "model"));
}

static void test_unusable_bodies(void **state)
{
    static const char *const sounds[] = {"[]", "{}", "{\"file\":\"x\"}", "{\"file\":{}}",
            "{\"file\":{\"data\":\"a\"}}", "{\"file\":{\"data\":\"!!!!\"}}", "{\"file\":"};
    struct fixture *f = *state;
    struct err err = {0};

    for (size_t i = 0; i < sizeof(sounds) / sizeof(sounds[0]); i++)
        assert_int_equal(begin(f, REQUEST_TRANSCRIPTION, sounds[i], &err), -EINVAL);
    for (enum request_kind kind = 0; kind < REQUEST_KIND_COUNT; kind++)
        assert_int_equal(begin(f, kind, "[]", &err), -EINVAL);
    assert_int_equal(begin(f, REQUEST_KIND_COUNT, "{}", &err), -ENOTSUP);
    assert_int_equal(f->calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_completion),
            TEST(test_infill),
            TEST(test_infill_that_is_cut),
            TEST(test_what_no_client_says),
            TEST(test_result_with_usage),
            TEST(test_result_without_usage),
            TEST(test_long_result_and_a_slow_reader),
            TEST(test_result_past_its_limit),
            TEST(test_results_that_are_none),
            TEST(test_a_connection_that_is_lost),
            TEST(test_refusals),
            TEST(test_cancel_closes_the_connection),
            TEST(test_cancel_before_any_answer),
            TEST(test_a_turn_goes_to_its_slot),
            TEST(test_a_line_that_is_typed_goes_on_in_its_slot),
            TEST(test_the_engine_chooses_for_others),
            TEST(test_an_engine_that_does_not_tell_its_slots),
            TEST(test_no_session_is_not_asked_for),
            TEST(test_cancel_while_the_slot_is_asked_for),
            TEST(test_a_turn_that_is_given_up_keeps_its_slot),
            TEST(test_a_first_turn_that_is_given_up_shows_its_slot),
            TEST(test_what_the_engine_chooses_a_slot_for),
            TEST(test_cancel_from_the_last_delta),
            TEST(test_count),
            TEST(test_count_while_paused),
            TEST(test_count_fails),
            TEST(test_transcription),
            TEST(test_unusable_bodies),
    };
    return cmocka_run_group_tests_name("engine_run", tests, NULL, NULL);
}
