#include "coordinator/dialects/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PNG "data:image/png;base64,AA=="

/* --- building --- */

/* Takes the conversation. */
static void gives(struct conversation *conversation, const char *text)
{
    cJSON *body = cJSON_CreateObject();
    assert_int_equal(conversation_take(conversation, body), 0);
    conversation_destroy(conversation);
    char *printed = cJSON_PrintUnformatted(body);
    assert_string_equal(printed, text);
    free(printed);
    cJSON_Delete(body);
}

static void texts_of_a_turn_are_one_string(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_system(c, "be brief");
    conversation_system(c, "be kind");
    conversation_user_text(c, "one");
    conversation_user_text(c, "");
    conversation_user_text(c, "two");
    gives(c, "{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\\nbe kind\"},"
             "{\"role\":\"user\",\"content\":\"one\\ntwo\"}]}");
}

static void pictures_make_an_array_of_parts(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_user_text(c, "a");
    conversation_user_text(c, "b");
    conversation_user_image(c, PNG, "low");
    conversation_user_text(c, "c");
    conversation_next_turn(c);
    conversation_user_image(c, PNG, NULL);
    gives(c,
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"},"
            "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\",\"detail\":\"low\"}},"
            "{\"type\":\"text\",\"text\":\"c\"}]},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG
            "\"}}]}]}");
}

static void a_later_system_speaks_in_the_turn_before(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_user_text(c, "hi");
    conversation_next_turn(c);
    conversation_system(c, "environment");
    conversation_system(c, "");
    conversation_next_turn(c);
    conversation_user_text(c, "more");
    gives(c, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\\nenvironment\"},"
             "{\"role\":\"user\",\"content\":\"more\"}]}");
}

static void a_later_system_speaks_in_the_turn_behind_where_none_is_before(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_assistant_text(c, "done");
    conversation_system(c, "now plan");
    conversation_next_turn(c);
    conversation_user_text(c, "go");
    conversation_assistant_text(c, "gone");
    conversation_system(c, "stop");
    gives(c, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"done\"},"
             "{\"role\":\"user\",\"content\":\"now plan\\ngo\"},"
             "{\"role\":\"assistant\",\"content\":\"gone\"},"
             "{\"role\":\"user\",\"content\":\"stop\"}]}");
}

static void a_later_system_of_nothing_makes_no_turn(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_assistant_text(c, "done");
    conversation_system(c, "");
    gives(c, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"done\"}]}");
}

static void an_assistants_pieces_are_one_message(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_assistant_reasoning(c, "think");
    conversation_assistant_text(c, "say");
    conversation_assistant_reasoning(c, "again");
    conversation_tool_call(c, "c1", "read", "{\"p\":1}");
    conversation_tool_call(c, "c2", "list", "{}");
    gives(c, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"say\",\"reasoning_content\":"
             "\"think\\nagain\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{"
             "\"name\":\"read\",\"arguments\":\"{\\\"p\\\":1}\"}},{\"id\":\"c2\",\"type\":"
             "\"function\",\"function\":{\"name\":\"list\",\"arguments\":\"{}\"}}]}]}");
}

static void an_assistant_may_only_call_or_only_think(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_assistant_text(c, "");
    conversation_tool_call(c, "c1", "f", "{}");
    conversation_next_turn(c);
    conversation_assistant_reasoning(c, "hm");
    gives(c, "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
             "\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
             "{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\"}]}");
}

static void pictures_of_results_follow_them(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    conversation_begin_result(c, "c1");
    conversation_result_image(c, PNG);
    conversation_begin_result(c, "c2");
    conversation_result_text(c, "x");
    conversation_begin_result(c, "c2");
    conversation_result_text(c, "y");
    conversation_user_text(c, "well?");
    conversation_assistant_text(c, "ok");
    conversation_begin_result(c, "c3");
    conversation_result_image(c, PNG);
    gives(c, "{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"\"},"
             "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"x\\ny\"},"
             "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG
             "\"}},{\"type\":\"text\",\"text\":\"well?\"}]},"
             "{\"role\":\"assistant\",\"content\":\"ok\"},"
             "{\"role\":\"tool\",\"tool_call_id\":\"c3\",\"content\":\"\"},"
             "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG
             "\"}}]}]}");
}

