#include "coordinator/auto/auto_mode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TOKENS(count) ((uint64_t)(count)*FACTS_TOKEN_BYTES)

static const char *const usual[] = {"ask", "code", "debug", "architect", "orchestrator", NULL};

static const char *find(void *ctx, const char *name)
{
    for (const char *const *mode = ctx; *mode; mode++)
        if (strcmp(*mode, name) == 0)
            return *mode;
    return NULL;
}

/* "no architect": there is one, and it is none for this request. */
static bool tell_passed(void *ctx, const char *name, char *text, size_t size)
{
    char entry[64];
    (void)snprintf(entry, sizeof(entry), "no %s", name);
    (void)snprintf(text, size, "%s for this", entry);
    return find(ctx, entry) != NULL;
}

static struct auto_input input_of(const struct facts *facts)
{
    return (struct auto_input){
            .facts = facts, .find = find, .tell_passed = tell_passed, .ctx = (void *)usual};
}

static struct auto_choice choose(const struct auto_input *input)
{
    struct auto_choice choice;
    auto_choose(input, &choice);
    return choice;
}

static struct facts said(const char *words)
{
    struct facts facts = {.messages = 1, .turns = 1, .said_bytes = strlen(words)};
    facts.bytes = facts.said_bytes;
    (void)snprintf(facts.words, sizeof(facts.words), "%s", words);
    return facts;
}

static struct facts said_much(const char *words, uint64_t tokens)
{
    struct facts facts = said(words);
    facts.bytes = facts.said_bytes = TOKENS(tokens);
    return facts;
}

static void the_first_users_five_cases(void **state)
{
    (void)state;
    struct facts function = said("Explain briefly what this function does");
    function.fences = 1;
    struct facts refactoring = said_much(
            "Refactor these five files so that the parser no longer knows the printer", 32768);
    refactoring.files = refactoring.fences = 5;
    struct facts design = said("Design a new service that hands out leases: API, storage, "
                               "failure modes, how it scales");
    struct facts failure = said("Two of three nodes lost their lease at once and writes hang; "
                                "find out why, the logs are below");
    failure.trace_lines = 4;
    struct facts code_base = said_much("Here is the whole code base. What are its layers?", 150000);
    const struct {
        const struct facts *facts;
        const char *mode;
        unsigned complexity;
    } cases[] = {{&function, "ask", 1}, {&refactoring, "code", 5}, {&design, "architect", 4},
            {&failure, "debug", 3}, {&code_base, "architect", 5}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct auto_input input = input_of(cases[i].facts);
        struct auto_choice choice = choose(&input);
        assert_string_equal(choice.mode, cases[i].mode);
        assert_int_equal(choice.complexity, cases[i].complexity);
        assert_int_equal(choice.source, AUTO_BY_FACTS);
        assert_false(choice.unsure);
        assert_non_null(strstr(choice.reason, "facts: "));
    }
}

static void a_prompt_with_a_models_tokens_is_completed(void **state)
{
    (void)state;
    static const char *const modes[] = {"ask", "code", "autocomplete", NULL};
    const struct mode_mark plan = {.word = "plan"};
    struct facts facts = said("refactor it");
    facts.fim = "StarCoder, StableCode, CodeQwen, Granite";
    facts.answer_max = 32;
    struct auto_input input = input_of(&facts);
    input.ctx = (void *)modes;
    input.mark = &plan;
    struct auto_choice choice = choose(&input);
    assert_string_equal(choice.mode, "autocomplete");
    assert_int_equal(choice.patience, PATIENCE_NONE);
    assert_string_equal(choice.reason, "auto, complexity 1, by facts: code completion, tokens of "
                                       "StarCoder, StableCode, CodeQwen, Granite, 11 B of text");
    struct auto_session session = {.mode = "code", .level = 2};
    auto_learn(&choice, &session); /* what is typed moves no conversation */
    assert_string_equal(session.mode, "code");
    input = input_of(&facts); /* nothing completes here */
    assert_string_equal(choose(&input).mode, "ask");
    facts.fim = NULL;
    input.ctx = (void *)modes;
    assert_string_equal(choose(&input).mode, "ask");
}

