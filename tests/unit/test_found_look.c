#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/found/found_look.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char models[] = "{\"data\":[{\"id\":\"m\",\"owned_by\":\"llamacpp\"}]}";
static const char props[] = "{\"default_generation_settings\":{\"n_ctx\":512},\"total_slots\":3}";

struct fixture {
    struct engine_bench bench;
    struct found_look *look;
    int calls, result;
    struct found_list list;
    char words[ERR_TEXT_MAX];
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

    found_look_cancel(f->look);
    engine_bench_fini(&f->bench);
    free(f);
    return 0;
}

static void on_look(void *ctx, int result, const struct found_list *list, const struct err *err)
{
    struct fixture *f = ctx;

    f->look = NULL;
    f->calls++;
    f->result = result;
    f->list = *list;
    snprintf(f->words, sizeof(f->words), "%s", result < 0 ? err->text : "");
    loop_stop(&f->bench.loop);
}

static void begin(struct fixture *f, enum engine_kind kind, const char *id)
{
    assert_int_equal(found_look_start(f->bench.http, &f->bench.address, engine_manner(kind), id,
                             on_look, f, &f->look, NULL),
            0);
}

static int look(struct fixture *f, enum engine_kind kind, const char *id)
{
    f->calls = 0;
    begin(f, kind, id);
    while (f->look)
        loop_run(&f->bench.loop);
    assert_int_equal(f->calls, 1);
    return f->result;
}

static void test_all_questions(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /v1/models", models);
    toy_answers_set(f->bench.toy, "GET /props", props);
    assert_int_equal(look(f, ENGINE_LLAMA_SERVER, NULL), 0);
    assert_int_equal(f->list.count, 1);
    assert_true(f->list.models[0].resident);
    assert_int_equal(f->list.models[0].context, 512);
    assert_int_equal(f->list.models[0].slots, 3);
}

/* Whether one model is resident is told by one answer. */
static void test_one_question(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /api/v1/health",
            "{\"all_models_loaded\":[{\"model_name\":\"m\"},{\"model_name\":\"n\"}]}");
    assert_int_equal(look(f, ENGINE_LEMONADE, "m"), 0);
    assert_int_equal(f->list.count, 1);
    assert_true(found_find(&f->list, "m")->resident);
    assert_int_equal(look(f, ENGINE_LEMONADE, "o"), 0);
    assert_false(found_find(&f->list, "o")->resident);
    assert_int_equal(toy_answers_count(f->bench.toy, "GET /api/v1/models", NULL), 0);
}

static void test_a_question_that_need_not_be_answered(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /v1/models", models);
    assert_int_equal(look(f, ENGINE_LLAMA_SERVER, NULL), 0);
    assert_int_equal(f->list.count, 1);
    toy_answers_set(f->bench.toy, "GET /props", "[]");
    assert_int_equal(look(f, ENGINE_LLAMA_SERVER, NULL), 0);
}

static void test_a_question_that_must(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(look(f, ENGINE_VLLM, NULL), -EREMOTEIO);
    assert_non_null(strstr(f->words, "status 404"));
    toy_answers_set(f->bench.toy, "GET /v1/models", "<html>");
    assert_int_equal(look(f, ENGINE_VLLM, NULL), -EPROTO);
    toy_answers_set(f->bench.toy, "GET /v1/models",
            "{\"data\":[{\"id\":\"x\",\"owned_by\":\"modemesh\"}]}");
    assert_int_equal(look(f, ENGINE_VLLM, NULL), -ELOOP);
    toy_answers_set(f->bench.toy, "GET /api/tags", "{\"models\":[]}");
    assert_int_equal(look(f, ENGINE_OLLAMA, NULL), -EREMOTEIO);
}

static void test_a_name_that_is_none(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(found_look_start(f->bench.http, &f->bench.address,
                             engine_manner(ENGINE_OLLAMA), "\x1b", on_look, f, &f->look, &err),
            -EINVAL);
    assert_null(f->look);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /v1/models", NULL);
    begin(f, ENGINE_VLLM, NULL);
    while (toy_answers_count(f->bench.toy, "GET /v1/models", NULL) == 0)
        patience_run_for(&f->bench.loop, 1);
    found_look_cancel(f->look);
    f->look = NULL;
    while (toy_answers_closed(f->bench.toy) == 0)
        patience_run_for(&f->bench.loop, 1);
    assert_int_equal(f->calls, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
            TEST(test_all_questions),
            TEST(test_one_question),
            TEST(test_a_question_that_need_not_be_answered),
            TEST(test_a_question_that_must),
            TEST(test_a_name_that_is_none),
            TEST(test_cancel),
    };
    return cmocka_run_group_tests_name("found_look", tests, NULL, NULL);
}
