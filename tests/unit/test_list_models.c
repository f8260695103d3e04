#include "coordinator/api/list_models.h"

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

enum { CHATS = CAPABILITY_CHAT | CAPABILITY_TOOLS };

static char *ask_models[] = {"small"};
static char *code_models[] = {"absent"};
static struct mode mode_list[] = {{.name = "ask", .models = ask_models, .model_count = 1},
        {.name = "code", .models = code_models, .model_count = 1}};
static const struct modes modes = {.list = mode_list, .count = 2};

static int setup(void **state)
{
    (void)state;
    fake_offers_clear();
    fake_offers_add("small", CHATS | CAPABILITY_VISION | CAPABILITY_REASONING);
    fake_offers_add("vectors", CAPABILITY_EMBEDDINGS)->state = INSTANCE_AVAILABLE;
    return 0;
}

static bool is_allowed(void *ctx, const char *name)
{
    return strcmp(ctx, name) != 0;
}

static struct offers all_offers(void)
{
    return (struct offers){.modes = &modes};
}

/* Ends the test where it is no JSON. The caller frees. */
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
    struct offers offers = all_offers();
    struct buf out;
    buf_init(&out, 100000);
    assert_int_equal(fn(&offers, &out), 0);
    cJSON *json = read_json(&out);
    buf_fini(&out);
    return json;
}

static const cJSON *find(const cJSON *json, const char *key, const char *value)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_array(json, "data"))
    {
        if (strcmp(json_str(item, key, ""), value) == 0)
            return item;
    }
    fail_msg("no %s %s", key, value);
    return NULL;
}

static void prints(const cJSON *json, const char *text)
{
    char *printed = cJSON_PrintUnformatted(json);
    assert_string_equal(printed, text);
    cJSON_free(printed);
}

static void one_object_serves_all_readers(void **state)
{
    (void)state;
    cJSON *json = list(list_models_openai);
    assert_string_equal(json_str(json, "object", ""), "list");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "data")), 5);
    prints(find(json, "id", "small"),
            "{\"id\":\"small\",\"object\":\"model\",\"type\":\"model\",\"display_name\":\"small\","
            "\"created\":1795267000,\"created_at\":\"2026-11-21T13:16:40Z\","
            "\"owned_by\":\"modemesh\",\"context_length\":4096,\"max_model_len\":4096,"
            "\"max_input_tokens\":4096,\"max_tokens\":1024,\"meta\":{\"n_ctx\":4096,"
            "\"n_ctx_train\":32768,\"n_params\":7600000000,\"size\":1000},"
            "\"capabilities\":[\"completion\",\"tools\",\"vision\",\"thinking\"],"
            "\"modemesh\":{\"kind\":\"model\"}}");
    prints(json_array(find(json, "id", "vectors"), "capabilities"), "[\"embedding\"]");
    cJSON_Delete(json);
}

static void a_mode_says_what_its_model_is(void **state)
{
    (void)state;
    cJSON *json = list(list_models_openai);
    const cJSON *ask = find(json, "id", "mesh-ask");
    assert_string_equal(json_str(json_obj(ask, "modemesh"), "kind", ""), "mode");
    assert_int_equal((int)json_num(ask, "context_length", 0), 4096);
    (void)find(json, "id", "mesh-auto");
    prints(find(json, "id", "mesh-code"),
            "{\"id\":\"mesh-code\",\"object\":\"model\",\"type\":\"model\",\"display_name\":"
            "\"mesh-code\",\"created\":0,\"created_at\":\"1970-01-01T00:00:00Z\","
            "\"owned_by\":\"modemesh\",\"capabilities\":[\"completion\",\"tools\"],"
            "\"modemesh\":{\"kind\":\"mode\"}}");
    cJSON_Delete(json);
}

