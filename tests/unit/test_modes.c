#include "coordinator/modes/modes.h"

#include "coordinator/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int load(const char *yaml, struct modes *ret_modes, struct err *err)
{
    struct config *config = config_create(coordinator_keys);
    *err = (struct err){.text = ""};
    int r = config_load_text(config, "test.yaml", yaml, strlen(yaml), err);
    if (!r)
        r = modes_from_config(config, ret_modes, err);
    config_destroy(config);
    return r;
}

static void refused(const char *yaml, const char *why)
{
    struct modes modes;
    struct err err;
    assert_int_equal(load(yaml, &modes, &err), -EINVAL);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void modes_keep_their_order(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(
            load("modes:\n  code:\n    models: [b, a]\n  ask:\n    models: [a]\n", &modes, &err),
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
    assert_int_equal(load("modes:\n  ask:\n    models: [a]\n", &modes, &err), 0);
    assert_ptr_equal(modes_find(&modes, MODE_AUTO), &modes.list[0]);
    modes_fini(&modes);
    assert_int_equal(load("modes:\n  code:\n    models: [a]\n", &modes, &err), 0);
    assert_null(modes_find(&modes, MODE_AUTO));
    modes_fini(&modes);
    assert_int_equal(load("", &modes, &err), 0);
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
    assert_int_equal(load("modes:\n  code:\n    models: [a]\n    context: 131072\n"
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
    assert_int_equal(load("modes:\n  ask:\n    models: [a]\n    context: 4096\n", &modes, &err), 0);
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
            load("modes:\n  ask:\n    models: [a]\n  code:\n    models: [Qwen2.5-Coder-7B]\n",
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
            if (modes_name_leaves(&mode, cases[i].name, models[m]) != cases[i].leaves[m])
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
    modes_plain_name(":latest", plain);
    assert_string_equal(plain, ":latest");
    modes_plain_name("qwen3:30b", plain);
    assert_string_equal(plain, "qwen3:30b");
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
            load("modes:\n  code:\n    models: [a, b]\n  ask:\n    models: [c]\n", &modes, &err),
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
    mode_take_off(code, "d");
    mode_take_off(code, "nobody");
    assert_false(mode_lists(code, "d"));
    lists(code, (const char *const[]){"b", "a", NULL});
    lists(&modes.list[0], (const char *const[]){"a", "b", NULL});
    modes_fini(&modes);
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
    assert_int_equal(load(yaml, &modes, &err), 0);
    assert_int_equal(mode_put_first(&modes.list[0], "new", &err), 0);
    assert_int_equal(modes.list[0].model_count, MODE_MODELS_MAX);
    assert_string_equal(modes.list[0].models[0], "new");
    assert_string_equal(modes.list[0].models[1], "m0");
    assert_false(mode_lists(&modes.list[0], "m31"));
    modes_fini(&modes);
}

static void a_name_that_names_a_model_is_not_open(void **state)
{
    (void)state;
    struct modes modes;
    struct err err;
    assert_int_equal(load("modes:\n  code:\n    models: [qwen3-coder]\n", &modes, &err), 0);
    const struct mode *code = &modes.list[0];
    assert_true(modes_name_is_open(code, "code"));
    assert_true(modes_name_is_open(code, "mesh-code"));
    assert_true(modes_name_is_open(code, "claude-mesh-code:latest"));
    assert_true(modes_name_is_open(code, "auto"));
    assert_false(modes_name_is_open(code, "mesh-code-qwen3"));
    assert_false(modes_name_is_open(code, "claude-mesh-code-Qwen3-coder[1m]"));
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
            cmocka_unit_test(editors_spell_modes_in_many_ways),
            cmocka_unit_test(a_name_with_a_model_leaves_that_model),
            cmocka_unit_test(a_name_is_plain_without_what_clients_add),
            cmocka_unit_test(a_copy_is_changed_alone),
            cmocka_unit_test(a_full_list_loses_its_last),
            cmocka_unit_test(a_name_that_names_a_model_is_not_open),
    };
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
