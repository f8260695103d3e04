#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PNG "data:image/png;base64,AA=="
#define IMAGE                                                                                      \
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"                  \
    "png\",\"data\":\"AA==\"}}"
#define IMAGE_PART    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}}"
#define TEXT(text)    "{\"type\":\"text\",\"text\":\"" text "\"}"
#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define HI            "\"messages\":[" USER("\"hi\"") "]"

struct parsed {
    struct request request;
    const char *param;
    struct err err;
    int result;
};

struct headers {
    const char *session, *agent;
};

static const char *header(void *ctx, const char *name)
{
    const struct headers *headers = ctx;
    if (strcasecmp(name, "X-Claude-Code-Session-Id") == 0)
        return headers->session;
    return strcasecmp(name, "x-claude-code-agent-id") == 0 ? headers->agent : NULL;
}

static void parse_with(
        const struct dialect *dialect, const char *body, struct headers headers, struct parsed *ret)
{
    struct dialect_input input = {.body = body,
            .len = strlen(body),
            .content_type = "application/json",
            .header = header,
            .ctx = &headers,
            .owner = ""};
    request_init(&ret->request);
    ret->param = "unset";
    ret->err = (struct err){.text = ""};
    ret->result = dialect->parse(&input, &ret->request, &ret->param, &ret->err);
}

static void parse(const char *body, struct parsed *ret)
{
    parse_with(&dialect_anthropic_messages, body, (struct headers){0}, ret);
}

/* `members` stand beside max_tokens in the request, `wanted` beside it in what becomes of it. */
static void becomes(const char *members, const char *wanted)
{
    struct parsed parsed;
    char *body;
    cJSON *made, *expected;
    assert_true(asprintf(&body, "{\"max_tokens\":9,%s}", members) > 0);
    parse(body, &parsed);
    if (parsed.result != 0)
        fail_msg("%s is refused: %s", body, parsed.err.text);
    free(body);
    assert_true(asprintf(&body, "{\"max_tokens\":9,%s}", wanted) > 0);
    expected = cJSON_Parse(body);
    assert_non_null(expected);
    assert_int_equal(buf_terminate(&parsed.request.body), 0);
    made = cJSON_Parse(buf_at(&parsed.request.body));
    if (!cJSON_Compare(made, expected, true))
        fail_msg("%s\nbecame %s\nand not %s", members, buf_at(&parsed.request.body), body);
    free(body);
    cJSON_Delete(made);
    cJSON_Delete(expected);
    request_fini(&parsed.request);
}

static void messages_become(const char *messages, const char *wanted)
{
    char *from, *to;
    assert_true(asprintf(&from, "\"messages\":[%s]", messages) > 0);
    assert_true(asprintf(&to, "\"messages\":[%s]", wanted) > 0);
    becomes(from, to);
    free(from);
    free(to);
}

static void refuses(const char *members, const char *param, const char *text)
{
    struct parsed parsed;
    char *body;
    assert_true(asprintf(&body, "{\"max_tokens\":9,%s}", members) > 0);
    parse(body, &parsed);
    if (parsed.result != -EINVAL || !strstr(parsed.err.text, text))
        fail_msg("%s: %d \"%s\" does not say \"%s\"", body, parsed.result, parsed.err.text, text);
    assert_string_equal(parsed.param, param);
    assert_int_equal(parsed.request.body.len, 0);
    free(body);
    request_fini(&parsed.request);
}

/* --- what routes a request --- */

static void facts_are_read(void **state)
{
    (void)state;
    struct parsed parsed;
    parse("{\"model\":\"mesh-code\",\"max_tokens\":5,\"stream\":true," HI "}", &parsed);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.request.kind, REQUEST_CHAT);
    assert_string_equal(parsed.request.asked, "mesh-code");
    assert_true(parsed.request.stream);
    assert_int_equal(parsed.request.choices, 1);
    assert_int_equal(parsed.request.needs, 0);
    assert_string_equal(parsed.request.session, "");
    assert_string_equal(parsed.request.skipped, "");
    assert_null(parsed.param);
    request_fini(&parsed.request);
}

static void a_count_needs_no_limit_and_never_streams(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_with(&dialect_anthropic_count, "{\"model\":\"m\",\"stream\":true," HI "}",
            (struct headers){0}, &parsed);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.request.kind, REQUEST_COUNT);
    assert_false(parsed.request.stream);
    assert_int_equal(buf_terminate(&parsed.request.body), 0);
    assert_string_equal(buf_at(&parsed.request.body), "{" HI "}");
    request_fini(&parsed.request);
}