static void facts_speak_where_words_do_not(void **state)
{
    (void)state;
    static const struct {
        struct facts facts;
        enum task task;
        bool unsure;
    } cases[] = {
            {{.tools = 9}, TASK_QUESTION, true},
            {{.tools = 9, .editing_tools = 2}, TASK_CODE, false},
            {{.tools = 9, .editing_tools = 2, .tool_results = 3}, TASK_CODE, false},
            {{.diff_hunks = 1}, TASK_CODE, false},
            {{.files = 3}, TASK_CODE, true},
            {{.fences = 1}, TASK_QUESTION, true},
            {{.trace_lines = 1}, TASK_DEBUG, false},
            {{.trace_lines = 3, .tools = 9, .editing_tools = 1}, TASK_DEBUG, false},
            {{.trace_lines = 1, .tools = 9, .editing_tools = 1}, TASK_CODE, true},
            {{.said_bytes = TOKENS(AUTO_WHOLE_TOKENS)}, TASK_DESIGN, false},
            {{.said_bytes = TOKENS(AUTO_WHOLE_TOKENS), .trace_lines = 9}, TASK_DEBUG, false},
            {{.said_bytes = TOKENS(AUTO_WHOLE_TOKENS), .tools = 2, .editing_tools = 1}, TASK_CODE,
                    false},
            {{.turns = 1}, TASK_QUESTION, true},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct auto_input input = input_of(&cases[i].facts);
        struct auto_choice choice = choose(&input);
        if (choice.task != cases[i].task || choice.unsure != cases[i].unsure)
            fail_msg("case %zu: %s, %s", i, choice.reason, choice.unsure ? "unsure" : "sure");
        assert_int_equal(choice.tools_needed, cases[i].facts.tools > 0);
    }
}

static void complexity_is_by_task_length_files_and_effort(void **state)
{
    (void)state;
    static const struct {
        uint64_t tokens;
        uint32_t files;
        enum effort effort;
        const char *words;
        unsigned complexity;
    } cases[] = {{0, 0, EFFORT_UNSAID, "what is it", 1}, {2047, 0, EFFORT_UNSAID, "what is it", 1},
            {2048, 0, EFFORT_UNSAID, "what is it", 2}, {8192, 0, EFFORT_UNSAID, "what is it", 3},
            {32768, 0, EFFORT_UNSAID, "what is it", 4}, {65536, 0, EFFORT_UNSAID, "what is it", 5},
            {0, 0, EFFORT_UNSAID, "implement it", 2}, {0, 0, EFFORT_UNSAID, "debug it", 3},
            {0, 0, EFFORT_UNSAID, "design it", 4}, {0, 3, EFFORT_UNSAID, "implement it", 3},
            {0, 3, EFFORT_HIGH, "implement it", 3}, {0, 0, EFFORT_HIGH, "design it", 5},
            {0, 0, EFFORT_LOW, "design it", 3}, {0, 0, EFFORT_LOW, "what is it", 1},
            {65536, 9, EFFORT_HIGH, "design it", 5}, {0, 0, EFFORT_MEDIUM, "design it", 4}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct facts facts = said_much(cases[i].words, cases[i].tokens);
        facts.files = cases[i].files;
        facts.effort = cases[i].effort;
        const struct auto_input input = input_of(&facts);
        struct auto_choice choice = choose(&input);
        if (choice.complexity != cases[i].complexity)
            fail_msg("case %zu: %u, not %u", i, choice.complexity, cases[i].complexity);
    }
}

