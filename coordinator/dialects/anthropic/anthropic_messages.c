#include "coordinator/dialects/anthropic/anthropic_messages.h"

#include "common/json/json.h"
#include "coordinator/dialects/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_MAX = 80 };

static const char billing[] = "x-anthropic-billing-header:"; /* other in each conversation */

struct reading {
    const struct fields *fields;
    struct request *request;
    struct conversation *conversation;
    const char *param;     /* "system" or "messages" */
    char place[PLACE_MAX]; /* "messages[3].content[1]": what is looked at, for people */
    bool in_result;        /* of a tool's call; else in a user's turn */
};

static int refuse(const struct reading *reading, const char *what)
{
    return fields_refuse(reading->fields, reading->param, "\"%s\" %s", reading->place, what);
}

static int no_memory(const struct reading *reading)
{
    return err_set(reading->fields->err, -ENOMEM, "no memory for the messages");
}

static bool is(const cJSON *object, const char *key, const char *value)
{
    return strcmp(json_str(object, key, ""), value) == 0;
}

/* --- blocks of a user's turn, and of a tool's result, which may hold the same --- */

static void say(const struct reading *reading, const char *text)
{
    if (reading->in_result)
        conversation_result_text(reading->conversation, text);
    else
        conversation_user_text(reading->conversation, text);
}

static int read_text(struct reading *reading, const cJSON *block)
{
    const char *text = json_str(block, "text", NULL);
    if (!text)
        return refuse(reading, "must have a string in \"text\"");
    say(reading, text);
    return 0;
}

static int show(struct reading *reading, const char *url)
{
    reading->request->needs |= CAPABILITY_VISION;
    if (reading->in_result)
        conversation_result_image(reading->conversation, url);
    else
        conversation_user_image(reading->conversation, url, NULL);
    return 0;
}

static int read_base64_image(struct reading *reading, const cJSON *source)
{
    const char *type = json_str(source, "media_type", ""), *data = json_str(source, "data", "");
    char *url;
    if (strncmp(type, "image/", strlen("image/")) != 0 || *data == '\0')
        return refuse(reading, "must have a type such as \"image/png\" in \"source.media_type\" "
                               "and base64 text in \"source.data\"");
    if (asprintf(&url, "data:%s;base64,%s", type, data) < 0)
        return no_memory(reading);
    show(reading, url);
    free(url);
    return 0;
}

static int read_image(struct reading *reading, const cJSON *block)
{
    const cJSON *source = json_obj(block, "source");
    const char *url = json_str(source, "url", "");
    if (is(source, "type", "base64"))
        return read_base64_image(reading, source);
    if (is(source, "type", "url") && picture_is_inline(url))
        return show(reading, url);
    return refuse(reading, "must have a \"source\" of the type \"base64\": pictures are not "
                           "fetched from addresses or from stored files, send their bytes");
}

static int read_contents(struct reading *reading, const cJSON *content);

static int read_document_source(struct reading *reading, const cJSON *source)
{
    if (is(source, "type", "content"))
        return read_contents(reading, cJSON_GetObjectItemCaseSensitive(source, "content"));
    if (!is(source, "type", "text") || !json_str(source, "data", NULL))
        return refuse(reading, "is a document that no model here can read: only those with a "
                               "\"source\" of the type \"text\" or \"content\" are, send its text");
    say(reading, json_str(source, "data", ""));
    return 0;
}

static int read_document(struct reading *reading, const cJSON *block)
{
    const char *title = json_str(block, "title", "");
    if (json_bool(json_obj(block, "citations"), "enabled", false))
        request_skip(reading->request, "citations");
    if (*title) {
        say(reading, "Document:");
        say(reading, title);
    }
    say(reading, json_str(block, "context", ""));
    return read_document_source(reading, json_obj(block, "source"));
}

static int read_search_result(struct reading *reading, const cJSON *block)
{
    say(reading, "Search result:");
    say(reading, json_str(block, "title", ""));
    say(reading, json_str(block, "source", ""));
    return read_contents(reading, cJSON_GetObjectItemCaseSensitive(block, "content"));
}

/* A search among the client's tools has found one; the model was told of all of them. */
static int read_tool_reference(struct reading *reading, const cJSON *block)
{
    say(reading, "Tool found:");
    say(reading, json_str(block, "tool_name", ""));
    return 0;
}

