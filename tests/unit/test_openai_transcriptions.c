#include "coordinator/dialects/openai/openai.h"
#include "tests/lib/dialect_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=xyz"
#define FIELD(name, data)                                                                          \
    "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" data "\r\n"
#define SOUND                                                                                      \
    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"               \
    "Content-Type: audio/wav\r\n\r\nRIFF\r\n"
#define END "--xyz--\r\n"

static const struct dialect *const transcriptions = &dialect_openai_transcriptions;

static int parse(struct dialect_case *test, const char *body)
{
    return dialect_case_parse_with(test, transcriptions, body, strlen(body), TYPE, NULL, NULL);
}

static void a_form_becomes_json(void **state)
{
    (void)state;
    struct dialect_case test;
    assert_int_equal(parse(&test, FIELD("model", "whisper") FIELD("language", "de") SOUND FIELD(
                                          "prompt", "a \"b\"") FIELD("temperature", "0.5")
                                          FIELD("include[]", "logprobs") END),
            0);
    assert_string_equal(test.request.asked, "whisper");
    assert_int_equal(test.request.kind, REQUEST_TRANSCRIPTION);
    assert_int_equal(test.request.needs, CAPABILITY_AUDIO);
    assert_null(test.request.whole_type);
    assert_int_equal(buf_terminate(&test.request.body), 0);
    assert_string_equal(buf_at(&test.request.body),
            "{\"response_format\":\"json\",\"language\":\"de\",\"file\":{\"name\":\"a.wav\","
            "\"data\":\"UklGRg==\"},\"prompt\":\"a \\\"b\\\"\",\"temperature\":0.5}");
    dialect_case_fini(&test);
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"{}", NULL, "boundary"},
            {END, "file", "must have a \"file\""},
            {SOUND SOUND END, "file", "not several"},
            {FIELD("file", "") END, "file", "empty"},
            {SOUND FIELD("response_format", "verbose_json") END, "response_format", "times"},
            {SOUND FIELD("response_format", "srt") END, "response_format", "times"},
            {SOUND FIELD("temperature", "2") END, "temperature", "from 0 to 1"},
            {SOUND FIELD("temperature", "nan") END, "temperature", "from 0 to 1"},
            {SOUND FIELD("temperature", "0.5x") END, "temperature", "from 0 to 1"},
            {SOUND FIELD("temperature", "") END, "temperature", "from 0 to 1"},
            {SOUND FIELD("model",
                     "0123456789012345678901234567890123456789012345678901234567890123"
                     "01234567890123456789012345678901234567890123456789012345678901234") END,
                    "model", "128"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        assert_int_equal(parse(&test, cases[i].body), -EINVAL);
        if (!strstr(test.err.text, cases[i].text))
            fail_msg("case %zu: \"%s\"", i, test.err.text);
        if (cases[i].param)
            assert_string_equal(test.param, cases[i].param);
        else
            assert_null(test.param);
        assert_int_equal(test.request.body.len, 0);
        dialect_case_fini(&test);
    }
}

static void a_body_that_is_no_form_is_refused(void **state)
{
    (void)state;
    dialect_case_refuses(transcriptions, "{\"file\":\"x\"}", NULL, "multipart/form-data");
}

static void a_file_has_a_limit(void **state)
{
    (void)state;
    static const char head[] = "--xyz\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    size_t file_max = 24 * 1024 * 1024, head_len = strlen(head);
    for (size_t more = 0; more <= 1; more++) {
        struct dialect_case test;
        size_t len = head_len + file_max + more;
        char *body = malloc(len + 16);
        memset(body, 'x', len);
        memcpy(body, head, head_len);
        memcpy(body + len, "\r\n--xyz--", 9);
        assert_int_equal(
                dialect_case_parse_with(&test, transcriptions, body, len + 9, TYPE, NULL, NULL),
                more ? -EINVAL : 0);
        dialect_case_fini(&test);
        free(body);
    }
}

static void a_field_has_a_limit(void **state)
{
    (void)state;
    enum { MAX = 16 * 1024 };
    static char body[MAX + 400], text[MAX + 2];
    for (size_t len = MAX; len <= MAX + 1; len++) {
        struct dialect_case test;
        memset(text, 'x', len);
        text[len] = '\0';
        snprintf(body, sizeof(body), SOUND FIELD("prompt", "%s") END, text);
        assert_int_equal(parse(&test, body), len == MAX ? 0 : -EINVAL);
        dialect_case_fini(&test);
    }
}

static void an_answer_is_json_or_text(void **state)
{
    (void)state;
    struct dialect_case test;
    assert_int_equal(parse(&test, SOUND FIELD("stream", "true") END), 0);
    assert_string_equal(test.request.skipped, "field stream");
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, "{\"text\":\"a \\\"b\\\"\"}"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_USAGE, 0, ""), 0);
    assert_int_equal(transcriptions->whole(test.answer, &test.out), 0);
    dialect_case_wrote(&test,
            "{\"text\":\"a \\\"b\\\"\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":5,"
            "\"output_tokens\":3,\"total_tokens\":8}}");
    dialect_case_fini(&test);

    assert_int_equal(parse(&test, SOUND FIELD("response_format", "text") END), 0);
    assert_string_equal(test.request.whole_type, "text/plain; charset=utf-8");
    dialect_case_answer(&test);
    assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, "{\"text\":\"a \\\"b\\\"\"}"), 0);
    assert_int_equal(transcriptions->whole(test.answer, &test.out), 0);
    dialect_case_wrote(&test, "a \"b\"\n");
    dialect_case_fini(&test);
}

static void answers_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const results[] = {"", "[]", "{}", "{\"text\":7}", "{\"text\":\"a\""};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct dialect_case test;
        assert_int_equal(parse(&test, SOUND END), 0);
        dialect_case_answer(&test);
        assert_int_equal(dialect_case_delta(&test, DELTA_RESULT, 0, results[i]), 0);
        assert_int_equal(transcriptions->whole(test.answer, &test.out), -EPROTO);
        dialect_case_fini(&test);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_form_becomes_json),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(a_body_that_is_no_form_is_refused),
            cmocka_unit_test(a_file_has_a_limit),
            cmocka_unit_test(a_field_has_a_limit),
            cmocka_unit_test(an_answer_is_json_or_text),
            cmocka_unit_test(answers_of_another_shape_are_refused),
    };
    return cmocka_run_group_tests_name("openai_transcriptions", tests, NULL, NULL);
}