static void the_session_is_claude_codes(void **state)
{
    (void)state;
    static const char body[] = "{\"max_tokens\":5," HI ",\"metadata\":{\"user_id\":"
                               "\"{\\\"device_id\\\":\\\"d\\\",\\\"session_id\\\":\\\"s3\\\"}\"}}";
    static const struct {
        struct headers headers;
        const char *session;
    } cases[] = {
            {{0}, "s3"}, {{.session = "s1"}, "s1"}, {{.session = "s1", .agent = "a2"}, "s1/a2"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct parsed parsed;
        parse_with(&dialect_anthropic_messages, body, cases[i].headers, &parsed);
        assert_int_equal(parsed.result, 0);
        assert_string_equal(parsed.request.session, cases[i].session);
        request_fini(&parsed.request);
    }
}

static void needs(const char *members, uint32_t wanted)
{
    struct parsed parsed;
    char *body;
    assert_true(asprintf(&body, "{\"max_tokens\":9,%s}", members) > 0);
    parse(body, &parsed);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.request.needs, wanted);
    free(body);
    request_fini(&parsed.request);
}

static void needs_are_what_the_answer_cannot_do_without(void **state)
{
    (void)state;
#define TOOL "\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]"
    needs(HI "," TOOL, CAPABILITY_TOOLS);
    needs(HI "," TOOL ",\"tool_choice\":{\"type\":\"none\"}", 0);
    needs(HI "," TOOL ",\"tool_choice\":{\"type\":\"auto\"}", CAPABILITY_TOOLS);
    needs(HI "," TOOL ",\"tool_choice\":{\"type\":\"any\"}", CAPABILITY_TOOLS);
    needs(HI "," TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}", CAPABILITY_TOOLS);
    needs("\"messages\":[" USER("[" IMAGE "]") "]", CAPABILITY_VISION);
    needs("\"messages\":[" USER(
                  "[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":[" IMAGE "]}]") "]",
            CAPABILITY_VISION);
}

/* --- what was said --- */

static void the_system_is_text_or_blocks(void **state)
{
    (void)state;
    static const char two[] =
            "\"messages\":[{\"role\":\"system\",\"content\":\"a\\nb\"}," USER("\"hi\"") "]";
    becomes("\"system\":\"a\\nb\"," HI, two);
    becomes("\"system\":[" TEXT("a") ",{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{"
                                     "\"type\":\"ephemeral\"}}]," HI,
            two);
    becomes("\"system\":\"\"," HI, HI);
    becomes("\"system\":[]," HI, HI);
    becomes("\"system\":null," HI, HI);
}

static void the_billing_block_is_cut(void **state)
{
    (void)state;
    static const char one[] =
            "\"messages\":[{\"role\":\"system\",\"content\":\"a\"}," USER("\"hi\"") "]";
    becomes("\"system\":[" TEXT("x-anthropic-billing-header: cc_version=2.1; cch=a51;") "," TEXT(
                    "a") "]," HI,
            one);
    becomes("\"system\":\"x-anthropic-billing-header: cch=a51;\\na\"," HI, one);
    becomes("\"system\":\"x-anthropic-billing-header: cch=a51;\"," HI, HI);
    becomes("\"system\":\"say x-anthropic-billing-header:\"," HI,
            "\"messages\":[{\"role\":\"system\",\"content\":\"say "
            "x-anthropic-billing-header:\"}," USER("\"hi\"") "]");
}

static void a_system_in_the_middle_stays_where_it_is(void **state)
{
    (void)state;
    messages_become(USER("\"hi\"") ",{\"role\":\"system\",\"content\":\"env\"},{\"role\":"
                                   "\"assistant\",\"content\":\"yes\"}," USER("\"go\""),
            USER("\"hi\\nenv\"") ",{\"role\":\"assistant\",\"content\":\"yes\"}," USER("\"go\""));
    messages_become(USER("\"hi\"") ",{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":"
                                   "\"env\",\"cache_control\":{\"type\":\"ephemeral\"}}]}",
            USER("\"hi\\nenv\""));
    messages_become("{\"role\":\"system\",\"content\":\"s\"}," USER("\"hi\""),
            "{\"role\":\"system\",\"content\":\"s\"}," USER("\"hi\""));
}

