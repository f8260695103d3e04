#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/nominal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t parameters, active; /* in millions */
    } sizes[] = {{"7b", 7000, 7000}, {"0.6B", 600, 600}, {"32.8b", 32800, 32800},
            {"1.5T", 1500000, 1500000}, {"270m", 270, 270}, {"235b-a22b", 235000, 22000},
            {"30B-A3B", 30000, 3000}, {"26b-a3.8b", 26000, 3800}, {"8x7b", 56000, 14000},
            {"1m", 1, 1}, {"100t", 100000000, 100000000}, {"0.500000b", 500, 500}};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct nominal_size size;
        assert_int_equal(nominal_parse(sizes[i].text, &size, NULL), 0);
        assert_true(size.parameters == sizes[i].parameters * 1000000);
        assert_true(size.active == sizes[i].active * 1000000);
    }
}

static void test_bad_sizes(void **state)
{
    static const char *const texts[] = {"", "b", "32", "32g", "x7b", "1x7b", "9999x7b", "8x", "7 b",
            " 7b", "7b ", "7b-22b", "7b-a", "7b-a2", "7b-a2b-a1b", "8x7b-a2b", ".5b", "7.b", "-7b",
            "1e3b", "0.1234567b", "7bb", "8x7", "nan"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct nominal_size size = {.parameters = 1};
        struct err err;
        assert_int_equal(nominal_parse(texts[i], &size, &err), -EINVAL);
        assert_non_null(strstr(err.text, "235b-a22b"));
        assert_int_equal(size.parameters, 1);
    }
}

static void test_sizes_out_of_range(void **state)
{
    static const char *const texts[] = {
            "0b", "0.9m", "101t", "7b-a8b", "7b-a0b", "99999999999999999999999999b", "1000x1t"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct nominal_size size;
        struct err err;
        assert_int_equal(nominal_parse(texts[i], &size, &err), -ERANGE);
        assert_non_null(strstr(err.text, texts[i]));
    }
}

static struct model_shape shape_of(const char *params, const char *quantisation)
{
    struct nominal_size size;
    struct model_shape shape;
    uint32_t millibits;

    assert_int_equal(nominal_parse(params, &size, NULL), 0);
    assert_int_equal(nominal_parse_quantisation(quantisation, &millibits, NULL), 0);
    nominal_shape(&size, millibits, &shape);
    assert_true(shape.bound);
    return shape;
}

/* Sizes of published files. */
static void test_weights(void **state)
{
    static const struct {
        const char *params, *quantisation;
        double file_gb;
    } files[] = {{"8b", "Q4_K_M", 4.92}, /* Llama-3.1-8B */
            {"8.03b", "Q8_0", 8.54}, {"8.03b", "f16", 16.07}, {"70b", "Q4_K_M", 42.5},
            {"405b", "Q4_K_M", 243.0},                               /* Llama-3.1, as the 70b */
            {"32b", "Q4_K_M", 19.76},                                /* Qwen3-32B */
            {"32.8b", "q6_k", 26.9}, {"235b-a22b", "Q4_K_M", 142.0}, /* Qwen3 */
            {"120b-a5b", "MXFP4", 63.4}};                            /* gpt-oss-120b */

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct model_shape shape = shape_of(files[i].params, files[i].quantisation);
        double gb = (double)shape.tensor_bytes / 1e9;
        if (fabs(gb - files[i].file_gb) > files[i].file_gb / 10)
            fail_msg("%s %s: %.2f GB instead of %.2f", files[i].params, files[i].quantisation, gb,
                    files[i].file_gb);
        assert_true(shape.input_bytes > 0 && shape.input_bytes <= shape.tensor_bytes);
    }
}

/* Published models: the guess is never below their cache, nor beyond four times it. */
static void test_cache_is_a_bound(void **state)
{
    static const struct {
        const char *params;
        uint64_t layers, width;
    } models[] = {{"0.6b", 28, 1024}, {"1.7b", 28, 1024}, {"3b", 28, 1024}, /* Qwen3, Llama 3.2 */
            {"4b", 36, 1024}, {"7b", 32, 1024}, {"8b", 36, 1024}, {"14b", 48, 1024},
            {"24b", 40, 1024}, {"32b", 64, 1024}, {"70b", 80, 1024}, {"123b", 88, 1024},
            {"405b", 126, 1024}, {"30b-a3b", 48, 512}, {"235b-a22b", 94, 512},
            {"106b-a12b", 46, 1024}, {"8x7b", 32, 1024}, {"21b-a3.6b", 24, 512},
            {"117b-a5.1b", 36, 512}, {"109b-a17b", 48, 1024}, {"480b-a35b", 62, 1024}};

    (void)state;
    for (size_t i = 0; i < COUNT(models); i++) {
        struct model_shape shape = shape_of(models[i].params, "Q4_K_M");
        uint64_t real = models[i].layers * models[i].width;
        if (shape.full.k_elements < real || shape.full.k_elements > 4 * real)
            fail_msg("%s: %llu elements a token instead of %llu", models[i].params,
                    (unsigned long long)shape.full.k_elements, (unsigned long long)real);
        assert_true(shape.full.v_elements == shape.full.k_elements);
        assert_int_equal(shape.full.layers, shape.layers);
    }
}

static void test_larger_is_never_less(void **state)
{
    uint64_t before = 0;

    (void)state;
    for (uint64_t millions = 1; millions < 2000000; millions += millions / 8 + 1) {
        const struct nominal_size size = {millions * 1000000, millions * 1000000};
        struct model_shape shape;
        nominal_shape(&size, 4894, &shape);
        assert_true(shape.tensor_bytes > before);
        before = shape.tensor_bytes;
    }
}

static void test_quantisations(void **state)
{
    uint32_t millibits = 0;

    (void)state;
    assert_int_equal(nominal_parse_quantisation("Q4_K_M", &millibits, NULL), 0);
    assert_int_equal(millibits, 4894);
    assert_int_equal(nominal_parse_quantisation("iq4_xs", &millibits, NULL), 0);
    assert_int_equal(millibits, 4460);
    assert_int_equal(nominal_parse_quantisation("bf16", &millibits, NULL), 0);
    assert_int_equal(millibits, 16001);
}

static void test_unknown_quantisation(void **state)
{
    uint32_t millibits = 7;
    struct err err;

    (void)state;
    assert_int_equal(nominal_parse_quantisation("Q4_KM", &millibits, &err), -EINVAL);
    assert_string_equal(
            err.text, "the quantisation \"Q4_KM\" is not known; did you mean \"Q4_K_M\"?");
    assert_int_equal(nominal_parse_quantisation("", &millibits, &err), -EINVAL);
    assert_int_equal(nominal_parse_quantisation("four bits, please", &millibits, &err), -EINVAL);
    assert_non_null(strstr(err.text, "Q4_K_M"));
    assert_int_equal(millibits, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_sizes),
            cmocka_unit_test(test_bad_sizes),
            cmocka_unit_test(test_sizes_out_of_range),
            cmocka_unit_test(test_weights),
            cmocka_unit_test(test_cache_is_a_bound),
            cmocka_unit_test(test_larger_is_never_less),
            cmocka_unit_test(test_quantisations),
            cmocka_unit_test(test_unknown_quantisation),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("nominal", tests, NULL, NULL);
}
