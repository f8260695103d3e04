#include "coordinator/modes/mode_config.h"

#include "coordinator/scheduling/fair_queue.h"
#include "tests/lib/modes_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ASK "modes:\n  ask:\n    models: [small, large]\n"

static void refused(const char *yaml, const char *why)
{
    struct modes modes;
    struct err err;
    assert_int_equal(modes_maker_load(yaml, &modes, &err), -EINVAL);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void a_policy_is_read(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make(
            "modes:\n  code:\n    models: [coder-7b, \"org/coder:32b q4\", air]\n"
            "    quality: {coder-7b: 55, \"org/coder:32b q4\": 70}\n"
            "    up-to: {65k: [\"org/coder:32b q4\", air], 16k: [coder-7b], 206848: [air]}\n"
            "    planning: [air]\n    floor: 60\n    floor-up-to: {16k: 50, 8k: 40}\n"
            "    stand-in: true\n    priority: interactive\n    beta: 0.05\n    temperature: 0\n"
            "    max-output: 4096\n    when-none: ask\n    patience: 20m\n"
            "  ask:\n    models: [coder-7b]\n    when-none: refuse\n");
    const struct mode *code = &modes.list[0];
    assert_int_equal(mode_said_points(code, "coder-7b"), 55);
    assert_int_equal(mode_said_points(code, "org/coder:32b q4"), 70);
    assert_int_equal(mode_said_points(code, "air"), 0);
    assert_int_equal(code->rule_count, 3);
    static const uint32_t tokens[] = {16384, 66560, 206848};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(code->rules[i].tokens, tokens[i]);
    assert_int_equal(code->rules[1].models.count, 2);
    assert_string_equal(code->rules[1].models.names[0], "org/coder:32b q4");
    assert_int_equal(code->planning.count, 1);
    assert_int_equal(code->floor, 60);
    assert_int_equal(code->floors[0].tokens, 8192);
    assert_int_equal(code->floors[0].points, 40);
    assert_int_equal(code->floors[1].points, 50);
    assert_true(code->stand_in);
    assert_int_equal(code->priority, 7);
    assert_true(code->beta_is_set && code->beta == 0.05);
    assert_true(code->has_temperature && code->temperature == 0);
    assert_int_equal(code->max_output, 4096);
    assert_int_equal(code->when_none, WHEN_NONE_NEXT);
    assert_string_equal(code->next, "ask");
    assert_int_equal(code->patience_ms, 20 * 60 * 1000);
    assert_int_equal(modes.list[1].when_none, WHEN_NONE_REFUSE);
    assert_false(modes.derived);
    modes_fini(&modes);
}

static void a_mode_of_models_alone_has_defaults(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make(ASK "  night:\n    models: [large]\n    batch: true\n");
    const struct mode *ask = &modes.list[0], *night = &modes.list[1];
    assert_int_equal(
            ask->point_count + ask->rule_count + ask->floor_count + ask->planning.count, 0);
    assert_int_equal(ask->floor, 0);
    assert_false(ask->stand_in || ask->has_temperature);
    assert_int_equal(ask->priority, FAIR_PRIORITY_DEFAULT);
    assert_true(!ask->beta_is_set && ask->beta == 0.3);
    assert_int_equal(ask->max_output, 0);
    assert_int_equal(ask->when_none, WHEN_NONE_WAIT);
    assert_null(ask->next);
    assert_int_equal(ask->patience_ms, 10 * 60 * 1000);
    assert_int_equal(night->priority, 0);
    assert_true(!night->beta_is_set && night->beta == 1);
    modes_fini(&modes);
}

static void priorities_are_words_or_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t priority;
    } cases[] = {{"interactive", 7}, {"normal", 5}, {"batch", 0}, {"0", 0}, {"9", 9}, {"5", 5}};
    static const char *const wrong[] = {"10", "-1", "high", "Normal", "\"\"", "1.5"};
    char yaml[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(yaml, sizeof(yaml), ASK "    priority: %s\n", cases[i].text);
        struct modes modes = modes_maker_make(yaml);
        assert_int_equal(modes.list[0].priority, cases[i].priority);
        modes_fini(&modes);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        (void)snprintf(yaml, sizeof(yaml), ASK "    priority: %s\n", wrong[i]);
        refused(yaml, "test.yaml:4: mode \"ask\" has the priority \"");
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *why;
    } cases[] = {
            {"quality: {smal: 50}",
                    "test.yaml:4: quality of mode \"ask\" names \"smal\", which its "
                    "models do not; add it to modes.ask.models, or write "
                    "\"small\""},
            {"quality: {small: 0}", "test.yaml:4:"},
            {"quality: {small: 101}", "1 … 100"},
            {"up-to: {8k: [other]}", "test.yaml:4: up-to 8k of mode \"ask\" names \"other\""},
            {"up-to: {8k: []}", "up-to 8k of mode \"ask\" names no models; write [NAME, …]"},
            {"up-to: {8k: [small, small]}", "up-to 8k of mode \"ask\" names \"small\" twice"},
            {"up-to: {8k: [small], 8192: [large]}",
                    "up-to of mode \"ask\" says twice what counts up to 8k"},
            {"up-to: {lots: [small]}", "\"lots\" is no number of tokens from 1 to 16M"},
            {"up-to: {8kB: [small]}", "written as 8k, 1M or 40960"},
            {"up-to: {0: [small]}", "\"0\" is no number of tokens"},
            {"floor-up-to: {0: 5}", "floor-up-to of mode \"ask\": \"0\" is no number of tokens"},
            {"floor-up-to: {8k: 5, 8K: 6}", "says twice what counts up to 8k"},
            {"floor: 101", "0 … 100"},
            {"planning: [other]", "planning of mode \"ask\" names \"other\""},
            {"planning: []", "planning of mode \"ask\" names no models"},
            {"temperature: 2.1", "0 … 2"},
            {"beta: 11", "0 … 10"},
            {"max-output: 0", "1 … 16777216 tokens"},
            {"patience: 25h", "1s … 1d"},
            {"when-none: other", "test.yaml:4: when-none of mode \"ask\" is \"other\", which is no "
                                 "mode; write wait, refuse or the name of one"},
            {"when-none: auto", "which is no mode"},
            {"when-none: ask", "when-none of mode \"ask\" goes round in a circle"},
            {"stand-in: perhaps", "neither true nor false"},
    };
    char yaml[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(yaml, sizeof(yaml), ASK "    %s\n", cases[i].key);
        refused(yaml, cases[i].why);
    }
    refused("modes:\n  a:\n    beta: 1\n",
            "test.yaml:2: mode \"a\" names no models; write models: [NAME, …]");
    refused("modes:\n  a:\n", "test.yaml:2: mode \"a\" names no models");
    refused("modes:\n  a.b:\n    models: [m]\n", "\"a.b\" cannot be a mode: no dots in its name");
    refused("modes:\n  wait:\n    models: [m]\n", "\"wait\" cannot be a mode");
    refused("modes:\n  mesh-ask:\n    models: [m]\n",
            "\"mesh-ask\" cannot be a mode: editors get each mode's name with \"mesh-\" before it; "
            "leave that out here");
    refused("modes:\n  claude-mesh-x:\n    models: [m]\n", "with \"claude-mesh-\" before it");
    refused("modes:\n  a:\n    models: [m]\n    when-none: b\n  b:\n    models: [m]\n"
            "    when-none: c\n  c:\n    models: [m]\n    when-none: b\n",
            "when-none of mode \"a\" goes round in a circle; let one of them wait or refuse");
}

