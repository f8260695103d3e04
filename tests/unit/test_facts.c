#include "coordinator/auto/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct facts facts_of(const char *text)
{
    struct facts facts;
    cJSON *body = cJSON_Parse(text);
    assert_non_null(body);
    facts_read(body, &facts);
    cJSON_Delete(body);
    return facts;
}

static void what_a_chat_brings_is_counted(void **state)
{
    (void)state;
    struct facts facts = facts_of(
            "{\"messages\":[{\"role\":\"system\",\"content\":\"0123456789\"},"
            "{\"role\":\"user\",\"content\":\"01234\"},"
            "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"123\",\"tool_calls\":"
            "[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"result\"},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see a.c\"},"
            "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA\"}}]}],"
            "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read_file\"}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"str_replace_editor\"}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"TodoWrite\"}}]}");
    assert_int_equal(facts.messages, 5);
    assert_int_equal(facts.turns, 2);
    assert_int_equal(facts.tools, 3);
    assert_int_equal(facts.editing_tools, 1);
    assert_int_equal(facts.tool_results, 1);
    assert_int_equal(facts.images, 1);
    assert_int_equal(facts.files, 1);
    assert_string_equal(facts.words, "see a.c\n");
    assert_in_range(facts.said_bytes, 5 + 3 + 6 + 7, 60);
    assert_true(facts.bytes >= facts.said_bytes + 10 + strlen("read_filestr_replace_editor"));
}

#define FIM "<fim_prefix>a<fim_suffix>b<fim_middle>"

static void only_a_completions_prompt_has_a_models_tokens(void **state)
{
    (void)state;
    struct facts facts = facts_of("{\"prompt\":\"" FIM "\"}");
    assert_non_null(facts.fim);
    assert_non_null(strstr(facts.fim, "StarCoder"));
    static const char *const others[] = {"{\"prompt\":\"a\"}", "{\"prompt\":[1]}", "{}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"" FIM "\"}]}",
            "{\"messages\":[],\"prompt\":\"" FIM "\"}"};
    for (size_t i = 0; i < LENGTH(others); i++)
        assert_null(facts_of(others[i]).fim);
}

static void only_what_was_said_last_gives_hints(void **state)
{
    (void)state;
    struct facts facts = facts_of(
            "{\"messages\":[{\"role\":\"user\",\"content\":\"fix x.c\\n```\\n@@ -1\\n```\"},"
            "{\"role\":\"assistant\",\"content\":\"```\\npanic: x\\n```\"},"
            "{\"role\":\"user\",\"content\":\"thanks\"},"
            "{\"role\":\"tool\",\"content\":\"Error: y.c\"}]}");
    assert_int_equal(facts.fences + facts.diff_hunks + facts.trace_lines + facts.files, 0);
    assert_string_equal(facts.words, "thanks\n");
}

static void a_conversation_is_known_by_its_opening(void **state)
{
    (void)state;
    static const char text[] = "{\"messages\":[{\"role\":\"system\",\"content\":\"%s\"},"
                               "{\"role\":\"user\",\"content\":%s}%s]}";
    static const struct {
        const char *system, *user, *more;
        bool same;
        uint32_t answers;
    } cases[] = {{"a", "\"fix x\"", "", true, 0}, {"b", "\"fix x\"", "", true, 0},
            {"a", "[{\"type\":\"text\",\"text\":\"fix x\"}]",
                    ",{\"role\":\"assistant\",\"content\":\"x\"},"
                    "{\"role\":\"user\",\"content\":\"y\"}",
                    true, 1},
            {"a", "\"fix y\"", ",{\"role\":\"user\",\"content\":\"fix x\"}", false, 0}};
    char body[400];
    uint64_t opening = 0;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        (void)snprintf(body, sizeof(body), text, cases[i].system, cases[i].user, cases[i].more);
        struct facts facts = facts_of(body);
        opening = opening ? opening : facts.opening;
        assert_true(facts.opening != 0);
        assert_int_equal(facts.opening == opening, cases[i].same);
        assert_int_equal(facts.answers, cases[i].answers);
    }
    assert_int_equal(facts_of("{}").opening, 0);
}

static void what_is_wanted_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t answer_max;
        enum effort effort;
    } cases[] = {
            {"{}", 0, EFFORT_UNSAID},
            {"{\"max_tokens\":9,\"reasoning_effort\":\"minimal\"}", 9, EFFORT_LOW},
            {"{\"max_tokens\":9,\"max_completion_tokens\":8,\"reasoning_effort\":\"medium\"}", 8,
                    EFFORT_MEDIUM},
            {"{\"max_tokens\":-1,\"reasoning_effort\":\"high\"}", 0, EFFORT_HIGH},
            {"{\"max_tokens\":1e300,\"reasoning_effort\":7}", 0, EFFORT_UNSAID},
            {"{\"max_tokens\":\"9\",\"reasoning_effort\":\"odd\"}", 0, EFFORT_UNSAID},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct facts facts = facts_of(cases[i].body);
        assert_int_equal(facts.answer_max, cases[i].answer_max);
        assert_int_equal(facts.effort, cases[i].effort);
    }
}

static void a_completion_is_said_by_the_user(void **state)
{
    (void)state;
    struct facts facts = facts_of("{\"prompt\":\"explain x.c\"}");
    assert_int_equal(facts.said_bytes, 11);
    assert_string_equal(facts.words, "explain x.c\n");
    facts = facts_of("{\"prompt\":[\"explain\",\"x\"]}");
    assert_int_equal(facts.said_bytes, 8);
    assert_string_equal(facts.words, "explain\n");
    assert_int_equal(facts_of("{\"prompt\":[1,2,3]}").said_bytes, 0);
}

static void tokens_are_estimated_from_bytes(void **state)
{
    (void)state;
    const struct facts facts = {.bytes = 4001, .said_bytes = 403};
    assert_int_equal(facts_said_tokens(&facts), 100);
}

static void bodies_of_any_shape_are_taken(void **state)
{
    (void)state;
    static const char *const bodies[] = {"7", "[]", "{\"messages\":{}}", "{\"messages\":[7,[],{}]}",
            "{\"tools\":[7,{\"function\":7},{\"function\":{\"name\":7}}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":[7,{\"image_url\":1}]}]}",
            "{\"prompt\":{}}"};
    for (size_t i = 0; i < LENGTH(bodies); i++)
        assert_string_equal(facts_of(bodies[i]).words, "");
    struct facts facts = {.messages = 7};
    facts_read(NULL, &facts);
    assert_int_equal(facts.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_a_chat_brings_is_counted),
            cmocka_unit_test(only_a_completions_prompt_has_a_models_tokens),
            cmocka_unit_test(only_what_was_said_last_gives_hints),
            cmocka_unit_test(a_conversation_is_known_by_its_opening),
            cmocka_unit_test(what_is_wanted_is_read),
            cmocka_unit_test(a_completion_is_said_by_the_user),
            cmocka_unit_test(tokens_are_estimated_from_bytes),
            cmocka_unit_test(bodies_of_any_shape_are_taken),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