static void tools_have_one_shape(void **state)
{
    (void)state;
    struct conversation *c = conversation_create();
    cJSON *schema = cJSON_Parse("{\"$schema\":\"x\",\"type\":\"object\"}");
    conversation_tool(c, "read", "Reads.", schema, true);
    conversation_tool(c, "now", NULL, NULL, false);
    cJSON_Delete(schema);
    gives(c, "{\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\","
             "\"description\":\"Reads.\",\"parameters\":{\"$schema\":\"x\",\"type\":\"object\"},"
             "\"strict\":true}},{\"type\":\"function\",\"function\":{\"name\":\"now\","
             "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]}");
}

static void build_one_of_each(struct conversation *c)
{
    conversation_system(c, "s");
    conversation_system(c, "t");
    conversation_user_text(c, "u");
    conversation_user_image(c, PNG, "high");
    conversation_assistant_reasoning(c, "r");
    conversation_assistant_text(c, "a");
    conversation_tool_call(c, "c", "f", "{}");
    conversation_begin_result(c, "c");
    conversation_result_text(c, "x");
    conversation_begin_result(c, "c");
    conversation_result_image(c, PNG);
    conversation_system(c, "z");
    conversation_tool(c, "f", "d", NULL, true);
}

static int allocations_left;

static void *counted_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    cJSON *body = cJSON_CreateObject();
    int failures = 0, r = -1;
    cJSON_InitHooks(&hooks);
    for (; r != 0; failures++) {
        allocations_left = failures;
        struct conversation *c = conversation_create();
        if (!c)
            continue;
        build_one_of_each(c);
        r = conversation_take(c, body);
        assert_true(r == 0 || r == -ENOMEM);
        conversation_destroy(c);
        if (r == 0)
            break;
        cJSON_DeleteItemFromObject(body, "messages");
    }
    cJSON_InitHooks(NULL);
    assert_true(failures > 60);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(body, "messages")), 5);
    cJSON_Delete(body);
}

static void destroy_takes_nothing_and_what_was_not_taken(void **state)
{
    (void)state;
    conversation_destroy(NULL);
    struct conversation *c = conversation_create();
    build_one_of_each(c);
    conversation_begin_result(c, "c");
    conversation_result_image(c, PNG);
    conversation_destroy(c);
}

/* --- normalising --- */

static void normalises(const char *from, const char *to)
{
    cJSON *messages = cJSON_Parse(from), *wanted = cJSON_Parse(to);
    bool changed = false;
    assert_non_null(messages);
    assert_non_null(wanted);
    assert_int_equal(conversation_normalise(messages, &changed), 0);
    char *printed = cJSON_PrintUnformatted(messages);
    if (!cJSON_Compare(messages, wanted, true))
        fail_msg("%s\n became %s\n and not %s", from, printed, to);
    assert_true(changed);
    bool again = true;
    assert_int_equal(conversation_normalise(messages, &again), 0);
    assert_true(cJSON_Compare(messages, wanted, true));
    assert_false(again);
    free(printed);
    cJSON_Delete(messages);
    cJSON_Delete(wanted);
}

