#include "coordinator/dialects/openai/openai_messages.h"

#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_MAX = 64 };

struct messages {
    struct openai_body *body;
    bool changed;
    size_t calls;          /* function calls of the old kind so far: they have no ids */
    char place[PLACE_MAX]; /* "messages[3].content[1]": what is looked at, for people */
};

static int refuse(struct messages *messages, const char *what, const cJSON *value)
{
    return fields_refuse(&messages->body->fields, "messages", "\"%s\" %s, not %s", messages->place,
            what, fields_type_name(value));
}

static int no_memory(struct messages *messages)
{
    return err_set(messages->body->fields.err, -ENOMEM, "no memory for the messages");
}

/* Puts `value` at the place of `item`, or takes `item` out where `value` is NULL. */
static void put(struct messages *messages, cJSON *parent, cJSON *item, cJSON *value)
{
    messages->changed = true;
    if (value)
        cJSON_ReplaceItemViaPointer(parent, item, value);
    else
        cJSON_Delete(cJSON_DetachItemViaPointer(parent, item));
}

/* Sets the member of an object. -ENOMEM. Takes `value`. */
static int set(struct messages *messages, cJSON *object, const char *key, cJSON *value)
{
    messages->changed = true;
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    if (value && cJSON_AddItemToObject(object, key, value))
        return 0;
    cJSON_Delete(value);
    return no_memory(messages);
}

/* --- parts of a content --- */

static int take_text(struct messages *messages, cJSON *content, cJSON *part)
{
    bool refusal = strcmp(json_str(part, "type", ""), "refusal") == 0;
    const cJSON *text = fields_member(part, refusal ? "refusal" : "text");
    if (!cJSON_IsString(text))
        return refuse(messages, "must have a string in \"text\"", text);
    if (strcmp(json_str(part, "type", ""), "text") == 0)
        return 0;
    cJSON *renamed = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(renamed, "type", "text") ||
            !cJSON_AddStringToObject(renamed, "text", text->valuestring)) {
        cJSON_Delete(renamed);
        return no_memory(messages);
    }
    put(messages, content, part, renamed);
    return 0;
}

static int check_url(struct messages *messages, const cJSON *url)
{
    if (!cJSON_IsString(url))
        return refuse(messages, "must have its picture in \"image_url\", a string", url);
    if (picture_is_inline(url->valuestring))
        return 0;
    return fields_refuse(&messages->body->fields, "messages",
            "\"%s\" is no picture of the form \"data:image/png;base64,…\": pictures are not "
            "fetched from addresses, send their bytes",
            messages->place);
}

static cJSON *make_image(const char *url, const char *detail)
{
    cJSON *part = cJSON_CreateObject(), *image;
    if (cJSON_AddStringToObject(part, "type", "image_url") &&
            (image = cJSON_AddObjectToObject(part, "image_url")) &&
            cJSON_AddStringToObject(image, "url", url) &&
            (!detail || cJSON_AddStringToObject(image, "detail", detail)))
        return part;
    cJSON_Delete(part);
    return NULL;
}

static int take_image(struct messages *messages, cJSON *content, cJSON *part)
{
    const cJSON *image = fields_member(part, "image_url");
    bool flat = !cJSON_IsObject(image);
    const cJSON *url = flat ? image : fields_member(image, "url");
    int r = check_url(messages, url);
    if (r)
        return r;
    messages->body->request->needs |= CAPABILITY_VISION;
    if (!flat && strcmp(json_str(part, "type", ""), "image_url") == 0)
        return 0;
    cJSON *made = make_image(url->valuestring, json_str(flat ? part : image, "detail", NULL));
    if (!made)
        return no_memory(messages);
    put(messages, content, part, made);
    return 0;
}

static int take_audio(struct messages *messages, cJSON *content, cJSON *part)
{
    (void)content;
    const cJSON *audio = fields_member(part, "input_audio");
    const cJSON *data = fields_member(audio, "data");
    const char *format = json_str(audio, "format", "");
    if (!cJSON_IsString(data))
        return refuse(messages, "must have base64 text in \"input_audio.data\"", data);
    if (strcmp(format, "wav") != 0 && strcmp(format, "mp3") != 0)
        return fields_refuse(&messages->body->fields, "messages",
                "\"%s\" must have \"wav\" or \"mp3\" in \"input_audio.format\"", messages->place);
    messages->body->request->needs |= CAPABILITY_AUDIO;
    return 0;
}

/* Thoughts of earlier turns in other servers' shapes: models do without them. */
static int take_thought(struct messages *messages, cJSON *content, cJSON *part)
{
    request_skip(messages->body->request, "part thinking");
    put(messages, content, part, NULL);
    return 0;
}

static int take_file(struct messages *messages, cJSON *content, cJSON *part)
{
    (void)content;
    (void)part;
    return fields_refuse(&messages->body->fields, "messages",
            "\"%s\" is a file, which no model here can read: send its text", messages->place);
}

