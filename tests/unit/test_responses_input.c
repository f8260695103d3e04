#include "common/json/json.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "coordinator/dialects/responses/responses_tools.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct request request;
    const char *param;
    struct err err;
};

static const char *header(void *ctx, const char *name)
{
    const char *const *pair = ctx;
    return pair && strcmp(pair[0], name) == 0 ? pair[1] : NULL;
}

static int parse_in(struct reading *reading, const char *body, struct response_store *store,
        const char *const *headers)
{
    struct dialect_input input = {.body = body,
            .len = strlen(body),
            .content_type = "application/json",
            .header = header,
            .ctx = (void *)headers,
            .owner = "key me",
            .responses = store,
            .now_s = 17};
    *reading = (struct reading){.param = "unset"};
    request_init(&reading->request);
    return dialect_responses.parse(&input, &reading->request, &reading->param, &reading->err);
}

static int parse(struct reading *reading, const char *body)
{
    return parse_in(reading, body, NULL, NULL);
}

static void same_json(const char *got, size_t len, const char *expected)
{
    cJSON *a = cJSON_ParseWithLength(got, len), *b = cJSON_Parse(expected);
    assert_non_null(a);
    assert_non_null(b);
    if (!cJSON_Compare(a, b, true))
        fail_msg("got %.*s\nexpected %s", (int)len, got, expected);
    cJSON_Delete(a);
    cJSON_Delete(b);
}

/* `body` becomes the chat `chat`, with `skipped` left out. */
static void becomes(const char *body, const char *chat, const char *skipped)
{
    struct reading reading;
    int r = parse(&reading, body);
    if (r)
        fail_msg("%s: %s", body, reading.err.text);
    same_json(buf_at(&reading.request.body), reading.request.body.len, chat);
    assert_string_equal(reading.request.skipped, skipped);
    request_fini(&reading.request);
}

static void refused(const char *body, int code, const char *param, const char *text)
{
    struct reading reading;
    int r = parse(&reading, body);
    if (r != code)
        fail_msg("%s: %d, not %d", body, r, code);
    if (!strstr(reading.err.text, text))
        fail_msg("%s: \"%s\" does not say \"%s\"", body, reading.err.text, text);
    if (param)
        assert_string_equal(reading.param, param);
    else
        assert_null(reading.param);
    assert_int_equal(reading.request.body.len, 0);
    request_fini(&reading.request);
}

/* --- requests --- */

static void a_text_is_a_message_of_the_user(void **state)
{
    (void)state;
    becomes("{\"model\":\"mesh-code\",\"input\":\"say pong\"}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"say pong\"}]}", "");
    becomes("{\"input\":\"hi\",\"instructions\":\"Be kind.\"}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},"
            "{\"role\":\"user\",\"content\":\"hi\"}]}",
            "");
}

/* LM Studio's client loads a model in this way. */
static void an_empty_input_is_taken(void **state)
{
    (void)state;
    static const char chat[] =
            "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"max_tokens\":1}";
    becomes("{\"model\":\"m\",\"input\":\"\",\"max_output_tokens\":1}", chat, "");
    becomes("{\"model\":\"m\",\"input\":[],\"max_output_tokens\":1}", chat, "");
}

static void facts_are_read(void **state)
{
    (void)state;
    static const char *const thread[] = {"thread-id", "thread 1"};
    struct reading reading;
    assert_int_equal(parse_in(&reading,
                             "{\"model\":\"m\",\"input\":\"x\",\"stream\":true,"
                             "\"prompt_cache_key\":\"key\"}",
                             NULL, thread),
            0);
    assert_string_equal(reading.request.asked, "m");
    assert_true(reading.request.stream);
    assert_false(reading.request.background);
    assert_int_equal(reading.request.kind, REQUEST_CHAT);
    assert_int_equal(reading.request.choices, 1);
    assert_int_equal(reading.request.needs, 0);
    assert_string_equal(reading.request.session, "thread 1");
    assert_null(reading.request.responses);
    request_fini(&reading.request);
    assert_int_equal(parse(&reading, "{\"input\":\"x\",\"prompt_cache_key\":\"key\"}"), 0);
    assert_string_equal(reading.request.session, "key");
    assert_false(reading.request.stream);
    assert_string_equal(reading.request.asked, "");
    request_fini(&reading.request);
}