static void a_floor_that_nobody_reaches_is_refused(void **state)
{
    (void)state;
    refused(ASK "    quality: {small: 40, large: 60}\n    floor: 61\n",
            "no request of mode \"ask\" could be answered: its floor is 61 there, and no model has "
            "more than 60 points");
    refused(ASK "    quality: {small: 40}\n    up-to: {8k: [small], 16k: [large]}\n    floor: 41\n",
            "no request of mode \"ask\" could be answered up to 8k: its floor is 41 there");
    refused(ASK "    quality: {small: 40}\n    planning: [small]\n    floor: 41\n",
            "no planning call of mode \"ask\" could be answered: its floor is 41 there");
    refused(ASK "    quality: {small: 40}\n    planning: [small]\n    floor: 41\n"
                "    floor-up-to: {8k: 40}\n",
            "no planning call of mode \"ask\" could be answered above 8k: its floor is 41 there");
    refused(ASK "    quality: {small: 40}\n    up-to: {16k: [small]}\n    floor: 30\n"
                "    floor-up-to: {8k: 41}\n",
            "no request of mode \"ask\" could be answered up to 8k: its floor is 41 there");
    refused(ASK "    quality: {small: 40, large: 60}\n    up-to: {8k: [small]}\n    floor: 61\n"
                "    floor-up-to: {8k: 40}\n    stand-in: true\n",
            "no request of mode \"ask\" could be answered above 8k: its floor is 61 there");
    static const char *const fine[] = {ASK "    quality: {small: 40}\n    floor: 90\n",
            ASK "    quality: {small: 40}\n    planning: [small, large]\n    floor: 41\n",
            ASK "    quality: {small: 40}\n    up-to: {8k: [small]}\n    floor: 41\n"
                "    floor-up-to: {8k: 40}\n",
            ASK "    quality: {small: 40}\n    up-to: {8k: [small]}\n    floor: 41\n"
                "    stand-in: true\n"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        struct modes modes = modes_maker_make(fine[i]);
        modes_fini(&modes);
    }
}

/* As many as there may be, and one more. */
static void entries(char *yaml, size_t size, const char *section, const char *value, int count)
{
    int len = snprintf(yaml, size, ASK "    %s: {", section);
    for (int i = 1; i <= count; i++)
        len += snprintf(yaml + len, size - (size_t)len, "%d: %s, ", i, value);
    (void)snprintf(yaml + len, size - (size_t)len, "}\n");
}