static void systems_are_put_in_order(void **state)
{
    (void)state;
    normalises("[{\"role\":\"developer\",\"content\":\"d\"}]",
            "[{\"role\":\"system\",\"content\":\"d\"}]");
    normalises("[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":"
               "[{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"u\"}]",
            "[{\"role\":\"system\",\"content\":\"a\\nb\"},{\"role\":\"user\",\"content\":\"u\"}]");
    normalises("[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"system\",\"content\":\"s\"},"
               "{\"role\":\"user\",\"content\":\"v\"}]",
            "[{\"role\":\"user\",\"content\":\"u\\ns\"},{\"role\":\"user\",\"content\":\"v\"}]");
    normalises(
            "[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"s\"},"
            "{\"role\":\"user\",\"content\":\"v\",\"name\":\"n\"}]",
            "[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"s\\nv\"}"
            "]");
    normalises("[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"system\",\"content\":[]},"
               "{\"role\":\"system\",\"content\":\"\"},{\"role\":\"system\",\"content\":null}]",
            "[{\"role\":\"assistant\",\"content\":\"a\"}]");
}

static void texts_are_strings(void **state)
{
    (void)state;
    normalises("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
               "{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"b\","
               "\"cache_control\":{\"type\":\"ephemeral\"}}],\"name\":\"kept\"}]",
            "[{\"role\":\"user\",\"content\":\"a\\nb\",\"name\":\"kept\"}]");
    normalises("[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[{\"type\":\"text\","
               "\"text\":\"x\"}]}]",
            "[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}]");
    normalises("[{\"role\":\"user\",\"content\":[]}]", "[{\"role\":\"user\",\"content\":\"\"}]");
    normalises("[{\"role\":\"user\"}]", "[{\"role\":\"user\",\"content\":\"\"}]");
    normalises("[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]",
            "[{\"role\":\"system\",\"content\":\"x\"}]");
}

static void arrays_with_pictures_stay_and_shed_what_moves(void **state)
{
    (void)state;
    normalises("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
               "\"text\",\"text\":\"b\"},{\"type\":\"input_audio\",\"x\":1}]}]",
            "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"},{\"type\":"
            "\"input_audio\",\"x\":1}]}]");
    normalises("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{},"
               "\"cache_control\":{}},{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{}}],"
               "\"cache_control\":{}}]",
            "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}},{\"type\":"
            "\"text\",\"text\":\"a\"}]}]");
    normalises("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"y\"}"
               "]}]",
            "[{\"role\":\"user\",\"content\":[{\"type\":\"y\"}]}]");
}

static void an_assistant_without_text_has_the_content_that_fits(void **state)
{
    (void)state;
#define CALLS "\"tool_calls\":[{\"id\":\"c\"}]"
    normalises("[{\"role\":\"assistant\",\"content\":\"\"," CALLS "}]",
            "[{\"role\":\"assistant\",\"content\":null," CALLS "}]");
    normalises("[{\"role\":\"assistant\"," CALLS ",\"reasoning_content\":\"\"}]",
            "[{\"role\":\"assistant\",\"content\":null," CALLS "}]");
    normalises("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[],"
               "\"reasoning_content\":null}]",
            "[{\"role\":\"assistant\",\"content\":\"\"}]");
#undef CALLS
}

static void pictures_leave_results(void **state)
{
    (void)state;
    normalises("[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[{\"type\":\"image_url\"},{"
               "\"type\":\"text\",\"text\":\"x\"}]},{\"role\":\"tool\",\"tool_call_id\":\"d\","
               "\"content\":\"y\"},{\"role\":\"user\",\"content\":\"look\"}]",
            "[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"},{\"role\":\"tool\","
            "\"tool_call_id\":\"d\",\"content\":\"y\"},{\"role\":\"user\",\"content\":[{\"type\":"
            "\"image_url\"},{\"type\":\"text\",\"text\":\"look\"}]}]");
    normalises("[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[{\"type\":\"image_url\"}]},"
               "{\"role\":\"other\",\"content\":1}]",
            "[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"},{\"role\":\"user\","
            "\"content\":[{\"type\":\"image_url\"}]},{\"role\":\"other\",\"content\":1}]");
}