static void settings_go_to_the_chat_under_their_names_there(void **state)
{
    (void)state;
    becomes("{\"input\":\"x\",\"temperature\":0.5,\"top_p\":0.9,\"max_output_tokens\":64,"
            "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"seed\":7,\"stop\":[\"a\"],"
            "\"top_k\":40,\"max_tool_calls\":3,\"service_tier\":\"auto\",\"metadata\":{\"a\":\"b\"}"
            ","
            "\"user\":\"u\",\"safety_identifier\":\"s\",\"client_metadata\":{\"x\":1},"
            "\"stream_options\":{\"include_obfuscation\":false},\"id_slot\":0,\"n\":4,"
            "\"text\":{\"verbosity\":\"low\"},\"truncation\":\"disabled\",\"store\":false,"
            "\"parallel_tool_calls\":true,\"include\":[\"reasoning.encrypted_content\"]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":0.5,\"top_p\":"
            "0.9,\"max_tokens\":64,\"reasoning_effort\":\"low\",\"seed\":7,\"stop\":[\"a\"],"
            "\"top_k\":40}",
            "");
}

static void null_is_absent(void **state)
{
    (void)state;
    becomes("{\"input\":\"x\",\"model\":null,\"temperature\":null,\"tools\":null,\"tool_choice\":"
            "null,\"text\":null,\"reasoning\":{\"effort\":null},\"instructions\":null,"
            "\"previous_response_id\":null,\"conversation\":null,\"prompt\":null,\"store\":null,"
            "\"include\":null,\"truncation\":null,\"background\":null,\"metadata\":null}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "");
}

static void a_format_stands_deeper_in_a_chat(void **state)
{
    (void)state;
    becomes("{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","
            "\"schema\":{\"type\":\"object\"},\"strict\":true}}}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":"
            "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"},"
            "\"strict\":true}}}",
            "");
    becomes("{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_object\"}}}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":"
            "\"json_object\"}}",
            "");
    becomes("{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"text\"}}}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "");
}

static void logprobs_are_asked_for_in_either_way(void **state)
{
    (void)state;
    becomes("{\"input\":\"x\",\"include\":[\"message.output_text.logprobs\"]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"logprobs\":true,"
            "\"top_logprobs\":1}",
            "");
    becomes("{\"input\":\"x\",\"top_logprobs\":4}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"logprobs\":true,"
            "\"top_logprobs\":4}",
            "");
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"", NULL, "JSON"},
            {"[]", NULL, "object"},
            {"{}", "input", "missing"},
            {"{\"input\":1}", "input", "array of items"},
            {"{\"input\":[1]}", "input", "input[0]"},
            {"{\"input\":[{\"type\":\"web_search_call\"}]}", "input", "nothing for a model"},
            {"{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"robot\"}]}", "input",
                    "input[1]: \"role\""},
            {"{\"input\":[{\"role\":\"user\",\"content\":7}]}", "input", "array of parts"},
            {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}]}", "input",
                    "files"},
            {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}", "input",
                    "audio"},
            {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"video\"}]}]}", "input",
                    "content part"},
            {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":"
             "\"f\"}]}]}",
                    "input", "image_url"},
            {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
             "\"https://10.0.0.1/a.png\"}]}]}",
                    "input", "not fetched from addresses"},
            {"{\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{"
             "\"type\":\"input_image\",\"image_url\":\"http://10.0.0.1/a.png\"}]}]}",
                    "input", "not fetched from addresses"},
            {"{\"input\":[{\"role\":\"system\",\"content\":[{\"type\":\"input_image\",\"image_"
             "url\":"
             "\"data:\"}]}]}",
                    "input", "messages of the user only"},
            {"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\"}]}", "input", "name"},
            {"{\"input\":[{\"type\":\"custom_tool_call\",\"call_id\":\"c\"}]}", "input", "name"},
            {"{\"input\":[{\"type\":\"compaction\",\"encrypted_content\":\"x\"}]}", "input",
                    "encrypted"},
            {"{\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1_0\"}]}", "input",
                    "item_reference"},
            {"{\"input\":\"x\",\"model\":1}", "model", "string"},
            {"{\"input\":\"x\",\"stream\":\"yes\"}", "stream", "true or false"},
            {"{\"input\":\"x\",\"temperature\":3}", "temperature", "0 to 2"},
            {"{\"input\":\"x\",\"temperature\":1e999}", NULL, "JSON"},
            {"{\"input\":\"x\",\"max_output_tokens\":0}", "max_output_tokens", "from 1"},
            {"{\"input\":\"x\",\"max_output_tokens\":1.5}", "max_output_tokens", "whole"},
            {"{\"input\":\"x\",\"top_logprobs\":21}", "top_logprobs", "20"},
            {"{\"input\":\"x\",\"instructions\":[]}", "instructions", "string"},
            {"{\"input\":\"x\",\"metadata\":\"m\"}", "metadata", "object"},
            {"{\"input\":\"x\",\"include\":\"i\"}", "include", "array"},
            {"{\"input\":\"x\",\"truncation\":\"some\"}", "truncation", "auto"},
            {"{\"input\":\"x\",\"conversation\":\"conv_1\"}", "conversation", "not kept"},
            {"{\"input\":\"x\",\"prompt\":{\"id\":\"p\"}}", "prompt", "not kept"},
            {"{\"input\":\"x\",\"reasoning\":{\"effort\":1}}", "reasoning.effort", "string"},
            {"{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}}", "text.format", "text"},
            {"{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}", "text.format",
                    "schema"},
            {"{\"input\":\"x\",\"background\":true}", "background", "stored"},
            {"{\"input\":\"x\",\"background\":true,\"store\":false}", "background", "stored"},
            {"{\"input\":\"x\",\"tools\":{}}", "tools", "array"},
            {"{\"input\":\"x\",\"tools\":[1]}", "tools", "object"},
            {"{\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}", "tools", "name"},
            {"{\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"tools\":[]}]}", "tools",
                    "name"},
            {"{\"input\":\"x\",\"tool_choice\":\"maybe\"}", "tool_choice", "required"},
            {"{\"input\":\"x\",\"tool_choice\":\"required\"}", "tool_choice", "called"},
            {"{\"input\":\"x\",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}}",
                    "tool_choice", "called"},
            {"{\"input\":\"x\",\"tool_choice\":{\"type\":\"web_search\"}}", "tool_choice",
                    "not served"},
            {"{\"input\":\"x\",\"tool_choice\":7}", "tool_choice", "form"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].body, -EINVAL, cases[i].param, cases[i].text);
    refused("{\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", -ENOENT,
            "previous_response_id", "not kept");
}

