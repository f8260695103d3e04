#include "coordinator/dialects/ollama/ollama_messages.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { CALL_ID_MAX = 24 };

struct open_call { /* of the last assistant's turn */
    const char *id, *name;
    char made[CALL_ID_MAX]; /* the id, where the client gave none */
    bool answered;
};

struct reading {
    const struct fields *fields;
    struct request *request;
    struct conversation *conversation;
    struct open_call open[GATHERED_TOOL_CALLS_MAX];
    size_t open_count;
    unsigned calls; /* in the whole conversation so far */
};

static int refuse(const struct reading *reading, const char *what)
{
    return fields_refuse(reading->fields, "messages", "%s", what);
}

/* --- pictures --- */

static const char *type_of_bytes(const unsigned char head[12])
{
    if (memcmp(head, "\x89PNG", 4) == 0)
        return "image/png";
    if (memcmp(head, "\xff\xd8\xff", 3) == 0)
        return "image/jpeg";
    if (memcmp(head, "GIF8", 4) == 0)
        return "image/gif";
    if (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0)
        return "image/webp";
    return NULL;
}

/* NULL where it is no base64 of a picture. */
static const char *type_of_image(const char *base64)
{
    unsigned char head[12] = {0};
    size_t len = strnlen(base64, 16), head_len;
    if (sodium_base642bin(head, sizeof(head), base64, len - len % 4, NULL, &head_len, NULL,
                sodium_base64_VARIANT_ORIGINAL))
        return NULL;
    return type_of_bytes(head);
}

static int add_data_url(const char *type, const char *base64, struct conversation *conversation)
{
    struct buf url;
    size_t len = strlen(base64);
    buf_init(&url, len + 64);
    int r = buf_appendf(&url, "data:%s;base64,", type);
    if (!r)
        r = buf_append(&url, base64, len + 1);
    if (!r)
        conversation_user_image(conversation, buf_at(&url), NULL);
    buf_fini(&url);
    return r;
}

static int add_image(const struct fields *fields, const cJSON *image, struct request *request,
        struct conversation *conversation)
{
    if (!cJSON_IsString(image))
        return fields_refuse(fields, "images", "each of \"images\" must be a string of base64");
    const char *type = type_of_image(image->valuestring);
    if (!type)
        return fields_refuse(fields, "images",
                "each of \"images\" must be the base64 of a PNG, JPEG, WebP or GIF picture");
    request->needs |= CAPABILITY_VISION;
    return add_data_url(type, image->valuestring, conversation)
                   ? err_set(fields->err, -ENOMEM, "no memory for a picture")
                   : 0;
}

int ollama_user_turn_add(const struct fields *fields, const char *text, const cJSON *images,
        struct request *request, struct conversation *conversation)
{
    const cJSON *image;
    conversation_next_turn(conversation);
    conversation_user_text(conversation, text);
    cJSON_ArrayForEach(image, images)
    {
        int r = add_image(fields, image, request, conversation);
        if (r)
            return r;
    }
    return 0;
}

/* --- calls of tools --- */

static int add_arguments(
        struct reading *reading, const struct open_call *call, const cJSON *arguments)
{
    if (cJSON_IsString(arguments)) {
        conversation_tool_call(reading->conversation, call->id, call->name, arguments->valuestring);
        return 0;
    }
    char *text = arguments ? cJSON_PrintUnformatted(arguments) : NULL;
    if (arguments && !text)
        return err_set(reading->fields->err, -ENOMEM, "no memory for a tool call");
    conversation_tool_call(reading->conversation, call->id, call->name, text ? text : "{}");
    cJSON_free(text);
    return 0;
}

static bool is_object_text(const char *text)
{
    cJSON *json;
    if (json_parse(text, strlen(text), &json_limits_request, &json, NULL))
        return false;
    bool object = cJSON_IsObject(json);
    cJSON_Delete(json);
    return object;
}

/* Absent, an object, or the text of one. */
static bool is_arguments(const cJSON *arguments)
{
    return !arguments || cJSON_IsObject(arguments) ||
           (cJSON_IsString(arguments) && is_object_text(arguments->valuestring));
}

static struct open_call *open_call(struct reading *reading, const char *id, const char *name)
{
    struct open_call *call = &reading->open[reading->open_count++];
    *call = (struct open_call){.id = id, .name = name};
    reading->calls++;
    if (id && *id)
        return call;
    snprintf(call->made, sizeof(call->made), "call_%u", reading->calls);
    call->id = call->made;
    return call;
}

