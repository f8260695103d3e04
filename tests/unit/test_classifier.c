#include "coordinator/auto/classifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* How a question goes to a node and comes back is tested with the request that waits for it
 * (test_auto_call). */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool read_content(const char *content, enum task *ret_task)
{
    char text[200];
    (void)snprintf(text, sizeof(text),
            "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
            "\"assistant\",\"content\":%s}}]}",
            content);
    return classifier_read_answer(text, strlen(text), ret_task);
}

static void a_letter_is_a_task(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum task task;
    } cases[] = {{"\"A\"", TASK_QUESTION}, {"\"B\"", TASK_CODE}, {"\"C\"", TASK_DEBUG},
            {"\"D\"", TASK_DESIGN}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum task task = TASK_COUNT;
        assert_true(read_content(cases[i].content, &task));
        assert_int_equal(task, cases[i].task);
    }
}

static void all_else_is_no_answer(void **state)
{
    (void)state;
    static const char *const contents[] = {
            "\"\"", "\"a\"", "\"E\"", "\"AB\"", "\" A\"", "null", "7", "[]", "\"Answer: A\""};
    static const char *const texts[] = {"", "{", "[]", "{}", "{\"choices\":[]}",
            "{\"choices\":[{}]}", "{\"choices\":{}}", "{\"error\":{\"message\":\"A\"}}"};
    enum task task = TASK_COUNT;
    for (size_t i = 0; i < LENGTH(contents); i++)
        assert_false(read_content(contents[i], &task));
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_false(classifier_read_answer(texts[i], strlen(texts[i]), &task));
    assert_int_equal(task, TASK_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_letter_is_a_task),
            cmocka_unit_test(all_else_is_no_answer),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("classifier", tests, NULL, NULL);
}