/* --- items --- */

static void what_codex_sends_becomes_a_chat(void **state)
{
    (void)state;
    becomes("{\"model\":\"mesh-code\",\"stream\":true,\"store\":false,\"input\":["
            "{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"developer\",\"content\":[{\"type\":"
            "\"input_text\",\"text\":\"You are Codex.\"}]},"
            "{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_text\","
            "\"text\":\"skills\"},{\"type\":\"input_text\",\"text\":\"permissions\"}]},"
            "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
            "\"text\":"
            "\"<environment_context>\"}],\"internal_chat_message_metadata_passthrough\":{}},"
            "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
            "\"text\":"
            "\"read it\"}]},"
            "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
            "\"encrypted_content\":\"summary\"},"
            "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
            "\"text\":\"I look.\"}]},"
            "{\"type\":\"function_call\",\"status\":\"completed\",\"id\":\"fc_1\",\"name\":"
            "\"exec_command\",\"arguments\":\"{\\\"cmd\\\":\\\"ls\\\"}\",\"call_id\":\"call_1\"},"
            "{\"type\":\"function_call\",\"name\":\"spawn_agent\",\"namespace\":\"multi_agent_v1\","
            "\"arguments\":\"\",\"call_id\":\"call_2\"},"
            "{\"type\":\"function_call_output\",\"call_id\":\"call_1\",\"output\":\"README\"},"
            "{\"type\":\"function_call_output\",\"call_id\":\"call_2\",\"output\":[{\"type\":"
            "\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\",\"text\":\"b\"}]}]}",
            "{\"messages\":["
            "{\"role\":\"system\",\"content\":\"You are Codex.\\nskills\\npermissions\"},"
            "{\"role\":\"user\",\"content\":\"<environment_context>\"},"
            "{\"role\":\"user\",\"content\":\"read it\"},"
            "{\"role\":\"assistant\",\"content\":\"I look.\",\"reasoning_content\":\"hm\","
            "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
            "\"exec_command\",\"arguments\":\"{\\\"cmd\\\":\\\"ls\\\"}\"}},{\"id\":\"call_2\","
            "\"type\":\"function\",\"function\":{\"name\":\"multi_agent_v1__spawn_agent\","
            "\"arguments\":\"{}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"README\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_2\",\"content\":\"a\\nb\"}]}",
            "");
}

