#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/answer.h"

#include <errno.h>
#include <string.h>

#define TEXT(s)                                                                                    \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" s                                 \
    "\"},\"finish_reason\":null}]}\n\n"
#define FINISH(s) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" s "\"}]}\n\n"
#define THINK(s)  "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"" s "\"}}]}\n\n"
#define DONE      "data: [DONE]\n\n"

struct seen {
    char text[256], reasoning[256];
    int refuse; /* what the callback returns */
    struct answer *answer;
    struct err err;
};

static int on_text(void *ctx, enum answer_kind kind, char *text, size_t len, struct err *err)
{
    struct seen *seen = ctx;

    if (seen->refuse)
        return err_set(err, seen->refuse, "the reader has left");
    strncat(kind == ANSWER_TEXT ? seen->text : seen->reasoning, text, len);
    return 0;
}

static int set_up(void **state)
{
    static struct seen seen;

    memset(&seen, 0, sizeof(seen));
    seen.answer = answer_create(on_text, &seen);
    *state = &seen;
    return seen.answer ? 0 : -1;
}

static int tear_down(void **state)
{
    answer_destroy(((struct seen *)*state)->answer);
    return 0;
}

static int push(struct seen *seen, const char *text)
{
    return answer_push(seen->answer, text, strlen(text), &seen->err);
}

static void joins_text_and_reasoning(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(push(seen, THINK("hm") TEXT("Hel") TEXT("lo") FINISH("stop") DONE), 0);
    assert_string_equal(seen->text, "Hello");
    assert_string_equal(seen->reasoning, "hm");
    assert_int_equal(answer_finish(seen->answer, &seen->err), 0);
    assert_string_equal(answer_finish_reason(seen->answer), "stop");
}

static void takes_bytes_one_by_one(void **state)
{
    static const char stream[] = ": hello\r\n\r\n" TEXT("gr\\u00fc\xc3\x9f") FINISH("length") DONE;
    struct seen *seen = *state;

    for (size_t i = 0; i < sizeof(stream) - 1; i++)
        assert_int_equal(answer_push(seen->answer, stream + i, 1, &seen->err), 0);
    assert_string_equal(seen->text, "grü\xc3\x9f");
    assert_string_equal(answer_finish_reason(seen->answer), "length");
}

static void on_comment(void *ctx, const char *text, size_t len)
{
    struct seen *seen = ctx;

    strncat(seen->reasoning, text, len);
}

static void tells_comments_to_who_asks(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(push(seen, ": not yet\n\n"), 0);
    answer_tell_comments(seen->answer, on_comment);
    assert_int_equal(push(seen, ": modemesh node=halo1\n\n" TEXT("x") FINISH("stop") DONE), 0);
    assert_string_equal(seen->reasoning, "modemesh node=halo1");
    assert_string_equal(seen->text, "x");
}

static void an_answer_without_finish_is_no_answer(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(push(seen, TEXT("Hel") DONE), 0);
    assert_int_equal(answer_finish(seen->answer, &seen->err), -ECONNRESET);
    assert_non_null(strstr(seen->err.text, "before it was complete"));
}

static void an_error_event_ends_it(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(
            push(seen, TEXT("Hel") "data: {\"error\":{\"message\":\"the engine died\"}}\n\n"),
            -EREMOTEIO);
    assert_string_equal(seen->err.text, "the engine died");
    assert_string_equal(seen->text, "Hel");
}

static void an_error_after_the_finish_counts(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(push(seen, FINISH("stop") "data: {\"error\":{}}\n\n"), -EREMOTEIO);
    assert_string_equal(seen->err.text, "the answer failed");
}

static void refuses_what_is_no_chat_stream(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(push(seen, "data: hello\n\n"), -EPROTO);
    assert_non_null(strstr(seen->err.text, "not a chat stream"));
}

static void survives_odd_shapes(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(
            push(seen, "data: 1\n\ndata: {\"choices\":3}\n\ndata: "
                       "{\"choices\":[1,{\"delta\":[]},null]}\n\n"
                       "data: {\"choices\":[{\"delta\":{\"content\":7},\"finish_reason\":4}]}\n\n"),
            0);
    assert_string_equal(seen->text, "");
    assert_string_equal(answer_finish_reason(seen->answer), "");
}

static void passes_on_what_the_reader_says(void **state)
{
    struct seen *seen = *state;

    seen->refuse = -EPIPE;
    assert_int_equal(push(seen, TEXT("x")), -EPIPE);
    assert_string_equal(seen->err.text, "the reader has left");
}

static void bounds_one_event(void **state)
{
    static char big[ANSWER_EVENT_MAX + 64];
    struct seen *seen = *state;

    memset(big, 'x', sizeof(big));
    memcpy(big, "data: ", 6);
    assert_int_equal(answer_push(seen->answer, big, sizeof(big), &seen->err), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(joins_text_and_reasoning, set_up, tear_down),
            cmocka_unit_test_setup_teardown(takes_bytes_one_by_one, set_up, tear_down),
            cmocka_unit_test_setup_teardown(tells_comments_to_who_asks, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    an_answer_without_finish_is_no_answer, set_up, tear_down),
            cmocka_unit_test_setup_teardown(an_error_event_ends_it, set_up, tear_down),
            cmocka_unit_test_setup_teardown(an_error_after_the_finish_counts, set_up, tear_down),
            cmocka_unit_test_setup_teardown(refuses_what_is_no_chat_stream, set_up, tear_down),
            cmocka_unit_test_setup_teardown(survives_odd_shapes, set_up, tear_down),
            cmocka_unit_test_setup_teardown(passes_on_what_the_reader_says, set_up, tear_down),
            cmocka_unit_test_setup_teardown(bounds_one_event, set_up, tear_down),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_answer", tests, NULL, NULL);
}
