#include "coordinator/dialects/ollama/ollama.h"

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

/* The floats 1, -0.5 and 0.25, little-endian. */
#define BASE64 "AACAPwAAAL8AAIA+"
#define TAIL   "],\"total_duration\":2500000,\"load_duration\":0,\"prompt_eval_count\":8}"

static const struct dialect *const embed = &dialect_ollama_embed;
static const struct dialect *const embeddings = &dialect_ollama_embeddings;

static const struct msg_usage usage = {.prompt_tokens = 8,
        .cached_tokens = 3,
        .completion_tokens = 4,
        .prefill_ms = 2.5f,
        .decode_ms = 8};

static void texts_are_asked_for_in_base64(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, embed, "{\"model\":\"m\",\"input\":\"x\",\"truncate\":true}",
            "{\"input\":\"x\",\"encoding_format\":\"base64\"}");
    assert_int_equal(test.request.kind, REQUEST_EMBEDDINGS);
    assert_int_equal(test.request.needs, CAPABILITY_EMBEDDINGS);
    assert_string_equal(test.request.asked, "m");
    assert_false(test.request.stream);
    dialect_case_fini(&test);
    dialect_case_reads(&test, embed, "{\"input\":[\"x\",\"y\"],\"dimensions\":2}",
            "{\"input\":[\"x\",\"y\"],\"encoding_format\":\"base64\"}");
    dialect_case_fini(&test);
    dialect_case_reads(&test, embeddings,
            "{\"model\":\"m\",\"prompt\":\"x\",\"keep_alive\":\"5m\"}",
            "{\"input\":\"x\",\"encoding_format\":\"base64\"}");
    dialect_case_fini(&test);
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    dialect_case_refuses(embed, "{", NULL, "line 1");
    dialect_case_refuses(embed, "{\"input\":1}", "input", "array of strings");
    dialect_case_refuses(embed, "{\"input\":[1]}", "input", "string");
    dialect_case_refuses(embed, "{\"input\":[\"\"]}", "input", "empty");
    dialect_case_refuses(embed, "{\"input\":\"x\",\"dimensions\":-1}", "dimensions", "from 0");
    dialect_case_refuses(embed, "{\"input\":\"x\",\"dimensions\":1e9}", "dimensions", "65536");
    dialect_case_refuses(embed, "{\"input\":\"x\",\"model\":{}}", "model", "string");
    dialect_case_refuses(embeddings, "{\"prompt\":[\"x\"]}", "prompt", "string");
}

static void texts_are_bounded_in_number(void **state)
{
    (void)state;
    struct dialect_case test;
    struct buf body;
    for (int count = 4096; count <= 4097; count++) {
        buf_init(&body, 100000);
        assert_int_equal(buf_append_str(&body, "{\"input\":["), 0);
        for (int i = 0; i < count; i++)
            assert_int_equal(buf_append_str(&body, i ? ",\"x\"" : "\"x\""), 0);
        assert_int_equal(buf_append_str(&body, "]}"), 0);
        assert_int_equal(buf_terminate(&body), 0);
        assert_int_equal(
                dialect_case_parse(&test, embed, buf_at(&body)), count == 4096 ? 0 : -EINVAL);
        dialect_case_fini(&test);
        buf_fini(&body);
    }
}

static void answers(
        const struct dialect *dialect, const char *body, const char *result, const char *text)
{
    struct dialect_case test;
    dialect_case_reads(&test, dialect, body, NULL);
    dialect_case_answer(&test);
    for (const char *at = result; *at; at++) {
        const char piece[] = {*at, '\0'};
        assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, piece), 0);
    }
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, text);
    dialect_case_fini(&test);
}

static void vectors_come_as_numbers(void **state)
{
    (void)state;
    answers(embed, "{\"model\":\"m\",\"input\":\"x\"}",
            "{\"data\":[{\"embedding\":\"" BASE64 "\"}]}",
            "{\"model\":\"m\",\"embeddings\":[[1,-0.5,0.25]" TAIL);
    answers(embed, "{\"input\":[\"x\",\"y\"]}",
            "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":\"" BASE64 "\"}]}",
            "{\"model\":\"small\",\"embeddings\":[[1,2],[1,-0.5,0.25]" TAIL);
    answers(embeddings, "{\"prompt\":\"x\"}", "{\"data\":[{\"embedding\":\"" BASE64 "\"}]}",
            "{\"embedding\":[1,-0.5,0.25]}");
}