static void a_mark_is_a_mode_or_what_editors_call_one(void **state)
{
    (void)state;
    static const struct {
        const char *word, *mode;
        enum patience patience;
    } cases[] = {{"plan", "architect", PATIENCE_MUCH}, {"act", "code", PATIENCE_SOME},
            {"agent", "code", PATIENCE_SOME}, {"build", "code", PATIENCE_SOME},
            {"yolo", "code", PATIENCE_SOME}, {"edit", "code", PATIENCE_SOME},
            {"subagent", "code", PATIENCE_SOME}, {"chat", "ask", PATIENCE_SOME},
            {"ask", "ask", PATIENCE_SOME}, {"debug", "debug", PATIENCE_MUCH},
            {"orchestrator", "orchestrator", PATIENCE_MUCH}, {"title", "ask", PATIENCE_NONE},
            {"compaction", "ask", PATIENCE_SOME}};
    struct facts facts = said("design it");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mode_mark mark = {.editor = "An Editor"};
        strcpy(mark.word, cases[i].word);
        struct auto_input input = input_of(&facts);
        input.mark = &mark;
        struct auto_choice choice = choose(&input);
        assert_string_equal(choice.mode, cases[i].mode);
        assert_int_equal(choice.source, AUTO_BY_MARK);
        assert_int_equal(choice.patience, cases[i].patience);
        assert_false(choice.unsure);
        assert_non_null(strstr(choice.reason, "of An Editor"));
    }
}

static void the_more_patience_the_more_the_writing_counts(void **state)
{
    (void)state;
    assert_true(auto_beta(PATIENCE_NONE) == 0.15);
    assert_true(auto_beta(PATIENCE_SOME) == 0.3);
    assert_true(auto_beta(PATIENCE_MUCH) == 0.6);
}

static void a_mode_of_the_marks_own_name_comes_first(void **state)
{
    (void)state;
    static const char *const modes[] = {"ask", "code", "plan", "docs-writer", "title", NULL};
    static const struct {
        const char *word, *mode;
        enum auto_source source;
    } cases[] = {{"plan", "plan", AUTO_BY_MARK}, {"docs-writer", "docs-writer", AUTO_BY_MARK},
            {"title", "title", AUTO_BY_MARK}, {"tester", "code", AUTO_BY_FACTS}};
    struct facts facts = said("refactor it");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mode_mark mark = {.editor = "E"};
        strcpy(mark.word, cases[i].word);
        struct auto_input input = input_of(&facts);
        input.mark = &mark;
        input.ctx = (void *)modes;
        struct auto_choice choice = choose(&input);
        assert_string_equal(choice.mode, cases[i].mode);
        assert_int_equal(choice.source, cases[i].source);
    }
}

static void a_mode_that_is_not_there_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *words, *modes[4], *mode;
    } cases[] = {{"design it", {"plan", "ask"}, "plan"}, {"design it", {"code", "ask"}, "code"},
            {"design it", {"ask", "debug"}, "ask"}, {"debug it", {"ask", "code"}, "code"},
            {"implement it", {"agent", "ask"}, "agent"}, {"what is it", {"chat", "code"}, "chat"},
            {"what is it", {"code"}, "code"}, {"what is it", {"debug"}, NULL},
            {"design it", {NULL}, NULL}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct facts facts = said(cases[i].words);
        struct auto_input input = input_of(&facts);
        input.ctx = (void *)cases[i].modes;
        struct auto_choice choice = choose(&input);
        if (!cases[i].mode)
            assert_null(choice.mode);
        else
            assert_string_equal(choice.mode, cases[i].mode);
    }
}

static void ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    assert_true(len >= end_len);
    assert_string_equal(text + len - end_len, end);
}

/* Only of the one that stands for the task: what the task goes to anyhow is no news. */
static void the_reason_says_which_mode_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *words, *modes[5], *mode, *end;
    } cases[] = {{"design it", {"no architect", "no plan", "code", NULL}, "code",
                         "; no architect for this"},
            {"design it", {"no plan", "code", NULL}, "code", "; no plan for this"},
            {"design it", {"plan", "no agent", NULL}, "plan", ", 9 B of text"},
            {"design it", {"code", NULL}, "code", ", 9 B of text"},
            {"design it", {"no architect", NULL}, NULL, "; no architect for this"},
            {"well", {"no ask", "code", NULL}, "code", "nothing says more; no ask for this"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct facts facts = said(cases[i].words);
        struct auto_input input = input_of(&facts);
        input.ctx = (void *)cases[i].modes;
        struct auto_choice choice = choose(&input);
        assert_true(cases[i].mode ? strcmp(choice.mode, cases[i].mode) == 0 : !choice.mode);
        ends_with(choice.reason, cases[i].end);
    }
}

