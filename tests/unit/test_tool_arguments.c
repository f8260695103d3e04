#include "coordinator/dialects/tool_arguments.h"

#include "common/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

/* What goes out of `text`, given in pieces of `step` bytes, and closed. */
static void run(const char *text, size_t step, struct buf *out)
{
    struct tool_arguments arguments = {0};
    for (size_t at = 0, left = strlen(text); left > 0;) {
        size_t len = step < left ? step : left;
        assert_int_equal(tool_arguments_push(&arguments, text + at, len, out), 0);
        at += len;
        left -= len;
    }
    assert_int_equal(tool_arguments_close(&arguments, out), 0);
    assert_int_equal(buf_terminate(out), 0);
}

static void becomes(const char *text, const char *wanted)
{
    for (size_t step = 1; step <= 64; step += 21) {
        struct buf out;
        cJSON *json;
        buf_init(&out, 10000);
        run(text, step, &out);
        assert_string_equal(buf_at(&out), wanted);
        assert_int_equal(json_parse(buf_at(&out), out.len, &json_limits_event, &json, NULL), 0);
        assert_true(cJSON_IsObject(json));
        cJSON_Delete(json);
        buf_fini(&out);
    }
}

static void sound_objects_pass(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"a\":1}", "{\"a\":[],\"b\":{\"c\":[1,[2,3]]}}",
            "{\"a\":true,\"b\":false,\"c\":null}", "{\"\":\"\"}",
            "{\"n\":[0,-0,10,-1.5,1e5,2E-3,0.25e+7,12345678901234567890]}",
            "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\x7f\"}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        becomes(texts[i], texts[i]);
}

static void blanks_between_tokens_go(void **state)
{
    (void)state;
    becomes(" { \"a\" :\t[ 1 , 2 ] ,\r\n \"b c\": \" \" } \n", "{\"a\":[1,2],\"b c\":\" \"}");
}

