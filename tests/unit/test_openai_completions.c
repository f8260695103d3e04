#include "coordinator/cursor.h"
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

#define HEAD                                                                                       \
    "{\"id\":\"cmpl-req_1\",\"object\":\"text_completion\",\"created\":17,\"model\":\"small\""
#define CHUNK(text, logprobs)                                                                      \
    "data: " HEAD ",\"choices\":[{\"index\":0,\"text\":\"" text "\",\"logprobs\":" logprobs        \
    ",\"finish_reason\":null}]}\n\n"
#define FINISH                                                                                     \
    "data: " HEAD ",\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":"  \
    "\"stop\"}]}\n\n"
#define USAGE                                                                                      \
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_tokens\":8,"                   \
    "\"prompt_tokens_details\":{\"cached_tokens\":2}}"

static const struct dialect *const completions = &dialect_openai_completions;

static void passes(const char *body, const char *text)
{
    dialect_case_passes(completions, body, text);
}

static void refuses(const char *body, const char *param, const char *text)
{
    dialect_case_refuses(completions, body, param, text);
}

/* --- requests --- */

static void a_prompt_passes_as_it_is(void **state)
{
    (void)state;
    static const char *const bodies[] = {
            " {\"model\":\"m\",\"prompt\":\"a\\u0062\", \"n\":2,\"x\":1.0}", "{\"prompt\":\"\"}",
            "{\"prompt\":[1,2,3]}", "{\"prompt\":\"a\",\"suffix\":null}"};
    struct dialect_case test;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        passes(bodies[i], bodies[i]);
    assert_int_equal(dialect_case_parse(&test, completions, bodies[0]), 0);
    assert_string_equal(test.request.asked, "m");
    assert_int_equal(test.request.choices, 2);
    assert_int_equal(test.request.kind, REQUEST_COMPLETION);
    assert_int_equal(test.request.lane, LANE_CHAT);
    assert_int_equal(test.request.needs, 0);
    dialect_case_fini(&test);
}

static void one_prompt_may_stand_in_an_array(void **state)
{
    (void)state;
    passes("{\"prompt\":[\"a\"]}", "{\"prompt\":\"a\"}");
    passes("{\"prompt\":[[1,2]]}", "{\"prompt\":[1,2]}");
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"{", NULL, "no usable JSON"},
            {"{}", "prompt", "not nothing"},
            {"{\"prompt\":7}", "prompt", "not a number"},
            {"{\"prompt\":[]}", "prompt", "not an array of something else"},
            {"{\"prompt\":[1.5]}", "prompt", "token ids"},
            {"{\"prompt\":[-1]}", "prompt", "token ids"},
            {"{\"prompt\":[1,\"a\"]}", "prompt", "token ids"},
            {"{\"prompt\":[[]]}", "prompt", "token ids"},
            {"{\"prompt\":[\"a\",\"b\"]}", "prompt", "2 prompts"},
            {"{\"prompt\":[[1],[2],[3]]}", "prompt", "3 prompts"},
            {"{\"prompt\":\"a\",\"echo\":true}", "echo", "cannot be true"},
            {"{\"prompt\":\"a\",\"echo\":1}", "echo", "not a number"},
            {"{\"prompt\":\"a\",\"best_of\":0}", "best_of", "from 1 to 20"},
            {"{\"prompt\":\"a\",\"logprobs\":21}", "logprobs", "from 0 to 20"},
            {"{\"prompt\":\"a\",\"logprobs\":true}", "logprobs", "not a boolean"},
            {"{\"prompt\":\"a\",\"suffix\":1}", "suffix", "not a number"},
            {"{\"prompt\":\"a\",\"n\":17}", "n", "not 17"},
            {"{\"prompt\":\"a\",\"max_tokens\":\"9\"}", "max_tokens", "not a string"},
            {"{\"prompt\":[1],\"suffix\":\"b\"}", "prompt", "a string"},
            {"{\"prompt\":\"a\",\"suffix\":\"b\",\"n\":2}", "n", "must be 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(cases[i].body, cases[i].param, cases[i].text);
}

