#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void formats_and_returns_the_code(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set(&err, -EINVAL, "port %d of \"%s\"", 7, "box"), -EINVAL);
    assert_string_equal(err.text, "port 7 of \"box\"");
}

static void null_means_nobody_reads_it(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EIO, "%s", "lost"), -EIO);
    assert_int_equal(err_prefix(NULL, -EIO, "%s", "lost"), -EIO);
}

static void prefix_goes_before_the_text(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, -ENOENT, "no such file");
    assert_int_equal(err_prefix(&err, -EINVAL, "line %d", 12), -EINVAL);
    assert_string_equal(err.text, "line 12: no such file");
}

static void arguments_may_be_the_text_itself(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, -EIO, "inner");
    err_set(&err, -EIO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    err_prefix(&err, -EIO, "again %s", err.text);
    assert_string_equal(err.text, "again outer (inner): outer (inner)");
}

static void long_text_is_cut_and_terminated(void **state)
{
    (void)state;
    struct err err;
    char big[2 * ERR_TEXT_MAX];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';

    err_set(&err, -EIO, "%s", big);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    err_prefix(&err, -EIO, "head");
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "head: xxx", 9);
    err_prefix(&err, -EIO, "%s", big);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void text_stays_on_one_line(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, -EIO, "peer said \"%s\"", "a\nb\r\tc\x1b[1m\x7f");
    assert_string_equal(err.text, "peer said \"a b  c [1m \"");
    err_prefix(&err, -EIO, "two\nlines");
    assert_null(strchr(err.text, '\n'));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(formats_and_returns_the_code),
            cmocka_unit_test(null_means_nobody_reads_it),
            cmocka_unit_test(prefix_goes_before_the_text),
            cmocka_unit_test(arguments_may_be_the_text_itself),
            cmocka_unit_test(long_text_is_cut_and_terminated),
            cmocka_unit_test(text_stays_on_one_line),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
