#include "coordinator/api/list_ollama.h"

#include "common/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_offers.h"

#define DETAILS(parent)                                                                            \
    "\"details\":{\"parent_model\":\"" parent "\",\"format\":\"gguf\",\"family\":\"llama\","       \
    "\"families\":[\"llama\"],\"parameter_size\":\"7.6B\",\"quantization_level\":\"Q8_0\"}"

static char *ask_models[] = {"small"};
static char *code_models[] = {"absent"};
static struct mode mode_list[] = {{.name = "ask", .models = ask_models, .model_count = 1},
        {.name = "code", .models = code_models, .model_count = 1}};
static const struct modes modes = {.list = mode_list, .count = 2};
static const struct offers offers = {.modes = &modes};

static int setup(void **state)
{
    (void)state;
    fake_offers_clear();
    fake_offers_add("small", CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_FIM);
    fake_offers_add("idle", CAPABILITY_CHAT)->state = INSTANCE_AVAILABLE;
    return 0;
}

static cJSON *read_json(const struct buf *out)
{
    cJSON *json;
    struct err err = {.text = ""};
    if (json_parse(buf_at(out), out->len, &json_limits_request, &json, &err))
        fail_msg("%s", err.text);
    return json;
}

static cJSON *list(int (*fn)(const struct offers *offers, struct buf *out))
{
    struct buf out;
    buf_init(&out, 100000);
    assert_int_equal(fn(&offers, &out), 0);
    cJSON *json = read_json(&out);
    buf_fini(&out);
    return json;
}

static const cJSON *find(const cJSON *json, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_array(json, "models"))
    {
        if (strcmp(json_str(item, "name", ""), name) == 0)
            return item;
    }
    return NULL;
}

/* `text` without its digest, which is another module's. */
static void prints(const cJSON *json, const char *text)
{
    cJSON *copy = cJSON_Duplicate(json, true);
    assert_int_equal(strlen(json_str(copy, "digest", "")), 64);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "digest");
    char *printed = cJSON_PrintUnformatted(copy);
    assert_string_equal(printed, text);
    cJSON_free(printed);
    cJSON_Delete(copy);
}

static void tags_name_modes_and_models(void **state)
{
    (void)state;
    cJSON *json = list(list_ollama_tags);
    assert_int_equal(cJSON_GetArraySize(json_array(json, "models")), 5);
    prints(find(json, "small"), "{\"name\":\"small\",\"model\":\"small\",\"size\":1000," DETAILS(
                                        "") ",\"modified_at\":\"2026-11-21T13:16:40Z\"}");
    prints(find(json, "mesh-ask"),
            "{\"name\":\"mesh-ask\",\"model\":\"mesh-ask\",\"size\":1000," DETAILS(
                    "small") ",\"modified_at\":\"2026-11-21T13:16:40Z\"}");
    prints(find(json, "mesh-code"),
            "{\"name\":\"mesh-code\",\"model\":\"mesh-code\",\"size\":0,\"details\":{"
            "\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"unknown\",\"families\":["
            "\"unknown\"],\"parameter_size\":\"\",\"quantization_level\":\"\"},"
            "\"modified_at\":\"1970-01-01T00:00:00Z\"}");
    cJSON_Delete(json);
}

/* What is loaded is named once. */
static void an_alias_is_a_tag_and_no_model_that_is_loaded(void **state)
{
    (void)state;
    fake_offers_alias.model = "small";
    cJSON *json = list(list_ollama_tags);
    assert_int_equal(cJSON_GetArraySize(json_array(json, "models")), 6);
    prints(find(json, "nick"), "{\"name\":\"nick\",\"model\":\"nick\",\"size\":1000," DETAILS(
                                       "small") ",\"modified_at\":\"2026-11-21T13:16:40Z\"}");
    cJSON_Delete(json);
    json = list(list_ollama_ps);
    assert_null(find(json, "nick"));
    cJSON_Delete(json);
}

static void ps_names_what_is_loaded(void **state)
{
    (void)state;
    cJSON *json = list(list_ollama_ps);
    assert_int_equal(cJSON_GetArraySize(json_array(json, "models")), 1);
    prints(find(json, "small"),
            "{\"name\":\"small\",\"model\":\"small\",\"size\":3000," DETAILS(
                    "") ",\"expires_at\":\"2318-01-01T00:00:00Z\",\"size_vram\":3000,"
                        "\"context_length\":4096}");
    cJSON_Delete(json);
}

