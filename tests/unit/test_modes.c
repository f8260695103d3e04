#include "coordinator/modes/modes.h"

#include "tests/lib/modes_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void refused(const char *yaml, const char *why)
{
    struct modes modes;
    struct err err;
    assert_int_equal(modes_maker_load(yaml, &modes, &err), -EINVAL);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void modes_keep_their_order(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            modes_maker_load(
                    "modes:\n  code:\n    models: [b, a]\n  ask:\n    models: [a]\n", &modes, &err),
            0);
    assert_int_equal(modes.count, 2);
    assert_string_equal(modes.list[0].name, "code");
    assert_int_equal(modes.list[0].model_count, 2);
    assert_string_equal(modes.list[0].models[0], "b");
    assert_ptr_equal(modes_find(&modes, "code"), &modes.list[0]);
    assert_null(modes_find(&modes, "Code"));
    assert_null(modes_find(&modes, ""));
    modes_fini(&modes);
    assert_int_equal(modes.count, 0);
}

static void auto_is_the_fallback_where_there_is_one(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(modes_maker_load("modes:\n  ask:\n    models: [a]\n", &modes, &err), 0);
    assert_ptr_equal(modes_find(&modes, MODE_AUTO), &modes.list[0]);
    modes_fini(&modes);
    assert_int_equal(modes_maker_load("modes:\n  code:\n    models: [a]\n", &modes, &err), 0);
    assert_null(modes_find(&modes, MODE_AUTO));
    modes_fini(&modes);
    assert_int_equal(modes_maker_load("", &modes, &err), 0);
    assert_int_equal(modes.count, 0);
    modes_fini(&modes);
}

static void bad_modes_are_refused_by_name(void **state)
{
    (void)state;
    refused("modes:\n  auto:\n    models: [a]\n", "\"auto\" cannot be a mode");
    refused("modes:\n  ask:\n    models: []\n", "\"ask\" names no models");
    refused("modes:\n  ask:\n    models: [a, b, a]\n", "names \"a\" twice");
    refused("modes:\n  ask:\n    models: [\"a\\tb\"]\n", "which no node can have");
    refused("modes:\n  ask:\n    models: [\"\"]\n", "which no node can have");
}

static void too_many_are_refused(void **state)
{
    (void)state;
    char yaml[4096] = "modes:\n  ask:\n    models: [";
    for (int i = 0; i <= MODE_MODELS_MAX; i++)
        (void)snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "m%d,", i);
    strcat(yaml, "]\n");
    refused(yaml, "at most 32");
    strcpy(yaml, "modes:\n");
    for (int i = 0; i <= MODES_MAX; i++)
        (void)snprintf(
                yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "  m%d:\n    models: [a]\n", i);
    refused(yaml, "at most 64");
}

static void modes_say_what_a_request_needs(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            modes_maker_load("modes:\n  code:\n    models: [a]\n    context: 131072\n"
                             "    context-floor: 65536\n    slots: 4\n    copies: 3\n"
                             "    weight: 1000\n    batch: true\n  ask:\n    models: [a]\n",
                    &modes, &err),
            0);
    const struct mode *code = &modes.list[0], *ask = &modes.list[1];
    assert_int_equal(code->context, 131072);
    assert_int_equal(code->context_floor, 65536);
    assert_int_equal(code->slots, 4);
    assert_int_equal(code->copies, 3);
    assert_int_equal(code->weight, 1000);
    assert_true(code->batch);
    assert_true(code->context_is_set);
    assert_false(ask->context_is_set);
    assert_int_equal(ask->context, 32768);
    assert_int_equal(ask->context_floor, 8192);
    assert_int_equal(ask->slots, 1);
    assert_int_equal(ask->copies, 1);
    assert_int_equal(ask->weight, 10);
    assert_false(ask->batch);
    modes_fini(&modes);
}

static void a_floor_is_not_above_the_context(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            modes_maker_load("modes:\n  ask:\n    models: [a]\n    context: 4096\n", &modes, &err),
            0);
    assert_int_equal(modes.list[0].context_floor, 4096);
    modes_fini(&modes);
    refused("modes:\n  ask:\n    models: [a]\n    context: 4096\n    context-floor: 4097\n",
            "test.yaml:5: mode \"ask\" has a context-floor of 4097, above its context of 4096");
}

static void needs_out_of_their_range_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"context: 255", "context: 16777217", "context-floor: 0",
            "slots: 0", "slots: 1025", "copies: 0", "copies: 65", "weight: 0", "weight: 1001",
            "batch: maybe", "context: lots"};
    char yaml[128];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        (void)snprintf(yaml, sizeof(yaml), "modes:\n  ask:\n    models: [a]\n    %s\n", keys[i]);
        refused(yaml, "test.yaml:4");
    }
}

static void lists(const struct mode *mode, const char *const *models)
{
    size_t count = 0;
    for (; models[count]; count++)
        assert_string_equal(mode->models[count], models[count]);
    assert_int_equal(mode->model_count, count);
}

