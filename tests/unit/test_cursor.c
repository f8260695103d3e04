#include "coordinator/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4096 };

/* A file whose bytes are nowhere the same for long. */
static const char *file(void)
{
    static char text[FILE_MAX + 1];
    unsigned state = 1;
    for (size_t i = 0; i < FILE_MAX; i++) {
        state = state * 1103515245 + 12345;
        text[i] = (char)('a' + (state >> 16) % 26);
    }
    return text;
}

struct place { /* what stands around the cursor, as the file has it, and what was typed there */
    size_t at, before, after;
    const char *typed, *closed;
};

static struct cursor *cursor_at(const struct place *place)
{
    char before[FILE_MAX + 64] = "", after[FILE_MAX + 64] = "";
    const char *text = file();
    strncat(before, text + place->at - place->before, place->before);
    if (place->typed)
        strcat(before, place->typed);
    if (place->closed)
        strcat(after, place->closed);
    strncat(after, text + place->at, place->after);
    struct cursor *cursor = cursor_create(before, "", after);
    assert_non_null(cursor);
    return cursor;
}

static bool follows(struct place older, struct place newer)
{
    struct cursor *a = cursor_at(&older), *b = cursor_at(&newer);
    bool is = cursor_is_keystroke(a, b);
    assert_int_equal(cursor_is_keystroke(b, a), is); /* typed, or taken away */
    free(a);
    free(b);
    return is;
}

static void what_is_typed_is_a_keystroke(void **state)
{
    (void)state;
    const struct place place = {.at = 1000, .before = 300, .after = 300};
    struct place next = place;
    static const char *const typed[] = {"x", "xy", "\n\t\t", "0123456789abcdef"};
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        next.typed = typed[i];
        assert_true(follows(place, next));
    }
}

static void an_editor_closes_brackets(void **state)
{
    (void)state;
    const struct place place = {.at = 1000, .before = 300, .after = 300};
    struct place next = place;
    next.typed = "(";
    next.closed = ")";
    assert_true(follows(place, next));
}

static void the_cursor_may_step_over_what_is_there(void **state)
{
    (void)state;
    assert_true(follows((struct place){.at = 1000, .before = 300, .after = 300},
            (struct place){.at = 1001, .before = 301, .after = 299}));
}

/* Clients send so many lines, or so many tokens: what they send may begin and end elsewhere. */
static void the_window_may_move(void **state)
{
    (void)state;
    assert_true(follows((struct place){.at = 1000, .before = 700, .after = 300},
            (struct place){.at = 1000, .before = 640, .after = 280, .typed = "\n"}));
    assert_true(follows((struct place){.at = 1000, .before = 60, .after = 40},
            (struct place){.at = 1000, .before = 50, .after = 40, .typed = "\n"}));
}

/* Several suggestions are asked for on purpose. */
static void the_same_text_is_none(void **state)
{
    (void)state;
    const struct place place = {.at = 1000, .before = 300, .after = 300};
    assert_false(follows(place, place));
}

/* What would come after a suggestion is asked for before it is taken. */
static void a_suggestion_is_none(void **state)
{
    (void)state;
    const struct place place = {.at = 1000, .before = 300, .after = 300};
    struct place next = place;
    next.typed = "0123456789abcdefg";
    assert_int_equal(strlen(next.typed), CURSOR_KEYS_MAX + 1);
    assert_false(follows(place, next));
    next.typed = NULL;
    next.closed = "0123456789abcdefg";
    assert_false(follows(place, next));
}

static void another_place_is_none(void **state)
{
    (void)state;
    const struct place place = {.at = 1000, .before = 300, .after = 300};
    assert_false(follows(place, (struct place){.at = 2000, .before = 300, .after = 300}));
    assert_false(follows(place, (struct place){.at = 1017, .before = 317, .after = 283}));
}

/* New files look alike. */
static void little_text_is_not_enough(void **state)
{
    (void)state;
    struct place place = {.at = 1000, .before = CURSOR_SAME_MIN - 33, .after = 32};
    struct place next = place;
    next.typed = "x";
    assert_false(follows(place, next));
    place.before++;
    next.before++;
    assert_true(follows(place, next));
    place.after = next.after = 0;
    assert_false(follows(place, next));
}

static void of_long_texts_the_ends_count(void **state)
{
    (void)state;
    char before[CURSOR_BEFORE_MAX + 200], after[CURSOR_AFTER_MAX + 200], other[sizeof(before)];
    memcpy(before, file(), sizeof(before));
    memcpy(other, file(), sizeof(other));
    memcpy(after, file() + 2000, sizeof(after));
    before[sizeof(before) - 1] = other[sizeof(other) - 1] = after[sizeof(after) - 1] = '\0';
    other[0] = '!';
    struct cursor *older = cursor_create(before, "", after);
    struct cursor *newer = cursor_create(other, "x", after);
    assert_true(cursor_is_keystroke(older, newer));
    free(newer);
    other[sizeof(other) - 2] = '!';
    newer = cursor_create(other, "x", after);
    assert_false(cursor_is_keystroke(older, newer));
    free(newer);
    free(older);
}

static void the_line_belongs_to_what_is_before(void **state)
{
    (void)state;
    char text[601];
    memcpy(text, file(), 600);
    text[600] = '\0';
    struct cursor *older = cursor_create(text, "if (", "\n}\n");
    struct cursor *newer = cursor_create(text, "if (x", "\n}\n");
    struct cursor *whole = cursor_create("", text, "\n}\n");
    assert_true(cursor_is_keystroke(older, newer));
    assert_true(cursor_is_keystroke(whole, older));
    free(older);
    free(newer);
    free(whole);
}

/* Where all that is known is the same, nobody knows whether something was typed. */
static void a_text_that_repeats_itself_tells_nothing(void **state)
{
    (void)state;
    char spaces[601];
    memset(spaces, ' ', 600);
    spaces[600] = '\0';
    struct cursor *older = cursor_create(spaces, "", ""), *newer = cursor_create(spaces, " ", "");
    assert_false(cursor_is_keystroke(older, newer));
    free(older);
    free(newer);
}

static void none_is_known(void **state)
{
    (void)state;
    struct cursor *cursor = cursor_create(file(), "", "");
    assert_false(cursor_is_keystroke(NULL, cursor));
    assert_false(cursor_is_keystroke(cursor, NULL));
    free(cursor);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_typed_is_a_keystroke),
            cmocka_unit_test(an_editor_closes_brackets),
            cmocka_unit_test(the_cursor_may_step_over_what_is_there),
            cmocka_unit_test(the_window_may_move),
            cmocka_unit_test(the_same_text_is_none),
            cmocka_unit_test(a_suggestion_is_none),
            cmocka_unit_test(another_place_is_none),
            cmocka_unit_test(little_text_is_not_enough),
            cmocka_unit_test(of_long_texts_the_ends_count),
            cmocka_unit_test(the_line_belongs_to_what_is_before),
            cmocka_unit_test(a_text_that_repeats_itself_tells_nothing),
            cmocka_unit_test(none_is_known),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
