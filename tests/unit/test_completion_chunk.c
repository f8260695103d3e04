#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/answers/completion_chunk.h"
#include "tests/lib/delta_record.h"

#include <errno.h>
#include <string.h>

/* Recorded from llama-server b11669 and shortened. */

struct fixture {
    struct engine_answer answer;
    struct delta_record record;
    struct err err;
};

static int read_events(struct fixture *f, const char *const *events)
{
    return delta_record_read(&f->record, &f->answer, completion_chunk_read, events, &f->err);
}

static void assert_reads(const char *text, const char *expected)
{
    const char *const events[] = {text, NULL};
    struct fixture f = {0};

    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, expected);
}

static void assert_fails(const char *text, int code, const char *words)
{
    const char *const events[] = {text, NULL};
    struct fixture f = {0};

    assert_int_equal(read_events(&f, events), code);
    assert_non_null(strstr(f.err.text, words));
}

static void test_an_answer(void **state)
{
    static const char *const events[] = {
            "{\"choices\":[{\"text\":\",\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}],"
            "\"object\":\"text_completion\"}",
            "{\"choices\":[{\"text\":\" "
            "the\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}",
            "{\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":"
            "\"length\"}],"
            "\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":4,\"total_tokens\":6,"
            "\"prompt_tokens_details\":{\"cached_tokens\":1}},\"timings\":{\"cache_n\":1,\"prompt_"
            "n\":3,"
            "\"prompt_ms\":0.5,\"predicted_n\":2,\"predicted_ms\":0.25}}",
            "[DONE]", NULL};
    struct fixture f = {0};

    (void)state;
    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, "text:0:,;text:0: the;finish:0:length;");
    assert_true(f.answer.finished && f.answer.done && f.answer.has_usage);
    assert_int_equal(f.answer.usage.prompt_tokens, 4);
    assert_int_equal(f.answer.usage.cached_tokens, 1);
    assert_int_equal(f.answer.usage.completion_tokens, 2);
    assert_true(f.answer.usage.prefill_ms == 0.5f && f.answer.usage.decode_ms == 0.25f);
}

static void test_several_choices_add_up(void **state)
{
    static const char *const events[] = {"null",
            "{\"choices\":[{\"text\":\"a\",\"index\":0,\"finish_reason\":null}]}",
            "{\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":6}}",
            "{\"choices\":[{\"text\":\"b\",\"index\":1,\"finish_reason\":\"length\"}],"
            "\"usage\":{\"completion_tokens\":4,\"prompt_tokens\":6}}",
            "[DONE]", NULL};
    struct fixture f = {0};

    (void)state;
    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, "text:0:a;finish:0:stop;text:1:b;finish:1:length;");
    assert_int_equal(f.answer.usage.prompt_tokens, 6);
    assert_int_equal(f.answer.usage.completion_tokens, 5);
}

static void test_logprobs_follow_their_text(void **state)
{
    (void)state;
    assert_reads(
            "{\"choices\":[{\"text\":\"A\",\"index\":0,\"logprobs\":{\"content\":[{\"id\":1096,"
            "\"token\":\"A\",\"bytes\":[65],\"logprob\":-0.5,\"top_logprobs\":[]}]},"
            "\"finish_reason\":null}]}",
            "text:0:A;logprobs:0:{\"content\":[{\"id\":1096,\"token\":\"A\",\"bytes\":[65],"
            "\"logprob\":-0.5,\"top_logprobs\":[]}]};");
}

static void test_what_says_nothing(void **state)
{
    (void)state;
    assert_reads("{}", "");
    assert_reads("{\"choices\":[]}", "");
    assert_reads("{\"choices\":[{}]}", "");
    assert_reads("{\"choices\":[{\"text\":5,\"finish_reason\":null}]}", "");
}

static void test_broken_events_are_refused(void **state)
{
    (void)state;
    assert_fails("{\"choices\":[", -EPROTO, "not the JSON");
    assert_fails("{\"choices\":[{\"index\":128,\"text\":\"a\"}]}", -EPROTO, "unusable choice");
    assert_fails(
            "{\"error\":{\"code\":500,\"message\":\"out of cells\"}}", -EREMOTEIO, "out of cells");
}

static void test_reader_that_wants_no_more(void **state)
{
    static const char *const events[] = {
            "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}", NULL};
    struct fixture f = {.record = {.stop_after = 1}};

    (void)state;
    assert_int_equal(read_events(&f, events), -ECANCELED);
    assert_string_equal(f.record.text, "text:0:a;");
    assert_false(f.answer.finished);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_an_answer),
            cmocka_unit_test(test_several_choices_add_up),
            cmocka_unit_test(test_logprobs_follow_their_text),
            cmocka_unit_test(test_what_says_nothing),
            cmocka_unit_test(test_broken_events_are_refused),
            cmocka_unit_test(test_reader_that_wants_no_more),
    };
    return cmocka_run_group_tests_name("completion_chunk", tests, NULL, NULL);
}
