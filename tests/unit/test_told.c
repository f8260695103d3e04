#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/trust/told.h"

#include <stdio.h>

enum { MINUTE_MS = 60 * 1000 };

static const char *key(unsigned number)
{
    static char text[KEY_Z85_LEN + 1];
    (void)snprintf(text, sizeof(text), "%040u", number);
    return text;
}

static void each_key_once_in_a_while(void **state)
{
    struct told told = {0};
    uint64_t now_ms = 1000;
    (void)state;
    assert_true(told_tell(&told, 0, key(1), now_ms));
    assert_true(told_tell(&told, 0, key(2), now_ms));
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(told_tell(&told, 0, key(1), now_ms + i * 100));
        assert_false(told_tell(&told, 0, key(2), now_ms + i * 100));
    }
    assert_false(told_tell(&told, 0, key(1), now_ms + TOLD_REPEAT_MS - 1));
    assert_true(told_tell(&told, 0, key(1), now_ms + TOLD_REPEAT_MS));
    assert_false(told_tell(&told, 0, key(1), now_ms + TOLD_REPEAT_MS + 1));
}

static void each_kind_is_told_by_itself(void **state)
{
    struct told told = {0};
    (void)state;
    assert_true(told_tell(&told, 3, key(1), 1000));
    assert_true(told_tell(&told, 4, key(1), 1000));
    assert_false(told_tell(&told, 3, key(1), 1000));
    assert_false(told_tell(&told, 4, key(1), 1000));
}

static void a_flood_of_new_keys_is_bounded(void **state)
{
    struct told told = {0};
    unsigned lines = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        lines += told_tell(&told, 0, key(i), 5000 + i);
    assert_int_equal(lines, TOLD_LINES_PER_MINUTE);
    assert_true(told_tell(&told, 0, key(77777), 5000 + MINUTE_MS));
}

static void the_oldest_line_is_forgotten(void **state)
{
    struct told told = {0};
    uint64_t gap_ms = MINUTE_MS / TOLD_LINES_PER_MINUTE;
    (void)state;
    for (unsigned i = 0; i <= TOLD_MAX; i++)
        assert_true(told_tell(&told, 0, key(i), i * gap_ms));
    uint64_t now_ms = (TOLD_MAX + 1) * gap_ms;
    assert_true(now_ms < TOLD_REPEAT_MS);
    assert_true(told_tell(&told, 0, key(0), now_ms));
    assert_false(told_tell(&told, 0, key(2), now_ms));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_key_once_in_a_while),
            cmocka_unit_test(each_kind_is_told_by_itself),
            cmocka_unit_test(a_flood_of_new_keys_is_bounded),
            cmocka_unit_test(the_oldest_line_is_forgotten),
    };
    return cmocka_run_group_tests_name("told", tests, NULL, NULL);
}
