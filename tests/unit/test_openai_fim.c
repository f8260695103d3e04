#include "coordinator/dialects/openai/openai.h"
#include "tests/lib/dialect_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dialect *const fim = &dialect_openai_fim;

static void prompt_and_suffix_become_infill(void **state)
{
    (void)state;
    static const char body[] = "{\"model\":\"codestral\",\"prompt\":\"a\",\"suffix\":\"b\","
                               "\"max_tokens\":64,\"random_seed\":7,\"stop\":[\"\\n\"]}";
    struct dialect_case test;
    dialect_case_passes(fim, body,
            "{\"model\":\"codestral\",\"prompt\":\"\",\"stop\":[\"\\n\"],\"seed\":7,"
            "\"input_suffix\":\"b\",\"input_prefix\":\"a\",\"n_predict\":64}");
    assert_int_equal(dialect_case_parse(&test, fim, body), 0);
    assert_string_equal(test.request.asked, "codestral");
    assert_int_equal(test.request.kind, REQUEST_INFILL);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE);
    assert_int_equal(test.request.needs, CAPABILITY_FIM);
    assert_non_null(test.request.cursor);
    dialect_case_fini(&test);
}

static void the_suffix_may_be_absent(void **state)
{
    (void)state;
    static const char wanted[] = "{\"prompt\":\"\",\"input_suffix\":\"\",\"input_prefix\":\"a\"}";
    dialect_case_passes(fim, "{\"prompt\":\"a\"}", wanted);
    dialect_case_passes(fim, "{\"prompt\":\"a\",\"suffix\":null}", wanted);
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    dialect_case_refuses(fim, "{}", "prompt", "not nothing");
    dialect_case_refuses(fim, "{\"prompt\":[\"a\"]}", "prompt", "not an array");
    dialect_case_refuses(fim, "{\"prompt\":\"a\",\"suffix\":[]}", "suffix", "not an array");
    dialect_case_refuses(fim, "{\"prompt\":\"a\",\"random_seed\":0.5}", "random_seed", "whole");
    dialect_case_refuses(fim, "{\"prompt\":\"a\",\"stream\":1}", "stream", "not a number");
}

static void the_answer_is_a_chats(void **state)
{
    (void)state;
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, fim, "{\"prompt\":\"a\",\"stream\":true}"), 0);
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "b"), 0);
    dialect_case_wrote(&test,
            "data: {\"id\":\"chatcmpl-req_1\",\"object\":\"chat.completion.chunk\",\"created\":17,"
            "\"model\":\"small\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},"
            "\"finish_reason\":null}]}\n\n");
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(prompt_and_suffix_become_infill),
            cmocka_unit_test(the_suffix_may_be_absent),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(the_answer_is_a_chats),
    };
    return cmocka_run_group_tests_name("openai_fim", tests, NULL, NULL);
}