static void messages_may_lack_a_type(void **state)
{
    (void)state;
    becomes("{\"input\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":["
            "{\"type\":\"input_text\",\"text\":\"U\"}]},{\"role\":\"assistant\",\"content\":\"A\"},"
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]},"
            "{\"role\":\"user\",\"content\":null}]}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":"
            "\"U\"},{\"role\":\"assistant\",\"content\":\"A\"},{\"role\":\"assistant\",\"content\":"
            "\"no\"}]}",
            "");
}

static void pictures_need_a_model_that_sees(void **state)
{
    (void)state;
    struct reading reading;
    assert_int_equal(
            parse(&reading,
                    "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                    "\"text\":\"what?\"},{\"type\":\"input_image\",\"image_url\":\"data:image/"
                    "png;base64,AA==\",\"detail\":\"low\"}]},{\"type\":\"function_call\",\"name\":"
                    "\"view_image\",\"arguments\":\"{}\",\"call_id\":\"c\"},{\"type\":\"function_"
                    "call_output\",\"call_id\":\"c\",\"output\":[{\"type\":\"input_image\","
                    "\"image_url\":\"data:image/png;base64,BB==\"}]}]}"),
            0);
    assert_int_equal(reading.request.needs, CAPABILITY_VISION);
    same_json(buf_at(&reading.request.body), reading.request.body.len,
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what?\"},"
            "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\","
            "\"detail\":\"low\"}}]},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
            "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"view_image\","
            "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
            "\"data:image/png;base64,BB==\"}}]}]}");
    request_fini(&reading.request);
}

static void calls_of_the_clients_own_tools_are_calls(void **state)
{
    (void)state;
    becomes("{\"input\":[{\"role\":\"user\",\"content\":\"u\"},"
            "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"apply_patch\",\"input\":"
            "\"*** Begin\\n\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c1\",\"output\":"
            "\"done\"},"
            "{\"type\":\"local_shell_call\",\"call_id\":\"c2\",\"action\":{\"command\":[\"ls\"]}},"
            "{\"type\":\"local_shell_call_output\",\"id\":\"c2\",\"output\":\"x\"},"
            "{\"type\":\"shell_call_output\",\"call_id\":\"c3\",\"output\":[{\"stdout\":\"o\"}]},"
            "{\"type\":\"function_call\",\"name\":\"f\",\"call_id\":\"c4\",\"arguments\":\"oops\"}]"
            "}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},"
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
            "\"function\",\"function\":{\"name\":\"apply_patch\",\"arguments\":"
            "\"{\\\"input\\\":\\\"*** Begin\\\\n\\\"}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"done\"},"
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c2\",\"type\":"
            "\"function\",\"function\":{\"name\":\"local_shell\",\"arguments\":"
            "\"{\\\"command\\\":[\\\"ls\\\"]}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"x\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c3\",\"content\":\"{\\\"stdout\\\":\\\"o\\\"}\"}"
            ","
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c4\",\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"input\\\":\\\"oops\\\"}"
            "\""
            "}}]}]}",
            "");
}

