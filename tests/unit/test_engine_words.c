#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engine_words.h"

#include <stdlib.h>
#include <string.h>

static const struct engine_place place = {
        .instance = "qwen-3-0a1b", .runtime_dir = "/run/modemesh", .model_dir = "/srv/models/qwen"};

static void test_placeholders_are_filled(void **state)
{
    static const char *const words[] = {"podman", "--name", "{instance}", "-v",
            "{runtime}:{runtime}", "-v", "{model-dir}:{model-dir}:ro", NULL};
    static const char *const expected[] = {"podman", "--name", "qwen-3-0a1b", "-v",
            "/run/modemesh:/run/modemesh", "-v", "/srv/models/qwen:/srv/models/qwen:ro"};
    char **filled = engine_words_fill(words, &place);
    (void)state;
    assert_non_null(filled);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(filled[i], expected[i]);
    assert_null(filled[7]);
    engine_words_free(filled);
}

static void test_other_text_stays(void **state)
{
    static const char *const words[] = {
            "", "{", "{instanc}", "{{instance}}", "{\"a\":1}", "x{runtime", NULL};
    static const char *const expected[] = {
            "", "{", "{instanc}", "{qwen-3-0a1b}", "{\"a\":1}", "x{runtime"};
    char **filled = engine_words_fill(words, &place);
    (void)state;
    assert_non_null(filled);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(filled[i], expected[i]);
    assert_null(filled[6]);
    engine_words_free(filled);
}

static void test_no_words(void **state)
{
    static const char *const none[] = {NULL};
    char **filled = engine_words_fill(none, &place), **null = engine_words_fill(NULL, &place);
    (void)state;
    assert_non_null(filled);
    assert_non_null(null);
    assert_null(filled[0]);
    assert_null(null[0]);
    engine_words_free(filled);
    engine_words_free(null);
    engine_words_free(NULL);
}

static void test_a_word_past_the_limit_is_refused(void **state)
{
    char *word = malloc(70000);
    assert_non_null(word);
    memset(word, 'x', 69999);
    word[69999] = '\0';
    const char *const words[] = {"a", word, NULL};
    (void)state;
    assert_null(engine_words_fill(words, &place));
    free(word);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_placeholders_are_filled),
            cmocka_unit_test(test_other_text_stays),
            cmocka_unit_test(test_no_words),
            cmocka_unit_test(test_a_word_past_the_limit_is_refused),
    };
    return cmocka_run_group_tests_name("engine_words", tests, NULL, NULL);
}