static void what_is_cut_off_is_closed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", "{}"}, {" ", "{}"}, {"{", "{}"},
            {"{\"a", "{\"a\":null}"}, {"{\"a\"", "{\"a\":null}"}, {"{\"a\":", "{\"a\":null}"},
            {"{\"a\":1", "{\"a\":1}"}, {"{\"a\":1,", "{\"a\":1}"}, {"{\"a\":-", "{\"a\":-0}"},
            {"{\"a\":1.", "{\"a\":1.0}"}, {"{\"a\":1e", "{\"a\":1e0}"},
            {"{\"a\":1e-", "{\"a\":1e-0}"}, {"{\"a\":tr", "{\"a\":true}"},
            {"{\"a\":n", "{\"a\":null}"}, {"{\"a\":\"x", "{\"a\":\"x\"}"},
            {"{\"a\":\"x\\", "{\"a\":\"x\"}"}, {"{\"a\":\"x\\u00", "{\"a\":\"x\"}"},
            {"{\"a\":[1,", "{\"a\":[1]}"}, {"{\"a\":[{\"b\":[", "{\"a\":[{\"b\":[]}]}"},
            {"{\"a\":\"\\ud83d", "{\"a\":\"\xef\xbf\xbd\"}"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        becomes(cases[i][0], cases[i][1]);
}

static void what_fits_nowhere_ends_it(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"hello", "{}"}, {"[1]", "{}"}, {"\"{}\"", "{}"},
            {"null", "{}"}, {"{}{}", "{}"}, {"{\"a\":1} and more", "{\"a\":1}"}, {"{a:1}", "{}"},
            {"{\"a\" 1}", "{\"a\":null}"}, {"{\"a\":1,}", "{\"a\":1}"},
            {"{\"a\":[1,]}", "{\"a\":[1]}"}, {"{\"a\":1]", "{\"a\":1}"},
            {"{\"a\":[1}", "{\"a\":[1]}"}, {"{\"a\":01}", "{\"a\":0}"},
            {"{\"a\":--1}", "{\"a\":-0}"}, {"{\"a\":1.x}", "{\"a\":1.0}"},
            {"{\"a\":'x'}", "{\"a\":null}"}, {"{\"a\":True}", "{\"a\":null}"},
            {"{\"a\":trUe}", "{\"a\":true}"}, {"{\"a\":\"\\x41\"}", "{\"a\":\"\"}"},
            {"{\"a\":\"\\u00g0\"}", "{\"a\":\"\"}"}, {"{,}", "{}"}, {"{1:2}", "{}"},
            {"{\"a\":1 2}", "{\"a\":1}"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        becomes(cases[i][0], cases[i][1]);
}

static void strings_become_what_every_reader_takes(void **state)
{
    (void)state;
    becomes("{\"a\":\"\\u00e9\\u20ac\\ud83d\\ude00\\u0041\"}",
            "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
            "A\"}");
    becomes("{\"a\":\"\\u0022\\u005C\\u0009\"}", "{\"a\":\"\\u0022\\u005c\\u0009\"}");
    becomes("{\"a\":\"\\u0000\"}", "{\"a\":\"\xef\xbf\xbd\"}");
    becomes("{\"a\":\"\\ud83dx\"}", "{\"a\":\"\xef\xbf\xbdx\"}");
    becomes("{\"a\":\"\\ud83d\\n\"}", "{\"a\":\"\xef\xbf\xbd\\n\"}");
    becomes("{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "{\"a\":\"\xef\xbf\xbd\xf0\x9f\x98\x80\"}");
    becomes("{\"a\":\"\\ude00\"}", "{\"a\":\"\xef\xbf\xbd\"}");
    becomes("{\"a\":\"\\ud83d\"}", "{\"a\":\"\xef\xbf\xbd\"}");
}

static void line_breaks_in_strings_are_mended(void **state)
{
    (void)state;
    becomes("{\"a\":\"x\ny\tz\r\x01\"}", "{\"a\":\"x\\ny\\tz\\r\\u0001\"}");
    becomes("{\"a\":\"\\ud83d\n\"}", "{\"a\":\"\xef\xbf\xbd\\n\"}");
}

static void nesting_and_numbers_have_limits(void **state)
{
    (void)state;
    char text[200] = "{\"a\":", wanted[200] = "{\"a\":";
    memset(text + 5, '[', 100);
    memset(wanted + 5, '[', TOOL_ARGUMENTS_DEPTH_MAX - 1);
    memset(wanted + 5 + TOOL_ARGUMENTS_DEPTH_MAX - 1, ']', TOOL_ARGUMENTS_DEPTH_MAX - 1);
    strcat(wanted, "}");
    becomes(text, wanted);
    memset(text + 5, '1', 100);
    memset(wanted, 0, sizeof(wanted));
    strcpy(wanted, "{\"a\":");
    memset(wanted + 5, '1', TOOL_ARGUMENTS_NUMBER_MAX);
    strcat(wanted, "}");
    becomes(text, wanted);
    text[5 + TOOL_ARGUMENTS_NUMBER_MAX - 1] = 'e';
    wanted[5 + TOOL_ARGUMENTS_NUMBER_MAX - 1] = '}';
    wanted[5 + TOOL_ARGUMENTS_NUMBER_MAX] = '\0';
    becomes(text, wanted);
    text[5 + TOOL_ARGUMENTS_NUMBER_MAX - 1] = '1';
    text[5 + TOOL_ARGUMENTS_NUMBER_MAX] = '.';
    wanted[5 + TOOL_ARGUMENTS_NUMBER_MAX - 1] = '1';
    strcpy(wanted + 5 + TOOL_ARGUMENTS_NUMBER_MAX, "}");
    becomes(text, wanted);
    becomes("{\"a\":1e308}", "{\"a\":1e308}");
    becomes("{\"a\":1e309}", "{\"a\":1e30}");
}

static void an_object_is_complete_at_its_last_bracket(void **state)
{
    (void)state;
    struct tool_arguments arguments = {0};
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(tool_arguments_push(&arguments, "{\"a\":{}", 7, &out), 0);
    assert_false(tool_arguments_complete(&arguments));
    assert_int_equal(tool_arguments_push(&arguments, "} ", 2, &out), 0);
    assert_true(tool_arguments_complete(&arguments));
    assert_int_equal(out.len, 8);
    assert_int_equal(tool_arguments_close(&arguments, &out), 0);
    assert_int_equal(out.len, 8);
    buf_fini(&out);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct tool_arguments arguments = {0};
    struct buf out;
    buf_init(&out, 3);
    assert_int_equal(tool_arguments_push(&arguments, "{\"abc\"", 6, &out), -ENOBUFS);
    assert_int_equal(tool_arguments_close(&arguments, &out), -ENOBUFS);
    buf_fini(&out);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(sound_objects_pass),
            cmocka_unit_test(blanks_between_tokens_go),
            cmocka_unit_test(what_is_cut_off_is_closed),
            cmocka_unit_test(what_fits_nowhere_ends_it),
            cmocka_unit_test(strings_become_what_every_reader_takes),
            cmocka_unit_test(line_breaks_in_strings_are_mended),
            cmocka_unit_test(nesting_and_numbers_have_limits),
            cmocka_unit_test(an_object_is_complete_at_its_last_bracket),
            cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests_name("tool_arguments", tests, NULL, NULL);
}