static const struct part_type {
    const char *name;
    int (*take)(struct messages *messages, cJSON *content, cJSON *part);
} part_types[] = {
        {"text", take_text},
        {"input_text", take_text},
        {"output_text", take_text},
        {"refusal", take_text},
        {"image_url", take_image},
        {"input_image", take_image},
        {"input_audio", take_audio},
        {"thinking", take_thought},
        {"redacted_thinking", take_thought},
        {"reasoning", take_thought},
        {"file", take_file},
        {"input_file", take_file},
};

static int read_part(struct messages *messages, cJSON *content, cJSON *part)
{
    const cJSON *type = fields_member(part, "type");
    if (!cJSON_IsString(type))
        return refuse(messages, "must be an object with a string in \"type\"",
                cJSON_IsObject(part) ? type : part);
    for (size_t i = 0; i < sizeof(part_types) / sizeof(part_types[0]); i++)
        if (strcmp(type->valuestring, part_types[i].name) == 0)
            return part_types[i].take(messages, content, part);
    return fields_refuse(&messages->body->fields, "messages",
            "\"%s\" has the type \"%.40s\"; accepted are \"text\", \"image_url\" and "
            "\"input_audio\"",
            messages->place, type->valuestring);
}

static int read_parts(struct messages *messages, size_t at, cJSON *content)
{
    size_t i = 0;
    for (cJSON *part = content->child, *next; part; part = next) {
        next = part->next;
        snprintf(messages->place, sizeof(messages->place), "messages[%zu].content[%zu]", at, i++);
        int r = read_part(messages, content, part);
        if (r)
            return r;
    }
    return 0;
}

/* An assistant's turn may have none, and then has "": templates ask for it. */
static int read_content(struct messages *messages, size_t at, cJSON *message, bool may_lack)
{
    cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    snprintf(messages->place, sizeof(messages->place), "messages[%zu].content", at);
    if (cJSON_IsArray(content))
        return read_parts(messages, at, content);
    if (cJSON_IsString(content))
        return 0;
    if (!may_lack || (content && !cJSON_IsNull(content)))
        return refuse(messages, "must be a string or an array of parts", content);
    if (fields_member(message, "tool_calls"))
        return 0;
    const char *refusal = json_str(message, "refusal", "");
    return set(messages, message, "content", cJSON_CreateString(refusal));
}

/* --- calls of tools --- */

/* The arguments' text, where a client sent the object itself, or nothing. */
static int read_arguments(struct messages *messages, cJSON *function)
{
    const cJSON *arguments = fields_member(function, "arguments");
    if (cJSON_IsString(arguments) && *arguments->valuestring)
        return 0;
    if (arguments && !cJSON_IsObject(arguments) && !cJSON_IsString(arguments))
        return refuse(
                messages, "must have a JSON object's text in \"function.arguments\"", arguments);
    char *text = cJSON_IsObject(arguments) ? cJSON_PrintUnformatted(arguments) : NULL;
    if (cJSON_IsObject(arguments) && !text)
        return no_memory(messages);
    int r = set(messages, function, "arguments", cJSON_CreateString(text ? text : "{}"));
    cJSON_free(text);
    return r;
}

static int read_function(struct messages *messages, cJSON *function)
{
    const cJSON *name = fields_member(function, "name");
    if (!cJSON_IsString(name))
        return refuse(messages, "must have a string in \"function.name\"", name);
    return read_arguments(messages, function);
}

/* A custom tool's text as the argument of a function, as it is for every API. */
static int adopt_custom(struct messages *messages, cJSON *call)
{
    cJSON *arguments = cJSON_CreateObject(), *function = NULL;
    const cJSON *custom = fields_member(call, "custom");
    const char *name = json_str(custom, "name", NULL), *input = json_str(custom, "input", "");
    bool made = name && cJSON_AddStringToObject(arguments, "input", input) &&
                (function = cJSON_CreateObject()) &&
                cJSON_AddStringToObject(function, "name", name) &&
                cJSON_AddItemToObject(function, "arguments", arguments);
    if (!made) {
        cJSON_Delete(function);
        cJSON_Delete(arguments);
        return name ? no_memory(messages)
                    : refuse(messages, "must have a string in \"custom.name\"", NULL);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(call, "custom");
    int r = set(messages, call, "function", function);
    return r ? r : set(messages, call, "type", cJSON_CreateString("function"));
}

static int read_call(struct messages *messages, cJSON *call)
{
    const cJSON *id = fields_member(call, "id");
    if (!cJSON_IsObject(call))
        return refuse(messages, "must be an object", call);
    if (id && !cJSON_IsString(id))
        return refuse(messages, "must have a string in \"id\"", id);
    int r = fields_member(call, "custom") ? adopt_custom(messages, call) : 0;
    cJSON *function = cJSON_GetObjectItemCaseSensitive(call, "function");
    return r ? r : read_function(messages, function);
}

static int read_calls(struct messages *messages, size_t at, cJSON *message)
{
    cJSON *calls = cJSON_GetObjectItemCaseSensitive(message, "tool_calls"), *call;
    size_t i = 0;
    if (!calls)
        return 0;
    if (!calls->child && (cJSON_IsArray(calls) || cJSON_IsNull(calls))) {
        put(messages, message, calls, NULL);
        return 0;
    }
    snprintf(messages->place, sizeof(messages->place), "messages[%zu].tool_calls", at);
    if (!cJSON_IsArray(calls))
        return refuse(messages, "must be an array", calls);
    cJSON_ArrayForEach(call, calls)
    {
        snprintf(
                messages->place, sizeof(messages->place), "messages[%zu].tool_calls[%zu]", at, i++);
        int r = read_call(messages, call);
        if (r)
            return r;
    }
    return 0;
}

/* --- functions, the older form of tools: one call in a turn, and no ids --- */

static cJSON *make_id(size_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "call_%zu", number);
    return cJSON_CreateString(text);
}

