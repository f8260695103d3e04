#include "coordinator/scheduling/prefix_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES = 64,
    ROWS_BYTES = 2 * PREFIX_ROWS_PAGE_BYTES,
    KEYS = 60,
    NUMBERS = 300,
};

struct bench {
    void *entries, *rows;
    struct prefix_table table;
};
static struct bench bench;

static int open_table(void **state)
{
    (void)state;
    bench.entries = calloc(ENTRIES, sizeof(struct prefix_entry));
    bench.rows = aligned_alloc(PREFIX_ROWS_PAGE_BYTES, ROWS_BYTES);
    memset(bench.rows, 0, ROWS_BYTES);
    prefix_table_init(&bench.table, bench.entries, ENTRIES * sizeof(struct prefix_entry),
            bench.rows, ROWS_BYTES);
    return 0;
}

static int close_table(void **state)
{
    (void)state;
    free(bench.entries);
    free(bench.rows);
    return 0;
}

/* A key that belongs at this entry. */
static uint64_t key_at(uint32_t home, uint32_t which)
{
    uint64_t key = ((uint64_t)home << 32) / ENTRIES << 32 | which;
    assert_int_equal(prefix_table_home(&bench.table, key), home);
    return key;
}

static bool set(uint64_t key, uint32_t number, enum prefix_held held)
{
    return prefix_table_set(&bench.table, key, number, held);
}

static enum prefix_held get(uint64_t key, uint32_t number)
{
    return prefix_table_get(&bench.table, key, number);
}

static void a_holder_of_a_block_has_a_state(void **state)
{
    (void)state;
    uint64_t key = key_at(5, 1);
    assert_int_equal(get(key, 7), PREFIX_HELD_NOT);
    assert_null(prefix_table_find(&bench.table, key));
    for (enum prefix_held held = PREFIX_HELD_COLD; held <= PREFIX_HELD_GHOST; held++) {
        assert_true(set(key, 7, held));
        assert_int_equal(get(key, 7), held);
        assert_int_equal(get(key, 8), PREFIX_HELD_NOT);
        assert_int_equal(get(key + 1, 7), PREFIX_HELD_NOT);
    }
    assert_true(set(key, 8, PREFIX_HELD_NOT));
    assert_int_equal(bench.table.count, 1);
    assert_true(set(key, 7, PREFIX_HELD_NOT));
    assert_null(prefix_table_find(&bench.table, key));
    assert_int_equal(bench.table.count, 0);
}

/* Also over the table's end, and whatever is taken out first. */
static void removing_leaves_what_was_pushed_on(void **state)
{
    (void)state;
    for (uint32_t home = ENTRIES - 6; home < ENTRIES; home++) {
        for (uint32_t gone = 0; gone < 8; gone++) {
            for (uint32_t i = 0; i < 8; i++)
                assert_true(set(key_at((home + i / 3) % ENTRIES, i), i, PREFIX_HELD_COLD));
            set(key_at((home + gone / 3) % ENTRIES, gone), gone, PREFIX_HELD_NOT);
            for (uint32_t i = 0; i < 8; i++) {
                uint64_t key = key_at((home + i / 3) % ENTRIES, i);
                assert_int_equal(get(key, i), i == gone ? PREFIX_HELD_NOT : PREFIX_HELD_COLD);
                set(key, i, PREFIX_HELD_NOT);
            }
            assert_int_equal(bench.table.count, 0);
        }
    }
}

static void a_full_table_takes_no_block_but_holders(void **state)
{
    (void)state;
    uint32_t count = 0;
    while (set(key_at(count % ENTRIES, count), 1, PREFIX_HELD_HOT))
        count++;
    assert_int_equal(count, ENTRIES / 4 * 3);
    assert_int_equal(bench.table.count, count);
    assert_true(set(key_at(0, 0), 2, PREFIX_HELD_COLD));
    assert_int_equal(get(key_at(count % ENTRIES, count), 1), PREFIX_HELD_NOT);
    assert_true(set(key_at(3, 3), 1, PREFIX_HELD_NOT));
    assert_true(set(key_at(count % ENTRIES, count), 1, PREFIX_HELD_HOT));
}

