#include "coordinator/modes/mode_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

enum { BODY_MAX = 4096 };

static const struct mode mode = {
        .name = "code", .has_temperature = true, .temperature = 0.2, .max_output = 100};

static void becomes(
        const struct mode *by, enum request_kind kind, const char *text, const char *wanted)
{
    const struct mode_answer answer = mode_answer_of(by);
    struct request_said said;
    struct buf body;
    buf_init(&body, BODY_MAX);
    assert_int_equal(buf_append_str(&body, text), 0);
    mode_body_read(kind, &body, &said);
    assert_int_equal(mode_fill_body(&answer, &said, kind, &body), 0);
    assert_int_equal(buf_terminate(&body), 0);
    assert_string_equal(buf_at(&body), wanted);
    buf_fini(&body);
}

static void what_a_client_says_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"temperature\":0.9,\"max_tokens\":7}",
            "{ \"max_tokens\" : 100 ,\"temperature\":0}",
            "{\"temperature\":1e-1,\"max_tokens\":0}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        becomes(&mode, REQUEST_CHAT, texts[i], texts[i]);
}

static void what_it_does_not_say_is_the_modes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"{}", "{\"temperature\":0.2,\"max_tokens\":100}"},
            {"{\"messages\":[{\"temperature\":3}]}",
                    "{\"messages\":[{\"temperature\":3}],\"temperature\":0.2,\"max_tokens\":100}"},
            {"{\"temperature\":null,\"max_tokens\":null}",
                    "{\"temperature\":0.2,\"max_tokens\":100}"},
            {"{\"big\":12345678901234567890,\"max_tokens\":101,\"temperature\":1}",
                    "{\"big\":12345678901234567890,\"max_tokens\":100,\"temperature\":1}"},
            {"{\"max_tokens\":-1,\"temperature\":1}", "{\"max_tokens\":100,\"temperature\":1}"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        becomes(&mode, REQUEST_CHAT, cases[i][0], cases[i][1]);
        becomes(&mode, REQUEST_COMPLETION, cases[i][0], cases[i][1]);
    }
}

static void kinds_have_their_own_words(void **state)
{
    (void)state;
    becomes(&mode, REQUEST_INFILL, "{\"n_predict\":0}", "{\"n_predict\":0,\"temperature\":0.2}");
    becomes(&mode, REQUEST_INFILL, "{\"max_tokens\":7}",
            "{\"max_tokens\":7,\"temperature\":0.2,\"n_predict\":100}");
    static const enum request_kind silent[] = {REQUEST_EMBEDDINGS, REQUEST_RERANK, REQUEST_TOKENIZE,
            REQUEST_DETOKENIZE, REQUEST_TEMPLATE, REQUEST_COUNT, REQUEST_TRANSCRIPTION};
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        becomes(&mode, silent[i], "{\"input\":\"x\"}", "{\"input\":\"x\"}");
}

static void a_mode_that_says_nothing_changes_nothing(void **state)
{
    (void)state;
    static const struct mode plain = {.name = "ask"};
    becomes(&plain, REQUEST_CHAT, "{\"max_tokens\":-1}", "{\"max_tokens\":-1}");
    becomes(&plain, REQUEST_CHAT, "{}", "{}");
    static const struct mode cold = {.name = "ask", .has_temperature = true};
    becomes(&cold, REQUEST_CHAT, "{}", "{\"temperature\":0}");
}

/* Filled for a first mode, and then for a second one. */
static void becomes_anew(
        const struct mode *first, const struct mode *second, const char *text, const char *wanted)
{
    const struct mode_answer answers[] = {mode_answer_of(first), mode_answer_of(second)};
    struct request_said said;
    struct buf body;
    buf_init(&body, BODY_MAX);
    assert_int_equal(buf_append_str(&body, text), 0);
    mode_body_read(REQUEST_CHAT, &body, &said);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(mode_fill_body(&answers[i], &said, REQUEST_CHAT, &body), 0);
    assert_int_equal(buf_terminate(&body), 0);
    assert_string_equal(buf_at(&body), wanted);
    buf_fini(&body);
}

