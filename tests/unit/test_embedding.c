#include "coordinator/dialects/embedding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read(struct embedding *embedding, const char *text)
{
    cJSON *value = cJSON_Parse(text);
    int r = embedding_read(embedding, value);
    cJSON_Delete(value);
    return r;
}

static void prints(const struct embedding *embedding, const char *numbers, const char *base64)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(embedding_append_numbers(embedding, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), numbers);
    buf_clear(&out);
    assert_int_equal(embedding_append_base64(embedding, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), base64);
    buf_fini(&out);
}

static void one_form_becomes_the_other_and_back(void **state)
{
    (void)state;
    static const char numbers[] = "[0.100000001,-3.40282347e+38,0]";
    static const char base64[] = "\"zczMPf//f/8AAAAA\"";
    struct embedding embedding = {0};
    assert_int_equal(read(&embedding, numbers), 0);
    prints(&embedding, numbers, base64);
    assert_int_equal(read(&embedding, base64), 0);
    prints(&embedding, numbers, base64);
    embedding_fini(&embedding);
}

static void what_is_no_vector_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "1", "{}", "[]", "\"\"", "[null]", "[[1]]",
            "[1e39]", "\"AAAA\"", "\"AACAPw==x\"", "\"AACAPw\"", "\"AACA-w==\"",
            "\"AACAfw==\"" /* infinite */, "\"AADAfw==\"" /* no number */};
    struct embedding embedding = {0};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (read(&embedding, texts[i]) != -EPROTO)
            fail_msg("%s was taken", texts[i]);
    assert_int_equal(embedding_read(&embedding, NULL), -EPROTO);
    embedding_fini(&embedding);
}

static void dimensions_have_a_limit(void **state)
{
    (void)state;
    struct embedding embedding = {0};
    char *text = malloc(2 * (EMBEDDING_DIMENSIONS_MAX + 1) + 2);
    for (size_t more = 0; more <= 1; more++) {
        size_t count = EMBEDDING_DIMENSIONS_MAX + more;
        for (size_t i = 0; i < count; i++)
            memcpy(text + 2 * i, i ? ",1" : "[1", 2);
        strcpy(text + 2 * count, "]");
        assert_int_equal(read(&embedding, text), more ? -EPROTO : 0);
    }
    free(text);
    embedding_fini(&embedding);
}

static void a_shorter_one_has_length_one(void **state)
{
    (void)state;
    struct embedding embedding = {0};
    assert_int_equal(read(&embedding, "[3,4,5]"), 0);
    embedding_shorten(&embedding, 3);
    assert_int_equal(embedding.count, 3);
    assert_true(embedding.values[0] == 3.0f);
    embedding_shorten(&embedding, 2);
    assert_int_equal(embedding.count, 2);
    assert_true(embedding.values[0] == 0.6f && embedding.values[1] == 0.8f);
    assert_int_equal(read(&embedding, "[0,0,1]"), 0);
    embedding_shorten(&embedding, 2);
    assert_true(embedding.values[0] == 0.0f);
    embedding_fini(&embedding);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct embedding embedding = {0};
    struct buf out;
    buf_init(&out, 4);
    assert_int_equal(read(&embedding, "[1.5,2.5]"), 0);
    assert_int_equal(embedding_append_numbers(&embedding, &out), -ENOBUFS);
    buf_clear(&out);
    assert_int_equal(embedding_append_base64(&embedding, &out), -ENOBUFS);
    buf_fini(&out);
    embedding_fini(&embedding);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(one_form_becomes_the_other_and_back),
            cmocka_unit_test(what_is_no_vector_is_refused),
            cmocka_unit_test(dimensions_have_a_limit),
            cmocka_unit_test(a_shorter_one_has_length_one),
            cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests_name("embedding", tests, NULL, NULL);
}
