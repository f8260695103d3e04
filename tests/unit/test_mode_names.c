#include "coordinator/modes/mode_names.h"

#include "tests/lib/modes_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void spelled(const struct modes *modes, const char *name, const char *mode)
{
    const struct mode *found = modes_resolve(modes, name);
    if (mode ? !found || strcmp(found->name, mode) != 0 : found != NULL)
        fail_msg("\"%s\" is %s", name, found ? found->name : "nothing");
}

static void editors_spell_modes_in_many_ways(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            modes_maker_load(
                    "modes:\n  ask:\n    models: [a]\n  code:\n    models: [Qwen2.5-Coder-7B]\n",
                    &modes, &err),
            0);
    static const struct {
        const char *name, *mode;
    } cases[] = {{"ask", "ask"}, {"mesh-ask", "ask"}, {"claude-mesh-ask", "ask"},
            {"mesh-ask:latest", "ask"}, {"ask[1m]", "ask"}, {"claude-mesh-code[1m]", "code"},
            {"auto", "ask"}, {"mesh-auto", "ask"}, {"mesh-code-qwen2.5-coder", "code"},
            {"mesh-code-Qwen", "code"}, {"mesh-ask-qwen", NULL}, {"mesh-code-", NULL},
            {"mesh-codes", NULL}, {"mesh-", NULL}, {"mesh-mesh-ask", NULL}, {"Ask", NULL},
            {"", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        spelled(&modes, cases[i].name, cases[i].mode);
    modes_fini(&modes);
}

static void a_name_with_a_model_leaves_that_model(void **state)
{
    (void)state;
    char *models[] = {"codestral", "Qwen2.5-Coder-7B", "qwen2.5-coder-1.5b"};
    struct mode mode = {.name = "complete", .models = models, .model_count = 3};
    static const struct {
        const char *name;
        bool leaves[3];
    } cases[] = {{"complete", {true, true, true}}, {"mesh-complete", {true, true, true}},
            {"mesh-complete-qwen2.5", {false, true, true}},
            {"claude-mesh-complete-qwen2.5-coder-7b[1m]", {false, true, false}},
            {"mesh-complete-codestral:latest", {true, false, false}},
            {"mesh-complete-llama", {true, true, true}}, /* a mode of that name would come first */
            {"complete-codestral", {true, true, true}}, {"auto", {true, true, true}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t m = 0; m < 3; m++)
            if (modes_name_leaves(&(struct modes){.list = &mode, .count = 1}, &mode, cases[i].name,
                        models[m]) != cases[i].leaves[m])
                fail_msg("%s, %s", cases[i].name, models[m]);
}

static void a_name_is_plain_without_what_clients_add(void **state)
{
    (void)state;
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name("qwen3:latest", plain);
    assert_string_equal(plain, "qwen3");
    modes_plain_name("qwen3[1m]", plain);
    assert_string_equal(plain, "qwen3");
    modes_plain_name("qwen3:latest[1m]", plain);
    assert_string_equal(plain, "qwen3");
    modes_plain_name("qwen3[1m]:latest", plain);
    assert_string_equal(plain, "qwen3");
    modes_plain_name(":latest", plain);
    assert_string_equal(plain, ":latest");
    modes_plain_name("qwen3:30b", plain);
    assert_string_equal(plain, "qwen3:30b");
}

static void a_name_that_names_a_model_is_not_open(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            modes_maker_load("modes:\n  code:\n    models: [qwen3-coder]\n", &modes, &err), 0);
    const struct mode *code = &modes.list[0];
    assert_true(modes_name_is_open(&modes, code, "code"));
    assert_true(modes_name_is_open(&modes, code, "mesh-code"));
    assert_true(modes_name_is_open(&modes, code, "claude-mesh-code:latest"));
    assert_true(modes_name_is_open(&modes, code, "auto"));
    assert_false(modes_name_is_open(&modes, code, "mesh-code-qwen3"));
    assert_false(modes_name_is_open(&modes, code, "claude-mesh-code-Qwen3-coder[1m]"));
    modes_fini(&modes);
}

static void spelled_all(const struct modes *modes, const char *const (*cases)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        spelled(modes, cases[i][0], cases[i][1]);
}
#define SPELLED(modes, cases) spelled_all(modes, cases, sizeof(cases) / sizeof((cases)[0]))

static void editors_words_mean_modes_that_exist(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make("modes:\n  ask:\n    models: [a]\n  code:\n"
                                          "    models: [Qwen2.5-Coder-7B]\n  architect:\n"
                                          "    models: [b]\n");
    static const char *const cases[][2] = {{"agent", "code"}, {"mesh-agent", "code"},
            {"claude-mesh-plan[1m]", "architect"}, {"edit:latest", "code"}, {"chat", "ask"},
            {"fast", "ask"}, {"big", "architect"}, {"mesh-agent-qwen2.5", "code"},
            {"mesh-agent-llama", NULL}, {"agent-qwen2.5", NULL}, {"complete", NULL},
            {"mesh-complete", NULL}, {"Agent", NULL}};
    SPELLED(&modes, cases);
    assert_true(modes_name_leaves(&modes, &modes.list[1], "mesh-agent-qwen", "Qwen2.5-Coder-7B"));
    assert_false(modes_name_leaves(&modes, &modes.list[1], "mesh-agent-qwen", "codestral"));
    assert_false(modes_name_is_open(&modes, &modes.list[1], "mesh-agent-qwen"));
    assert_true(modes_name_is_open(&modes, &modes.list[1], "mesh-agent"));
    assert_null(modes_resolve_own(&modes, "agent"));
    assert_ptr_equal(modes_resolve_own(&modes, "mesh-code:latest"), &modes.list[1]);
    modes_fini(&modes);
}

static void the_config_says_what_words_mean(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make(
            "modes:\n  ask:\n    models: [a]\n  plan:\n    models: [b]\n  architect:\n"
            "    models: [c]\nmode-aliases: {chat: plan, review: architect, x-y: ask, big: "
            "auto}\n");
    static const char *const cases[][2] = {{"plan", "plan"}, {"mesh-plan", "plan"},
            {"chat", "plan"}, {"review", "architect"}, {"mesh-x-y[1m]", "ask"}, {"fast", "ask"},
            {"agent", NULL}, {"big", "ask"}};
    SPELLED(&modes, cases);
    modes_fini(&modes);
}

static void aliases_are_listed_as_they_are_in_force(void **state)
{
    (void)state;
    struct modes modes =
            modes_maker_make("modes:\n  ask:\n    models: [a]\n  chat:\n    models: [a]\n"
                             "mode-aliases: {fast: chat}\nmodel-aliases: {\"gpt-*\": ask}\n");
    static const struct mode_alias_view all[] = {
            {"fast", "chat", false, false}, {"gpt-*", "ask", true, false}};
    struct mode_alias_view alias;
    size_t i = 0;
    for (; modes_alias_at(&modes, i, &alias); i++) {
        assert_true(i < 2);
        assert_string_equal(alias.name, all[i].name);
        assert_string_equal(alias.target, all[i].target);
        assert_int_equal(alias.foreign, all[i].foreign);
        assert_false(alias.known);
    }
    assert_int_equal(i, 2);
    modes_fini(&modes);
    modes = modes_maker_make("modes:\n  ask:\n    models: [a]\n");
    assert_true(modes_alias_at(&modes, 1, &alias));
    assert_true(alias.known && strcmp(alias.name, "fast") == 0);
    assert_false(modes_alias_at(&modes, 2, &alias));
    modes_fini(&modes);
}

static void a_foreign_model_is_what_says_most_of_its_name(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make(
            "modes:\n  ask:\n    models: [small]\n  code:\n    models: [coder]\n"
            "mode-aliases: {agent: code}\n"
            "model-aliases: {\"claude-*\": agent, \"claude-haiku*\": small, claude-haiku-9: code,\n"
            "  \"gpt-4o\": ask, \"gpt-4o:latest\": small}\n");
    static const char *const cases[][2] = {{"claude-opus-4", "agent"}, {"claude-", "agent"},
            {"claude", NULL}, {"claude-haiku-4", "small"}, {"claude-haiku", "small"},
            {"claude-haiku-9", "code"}, {"claude-haiku-99", "small"}, {"gpt-4o", "ask"},
            {"claude-haiku-9[1m]", "code"}, {"claude-haiku-9:latest", "code"},
            {"gpt-4o[1m]", "ask"}, {"gpt-4o:latest", "small"}, {"gpt-4o:latest[1m]", "ask"},
            {"gpt-4o-mini", NULL}, {"GPT-4o", NULL}, {"", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *meant = modes_foreign(&modes, cases[i][0]);
        if (cases[i][1] ? !meant || strcmp(meant, cases[i][1]) != 0 : meant != NULL)
            fail_msg("\"%s\" is %s", cases[i][0], meant ? meant : "nothing");
    }
    assert_null(modes_resolve(&modes, "gpt-4o")); /* no word for a mode */
    static const char *const whole[][2] = {{"claude-haiku-9", "code"}, {"gpt-4o:latest", "small"},
            {"claude-haiku-9[1m]", "code"}, {"gpt-4o[1m]", "ask"}};
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        assert_string_equal(modes_foreign_whole(&modes, whole[i][0]), whole[i][1]);
    static const char *const cut[] = {"claude-haiku-4", "claude-haiku*", "agent", ""};
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++)
        assert_null(modes_foreign_whole(&modes, cut[i]));
    modes_fini(&modes);
}

static void auto_is_known_by_many_names(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make("modes:\n  ask:\n    models: [a]\n"
                                          "mode-aliases: {any: auto}\n"
                                          "model-aliases: {\"gpt-*\": any, \"o*\": auto}\n");
    static const char *const yes[] = {"auto", "mesh-auto", "claude-mesh-auto[1m]", "auto:latest",
            "any", "mesh-any", "gpt-5", "o1"};
    static const char *const no[] = {"ask", "mesh-ask", "autos", "mesh-", "", "chat"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(modes_asks_auto(&modes, yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(modes_asks_auto(&modes, no[i]));
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_int_equal(modes_spells_auto(yes[i]), i < 4);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_int_equal(modes_calls_auto(&modes, yes[i]), i < 6);
    modes_fini(&modes);
}

static bool is_not(const void *ctx, const struct mode *mode)
{
    return strcmp(mode->name, ctx) != 0;
}

static void what_nothing_tells_goes_to_a_mode_that_one_may_use(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *barred, *mode;
    } cases[] = {
            {"modes: {code: {models: [a]}, ask: {models: [a]}}", "", "ask"},
            {"modes: {review: {models: [a]}, code: {models: [a]}, ask: {models: [a]}}", "ask",
                    "code"},
            {"modes: {code: {models: [a]}, talk: {models: [a]}}\nmode-aliases: {chat: talk}", "",
                    "talk"},
            {"modes: {embed: {models: [a]}, review: {models: [a]}, debug: {models: [a]}}", "",
                    "review"},
            {"modes: {embed: {models: [a]}, review: {models: [a]}, debug: {models: [a]}}", "review",
                    "debug"},
            {"modes: {ask: {models: [a]}}", "ask", NULL},
            {"modes: {embed: {models: [a]}, autocomplete: {models: [a]}}", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct modes modes = modes_maker_make(cases[i].yaml);
        const struct mode *mode = modes_fallback(&modes, is_not, cases[i].barred);
        if (cases[i].mode)
            assert_string_equal(mode ? mode->name : "none", cases[i].mode);
        else
            assert_null(mode);
        modes_fini(&modes);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(editors_spell_modes_in_many_ways),
            cmocka_unit_test(a_name_with_a_model_leaves_that_model),
            cmocka_unit_test(a_name_is_plain_without_what_clients_add),
            cmocka_unit_test(a_name_that_names_a_model_is_not_open),
            cmocka_unit_test(editors_words_mean_modes_that_exist),
            cmocka_unit_test(the_config_says_what_words_mean),
            cmocka_unit_test(aliases_are_listed_as_they_are_in_force),
            cmocka_unit_test(a_foreign_model_is_what_says_most_of_its_name),
            cmocka_unit_test(auto_is_known_by_many_names),
            cmocka_unit_test(what_nothing_tells_goes_to_a_mode_that_one_may_use),
    };
    return cmocka_run_group_tests_name("mode_names", tests, NULL, NULL);
}
