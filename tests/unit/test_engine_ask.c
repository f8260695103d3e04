#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engine_ask.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct engine_bench bench;
    struct engine_ask *ask;
    bool inside; /* of engine_ask_start(): no callback may come */
    int calls, result;
    size_t len;
    char text[256], words[ERR_TEXT_MAX];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    engine_bench_init(&f->bench);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    engine_ask_cancel(f->ask);
    engine_bench_fini(&f->bench);
    free(f);
    return 0;
}

static void on_answer(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    f->ask = NULL;
    f->calls++;
    f->result = result;
    f->len = len;
    snprintf(f->text, sizeof(f->text), "%.*s", (int)len, len ? text : "");
    snprintf(f->words, sizeof(f->words), "%s", result < 0 ? err->text : "");
    loop_stop(&f->bench.loop);
}

static void begin(struct fixture *f, const struct engine_question *question)
{
    f->inside = true;
    assert_int_equal(engine_ask_start(f->bench.http, &f->bench.address, question, on_answer, f,
                             &f->ask, NULL),
            0);
    f->inside = false;
}

static void ask(struct fixture *f, const char *json)
{
    const struct engine_question question = {
            .path = "/api/x", .json = json, .timeout_ms = ENGINE_BENCH_PATIENCE_MS};

    begin(f, &question);
    while (f->ask)
        loop_run(&f->bench.loop);
    assert_int_equal(f->calls, 1);
}

static void answer(struct fixture *f, int status, const char *body)
{
    toy_answers_add(f->bench.toy,
            &(struct toy_answer){.request = "GET /api/x", .status = status, .body = body});
}

static void test_an_answer(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    answer(f, 200, "{\"a\":1}");
    ask(f, NULL);
    assert_int_equal(f->result, 0);
    assert_string_equal(f->text, "{\"a\":1}");
    toy_answers_last(f->bench.toy, "GET /api/x", asked);
    assert_null(strstr(asked, "Authorization"));
}

static void test_a_post_with_a_key(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    f->bench.address.authorization = "Authorization: Bearer sesame";
    toy_answers_set(f->bench.toy, "POST /api/x", "");
    ask(f, "{\"model\":\"m\"}");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->len, 0);
    toy_answers_last(f->bench.toy, "POST /api/x", asked);
    assert_non_null(strstr(asked, "Bearer sesame\r\n"));
    assert_non_null(strstr(asked, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(asked, "\r\n\r\n{\"model\":\"m\"}"));
}

static void assert_refusal(struct fixture *f, int result, const char *words)
{
    ask(f, NULL);
    assert_int_equal(f->result, result);
    assert_string_equal(f->words, words);
}

static void test_an_error_with_words(void **state)
{
    answer(*state, 500, "{\"error\":\"no room\"}");
    assert_refusal(*state, -EREMOTEIO, "status 500: no room");
}

static void test_an_error_without_words(void **state)
{
    assert_refusal(*state, -EREMOTEIO, "status 404: the engine gave no reason");
}

static void test_a_key_that_is_wanted(void **state)
{
    answer(*state, 401, "{}");
    assert_refusal(*state, -EACCES, "it wants an API key, or another one");
}

static void test_a_key_that_is_not_enough(void **state)
{
    answer(*state, 403, "{}");
    assert_refusal(*state, -EACCES, "it wants an API key, or another one");
}

static void test_the_longest_answer(void **state)
{
    struct fixture *f = *state;
    char *body = calloc(1, ENGINE_ANSWER_MAX + 2);

    assert_non_null(body);
    memset(body, ' ', ENGINE_ANSWER_MAX);
    answer(f, 200, body);
    ask(f, NULL);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->len, ENGINE_ANSWER_MAX);
    f->calls = 0;
    memset(body, ' ', ENGINE_ANSWER_MAX + 1);
    assert_refusal(f, -EMSGSIZE, "the answer is longer than 1 MiB");
    engine_bench_hang_up(&f->bench);
    free(body);
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;
    char url[64];

    snprintf(url, sizeof(url), "%s", f->bench.address.url);
    engine_bench_hang_up(&f->bench);
    f->bench.address.url = url;
    ask(f, NULL);
    assert_int_equal(f->result, -ECONNREFUSED);
    assert_true(f->words[0]);
}

static void test_somebody_who_says_nothing(void **state)
{
    struct fixture *f = *state;
    const struct engine_question question = {.path = "/api/x", .timeout_ms = 50};

    answer(f, 200, NULL);
    begin(f, &question);
    while (f->ask)
        loop_run(&f->bench.loop);
    assert_int_equal(f->result, -ETIMEDOUT);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    const struct engine_question question = {
            .path = "/api/x", .timeout_ms = ENGINE_BENCH_PATIENCE_MS};

    answer(f, 200, NULL);
    begin(f, &question);
    while (toy_answers_count(f->bench.toy, "GET /api/x", NULL) == 0)
        patience_run_for(&f->bench.loop, 1);
    engine_ask_cancel(f->ask);
    f->ask = NULL;
    while (toy_answers_closed(f->bench.toy) == 0)
        patience_run_for(&f->bench.loop, 1);
    assert_int_equal(f->calls, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
            TEST(test_an_answer),
            TEST(test_a_post_with_a_key),
            TEST(test_an_error_with_words),
            TEST(test_an_error_without_words),
            TEST(test_a_key_that_is_wanted),
            TEST(test_a_key_that_is_not_enough),
            TEST(test_the_longest_answer),
            TEST(test_nobody_listens),
            TEST(test_somebody_who_says_nothing),
            TEST(test_cancel),
    };
    return cmocka_run_group_tests_name("engine_ask", tests, NULL, NULL);
}
