#include "coordinator/dialects/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void only_what_stands_in_the_request_is_taken(void **state)
{
    (void)state;
    static const char *const inside[] = {
            "data:image/png;base64,AAAA", "DATA:IMAGE/jpeg;charset=x;base64,"};
    static const char *const outside[] = {"", "http://10.0.0.1/a.png", "https://example.org/a.png",
            "file:///etc/passwd", "/etc/passwd", "data:text/html;base64,AAAA",
            "data:image/png,AAAA", " data:image/png;base64,AAAA",
            "http://10.0.0.1/data:image/png;base64,AAAA"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
        assert_true(picture_is_inline(inside[i]));
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        assert_false(picture_is_inline(outside[i]));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(only_what_stands_in_the_request_is_taken),
    };
    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