static void a_users_content_is_text_or_blocks(void **state)
{
    (void)state;
    messages_become(USER("[" TEXT("a") "," TEXT("") "," TEXT("b") "]"), USER("\"a\\nb\""));
    messages_become(USER("[" TEXT("a") "," IMAGE "]"), USER("[" TEXT("a") "," IMAGE_PART "]"));
    messages_become(
            USER("[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"" PNG "\"}}]"),
            USER("[" IMAGE_PART "]"));
    messages_become(USER("\"a\"") "," USER("\"b\""), USER("\"a\\nb\""));
    messages_become(USER("\"\""), USER("\"\""));
}

static void documents_of_text_are_read(void **state)
{
    (void)state;
    messages_become(USER("[{\"type\":\"document\",\"title\":\"T\",\"context\":\"C\",\"source\":{"
                         "\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"D\"}}]"),
            USER("\"Document:\\nT\\nC\\nD\""));
    messages_become(
            USER("[{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[" TEXT(
                    "D") "," IMAGE "]}}]"),
            USER("[" TEXT("D") "," IMAGE_PART "]"));
    messages_become(USER("[{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":"
                         "\"D\"}}]"),
            USER("\"D\""));
    messages_become(
            USER("[{\"type\":\"search_result\",\"title\":\"T\",\"source\":\"S\",\"content\":"
                 "[" TEXT("D") "]}]"),
            USER("\"Search result:\\nT\\nS\\nD\""));
}

static void an_assistants_blocks_are_one_message(void **state)
{
    (void)state;
    messages_become(
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
            "\"signature\":\"xx\"}," TEXT("say") ",{\"type\":\"tool_use\",\"id\":\"toolu_1\","
                                                 "\"name\":\"read\",\"input\":{\"p\":[1,"
                                                 "\"\xc3\xa9\"]}},{\"type\":\"tool_use\",\"id\":"
                                                 "\"toolu_2\",\"name\":\"now\"}]}",
            "{\"role\":\"assistant\",\"content\":\"say\",\"reasoning_content\":\"hm\","
            "\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":"
            "\"read\",\"arguments\":\"{\\\"p\\\":[1,\\\"\xc3\xa9\\\"]}\"}},{\"id\":\"toolu_2\","
            "\"type\":\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"{}\"}}]}");
    messages_become("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"\","
                    "\"signature\":\"xx\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
                    "\"input\":{}}]}",
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\",\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}");
}

static void numbers_of_a_call_are_not_rounded(void **state)
{
    (void)state;
    messages_become("{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\","
                    "\"name\":\"f\",\"input\":{\"id\":12345678901234567890,\"x\":0.5}}]}",
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\",\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"id\\\":"
            "12345678901234567890,\\\"x\\\":0.5}\"}}]}");
}

static void results_stand_behind_their_calls(void **state)
{
    (void)state;
#define RESULT(id, rest) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\"" rest "}"
#define TOOL_SAYS(id, text)                                                                        \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"
    messages_become(USER("[" TEXT("well?") "," RESULT("a", ",\"content\":\"x\"") "," RESULT(
                            "b", ",\"content\":[" TEXT("y") "," TEXT("z") "]") "]"),
            TOOL_SAYS("a", "x") "," TOOL_SAYS("b", "y\\nz") "," USER("\"well?\""));
    messages_become(USER("[" RESULT("a", "") "," RESULT("b", ",\"content\":null") "]"),
            TOOL_SAYS("a", "") "," TOOL_SAYS("b", ""));
    messages_become(USER("[" RESULT("a", ",\"is_error\":true,\"content\":\"no file\"") "]"),
            TOOL_SAYS("a", "Error:\\nno file"));
    messages_become(USER("[" RESULT("a", ",\"content\":[" IMAGE "," TEXT("x") "]") "," RESULT(
                            "b", ",\"content\":\"y\"") "," TEXT("look") "]"),
            TOOL_SAYS("a", "x") "," TOOL_SAYS("b", "y") "," USER(
                    "[" IMAGE_PART "," TEXT("look") "]"));
    messages_become(USER("[" RESULT("a", ",\"content\":[{\"type\":\"tool_reference\",\"tool_name\":"
                                         "\"Write\"}]") "]"),
            TOOL_SAYS("a", "Tool found:\\nWrite"));
}