static void what_a_provider_ran_is_skipped_and_named(void **state)
{
    (void)state;
    becomes("{\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":\"web_search_call\"},"
            "{\"type\":\"mcp_call\",\"output\":\"o\"},{\"type\":\"web_search_call\"},"
            "{\"type\":\"ghost_snapshot\"},{\"type\":\"reasoning\",\"summary\":[],"
            "\"encrypted_content\":\"gAAA\"}],\"truncation\":\"auto\","
            "\"context_management\":[{\"type\":\"compaction\"}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
            "field context_management, truncation auto, item web_search_call, item mcp_call, item "
            "of an unknown type, reasoning that is encrypted");
}

/* --- tools --- */

#define USER      "\"input\":\"x\""
#define USER_CHAT "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void tools_of_all_kinds_become_functions(void **state)
{
    (void)state;
    struct reading reading;
    assert_int_equal(
            parse(&reading,
                    "{" USER ",\"parallel_tool_calls\":false,\"tools\":["
                    "{\"type\":\"function\",\"name\":\"a\",\"description\":\"A\",\"parameters\":{"
                    "\"type\":\"object\"},\"strict\":true},"
                    "{\"type\":\"function\",\"function\":{\"name\":\"b\",\"parameters\":null}},"
                    "{\"type\":\"namespace\",\"name\":\"ns\",\"tools\":[{\"type\":\"function\","
                    "\"name\":\"c\",\"parameters\":{\"type\":\"object\"}}]},"
                    "{\"type\":\"custom\",\"name\":\"d\",\"description\":\"D\",\"format\":{"
                    "\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"start: x\"}},"
                    "{\"type\":\"function\",\"name\":\"a\",\"parameters\":{}},"
                    "{\"type\":\"web_search\"},{\"type\":\"brand_new\"}]}"),
            0);
    same_json(buf_at(&reading.request.body), reading.request.body.len,
            "{" USER_CHAT ",\"tool_choice\":\"auto\",\"parallel_tool_calls\":false,\"tools\":["
            "{\"type\":\"function\",\"function\":{\"name\":\"a\",\"description\":\"A\","
            "\"parameters\":{\"type\":\"object\"},\"strict\":true}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"b\",\"parameters\":{\"type\":"
            "\"object\",\"properties\":{}}}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"ns__c\",\"parameters\":{\"type\":"
            "\"object\"}}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"d\",\"description\":\"D\\n\\n\\\"input"
            "\\\" must be text of this lark grammar:\\nstart: x\",\"parameters\":{\"type\":"
            "\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"],"
            "\"additionalProperties\":false}}}]}");
    assert_int_equal(reading.request.needs, CAPABILITY_TOOLS);
    assert_string_equal(reading.request.skipped,
            "second tool of one name, tool web_search, tool of an unknown type");
    cJSON *aliases = cJSON_GetObjectItemCaseSensitive(reading.request.kept, "aliases");
    char *text = cJSON_PrintUnformatted(aliases);
    same_json(text, strlen(text),
            "{\"ns__c\":{\"name\":\"c\",\"namespace\":\"ns\"},\"d\":{\"name\":\"d\",\"custom\":"
            "true}}");
    cJSON_free(text);
    request_fini(&reading.request);
}

#define TOOL(name) "{\"type\":\"function\",\"name\":\"" name "\",\"parameters\":{}}"
#define TOOL_CHAT(name)                                                                            \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"parameters\":{}}}"

