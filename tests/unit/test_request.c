#include "coordinator/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void what_was_left_out_is_noted_once(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    request_skip(&request, "tool web_search");
    request_skip(&request, "tool web");
    request_skip(&request, "tool web_search");
    request_skip(&request, "search");
    assert_string_equal(request.skipped, "tool web_search, tool web, search");
    request_fini(&request);
}

static void a_long_list_ends_with_an_ellipsis(void **state)
{
    (void)state;
    struct request request;
    char what[32];
    request_init(&request);
    for (int i = 0; i < 100; i++) {
        snprintf(what, sizeof(what), "tool number_%d", i);
        request_skip(&request, what);
        assert_true(strlen(request.skipped) <= REQUEST_SKIPPED_MAX);
    }
    const char *end = strstr(request.skipped, ", …");
    assert_non_null(end);
    assert_string_equal(end, ", …");
    request_fini(&request);
}

static void one_that_is_too_long_alone_leaves_the_ellipsis(void **state)
{
    (void)state;
    struct request request;
    char what[REQUEST_SKIPPED_MAX + 50];
    memset(what, 'x', sizeof(what) - 1);
    what[sizeof(what) - 1] = '\0';
    request_init(&request);
    request_skip(&request, what);
    assert_string_equal(request.skipped, "…");
    request_skip(&request, "a");
    assert_string_equal(request.skipped, "…");
    request_fini(&request);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_was_left_out_is_noted_once),
            cmocka_unit_test(a_long_list_ends_with_an_ellipsis),
            cmocka_unit_test(one_that_is_too_long_alone_leaves_the_ellipsis),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