static void an_alias_is_what_its_model_is(void **state)
{
    (void)state;
    fake_offers_alias.model = "small";
    cJSON *json = list(list_models_openai);
    const cJSON *nick = find(json, "id", "nick");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "data")), 6);
    assert_string_equal(json_str(json_obj(nick, "modemesh"), "kind", ""), "alias");
    assert_true(cJSON_Compare(json_array(nick, "capabilities"),
            json_array(find(json, "id", "small"), "capabilities"), true));
    cJSON_Delete(json);
}

static void what_a_caller_may_not_use_is_not_listed(void **state)
{
    (void)state;
    struct offers offers = all_offers();
    struct buf out;
    offers.allows_model = is_allowed;
    offers.ctx = (void *)(uintptr_t) "small";
    buf_init(&out, 100000);
    assert_int_equal(list_models_openai(&offers, &out), 0);
    cJSON *json = read_json(&out);
    const cJSON *item;
    cJSON_ArrayForEach(item, json_array(json, "data"))
            assert_string_not_equal(json_str(item, "id", ""), "small");
    cJSON_Delete(json);
    buf_clear(&out);
    assert_int_equal(list_models_one(&offers, "small", &out), -ENOENT);
    assert_int_equal(list_models_one(&offers, "nothing", &out), -ENOENT);
    assert_int_equal(out.len, 0);
    assert_int_equal(list_models_one(&offers, "mesh-ask:latest", &out), 0);
    json = read_json(&out);
    assert_string_equal(json_str(json, "id", ""), "mesh-ask:latest");
    cJSON_Delete(json);
    buf_fini(&out);
}

/* The ids of a page, "a b c", and what stands behind them. */
static void pages(size_t limit, const char *after, const char *before, const char *text)
{
    struct offers offers = all_offers();
    struct list_page page = {.limit = limit, .after_id = after, .before_id = before};
    struct buf out, ids;
    buf_init(&out, 100000);
    buf_init(&ids, 1000);
    assert_int_equal(list_models_anthropic(&offers, &page, &out), 0);
    cJSON *json = read_json(&out);
    const cJSON *item;
    cJSON_ArrayForEach(item, json_array(json, "data"))
            assert_int_equal(buf_appendf(&ids, "%s ", json_str(item, "id", "")), 0);
    assert_int_equal(buf_appendf(&ids, "| %s %s %s", json_str(json, "first_id", "null"),
                             json_str(json, "last_id", "null"),
                             json_bool(json, "has_more", false) ? "more" : "all"),
            0);
    assert_int_equal(buf_terminate(&ids), 0);
    assert_string_equal(buf_at(&ids), text);
    cJSON_Delete(json);
    buf_fini(&ids);
    buf_fini(&out);
}

static void anthropics_list_comes_in_pages(void **state)
{
    (void)state;
#define ALL "mesh-ask mesh-code mesh-auto small vectors | mesh-ask vectors all"
    pages(0, NULL, NULL, ALL);
    pages(1000, NULL, NULL, ALL);
    pages(SIZE_MAX, NULL, NULL, ALL);
    pages(5, NULL, NULL, ALL);
    pages(2, NULL, NULL, "mesh-ask mesh-code | mesh-ask mesh-code more");
    pages(2, "mesh-code", NULL, "mesh-auto small | mesh-auto small more");
    pages(2, "mesh-auto", NULL, "small vectors | small vectors all");
    pages(2, "vectors", NULL, "| null null all");
    pages(2, NULL, "small", "mesh-code mesh-auto | mesh-code mesh-auto more");
    pages(3, NULL, "small", "mesh-ask mesh-code mesh-auto | mesh-ask mesh-auto all");
    pages(2, NULL, "mesh-ask", "| null null all");
    pages(9, "mesh-ask", "small", "mesh-code mesh-auto | mesh-code mesh-auto all");
    pages(9, "small", "mesh-ask", "| null null all");
    pages(0, "gone", "gone", ALL);
}

