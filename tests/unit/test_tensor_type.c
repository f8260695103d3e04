#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/tensor_type.h"

/* As ggml_type_size() and ggml_blck_size() of llama.cpp tell them. */
struct row {
    uint32_t type;
    uint64_t elements, bytes;
};

static void test_blocks_of_ggml(void **state)
{
    static const struct row rows[] = {{0, 1, 4}, {1, 1, 2}, {2, 32, 18}, {3, 32, 20}, {6, 32, 22},
            {7, 32, 24}, {8, 32, 34}, {9, 32, 36}, {10, 256, 84}, {11, 256, 110}, {12, 256, 144},
            {13, 256, 176}, {14, 256, 210}, {15, 256, 292}, {16, 256, 66}, {17, 256, 74},
            {18, 256, 98}, {19, 256, 50}, {20, 32, 18}, {21, 256, 110}, {22, 256, 82},
            {23, 256, 136}, {24, 1, 1}, {25, 1, 2}, {26, 1, 4}, {27, 1, 8}, {28, 1, 8},
            {29, 256, 56}, {30, 1, 2}, {34, 256, 54}, {35, 256, 66}, {39, 32, 17}, {40, 64, 36},
            {41, 128, 18}, {42, 64, 18}};
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(tensor_type_row_bytes(rows[i].type, rows[i].elements, &bytes));
        assert_int_equal(bytes, rows[i].bytes);
        assert_true(tensor_type_row_bytes(rows[i].type, 3 * rows[i].elements, &bytes));
        assert_int_equal(bytes, 3 * rows[i].bytes);
    }
}

static void test_part_of_a_block(void **state)
{
    uint64_t bytes;

    (void)state;
    assert_true(tensor_type_row_bytes(12, 257, &bytes));
    assert_int_equal(bytes, 288);
    assert_true(tensor_type_row_bytes(12, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_true(tensor_type_row_bytes(28, UINT64_MAX, &bytes));
    assert_true(bytes == UINT64_MAX);
}

static void test_unknown_types(void **state)
{
    static const uint32_t unknown[] = {4, 5, 31, 36, 38, 43, UINT32_MAX};
    uint64_t bytes = 77;

    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_false(tensor_type_row_bytes(unknown[i], 32, &bytes));
    assert_int_equal(bytes, 77);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_blocks_of_ggml),
            cmocka_unit_test(test_part_of_a_block),
            cmocka_unit_test(test_unknown_types),
    };
    return cmocka_run_group_tests_name("tensor_type", tests, NULL, NULL);
}
