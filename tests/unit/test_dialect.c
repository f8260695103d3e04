#include "coordinator/dialects/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void content_is_what_a_client_would_see(void **state)
{
    (void)state;
    static const struct {
        enum delta_kind kind;
        size_t len;
        bool content;
    } cases[] = {{DELTA_TEXT, 1, true}, {DELTA_TEXT, 0, false}, {DELTA_REASONING, 1, true},
            {DELTA_REASONING, 0, false}, {DELTA_TOOL_CALLS, 2, true}, {DELTA_LOGPROBS, 2, true},
            {DELTA_FINISH, 4, true}, {DELTA_USAGE, 0, false}, {DELTA_PROGRESS, 7, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct msg_delta msg = {.kind = cases[i].kind, .data = "content", .len = cases[i].len};
        assert_int_equal(delta_is_content(&msg), cases[i].content);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(content_is_what_a_client_would_see),
    };
    return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
