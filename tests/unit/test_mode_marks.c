#include "coordinator/auto/mode_marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct said {
    const char *header, *value; /* NULL: none */
    const char *system, *earlier, *user, *later_role;
};

static const char *header_of(void *ctx, const char *name)
{
    const struct said *said = ctx;
    return said->header && strcasecmp(said->header, name) == 0 ? said->value : NULL;
}

static void add(cJSON *messages, const char *role, const char *content)
{
    cJSON *message = cJSON_CreateObject();
    cJSON_AddStringToObject(message, "role", role);
    cJSON_AddStringToObject(message, "content", content);
    cJSON_AddItemToArray(messages, message);
}

static cJSON *body_of(const struct said *said)
{
    cJSON *body = cJSON_CreateObject(), *messages = cJSON_AddArrayToObject(body, "messages");
    if (said->system)
        add(messages, "system", said->system);
    if (said->earlier)
        add(messages, "user", said->earlier);
    if (said->earlier)
        add(messages, "assistant", "well");
    if (said->user)
        add(messages, "user", said->user);
    if (said->later_role)
        add(messages, said->later_role, "<environment_details>\n# Current Mode\n<slug>late</slug>");
    return body;
}

/* `wanted` "editor: word"; NULL: none. */
static void says(const struct said *said, const char *wanted)
{
    struct mode_mark mark = {.editor = "before"};
    char text[100] = "";
    cJSON *body = body_of(said);
    bool found = mode_marks_find(body, header_of, (void *)said, &mark);
    cJSON_Delete(body);
    if (found) {
        strcat(strcat(strcat(text, mark.editor), ": "), mark.word);
        if (!wanted || strcmp(text, wanted) != 0)
            fail_msg("\"%s\", not \"%s\"", text, wanted ? wanted : "nothing");
    } else if (wanted) {
        fail_msg("nothing, not \"%s\": %s", wanted, said->user ? said->user : said->system);
    }
}

