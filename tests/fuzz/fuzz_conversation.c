/* Messages in OpenAI's shape, any JSON array. What is normal stays so, nothing that was said gets
 * lost, and the rules of conversation.h hold for each message that comes out. */
#include "common/json/json.h"
#include "coordinator/dialects/conversation.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_text(const cJSON *part)
{
    return strcmp(json_str(part, "type", ""), "text") == 0 && json_str(part, "text", NULL);
}

/* Bytes that somebody says, without what joins them. */
static size_t said(const cJSON *messages)
{
    size_t bytes = 0;
    const cJSON *message, *part;
    cJSON_ArrayForEach(message, messages)
    {
        const char *content = json_str(message, "content", "");
        for (const char *at = content; *at; at++)
            bytes += *at != '\n';
        cJSON_ArrayForEach(part, json_array(message, "content"))
        {
            const char *text = is_text(part) ? json_str(part, "text", "") : "";
            for (const char *at = text; *at; at++)
                bytes += *at != '\n';
        }
    }
    return bytes;
}

static void check_parts(const cJSON *parts)
{
    const cJSON *part;
    bool other = false;
    cJSON_ArrayForEach(part, parts)
    {
        assert(!is_text(part) || !is_text(part->next));
        assert(!is_text(part) || *json_str(part, "text", ""));
        other |= !is_text(part);
    }
    assert(other);
}

static bool is_role(const cJSON *message, const char *role)
{
    return strcmp(json_str(message, "role", ""), role) == 0;
}

static void check_content(const cJSON *message)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    const cJSON *calls = json_array(message, "tool_calls");
    if (cJSON_IsArray(content))
        check_parts(content);
    assert(!cJSON_IsNull(content) || (calls && calls->child));
    assert(!is_role(message, "tool") || !cJSON_IsArray(content));
}

static void check_message(const cJSON *message, bool first)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "developer"};
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    bool odd = content && !cJSON_IsNull(content) && !cJSON_IsString(content) &&
               !cJSON_IsArray(content);
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles) && !odd; i++)
        if (is_role(message, roles[i]))
            check_content(message);
    assert(odd || !is_role(message, "developer"));
    assert(odd || first || !is_role(message, "system"));
}

static void check(cJSON *messages)
{
    size_t before = said(messages);
    bool changed, again;
    int r = conversation_normalise(messages, &changed);
    assert(r == 0 && said(messages) == before);
    for (const cJSON *message = messages->child; message; message = message->next)
        check_message(message, message == messages->child);
    cJSON *copy = cJSON_Duplicate(messages, true);
    r = conversation_normalise(messages, &again);
    assert(r == 0 && !again && cJSON_Compare(messages, copy, true));
    cJSON_Delete(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *messages;
    if (json_parse((const char *)data, size, &json_limits_request, &messages, NULL) < 0)
        return 0;
    if (cJSON_IsArray(messages))
        check(messages);
    cJSON_Delete(messages);
    return 0;
}
