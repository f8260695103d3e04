#include "coordinator/auto/task_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void what_is_asked_first_counts_twice(void **state)
{
    (void)state;
    unsigned score[TASK_GUESSED] = {0};
    task_words_score("Refactor this; what fails is the DESIGN.", score);
    assert_int_equal(score[TASK_CODE], 6);
    assert_int_equal(score[TASK_QUESTION], 1);
    assert_int_equal(score[TASK_DEBUG], 2);
    assert_int_equal(score[TASK_DESIGN], 3);
}

static void only_whole_words_are_words(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "...", "planet address showhow", "explain_this() fixed",
            "src/debug/plan.c and a\\fix\\b", "fixture prefix", "trace addendum", "\xc3\xa9 \xff"};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        unsigned score[TASK_GUESSED] = {0};
        task_words_score(texts[i], score);
        for (size_t task = 0; task < TASK_GUESSED; task++)
            assert_int_equal(score[task], 0);
    }
}

static void beginnings_and_ends_do_not_hide_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum task task;
        unsigned points;
    } cases[] = {{"crashing!", TASK_DEBUG, 6}, {"(fix)", TASK_CODE, 4}, {"fix-", TASK_CODE, 4},
            {"split-brain.", TASK_DEBUG, 6}, {"trade-offs?", TASK_DESIGN, 6},
            {"\n\thow\n", TASK_QUESTION, 2}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        unsigned score[TASK_GUESSED] = {0};
        task_words_score(cases[i].text, score);
        assert_int_equal(score[cases[i].task], cases[i].points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_asked_first_counts_twice),
            cmocka_unit_test(only_whole_words_are_words),
            cmocka_unit_test(beginnings_and_ends_do_not_hide_a_word),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("task_words", tests, NULL, NULL);
}
