#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/backend.h"
#include "node/backends/fake.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 20000, RUNS_MAX = 4 };

struct fixture;

struct client {
    struct fixture *f;
    struct run *run;
    char text[1024];
    char result[4096];
    int deltas, ends, fail_code; /* -1: complete */
    uint32_t fail_status;
    struct msg_usage usage;
    bool finished;
    void (*hook)(struct client *client);
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience, *timer;
    struct backend_host host;
    const char *command[2];
    struct instance_backend *instance;
    bool inside, ready, exited, wanted;
    uint32_t slots, context, capabilities;
    struct backend_measured measured;
    char reason[128];
    struct client clients[RUNS_MAX];
    int open, most_open, ended;
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
    f->exited = true;
    f->wanted = wanted;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop);
}

static void on_measured(void *ctx, const struct backend_measured *measured)
{
    struct fixture *f = ctx;

    f->measured = *measured;
}

static const struct backend_events backend_events = {on_ready, on_exit_of_engine, on_measured};

static void count_open(struct client *client)
{
    struct fixture *f = client->f;

    if (client->deltas++ == 0)
        f->open++;
    if (f->open > f->most_open)
        f->most_open = f->open;
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct client *client = ctx;

    assert_false(client->f->inside);
    assert_int_equal(client->ends, 0);
    count_open(client);
    if (delta->kind == DELTA_TEXT)
        strncat(client->text, delta->data, delta->len);
    else if (delta->kind == DELTA_RESULT)
        strncat(client->result, delta->data, delta->len);
    else if (delta->kind == DELTA_FINISH)
        client->finished = true;
    else
        client->usage = delta->usage;
    if (client->hook)
        client->hook(client);
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct client *client = ctx;

    assert_false(client->f->inside);
    assert_false(client->f->exited);
    client->ends++;
    client->run = NULL;
    client->fail_code = fail ? (int)fail->code : -1;
    client->fail_status = fail ? fail->http_status : 0;
    client->f->open--;
    client->f->ended++;
    loop_stop(&client->f->loop);
}

static const struct run_events run_events = {on_delta, on_end};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->host = (struct backend_host){
            .loop = &f->loop, .env = &env_system, .command = f->command, .start_timeout_ms = 30};
    for (int i = 0; i < RUNS_MAX; i++)
        f->clients[i].f = f;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    backend_fake.destroy(f->instance);
    loop_timer_destroy(f->timer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *script)
{
    struct backend_model model = {.name = "toy", .slots = 2, .context = 512};

    f->command[0] = script;
    f->instance = backend_fake.create(&f->host, &model, &backend_events, f, NULL);
    assert_non_null(f->instance);
    f->inside = true;
    assert_int_equal(backend_fake.start(f->instance, NULL), 0);
    f->inside = false;
    loop_run(&f->loop);
    assert_int_equal(backend_fake.pid(f->instance), 0);
}

static void begin_runs(struct fixture *f, int n)
{
    struct run_spec spec = {
            .request_id = "r", .kind = REQUEST_CHAT, .body = "{\"a\":123}", .body_len = 9};

    f->inside = true;
    for (int i = 0; i < n; i++)
        assert_int_equal(backend_fake.run(f->instance, &spec, &run_events, &f->clients[i],
                                 &f->clients[i].run, NULL),
                0);
    f->inside = false;
}

static void wait_for_ends(struct fixture *f, int n)
{
    while (f->ended < n)
        loop_run(&f->loop);
}

static void stop(struct fixture *f)
{
    f->inside = true;
    backend_fake.stop(f->instance);
    backend_fake.stop(f->instance);
    f->inside = false;
    while (!f->exited)
        loop_run(&f->loop);
    assert_true(f->wanted);
}

static void test_what_it_took(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:took=700");
    assert_int_equal(f->measured.device_bytes, UINT64_C(700) << 20);
    assert_int_equal(f->measured.host_bytes, 0);
    assert_true(f->ready);
    stop(f);
}

static int begin_kind(struct fixture *f, enum request_kind kind, const char *body)
{
    struct run_spec spec = {
            .request_id = "r", .kind = kind, .body = body, .body_len = strlen(body)};
    struct client *client = &f->clients[0];
    int r;

    *client = (struct client){.f = f};
    f->ended = f->open = 0;
    f->inside = true;
    r = backend_fake.run(f->instance, &spec, &run_events, client, &client->run, NULL);
    f->inside = false;
    return r;
}