static int add_call(struct reading *reading, const cJSON *item)
{
    const cJSON *function = json_obj(item, "function");
    const char *name = json_str(function, "name", "");
    const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(function, "arguments");
    if (*name == '\0' || !is_arguments(arguments))
        return refuse(reading, "each of \"tool_calls\" must be like "
                               "{\"function\":{\"name\":\"…\",\"arguments\":{}}}");
    if (reading->open_count == GATHERED_TOOL_CALLS_MAX)
        return refuse(reading, "a message has too many \"tool_calls\": at most 128 are taken");
    return add_arguments(reading, open_call(reading, json_str(item, "id", NULL), name), arguments);
}

/* The first call without a result, of that name where there is one. */
static const char *id_for_result(struct reading *reading, const char *name)
{
    for (size_t i = 0; i < reading->open_count; i++) {
        struct open_call *call = &reading->open[i];
        if (call->answered || (name && strcmp(call->name, name) != 0))
            continue;
        call->answered = true;
        return call->id;
    }
    return name ? id_for_result(reading, NULL) : "call_0";
}

static void note_answered(struct reading *reading, const char *id)
{
    for (size_t i = 0; i < reading->open_count; i++)
        if (strcmp(reading->open[i].id, id) == 0)
            reading->open[i].answered = true;
}

static void add_result(struct reading *reading, const cJSON *message, const char *content)
{
    const char *id = json_str(message, "tool_call_id", NULL);
    const char *name = json_str(message, "tool_name", json_str(message, "name", NULL));
    if (id && *id)
        note_answered(reading, id);
    else
        id = id_for_result(reading, name);
    conversation_next_turn(reading->conversation);
    conversation_begin_result(reading->conversation, id);
    conversation_result_text(reading->conversation, content);
}

/* --- messages --- */

static int add_assistant(struct reading *reading, const cJSON *message, const char *content)
{
    const char *thinking = json_str(message, "thinking", "");
    const cJSON *call;
    int r = 0;
    conversation_next_turn(reading->conversation);
    if (*thinking)
        conversation_assistant_reasoning(reading->conversation, thinking);
    reading->open_count = 0;
    conversation_assistant_text(reading->conversation, content);
    cJSON_ArrayForEach(call, json_array(message, "tool_calls"))
    {
        if (!r)
            r = add_call(reading, call);
    }
    return r;
}

static int add_message(struct reading *reading, const cJSON *message)
{
    const char *role = json_str(message, "role", "");
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(message, "content");
    if (item && !cJSON_IsString(item) && !cJSON_IsNull(item))
        return refuse(reading, "a message's \"content\" must be a string; pictures go into its "
                               "\"images\"");
    const char *content = cJSON_IsString(item) ? item->valuestring : "";
    if (strcmp(role, "user") == 0)
        return ollama_user_turn_add(reading->fields, content, json_array(message, "images"),
                reading->request, reading->conversation);
    if (strcmp(role, "assistant") == 0)
        return add_assistant(reading, message, content);
    if (strcmp(role, "tool") == 0)
        add_result(reading, message, content);
    else if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        conversation_system(reading->conversation, content);
    else
        return refuse(reading, "each of \"messages\" must be an object whose \"role\" is "
                               "\"system\", \"user\", \"assistant\" or \"tool\"");
    return 0;
}

/* --- tools --- */

/* The function of a tool stands inside it or is the tool itself. */
static int add_tool(struct reading *reading, const cJSON *tool)
{
    const cJSON *function = json_obj(tool, "function");
    const char *type = json_str(tool, "type", "function");
    if (!function)
        function = tool;
    const char *name = json_str(function, "name", "");
    if (strcmp(type, "function") != 0) {
        request_skip(reading->request, "a tool that is no function");
        return 0;
    }
    if (*name == '\0')
        return fields_refuse(reading->fields, "tools",
                "each of \"tools\" must be like {\"type\":\"function\",\"function\":{\"name\":"
                "\"…\"}}");
    conversation_tool(reading->conversation, name, json_str(function, "description", NULL),
            json_obj(function, "parameters"), false);
    return 0;
}

int ollama_messages_add(
        const struct fields *fields, struct request *request, struct conversation *conversation)
{
    struct reading reading = {.fields = fields, .request = request, .conversation = conversation};
    const cJSON *messages, *tools, *item;
    int r = fields_array(fields, "messages", &messages);
    if (!r)
        r = fields_array(fields, "tools", &tools);
    if (r)
        return r;
    cJSON_ArrayForEach(item, messages)
    {
        if (!r)
            r = add_message(&reading, item);
    }
    cJSON_ArrayForEach(item, tools)
    {
        if (!r)
            r = add_tool(&reading, item);
    }
    return r;
}
