#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/answers/result_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Looks over `text` in pieces of `piece` bytes. */
static int scan_in(struct result_scan *scan, const char *text, size_t piece, struct err *err)
{
    size_t len = strlen(text);
    int r = 0;

    for (size_t at = 0; r == 0 && at < len; at += piece)
        r = result_scan_push(scan, text + at, len - at < piece ? len - at : piece, err);
    return r;
}

static void assert_scans(const char *text, const char *kept, size_t entries)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct result_scan scan;

        result_scan_init(&scan, "usage", 64);
        assert_int_equal(scan_in(&scan, text, piece, NULL), 0);
        assert_true(result_scan_complete(&scan));
        assert_int_equal(scan.found, kept != NULL);
        assert_int_equal(scan.kept.len, kept ? strlen(kept) : 0);
        if (kept)
            assert_memory_equal(buf_at(&scan.kept), kept, strlen(kept));
        assert_int_equal(scan.entries, entries);
        result_scan_fini(&scan);
    }
}

static void assert_refused(const char *text, int code)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct result_scan scan;
        struct err err = {0};

        result_scan_init(&scan, "usage", 64);
        assert_int_equal(scan_in(&scan, text, piece, &err), code);
        assert_true(err.text[0] != '\0');
        result_scan_fini(&scan);
    }
}

static void assert_incomplete(const char *text)
{
    struct result_scan scan;

    result_scan_init(&scan, "usage", 64);
    assert_int_equal(scan_in(&scan, text, 3, NULL), 0);
    assert_false(result_scan_complete(&scan));
    result_scan_fini(&scan);
}

static void test_a_member_is_kept_raw(void **state)
{
    (void)state;
    assert_scans("{\"usage\":{\"prompt_tokens\":3}}", "{\"prompt_tokens\":3}", 1);
    assert_scans(" {\"a\": [1,{\"usage\":5}], \"usage\": \"x,}\\\"y\" ,\"b\":2}\r\n",
            " \"x,}\\\"y\" ", 0);
    assert_scans("{\"usage\":-1.5e3}", "-1.5e3", 0);
    assert_scans("{\"usage\":1,\"usage\":2}", "1", 0);
}

static void test_no_such_member(void **state)
{
    (void)state;
    assert_scans("{}", NULL, 0);
    assert_scans("{\"usages\":1,\"usag\":2,\"\":3}", NULL, 0);
    assert_scans("{\"a\":\"usage\",\"b\":{\"usage\":1},\"c\":[\"usage\"]}", NULL, 0);
    assert_scans("{\"usage\\\"\":1,\"\\\"usage\":2}", NULL, 0);
    assert_scans("{\"a-key-that-is-much-longer-than-what-is-kept-of-any-key-by-the-scan-usage\":1}",
            NULL, 0);
}

static void test_entries_of_an_array(void **state)
{
    (void)state;
    assert_scans("{\"usage\":[]}", "[]", 0);
    assert_scans("{\"usage\":[ ]}", "[ ]", 0);
    assert_scans("{\"usage\":[12]}", "[12]", 1);
    assert_scans("{\"usage\":[1, 23 ,\"4,5\",[6,7],{\"a\":8,\"b\":9}],\"x\":[1,2]}",
            "[1, 23 ,\"4,5\",[6,7],{\"a\":8,\"b\":9}]", 5);
}

static void test_what_is_no_object(void **state)
{
    (void)state;
    assert_refused("[]", -EPROTO);
    assert_refused("null", -EPROTO);
    assert_refused("\"a\"", -EPROTO);
    assert_refused("<html>", -EPROTO);
    assert_refused("{]", -EPROTO);
    assert_refused("{\"a\":[}", -EPROTO);
    assert_refused("}", -EPROTO);
    assert_refused("{}{", -EPROTO);
    assert_refused("{} x", -EPROTO);
}

static void test_what_is_cut(void **state)
{
    (void)state;
    assert_incomplete("");
    assert_incomplete(" ");
    assert_incomplete("{");
    assert_incomplete("{\"a\":\"}");
    assert_incomplete("{\"a\":{}");
    assert_incomplete("{\"a\":\"\\\"}");
}

static void test_a_value_that_is_too_long(void **state)
{
    struct result_scan scan;

    (void)state;
    result_scan_init(&scan, "usage", 3);
    assert_int_equal(scan_in(&scan, "{\"usage\":[1,2,3]}", 2, NULL), 0);
    assert_true(scan.found);
    assert_int_equal(scan.kept.len, 0);
    assert_int_equal(scan.entries, 3);
    result_scan_fini(&scan);
}

static void test_depth(void **state)
{
    char text[RESULT_DEPTH_MAX + 2] = "{\"a\":";
    struct result_scan scan;
    size_t len = strlen(text), depth = 1;

    (void)state;
    result_scan_init(&scan, "usage", 0);
    assert_int_equal(result_scan_push(&scan, text, len, NULL), 0);
    for (; depth < RESULT_DEPTH_MAX; depth++)
        assert_int_equal(result_scan_push(&scan, "[", 1, NULL), 0);
    assert_int_equal(result_scan_push(&scan, "{", 1, NULL), -EMSGSIZE);
    result_scan_fini(&scan);
}

static void test_length(void **state)
{
    char *blanks = malloc(RESULT_BYTES_MAX);
    struct result_scan scan;
    struct err err = {0};

    (void)state;
    assert_non_null(blanks);
    memset(blanks, ' ', RESULT_BYTES_MAX);
    result_scan_init(&scan, "usage", 0);
    assert_int_equal(result_scan_push(&scan, blanks, RESULT_BYTES_MAX - 2, NULL), 0);
    assert_int_equal(result_scan_push(&scan, "{}", 2, NULL), 0);
    assert_int_equal(result_scan_push(&scan, " ", 1, &err), -EMSGSIZE);
    assert_non_null(strstr(err.text, "longer than 16 MiB"));
    result_scan_fini(&scan);
    free(blanks);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_member_is_kept_raw),
            cmocka_unit_test(test_no_such_member),
            cmocka_unit_test(test_entries_of_an_array),
            cmocka_unit_test(test_what_is_no_object),
            cmocka_unit_test(test_what_is_cut),
            cmocka_unit_test(test_a_value_that_is_too_long),
            cmocka_unit_test(test_depth),
            cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests_name("result_scan", tests, NULL, NULL);
}