static void a_choice_of_some_tools_leaves_the_others_out(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
            {"\"none\"", TOOL_CHAT("a") "," TOOL_CHAT("n__b"), "none"},
            {"\"required\"", TOOL_CHAT("a") "," TOOL_CHAT("n__b"), "required"},
            {"{\"type\":\"function\",\"name\":\"a\"}", TOOL_CHAT("a"), "required"},
            {"{\"type\":\"function\",\"function\":{\"name\":\"a\"}}", TOOL_CHAT("a"), "required"},
            {"{\"type\":\"function\",\"name\":\"b\",\"namespace\":\"n\"}", TOOL_CHAT("n__b"),
                    "required"},
            {"{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\","
             "\"name\":\"b\"}]}",
                    TOOL_CHAT("n__b"), "auto"},
            {"{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"namespace\","
             "\"name\":\"n\"},{\"type\":\"web_search\"}]}",
                    TOOL_CHAT("n__b"), "required"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[1000], chat[1000];
        snprintf(body, sizeof(body),
                "{" USER ",\"tools\":[" TOOL("a") ",{\"type\":\"namespace\",\"name\":\"n\","
                                                  "\"tools\":[" TOOL("b") "]}],\"tool_choice\":%s}",
                cases[i][0]);
        snprintf(chat, sizeof(chat), "{" USER_CHAT ",\"tools\":[%s],\"tool_choice\":\"%s\"}",
                cases[i][1], cases[i][2]);
        becomes(body, chat, "");
    }
}

static void tools_that_come_with_the_items_count(void **state)
{
    (void)state;
    becomes("{\"input\":[{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"additional_tools\","
            "\"role\":\"developer\",\"tools\":[" TOOL("late") "]}]}",
            "{" USER_CHAT ",\"tools\":[" TOOL_CHAT("late") "],\"tool_choice\":\"auto\"}", "");
}

/* A namespace's name is told again with each of its tools. */
static void long_names_are_refused(void **state)
{
    (void)state;
    static const char *const ends[] = {"\",\"type\":\"function\"}]}",
            "\",\"type\":\"namespace\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}]}"};
    char name[CONVERSATION_NAME_MAX + 2], body[1024];
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        for (size_t len = CONVERSATION_NAME_MAX; len <= CONVERSATION_NAME_MAX + 1; len++) {
            struct reading reading;
            memset(name, 'n', len);
            name[len] = '\0';
            snprintf(body, sizeof(body), "{\"input\":\"x\",\"tools\":[{\"name\":\"%s%s", name,
                    ends[i]);
            int r = parse(&reading, body);
            assert_int_equal(r, len > CONVERSATION_NAME_MAX ? -EINVAL : 0);
            if (r)
                assert_string_equal(reading.param, "tools");
            request_fini(&reading.request);
        }
}

/* They cost a look at each of those before them. */
static void tools_that_come_again_are_bounded_too(void **state)
{
    (void)state;
    static const char tool[] = "{\"type\":\"function\",\"name\":\"f\"},";
    struct reading reading;
    struct buf body;
    buf_init(&body, 1024 * 1024);
    assert_int_equal(buf_append_str(&body, "{\"input\":\"x\",\"tools\":["), 0);
    for (int i = 0; i < RESPONSES_OFFERED_MAX; i++)
        assert_int_equal(buf_append_str(&body, tool), 0);
    assert_int_equal(buf_append_str(&body, "{\"type\":\"function\",\"name\":\"f\"}]}"), 0);
    assert_int_equal(buf_terminate(&body), 0);
    assert_int_equal(parse(&reading, buf_at(&body)), -EINVAL);
    assert_string_equal(reading.param, "tools");
    request_fini(&reading.request);
    buf_fini(&body);
}

static void long_numbers_in_arguments_keep_their_text(void **state)
{
    (void)state;
    struct reading reading;
    assert_int_equal(
            parse(&reading, "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":"
                            "\"f\",\"arguments\":{\"id\":12345678901234567890}}]}"),
            0);
    assert_int_equal(buf_terminate(&reading.request.body), 0);
    assert_non_null(strstr(buf_at(&reading.request.body), "{\\\"id\\\":12345678901234567890}"));
    request_fini(&reading.request);
}

