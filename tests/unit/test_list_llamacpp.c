#include "coordinator/api/list_llamacpp.h"

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

static char *ask_models[] = {"small"};
static struct mode mode_list[] = {{.name = "ask", .models = ask_models, .model_count = 1}};
static const struct modes modes = {.list = mode_list, .count = 1}, no_modes = {.count = 0};
static const struct offers offers = {.modes = &modes}, models_only = {.modes = &no_modes};

static int setup(void **state)
{
    (void)state;
    fake_offers_clear();
    fake_offers_add("large", CAPABILITY_CHAT | CAPABILITY_VISION)->context = 8192;
    fake_offers_add("small", CAPABILITY_CHAT | CAPABILITY_TOOLS);
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

static void props(const struct offers *all, const char *name, const char *text)
{
    struct buf out;
    buf_init(&out, 10000);
    assert_int_equal(list_llamacpp_props(all, name, "modemesh 1.2.3", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), text);
    buf_fini(&out);
}

#define PROPS(ctx, alias, model, vision, tools)                                                    \
    "{\"default_generation_settings\":{\"params\":{},\"n_ctx\":" ctx "},\"total_slots\":2,"        \
    "\"model_alias\":\"" alias "\",\"model_path\":\"" model "\",\"model_ftype\":\"Q8_0\","         \
    "\"modalities\":{\"vision\":" vision ",\"audio\":false},\"chat_template\":\"\","               \
    "\"chat_template_caps\":{\"supports_tools\":" tools ",\"supports_tool_calls\":" tools          \
    ",\"supports_parallel_tool_calls\":" tools ",\"supports_system_role\":true,"                   \
    "\"supports_string_content\":true},\"build_info\":\"modemesh 1.2.3\",\"endpoint_slots\":true," \
    "\"endpoint_props\":false,\"endpoint_metrics\":false}"

static void props_tell_of_what_was_asked_for(void **state)
{
    (void)state;
    props(&offers, "large", PROPS("8192", "large", "large", "true", "false"));
    props(&offers, "mesh-ask", PROPS("4096", "mesh-ask", "small", "false", "true"));
}

static void without_a_name_they_tell_of_what_answers(void **state)
{
    (void)state;
    props(&offers, NULL, PROPS("4096", "auto", "small", "false", "true"));
    props(&offers, "", PROPS("4096", "auto", "small", "false", "true"));
    props(&models_only, NULL, PROPS("8192", "large", "large", "true", "false"));
}

static void where_there_is_nothing_there_are_no_props(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    assert_int_equal(list_llamacpp_props(&offers, "gone", "", &out), -ENOENT);
    assert_int_equal(list_llamacpp_slots(&offers, "gone", &out), -ENOENT);
    fake_offers_clear();
    assert_int_equal(list_llamacpp_props(&models_only, NULL, "", &out), -ENOENT);
    assert_int_equal(list_llamacpp_slots(&models_only, NULL, &out), -ENOENT);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void slots_tell_how_many_are_busy(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    assert_int_equal(list_llamacpp_slots(&offers, "mesh-ask", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "[{\"id\":0,\"n_ctx\":4096,\"is_processing\":true},"
                                      "{\"id\":1,\"n_ctx\":4096,\"is_processing\":false}]");
    buf_clear(&out);
    fake_offers_instances[1].slots = 0;
    assert_int_equal(list_llamacpp_slots(&offers, "small", &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "[]");
    buf_fini(&out);
}

static void slots_are_bounded(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000000);
    fake_offers_instances[1].slots = UINT32_MAX;
    assert_int_equal(list_llamacpp_slots(&offers, "small", &out), 0);
    cJSON *json = read_json(&out);
    assert_int_equal(cJSON_GetArraySize(json), LIST_SLOTS_MAX);
    cJSON_Delete(json);
    buf_fini(&out);
}

static void an_answer_without_room_says_so(void **state)
{
    (void)state;
    struct buf out;
    for (size_t room = 0; room < 60; room += 7) {
        buf_init(&out, room);
        assert_int_equal(list_llamacpp_props(&offers, NULL, "", &out), -ENOBUFS);
        buf_clear(&out);
        assert_int_equal(list_llamacpp_slots(&offers, NULL, &out), -ENOBUFS);
        buf_fini(&out);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(props_tell_of_what_was_asked_for, setup),
            cmocka_unit_test_setup(without_a_name_they_tell_of_what_answers, setup),
            cmocka_unit_test_setup(where_there_is_nothing_there_are_no_props, setup),
            cmocka_unit_test_setup(slots_tell_how_many_are_busy, setup),
            cmocka_unit_test_setup(slots_are_bounded, setup),
            cmocka_unit_test_setup(an_answer_without_room_says_so, setup),
    };
    return cmocka_run_group_tests_name("list_llamacpp", tests, NULL, NULL);
}
