#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/budget.h"

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;

static struct budget_entry idle(uint64_t bytes, uint64_t used_at_ms)
{
    return (struct budget_entry){
            .memory_bytes = bytes, .used_at_ms = used_at_ms, .evictable = true};
}

static struct budget_entry pinned(uint64_t bytes)
{
    return (struct budget_entry){.memory_bytes = bytes};
}

static struct budget_entry busy(uint64_t bytes)
{
    return (struct budget_entry){.memory_bytes = bytes, .busy = true};
}

static struct budget_entry leaving(uint64_t bytes)
{
    return (struct budget_entry){.memory_bytes = bytes, .leaving = true};
}

static struct budget_ask ask(uint64_t limit, uint64_t available, uint64_t wanted)
{
    return (struct budget_ask){
            .limit_bytes = limit, .available_bytes = available, .wanted_bytes = wanted};
}

static void test_margin(void **state)
{
    (void)state;
    assert_int_equal(budget_model_bytes(mib), 513 * mib);
    assert_int_equal(budget_model_bytes(80 * gib), 90 * gib);
    assert_int_equal(budget_model_bytes(UINT64_MAX - 5), UINT64_MAX);
}

static void test_loads_up_to_the_limit(void **state)
{
    struct budget_entry entries[] = {pinned(40), busy(30)};
    struct budget_ask exact = ask(100, 1000, 30), over = ask(100, 1000, 31);

    (void)state;
    assert_int_equal(budget_plan(&exact, entries, 2), BUDGET_LOAD);
    assert_int_not_equal(budget_plan(&over, entries, 2), BUDGET_LOAD);
    assert_int_equal(budget_plan(&exact, NULL, 0), BUDGET_LOAD);
}

static void test_evicts_the_least_recently_used(void **state)
{
    struct budget_entry entries[] = {idle(30, 500), idle(30, 100), idle(30, 900)};
    struct budget_ask a = ask(100, 1000, 30);

    (void)state;
    assert_int_equal(budget_plan(&a, entries, 3), BUDGET_EVICT);
    assert_false(entries[0].evict);
    assert_true(entries[1].evict);
    assert_false(entries[2].evict);
}

static void test_spares_what_is_not_needed(void **state)
{
    /* The oldest is too small to help, and useless once the next has gone. */
    struct budget_entry entries[] = {idle(5, 100), idle(80, 200)};
    struct budget_ask a = ask(100, 1000, 60);

    (void)state;
    assert_int_equal(budget_plan(&a, entries, 2), BUDGET_EVICT);
    assert_false(entries[0].evict);
    assert_true(entries[1].evict);
}

static void test_free_memory_counts_too(void **state)
{
    struct budget_entry entries[] = {idle(30, 100)};
    struct budget_ask room_after = ask(1000, 20, 50), no_room = ask(1000, 19, 50);

    (void)state;
    assert_int_equal(budget_plan(&room_after, entries, 1), BUDGET_EVICT);
    assert_int_equal(budget_plan(&no_room, entries, 1), BUDGET_REFUSE);
    assert_false(entries[0].evict);
}

static void test_waits_for_the_busy_and_the_leaving(void **state)
{
    struct budget_entry working[] = {busy(80)}, going[] = {leaving(80), idle(10, 1)};
    struct budget_ask a = ask(100, 1000, 50);

    (void)state;
    assert_int_equal(budget_plan(&a, working, 1), BUDGET_WAIT);
    /* Nobody else is stopped while what leaves makes the room. */
    assert_int_equal(budget_plan(&a, going, 2), BUDGET_WAIT);
    assert_false(going[1].evict);
}

static void test_never_touches_pinned(void **state)
{
    struct budget_entry entries[] = {pinned(80), idle(10, 1)};
    struct budget_ask a = ask(100, 1000, 50), too_big = ask(100, 1000, 101);

    (void)state;
    assert_int_equal(budget_plan(&a, entries, 2), BUDGET_REFUSE);
    assert_false(entries[0].evict);
    assert_false(entries[1].evict);
    assert_int_equal(budget_plan(&too_big, NULL, 0), BUDGET_REFUSE);
}

static void test_huge_numbers_do_not_wrap(void **state)
{
    struct budget_entry entries[] = {pinned(UINT64_MAX), pinned(UINT64_MAX)};
    struct budget_ask a = ask(UINT64_MAX - 1, UINT64_MAX, 5);

    (void)state;
    assert_int_equal(budget_used_bytes(entries, 2), UINT64_MAX);
    assert_int_equal(budget_plan(&a, entries, 2), BUDGET_REFUSE);
}

/* Over many states drawn at random: a plan that loads never passes the limit, and evicts only what
 * it may. */
static void test_never_over_the_limit(void **state)
{
    uint32_t seed = 12345;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct budget_entry entries[6];
        uint64_t left = 0, freed = 0;
        for (int i = 0; i < 6; i++) {
            seed = seed * 1664525 + 1013904223;
            entries[i] = (struct budget_entry){.memory_bytes = seed >> 26,
                    .used_at_ms = seed & 255,
                    .evictable = seed & 256,
                    .busy = (seed & 768) == 512,
                    .leaving = (seed & 7424) == 1024};
        }
        seed = seed * 1664525 + 1013904223;
        struct budget_ask a = ask(60 + (seed >> 27), (seed >> 8) & 127, (seed >> 16) & 63);
        enum budget_verdict verdict = budget_plan(&a, entries, 6);
        for (int i = 0; i < 6; i++) {
            left += entries[i].evict ? 0 : entries[i].memory_bytes;
            freed += entries[i].evict ? entries[i].memory_bytes : 0;
            assert_true(!entries[i].evict || (entries[i].evictable && verdict == BUDGET_EVICT));
        }
        if (verdict == BUDGET_LOAD || verdict == BUDGET_EVICT) {
            assert_true(left + a.wanted_bytes <= a.limit_bytes);
            assert_true(a.wanted_bytes <= a.available_bytes + freed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_margin),
            cmocka_unit_test(test_loads_up_to_the_limit),
            cmocka_unit_test(test_evicts_the_least_recently_used),
            cmocka_unit_test(test_spares_what_is_not_needed),
            cmocka_unit_test(test_free_memory_counts_too),
            cmocka_unit_test(test_waits_for_the_busy_and_the_leaving),
            cmocka_unit_test(test_never_touches_pinned),
            cmocka_unit_test(test_huge_numbers_do_not_wrap),
            cmocka_unit_test(test_never_over_the_limit),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