/* --- tools --- */

static void tools_are_functions(void **state)
{
    (void)state;
    becomes(HI
            ",\"tools\":[{\"name\":\"read\",\"description\":\"Reads.\",\"input_schema\":{"
            "\"$schema\":\"x\",\"type\":\"object\",\"properties\":{\"p\":{\"type\":\"string\"}}},"
            "\"cache_control\":{\"type\":\"ephemeral\"},\"defer_loading\":true,"
            "\"eager_input_streaming\":true},{\"type\":\"custom\",\"name\":\"now\",\"strict\":"
            "true,\"input_schema\":{\"type\":\"object\"}}]",
            HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\",\"description\":"
               "\"Reads.\",\"parameters\":{\"$schema\":\"x\",\"type\":\"object\",\"properties\":{"
               "\"p\":{\"type\":\"string\"}}}}},{\"type\":\"function\",\"function\":{\"name\":"
               "\"now\",\"parameters\":{\"type\":\"object\"},\"strict\":true}}]");
}

static void choices_of_tools_are_translated(void **state)
{
    (void)state;
#define FUNCTION(name)                                                                             \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"parameters\":{}}}"
    static const char *const cases[][2] = {
            {"{\"type\":\"auto\"}", "\"tool_choice\":\"auto\""},
            {"{\"type\":\"any\"}", "\"tool_choice\":\"required\""},
            {"{\"type\":\"none\"}", "\"tool_choice\":\"none\""},
            {"{\"type\":\"auto\",\"disable_parallel_tool_use\":true}",
                    "\"tool_choice\":\"auto\",\"parallel_tool_calls\":false"},
            {"{\"type\":\"any\",\"disable_parallel_tool_use\":false}",
                    "\"tool_choice\":\"required\",\"parallel_tool_calls\":true"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char from[300], to[300];
        (void)snprintf(from, sizeof(from), "%s,%s,\"tool_choice\":%s", HI, TOOL, cases[i][0]);
        (void)snprintf(to, sizeof(to), "%s,\"tools\":[%s],%s", HI, FUNCTION("f"), cases[i][1]);
        becomes(from, to);
    }
    becomes(HI ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}},{\"name\":\"g\",\"input_schema\":{"
               "}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\"}",
            HI ",\"tools\":[" FUNCTION("g") "],\"tool_choice\":\"required\"");
    becomes(HI ",\"tool_choice\":{\"type\":\"auto\"}", HI);
    becomes(HI ",\"tools\":[],\"tool_choice\":{\"type\":\"none\"}", HI);
}

/* --- settings --- */

static void settings_are_translated(void **state)
{
    (void)state;
    becomes(HI ",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":40,\"stop_sequences\":[\"A\",\"B\"]",
            HI ",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":40,\"stop\":[\"A\",\"B\"]");
    becomes(HI ",\"stop_sequences\":[],\"temperature\":null", HI);
    becomes(HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}",
            HI ",\"chat_template_kwargs\":{\"enable_thinking\":true},\"thinking_budget_tokens\":"
               "2048");
    becomes(HI ",\"thinking\":{\"type\":\"disabled\"}",
            HI ",\"chat_template_kwargs\":{\"enable_thinking\":false}");
    becomes(HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}", HI);
}

static void effort_is_passed_on_and_never_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"\"low\"", ",\"reasoning_effort\":\"low\""},
            {"\"medium\"", ",\"reasoning_effort\":\"medium\""},
            {"\"high\"", ",\"reasoning_effort\":\"high\""},
            {"\"max\"", ",\"reasoning_effort\":\"high\""}, {"\"other\"", ""}, {"7", ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char from[200], to[200];
        (void)snprintf(from, sizeof(from), "%s,\"output_config\":{\"effort\":%s}", HI, cases[i][0]);
        (void)snprintf(to, sizeof(to), "%s%s", HI, cases[i][1]);
        becomes(from, to);
    }
    becomes(HI ",\"output_config\":\"odd\"", HI);
}

static void a_schema_shapes_the_answer(void **state)
{
    (void)state;
    static const char wanted[] =
            HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
               "\"answer\",\"strict\":true,\"schema\":{\"type\":\"object\"}}}";
    becomes(HI ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
               "\"object\"}}}",
            wanted);
    becomes(HI ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}",
            wanted);
    becomes(HI ",\"output_config\":{\"format\":null}", HI);
    refuses(HI ",\"output_config\":{\"format\":{\"type\":\"xml\"}}", "output_config",
            "json_schema");
    refuses(HI ",\"output_format\":{\"type\":\"json_schema\"}", "output_format", "schema");
}