static void what_is_in_order_is_not_touched(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "[1,\"x\",null,[],{}]",
            "[{\"role\":\"system\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"\"}]",
            "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\",\"k\":1}"
            ","
            "{\"role\":\"user\",\"content\":\"v\"},{\"role\":\"assistant\",\"content\":null,"
            "\"reasoning_content\":\"r\",\"tool_calls\":[{\"id\":\"c\",\"extra\":true}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}]",
            "[{\"role\":\"function\",\"name\":\"f\",\"content\":\"x\"},{\"role\":\"system\","
            "\"content\":{}}]",
            "[{\"role\":\"user\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c\"}]}]",
            "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},7,"
            "{\"type\":\"text\"}]}]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        cJSON *messages = cJSON_Parse(texts[i]), *before = cJSON_Duplicate(messages, true);
        bool changed = true;
        assert_int_equal(conversation_normalise(messages, &changed), 0);
        if (changed || !cJSON_Compare(messages, before, true))
            fail_msg("%s was changed", texts[i]);
        cJSON_Delete(messages);
        cJSON_Delete(before);
    }
}

static void each_allocation_fails_once_in_normalising(void **state)
{
    (void)state;
    static const char text[] =
            "[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
            "\"text\",\"text\":\"b\"}]},{\"role\":\"tool\",\"content\":[{\"type\":\"image_url\"}]},"
            "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"},{"
            "\"role\":\"x\"}]";
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    int failures = 0, r = -1;
    for (; r != 0; failures++) {
        cJSON *messages = cJSON_Parse(text);
        bool changed = false;
        cJSON_InitHooks(&hooks);
        allocations_left = failures;
        r = conversation_normalise(messages, &changed);
        cJSON_InitHooks(NULL);
        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(changed, r == 0);
        cJSON_Delete(messages);
    }
    assert_true(failures > 20);
}

/* A turn of so many texts would take hours if each were copied for every one that follows. */
static void many_small_texts_cost_what_they_weigh(void **state)
{
    (void)state;
    enum { TEXTS = 200 * 1000 };
    struct conversation *c = conversation_create();
    cJSON *body = cJSON_CreateObject();
    clock_t start = clock();
    for (size_t i = 0; i < TEXTS; i++)
        conversation_user_text(c, "twenty bytes of text");
    assert_int_equal(conversation_take(c, body), 0);
    assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
    const cJSON *message = cJSON_GetObjectItem(body, "messages")->child;
    assert_int_equal(strlen(cJSON_GetObjectItem(message, "content")->valuestring), TEXTS * 21 - 1);
    conversation_destroy(c);
    cJSON_Delete(body);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(texts_of_a_turn_are_one_string),
            cmocka_unit_test(pictures_make_an_array_of_parts),
            cmocka_unit_test(a_later_system_speaks_in_the_turn_before),
            cmocka_unit_test(a_later_system_speaks_in_the_turn_behind_where_none_is_before),
            cmocka_unit_test(a_later_system_of_nothing_makes_no_turn),
            cmocka_unit_test(an_assistants_pieces_are_one_message),
            cmocka_unit_test(an_assistant_may_only_call_or_only_think),
            cmocka_unit_test(pictures_of_results_follow_them),
            cmocka_unit_test(tools_have_one_shape),
            cmocka_unit_test(each_allocation_fails_once),
            cmocka_unit_test(destroy_takes_nothing_and_what_was_not_taken),
            cmocka_unit_test(systems_are_put_in_order),
            cmocka_unit_test(texts_are_strings),
            cmocka_unit_test(arrays_with_pictures_stay_and_shed_what_moves),
            cmocka_unit_test(an_assistant_without_text_has_the_content_that_fits),
            cmocka_unit_test(pictures_leave_results),
            cmocka_unit_test(what_is_in_order_is_not_touched),
            cmocka_unit_test(each_allocation_fails_once_in_normalising),
            cmocka_unit_test(many_small_texts_cost_what_they_weigh),
    };
    return cmocka_run_group_tests_name("conversation", tests, NULL, NULL);
}