static void editors_say_their_mode_in_what_the_user_said_last(void **state)
{
    (void)state;
    static const struct {
        const char *user, *wanted;
    } cases[] = {
            {"<task>do</task>\n<environment_details>\n# Current Time\nnow\n\n# Current Mode\n"
             "<slug>architect</slug>\n<name>A</name>\n</environment_details>",
                    "Roo Code: architect"},
            {"x\n<environment_details>\n# Current Mode\n<slug>docs-writer</slug>",
                    "Roo Code: docs-writer"},
            {"<environment_details>\n# Current Mode\nPLAN MODE\nIn this mode", "Cline: plan"},
            {"<environment_details>\n# Current Mode\nACT MODE\n", "Cline: act"},
            {"<user_input mode=\"plan\">do it</user_input>", "Cline: plan"},
            {"<mode_notice>x</mode_notice>\n<user_input mode=\"yolo\">do it</user_input>",
                    "Cline: yolo"},
            {"do\n<system-reminder>\n# Plan Mode - System Reminder\n\nCRITICAL", "opencode: plan"},
            {"do\n<system-reminder>\nYour operational mode has changed from plan to build.\n",
                    "opencode: build"},
            {"do\n<system-reminder>\n# Native Plan Mode\n", "Kilo Code: plan"},
            {"<system-reminder>\nPlan mode is active. The user\n</system-reminder>\ndo",
                    "Claude Code: plan"},
            {"<system-reminder>\nPlan mode still active (see", "Claude Code: plan"},
            {"<system-reminder>\n## Exited Plan Mode\n\nYou have exited plan mode. You can",
                    "Claude Code: act"},
            {"do\nPlan mode is active. The user indicated that they do not want you to execute "
             "yet -- you MUST NOT",
                    "Claude Code: plan"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        says(&(struct said){.system = "s", .user = cases[i].user}, cases[i].wanted);
        says(&(struct said){.user = cases[i].user, .later_role = "tool"}, cases[i].wanted);
        says(&(struct said){.earlier = cases[i].user, .user = "and now?"}, NULL);
        says(&(struct said){.earlier = "hi", .system = "s", .user = cases[i].user},
                cases[i].wanted);
    }
}

static void a_mark_out_of_its_place_is_a_quotation(void **state)
{
    (void)state;
    static const char *const quoted[] = {"# Current Mode\n<slug>code</slug>",
            "<environment_details>\n</environment_details>\n# Current Mode\n<slug>code</slug>",
            "<environment_details>\nthe heading # Current Mode\n<slug>code</slug>",
            "# Plan Mode - System Reminder", "Plan mode is active",
            "I wrote <user_input mode=\"plan\">", "<user_input mode=\"\">",
            "<environment_details>\n# Current Mode\n<slug>0123456789012345678901234567890123456789",
            "You are in Ask mode", "<context name=\"planMode\">", "You are a title generator."};
    for (size_t i = 0; i < LENGTH(quoted); i++)
        says(&(struct said){.user = quoted[i]}, NULL);
    says(&(struct said){.system = "<environment_details>\n# Current Mode\n<slug>code</slug>"},
            NULL);
    says(&(struct said){.user = "x", .later_role = "assistant"}, NULL);
}

static void the_mark_that_stands_last_counts(void **state)
{
    (void)state;
    says(&(struct said){.user = "<system-reminder>\nPlan mode is active\n</system-reminder>\n"
                                "<system-reminder>\nYou have exited plan mode\n</system-reminder>"},
            "Claude Code: act");
    says(&(struct said){.user = "<system-reminder>\nYou have exited plan mode\n</system-reminder>\n"
                                "<system-reminder>\nPlan mode is active\n</system-reminder>"},
            "Claude Code: plan");
    says(&(struct said){.user = "<environment_details>\n# Current Mode\n<slug>ask</slug>\n"
                                "</environment_details>\n<environment_details>\n# Current Mode\n"
                                "<slug>debug</slug>\n</environment_details>"},
            "Roo Code: debug");
}

static void editors_say_it_in_their_system_prompt(void **state)
{
    (void)state;
    static const struct {
        const char *system, *wanted;
    } cases[] = {
            {"You are Cline\n# Plan Mode\n\nx\n# Plan / Act Modes\n\nUser", "Cline: plan"},
            {"You are Cline\n# Plan / Act Modes\n\nUser", "Cline: act"},
            {"# Plan Mode - System Reminder\n", "opencode: plan"},
            {"x\n# Native Plan Mode\n", "Kilo Code: plan"},
            {"x\nYou are in Ask mode.", "Kilo Code: ask"},
            {"<important_rules>\n  You are in chat mode.\n", "Continue: chat"},
            {"<important_rules>\n  You are in agent mode.\n", "Continue: agent"},
            {"<important_rules>\n  You are in plan mode, in which", "Continue: plan"},
            {"You are an agent\n<context name=\"planMode\">You are", "Continue: plan"},
            {"x\nPlan mode is active", "Claude Code: plan"},
            {"Act as an expert architect engineer and", "Aider: architect"},
            {"Act as an expert software developer.", "Aider: code"},
            {"Act as an expert code analyst.", "Aider: ask"},
            {"The words You are in Ask mode", NULL},
            {"You are in chat mode", NULL},
            {"\n x Act as an expert code analyst.", NULL},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        says(&(struct said){.system = cases[i].system, .user = "do"}, cases[i].wanted);
        says(&(struct said){.user = cases[i].system}, NULL);
    }
    says(&(struct said){.system = "# Plan / Act Modes", .user = "<user_input mode=\"plan\">x"},
            "Cline: plan");
}

static void what_is_beside_the_conversation_comes_first(void **state)
{
    (void)state;
    static const char plan[] = "<system-reminder>\n# Plan Mode - System Reminder\n";
    says(&(struct said){.system = "You are a title generator. You output ONLY", .user = plan},
            "opencode: title");
    says(&(struct said){.system = "You are a context summarization agent.", .user = "x"},
            "opencode: compaction");
    says(&(struct said){.header = "X-Session-Id", .value = "title-ses_1", .user = plan},
            "Kilo Code: title");
    says(&(struct said){.header = "x-session-id", .value = "ses_title-1", .user = plan},
            "opencode: plan");
    says(&(struct said){.header = "x-codex-turn-metadata",
                 .value = "{\"session_id\":\"1\",\"request_kind\":\"compaction\"}",
                 .user = "x"},
            "Codex: compaction");
    says(&(struct said){.header = "x-codex-turn-metadata",
                 .value = "{\"request_kind\":\"turn\"}",
                 .user = "x"},
            NULL);
    says(&(struct said){.user = "You are performing a CONTEXT CHECKPOINT COMPACTION. Create"},
            "Codex: compaction");
    says(&(struct said){.user = "Your task is to create a detailed summary of the conversation so "
                                "far, paying"},
            "Claude Code: compaction");
    says(&(struct said){.user = "Generate a concise 3-7 word title for this conversation"},
            "Zed: title");
    says(&(struct said){.user = "### Task:\nGenerate 1-3 broad tags categorizing"},
            "Open WebUI: title");
}

static void headers_say_it_too(void **state)
{
    (void)state;
    says(&(struct said){.header = "x-kilocode-mode", .value = "Debug", .user = "x"},
            "Kilo Code: debug");
    says(&(struct said){.header = "x-kilocode-mode", .value = "no word", .user = "x"}, NULL);
    says(&(struct said){.header = "x-kilocode-mode", .value = "", .user = "x"}, NULL);
    says(&(struct said){.header = "x-claude-code-agent-id", .value = "a762", .user = "x"},
            "Claude Code: subagent");
    says(&(struct said){.header = "x-claude-code-agent-id",
                 .value = "a762",
                 .user = "<system-reminder>\nPlan mode is active"},
            "Claude Code: plan");
}

static void of_a_long_text_both_ends_are_looked_at(void **state)
{
    (void)state;
    static const char mark[] = "<user_input mode=\"plan\">";
    size_t size = (size_t)MODE_MARKS_SCAN_MAX * 2;
    char *text = calloc(1, size + 1);
    for (size_t place = 0; place < 3; place++) {
        memset(text, 'x', size);
        memset(text + size / 2 - 1, '\n', 1);
        size_t at = place == 0 ? 0 : place == 1 ? size / 2 : size - sizeof(mark);
        if (at > 0)
            text[at - 1] = '\n';
        memcpy(text + at, mark, sizeof(mark) - 1);
        says(&(struct said){.user = text}, place == 1 ? NULL : "Cline: plan");
    }
    free(text);
}

static void parts_of_a_message_are_texts_too(void **state)
{
    (void)state;
    struct said said = {.header = NULL};
    struct mode_mark mark;
    cJSON *body = cJSON_Parse("{\"messages\":[{\"role\":\"user\",\"content\":["
                              "{\"type\":\"text\",\"text\":\"<user_input mode=\\\"plan\\\">\"},"
                              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}},"
                              "{\"type\":\"text\",\"text\":\"<user_input mode=\\\"act\\\">\"}]}]}");
    assert_true(mode_marks_find(body, header_of, &said, &mark));
    assert_string_equal(mark.word, "act");
    cJSON_Delete(body);
}

