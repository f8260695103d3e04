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

#define HEAD "{\"id\":\"rerank-req_1\",\"object\":\"list\",\"model\":\"small\",\"results\":["
#define TAIL "],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}"
#define ASK  "{\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\"]"
#define RESULT                                                                                     \
    "{\"results\":[{\"index\":0,\"relevance_score\":-1.5},{\"index\":1,\"relevance_score\":3},"    \
    "{\"index\":2,\"relevance_score\":-1.5}]}"

#define SCORE "{\"index\":0,\"relevance_score\":1}"

static const struct dialect *const rerank = &dialect_openai_rerank;

static void a_request_passes_with_its_documents_as_texts(void **state)
{
    (void)state;
    struct dialect_case test;
    static const char plain[] = " {\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"],"
                                "\"top_n\":1,\"x\":1.0}";
    dialect_case_passes(rerank, plain, plain);
    dialect_case_passes(rerank,
            "{\"query\":\"q\",\"documents\":[\"a\",{\"text\":\"b\",\"id\":7}],"
            "\"return_documents\":true}",
            "{\"query\":\"q\",\"documents\":[\"a\",\"b\"]}");
    assert_int_equal(dialect_case_parse(&test, rerank, plain), 0);
    assert_string_equal(test.request.asked, "m");
    assert_int_equal(test.request.kind, REQUEST_RERANK);
    assert_int_equal(test.request.needs, CAPABILITY_RERANK);
    dialect_case_fini(&test);
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"{\"documents\":[\"a\"]}", "query", "not nothing"},
            {"{\"query\":\"\",\"documents\":[\"a\"]}", "query", "not an empty one"},
            {"{\"query\":[],\"documents\":[\"a\"]}", "query", "not an array"},
            {"{\"query\":\"q\"}", "documents", "not nothing"},
            {"{\"query\":\"q\",\"documents\":\"a\"}", "documents", "not a string"},
            {"{\"query\":\"q\",\"documents\":[]}", "documents", "1 to 2048 entries, not 0"},
            {"{\"query\":\"q\",\"documents\":[\"a\",7]}", "documents", "documents[1]"},
            {"{\"query\":\"q\",\"documents\":[{\"text\":1}]}", "documents", "documents[0]"},
            {"{\"query\":\"q\",\"documents\":[{\"image\":\"x\"}]}", "documents", "documents[0]"},
            {ASK ",\"top_n\":0}", "top_n", "not 0"},
            {ASK ",\"top_n\":\"2\"}", "top_n", "not a string"},
            {ASK ",\"return_documents\":1}", "return_documents", "not a number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        dialect_case_refuses(rerank, cases[i].body, cases[i].param, cases[i].text);
}

static int answer(struct dialect_case *test, const char *body, const char *result)
{
    assert_int_equal(dialect_case_parse(test, rerank, body), 0);
    dialect_case_answer(test);
    assert_int_equal(dialect_case_delta(test, DELTA_RESULT, 0, result), 0);
    assert_int_equal(dialect_case_delta(test, DELTA_USAGE, 0, ""), 0);
    return rerank->whole(test->answer, &test->out);
}

static void gives(const char *body, const char *result, const char *text)
{
    struct dialect_case test;
    assert_int_equal(answer(&test, body, result), 0);
    dialect_case_wrote(&test, text);
    dialect_case_fini(&test);
}

static void the_best_come_first(void **state)
{
    (void)state;
    gives(ASK "}", RESULT,
            HEAD "{\"index\":1,\"relevance_score\":3},{\"index\":0,\"relevance_score\":-1.5},"
                 "{\"index\":2,\"relevance_score\":-1.5}" TAIL);
    gives(ASK ",\"top_n\":1}", RESULT, HEAD "{\"index\":1,\"relevance_score\":3}" TAIL);
    gives(ASK ",\"top_n\":9,\"return_documents\":false}", "{\"results\":[]}", HEAD TAIL);
}

static void documents_come_back_where_they_are_wanted(void **state)
{
    (void)state;
    gives(ASK ",\"top_n\":2,\"return_documents\":true}", RESULT,
            HEAD "{\"index\":1,\"relevance_score\":3,\"document\":{\"text\":\"b\"}},"
                 "{\"index\":0,\"relevance_score\":-1.5,\"document\":{\"text\":\"a\"}}" TAIL);
}

static void answers_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const results[] = {"", "[]", "{}", "{\"results\":{}}", "{\"results\":[1]}",
            "{\"results\":[{\"index\":3,\"relevance_score\":1}]}",
            "{\"results\":[{\"index\":-1,\"relevance_score\":1}]}",
            "{\"results\":[{\"index\":0,\"relevance_score\":\"1\"}]}",
            "{\"results\":[{\"index\":0,\"relevance_score\":1e999}]}",
            "{\"results\":[{\"relevance_score\":1}]}",
            "{\"results\":[" SCORE "," SCORE "," SCORE "," SCORE "]}"};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct dialect_case test;
        if (answer(&test, ASK "}", results[i]) != -EPROTO)
            fail_msg("%s was taken", results[i]);
        dialect_case_fini(&test);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_request_passes_with_its_documents_as_texts),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(the_best_come_first),
            cmocka_unit_test(documents_come_back_where_they_are_wanted),
            cmocka_unit_test(answers_of_another_shape_are_refused),
    };
    return cmocka_run_group_tests_name("openai_rerank", tests, NULL, NULL);
}