static void assert_answers(
        struct fixture *f, enum request_kind kind, const char *body, const char *result)
{
    assert_int_equal(begin_kind(f, kind, body), 0);
    wait_for_ends(f, 1);
    assert_int_equal(f->clients[0].fail_code, -1);
    assert_string_equal(f->clients[0].result, result);
    assert_string_equal(f->clients[0].text, "");
    assert_false(f->clients[0].finished);
}

static void test_results(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:tokens=40,ttft=1ms");
    assert_true(f->capabilities & CAPABILITY_EXACT);
    assert_true(f->capabilities & CAPABILITY_EMBEDDINGS);
    assert_answers(f, REQUEST_EMBEDDINGS, "{\"input\":[\"a\",\"b\"]}",
            "{\"object\":\"list\",\"model\":\"[fake engine]\",\"usage\":{\"prompt_tokens\":4,"
            "\"total_tokens\":4},\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
            "[1,0,0,0]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[1,0,0,0]}]}");
    assert_int_equal(f->clients[0].usage.prompt_tokens, 4);
    assert_int_equal(f->clients[0].usage.completion_tokens, 0);
    assert_answers(f, REQUEST_COUNT, "{\"messages\":[],\"a\":1}", "{\"input_tokens\":5}");
    stop(f);
}

static void test_results_wait_for_their_time(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:die-after=0");
    assert_int_equal(begin_kind(f, REQUEST_COUNT, "{\"messages\":[]}"), 0);
    wait_for_ends(f, 1);
    assert_int_equal(f->clients[0].fail_code, FAIL_ENGINE_DIED);
    assert_string_equal(f->clients[0].result, "");
    while (!f->exited)
        loop_run(&f->loop);
}

static void test_bodies_of_no_use(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:");
    assert_int_equal(begin_kind(f, REQUEST_EMBEDDINGS, "{}"), -EINVAL);
    assert_int_equal(begin_kind(f, REQUEST_RERANK, "[]"), -EINVAL);
    assert_int_equal(begin_kind(f, REQUEST_TEMPLATE, "x"), -EINVAL);
    stop(f);
}

static void test_script(void **state)
{
    struct fake_script script;

    (void)state;
    assert_int_equal(fake_script_parse("fake:", &script, NULL), 0);
    assert_int_equal(script.tokens, 16);
    assert_int_equal(script.die_after, FAKE_NEVER);
    assert_int_equal(fake_script_parse(
                             "fake:load=1s,ttft=50ms,rate=200,tokens=40,slots=4,context=9,fail=500,"
                             "die-after=0,hang-after=3,took=700,refuse,never-ready,text=a, b=c",
                             &script, NULL),
            0);
    assert_int_equal(script.load_ms, 1000);
    assert_int_equal(script.ttft_ms, 50);
    assert_int_equal(script.rate_tok_s, 200);
    assert_int_equal(script.tokens, 40);
    assert_int_equal(script.slots, 4);
    assert_int_equal(script.context, 9);
    assert_int_equal(script.fail_status, 500);
    assert_int_equal(script.die_after, 0);
    assert_int_equal(script.hang_after, 3);
    assert_int_equal(script.took_mib, 700);
    assert_true(script.refuse && script.never_ready);
    assert_string_equal(script.text, "a, b=c");
}