static void more_tools_than_are_taken_are_refused(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1024 * 1024);
    assert_int_equal(buf_append_str(&body, "{" USER ",\"tools\":["), 0);
    for (int i = 0; i <= RESPONSES_TOOLS_MAX; i++)
        assert_int_equal(
                buf_appendf(&body, "%s{\"type\":\"function\",\"name\":\"t%d\"}", i ? "," : "", i),
                0);
    assert_int_equal(buf_append_str(&body, "]}"), 0);
    assert_int_equal(buf_terminate(&body), 0);
    refused(buf_at(&body), -EINVAL, "tools", "1024");
    buf_fini(&body);
}

static void a_custom_tools_text_survives_both_ways(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "*** Begin Patch\n+é\"\\\n", "{\"input\":1}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *arguments = responses_tools_wrap_input(texts[i]);
        char *back = responses_tools_unwrap_input(arguments, strlen(arguments));
        assert_string_equal(back, texts[i]);
        free(arguments);
        free(back);
    }
    static const char *const odd[][2] = {{"{\"patch\":\"p\"}", "p"}, {"not json", "not json"},
            {"{\"a\":1}", "{\"a\":1}"}, {"{\"a\":\"x\",\"b\":\"y\"}", "{\"a\":\"x\",\"b\":\"y\"}"},
            {"", ""}};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        char *back = responses_tools_unwrap_input(odd[i][0], strlen(odd[i][0]));
        assert_string_equal(back, odd[i][1]);
        free(back);
    }
}

/* --- what is stored --- */

static struct response_store *open_store(struct virtual_env *world)
{
    virtual_env_init(world);
    struct response_store_config config = {.env = &world->env};
    struct response_store *store = response_store_create(&config);
    assert_non_null(store);
    static const char object[] = "{\"output\":[{\"id\":\"msg_aa_0\",\"type\":\"message\",\"role\":"
                                 "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":"
                                 "\"two\"}]}]}";
    struct stored_response response = {.id = "resp_aa",
            .owner = "key me",
            .previous = "",
            .input = "[{\"role\":\"user\",\"content\":\"one\"}]",
            .object = object,
            .output_at = strlen("{\"output\":"),
            .output_len = strlen(object) - strlen("{\"output\":}")};
    assert_int_equal(response_store_put(store, &response), 0);
    return store;
}

static void a_request_builds_on_a_stored_response(void **state)
{
    (void)state;
    struct virtual_env world;
    struct response_store *store = open_store(&world);
    struct reading reading;
    assert_int_equal(parse_in(&reading,
                             "{\"previous_response_id\":\"resp_aa\",\"input\":\"three\","
                             "\"instructions\":\"I\"}",
                             store, NULL),
            0);
    same_json(buf_at(&reading.request.body), reading.request.body.len,
            "{\"messages\":[{\"role\":\"system\",\"content\":\"I\"},{\"role\":\"user\",\"content\":"
            "\"one\"},{\"role\":\"assistant\",\"content\":\"two\"},{\"role\":\"user\",\"content\":"
            "\"three\"}]}");
    assert_ptr_equal(reading.request.responses, store);
    assert_string_equal(reading.request.session, "resp_aa");
    assert_string_equal(json_str(reading.request.kept, "previous", ""), "resp_aa");
    assert_string_equal(json_str(reading.request.kept, "owner", ""), "key me");
    same_json(json_str(reading.request.kept, "input", ""),
            strlen(json_str(reading.request.kept, "input", "")),
            "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
            "\"text\":\"three\"}]}]");
    request_fini(&reading.request);
    assert_int_equal(parse_in(&reading, "{\"previous_response_id\":\"resp_bb\",\"input\":\"x\"}",
                             store, NULL),
            -ENOENT);
    assert_string_equal(reading.param, "previous_response_id");
    assert_non_null(strstr(reading.err.text, "send the whole conversation"));
    request_fini(&reading.request);
    response_store_destroy(store);
}

