#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/answers/native_chunk.h"
#include "tests/lib/delta_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Recorded from llama-server b11669 and shortened. */

struct fixture {
    struct engine_answer answer;
    struct delta_record record;
    struct err err;
};

static int read_events(struct fixture *f, const char *const *events)
{
    return delta_record_read(&f->record, &f->answer, native_chunk_read, events, &f->err);
}

static void assert_reads(const char *text, const char *expected)
{
    const char *const events[] = {text, NULL};
    struct fixture f = {0};

    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, expected);
}

static void test_an_answer(void **state)
{
    static const char *const events[] = {
            "{\"index\":0,\"content\":\",\",\"tokens\":[44],\"stop\":false,\"id_slot\":-1,"
            "\"tokens_predicted\":1,\"tokens_evaluated\":7}",
            "{\"index\":0,\"content\":\" editor\",\"tokens\":[487],\"stop\":false,"
            "\"timings\":{\"prompt_n\":99}}",
            "{\"index\":0,\"content\":\"\",\"stop\":true,\"stop_type\":\"limit\",\"truncated\":"
            "false,"
            "\"tokens_evaluated\":7,\"timings\":{\"cache_n\":6,\"prompt_n\":1,\"prompt_ms\":0.5,"
            "\"predicted_n\":2,\"predicted_ms\":1.5}}",
            NULL};
    struct fixture f = {0};

    (void)state;
    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, "text:0:,;text:0: editor;finish:0:length;");
    assert_true(f.answer.finished && f.answer.has_usage && !f.answer.done);
    assert_int_equal(f.answer.usage.prompt_tokens, 7);
    assert_int_equal(f.answer.usage.cached_tokens, 6);
    assert_int_equal(f.answer.usage.completion_tokens, 2);
    assert_true(f.answer.usage.prefill_ms == 0.5f && f.answer.usage.decode_ms == 1.5f);
}

static void assert_stops(const char *how, const char *reason)
{
    char event[128], expected[32];

    snprintf(event, sizeof(event), "{\"content\":\"\",\"stop\":true,%s}", how);
    snprintf(expected, sizeof(expected), "finish:0:%s;", reason);
    assert_reads(event, expected);
}

static void test_why_it_stopped(void **state)
{
    (void)state;
    assert_stops("\"stop_type\":\"eos\"", "stop");
    assert_stops("\"stop_type\":\"word\",\"stopping_word\":\"e\"", "stop");
    assert_stops("\"stop_type\":\"limit\"", "length");
    assert_stops("\"stop_type\":\"none\"", "stop");
    assert_stops("\"stop_type\":\"eos\",\"truncated\":true", "length");
    assert_stops("\"x\":1", "stop");
}

static void test_several_choices_add_up(void **state)
{
    static const char *const events[] = {"{\"index\":0,\"content\":\"a\",\"stop\":false}",
            "{\"index\":1,\"content\":\"b\",\"stop\":false}",
            "{\"index\":0,\"content\":\"\",\"stop\":true,\"stop_type\":\"limit\","
            "\"tokens_evaluated\":7,\"timings\":{\"predicted_n\":2}}",
            "{\"index\":1,\"content\":\"\",\"stop\":true,\"stop_type\":\"eos\","
            "\"tokens_evaluated\":7,\"timings\":{\"predicted_n\":3}}",
            NULL};
    struct fixture f = {0};

    (void)state;
    assert_int_equal(read_events(&f, events), 0);
    assert_string_equal(f.record.text, "text:0:a;text:1:b;finish:0:length;finish:1:stop;");
    assert_int_equal(f.answer.usage.prompt_tokens, 7);
    assert_int_equal(f.answer.usage.completion_tokens, 5);
}

static void test_probabilities_in_the_shape_of_logprobs(void **state)
{
    (void)state;
    assert_reads("{\"index\":0,\"content\":\",\",\"stop\":false,\"completion_probabilities\":[{"
                 "\"id\":44,"
                 "\"token\":\",\",\"logprob\":-0.5}]}",
            "text:0:,;logprobs:0:{\"content\":[{\"id\":44,\"token\":\",\",\"logprob\":-0.5}]};");
}

static void test_what_says_nothing(void **state)
{
    (void)state;
    assert_reads("null", "");
    assert_reads("[]", "");
    assert_reads("{}", "");
    assert_reads("{\"content\":5,\"stop\":\"true\"}", "");
}

static void test_broken_events_are_refused(void **state)
{
    static const char *const events[] = {"{\"index\":-1,\"content\":\"a\"}", NULL};
    struct fixture f = {0};

    (void)state;
    assert_int_equal(read_events(&f, events), -EPROTO);
    assert_non_null(strstr(f.err.text, "unusable choice"));
}

static void test_reader_that_wants_no_more(void **state)
{
    static const char *const events[] = {
            "{\"content\":\"a\",\"stop\":true,\"stop_type\":\"eos\",\"timings\":{}}", NULL};
    struct fixture f = {.record = {.stop_after = 1}};

    (void)state;
    assert_int_equal(read_events(&f, events), -ECANCELED);
    assert_false(f.answer.finished || f.answer.has_usage);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_an_answer),
            cmocka_unit_test(test_why_it_stopped),
            cmocka_unit_test(test_several_choices_add_up),
            cmocka_unit_test(test_probabilities_in_the_shape_of_logprobs),
            cmocka_unit_test(test_what_says_nothing),
            cmocka_unit_test(test_broken_events_are_refused),
            cmocka_unit_test(test_reader_that_wants_no_more),
    };
    return cmocka_run_group_tests_name("native_chunk", tests, NULL, NULL);
}
