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

static int add(struct gathered *gathered, uint32_t choice, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.kind = kind, .choice = choice, .data = data, .len = strlen(data)};
    return gathered_add(gathered, &delta);
}

static void gives(const struct gathered *gathered, uint32_t choice,
        int (*append)(const struct gathered *gathered, uint32_t choice, struct buf *out),
        const char *text)
{
    struct buf out;
    buf_init(&out, 10000);
    assert_int_equal(append(gathered, choice, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), text);
    buf_fini(&out);
}

static void text_and_reasoning_are_joined(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(2);
    assert_int_equal(add(gathered, 0, DELTA_REASONING, "Let "), 0);
    assert_int_equal(add(gathered, 0, DELTA_REASONING, "me"), 0);
    assert_int_equal(add(gathered, 0, DELTA_TEXT, "a\""), 0);
    assert_int_equal(add(gathered, 1, DELTA_TEXT, "other"), 0);
    assert_int_equal(add(gathered, 0, DELTA_TEXT, "b"), 0);
    assert_int_equal(add(gathered, 0, DELTA_PROGRESS, "prefill"), 0);
    assert_string_equal(gathered_finish(gathered, 0), "");
    assert_int_equal(add(gathered, 0, DELTA_FINISH, "stop"), 0);
    assert_string_equal(gathered_finish(gathered, 0), "stop");
    assert_string_equal(gathered_finish(gathered, 1), "");
    gives(gathered, 0, gathered_append_message,
            "{\"role\":\"assistant\",\"content\":\"a\\\"b\",\"reasoning_content\":\"Let me\"}");
    gives(gathered, 1, gathered_append_message, "{\"role\":\"assistant\",\"content\":\"other\"}");
    gathered_destroy(gathered);
}

static void tool_calls_are_put_together(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(1);
    assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS,
                             "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"read\","
                             "\"arguments\":\"{\\\"p\"}}]"),
            0);
    assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS,
                             "[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]"),
            0);
    assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS,
                             "[{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"list\"}},{"
                             "\"index\":0,\"id\":\"late\"}]"),
            0);
    gives(gathered, 0, gathered_append_message,
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
            "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{"
            "\\\"p\\\":1}\"}},"
            "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"list\",\"arguments\":"
            "\"\"}}]}");
    gathered_destroy(gathered);
}

static void the_text_stands_alone_too(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(1);
    gives(gathered, 0, gathered_append_text, "\"\"");
    assert_int_equal(add(gathered, 0, DELTA_TEXT, "a\n"), 0);
    assert_false(gathered_has_calls(gathered, 0));
    assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS, "[{\"id\":\"c\"}]"), 0);
    assert_true(gathered_has_calls(gathered, 0));
    gives(gathered, 0, gathered_append_text, "\"a\\n\"");
    gathered_destroy(gathered);
}

static void fragments_without_an_index_count_from_their_place(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(1);
    assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS,
                             "[{\"id\":\"a\",\"function\":{\"name\":\"x\"}},{\"id\":\"b\","
                             "\"function\":{\"name\":\"y\"}}]"),
            0);
    gives(gathered, 0, gathered_append_message,
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
            "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"x\",\"arguments\":\"\"}},"
            "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"y\",\"arguments\":\"\"}}]"
            "}");
    gathered_destroy(gathered);
}

static void logprobs_are_joined(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(1);
    gives(gathered, 0, gathered_append_logprobs, "null");
    assert_int_equal(add(gathered, 0, DELTA_LOGPROBS, "{\"content\":null}"), 0);
    gives(gathered, 0, gathered_append_logprobs, "{\"content\":[]}");
    assert_int_equal(add(gathered, 0, DELTA_LOGPROBS, "{\"content\": [{\"token\":\"a\"}]}"), 0);
    assert_int_equal(
            add(gathered, 0, DELTA_LOGPROBS,
                    "{\"content\":[{\"token\":\"b\",\"logprob\":-0.5},{\"token\":\"c\"}]}"),
            0);
    gives(gathered, 0, gathered_append_logprobs,
            "{\"content\":[{\"token\":\"a\"},{\"token\":\"b\",\"logprob\":-0.5},{\"token\":\"c\"}]"
            "}");
    gathered_destroy(gathered);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t choice;
        enum delta_kind kind;
        const char *data;
    } cases[] = {
            {1, DELTA_TEXT, "no such choice"},
            {UINT32_MAX, DELTA_TEXT, "x"},
            {0, DELTA_TOOL_CALLS, "{\"index\":0}"},
            {0, DELTA_TOOL_CALLS, "[{\"index\":1}]"},
            {0, DELTA_TOOL_CALLS, "[{\"index\":-1}]"},
            {0, DELTA_TOOL_CALLS, "[{\"index\":1e99}]"},
            {0, DELTA_TOOL_CALLS, "["},
            {0, DELTA_TOOL_CALLS, ""},
            {0, DELTA_LOGPROBS, "[]"},
            {0, DELTA_LOGPROBS, "x"},
            {0, DELTA_FINISH, ""},
            {0, DELTA_FINISH, "a reason that is much too long to be one"},
    };
    struct gathered *gathered = gathered_create(1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(add(gathered, cases[i].choice, cases[i].kind, cases[i].data), -EPROTO);
    gathered_destroy(gathered);
}

static void tool_calls_have_a_limit(void **state)
{
    (void)state;
    struct gathered *gathered = gathered_create(1);
    char text[64];
    for (int i = 0; i <= GATHERED_TOOL_CALLS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "[{\"index\":%d}]", i);
        assert_int_equal(add(gathered, 0, DELTA_TOOL_CALLS, text),
                i < GATHERED_TOOL_CALLS_MAX ? 0 : -EPROTO);
    }
    gathered_destroy(gathered);
}

static void bytes_have_a_limit_for_all_choices_together(void **state)
{
    (void)state;
    size_t len = GATHERED_BYTES_MAX / 2;
    char *text = calloc(1, len);
    struct gathered *gathered = gathered_create(2);
    struct msg_delta delta = {.kind = DELTA_TEXT, .data = text, .len = len};
    assert_int_equal(gathered_add(gathered, &delta), 0);
    delta.choice = 1;
    assert_int_equal(gathered_add(gathered, &delta), 0);
    delta.len = 1;
    assert_int_equal(gathered_add(gathered, &delta), -ENOBUFS);
    gathered_destroy(gathered);
    free(text);
}

static void nothing_is_destroyed(void **state)
{
    (void)state;
    gathered_destroy(NULL);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(text_and_reasoning_are_joined),
            cmocka_unit_test(tool_calls_are_put_together),
            cmocka_unit_test(the_text_stands_alone_too),
            cmocka_unit_test(fragments_without_an_index_count_from_their_place),
            cmocka_unit_test(logprobs_are_joined),
            cmocka_unit_test(nonsense_is_refused),
            cmocka_unit_test(tool_calls_have_a_limit),
            cmocka_unit_test(bytes_have_a_limit_for_all_choices_together),
            cmocka_unit_test(nothing_is_destroyed),
    };
    return cmocka_run_group_tests_name("gathered", tests, NULL, NULL);
}