static void many_holders_are_a_row_and_few_are_not(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {3, 64, 1, 1000, 4095, 2};
    enum { COUNT = sizeof(numbers) / sizeof(*numbers) };
    uint64_t key = key_at(9, 9);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(set(key, numbers[i], (enum prefix_held)(1 + i % 3)));
    const struct prefix_entry *entry = prefix_table_find(&bench.table, key);
    assert_true(entry->tag & PREFIX_TAG_ROW);
    assert_int_equal(prefix_entry_words(entry), 64);
    for (uint32_t gone = 0; gone < COUNT; gone++) {
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(get(key, numbers[i]), i < gone ? 0 : 1 + i % 3);
        assert_true(set(key, numbers[gone], PREFIX_HELD_NOT));
        entry = prefix_table_find(&bench.table, key);
        assert_int_equal(entry ? entry->tag & PREFIX_TAG_ROW : 0, gone < 2 ? PREFIX_TAG_ROW : 0);
    }
    assert_int_equal(bench.table.count, 0);
}

static void without_a_row_the_fourth_is_refused_and_three_stay(void **state)
{
    (void)state;
    while (prefix_rows_take(&bench.table.rows, 0) != PREFIX_ROWS_NONE)
        ;
    uint64_t key = key_at(1, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(set(key, i, PREFIX_HELD_HOT));
    assert_false(set(key, 3, PREFIX_HELD_HOT));
    assert_int_equal(get(key, 3), PREFIX_HELD_NOT);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(get(key, i), PREFIX_HELD_HOT);
    assert_true(set(key, 2, PREFIX_HELD_COLD));
}

static void a_row_that_cannot_be_wider_stays_as_it_is(void **state)
{
    (void)state;
    uint64_t key = key_at(1, 1);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(set(key, i, PREFIX_HELD_COLD));
    while (prefix_rows_take(&bench.table.rows, 2) != PREFIX_ROWS_NONE)
        ;
    assert_false(set(key, 200, PREFIX_HELD_COLD));
    assert_int_equal(get(key, 200), PREFIX_HELD_NOT);
    assert_true(set(key, 200, PREFIX_HELD_NOT));
    assert_true(set(key, 63, PREFIX_HELD_GHOST));
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(get(key, i), PREFIX_HELD_COLD);
}

/* Against an array of all states. */
static void any_order_of_changes_gives_what_was_set(void **state)
{
    static enum prefix_held expected[KEYS][NUMBERS];
    uint64_t dice = 7;
    (void)state;
    memset(expected, 0, sizeof(expected));
    for (int i = 0; i < 200000; i++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t which = (uint32_t)(dice >> 60) * KEYS / 16 + (uint32_t)(dice >> 40) % 4;
        uint32_t number = (uint32_t)(dice >> 20) % NUMBERS % (1 + (uint32_t)(dice >> 50) % NUMBERS);
        enum prefix_held held = dice >> 33 & 1 ? (enum prefix_held)(dice >> 35 & 3) : 0;
        if (set(key_at(which % 7, which), number, held))
            expected[which][number] = held;
        number = (uint32_t)(dice >> 45) % NUMBERS;
        assert_int_equal(get(key_at(which % 7, which), number), expected[which][number]);
    }
    for (uint32_t which = 0; which < KEYS; which++)
        for (uint32_t number = 0; number < NUMBERS; number++)
            assert_int_equal(get(key_at(which % 7, which), number), expected[which][number]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_holder_of_a_block_has_a_state),
            TEST(removing_leaves_what_was_pushed_on),
            TEST(a_full_table_takes_no_block_but_holders),
            TEST(many_holders_are_a_row_and_few_are_not),
            TEST(without_a_row_the_fourth_is_refused_and_three_stay),
            TEST(a_row_that_cannot_be_wider_stays_as_it_is),
            TEST(any_order_of_changes_gives_what_was_set),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("prefix_table", tests, NULL, NULL);
}