static void test_scripts_that_cannot_be_used(void **state)
{
    static const char *const bad[] = {NULL, "", "llama-server", "fake", "fake:tokens",
            "fake:tokens=", "fake:tokens=0", "fake:tokens=-1", "fake:tokens=1000001",
            "fake:fail=200", "fake:ttft=5", "fake:ttft=2h", "fake:refuse=1", "fake:speed=3",
            "fake:slots=1,,", "fake:=",
            "fake:"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char long_text[FAKE_TEXT_MAX + 32] = "fake:text=";
    struct fake_script script = {.tokens = 7};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (fake_script_parse(bad[i], &script, &err) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    memset(long_text + 10, 'x', FAKE_TEXT_MAX);
    assert_int_equal(fake_script_parse(long_text, &script, &err), -EINVAL);
    assert_int_equal(script.tokens, 7);
}

static void test_create_refuses_a_bad_script(void **state)
{
    struct fixture *f = *state;
    struct backend_model model = {.name = "toy"};
    struct err err;

    f->command[0] = "fake:speed=3";
    assert_null(backend_fake.create(&f->host, &model, &backend_events, f, &err));
    assert_non_null(strstr(err.text, "speed"));
}

static void test_answer(void **state)
{
    struct fixture *f = *state;
    struct client *client = &f->clients[0];

    start(f, "fake:tokens=5,ttft=7ms,text= one  two three");
    assert_true(f->ready);
    assert_int_equal(f->slots, 2);
    assert_int_equal(f->context, 512);
    begin_runs(f, 1);
    wait_for_ends(f, 1);
    assert_int_equal(client->fail_code, -1);
    assert_string_equal(client->text, "[fake engine] one two three one");
    assert_true(client->finished);
    assert_int_equal(client->usage.prompt_tokens, 2);
    assert_int_equal(client->usage.completion_tokens, 5);
    assert_true(client->usage.prefill_ms == 7.0f);
    stop(f);
}

static void test_text_without_words(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:tokens=3,text=");
    begin_runs(f, 1);
    wait_for_ends(f, 1);
    assert_string_equal(f->clients[0].text, "[fake engine]  ");
    stop(f);
}

static void test_time_passes_as_the_script_says(void **state)
{
    struct fixture *f = *state;
    uint64_t begin_us = env_now_us(&env_system), ready_us, end_us;

    start(f, "fake:load=20ms,ttft=20ms,rate=1000,tokens=31");
    ready_us = env_now_us(&env_system);
    begin_runs(f, 1);
    wait_for_ends(f, 1);
    end_us = env_now_us(&env_system);
    assert_true(ready_us - begin_us >= 19000);
    assert_true(end_us - ready_us >= 49000);
    stop(f);
}

static void test_runs_wait_for_a_slot(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:slots=2,rate=1000,tokens=10");
    begin_runs(f, 4);
    wait_for_ends(f, 4);
    assert_int_equal(f->most_open, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(f->clients[i].fail_code, -1);
    stop(f);
}

static void test_error_status(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:fail=503");
    begin_runs(f, 1);
    wait_for_ends(f, 1);
    assert_int_equal(f->clients[0].fail_code, FAIL_ENGINE_ERROR);
    assert_int_equal(f->clients[0].fail_status, 503);
    assert_int_equal(f->clients[0].deltas, 0);
    stop(f);
}

static void test_death_ends_all_runs(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:slots=1,die-after=3");
    begin_runs(f, 2);
    while (!f->exited)
        loop_run(&f->loop);
    assert_false(f->wanted);
    assert_non_null(strstr(f->reason, "died"));
    assert_int_equal(f->ended, 2);
    assert_int_equal(f->clients[0].fail_code, FAIL_ENGINE_DIED);
    assert_int_equal(f->clients[0].deltas, 3);
    assert_int_equal(f->clients[1].fail_code, FAIL_ENGINE_DIED);
    assert_int_equal(f->clients[1].deltas, 0);
}

static void test_refusal_to_start_and_a_second_try(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:refuse");
    while (!f->exited)
        loop_run(&f->loop);
    assert_false(f->ready || f->wanted);
    f->exited = false;
    assert_int_equal(backend_fake.start(f->instance, NULL), 0);
    while (!f->exited)
        loop_run(&f->loop);
    assert_non_null(strstr(f->reason, "refused"));
}

static void test_never_ready(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:never-ready");
    while (!f->exited)
        loop_run(&f->loop);
    assert_false(f->ready || f->wanted);
    assert_non_null(strstr(f->reason, "not ready"));
}

static void stop_loop_at_three(struct client *client)
{
    if (client->deltas == 3)
        loop_stop(&client->f->loop);
}

static void test_hang_and_cancel_frees_the_slot(void **state)
{
    struct fixture *f = *state;

    f->clients[0].hook = f->clients[1].hook = stop_loop_at_three;
    start(f, "fake:slots=1,hang-after=3");
    begin_runs(f, 2);
    loop_run(&f->loop);
    assert_int_equal(f->clients[0].deltas, 3);
    f->inside = true;
    backend_fake.run_cancel(f->clients[0].run);
    f->inside = false;
    loop_run(&f->loop);
    assert_int_equal(f->clients[1].deltas, 3);
    assert_int_equal(f->ended, 0);
    stop(f);
    assert_int_equal(f->clients[1].fail_code, FAIL_ENGINE_DIED);
    assert_int_equal(f->clients[0].ends, 0);
}

static void test_cancel_of_a_run_that_waits(void **state)
{
    struct fixture *f = *state;

    start(f, "fake:slots=1,tokens=3");
    begin_runs(f, 3);
    backend_fake.run_cancel(f->clients[1].run);
    wait_for_ends(f, 2);
    assert_int_equal(f->clients[1].deltas, 0);
    assert_int_equal(f->clients[2].fail_code, -1);
    stop(f);
}

static void cancel_at_two(struct client *client)
{
    if (client->deltas == 2)
        backend_fake.run_cancel(client->run);
}

static void cancel_at_usage(struct client *client)
{
    if (client->usage.completion_tokens)
        backend_fake.run_cancel(client->run);
}

static void test_cancel_from_on_delta(void **state)
{
    struct fixture *f = *state;

    f->clients[0].hook = cancel_at_two;
    f->clients[1].hook = cancel_at_usage;
    start(f, "fake:slots=1,tokens=3");
    begin_runs(f, 3);
    wait_for_ends(f, 1);
    assert_int_equal(f->clients[0].deltas, 2);
    assert_int_equal(f->clients[0].ends, 0);
    assert_int_equal(f->clients[1].deltas, 5);
    assert_int_equal(f->clients[1].ends, 0);
    assert_int_equal(f->clients[2].fail_code, -1);
    stop(f);
}

static void pause_at_two(struct client *client)
{
    assert_false(loop_timer_active(client->f->timer));
    if (client->deltas != 2)
        return;
    backend_fake.run_pause(client->run);
    loop_timer_start(client->f->timer, 20, 0);
}

static void resume_first(void *ctx)
{
    struct fixture *f = ctx;

    f->inside = true;
    backend_fake.run_resume(f->clients[0].run);
    f->inside = false;
}

static void test_pause_and_resume(void **state)
{
    struct fixture *f = *state;

    f->timer = loop_timer_create(&f->loop, resume_first, f);
    f->clients[0].hook = pause_at_two;
    start(f, "fake:tokens=10");
    begin_runs(f, 1);
    wait_for_ends(f, 1);
    assert_int_equal(f->clients[0].deltas, 12);
    assert_int_equal(f->clients[0].fail_code, -1);
    stop(f);
}

static void test_run_needs_a_ready_engine(void **state)
{
    struct fixture *f = *state;
    struct run_spec spec = {.kind = REQUEST_CHAT, .body = "{}", .body_len = 2};
    struct err err;

    start(f, "fake:");
    stop(f);
    assert_int_equal(backend_fake.run(f->instance, &spec, &run_events, &f->clients[0],
                             &f->clients[0].run, &err),
            -EAGAIN);
    assert_non_null(strstr(err.text, "idle"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_what_it_took),
            TEST(test_results),
            TEST(test_results_wait_for_their_time),
            TEST(test_bodies_of_no_use),
            cmocka_unit_test(test_script),
            cmocka_unit_test(test_scripts_that_cannot_be_used),
            TEST(test_create_refuses_a_bad_script),
            TEST(test_answer),
            TEST(test_text_without_words),
            TEST(test_time_passes_as_the_script_says),
            TEST(test_runs_wait_for_a_slot),
            TEST(test_error_status),
            TEST(test_death_ends_all_runs),
            TEST(test_refusal_to_start_and_a_second_try),
            TEST(test_never_ready),
            TEST(test_hang_and_cancel_frees_the_slot),
            TEST(test_cancel_of_a_run_that_waits),
            TEST(test_cancel_from_on_delta),
            TEST(test_pause_and_resume),
            TEST(test_run_needs_a_ready_engine),
    };
    return cmocka_run_group_tests_name("fake", tests, NULL, NULL);
}
