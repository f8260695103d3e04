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

/* 1, 0.5 and -2, as floats. */
#define BASE64 "AACAPwAAAD8AAADA"
#define ENTRY(index, vector)                                                                       \
    "{\"object\":\"embedding\",\"index\":" index ",\"embedding\":" vector "}"
#define TAIL "],\"model\":\"small\",\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}"

static const struct dialect *const embeddings = &dialect_openai_embeddings;

static void refuses(const char *body, const char *param, const char *text)
{
    dialect_case_refuses(embeddings, body, param, text);
}

/* --- requests --- */

static void the_engine_is_asked_for_base64(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_passes(embeddings, " {\"model\":\"m\", \"input\":\"a\\u0062\",\"x\":1.0}",
            " {\"model\":\"m\", \"input\":\"a\\u0062\",\"x\":1.0,\"encoding_format\":\"base64\"}");
    dialect_case_passes(embeddings,
            "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"float\",\"dimensions\":8}",
            "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\"}");
    dialect_case_passes(embeddings, "{\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}",
            "{\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}");
    assert_int_equal(dialect_case_parse(&test, embeddings, "{\"model\":\"m\",\"input\":[1]}"), 0);
    assert_string_equal(test.request.asked, "m");
    assert_int_equal(test.request.kind, REQUEST_EMBEDDINGS);
    assert_int_equal(test.request.needs, CAPABILITY_EMBEDDINGS);
    assert_false(test.request.stream);
    dialect_case_fini(&test);
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"[]", NULL, "not an array"},
            {"{}", "input", "not nothing"},
            {"{\"input\":\"\"}", "input", "not an empty one"},
            {"{\"input\":7}", "input", "not a number"},
            {"{\"input\":[]}", "input", "1 to 2048 entries, not 0"},
            {"{\"input\":[\"a\",\"\"]}", "input", "\"input[1]\""},
            {"{\"input\":[\"a\",null]}", "input", "not null"},
            {"{\"input\":[1,-1]}", "input", "\"input[0]\""},
            {"{\"input\":[[1],[]]}", "input", "\"input[1]\""},
            {"{\"input\":\"a\",\"encoding_format\":\"int8\"}", "encoding_format", "\"int8\""},
            {"{\"input\":\"a\",\"encoding_format\":1}", "encoding_format", "not a number"},
            {"{\"input\":\"a\",\"dimensions\":0}", "dimensions", "not 0"},
            {"{\"input\":\"a\",\"dimensions\":65537}", "dimensions", "to 65536"},
            {"{\"input\":\"a\",\"dimensions\":\"8\"}", "dimensions", "not a string"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(cases[i].body, cases[i].param, cases[i].text);
}

static void inputs_have_a_limit(void **state)
{
    (void)state;
    char body[2049 * 4 + 64] = "{\"input\":[\"a\"";
    for (int i = 1; i < 2048; i++)
        strcat(body, ",\"a\"");
    size_t len = strlen(body);
    struct dialect_case test;
    strcat(body, "]}");
    assert_int_equal(dialect_case_parse(&test, embeddings, body), 0);
    dialect_case_fini(&test);
    strcpy(body + len, ",\"a\"]}");
    refuses(body, "input", "not 2049");
}

/* --- answers --- */

static int answer(struct dialect_case *test, const char *body, const char *result)
{
    size_t half = strlen(result) / 2;
    char first[1000];
    snprintf(first, sizeof(first), "%.*s", (int)half, result);
    assert_int_equal(dialect_case_parse(test, embeddings, body), 0);
    dialect_case_answer(test);
    assert_int_equal(dialect_case_delta(test, DELTA_RESULT, 0, first), 0);
    assert_int_equal(dialect_case_delta(test, DELTA_RESULT, 0, result + half), 0);
    assert_int_equal(dialect_case_delta(test, DELTA_USAGE, 0, ""), 0);
    return embeddings->whole(test->answer, &test->out);
}

static void gives(const char *body, const char *result, const char *text)
{
    struct dialect_case test;
    assert_int_equal(answer(&test, body, result), 0);
    dialect_case_wrote(&test, text);
    dialect_case_fini(&test);
}