static void what_is_taken_for_more_than_its_task_passes_nothing_over(void **state)
{
    (void)state;
    static const char *const modes[] = {"plan", "no architect", "no compaction", "ask", NULL};
    struct facts facts = said("design it");
    const struct mode_mark plan = {.editor = "Cline", .word = "plan"},
                           architect = {.editor = "Roo Code", .word = "architect"},
                           summary = {.editor = "opencode", .word = "compaction"};
    struct auto_input input = input_of(&facts);
    input.ctx = (void *)modes;
    input.mark = &plan;
    ends_with(choose(&input).reason, "of Cline");
    input.mark = &architect;
    ends_with(choose(&input).reason, "of Roo Code; no architect for this");
    input.mark = &summary;
    ends_with(choose(&input).reason, "of opencode; no compaction for this");
    input.session = (struct auto_session){.mode = "ask", .level = 5};
    ends_with(choose(&input).reason, "of opencode");
    input.mark = NULL;
    ends_with(choose(&input).reason, "its conversation");
}

static void a_short_answer_is_beside_the_conversation(void **state)
{
    (void)state;
    struct facts facts = said("design it");
    struct auto_session session = {.mode = "debug", .level = 2};
    struct auto_input input = input_of(&facts);
    input.session = session;
    facts.answer_max = AUTO_SHORT_ANSWER;
    struct auto_choice choice = choose(&input);
    assert_string_equal(choice.mode, "ask");
    assert_int_equal(choice.task, TASK_TITLE);
    auto_learn(&choice, &session);
    assert_string_equal(session.mode, "debug");
    facts.answer_max++;
    assert_string_equal(choose(&input).mode, "architect");
    facts.answer_max = 1;
    facts.tools = 1; /* it may be a call of one */
    assert_string_equal(choose(&input).mode, "architect");
}

static void a_summary_stays_with_its_conversation(void **state)
{
    (void)state;
    const struct mode_mark mark = {.editor = "E", .word = "compaction"};
    struct facts facts = said("design it");
    struct auto_input input = input_of(&facts);
    input.mark = &mark;
    assert_string_equal(choose(&input).mode, "ask");
    input.session = (struct auto_session){.mode = "debug", .level = 2};
    struct auto_choice choice = choose(&input);
    assert_string_equal(choice.mode, "debug");
    auto_learn(&choice, &input.session);
    assert_false(input.session.marked);
}

/* --- conversations --- */

struct turn {
    const char *words, *mark; /* NULL: none */
    const char *mode;
    enum auto_source source;
};

static void goes(const struct turn *turns, size_t count)
{
    struct auto_session session = {.level = 0};
    for (size_t i = 0; i < count; i++) {
        struct facts facts = said(turns[i].words);
        struct mode_mark mark = {.editor = "E"};
        struct auto_input input = input_of(&facts);
        input.session = session;
        if (turns[i].mark) {
            strcpy(mark.word, turns[i].mark);
            input.mark = &mark;
        }
        struct auto_choice choice = choose(&input);
        if (strcmp(choice.mode, turns[i].mode) != 0 || choice.source != turns[i].source)
            fail_msg("turn %zu: %s, %s", i, choice.mode, choice.reason);
        auto_learn(&choice, &session);
    }
}

