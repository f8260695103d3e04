#include "coordinator/auto/text_hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct text_hints hints_of(const char *text)
{
    struct text_hints hints;
    text_hints_init(&hints);
    text_hints_add(&hints, text, strlen(text));
    return hints;
}

static void words_are(const char *text, const char *wanted)
{
    char words[TEXT_HINTS_WORDS_MAX + 1];
    struct text_hints hints = hints_of(text);
    text_hints_words(&hints, words);
    assert_string_equal(words, wanted);
}

static void the_users_words_are_what_no_editor_put_there(void **state)
{
    (void)state;
    words_are("", "");
    words_are("one\ntwo", "one\ntwo\n");
    words_are("do it\n```c\nint fix;\n```\nnow", "do it\nnow\n");
    words_are("do it\n~~~\nfix", "do it\n");
    words_are("<environment_details>\nplan\n</environment_details>\ndo it", "do it\n");
    words_are("  <system-reminder>plan</system-reminder>\ndo it", "do it\n");
    words_are("do it\n<system-reminder>\nplan", "do it\n");
    words_are("a <system-reminder> in a line\ndo it", "a <system-reminder> in a line\ndo it\n");
    words_are("```\n<system-reminder>\n```\ndo it", "do it\n");
}

static void each_text_ends_its_blocks(void **state)
{
    (void)state;
    char words[TEXT_HINTS_WORDS_MAX + 1];
    struct text_hints hints;
    text_hints_init(&hints);
    text_hints_add(&hints, "```\ncode", 8);
    text_hints_add(&hints, "<system-reminder>\nx", 19);
    text_hints_add(&hints, "mine", 4);
    text_hints_words(&hints, words);
    assert_string_equal(words, "mine\n");
    assert_int_equal(hints.fences, 1);
}

static void of_long_words_both_ends_are_kept(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    char *text = calloc(LINES, 8), words[TEXT_HINTS_WORDS_MAX + 1];
    for (size_t i = 0; i < LINES; i++)
        (void)snprintf(text + i * 6, 7, "w%04zu\n", i);
    struct text_hints hints = hints_of(text);
    text_hints_words(&hints, words);
    assert_int_equal(strlen(words), TEXT_HINTS_WORDS_MAX);
    assert_memory_equal(words, text, TEXT_HINTS_HEAD);
    assert_string_equal(words + TEXT_HINTS_HEAD, text + (size_t)LINES * 6 - TEXT_HINTS_TAIL);
    free(text);
}

static void no_more_is_looked_at_than_the_limit(void **state)
{
    (void)state;
    struct text_hints hints;
    size_t size = TEXT_HINTS_SCAN_MAX;
    char *text = calloc(1, size + 32);
    memset(text, 'x', size + 20);
    memcpy(text + size, "\n```\n```\n", 9);
    text_hints_init(&hints);
    text_hints_add(&hints, text, size + 9);
    text_hints_add(&hints, "```", 3);
    assert_int_equal(hints.fences, 0);
    assert_int_equal(hints.scanned, TEXT_HINTS_SCAN_MAX);
    free(text);
}

static void traces_of_many_languages_are_seen(void **state)
{
    (void)state;
    static const char *const traces[] = {"    at Object.run (/srv/app.js:3:9)",
            "\tat org.example.Main.main(Main.java:4)", "  File \"x.py\", line 3, in f",
            "#0  0x00007ffff7a4 in raise ()", "Traceback (most recent call last):",
            "goroutine 1 [running]:", "panic: runtime error: index out of range",
            "thread 'main' panicked at src/main.rs:2:5:", "Caused by: java.io.IOException",
            "TypeError: x is undefined", "2026-11-21 ERROR node3 lost its lease",
            "main.c:3:1: error: expected ';'", "Segmentation fault (core dumped)"};
    static const char *const none[] = {"at noon (we meet)?", "at home", "errors happen",
            "# heading in markdown", "#define X 1 in 0x2", "File it under line"};
    for (size_t i = 0; i < LENGTH(traces); i++)
        if (hints_of(traces[i]).trace_lines != 1)
            fail_msg("not seen: %s", traces[i]);
    for (size_t i = 0; i < LENGTH(none); i++)
        if (hints_of(none[i]).trace_lines != 0)
            fail_msg("taken for a trace: %s", none[i]);
}

static void hunks_of_diffs_are_counted(void **state)
{
    (void)state;
    assert_int_equal(
            hints_of("```diff\ndiff --git a/x b/x\n@@ -1,2 +1,3 @@\n-a\n+b\n```").diff_hunks, 2);
    assert_int_equal(hints_of("*** Begin Patch\n").diff_hunks, 1);
    assert_int_equal(hints_of("a @@ -1 b").diff_hunks, 0);
}

static void files_are_counted_once_each(void **state)
{
    (void)state;
    assert_int_equal(
            hints_of("see src/main.c, lib/a.py:12 and \"main.c\". Also src/main.c.").file_count, 3);
    assert_int_equal(hints_of("```ts web/app.tsx\nimport x from 'y.ts'\n```").file_count, 1);
    assert_int_equal(hints_of("e.g. this, v1.2, .c, example.com, and so on...").file_count, 0);
    char text[64 * 12] = "";
    for (unsigned i = 0; i < 64; i++)
        (void)snprintf(text + strlen(text), 12, "f%u.c ", i);
    assert_int_equal(hints_of(text).file_count, TEXT_HINTS_FILES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_users_words_are_what_no_editor_put_there),
            cmocka_unit_test(each_text_ends_its_blocks),
            cmocka_unit_test(of_long_words_both_ends_are_kept),
            cmocka_unit_test(no_more_is_looked_at_than_the_limit),
            cmocka_unit_test(traces_of_many_languages_are_seen),
            cmocka_unit_test(hunks_of_diffs_are_counted),
            cmocka_unit_test(files_are_counted_once_each),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("text_hints", tests, NULL, NULL);
}
