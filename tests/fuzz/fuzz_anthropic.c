/* The body of POST /v1/messages and of its count, any bytes. What is accepted becomes a neutral
 * chat in the one form that conversation.h promises; what is refused says why in one line. */
#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/conversation.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_one_of(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(text, *names) == 0)
            return true;
    return false;
}

static void check_call(const cJSON *call)
{
    const cJSON *function = json_obj(call, "function");
    const char *arguments = json_str(function, "arguments", "");
    cJSON *parsed;
    assert(json_str(call, "id", NULL) && json_str(function, "name", NULL));
    assert(strcmp(json_str(call, "type", ""), "function") == 0);
    int r = json_parse(arguments, strlen(arguments), &json_limits_request, &parsed, NULL);
    assert(r == 0 && cJSON_IsObject(parsed));
    cJSON_Delete(parsed);
}

static void check_message(const cJSON *message, bool first)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", NULL};
    const char *role = json_str(message, "role", "");
    const cJSON *call, *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    assert(is_one_of(role, roles) && (first || strcmp(role, "system") != 0));
    assert(strcmp(role, "tool") != 0 || json_str(message, "tool_call_id", NULL));
    assert(cJSON_IsString(content) || json_array(message, "tool_calls") ||
            strcmp(role, "user") == 0);
    cJSON_ArrayForEach(call, json_array(message, "tool_calls"))
    {
        check_call(call);
    }
}

/* They are in the form into which OpenAI's messages would be brought. */
static void check_messages(cJSON *body)
{
    cJSON *messages = cJSON_GetObjectItemCaseSensitive(body, "messages");
    bool changed;
    assert(cJSON_IsArray(messages));
    for (const cJSON *message = messages->child; message; message = message->next)
        check_message(message, message == messages->child);
    int r = conversation_normalise(messages, &changed);
    assert(r == 0 && !changed);
}

static void check_tools(const cJSON *body)
{
    static const char *const choices[] = {"auto", "required", "none", NULL};
    const char *choice = json_str(body, "tool_choice", "auto");
    const cJSON *tools = json_array(body, "tools"), *tool;
    assert(is_one_of(choice, choices));
    assert(tools || !cJSON_HasObjectItem(body, "tool_choice"));
    cJSON_ArrayForEach(tool, tools)
    {
        assert(strcmp(json_str(tool, "type", ""), "function") == 0);
        assert(*json_str(json_obj(tool, "function"), "name", ""));
        assert(json_obj(json_obj(tool, "function"), "parameters"));
    }
}

static void check_body(const struct request *request)
{
    static const char *const keys[] = {"messages", "tools", "tool_choice", "parallel_tool_calls",
            "max_tokens", "temperature", "top_p", "top_k", "stop", "chat_template_kwargs",
            "thinking_budget_tokens", "reasoning_effort", "response_format", NULL};
    cJSON *body;
    int r = json_parse(
            buf_at(&request->body), request->body.len, &json_limits_request, &body, NULL);
    assert(r == 0 && cJSON_IsObject(body));
    for (const cJSON *member = body->child; member; member = member->next)
        assert(is_one_of(member->string, keys));
    assert(request->kind == REQUEST_COUNT || json_num(body, "max_tokens", 0) >= 1);
    check_messages(body);
    check_tools(body);
    cJSON_Delete(body);
}

static void check_accepted(const struct request *request)
{
    assert(strlen(request->asked) <= MSG_NAME_MAX);
    assert(request->choices == 1);
    assert((request->needs & ~(uint32_t)(CAPABILITY_VISION | CAPABILITY_TOOLS)) == 0);
    for (const char *at = request->skipped; *at; at++)
        assert((uint8_t)*at >= ' ');
    check_body(request);
}

static void check(const struct dialect *dialect, const char *data, size_t size)
{
    struct dialect_input input = {
            .body = data, .len = size, .content_type = "application/json", .owner = ""};
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request);
    } else {
        assert(r == -EINVAL && request.body.len == 0);
        assert(err.text[0] != '\0' && !strchr(err.text, '\n'));
    }
    request_fini(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(&dialect_anthropic_messages, (const char *)data, size);
    check(&dialect_anthropic_count, (const char *)data, size);
    return 0;
}