/* --- what is left out --- */

static void skips(const char *members, const char *wanted, const char *skipped)
{
    struct parsed parsed;
    char *body;
    becomes(members, wanted);
    assert_true(asprintf(&body, "{\"max_tokens\":9,%s}", members) > 0);
    parse(body, &parsed);
    assert_string_equal(parsed.request.skipped, skipped);
    free(body);
    request_fini(&parsed.request);
}

static void what_only_anthropic_can_run_is_skipped_and_named(void **state)
{
    (void)state;
    skips(HI ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"},{\"type\":"
             "\"bash_20250124\",\"name\":\"bash\"},{\"type\":\"mcp_toolset\"},{\"type\":\"what is "
             "this\"},{\"type\":\"\"},{\"type\":\"20250101\"}]",
            HI,
            "tool web_search, tool bash, tool mcp_toolset, tool of an unknown type, tool 20250101");
    skips(HI ",\"mcp_servers\":[{\"name\":\"x\"}]", HI, "mcp_servers");
    skips(HI ",\"mcp_servers\":[]", HI, "");
    skips("\"messages\":[" USER(
                  "\"hi\"") ",{\"role\":\"assistant\",\"content\":[{\"type\":"
                            "\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"server_tool_use\","
                            "\"id\":\"s\"},{"
                            "\"type\":\"web_search_tool_result\",\"content\":[]}," TEXT(
                                    "found") "]}]",
            "\"messages\":[" USER("\"hi\"") ",{\"role\":\"assistant\",\"content\":\"found\"}]",
            "block redacted_thinking, block server_tool_use, block server_tool_result");
    skips("\"messages\":[" USER("[{\"type\":\"document\",\"citations\":{\"enabled\":true},"
                                "\"source\":{\"type\":\"text\",\"data\":\"D\"}}]") "]",
            "\"messages\":[" USER("\"D\"") "]", "citations");
}

static void what_says_nothing_is_passed_over(void **state)
{
    (void)state;
    skips(HI ",\"context_management\":{\"edits\":[]},\"service_tier\":\"auto\",\"container\":\"c\","
             "\"betas\":[\"x\"],\"metadata\":{\"user_id\":\"u\"},\"cache_control\":{\"type\":"
             "\"ephemeral\"},\"unknown\":[1]",
            HI, "");
}

