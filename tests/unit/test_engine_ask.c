#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engine_ask.h"
#include "tests/lib/patience.h"
#include "tests/lib/toy_answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000 };

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct http_client *http;
    struct toy_answers *toy;
    struct engine_address address;
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
    assert_int_equal(loop_init(&f->loop), 0);
    f->http = http_client_create(&f->loop);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->toy = toy_answers_create();
    f->address.url = toy_answers_url(f->toy);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    engine_ask_cancel(f->ask);
    http_client_destroy(f->http);
    toy_answers_destroy(f->toy);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
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
    loop_stop(&f->loop);
}

static void begin(struct fixture *f, const struct engine_question *question)
{
    f->inside = true;
    assert_int_equal(
            engine_ask_start(f->http, &f->address, question, on_answer, f, &f->ask, NULL), 0);
    f->inside = false;
}

static void ask(struct fixture *f, const char *json)
{
    const struct engine_question question = {
            .path = "/api/x", .json = json, .timeout_ms = PATIENCE_MS};

    begin(f, &question);
    while (f->ask)
        loop_run(&f->loop);
    assert_int_equal(f->calls, 1);
}

static void answer(struct fixture *f, int status, const char *body)
{
    toy_answers_add(
            f->toy, &(struct toy_answer){.request = "GET /api/x", .status = status, .body = body});
}

static void test_an_answer(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    answer(f, 200, "{\"a\":1}");
    ask(f, NULL);
    assert_int_equal(f->result, 0);
    assert_string_equal(f->text, "{\"a\":1}");
    toy_answers_last(f->toy, "GET /api/x", asked);
    assert_null(strstr(asked, "Authorization"));
}

static void test_a_post_with_a_key(void **state)
{
    struct fixture *f = *state;
    char asked[TOY_ASKED_MAX];

    f->address.authorization = "Authorization: Bearer sesame";
    toy_answers_set(f->toy, "POST /api/x", "");
    ask(f, "{\"model\":\"m\"}");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->len, 0);
    toy_answers_last(f->toy, "POST /api/x", asked);
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
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    free(body);
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;
    char url[64];

    snprintf(url, sizeof(url), "%s", f->address.url);
    toy_answers_destroy(f->toy);
    f->toy = NULL;
    f->address.url = url;
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
        loop_run(&f->loop);
    assert_int_equal(f->result, -ETIMEDOUT);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    const struct engine_question question = {.path = "/api/x", .timeout_ms = PATIENCE_MS};

    answer(f, 200, NULL);
    begin(f, &question);
    while (toy_answers_count(f->toy, "GET /api/x", NULL) == 0)
        patience_run_for(&f->loop, 1);
    engine_ask_cancel(f->ask);
    f->ask = NULL;
    while (toy_answers_closed(f->toy) == 0)
        patience_run_for(&f->loop, 1);
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