static void a_guess_only_moves_up(void **state)
{
    (void)state;
    static const struct turn turns[] = {{"what is it", NULL, "ask", AUTO_BY_FACTS},
            {"well", NULL, "ask", AUTO_BY_SESSION}, {"refactor it", NULL, "code", AUTO_BY_FACTS},
            {"what is it", NULL, "code", AUTO_BY_SESSION},
            {"it crashes", NULL, "debug", AUTO_BY_FACTS},
            {"refactor it", NULL, "debug", AUTO_BY_SESSION},
            {"it crashes", NULL, "debug", AUTO_BY_SESSION}, /* no harder than all before */
            {"design it", NULL, "architect", AUTO_BY_FACTS},
            {"it crashes", NULL, "architect", AUTO_BY_SESSION}};
    goes(turns, LENGTH(turns));
}

static void a_mark_moves_at_once_and_holds(void **state)
{
    (void)state;
    static const struct turn turns[] = {{"design it", NULL, "architect", AUTO_BY_FACTS},
            {"design it", "ask", "ask", AUTO_BY_MARK}, {"design it", NULL, "ask", AUTO_BY_SESSION},
            {"a title", "title", "ask", AUTO_BY_MARK},
            {"what is it", "plan", "architect", AUTO_BY_MARK},
            {"what is it", NULL, "architect", AUTO_BY_SESSION},
            {"what is it", "act", "code", AUTO_BY_MARK},
            {"design it", NULL, "code", AUTO_BY_SESSION}};
    goes(turns, LENGTH(turns));
}

static void a_mark_holds_however_hard_it_becomes(void **state)
{
    (void)state;
    struct auto_session session = {.mode = "ask", .marked = true, .level = 1};
    static const uint64_t tokens[] = {10, 40000, 70000};
    for (size_t i = 0; i < LENGTH(tokens); i++) {
        struct facts facts = said_much("design it", tokens[i]);
        facts.files = i == 2 ? AUTO_FILES : 0;
        struct auto_input input = input_of(&facts);
        input.session = session;
        struct auto_choice choice = choose(&input);
        assert_string_equal(choice.mode, "ask");
        assert_int_equal(choice.source, AUTO_BY_SESSION);
        auto_learn(&choice, &session);
        assert_true(session.marked);
    }
    assert_int_equal(session.level, 5);
}

static void a_longer_conversation_is_no_reason_to_go_down(void **state)
{
    (void)state;
    struct facts facts = said_much("what is it", 40000);
    struct auto_input input = input_of(&facts);
    input.session = (struct auto_session){.mode = "debug", .level = 3};
    struct auto_choice choice = choose(&input);
    assert_string_equal(choice.mode, "debug");
    auto_learn(&choice, &input.session);
    assert_int_equal(input.session.level, 4);
}

static void a_mode_that_went_is_forgotten(void **state)
{
    (void)state;
    struct facts facts = said("what is it");
    struct auto_input input = input_of(&facts);
    input.session = (struct auto_session){.mode = "gone", .marked = true, .level = 5};
    struct auto_choice choice = choose(&input);
    assert_string_equal(choice.mode, "ask");
    assert_int_equal(choice.source, AUTO_BY_FACTS);
}