static void fewer_dimensions_have_length_1(void **state)
{
    (void)state;
    answers(embed, "{\"model\":\"m\",\"input\":\"x\",\"dimensions\":2}",
            "{\"data\":[{\"embedding\":[3,4,12]}]}",
            "{\"model\":\"m\",\"embeddings\":[[0.600000024,0.800000012]" TAIL);
    answers(embed, "{\"model\":\"m\",\"input\":\"x\",\"dimensions\":3}",
            "{\"data\":[{\"embedding\":[3,4,12]}]}",
            "{\"model\":\"m\",\"embeddings\":[[3,4,12]" TAIL);
    answers(embed, "{\"model\":\"m\",\"input\":\"x\",\"dimensions\":1}",
            "{\"data\":[{\"embedding\":[0,4]}]}", "{\"model\":\"m\",\"embeddings\":[[0]" TAIL);
}

static void nothing_to_embed_asks_no_engine(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *dialect;
        const char *body, *text;
    } cases[] = {
            {&dialect_ollama_embed, "{\"model\":\"m\",\"input\":[]}",
                    "{\"model\":\"m\",\"embeddings\":[],\"total_duration\":0,\"load_duration\":0,"
                    "\"prompt_eval_count\":0}"},
            {&dialect_ollama_embed, "{\"model\":\"m\",\"input\":\"\"}",
                    "{\"model\":\"m\",\"embeddings\":[],\"total_duration\":0,\"load_duration\":0,"
                    "\"prompt_eval_count\":0}"},
            {&dialect_ollama_embeddings, "{\"model\":\"m\"}", "{\"embedding\":[]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, cases[i].dialect, cases[i].body, "");
        assert_true(test.request.settled);
        dialect_case_answer(&test);
        assert_int_equal(dialect_case_end(&test), 0);
        dialect_case_wrote(&test, cases[i].text);
        dialect_case_fini(&test);
    }
}

static void what_is_no_vector_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *result;
        int r;
    } cases[] = {{"", -EPROTO}, {"{", -EPROTO}, {"[]", -EPROTO}, {"{\"data\":[]}", -EPROTO},
            {"{\"data\":[{}]}", -EPROTO}, {"{\"data\":[{\"embedding\":{}}]}", -EPROTO},
            {"{\"data\":[{\"embedding\":[null]}]}", -EPROTO},
            {"{\"data\":[{\"embedding\":[1e99]}]}", -EPROTO},
            {"{\"data\":[{\"embedding\":\"%\"}]}", -EPROTO},
            {"{\"data\":[{\"embedding\":\"AAAA\"}]}", -EPROTO}, /* three bytes */
            {"{\"data\":[{\"embedding\":\"AADAfw==\"}]}", -EPROTO} /* not a number */};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, embed, "{\"input\":\"x\"}", NULL);
        dialect_case_answer(&test);
        assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, cases[i].result), 0);
        assert_int_equal(dialect_case_end(&test), cases[i].r);
        dialect_case_fini(&test);
    }
}

static void the_older_endpoint_gives_one_vector(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, embeddings, "{\"prompt\":\"x\"}", NULL);
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0,
                             "{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}]}"),
            0);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(texts_are_asked_for_in_base64),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(texts_are_bounded_in_number),
            cmocka_unit_test(vectors_come_as_numbers),
            cmocka_unit_test(fewer_dimensions_have_length_1),
            cmocka_unit_test(nothing_to_embed_asks_no_engine),
            cmocka_unit_test(what_is_no_vector_is_refused),
            cmocka_unit_test(the_older_endpoint_gives_one_vector),
    };
    return cmocka_run_group_tests_name("ollama_embed", tests, NULL, NULL);
}
