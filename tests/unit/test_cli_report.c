#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

static void times_are_for_people_or_programs(void **state)
{
    char buf[32];

    (void)state;
    assert_string_equal(
            report_time(TABLE_TEXT, 1780272059999, buf, sizeof(buf)), "2026-06-01 00:00");
    assert_string_equal(report_time(TABLE_RAW, 1780272059999, buf, sizeof(buf)), "1780272059999");
    assert_string_equal(report_time(TABLE_TEXT, 0, buf, sizeof(buf)), "-");
    assert_string_equal(report_time(TABLE_JSON, 0, buf, sizeof(buf)), "0");
    assert_true(strlen(report_time(TABLE_TEXT, UINT64_MAX, buf, sizeof(buf))) < sizeof(buf));
}

static void assert_list(const char *json, enum table_format format, size_t size, const char *wanted)
{
    char buf[64];
    cJSON *array = cJSON_Parse(json);

    assert_string_equal(report_list(format, array, buf, size), wanted);
    cJSON_Delete(array);
}

static void lists_have_the_separator_of_their_format(void **state)
{
    (void)state;
    assert_list("[\"a\",\"b\"]", TABLE_TEXT, 64, "a, b");
    assert_list("[\"a\",\"b\"]", TABLE_RAW, 64, "a,b");
    assert_list("[\"a\",\"b\"]", TABLE_JSON, 64, "a\nb");
    assert_list("[\"a\"]", TABLE_TEXT, 64, "a");
    assert_list("[]", TABLE_TEXT, 64, "");
    assert_list("not JSON", TABLE_TEXT, 64, "");
}

static void a_list_leaves_out_what_does_not_fit(void **state)
{
    (void)state;
    assert_list("[\"abc\",\"def\",\"ghi\"]", TABLE_TEXT, 9, "abc, def");
    assert_list("[\"abc\",\"def\"]", TABLE_TEXT, 8, "abc");
    assert_list("[\"abc\"]", TABLE_TEXT, 3, "");
}

static void own_json_ends_with_a_newline(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct buf body;

    (void)state;
    buf_init(&body, 64);
    assert_int_equal(buf_append_str(&body, "{\"a\":1}"), 0);
    report_print_json(&body, out);
    assert_int_equal(buf_append_str(&body, "\n"), 0);
    report_print_json(&body, out);
    fclose(out);
    assert_string_equal(text, "{\"a\":1}\n{\"a\":1}\n");
    buf_fini(&body);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(times_are_for_people_or_programs),
            cmocka_unit_test(lists_have_the_separator_of_their_format),
            cmocka_unit_test(a_list_leaves_out_what_does_not_fit),
            cmocka_unit_test(own_json_ends_with_a_newline),
    };

    setenv("TZ", "UTC", 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_report", tests, NULL, NULL);
}