static void anthropics_callers_see_names_of_their_own(void **state)
{
    (void)state;
    struct offers offers = all_offers();
    struct list_page page = {.limit = 2};
    struct buf out;
    offers.claude_names = true;
    buf_init(&out, 100000);
    assert_int_equal(list_models_anthropic(&offers, &page, &out), 0);
    cJSON *json = read_json(&out);
    assert_string_equal(json_str(json, "last_id", ""), "claude-mesh-ask");
    assert_string_equal(
            json_str(find(json, "id", "claude-mesh-ask"), "display_name", ""), "claude-mesh-ask");
    cJSON_Delete(json);
    buf_fini(&out);
}

static void litellms_list_tells_the_context(void **state)
{
    (void)state;
    cJSON *json = list(list_models_litellm);
    prints(find(json, "model_name", "mesh-ask"),
            "{\"model_name\":\"mesh-ask\",\"litellm_params\":{\"model\":\"mesh-ask\"},"
            "\"model_info\":{\"id\":\"mesh-ask\",\"key\":\"mesh-ask\",\"mode\":\"chat\","
            "\"litellm_provider\":\"modemesh\",\"max_tokens\":1024,\"max_output_tokens\":1024,"
            "\"max_input_tokens\":4096,\"input_cost_per_token\":0,\"output_cost_per_token\":0,"
            "\"supports_function_calling\":true,\"supports_vision\":true,"
            "\"supports_audio_input\":false,\"supports_reasoning\":true,"
            "\"supports_prompt_caching\":true,\"supports_response_schema\":true}}");
    const cJSON *info = json_obj(find(json, "model_name", "vectors"), "model_info");
    assert_string_equal(json_str(info, "mode", ""), "embedding");
    assert_false(cJSON_HasObjectItem(
            json_obj(find(json, "model_name", "mesh-code"), "model_info"), "max_tokens"));
    cJSON_Delete(json);
}

static void lmstudios_list_tells_what_is_loaded(void **state)
{
    (void)state;
    cJSON *json = list(list_models_lmstudio);
    prints(find(json, "id", "small"),
            "{\"id\":\"small\",\"object\":\"model\",\"type\":\"vlm\",\"publisher\":\"modemesh\","
            "\"arch\":\"llama\",\"compatibility_type\":\"gguf\",\"quantization\":\"Q8_0\","
            "\"state\":\"loaded\",\"max_context_length\":4096,\"loaded_context_length\":4096,"
            "\"capabilities\":[\"tool_use\"]}");
    prints(find(json, "id", "vectors"),
            "{\"id\":\"vectors\",\"object\":\"model\",\"type\":\"embeddings\","
            "\"publisher\":\"modemesh\",\"arch\":\"llama\",\"compatibility_type\":\"gguf\","
            "\"quantization\":\"Q8_0\",\"state\":\"not-loaded\",\"max_context_length\":4096,"
            "\"capabilities\":[]}");
    cJSON_Delete(json);
}

static void an_answer_without_room_says_so(void **state)
{
    (void)state;
    struct offers offers = all_offers();
    struct list_page page = {.limit = 0};
    struct buf out;
    for (size_t room = 0; room < 600; room += 7) {
        buf_init(&out, room);
        assert_int_equal(list_models_openai(&offers, &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(list_models_anthropic(&offers, &page, &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(list_models_litellm(&offers, &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(list_models_lmstudio(&offers, &out), -ENOBUFS);
        buf_fini(&out);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(one_object_serves_all_readers, setup),
            cmocka_unit_test_setup(a_mode_says_what_its_model_is, setup),
            cmocka_unit_test_setup(an_alias_is_what_its_model_is, setup),
            cmocka_unit_test_setup(what_a_caller_may_not_use_is_not_listed, setup),
            cmocka_unit_test_setup(anthropics_list_comes_in_pages, setup),
            cmocka_unit_test_setup(anthropics_callers_see_names_of_their_own, setup),
            cmocka_unit_test_setup(litellms_list_tells_the_context, setup),
            cmocka_unit_test_setup(lmstudios_list_tells_what_is_loaded, setup),
            cmocka_unit_test_setup(an_answer_without_room_says_so, setup),
    };
    return cmocka_run_group_tests_name("list_models", tests, NULL, NULL);
}