/* --- blocks of an assistant's turn --- */

static int read_answer_text(struct reading *reading, const cJSON *block)
{
    const char *text = json_str(block, "text", NULL);
    if (!text)
        return refuse(reading, "must have a string in \"text\"");
    conversation_assistant_text(reading->conversation, text);
    return 0;
}

static int read_thinking(struct reading *reading, const cJSON *block)
{
    conversation_assistant_reasoning(reading->conversation, json_str(block, "thinking", ""));
    return 0;
}

static int read_tool_use(struct reading *reading, const cJSON *block)
{
    const char *id = json_str(block, "id", ""), *name = json_str(block, "name", "");
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(block, "input");
    if (*id == '\0' || *name == '\0')
        return refuse(reading, "must have strings in \"id\" and \"name\"");
    if (input && !cJSON_IsObject(input))
        return refuse(reading, "must have an object in \"input\"");
    char *arguments = input ? cJSON_PrintUnformatted(input) : NULL;
    if (input && !arguments)
        return no_memory(reading);
    conversation_tool_call(reading->conversation, id, name, arguments ? arguments : "{}");
    cJSON_free(arguments);
    return 0;
}

/* --- blocks of any type --- */

enum place { IN_USER = 1, IN_RESULT = 2, IN_ASSISTANT = 4 };

static const struct block_type {
    const char *name;
    unsigned places; /* enum place */
    int (*read)(struct reading *reading, const cJSON *block);
} block_types[] = {
        {"text", IN_USER | IN_RESULT, read_text},
        {"text", IN_ASSISTANT, read_answer_text},
        {"image", IN_USER | IN_RESULT, read_image},
        {"document", IN_USER | IN_RESULT, read_document},
        {"search_result", IN_USER | IN_RESULT, read_search_result},
        {"tool_reference", IN_USER | IN_RESULT, read_tool_reference},
        {"thinking", IN_ASSISTANT, read_thinking},
        {"tool_use", IN_ASSISTANT, read_tool_use},
};

/* What tells of tools that a provider ran itself, and thoughts that only it can read: the answer
 * that came of them is in the conversation. NULL for other types. */
static const char *skippable(const char *type)
{
    static const char suffix[] = "_tool_result";
    size_t len = strlen(type);
    if (strcmp(type, "redacted_thinking") == 0)
        return "block redacted_thinking";
    if (strcmp(type, "server_tool_use") == 0 || strcmp(type, "mcp_tool_use") == 0)
        return "block server_tool_use";
    if (len > strlen(suffix) && strcmp(type + len - strlen(suffix), suffix) == 0)
        return "block server_tool_result";
    return NULL;
}

static int read_block(struct reading *reading, enum place place, const cJSON *block)
{
    const char *type = json_str(block, "type", NULL);
    if (!type)
        return refuse(reading, "must be an object with a string in \"type\"");
    for (size_t i = 0; i < sizeof(block_types) / sizeof(*block_types); i++)
        if ((block_types[i].places & place) && strcmp(block_types[i].name, type) == 0)
            return block_types[i].read(reading, block);
    if (!skippable(type))
        return refuse(reading, "is of a type that is not known there");
    request_skip(reading->request, skippable(type));
    return 0;
}

/* Content within a block. */
static int read_contents(struct reading *reading, const cJSON *content)
{
    const cJSON *block;
    int r = 0;
    if (cJSON_IsString(content))
        say(reading, content->valuestring);
    else if (content && !cJSON_IsNull(content) && !cJSON_IsArray(content))
        return refuse(reading, "must have a string or an array in \"content\"");
    cJSON_ArrayForEach(block, content)
    {
        if (!r)
            r = read_block(reading, reading->in_result ? IN_RESULT : IN_USER, block);
    }
    return r;
}

static int read_result(struct reading *reading, const cJSON *block)
{
    const char *id = json_str(block, "tool_use_id", NULL);
    if (!id)
        return refuse(reading, "must have a string in \"tool_use_id\"");
    conversation_begin_result(reading->conversation, id);
    reading->in_result = true;
    say(reading, json_bool(block, "is_error", false) ? "Error:" : "");
    int r = read_contents(reading, cJSON_GetObjectItemCaseSensitive(block, "content"));
    reading->in_result = false;
    return r;
}

/* --- messages --- */

