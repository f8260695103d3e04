#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/process/last_words.h"

#include <stdio.h>
#include <string.h>

static struct last_words words;

static void take(const char *const *lines)
{
    last_words_init(&words);
    for (; *lines; lines++)
        last_words_take(&words, *lines);
}

static void assert_told(const char *expected)
{
    char text[1024] = "ended";

    last_words_tell(&words, text, sizeof text);
    assert_string_equal(text, expected);
}

static void test_nothing_said(void **state)
{
    (void)state;
    last_words_init(&words);
    assert_null(last_words_line(&words, 0));
    assert_told("ended");
}

/* llama-server b11669 with a file that was cut off. */
static void test_broken_file(void **state)
{
    static const char *const lines[] = {
            "0.00.071.695 I common_params_fit_impl: getting device memory data for initial "
            "parameters:",
            "0.00.072.354 E llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' "
            "data is not within the file bounds, model is corrupted or incomplete",
            "0.00.072.370 E llama_model_load_from_file_impl: failed to load model",
            "0.00.072.384 E cmn  common_init_: failed to load model 'cut.gguf'",
            "0.00.072.399 E srv    load_model: failed to load model, 'cut.gguf'",
            "0.00.072.414 I srv    operator(): operator(): cleaning up before exit...",
            "0.00.079.358 E srv  llama_server: exiting due to model loading error", NULL};

    (void)state;
    take(lines);
    assert_told("ended: llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data "
                "is not within the file bounds, model is corrupted or incomplete"
                " | llama_model_load_from_file_impl: failed to load model"
                " | srv  llama_server: exiting due to model loading error");
}

/* It says what an option may be, behind the error. */
static void test_bad_option(void **state)
{
    static const char *const lines[] = {
            "error while handling argument \"--cache-type-k\": Unsupported cache type: q9",
            "usage:", "-ctk,  --cache-type-k TYPE              KV cache data type for K",
            "                                        (default: f16)",
            "to show complete usage, run with -h", NULL};

    (void)state;
    take(lines);
    assert_told("ended: error while handling argument \"--cache-type-k\": Unsupported cache type: "
                "q9");
}

static void test_assertion_before_a_stack(void **state)
{
    char line[64];

    (void)state;
    last_words_init(&words);
    last_words_take(&words, "0.10.000.000 E srv    send_error: task 7, the prompt is too long");
    for (int i = 0; i < 5; i++)
        last_words_take(&words, "0.11.000.000 I slot      release: id  0 | task 8 | stop");
    last_words_take(&words, "/src/ggml.c:3000: GGML_ASSERT(a->ne[0] == b->ne[0]) failed");
    for (int i = 0; i < 30; i++) {
        (void)snprintf(line, sizeof line, "libggml-base.so.0(+0x%d)", i);
        last_words_take(&words, line);
    }
    assert_told("ended: /src/ggml.c:3000: GGML_ASSERT(a->ne[0] == b->ne[0]) failed");
}

/* What went wrong with a request long before is not what it ended of. */
static void test_old_error(void **state)
{
    (void)state;
    last_words_init(&words);
    last_words_take(&words, "0.10.000.000 E srv    send_error: task 7, the prompt is too long");
    for (int i = 0; i <= LAST_WORDS_FAREWELL; i++)
        last_words_take(&words, "0.11.000.000 I slot      release: id  0 | task 8 | stop");
    last_words_take(&words, "terminate called");
    assert_told("ended: terminate called");
}

static void test_no_errors(void **state)
{
    static const char *const mixed[] = {
            "one", "W security: no key is set", "two", "I three", "four", "D five", "six", NULL};
    static const char *const information[] = {"0.1 I one", "I two", "D   three", "W four", NULL};

    (void)state;
    take(mixed);
    assert_told("ended: two | four | six");
    take(information);
    assert_told("ended: two | three | four");
}

static void test_two_errors(void **state)
{
    static const char *const lines[] = {"E first", "I between", "E second", "I bye", NULL};

    (void)state;
    take(lines);
    assert_told("ended: first | second");
}

static void test_what_looks_like_a_mark(void **state)
{
    static const char *const lines[] = {"E", "1.2.3", "0.1 E", "Erroneous", "", NULL};

    (void)state;
    take(lines);
    assert_told("ended: 0.1 E | Erroneous | ");
}

static void test_bounds(void **state)
{
    char line[2 * LAST_WORDS_LINE_MAX], text[16] = "ended";

    (void)state;
    last_words_init(&words);
    for (int i = 0; i < 3 * LAST_WORDS_KEPT; i++) {
        (void)snprintf(line, sizeof line, "%d", i);
        last_words_take(&words, line);
    }
    assert_string_equal(last_words_line(&words, 0), "143");
    assert_string_equal(last_words_line(&words, LAST_WORDS_KEPT - 1), "96");
    assert_null(last_words_line(&words, LAST_WORDS_KEPT));
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    last_words_take(&words, line);
    assert_int_equal(strlen(last_words_line(&words, 0)), LAST_WORDS_LINE_MAX - 1);
    last_words_tell(&words, text, sizeof text);
    assert_string_equal(text, "ended: 142 | 14");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing_said),
            cmocka_unit_test(test_broken_file),
            cmocka_unit_test(test_bad_option),
            cmocka_unit_test(test_assertion_before_a_stack),
            cmocka_unit_test(test_old_error),
            cmocka_unit_test(test_no_errors),
            cmocka_unit_test(test_two_errors),
            cmocka_unit_test(test_what_looks_like_a_mark),
            cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests_name("last_words", tests, NULL, NULL);
}