static void add_text(cJSON *parts, const char *text)
{
    cJSON *part = cJSON_CreateObject();
    cJSON_AddStringToObject(part, "text", text);
    cJSON_AddItemToArray(parts, part);
}

/* A message of the user with so many texts, `mark` in the place of one of them. */
static cJSON *make_texts(size_t count, const char *text, size_t place, const char *mark)
{
    cJSON *body = cJSON_CreateObject(), *message = cJSON_CreateObject(), *parts;
    cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "messages"), message);
    cJSON_AddStringToObject(message, "role", "user");
    parts = cJSON_AddArrayToObject(message, "content");
    for (size_t i = 0; i < count; i++)
        add_text(parts, i == place ? mark : text);
    return body;
}

static bool is_found(size_t count, const char *text, size_t place)
{
    struct said said = {.header = NULL};
    struct mode_mark mark;
    cJSON *body = make_texts(count, text, place, "<user_input mode=\"plan\">");
    bool found = mode_marks_find(body, header_of, &said, &mark);
    cJSON_Delete(body);
    return found;
}

/* However they are cut up. */
static void of_many_texts_the_ends_are_looked_at(void **state)
{
    (void)state;
    static const size_t half = MODE_MARKS_TEXTS_MAX / 2, many = 10 * MODE_MARKS_TEXTS_MAX;
    char *long_text = calloc(1, MODE_MARKS_SCAN_MAX / 8);
    memset(long_text, 'x', MODE_MARKS_SCAN_MAX / 8 - 1);
    assert_true(is_found(many, "x", 0));
    assert_true(is_found(many, "x", half - 1));
    assert_false(is_found(many, "x", half));
    assert_false(is_found(many, "x", many - half - 1));
    assert_true(is_found(many, "x", many - half));
    assert_true(is_found(many, "x", many - 1));
    assert_true(is_found(many, "", many - 1));
    assert_true(is_found(20, long_text, 0));
    assert_true(is_found(20, long_text, 3));
    assert_false(is_found(20, long_text, 5));
    assert_false(is_found(20, long_text, 14));
    assert_true(is_found(20, long_text, 16));
    assert_true(is_found(20, long_text, 19));
    free(long_text);
}