static void a_copy_is_changed_alone(void **state)
{
    (void)state;
    struct modes modes, copy;
    struct err err;
    assert_int_equal(
            modes_maker_load(
                    "modes:\n  code:\n    models: [a, b]\n  ask:\n    models: [c]\n", &modes, &err),
            0);
    assert_int_equal(modes_copy(&modes, &copy, &err), 0);
    assert_int_equal(copy.count, 2);
    struct mode *code = &copy.list[0];
    assert_string_equal(code->name, "code");
    assert_int_equal(mode_put_first(code, "d", &err), 0);
    lists(code, (const char *const[]){"d", "a", "b", NULL});
    assert_int_equal(mode_put_first(code, "b", &err), 0);
    lists(code, (const char *const[]){"b", "d", "a", NULL});
    assert_int_equal(mode_put_first(code, code->models[0], &err), 0);
    lists(code, (const char *const[]){"b", "d", "a", NULL});
    assert_true(mode_lists(code, "d"));
    assert_true(modes_some_lists(&copy, "d"));
    assert_true(modes_some_lists(&copy, "c"));
    assert_false(modes_some_lists(&modes, "d"));
    mode_take_off(code, "d");
    mode_take_off(code, "nobody");
    assert_false(mode_lists(code, "d"));
    assert_false(modes_some_lists(&copy, "d"));
    lists(code, (const char *const[]){"b", "a", NULL});
    lists(&modes.list[0], (const char *const[]){"a", "b", NULL});
    modes_fini(&modes);
    modes_fini(&copy);
}

static void rules_follow_a_model_that_is_replaced(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make("modes:\n  code:\n    models: [a, b, c]\n"
                                          "    up-to: {8k: [a], 16k: [b, a], 32k: [c]}\n"
                                          "    planning: [a, c]\n");
    struct err err;
    struct mode *code = &modes.list[0];
    assert_int_equal(mode_replace_in_rules(code, "a", "d", &err), 0);
    assert_string_equal(code->rules[0].models.names[0], "d");
    assert_int_equal(code->rules[0].models.count, 1);
    assert_string_equal(code->rules[1].models.names[0], "b");
    assert_string_equal(code->rules[1].models.names[1], "d");
    assert_string_equal(code->planning.names[0], "d");
    assert_int_equal(mode_replace_in_rules(code, "d", "b", &err), 0); /* that is there already */
    assert_int_equal(code->rules[1].models.count, 1);
    assert_string_equal(code->rules[1].models.names[0], "b");
    assert_int_equal(code->rules[2].models.count, 1);
    assert_string_equal(code->rules[2].models.names[0], "c");
    modes_fini(&modes);
}

static void a_copy_has_all_of_it(void **state)
{
    (void)state;
    struct modes copy, modes = modes_maker_make(
                               "modes:\n  code:\n    models: [a, b]\n    quality: {b: 60}\n    "
                               "up-to: {8k: [a, b]}\n"
                               "    planning: [b]\n    floor-up-to: {4k: 20}\n    when-none: ask\n"
                               "    temperature: 0.2\n  ask:\n    models: [a]\n"
                               "mode-aliases: {agent: ask}\nmodel-aliases: {\"gpt-*\": code}\n");
    struct err err;
    assert_int_equal(modes_copy(&modes, &copy, &err), 0);
    modes_fini(&modes);
    const struct mode *code = &copy.list[0];
    assert_int_equal(mode_said_points(code, "b"), 60);
    assert_int_equal(mode_said_points(code, "a"), 0);
    assert_int_equal(code->rules[0].tokens, 8192);
    assert_true(mode_models_have(&code->rules[0].models, "b"));
    assert_true(mode_models_have(&code->planning, "b"));
    assert_int_equal(code->floors[0].points, 20);
    assert_string_equal(code->next, "ask");
    assert_true(code->has_temperature && code->temperature == 0.2);
    assert_int_equal(copy.alias_count, 2);
    assert_string_equal(copy.aliases[0].name, "agent");
    assert_string_equal(copy.aliases[1].target, "code");
    modes_fini(&copy);
}

static void a_full_list_loses_its_last(void **state)
{
    (void)state;
    char yaml[1024] = "modes:\n  code:\n    models: [";
    struct modes modes;
    struct err err;
    for (int i = 0; i < MODE_MODELS_MAX; i++)
        (void)snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "m%d, ", i);
    strcpy(yaml + strlen(yaml) - 2, "]\n");
    assert_int_equal(modes_maker_load(yaml, &modes, &err), 0);
    assert_int_equal(mode_put_first(&modes.list[0], "new", &err), 0);
    assert_int_equal(modes.list[0].model_count, MODE_MODELS_MAX);
    assert_string_equal(modes.list[0].models[0], "new");
    assert_string_equal(modes.list[0].models[1], "m0");
    assert_false(mode_lists(&modes.list[0], "m31"));
    modes_fini(&modes);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(modes_keep_their_order),
            cmocka_unit_test(auto_is_the_fallback_where_there_is_one),
            cmocka_unit_test(bad_modes_are_refused_by_name),
            cmocka_unit_test(too_many_are_refused),
            cmocka_unit_test(modes_say_what_a_request_needs),
            cmocka_unit_test(a_floor_is_not_above_the_context),
            cmocka_unit_test(needs_out_of_their_range_are_refused),
            cmocka_unit_test(a_copy_is_changed_alone),
            cmocka_unit_test(a_full_list_loses_its_last),
            cmocka_unit_test(rules_follow_a_model_that_is_replaced),
            cmocka_unit_test(a_copy_has_all_of_it),
    };
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
