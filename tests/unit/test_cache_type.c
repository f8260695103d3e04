#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/cache_type.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ggml-common.h: a block of 32 values with its scale, and for the "_1" types its least value. */
static void test_bytes(void **state)
{
    static const struct {
        const char *name;
        uint64_t bytes; /* of 1024 elements */
    } types[] = {{"f32", 4096}, {"f16", 2048}, {"bf16", 2048}, {"q8_0", 1088}, {"q5_1", 768},
            {"q5_0", 704}, {"q4_1", 640}, {"q4_0", 576}, {"iq4_nl", 576}};

    (void)state;
    assert_int_equal(COUNT(types), CACHE_TYPE_COUNT);
    for (size_t i = 0; i < COUNT(types); i++) {
        enum cache_type type = CACHE_TYPE_COUNT;
        assert_int_equal(cache_type_parse(types[i].name, &type, NULL), 0);
        assert_string_equal(cache_type_name(type), types[i].name);
        assert_int_equal(cache_type_bytes(type, 1024), types[i].bytes);
    }
}

static void test_zero_is_the_default(void **state)
{
    enum cache_type type = 0;

    (void)state;
    assert_string_equal(cache_type_name(type), "f16");
}

static void test_part_of_a_block(void **state)
{
    (void)state;
    assert_int_equal(cache_type_bytes(CACHE_TYPE_Q8_0, 0), 0);
    assert_int_equal(cache_type_bytes(CACHE_TYPE_Q8_0, 1), 34);
    assert_int_equal(cache_type_bytes(CACHE_TYPE_Q8_0, 32), 34);
    assert_int_equal(cache_type_bytes(CACHE_TYPE_Q8_0, 33), 68);
    assert_int_equal(cache_type_bytes(CACHE_TYPE_F16, 1), 2);
}

static void test_saturates(void **state)
{
    (void)state;
    assert_true(cache_type_bytes(CACHE_TYPE_F32, UINT64_MAX) == UINT64_MAX);
    assert_true(cache_type_bytes(CACHE_TYPE_Q8_0, UINT64_MAX) == UINT64_MAX);
    assert_true(cache_type_bytes(CACHE_TYPE_Q4_0, UINT64_MAX) < UINT64_MAX);
}

static void test_case_is_ignored(void **state)
{
    enum cache_type type = CACHE_TYPE_F16;

    (void)state;
    assert_int_equal(cache_type_parse("Q8_0", &type, NULL), 0);
    assert_int_equal(type, CACHE_TYPE_Q8_0);
}

static void test_unknown(void **state)
{
    static const char *const texts[] = {"", "q8", "q8_00", "f16 ", "turbo"};
    enum cache_type type = CACHE_TYPE_Q5_0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(cache_type_parse(texts[i], &type, &err), -EINVAL);
    assert_int_equal(type, CACHE_TYPE_Q5_0);
    assert_int_equal(cache_type_parse("q8_1", &type, &err), -EINVAL);
    assert_non_null(strstr(err.text, "\"q8_1\" is no cache type (did you mean q8_0?)"));
    assert_non_null(strstr(err.text, "iq4_nl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bytes),
            cmocka_unit_test(test_zero_is_the_default),
            cmocka_unit_test(test_part_of_a_block),
            cmocka_unit_test(test_saturates),
            cmocka_unit_test(test_case_is_ignored),
            cmocka_unit_test(test_unknown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cache_type", tests, NULL, NULL);
}
