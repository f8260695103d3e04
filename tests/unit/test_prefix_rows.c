#include "coordinator/scheduling/prefix_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGES = 3,
    ROWS_MAX = PAGES * PREFIX_ROWS_PAGE_BYTES / 16,
};

static void *memory;
static struct prefix_rows rows;

static int open_rows(void **state)
{
    (void)state;
    memory = aligned_alloc(PREFIX_ROWS_PAGE_BYTES, PAGES * PREFIX_ROWS_PAGE_BYTES);
    memset(memory, 0, PAGES * PREFIX_ROWS_PAGE_BYTES);
    prefix_rows_init(&rows, memory, PAGES * PREFIX_ROWS_PAGE_BYTES + 100);
    return 0;
}

static int close_rows(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static void fill(uint32_t row, unsigned width, uint64_t word)
{
    uint64_t *at = prefix_rows_at(&rows, row);
    for (size_t i = 0; i < 2 * prefix_rows_words(width); i++)
        at[i] = word;
}

static void holds(uint32_t row, unsigned width, uint64_t word)
{
    const uint64_t *at = prefix_rows_at(&rows, row);
    for (size_t i = 0; i < 2 * prefix_rows_words(width); i++)
        assert_int_equal(at[i], word);
}

/* As many as there are, each with its own number in all its words. */
static size_t take_all(unsigned width, uint32_t *ret_rows)
{
    size_t count = 0;
    for (uint32_t row; (row = prefix_rows_take(&rows, width)) != PREFIX_ROWS_NONE; count++) {
        holds(row, width, 0);
        fill(row, width, count + 1);
        ret_rows[count] = row;
    }
    return count;
}

static void a_width_has_a_place_for_the_number(void **state)
{
    (void)state;
    assert_int_equal(prefix_rows_width(0), 0);
    assert_int_equal(prefix_rows_width(63), 0);
    assert_int_equal(prefix_rows_width(64), 1);
    assert_int_equal(prefix_rows_width(1000), 4);
    assert_int_equal(prefix_rows_width(4095), 6);
    assert_int_equal(prefix_rows_width(4096), PREFIX_ROWS_WIDTHS);
}

static void rows_of_each_width_fill_all_pages_and_are_apart(void **state)
{
    static uint32_t taken[ROWS_MAX];
    (void)state;
    for (unsigned width = 0; width < PREFIX_ROWS_WIDTHS; width++) {
        size_t count = take_all(width, taken);
        assert_int_equal(count, PAGES * (255 / prefix_rows_words(width)));
        assert_int_equal(prefix_rows_bytes(&rows), PAGES * PREFIX_ROWS_PAGE_BYTES);
        for (size_t i = 0; i < count; i++)
            holds(taken[i], width, i + 1);
        for (size_t i = 0; i < count; i++)
            prefix_rows_give(&rows, taken[i]);
    }
}

static void a_row_that_is_back_is_the_next_one_taken(void **state)
{
    static uint32_t taken[ROWS_MAX];
    (void)state;
    size_t count = take_all(2, taken);
    prefix_rows_give(&rows, taken[count / 2]);
    assert_int_equal(prefix_rows_take(&rows, 3), PREFIX_ROWS_NONE);
    assert_int_equal(prefix_rows_take(&rows, 2), taken[count / 2]);
    holds(taken[count / 2], 2, 0);
    assert_int_equal(prefix_rows_take(&rows, 2), PREFIX_ROWS_NONE);
}

static void rows_in_any_order_stay_apart(void **state)
{
    static uint32_t taken[ROWS_MAX], widths[ROWS_MAX];
    size_t count = 0;
    uint64_t dice = 1;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned width = (unsigned)(dice >> 33) % PREFIX_ROWS_WIDTHS;
        uint32_t row = dice >> 63 || !count ? prefix_rows_take(&rows, width) : PREFIX_ROWS_NONE;
        if (row != PREFIX_ROWS_NONE) {
            fill(row, width, row);
            taken[count] = row;
            widths[count++] = width;
        } else if (count) {
            size_t which = (dice >> 40) % count;
            holds(taken[which], widths[which], taken[which]);
            prefix_rows_give(&rows, taken[which]);
            taken[which] = taken[--count];
            widths[which] = widths[count];
        }
    }
    for (size_t i = 0; i < count; i++)
        holds(taken[i], widths[i], taken[i]);
}

static void without_memory_there_is_no_row(void **state)
{
    (void)state;
    struct prefix_rows none;
    prefix_rows_init(&none, memory, PREFIX_ROWS_PAGE_BYTES - 1);
    assert_int_equal(prefix_rows_take(&none, 0), PREFIX_ROWS_NONE);
    assert_int_equal(prefix_rows_bytes(&none), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rows, close_rows)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_width_has_a_place_for_the_number),
            TEST(rows_of_each_width_fill_all_pages_and_are_apart),
            TEST(a_row_that_is_back_is_the_next_one_taken),
            TEST(rows_in_any_order_stay_apart),
            TEST(without_memory_there_is_no_row),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("prefix_rows", tests, NULL, NULL);
}