static void the_last_of_many_texts_counts(void **state)
{
    (void)state;
    struct said said = {.header = NULL};
    struct mode_mark mark;
    for (size_t i = 0; i < MODE_MARKS_TEXTS_MAX; i++) {
        size_t count = MODE_MARKS_TEXTS_MAX + i; /* wherever the ring of the last ones ends */
        cJSON *body = make_texts(
                count, "<user_input mode=\"act\">", count - 1, "<user_input mode=\"plan\">");
        assert_true(mode_marks_find(body, header_of, &said, &mark));
        assert_string_equal(mark.word, "plan");
        cJSON_Delete(body);
    }
}

static void bodies_of_any_shape_say_nothing(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}", "[]", "7", "{\"messages\":7}", "{\"messages\":[]}",
            "{\"messages\":[7,null,\"x\",[]]}", "{\"messages\":[{\"role\":\"user\"}]}",
            "{\"messages\":[{\"role\":\"system\",\"content\":{}}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":[7,{\"text\":8}]}]}"};
    struct said said = {.header = NULL};
    struct mode_mark mark;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        cJSON *body = cJSON_Parse(bodies[i]);
        assert_false(mode_marks_find(body, header_of, &said, &mark));
        cJSON_Delete(body);
    }
    assert_false(mode_marks_find(NULL, header_of, &said, &mark));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(editors_say_their_mode_in_what_the_user_said_last),
            cmocka_unit_test(a_mark_out_of_its_place_is_a_quotation),
            cmocka_unit_test(the_mark_that_stands_last_counts),
            cmocka_unit_test(editors_say_it_in_their_system_prompt),
            cmocka_unit_test(what_is_beside_the_conversation_comes_first),
            cmocka_unit_test(headers_say_it_too),
            cmocka_unit_test(of_a_long_text_both_ends_are_looked_at),
            cmocka_unit_test(parts_of_a_message_are_texts_too),
            cmocka_unit_test(of_many_texts_the_ends_are_looked_at),
            cmocka_unit_test(the_last_of_many_texts_counts),
            cmocka_unit_test(bodies_of_any_shape_say_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("mode_marks", tests, NULL, NULL);
}
