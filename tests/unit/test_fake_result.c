#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "node/backends/fake_result.h"

#include <errno.h>
#include <string.h>

static void assert_answer(enum request_kind kind, const char *body, const char *expected)
{
    struct buf out;

    buf_init(&out, 4096);
    assert_true(fake_result_is(kind));
    assert_int_equal(fake_result_write(kind, body, strlen(body), &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), expected);
    buf_fini(&out);
}

static void assert_refused(enum request_kind kind, const char *body)
{
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(fake_result_write(kind, body, strlen(body), &out), -EINVAL);
    buf_fini(&out);
}

static void test_which_kinds(void **state)
{
    (void)state;
    for (enum request_kind kind = 0; kind < REQUEST_KIND_COUNT; kind++)
        assert_int_equal(fake_result_is(kind), kind > REQUEST_INFILL);
    assert_false(fake_result_is(REQUEST_KIND_COUNT));
}

static int count_vectors(const char *body)
{
    struct buf out;
    cJSON *json;
    int count;

    buf_init(&out, 4096);
    assert_int_equal(fake_result_write(REQUEST_EMBEDDINGS, body, strlen(body), &out), 0);
    assert_int_equal(json_parse(buf_at(&out), out.len, &json_limits_event, &json, NULL), 0);
    count = cJSON_GetArraySize(json_array(json, "data"));
    cJSON_Delete(json);
    buf_fini(&out);
    return count;
}

static void test_a_vector_for_each_input(void **state)
{
    (void)state;
    assert_int_equal(count_vectors("{\"input\":\"a\"}"), 1);
    assert_int_equal(count_vectors("{\"input\":[\"a\",\"b\",\"c\"]}"), 3);
    assert_int_equal(count_vectors("{\"input\":[1,2,3]}"), 1);
    assert_int_equal(count_vectors("{\"input\":[[1,2],[3]]}"), 2);
    assert_refused(REQUEST_EMBEDDINGS, "{\"input\":[]}");
    assert_refused(REQUEST_EMBEDDINGS, "{\"input\":5}");
}

static void test_a_vector_in_base64(void **state)
{
    (void)state;
    assert_answer(REQUEST_EMBEDDINGS, "{\"input\":\"a\",\"encoding_format\":\"base64\"}",
            "{\"object\":\"list\",\"model\":\"[fake engine]\",\"usage\":{\"prompt_tokens\":10,"
            "\"total_tokens\":10},\"data\":[{\"object\":\"embedding\",\"index\":0,"
            "\"embedding\":\"AACAPwAAAAAAAAAAAAAAAA==\"}]}");
}

static void test_rerank(void **state)
{
    (void)state;
    assert_answer(REQUEST_RERANK, "{\"documents\":[\"a\",\"b\"],\"top_n\":1}",
            "{\"object\":\"list\",\"model\":\"[fake engine]\",\"usage\":{\"prompt_tokens\":8,"
            "\"total_tokens\":8},\"results\":[{\"index\":0,\"relevance_score\":0}]}");
    assert_refused(REQUEST_RERANK, "{\"documents\":[]}");
}

static void test_the_others(void **state)
{
    (void)state;
    assert_answer(REQUEST_TOKENIZE, "{\"content\":\"12345678\"}", "{\"tokens\":[0,1]}");
    assert_answer(REQUEST_DETOKENIZE, "{\"tokens\":[0,1]}", "{\"content\":\"[fake engine]\"}");
    assert_answer(REQUEST_TEMPLATE, "{\"messages\":[]}", "{\"prompt\":\"[fake engine]\"}");
    assert_answer(REQUEST_COUNT, "{\"messages\":[]}", "{\"input_tokens\":3}");
    assert_answer(REQUEST_TRANSCRIPTION, "{\"file\":{}}", "{\"text\":\"[fake engine]\"}");
    assert_refused(REQUEST_DETOKENIZE, "{}");
    assert_refused(REQUEST_TRANSCRIPTION, "{}");
    assert_refused(REQUEST_COUNT, "{\"messages\":");
}

static void test_no_room(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 10);
    assert_int_equal(fake_result_write(REQUEST_COUNT, "{\"messages\":[]}", 15, &out), -ENOBUFS);
    buf_fini(&out);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_which_kinds),
            cmocka_unit_test(test_a_vector_for_each_input),
            cmocka_unit_test(test_a_vector_in_base64),
            cmocka_unit_test(test_rerank),
            cmocka_unit_test(test_the_others),
            cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests_name("fake_result", tests, NULL, NULL);
}