static void the_version_is_one_that_clients_take(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(list_ollama_version(&out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "{\"version\":\"0.30.0\"}");
    buf_fini(&out);
}

static int show(const char *body, struct buf *out, struct err *err)
{
    buf_init(out, 100000);
    *err = (struct err){.text = ""};
    return list_ollama_show(&offers, body, strlen(body), out, err);
}

static void a_model_shows_what_clients_look_for(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{\"model\":\"small\"}", "{\"name\":\"small\"}",
            "{\"model\":\"\",\"name\":\"small:latest\",\"verbose\":true}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct buf out;
        struct err err;
        assert_int_equal(show(bodies[i], &out, &err), 0);
        assert_int_equal(buf_terminate(&out), 0);
        assert_string_equal(buf_at(&out),
                "{\"license\":\"\",\"modelfile\":\"\",\"parameters\":\"num_ctx 4096\","
                "\"template\":\"{{ if .Suffix }}{{ .Prompt }}{{ .Suffix }}{{ else }}{{ .Prompt }}"
                "{{ end }}\"," DETAILS(
                        "") ",\"model_info\":{\"general.architecture\":\"llama\","
                            "\"general.parameter_count\":7600000000,\"llama.context_length\":4096},"
                            "\"capabilities\":[\"completion\",\"tools\",\"insert\"],"
                            "\"modified_at\":\"2026-11-21T13:16:40Z\"}");
        buf_fini(&out);
    }
}

static void a_mode_that_has_no_model_shows_what_it_can(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    assert_int_equal(show("{\"model\":\"mesh-code\"}", &out, &err), 0);
    cJSON *json = read_json(&out);
    assert_string_equal(json_str(json, "parameters", "-"), "");
    assert_null(strstr(json_str(json, "template", "-"), ".Suffix"));
    assert_string_equal(
            json_str(json_obj(json, "model_info"), "general.architecture", ""), "unknown");
    cJSON_Delete(json);
    buf_fini(&out);
}

static void an_architecture_that_is_no_key_is_not_said(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    strcpy(fake_offers_instances[0].architecture, "ll\"ama");
    assert_int_equal(show("{\"model\":\"small\"}", &out, &err), 0);
    cJSON *json = read_json(&out);
    assert_int_equal(
            (int)json_num(json_obj(json, "model_info"), "unknown.context_length", 0), 4096);
    cJSON_Delete(json);
    buf_fini(&out);
}

static void what_cannot_be_shown_says_why(void **state)
{
    (void)state;
    char name[3 * MSG_NAME_MAX], body[sizeof(name) + 20];
    memset(name, 'm', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    (void)snprintf(body, sizeof(body), "{\"model\":\"%s\"}", name);
    const struct {
        const char *body, *says;
        int r;
    } cases[] = {{"", "line 1", -EINVAL}, {"{}", "\"model\"", -EINVAL},
            {"[]", "\"model\"", -EINVAL}, {"{\"model\":1}", "\"model\"", -EINVAL},
            {"{\"model\":\"small\",\"model\":\"coder\"}", "twice", -EINVAL},
            {"{\"model\":\"gone\"}", "\"gone\"", -ENOENT}, {body, "mmm", -ENOENT}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        struct err err;
        assert_int_equal(show(cases[i].body, &out, &err), cases[i].r);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void what_changes_models_is_refused(void **state)
{
    (void)state;
    assert_int_equal(list_ollama_read_only.status, 501);
    assert_non_null(strstr(list_ollama_read_only.message, "pulled"));
}

static void an_answer_without_room_says_so(void **state)
{
    (void)state;
    struct buf out;
    for (size_t room = 0; room < 300; room += 7) {
        buf_init(&out, room);
        assert_int_equal(list_ollama_tags(&offers, &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(list_ollama_ps(&offers, &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(
                list_ollama_show(&offers, "{\"name\":\"small\"}", 16, &out, NULL), -ENOBUFS);
        buf_fini(&out);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(tags_name_modes_and_models, setup),
            cmocka_unit_test_setup(an_alias_is_a_tag_and_no_model_that_is_loaded, setup),
            cmocka_unit_test_setup(ps_names_what_is_loaded, setup),
            cmocka_unit_test_setup(the_version_is_one_that_clients_take, setup),
            cmocka_unit_test_setup(a_model_shows_what_clients_look_for, setup),
            cmocka_unit_test_setup(a_mode_that_has_no_model_shows_what_it_can, setup),
            cmocka_unit_test_setup(an_architecture_that_is_no_key_is_not_said, setup),
            cmocka_unit_test_setup(what_cannot_be_shown_says_why, setup),
            cmocka_unit_test_setup(what_changes_models_is_refused, setup),
            cmocka_unit_test_setup(an_answer_without_room_says_so, setup),
    };
    return cmocka_run_group_tests_name("list_ollama", tests, NULL, NULL);
}