static void the_best_of_some_is_the_first(void **state)
{
    (void)state;
    struct dialect_case test;
    passes("{\"prompt\":\"a\",\"best_of\":3}", "{\"prompt\":\"a\"}");
    assert_int_equal(dialect_case_parse(&test, completions, "{\"prompt\":\"a\",\"best_of\":3}"), 0);
    assert_string_equal(test.request.skipped, "field best_of");
    dialect_case_fini(&test);
    assert_int_equal(
            dialect_case_parse(&test, completions, "{\"prompt\":\"a\",\"n\":3,\"best_of\":3}"), 0);
    assert_string_equal(test.request.skipped, "");
    dialect_case_fini(&test);
}

static void a_suffix_makes_it_infill(void **state)
{
    (void)state;
    static const char body[] =
            "{\"model\":\"m\",\"prompt\":\"a\",\"suffix\":\"b\",\"max_tokens\":9,\"stop\":\"x\","
            "\"temperature\":0.2,\"stream\":true,\"logprobs\":2,\"echo\":false}";
    struct dialect_case test;
    passes(body, "{\"model\":\"m\",\"prompt\":\"\",\"stop\":[\"x\"],\"temperature\":0.2,"
                 "\"stream\":true,\"input_suffix\":\"b\",\"input_prefix\":\"a\",\"n_predict\":9}");
    assert_int_equal(dialect_case_parse(&test, completions, body), 0);
    assert_int_equal(test.request.kind, REQUEST_INFILL);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE);
    assert_int_equal(test.request.needs, CAPABILITY_FIM);
    assert_string_equal(test.request.skipped, "field logprobs");
    assert_non_null(test.request.cursor);
    dialect_case_fini(&test);
    passes("{\"prompt\":\"a\",\"suffix\":\"b\",\"max_completion_tokens\":3,\"stop\":[\"x\"]}",
            "{\"prompt\":\"\",\"stop\":[\"x\"],\"n_predict\":3,\"input_suffix\":\"b\","
            "\"input_prefix\":\"a\"}");
    passes("{\"prompt\":\"a\",\"suffix\":\"b\",\"max_tokens\":3,\"n_predict\":4,\"stop\":[\"x\"]}",
            "{\"prompt\":\"\",\"n_predict\":4,\"stop\":[\"x\"],\"input_suffix\":\"b\","
            "\"input_prefix\":\"a\"}");
}

static void an_empty_suffix_is_a_completion_at_a_cursor(void **state)
{
    (void)state;
    static const char body[] = "{\"prompt\":\"a\",\"suffix\":\"\"}";
    struct dialect_case test;
    passes(body, "{\"prompt\":\"a\"}");
    assert_int_equal(dialect_case_parse(&test, completions, body), 0);
    assert_int_equal(test.request.kind, REQUEST_COMPLETION);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE);
    assert_int_equal(test.request.needs, 0);
    assert_non_null(test.request.cursor);
    dialect_case_fini(&test);
}

/* Writes a prompt around a cursor in a file. */
static void write_fim(char body[1024], const char *before, const char *after, const char *more)
{
    (void)snprintf(body, 1024, "{\"prompt\":\"<|fim_prefix|>%s<|fim_suffix|>%s<|fim_middle|>\"%s}",
            before, after, more);
}

static struct cursor *cursor_of(const char *before, const char *after)
{
    char body[1024];
    struct dialect_case test;
    write_fim(body, before, after, "");
    assert_int_equal(dialect_case_parse(&test, completions, body), 0);
    struct cursor *cursor = test.request.cursor;
    test.request.cursor = NULL;
    dialect_case_fini(&test);
    return cursor;
}