static void what_would_change_the_meaning_is_refused(void **state)
{
    (void)state;
#define BLOCK(block)  "\"messages\":[" USER("[" block "]") "]"
#define ANSWER(block) "\"messages\":[{\"role\":\"assistant\",\"content\":[" block "]}]"
    static const struct {
        const char *members, *param, *text;
    } cases[] = {
            {"\"messages\":[]", "messages", "at least one"},
            {"\"messages\":{}", "messages", "at least one"},
            {"\"system\":\"s\"", "messages", "at least one"},
            {"\"messages\":[1]", "messages", "messages[0].content"},
            {"\"messages\":[{\"role\":\"user\"}]", "messages", "messages[0].content"},
            {"\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]", "messages",
                    "messages[0].role"},
            {"\"messages\":[{\"content\":\"x\"}]", "messages", "messages[0].role"},
            {HI ",\"system\":1", "system", "system"},
            {HI ",\"system\":[{\"type\":\"image\"}]", "system", "text"},
            {"\"messages\":[{\"role\":\"system\",\"content\":[1]}]", "messages",
                    "messages[0].content[0]"},
            {BLOCK("1"), "messages", "messages[0].content[0]"},
            {BLOCK(TEXT("a") ",{\"type\":\"text\"}"), "messages", "messages[0].content[1]"},
            {BLOCK("{\"type\":\"mystery\"}"), "messages", "not known"},
            {BLOCK("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"}"), "messages", "not known"},
            {BLOCK("{\"type\":\"thinking\",\"thinking\":\"x\"}"), "messages", "not known"},
            {BLOCK("{\"type\":\"container_upload\"}"), "messages", "not known"},
            {BLOCK("{\"type\":\"image\"}"), "messages", "base64"},
            {BLOCK("{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}"),
                    "messages", "base64"},
            {BLOCK("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"}}"),
                    "messages", "not fetched"},
            {BLOCK("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"text/"
                   "plain\""
                   ",\"data\":\"AA\"}}"),
                    "messages", "media_type"},
            {BLOCK("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
                   "png\"}}"),
                    "messages", "source.data"},
            {BLOCK("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                   "\"application/pdf\",\"data\":\"AA\"}}"),
                    "messages", "send its text"},
            {BLOCK("{\"type\":\"document\"}"), "messages", "send its text"},
            {BLOCK("{\"type\":\"tool_result\"}"), "messages", "tool_use_id"},
            {BLOCK("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":1}"), "messages",
                    "content"},
            {BLOCK("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":\"x\"}]"
                   "}"),
                    "messages", "not known"},
            {ANSWER("{\"type\":\"image\"}"), "messages", "not known"},
            {ANSWER("{\"type\":\"text\"}"), "messages", "text"},
            {ANSWER("{\"type\":\"tool_use\",\"name\":\"f\"}"), "messages", "id"},
            {ANSWER("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":[]}"), "messages",
                    "input"},
            {HI ",\"tools\":{}", "tools", "array"},
            {HI ",\"tools\":[1]", "tools", "tools[0]"},
            {HI ",\"tools\":[{}]", "tools", "tools[0].name"},
            {HI ",\"tools\":[{\"name\":\"f\",\"input_schema\":true}]", "tools", "input_schema"},
            {HI ",\"tool_choice\":\"auto\"", "tool_choice", "object"},
            {HI ",\"tool_choice\":{\"type\":\"all\"}", "tool_choice", "any"},
            {HI ",\"tool_choice\":{\"type\":\"tool\"}", "tool_choice", "name"},
            {HI ",\"tool_choice\":{\"type\":\"any\"}", "tool_choice", "none of the custom"},
            {HI ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"w\"}],\"tool_choice\":{"
                "\"type\":\"tool\",\"name\":\"w\"}",
                    "tool_choice", "none of the custom"},
            {HI ",\"model\":7", "model", "string"},
            {HI ",\"stream\":\"yes\"", "stream", "true or false"},
            {HI ",\"temperature\":-1", "temperature", "0 to 2"},
            {HI ",\"temperature\":1e300", "temperature", "0 to 2"},
            {HI ",\"top_p\":1.5", "top_p", "0 to 1"},
            {HI ",\"top_k\":0.5", "top_k", "whole"},
            {HI ",\"stop_sequences\":\"x\"", "stop_sequences", "array"},
            {HI ",\"stop_sequences\":[\"\"]", "stop_sequences", "not empty"},
            {HI ",\"stop_sequences\":[1]", "stop_sequences", "strings"},
            {HI ",\"thinking\":true", "thinking", "enabled"},
            {HI ",\"thinking\":{\"type\":\"deep\"}", "thinking", "enabled"},
            {HI ",\"thinking\":{\"type\":\"enabled\"}", "thinking", "budget_tokens"},
            {HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":-5}", "thinking",
                    "budget_tokens"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        refuses(cases[i].members, cases[i].param, cases[i].text);
}

static void the_limit_is_required(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{" HI "}", "{\"max_tokens\":null," HI "}",
            "{\"max_tokens\":0," HI "}", "{\"max_tokens\":1.5," HI "}",
            "{\"max_tokens\":\"9\"," HI "}", "{\"max_tokens\":1e300," HI "}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct parsed parsed;
        parse(bodies[i], &parsed);
        assert_int_equal(parsed.result, -EINVAL);
        assert_string_equal(parsed.param, "max_tokens");
        assert_non_null(strstr(parsed.err.text, "max_tokens"));
        request_fini(&parsed.request);
    }
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "[]", "\"text\"", "{\"max_tokens\":}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct parsed parsed;
        parse(bodies[i], &parsed);
        assert_int_equal(parsed.result, -EINVAL);
        assert_null(parsed.param);
        assert_true(parsed.err.text[0]);
        request_fini(&parsed.request);
    }
}

/* Clients move cache_control to the newest turn and make strings of arrays: the beginning of the
 * conversation must not show it. */
static void a_conversation_that_grows_keeps_its_beginning(void **state)
{
    (void)state;
    struct parsed first, second;
    parse("{\"max_tokens\":5,\"system\":[" TEXT("x-anthropic-billing-header: cch=1;") "," TEXT(
                  "s") "],\"messages\":[" USER("[{\"type\":\"text\",\"text\":\"hi\",\"cache_"
                                               "control\":{}}]") ",{"
                                                                 "\"role\":\"system\",\"content\":["
                                                                 "{\"type\":\"text\",\"text\":"
                                                                 "\"e\",\"cache_control\":{}}]"
                                                                 "}]}",
            &first);
    parse("{\"max_tokens\":5,\"system\":[" TEXT("x-anthropic-billing-header: cch=2;") "," TEXT(
                  "s") "],\"messages\":[" USER("[" TEXT("hi") "]") ",{\"role\":\"system\","
                                                                   "\"content\":\"e\"},{"
                                                                   "\"role\":\"assistant\","
                                                                   "\"content\":\"yes\"}," USER(
                                                                           "[{\"type\":\"text\","
                                                                           "\"text\":\"go\","
                                                                           "\"cache_control\":{}}"
                                                                           "]") "]}",
            &second);
    assert_int_equal(first.result, 0);
    assert_int_equal(second.result, 0);
    size_t shared = first.request.body.len - strlen("],\"max_tokens\":5}");
    assert_memory_equal(buf_at(&first.request.body), buf_at(&second.request.body), shared);
    request_fini(&first.request);
    request_fini(&second.request);
}

static int allocations_left;

static void *counted_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    static const char body[] = "{\"max_tokens\":5,\"system\":\"s\",\"messages\":[" USER("[" TEXT(
            "a") "," IMAGE "]") ",{"
                                "\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
                                "\"c\",\"name\":\"f\","
                                "\"input\":{\"p\":1}}]}," USER("[" RESULT("c",
                                        ",\"content\":\"x\"") "]") "]," TOOL
                                                                   ",\"tool_choice\":{\"type\":"
                                                                   "\"any\"},\"stop_sequences\":["
                                                                   "\"A\"],\"thinking\":{\"type\":"
                                                                   "\"enabled\",\"budget_tokens\":"
                                                                   "1024},\"output_config\":{"
                                                                   "\"effort\":\"low\",\"format\":{"
                                                                   "\"type\":\"json_schema\","
                                                                   "\"schema\":{}}}}";
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    int failures = 0;
    cJSON_InitHooks(&hooks);
    for (;; failures++) {
        struct parsed parsed;
        allocations_left = failures;
        parse(body, &parsed);
        request_fini(&parsed.request);
        if (parsed.result == 0)
            break;
        assert_int_equal(parsed.result, -ENOMEM);
        assert_true(parsed.err.text[0]);
    }
    cJSON_InitHooks(NULL);
    assert_true(failures > 200);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(facts_are_read),
            cmocka_unit_test(a_count_needs_no_limit_and_never_streams),
            cmocka_unit_test(the_session_is_claude_codes),
            cmocka_unit_test(needs_are_what_the_answer_cannot_do_without),
            cmocka_unit_test(the_system_is_text_or_blocks),
            cmocka_unit_test(the_billing_block_is_cut),
            cmocka_unit_test(a_system_in_the_middle_stays_where_it_is),
            cmocka_unit_test(a_users_content_is_text_or_blocks),
            cmocka_unit_test(documents_of_text_are_read),
            cmocka_unit_test(an_assistants_blocks_are_one_message),
            cmocka_unit_test(numbers_of_a_call_are_not_rounded),
            cmocka_unit_test(results_stand_behind_their_calls),
            cmocka_unit_test(tools_are_functions),
            cmocka_unit_test(choices_of_tools_are_translated),
            cmocka_unit_test(settings_are_translated),
            cmocka_unit_test(effort_is_passed_on_and_never_refused),
            cmocka_unit_test(a_schema_shapes_the_answer),
            cmocka_unit_test(what_only_anthropic_can_run_is_skipped_and_named),
            cmocka_unit_test(what_says_nothing_is_passed_over),
            cmocka_unit_test(what_would_change_the_meaning_is_refused),
            cmocka_unit_test(the_limit_is_required),
            cmocka_unit_test(what_is_no_object_is_refused),
            cmocka_unit_test(a_conversation_that_grows_keeps_its_beginning),
            cmocka_unit_test(each_allocation_fails_once),
    };
    return cmocka_run_group_tests_name("anthropic_request", tests, NULL, NULL);
}