static int adopt_function_call(struct messages *messages, cJSON *message)
{
    cJSON *function = cJSON_DetachItemFromObjectCaseSensitive(message, "function_call");
    cJSON *call = cJSON_CreateObject(), *calls = cJSON_CreateArray();
    messages->changed = true;
    bool made = cJSON_AddItemToObject(call, "function", function);
    if (!made)
        cJSON_Delete(function);
    made = made && cJSON_AddItemToObject(call, "id", make_id(++messages->calls)) &&
           cJSON_AddStringToObject(call, "type", "function") && cJSON_AddItemToArray(calls, call);
    if (!made) {
        cJSON_Delete(call);
        cJSON_Delete(calls);
        return no_memory(messages);
    }
    return set(messages, message, "tool_calls", calls);
}

static int adopt_function_result(struct messages *messages, cJSON *message)
{
    int r = set(messages, message, "role", cJSON_CreateString("tool"));
    return r ? r : set(messages, message, "tool_call_id", make_id(messages->calls));
}

/* --- messages --- */

/* Thoughts have two names among servers; engines read one. */
static int read_reasoning(struct messages *messages, cJSON *message)
{
    cJSON *other = cJSON_GetObjectItemCaseSensitive(message, "reasoning");
    const cJSON *known = fields_member(message, "reasoning_content");
    if (known && !cJSON_IsString(known))
        return refuse(messages, "must have a string in \"reasoning_content\"", known);
    if (!other)
        return 0;
    messages->changed = true;
    cJSON_DetachItemViaPointer(message, other);
    if (!known && cJSON_IsString(other))
        return set(messages, message, "reasoning_content", other);
    cJSON_Delete(other);
    return 0;
}

static int read_assistant(struct messages *messages, size_t at, cJSON *message)
{
    int r = read_reasoning(messages, message);
    if (!r && fields_member(message, "function_call"))
        r = adopt_function_call(messages, message);
    if (!r)
        r = read_calls(messages, at, message);
    return r ? r : read_content(messages, at, message, true);
}

static int read_tool(struct messages *messages, size_t at, cJSON *message)
{
    const cJSON *id = fields_member(message, "tool_call_id");
    if (id && !cJSON_IsString(id))
        return refuse(messages, "must have a string in \"tool_call_id\"", id);
    return read_content(messages, at, message, true);
}

static int read_message(struct messages *messages, size_t at, cJSON *message)
{
    const char *role = json_str(message, "role", NULL);
    snprintf(messages->place, sizeof(messages->place), "messages[%zu]", at);
    if (!role)
        return refuse(messages, "must be an object with a \"role\"",
                cJSON_IsObject(message) ? fields_member(message, "role") : message);
    if (strcmp(role, "user") == 0 || strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        return read_content(messages, at, message, false);
    if (strcmp(role, "assistant") == 0)
        return read_assistant(messages, at, message);
    if (strcmp(role, "tool") == 0)
        return read_tool(messages, at, message);
    if (strcmp(role, "function") != 0)
        return fields_refuse(&messages->body->fields, "messages",
                "\"%s\" has the role \"%.40s\"; accepted are system, developer, user, assistant "
                "and tool",
                messages->place, role);
    int r = adopt_function_result(messages, message);
    return r ? r : read_tool(messages, at, message);
}

static int read_each(struct messages *messages, const cJSON *array)
{
    cJSON *message;
    size_t at = 0;
    cJSON_ArrayForEach(message, array)
    {
        int r = read_message(messages, at++, message);
        if (r)
            return r;
    }
    return 0;
}

int openai_messages_read(struct openai_body *body)
{
    struct messages messages = {.body = body};
    cJSON *array = cJSON_GetObjectItemCaseSensitive(body->json, "messages");
    bool normalised = false;
    if (!cJSON_IsArray(array) || !array->child)
        return fields_refuse(&body->fields, "messages",
                "\"messages\" must be an array of at least one message, not %s",
                cJSON_IsArray(array) ? "an empty one" : fields_type_name(array));
    int r = read_each(&messages, array);
    if (r)
        return r;
    if (conversation_normalise(array, &normalised))
        return no_memory(&messages);
    if (messages.changed || normalised)
        openai_body_set(body, "messages", array);
    return 0;
}
