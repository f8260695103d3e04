#include "coordinator/plan/plan_answer.h"

#include "common/json/json.h"
#include "tests/lib/plan_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

enum { ANSWER_MAX = 1024 * 1024 };

/* A workstation with two models that do not fit together, and a mac whose engine is not ours. */
static struct plan_setup *make(void)
{
    struct plan_setup *setup = plan_setup_create();
    struct plan_host *tower = plan_setup_node(setup, "tower", 96, 1000),
                     *mac = plan_setup_node(setup, "mac", 8, 400);
    plan_setup_reside(plan_setup_plain_model(tower, "old", 50, 64), 8192, 1);
    plan_setup_plain_model(tower, "glm", 70, 64);
    struct instance *qwen = plan_setup_plain_model(mac, "qwen", 30, 64);
    plan_setup_reside(qwen, 32768, 1);
    qwen->foreign = true;
    plan_setup_modes(setup, "modes:\n  code:\n    models: [glm]\n    copies: 2\n"
                            "  ask:\n    models: [qwen]\n  gone:\n    models: [nobody]\n");
    return setup;
}

static cJSON *answer(struct plan_setup *setup)
{
    cJSON *json = NULL;
    struct buf out;
    struct err err;
    buf_init(&out, ANSWER_MAX);
    assert_int_equal(plan_answer_append(plan_setup_plan(setup), &out), 0);
    if (json_parse(buf_at(&out), out.len, &json_limits_request, &json, &err))
        fail_msg("%s", err.text);
    buf_fini(&out);
    return json;
}

/* The item of `list` whose members `key` and `other_key` are so. */
static const cJSON *find(const cJSON *json, const char *list, const char *key, const char *value)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_array(json, list))
    {
        if (strcmp(json_str(item, key, ""), value) == 0)
            return item;
    }
    fail_msg("no %s has the %s \"%s\"", list, key, value);
    return NULL;
}

static void a_plan_says_what_and_why(void **state)
{
    struct plan_setup *setup = make();
    cJSON *json = answer(setup);
    (void)state;
    assert_true(json_bool(json, "exact", false));
    assert_true(json_num(json, "loads", 0) == 1);
    assert_true(json_num(json, "unloads", 0) == 1);
    assert_true(json_num(json, "lost_permille", 0) > 0);
    const cJSON *glm = find(json, "models", "model", "glm");
    assert_string_equal(json_str(glm, "node", ""), "tower");
    assert_string_equal(json_str(glm, "action", ""), "load");
    assert_true(json_num(glm, "context", 0) == 32768);
    assert_true(json_num(glm, "slots", 0) == 2);
    assert_true(json_num(glm, "memory_bytes", 0) > 70e9);
    assert_true(json_num(glm, "load_ms", 0) > 10000);
    assert_string_equal(json_str(glm, "why", ""), "for code (2 copies)");
    const cJSON *old = find(json, "models", "model", "old");
    assert_string_equal(json_str(old, "action", ""), "unload");
    assert_string_equal(json_str(old, "why", ""), "its room is needed for \"glm\"");
    const cJSON *qwen = find(json, "models", "model", "qwen");
    assert_true(json_bool(qwen, "foreign", false));
    assert_true(json_num(qwen, "memory_bytes", -1) == 0);
    assert_string_equal(json_str(qwen, "why", ""), "not ours, left as it is; for ask");
    cJSON_Delete(json);
    plan_setup_destroy(setup);
}

static void a_mode_says_what_it_gets_and_loses(void **state)
{
    struct plan_setup *setup = make();
    cJSON *json = answer(setup);
    (void)state;
    assert_int_equal(cJSON_GetArraySize(json_array(json, "modes")), 4);
    const cJSON *code = find(json, "modes", "mode", "code");
    assert_true(json_num(code, "copy", 0) == 1);
    assert_true(json_bool(code, "served", false));
    assert_string_equal(json_str(code, "model", ""), "glm");
    assert_string_equal(json_str(code, "node", ""), "tower");
    assert_true(json_num(code, "choice", 0) == 1 && json_num(code, "choices", 0) == 1);
    assert_true(json_num(code, "wanted_context", 0) == 32768);
    const cJSON *gone = find(json, "modes", "mode", "gone");
    assert_false(json_bool(gone, "served", true));
    assert_string_equal(json_str(gone, "model", "?"), "");
    assert_true(json_num(gone, "lost_permille", 0) == 1000);
    assert_true(json_num(json_obj(gone, "lost"), "unserved", 0) == 1000);
    assert_string_equal(
            json_str(gone, "why", ""), "not served: no node of this plan has \"nobody\" to load");
    cJSON_Delete(json);
    plan_setup_destroy(setup);
}

static void a_node_says_what_is_left(void **state)
{
    struct plan_setup *setup = make();
    cJSON *json = answer(setup);
    (void)state;
    const cJSON *tower = find(json, "nodes", "node", "tower");
    assert_true(json_num(tower, "capacity_bytes", 0) == 96 * 1073741824.0);
    assert_true(json_num(tower, "planned_bytes", 0) + json_num(tower, "free_bytes", 0) ==
                json_num(tower, "capacity_bytes", 0));
    assert_int_equal(cJSON_GetArraySize(json_array(json, "notes")), 0);
    cJSON_Delete(json);
    plan_setup_destroy(setup);
}

static void notes_are_there(void **state)
{
    struct plan_setup *setup = make();
    plan_setup_node(setup, "asleep", 10, 1)->facts.draining = true;
    cJSON *json = answer(setup);
    (void)state;
    const cJSON *note = cJSON_GetArrayItem(json_array(json, "notes"), 0);
    assert_true(cJSON_IsString(note));
    assert_string_equal(
            note->valuestring, "\"asleep\" is left out: it is draining, and takes no work");
    cJSON_Delete(json);
    plan_setup_destroy(setup);
}

static void an_answer_that_does_not_fit_is_an_error(void **state)
{
    struct plan_setup *setup = make();
    struct buf out;
    (void)state;
    buf_init(&out, 500);
    assert_int_equal(plan_answer_append(plan_setup_plan(setup), &out), -ENOBUFS);
    buf_fini(&out);
    plan_setup_destroy(setup);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_plan_says_what_and_why),
            cmocka_unit_test(a_mode_says_what_it_gets_and_loses),
            cmocka_unit_test(a_node_says_what_is_left),
            cmocka_unit_test(notes_are_there),
            cmocka_unit_test(an_answer_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests_name("plan_answer", tests, NULL, NULL);
}