static void references_become_what_they_mean(void **state)
{
    (void)state;
    struct virtual_env world;
    struct response_store *store = open_store(&world);
    struct reading reading;
    assert_int_equal(parse_in(&reading,
                             "{\"input\":[{\"role\":\"user\",\"content\":\"one\"},{\"type\":"
                             "\"item_reference\",\"id\":\"msg_aa_0\"},{\"role\":\"user\","
                             "\"content\":\"three\"}]}",
                             store, NULL),
            0);
    same_json(buf_at(&reading.request.body), reading.request.body.len,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\","
            "\"content\":\"two\"},{\"role\":\"user\",\"content\":\"three\"}]}");
    assert_null(strstr(json_str(reading.request.kept, "input", ""), "item_reference"));
    request_fini(&reading.request);
    assert_int_equal(
            parse_in(&reading, "{\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_aa_1\"}]}",
                    store, NULL),
            -ENOENT);
    assert_string_equal(reading.param, "input");
    request_fini(&reading.request);
    response_store_destroy(store);
}

static void what_shall_not_be_stored_is_not(void **state)
{
    (void)state;
    struct virtual_env world;
    struct response_store *store = open_store(&world);
    struct reading reading;
    assert_int_equal(parse_in(&reading, "{\"input\":\"x\",\"store\":false}", store, NULL), 0);
    assert_null(reading.request.responses);
    assert_null(json_str(reading.request.kept, "input", NULL));
    request_fini(&reading.request);
    response_store_destroy(store);
}

static void a_request_in_the_background_is_answered_as_a_stream(void **state)
{
    (void)state;
    struct virtual_env world;
    struct response_store *store = open_store(&world);
    struct reading reading;
    for (int follow = 0; follow <= 1; follow++) {
        char body[100];
        snprintf(body, sizeof(body), "{\"input\":\"x\",\"background\":true,\"stream\":%s}",
                follow ? "true" : "false");
        assert_int_equal(parse_in(&reading, body, store, NULL), 0);
        assert_true(reading.request.background);
        assert_true(reading.request.stream);
        assert_int_equal(json_bool(reading.request.kept, "follow", !follow), follow);
        request_fini(&reading.request);
    }
    response_store_destroy(store);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_text_is_a_message_of_the_user),
            cmocka_unit_test(an_empty_input_is_taken),
            cmocka_unit_test(facts_are_read),
            cmocka_unit_test(settings_go_to_the_chat_under_their_names_there),
            cmocka_unit_test(null_is_absent),
            cmocka_unit_test(a_format_stands_deeper_in_a_chat),
            cmocka_unit_test(logprobs_are_asked_for_in_either_way),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(what_codex_sends_becomes_a_chat),
            cmocka_unit_test(messages_may_lack_a_type),
            cmocka_unit_test(pictures_need_a_model_that_sees),
            cmocka_unit_test(calls_of_the_clients_own_tools_are_calls),
            cmocka_unit_test(what_a_provider_ran_is_skipped_and_named),
            cmocka_unit_test(tools_of_all_kinds_become_functions),
            cmocka_unit_test(a_choice_of_some_tools_leaves_the_others_out),
            cmocka_unit_test(tools_that_come_with_the_items_count),
            cmocka_unit_test(more_tools_than_are_taken_are_refused),
            cmocka_unit_test(long_names_are_refused),
            cmocka_unit_test(tools_that_come_again_are_bounded_too),
            cmocka_unit_test(long_numbers_in_arguments_keep_their_text),
            cmocka_unit_test(a_custom_tools_text_survives_both_ways),
            cmocka_unit_test(a_request_builds_on_a_stored_response),
            cmocka_unit_test(references_become_what_they_mean),
            cmocka_unit_test(what_shall_not_be_stored_is_not),
            cmocka_unit_test(a_request_in_the_background_is_answered_as_a_stream),
    };
    return cmocka_run_group_tests_name("responses_input", tests, NULL, NULL);
}