static void either_form_of_the_engine_becomes_what_was_asked_for(void **state)
{
    (void)state;
    static const char numbers[] = "{\"input\":[\"a\"]}";
    static const char base64[] = "{\"input\":[\"a\"],\"encoding_format\":\"base64\"}";
    static const char *const results[] = {"{\"data\":[{\"index\":0,\"embedding\":\"" BASE64 "\"}]}",
            "{\"data\":[{\"index\":0,\"embedding\":[1,0.5,-2.0]}]}",
            "{\"data\":[{\"embedding\":[1,0.5,-2.0]}]}"};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        gives(numbers, results[i], "{\"object\":\"list\",\"data\":[" ENTRY("0", "[1,0.5,-2]") TAIL);
        gives(base64, results[i],
                "{\"object\":\"list\",\"data\":[" ENTRY("0", "\"" BASE64 "\"") TAIL);
    }
}

static void entries_are_in_the_order_of_the_inputs(void **state)
{
    (void)state;
    gives("{\"input\":[\"a\",\"b\"]}",
            "{\"data\":[{\"index\":1,\"embedding\":[1]},{\"index\":0,\"embedding\":[2]}]}",
            "{\"object\":\"list\",\"data\":[" ENTRY("0", "[2]") "," ENTRY("1", "[1]") TAIL);
}

static void fewer_dimensions_are_cut_and_have_length_one(void **state)
{
    (void)state;
    gives("{\"input\":\"a\",\"dimensions\":2}", "{\"data\":[{\"embedding\":[3,4,12]}]}",
            "{\"object\":\"list\",\"data\":[" ENTRY("0", "[0.600000024,0.800000012]") TAIL);
    gives("{\"input\":\"a\",\"dimensions\":3}", "{\"data\":[{\"embedding\":[3,4,12]}]}",
            "{\"object\":\"list\",\"data\":[" ENTRY("0", "[3,4,12]") TAIL);
    gives("{\"input\":\"a\",\"dimensions\":1}", "{\"data\":[{\"embedding\":[0,4]}]}",
            "{\"object\":\"list\",\"data\":[" ENTRY("0", "[0]") TAIL);
}

static void answers_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const results[] = {"", "[]", "{}", "{\"data\":{}}", "{\"data\":[]}",
            "{\"data\":[{\"embedding\":[1]}]}", "{\"data\":[7,7]}",
            "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
            "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":2,\"embedding\":[1]}]}",
            "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0.5,\"embedding\":[1]}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":[]}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":[\"1\"]}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":[1e300]}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":\"AAC\"}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":\"AACAPwA=\"}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":\"\"}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":\"AADAfw==\"}]}",
            "{\"data\":[{\"embedding\":[1]},{\"embedding\":null}]}"};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct dialect_case test;
        if (answer(&test, "{\"input\":[\"a\",\"b\"]}", results[i]) != -EPROTO)
            fail_msg("%s was taken", results[i]);
        dialect_case_fini(&test);
    }
}

static void more_dimensions_than_there_are_cannot_be_given(void **state)
{
    (void)state;
    struct dialect_case test;
    assert_int_equal(answer(&test, "{\"input\":\"a\",\"dimensions\":3}",
                             "{\"data\":[{\"embedding\":[1,2]}]}"),
            -EPROTO);
    dialect_case_fini(&test);
}

static void an_answer_has_a_limit(void **state)
{
    (void)state;
    struct dialect_case test;
    char *piece = malloc(DIALECT_ANSWER_MAX);
    struct msg_delta delta = {.kind = DELTA_RESULT, .data = piece, .len = DIALECT_ANSWER_MAX};
    memset(piece, ' ', DIALECT_ANSWER_MAX);
    assert_int_equal(dialect_case_parse(&test, embeddings, "{\"input\":\"a\"}"), 0);
    dialect_case_answer(&test);
    assert_int_equal(embeddings->gather(test.answer, &delta), 0);
    delta.len = 1;
    assert_int_equal(embeddings->gather(test.answer, &delta), -ENOBUFS);
    dialect_case_fini(&test);
    free(piece);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_engine_is_asked_for_base64),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(inputs_have_a_limit),
            cmocka_unit_test(either_form_of_the_engine_becomes_what_was_asked_for),
            cmocka_unit_test(entries_are_in_the_order_of_the_inputs),
            cmocka_unit_test(fewer_dimensions_are_cut_and_have_length_one),
            cmocka_unit_test(answers_of_another_shape_are_refused),
            cmocka_unit_test(more_dimensions_than_there_are_cannot_be_given),
            cmocka_unit_test(an_answer_has_a_limit),
    };
    return cmocka_run_group_tests_name("openai_embeddings", tests, NULL, NULL);
}