static void another_mode_takes_the_first_ones_place(void **state)
{
    (void)state;
    static const struct mode plain = {.name = "ask"}, warm = {.name = "ask",
                                                              .has_temperature = true,
                                                              .temperature = 0.7,
                                                              .max_output = 500};
    becomes_anew(&mode, &warm, "{}", "{\"temperature\":0.7,\"max_tokens\":500}");
    becomes_anew(&mode, &plain, "{\"x\":1}", "{\"x\":1}");
    becomes_anew(&plain, &mode, "{}", "{\"temperature\":0.2,\"max_tokens\":100}");
    becomes_anew(&mode, &warm, "{\"temperature\":1,\"max_tokens\":7}",
            "{\"temperature\":1,\"max_tokens\":7}");
    /* What the first one cut is the client's again. */
    becomes_anew(&mode, &warm, "{\"max_tokens\":300,\"temperature\":1}",
            "{\"max_tokens\":300,\"temperature\":1}");
    becomes_anew(&mode, &plain, "{\"max_tokens\":3e2,\"temperature\":1}",
            "{\"max_tokens\":300,\"temperature\":1}");
}

static void a_body_without_room_stays_as_it_was(void **state)
{
    (void)state;
    static const char text[] = "{\"messages\":[]}";
    const struct mode_answer answer = mode_answer_of(&mode);
    const struct request_said said = {.limit_tokens = -1};
    struct buf body;
    buf_init(&body, strlen(text) + 10);
    assert_int_equal(buf_append_str(&body, text), 0);
    assert_int_equal(mode_fill_body(&answer, &said, REQUEST_CHAT, &body), -ENOBUFS);
    assert_int_equal(body.len, strlen(text));
    assert_memory_equal(buf_at(&body), text, strlen(text));
    buf_fini(&body);
}

/* Where a mode says nothing, and where it says 100. */
static void has_limit(enum request_kind kind, const char *text, uint32_t alone, uint32_t by_mode)
{
    static const struct mode_answer nothing = {.max_output = 0};
    const struct mode_answer answer = mode_answer_of(&mode);
    struct request_said said;
    struct buf body;
    buf_init(&body, 1000);
    assert_int_equal(buf_append_str(&body, text), 0);
    mode_body_read(kind, &body, &said);
    assert_int_equal(mode_answer_limit(&nothing, &said, kind), alone);
    assert_int_equal(mode_answer_limit(&answer, &said, kind), by_mode);
    buf_fini(&body);
}

static void the_limit_of_an_answer_is_the_lesser(void **state)
{
    (void)state;
    has_limit(REQUEST_CHAT, "{\"max_tokens\":7}", 7, 7);
    has_limit(REQUEST_INFILL, "{\"n_predict\":8,\"max_tokens\":7}", 8, 8);
    has_limit(REQUEST_CHAT, "{\"max_tokens\":1e99}", UINT32_MAX, 100);
    static const char *const unsaid[] = {
            "", "{}", "{\"max_tokens\":-1}", "{\"max_tokens\":null}", "{\"n_predict\":7}"};
    for (size_t i = 0; i < sizeof(unsaid) / sizeof(unsaid[0]); i++)
        has_limit(REQUEST_CHAT, unsaid[i], 0, 100);
    has_limit(REQUEST_CHAT, "{\"max_tokens\":0}", 0, 0);
    has_limit(REQUEST_EMBEDDINGS, "{\"max_tokens\":7}", 0, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_a_client_says_stays),
            cmocka_unit_test(what_it_does_not_say_is_the_modes),
            cmocka_unit_test(kinds_have_their_own_words),
            cmocka_unit_test(a_mode_that_says_nothing_changes_nothing),
            cmocka_unit_test(another_mode_takes_the_first_ones_place),
            cmocka_unit_test(a_body_without_room_stays_as_it_was),
            cmocka_unit_test(the_limit_of_an_answer_is_the_lesser),
    };
    return cmocka_run_group_tests_name("mode_body", tests, NULL, NULL);
}
