#include "coordinator/dialects/tool_calls.h"

#include "coordinator/dialects/gathered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct tool_calls *calls, const char *json)
{
    struct msg_delta delta = {.kind = DELTA_TOOL_CALLS, .data = json, .len = strlen(json)};
    return tool_calls_add(calls, &delta);
}

static void holds(struct tool_calls *calls, size_t index, const char *id, const char *name,
        const char *arguments)
{
    struct tool_call *call = &calls->list[index];
    assert_string_equal(call->id ? call->id : "-", id);
    assert_string_equal(call->name ? call->name : "-", name);
    assert_int_equal(buf_terminate(&call->arguments), 0);
    assert_string_equal(buf_at(&call->arguments), arguments);
}

static void pieces_are_put_together(void **state)
{
    (void)state;
    struct tool_calls calls = {0};
    assert_int_equal(add(&calls, "[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                                 "\"arguments\":\"{\"}}]"),
            0);
    assert_int_equal(add(&calls, "[{\"index\":1,\"function\":{\"name\":\"g\"}},{\"index\":0,"
                                 "\"id\":\"b\",\"function\":{\"arguments\":\"}\"}}]"),
            0);
    assert_int_equal(calls.count, 2);
    holds(&calls, 0, "a", "f", "{}");
    holds(&calls, 1, "-", "g", "");
    tool_calls_drop_last(&calls);
    assert_int_equal(calls.count, 1);
    holds(&calls, 0, "a", "f", "{}");
    assert_int_equal(add(&calls, "[{\"index\":1,\"id\":\"c\"}]"), 0);
    holds(&calls, 1, "c", "-", "");
    tool_calls_fini(&calls);
    assert_int_equal(calls.count, 0);
}

static void calls_come_in_order(void **state)
{
    (void)state;
    struct tool_calls calls = {0};
    assert_int_equal(add(&calls, "[{\"index\":1}]"), -EPROTO);
    assert_int_equal(add(&calls, "[{\"index\":-1}]"), -EPROTO);
    assert_int_equal(add(&calls, "{}"), -EPROTO);
    assert_int_equal(add(&calls, ""), -EPROTO);
    assert_int_equal(calls.count, 0);
    tool_calls_fini(&calls);
}

static void calls_are_bounded_in_number_and_size(void **state)
{
    (void)state;
    struct tool_calls calls = {0};
    char piece[64];
    for (int i = 0; i <= GATHERED_TOOL_CALLS_MAX; i++) {
        (void)snprintf(piece, sizeof(piece), "[{\"index\":%d}]", i);
        assert_int_equal(add(&calls, piece), i < GATHERED_TOOL_CALLS_MAX ? 0 : -EPROTO);
    }
    assert_int_equal(calls.count, GATHERED_TOOL_CALLS_MAX);
    calls.bytes = GATHERED_BYTES_MAX - 1;
    assert_int_equal(add(&calls, "[]"), -ENOBUFS);
    tool_calls_fini(&calls);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(pieces_are_put_together),
            cmocka_unit_test(calls_come_in_order),
            cmocka_unit_test(calls_are_bounded_in_number_and_size),
    };
    return cmocka_run_group_tests_name("tool_calls", tests, NULL, NULL);
}
