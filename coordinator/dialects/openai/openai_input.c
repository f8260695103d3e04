#include "coordinator/dialects/openai/openai_input.h"

#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/responses/responses_input.h"
#include "coordinator/dialects/responses/responses_tools.h"

#include <errno.h>
#include <string.h>

static int no_memory(struct openai_body *body)
{
    return err_set(body->fields.err, -ENOMEM, "no memory for the input");
}

/* Takes `value`, which may be NULL for lack of memory. */
static int put(struct openai_body *body, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(body->json, key);
    if (value && cJSON_AddItemToObject(body->json, key, value)) {
        openai_body_set(body, key, value);
        return 0;
    }
    cJSON_Delete(value);
    return no_memory(body);
}

/* Tools that came among the items stand behind the request's own. */
static int put_tools(struct openai_body *body, cJSON *more)
{
    cJSON *tools = cJSON_GetObjectItemCaseSensitive(body->json, "tools");
    if (!cJSON_IsArray(tools))
        return put(body, "tools", more);
    while (more->child)
        cJSON_AddItemToArray(tools, cJSON_DetachItemViaPointer(more, more->child));
    cJSON_Delete(more);
    openai_body_set(body, "tools", tools);
    return 0;
}

static int put_conversation(struct openai_body *body, struct conversation *conversation)
{
    cJSON *made = cJSON_CreateObject();
    if (!made || conversation_take(conversation, made)) {
        cJSON_Delete(made);
        return no_memory(body);
    }
    cJSON *messages = cJSON_DetachItemFromObjectCaseSensitive(made, "messages");
    cJSON *tools = cJSON_DetachItemFromObjectCaseSensitive(made, "tools");
    cJSON_Delete(made);
    int r = put(body, "messages", messages);
    if (tools && r)
        cJSON_Delete(tools);
    else if (tools)
        r = put_tools(body, tools);
    return r;
}

static int read_items(struct openai_body *body, struct conversation *conversation)
{
    struct responses_tools tools;
    struct responses_input reader = {
            .conversation = conversation, .request = body->request, .tools = &tools};
    int r = responses_tools_init(&tools, conversation, body->request, NULL);
    if (!r)
        r = responses_input_read(&reader, fields_member(body->json, "input"),
                body->fields.ret_param, body->fields.err);
    else
        r = no_memory(body);
    responses_tools_fini(&tools);
    return r;
}

static int read_conversation(struct openai_body *body)
{
    struct conversation *conversation = conversation_create();
    const char *instructions = json_str(body->json, "instructions", NULL);
    if (!conversation)
        return no_memory(body);
    if (instructions)
        conversation_system(conversation, instructions);
    int r = read_items(body, conversation);
    if (!r)
        r = put_conversation(body, conversation);
    conversation_destroy(conversation);
    return r;
}

/* `text.format` is the `response_format` of a chat, without its inner object. */
static int read_format(struct openai_body *body)
{
    const cJSON *format = json_obj(json_obj(body->json, "text"), "format");
    if (!format || fields_member(body->json, "response_format"))
        return 0;
    cJSON *made = cJSON_Duplicate(format, true);
    if (!made || strcmp(json_str(format, "type", ""), "json_schema") != 0)
        return put(body, "response_format", made);
    cJSON *outer = cJSON_CreateObject();
    if (cJSON_AddStringToObject(outer, "type", "json_schema") &&
            cJSON_AddItemToObject(outer, "json_schema", made))
        return put(body, "response_format", outer);
    cJSON_Delete(outer);
    cJSON_Delete(made);
    return no_memory(body);
}

static int read_length(struct openai_body *body)
{
    const cJSON *limit = fields_member(body->json, "max_output_tokens");
    if (!limit)
        return 0;
    return put(body, "max_tokens", cJSON_Duplicate(limit, true));
}

int openai_input_adopt(struct openai_body *body)
{
    static const char *const spent[] = {
            "input", "instructions", "text", "max_output_tokens", "store", "include"};
    int r = fields_check_str(&body->fields, "instructions");
    if (!r)
        r = read_conversation(body);
    if (!r)
        r = read_format(body);
    if (!r)
        r = read_length(body);
    for (size_t i = 0; i < sizeof(spent) / sizeof(spent[0]); i++)
        if (fields_member(body->json, spent[i]))
            openai_body_drop(body, spent[i]);
    return r;
}