static int read_blocks(struct reading *reading, size_t at, const cJSON *content,
        int (*read)(struct reading *reading, const cJSON *block))
{
    const cJSON *block;
    size_t i = 0;
    int r = 0;
    cJSON_ArrayForEach(block, content)
    {
        snprintf(reading->place, sizeof(reading->place), "messages[%zu].content[%zu]", at, i++);
        if (!r)
            r = read(reading, block);
    }
    return r;
}

static int read_if_result(struct reading *reading, const cJSON *block)
{
    return is(block, "type", "tool_result") ? read_result(reading, block) : 0;
}

static int read_unless_result(struct reading *reading, const cJSON *block)
{
    return is(block, "type", "tool_result") ? 0 : read_block(reading, IN_USER, block);
}

/* Results first, wherever they stand: templates want them right behind their calls. */
static int read_user(struct reading *reading, size_t at, const cJSON *content)
{
    if (cJSON_IsString(content))
        say(reading, content->valuestring);
    int r = read_blocks(reading, at, content, read_if_result);
    return r ? r : read_blocks(reading, at, content, read_unless_result);
}

static int read_answer_block(struct reading *reading, const cJSON *block)
{
    return read_block(reading, IN_ASSISTANT, block);
}

static int read_assistant(struct reading *reading, size_t at, const cJSON *content)
{
    if (cJSON_IsString(content))
        conversation_assistant_text(reading->conversation, content->valuestring);
    return read_blocks(reading, at, content, read_answer_block);
}

static void instruct(const struct reading *reading, const char *text)
{
    if (strncmp(text, billing, strlen(billing)) == 0) {
        const char *line_end = strchr(text, '\n');
        text = line_end ? line_end + 1 : "";
    }
    if (*text)
        conversation_system(reading->conversation, text);
}

static int read_system_block(struct reading *reading, const cJSON *block)
{
    const char *text = json_str(block, "text", NULL);
    if (!is(block, "type", "text") || !text)
        return refuse(reading, "must be a block of the type \"text\"");
    instruct(reading, text);
    return 0;
}

static int read_system_message(struct reading *reading, size_t at, const cJSON *content)
{
    if (cJSON_IsString(content))
        instruct(reading, content->valuestring);
    return read_blocks(reading, at, content, read_system_block);
}

static int read_message(struct reading *reading, size_t at, const cJSON *message)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    snprintf(reading->place, sizeof(reading->place), "messages[%zu].content", at);
    if (!cJSON_IsString(content) && !cJSON_IsArray(content))
        return refuse(reading, "must be a string or an array of blocks");
    if (is(message, "role", "user"))
        return read_user(reading, at, content);
    if (is(message, "role", "assistant"))
        return read_assistant(reading, at, content);
    if (is(message, "role", "system"))
        return read_system_message(reading, at, content);
    snprintf(reading->place, sizeof(reading->place), "messages[%zu].role", at);
    return refuse(reading, "must be \"user\", \"assistant\" or \"system\"");
}

static int read_messages(struct reading *reading)
{
    const cJSON *messages = fields_given(reading->fields, "messages"), *message;
    size_t at = 0;
    int r = 0;
    if (!cJSON_IsArray(messages) || !messages->child)
        return fields_refuse(reading->fields, "messages",
                "\"messages\" must be an array of at least one message");
    cJSON_ArrayForEach(message, messages)
    {
        if (!r)
            r = read_message(reading, at++, message);
    }
    return r;
}

static int read_system(struct reading *reading)
{
    const cJSON *system = fields_given(reading->fields, "system"), *block;
    int r = 0;
    snprintf(reading->place, sizeof(reading->place), "system");
    if (system && !cJSON_IsString(system) && !cJSON_IsArray(system))
        return refuse(reading, "must be a string or an array of blocks");
    if (cJSON_IsString(system))
        instruct(reading, system->valuestring);
    cJSON_ArrayForEach(block, system)
    {
        if (!r)
            r = read_system_block(reading, block);
    }
    return r;
}

int anthropic_messages_read(
        const struct fields *fields, struct request *request, struct conversation *conversation)
{
    struct reading reading = {
            .fields = fields, .request = request, .conversation = conversation, .param = "system"};
    int r = read_system(&reading);
    reading.param = "messages";
    return r ? r : read_messages(&reading);
}