static void a_prompt_with_a_models_tokens_comes_from_a_cursor(void **state)
{
    (void)state;
    static const struct {
        const char *before, *more;
        enum request_lane lane;
        bool cursor;
    } cases[] = {{"int a", "", LANE_AUTOCOMPLETE, true},
            {"int a", ",\"max_tokens\":0", LANE_AUTOCOMPLETE, false}, /* fills the cache */
            {"puts(<|fim_suffix|>)", "", LANE_AUTOCOMPLETE, false},   /* where does it end? */
            {"int a", ",\"suffix\":null", LANE_AUTOCOMPLETE, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        char body[1024];
        write_fim(body, cases[i].before, ";", cases[i].more);
        assert_int_equal(dialect_case_parse(&test, completions, body), 0);
        assert_int_equal(test.request.kind, REQUEST_COMPLETION);
        assert_int_equal(test.request.lane, cases[i].lane);
        assert_int_equal(test.request.needs, 0); /* whoever was asked by name answers */
        assert_int_equal(test.request.cursor != NULL, cases[i].cursor);
        dialect_case_fini(&test);
    }
    passes("{\"prompt\":\"<PRE> a <SUF>b <MID>\"}", "{\"prompt\":\"<PRE> a <SUF>b <MID>\"}");
}

static void what_is_typed_is_seen_between_a_models_tokens(void **state)
{
    (void)state;
    static const char
            file[] = "the quick brown fox jumps over the lazy dog and then it sleeps all day",
            next[] = "the quick brown fox jumps over the lazy dog and then it sleeps all day l";
    static const char rest[] = "; return them all to their owners }";
    struct cursor *older = cursor_of(file, rest), *newer = cursor_of(next, rest);
    struct cursor *elsewhere = cursor_of(next, "end of another file, and a long one");
    assert_true(cursor_is_keystroke(older, newer));
    assert_false(cursor_is_keystroke(older, elsewhere));
    assert_false(cursor_is_keystroke(newer, newer)); /* several suggestions */
    free(older);
    free(newer);
    free(elsewhere);
}

static void what_speaks_of_tokens_is_a_completion(void **state)
{
    (void)state;
    static const char *const bodies[] = {
            "{\"prompt\":\"What is <|fim_prefix|>, <|fim_suffix|> and <|fim_middle|> for?\"}",
            "{\"prompt\":\"a\"}", "{\"prompt\":[1,2]}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct dialect_case test;
        assert_int_equal(dialect_case_parse(&test, completions, bodies[i]), 0);
        assert_int_equal(test.request.lane, LANE_CHAT);
        assert_null(test.request.cursor);
        dialect_case_fini(&test);
    }
}

static void only_a_text_at_a_cursor_has_one(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{\"prompt\":\"a\"}", "{\"prompt\":[1],\"suffix\":\"\"}",
            "{\"prompt\":\"a\",\"suffix\":\"b\",\"max_tokens\":0}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct dialect_case test;
        assert_int_equal(dialect_case_parse(&test, completions, bodies[i]), 0);
        assert_null(test.request.cursor);
        dialect_case_fini(&test);
    }
}

/* --- answers --- */

static void begin(struct dialect_case *test, const char *members)
{
    char body[400];
    snprintf(body, sizeof(body), "{\"prompt\":\"a\"%s}", members);
    assert_int_equal(dialect_case_parse(test, completions, body), 0);
    dialect_case_answer(test);
}

static void says(
        struct dialect_case *test, enum delta_kind kind, const char *data, const char *text)
{
    assert_int_equal(dialect_case_delta(test, kind, 0, data), 0);
    dialect_case_wrote(test, text);
}

static void a_stream_has_openais_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    assert_int_equal(completions->stream_begin(test.answer, &test.out), 0);
    dialect_case_wrote(&test, CHUNK("", "null"));
    says(&test, DELTA_TEXT, "a\n\"", CHUNK("a\\n\\\"", "null"));
    says(&test, DELTA_REASONING, "hm", "");
    says(&test, DELTA_PROGRESS, "prefill", "");
    assert_int_equal(completions->stream_idle(test.answer, &test.out), 0);
    dialect_case_wrote(&test, CHUNK("", "null"));
    assert_int_equal(completions->stream_end(test.answer, &test.out), -EPROTO);
    says(&test, DELTA_FINISH, "stop", FINISH);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "more"), -EPROTO);
    says(&test, DELTA_USAGE, "", "");
    assert_int_equal(completions->stream_end(test.answer, &test.out), 0);
    dialect_case_wrote(&test, "data: " HEAD ",\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n");
    dialect_case_fini(&test);
}