static void each_list_has_a_limit(void **state)
{
    (void)state;
    char yaml[16384] = "";
    struct modes modes;
    entries(yaml, sizeof(yaml), "up-to", "[small]", MODE_RULES_MAX);
    modes = modes_maker_make(yaml);
    assert_int_equal(modes.list[0].rule_count, MODE_RULES_MAX);
    modes_fini(&modes);
    entries(yaml, sizeof(yaml), "up-to", "[small]", MODE_RULES_MAX + 1);
    refused(yaml, "test.yaml:4: up-to of mode \"ask\" has 17 entries; at most 16 are taken");
    entries(yaml, sizeof(yaml), "floor-up-to", "1", MODE_RULES_MAX + 1);
    refused(yaml, "floor-up-to of mode \"ask\" has 17 entries; at most 16 are taken");
    int len = snprintf(yaml, sizeof(yaml), ASK "mode-aliases:\n");
    for (int i = 0; i <= MODES_ALIASES_MAX; i++)
        len += snprintf(yaml + len, sizeof(yaml) - (size_t)len, "  a%d: ask\n", i);
    refused(yaml, "mode-aliases: at most 256 aliases are taken");
    len = snprintf(yaml, sizeof(yaml), "modes:\n");
    for (int i = 0; i <= MODES_MAX; i++)
        len += snprintf(yaml + len, sizeof(yaml) - (size_t)len, "  m%d: {models: [a]}\n", i);
    refused(yaml, "test.yaml:66: mode \"m64\": at most 64 modes are taken");
}

static void no_alias_is_shadowed_by_a_modes_own_spelling(void **state)
{
    (void)state;
    refused(ASK "mode-aliases: {mesh-ask: ask}\n",
            "test.yaml:4: mode-aliases: \"mesh-ask\" asks for the mode \"ask\" already, and would "
            "never mean anything else; take another name");
    refused(ASK "model-aliases: {claude-mesh-ask: small}\n",
            "test.yaml:4: model-aliases: \"claude-mesh-ask\" asks for the mode \"ask\" already");
    refused(ASK "model-aliases: {mesh-auto: ask}\n", "asks for the mode \"auto\" already");
    refused(ASK "model-aliases: {\"ask:latest\": small}\n", "asks for the mode \"ask\" already");
    refused(ASK "model-aliases: {mesh-ask-small: large}\n", "asks for the mode \"ask\" already");
    struct modes modes = modes_maker_make(
            ASK "mode-aliases: {mesh-mine: ask}\nmodel-aliases: {\"mesh-*\": ask}\n");
    assert_int_equal(modes.alias_count, 2); /* no mode has these */
    modes_fini(&modes);
}

static void aliases_mean_what_there_is(void **state)
{
    (void)state;
    refused(ASK "mode-aliases: {agent: code}\n",
            "test.yaml:4: mode-aliases: \"agent\" means \"code\", which is no mode; add it under "
            "modes");
    refused(ASK "mode-aliases: {agent: small}\n", "which is no mode");
    refused(ASK "mode-aliases: {ask: ask}\n", "\"ask\" is the name of a mode already");
    refused(ASK "mode-aliases: {auto: ask}\n", "\"auto\" is the name of a mode already");
    refused(ASK "model-aliases: {ask: small}\n",
            "test.yaml:4: model-aliases: \"ask\" is the name of a mode already");
    refused(ASK "model-aliases: {gpt-4: other}\n",
            "test.yaml:4: model-aliases: \"gpt-4\" means \"other\", which is neither a mode nor a "
            "model of one; add it under modes");
    refused(ASK "model-aliases: {\"g*4\": ask}\n", "\"g*4\" has a * that is not at its end");
    struct modes modes = modes_maker_make(
            ASK "mode-aliases: {agent: ask, plan: auto}\n"
                "model-aliases: {\"*\": agent, gpt-4: large, \"a/b@c:d+e f\": ask}\n");
    assert_int_equal(modes.alias_count, 5);
    assert_true(modes.aliases[2].foreign && !modes.aliases[1].foreign);
    modes_fini(&modes);
    modes = modes_maker_make(ASK "model-aliases: {gpt-4: fast, o3: mesh-ask}\n");
    assert_int_equal(
            modes.alias_count, 2); /* what editors call the mode, and its other spellings */
    modes_fini(&modes);
    modes = modes_maker_make("mode-aliases: {agent: code}\nmodel-aliases: {gpt-4: qwen}\n");
    assert_int_equal(modes.count, 0); /* modes are derived: nothing to hold them against */
    assert_int_equal(modes.alias_count, 2);
    modes_fini(&modes);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_policy_is_read),
            cmocka_unit_test(a_mode_of_models_alone_has_defaults),
            cmocka_unit_test(priorities_are_words_or_numbers),
            cmocka_unit_test(what_makes_no_sense_is_refused),
            cmocka_unit_test(a_floor_that_nobody_reaches_is_refused),
            cmocka_unit_test(each_list_has_a_limit),
            cmocka_unit_test(aliases_mean_what_there_is),
            cmocka_unit_test(no_alias_is_shadowed_by_a_modes_own_spelling),
    };
    return cmocka_run_group_tests_name("mode_config", tests, NULL, NULL);
}
