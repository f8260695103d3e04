#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/refusals.h"

#include <stdio.h>

static const char *key(unsigned number)
{
    static char text[KEY_Z85_LEN + 1];
    snprintf(text, sizeof(text), "%040u", number);
    return text;
}

static void test_each_key_once_in_a_while(void **state)
{
    struct refusals refusals = {0};
    uint64_t now_ms = 1000;
    (void)state;
    assert_true(refusals_tell(&refusals, key(1), now_ms));
    assert_true(refusals_tell(&refusals, key(2), now_ms));
    for (int i = 0; i < 1000; i++) {
        assert_false(refusals_tell(&refusals, key(1), now_ms + (uint64_t)i * 100));
        assert_false(refusals_tell(&refusals, key(2), now_ms + (uint64_t)i * 100));
    }
    assert_false(refusals_tell(&refusals, key(1), now_ms + REFUSALS_REPEAT_MS - 1));
    assert_true(refusals_tell(&refusals, key(1), now_ms + REFUSALS_REPEAT_MS));
    assert_false(refusals_tell(&refusals, key(1), now_ms + REFUSALS_REPEAT_MS + 1));
}

static void test_a_flood_of_new_keys_is_bounded(void **state)
{
    struct refusals refusals = {0};
    unsigned told = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        told += refusals_tell(&refusals, key(i), 5000 + i);
    assert_int_equal(told, REFUSALS_LINES_PER_MINUTE);
    assert_true(refusals_tell(&refusals, key(77777), 5000 + 60 * 1000));
}

static void test_the_oldest_key_is_forgotten(void **state)
{
    struct refusals refusals = {0};
    uint64_t minute_ms = 60 * 1000;
    (void)state;
    for (unsigned i = 0; i <= REFUSALS_KEYS_MAX; i++)
        assert_true(refusals_tell(&refusals, key(i), i * minute_ms / 2));
    uint64_t now_ms = REFUSALS_KEYS_MAX * minute_ms / 2 + 1;
    assert_true(now_ms < REFUSALS_REPEAT_MS);
    assert_true(refusals_tell(&refusals, key(0), now_ms));
    assert_false(refusals_tell(&refusals, key(2), now_ms));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_key_once_in_a_while),
            cmocka_unit_test(test_a_flood_of_new_keys_is_bounded),
            cmocka_unit_test(test_the_oldest_key_is_forgotten),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