#define ENTRY(token, number)                                                                       \
    "{\"content\":[{\"token\":\"" token "\",\"logprob\":-" number ",\"top_logprobs\":["            \
    "{\"token\":\"" token "\",\"logprob\":-" number "},{\"token\":\"o\",\"logprob\":-9},"          \
    "{\"token\":\"o\",\"logprob\":-10}]}]}"

static void log_probs_have_the_older_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"stream\":true,\"logprobs\":2");
    says(&test, DELTA_TEXT, "é!", "");
    says(&test, DELTA_LOGPROBS, ENTRY("é!", "0.5"),
            CHUNK("é!", "{\"tokens\":[\"é!\"],\"token_logprobs\":[-0.5],\"top_logprobs\":[{"
                        "\"é!\":-0.5,\"o\":-9}],\"text_offset\":[0]}"));
    says(&test, DELTA_TEXT, "b", "");
    says(&test, DELTA_LOGPROBS, ENTRY("b", "0.25"),
            CHUNK("b", "{\"tokens\":[\"b\"],\"token_logprobs\":[-0.25],\"top_logprobs\":[{"
                       "\"b\":-0.25,\"o\":-9}],\"text_offset\":[2]}"));
    says(&test, DELTA_FINISH, "stop", FINISH);
    dialect_case_fini(&test);
}

static void a_whole_answer_has_openais_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"logprobs\":0");
    says(&test, DELTA_TEXT, "ab", "");
    says(&test, DELTA_LOGPROBS, ENTRY("a", "0.5"), "");
    says(&test, DELTA_LOGPROBS, ENTRY("b", "1"), "");
    assert_int_equal(completions->whole(test.answer, &test.out), -EPROTO);
    says(&test, DELTA_FINISH, "length", "");
    says(&test, DELTA_USAGE, "", "");
    assert_int_equal(completions->whole(test.answer, &test.out), 0);
    dialect_case_wrote(&test,
            HEAD ",\"choices\":[{\"index\":0,\"text\":\"ab\",\"logprobs\":{\"tokens\":[\"a\",\"b\"]"
                 ",\"token_logprobs\":[-0.5,-1],\"top_logprobs\":null,\"text_offset\":[0,1]},"
                 "\"finish_reason\":\"length\"}]," USAGE "}");
    dialect_case_fini(&test);
}

static void infill_is_answered_in_the_same_shape(void **state)
{
    (void)state;
    struct dialect_case test;
    begin(&test, ",\"suffix\":\"z\"");
    says(&test, DELTA_TEXT, "b", "");
    says(&test, DELTA_FINISH, "stop", "");
    assert_int_equal(completions->whole(test.answer, &test.out), 0);
    assert_int_equal(buf_terminate(&test.out), 0);
    assert_non_null(strstr(buf_at(&test.out), "\"text\":\"b\",\"logprobs\":null"));
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_prompt_passes_as_it_is),
            cmocka_unit_test(one_prompt_may_stand_in_an_array),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(the_best_of_some_is_the_first),
            cmocka_unit_test(a_suffix_makes_it_infill),
            cmocka_unit_test(a_prompt_with_a_models_tokens_comes_from_a_cursor),
            cmocka_unit_test(what_is_typed_is_seen_between_a_models_tokens),
            cmocka_unit_test(what_speaks_of_tokens_is_a_completion),
            cmocka_unit_test(only_a_text_at_a_cursor_has_one),
            cmocka_unit_test(an_empty_suffix_is_a_completion_at_a_cursor),
            cmocka_unit_test(a_stream_has_openais_shape),
            cmocka_unit_test(log_probs_have_the_older_shape),
            cmocka_unit_test(a_whole_answer_has_openais_shape),
            cmocka_unit_test(infill_is_answered_in_the_same_shape),
    };
    return cmocka_run_group_tests_name("openai_completions", tests, NULL, NULL);
}