static void what_stands_in_for_a_tasks_mode_is_left_too(void **state)
{
    (void)state;
    static const char *const modes[] = {"chat", "agent", "plan", NULL};
    static const struct {
        const char *words, *from, *mode;
    } cases[] = {{"implement it", "chat", "agent"}, {"design it", "chat", "plan"},
            {"design it", "agent", "plan"}, {"what is it", "agent", "agent"},
            {"it crashes", "plan", "plan"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct facts facts = said(cases[i].words);
        struct auto_input input = input_of(&facts);
        input.ctx = (void *)modes;
        input.session = (struct auto_session){.level = 1};
        strcpy(input.session.mode, cases[i].from);
        assert_string_equal(choose(&input).mode, cases[i].mode);
    }
}

static void an_owners_mode_is_left_by_no_guess(void **state)
{
    (void)state;
    static const char *const modes[] = {"ask", "architect", "mine", NULL};
    struct facts facts = said("design it");
    struct auto_input input = input_of(&facts);
    input.ctx = (void *)modes;
    input.session = (struct auto_session){.mode = "mine", .level = 1};
    assert_string_equal(choose(&input).mode, "mine");
}

/* --- the small model --- */

static void its_answer_counts_where_the_facts_do_not(void **state)
{
    (void)state;
    struct facts facts = said("hm");
    struct auto_input input = input_of(&facts);
    struct auto_choice choice = choose(&input);
    assert_true(choice.unsure);
    assert_int_equal(choice.source, AUTO_BY_FALLBACK);
    assert_string_equal(choice.mode, "ask");
    input.answered = true;
    input.answer = TASK_DEBUG;
    choice = choose(&input);
    assert_false(choice.unsure);
    assert_int_equal(choice.source, AUTO_BY_MODEL);
    assert_string_equal(choice.mode, "debug");
    assert_int_equal(choice.complexity, 3);
}

static void nobody_is_asked_twice_in_a_conversation(void **state)
{
    (void)state;
    struct facts facts = said("hm");
    struct auto_input input = input_of(&facts);
    struct auto_choice choice = choose(&input);
    auto_learn(&choice, &input.session);
    choice = choose(&input);
    assert_false(choice.unsure);
    assert_int_equal(choice.source, AUTO_BY_SESSION);
}

static void reasons_fit(void **state)
{
    (void)state;
    struct mode_mark mark = {.editor = "The Editor With The Longest Name That There Is"};
    memset(mark.word, 'w', MODE_MARK_WORD_MAX);
    struct facts facts = {.bytes = UINT64_MAX,
            .said_bytes = UINT64_MAX,
            .files = UINT32_MAX,
            .fences = UINT32_MAX,
            .trace_lines = UINT32_MAX,
            .diff_hunks = UINT32_MAX,
            .tools = UINT32_MAX,
            .images = UINT32_MAX};
    struct auto_input input = input_of(&facts);
    assert_true(strlen(choose(&input).reason) <= AUTO_REASON_MAX);
    input.mark = &mark;
    assert_true(strlen(choose(&input).reason) <= AUTO_REASON_MAX);
    facts = (struct facts){.tools = 1, .trace_lines = 2, .bytes = 4};
    input.mark = NULL;
    assert_string_equal(choose(&input).reason,
            "auto, complexity 3, by facts: debugging, 4 B of text, 2 trace lines, 1 tool");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_first_users_five_cases),
            cmocka_unit_test(a_prompt_with_a_models_tokens_is_completed),
            cmocka_unit_test(facts_speak_where_words_do_not),
            cmocka_unit_test(complexity_is_by_task_length_files_and_effort),
            cmocka_unit_test(a_mark_is_a_mode_or_what_editors_call_one),
            cmocka_unit_test(the_more_patience_the_more_the_writing_counts),
            cmocka_unit_test(a_mode_of_the_marks_own_name_comes_first),
            cmocka_unit_test(a_mode_that_is_not_there_is_passed_over),
            cmocka_unit_test(the_reason_says_which_mode_is_passed_over),
            cmocka_unit_test(what_is_taken_for_more_than_its_task_passes_nothing_over),
            cmocka_unit_test(a_short_answer_is_beside_the_conversation),
            cmocka_unit_test(a_summary_stays_with_its_conversation),
            cmocka_unit_test(a_guess_only_moves_up),
            cmocka_unit_test(a_mark_moves_at_once_and_holds),
            cmocka_unit_test(a_mark_holds_however_hard_it_becomes),
            cmocka_unit_test(a_longer_conversation_is_no_reason_to_go_down),
            cmocka_unit_test(a_mode_that_went_is_forgotten),
            cmocka_unit_test(what_stands_in_for_a_tasks_mode_is_left_too),
            cmocka_unit_test(an_owners_mode_is_left_by_no_guess),
            cmocka_unit_test(its_answer_counts_where_the_facts_do_not),
            cmocka_unit_test(nobody_is_asked_twice_in_a_conversation),
            cmocka_unit_test(reasons_fit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("auto_mode", tests, NULL, NULL);
}
