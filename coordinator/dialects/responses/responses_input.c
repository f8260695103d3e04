#include "coordinator/dialects/responses/responses_input.h"

#include "common/json/json.h"
#include "coordinator/dialects/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct place { /* of an error */
    size_t index;
    const char **ret_param;
    struct err *err;
};

static int refuse(const struct place *place, const char *message)
{
    *place->ret_param = "input";
    return err_set(place->err, -EINVAL, "input[%zu]: %s", place->index, message);
}

static int no_memory(const struct place *place)
{
    return err_set(place->err, -ENOMEM, "no memory for the input");
}

static bool is_type(const cJSON *item, const char *type)
{
    return strcmp(json_str(item, "type", ""), type) == 0;
}

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* --- parts of a message --- */

static const char *const text_types[] = {
        "input_text", "output_text", "text", "summary_text", "reasoning_text", NULL};
static const char *const image_types[] = {"input_image", "image_url", "computer_screenshot", NULL};

/* The text of a part, NULL where it has none. */
static const char *text_of(const cJSON *part)
{
    if (is_type(part, "refusal"))
        return json_str(part, "refusal", "");
    return is_one_of(json_str(part, "type", ""), text_types) ? json_str(part, "text", "") : NULL;
}

static bool is_image(const cJSON *part)
{
    return is_one_of(json_str(part, "type", ""), image_types);
}

/* A text, or as chat completions have it. NULL: only a file's id, which nobody here knows. */
static const char *image_url(const cJSON *part)
{
    return json_str(part, "image_url", json_str(json_obj(part, "image_url"), "url", NULL));
}

static int refuse_picture(const struct place *place)
{
    return refuse(place,
            "a picture needs \"image_url\" of the form data:image/png;base64,…: pictures "
            "are not fetched from addresses or from stored files, send their bytes");
}

static int refuse_part(const struct place *place, const cJSON *part)
{
    if (is_type(part, "input_file") || is_type(part, "file"))
        return refuse(place, "files are not taken; send their text, or pictures of their pages");
    if (is_type(part, "input_audio"))
        return refuse(place, "audio is not taken in a conversation; transcribe it first");
    return refuse(place, "a content part must be input_text, output_text, input_image or refusal");
}

typedef void (*text_fn)(struct conversation *conversation, const char *text);

static int read_image(const struct responses_input *reader, const cJSON *part, text_fn add,
        const struct place *place)
{
    const char *url = image_url(part);
    if (add != conversation_user_text)
        return refuse(place, "pictures are taken in messages of the user only");
    if (!url || !picture_is_inline(url))
        return refuse_picture(place);
    reader->request->needs |= CAPABILITY_VISION;
    conversation_user_image(reader->conversation, url, json_str(part, "detail", NULL));
    return 0;
}

static int read_part(const struct responses_input *reader, const cJSON *part, text_fn add,
        const struct place *place)
{
    const char *text = text_of(part);
    if (text)
        add(reader->conversation, text);
    else if (is_image(part))
        return read_image(reader, part, add, place);
    else if (is_type(part, "encrypted_content"))
        request_skip(reader->request, "part encrypted_content");
    else
        return refuse_part(place, part);
    return 0;
}

static int read_content(const struct responses_input *reader, const cJSON *content, text_fn add,
        const struct place *place)
{
    const cJSON *part;
    int r = 0;
    if (cJSON_IsString(content)) {
        add(reader->conversation, content->valuestring);
        return 0;
    }
    if (content && !cJSON_IsNull(content) && !cJSON_IsArray(content))
        return refuse(place, "\"content\" must be a text or an array of parts");
    cJSON_ArrayForEach(part, content)
    {
        if (!r)
            r = read_part(reader, part, add, place);
    }
    return r;
}

/* --- messages and reasoning --- */

static bool is_message(const cJSON *item)
{
    return strcmp(json_str(item, "type", "message"), "message") == 0;
}

static text_fn adder_of(const char *role)
{
    if (strcmp(role, "user") == 0)
        return conversation_user_text;
    if (strcmp(role, "assistant") == 0)
        return conversation_assistant_text;
    bool system = strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
    return system ? conversation_system : NULL;
}

static bool follows_message(const cJSON *item)
{
    bool first = !item->prev->next; /* cJSON: the first one's `prev` is the last */
    return !first && is_message(item->prev);
}

/* Messages stay apart, but the pieces of an assistant's turn, which are items of their own, make
 * one. */
static int read_message(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    text_fn add = adder_of(json_str(item, "role", ""));
    if (!add)
        return refuse(place, "\"role\" must be user, assistant, system or developer");
    if (add == conversation_user_text ||
            (add == conversation_assistant_text && follows_message(item)))
        conversation_next_turn(reader->conversation);
    return read_content(reader, cJSON_GetObjectItemCaseSensitive(item, "content"), add, place);
}

static bool read_thoughts(const struct responses_input *reader, const cJSON *parts)
{
    const cJSON *part;
    bool any = false;
    cJSON_ArrayForEach(part, parts)
    {
        const char *text = text_of(part);
        if (text)
            conversation_assistant_reasoning(reader->conversation, text);
        any = any || text;
    }
    return any;
}

/* Its content where it is told, else its summary; ours is the same. */
static int read_reasoning(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    (void)place;
    if (!read_thoughts(reader, json_array(item, "content")) &&
            !read_thoughts(reader, json_array(item, "summary")) &&
            json_str(item, "encrypted_content", NULL))
        request_skip(reader->request, "reasoning that is encrypted");
    return 0;
}

/* --- calls --- */

/* Templates want the text of an object. What a model wrote instead is kept within one. */
static char *as_object(const char *text)
{
    cJSON *json = NULL;
    if (!*text)
        return strdup("{}");
    bool object = json_parse(text, strlen(text), &json_limits_request, &json, NULL) == 0 &&
                  cJSON_IsObject(json);
    cJSON_Delete(json);
    return object ? strdup(text) : responses_tools_wrap_input(text);
}

static const char *call_id(const cJSON *item)
{
    return json_str(item, "call_id", json_str(item, "id", ""));
}

/* Takes `arguments`, which may be NULL for lack of memory. */
static int add_call(const struct responses_input *reader, const cJSON *item, const char *name,
        char *arguments, const struct place *place)
{
    char *flat = responses_tools_flat_name(json_str(item, "namespace", NULL), name);
    bool sound = flat && arguments;
    if (sound)
        conversation_tool_call(reader->conversation, call_id(item), flat, arguments);
    free(flat);
    free(arguments);
    return sound ? 0 : no_memory(place);
}

static int read_function_call(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    const char *name = json_str(item, "name", "");
    const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(item, "arguments");
    if (!*name)
        return refuse(place, "a function_call needs a \"name\"");
    if (cJSON_IsObject(arguments))
        return add_call(reader, item, name, cJSON_PrintUnformatted(arguments), place);
    return add_call(reader, item, name, as_object(json_str(item, "arguments", "")), place);
}

static int read_custom_call(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    const char *name = json_str(item, "name", "");
    if (!*name)
        return refuse(place, "a custom_tool_call needs a \"name\"");
    char *arguments = responses_tools_wrap_input(json_str(item, "input", ""));
    return add_call(reader, item, name, arguments, place);
}

/* Calls of tools that the client has by the API's own word: the type less "_call" is the name, what
 * is to be done stands under `action` or `operation`. */
static int read_client_call(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    const char *type = json_str(item, "type", "");
    const cJSON *action = json_obj(item, "action");
    char *name = strndup(type, strlen(type) - strlen("_call"));
    if (!action)
        action = json_obj(item, "operation");
    int r = name ? 0 : no_memory(place);
    if (!r)
        r = add_call(
                reader, item, name, action ? cJSON_PrintUnformatted(action) : strdup("{}"), place);
    free(name);
    return r;
}

/* --- results --- */

static int append_text(struct buf *text, const char *more)
{
    int r = text->len ? buf_append_str(text, "\n") : 0;
    return r ? r : buf_append_str(text, more);
}

/* The texts of a result; what else it holds, but for pictures, as the JSON that it is. */
static int gather_result(const cJSON *output, struct buf *text)
{
    const cJSON *part;
    int r = 0;
    if (cJSON_IsString(output))
        return buf_append_str(text, output->valuestring);
    if (!cJSON_IsArray(output))
        return output && !cJSON_IsNull(output) ? json_append(text, output) : 0;
    cJSON_ArrayForEach(part, output)
    {
        if (!r && text_of(part))
            r = append_text(text, text_of(part));
        else if (!r && !is_image(part)) {
            r = text->len ? buf_append_str(text, "\n") : 0;
            r = r ? r : json_append(text, part);
        }
    }
    return r;
}

static int add_result_images(
        const struct responses_input *reader, const cJSON *output, const struct place *place)
{
    const cJSON *part;
    cJSON_ArrayForEach(part, output)
    {
        const char *url = is_image(part) ? image_url(part) : NULL;
        if (!is_image(part))
            continue;
        if (!url || !picture_is_inline(url))
            return refuse_picture(place);
        reader->request->needs |= CAPABILITY_VISION;
        conversation_result_image(reader->conversation, url);
    }
    return 0;
}

static int read_result(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    const cJSON *output = cJSON_GetObjectItemCaseSensitive(item, "output");
    struct buf text;
    buf_init(&text, json_limits_request.max_bytes);
    int r = gather_result(output, &text);
    if (!r)
        r = buf_terminate(&text);
    if (r)
        r = no_memory(place);
    if (!r)
        conversation_begin_result(reader->conversation, call_id(item));
    if (!r)
        conversation_result_text(reader->conversation, buf_at(&text));
    if (!r && cJSON_IsArray(output))
        r = add_result_images(reader, output, place);
    buf_fini(&text);
    return r;
}

/* --- items --- */

static int read_tools(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    return responses_tools_add(
            reader->tools, json_array(item, "tools"), place->ret_param, place->err);
}

static int refuse_compaction(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    (void)reader;
    (void)item;
    return refuse(place, "what was compacted elsewhere is encrypted and cannot be read here; begin "
                         "a new conversation");
}

static int refuse_reference(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    (void)reader;
    (void)item;
    return refuse(place, "no items are kept here that an item_reference could mean");
}

typedef int (*item_fn)(
        const struct responses_input *reader, const cJSON *item, const struct place *place);

static const struct item_type {
    const char *name;
    item_fn read;     /* NULL: skipped … */
    const char *note; /* … and noted as this */
} item_types[] = {
        {"message", read_message, NULL},
        {"function_call", read_function_call, NULL},
        {"function_call_output", read_result, NULL},
        {"custom_tool_call", read_custom_call, NULL},
        {"custom_tool_call_output", read_result, NULL},
        {"reasoning", read_reasoning, NULL},
        {"local_shell_call", read_client_call, NULL},
        {"local_shell_call_output", read_result, NULL},
        {"shell_call", read_client_call, NULL},
        {"shell_call_output", read_result, NULL},
        {"apply_patch_call", read_client_call, NULL},
        {"apply_patch_call_output", read_result, NULL},
        {"additional_tools", read_tools, NULL},
        {"tool_search_output", read_tools, NULL},
        {"tool_search_call", NULL, "item tool_search_call"},
        {"web_search_call", NULL, "item web_search_call"},
        {"file_search_call", NULL, "item file_search_call"},
        {"image_generation_call", NULL, "item image_generation_call"},
        {"code_interpreter_call", NULL, "item code_interpreter_call"},
        {"computer_call", NULL, "item computer_call"},
        {"computer_call_output", NULL, "item computer_call_output"},
        {"mcp_list_tools", NULL, "item mcp_list_tools"},
        {"mcp_call", NULL, "item mcp_call"},
        {"mcp_approval_request", NULL, "item mcp_approval_request"},
        {"mcp_approval_response", NULL, "item mcp_approval_response"},
        {"compaction", refuse_compaction, NULL},
        {"compaction_summary", refuse_compaction, NULL},
        {"context_compaction", refuse_compaction, NULL},
        {"compaction_trigger", refuse_compaction, NULL},
        {"item_reference", refuse_reference, NULL},
};

static const struct item_type *find_type(const cJSON *item)
{
    const char *name = is_message(item) ? "message" : json_str(item, "type", "");
    for (size_t i = 0; i < sizeof(item_types) / sizeof(item_types[0]); i++)
        if (strcmp(item_types[i].name, name) == 0)
            return &item_types[i];
    return NULL;
}

static int read_item(
        const struct responses_input *reader, const cJSON *item, const struct place *place)
{
    if (!cJSON_IsObject(item))
        return refuse(place, "an item must be an object, such as "
                             "{\"type\":\"message\",\"role\":\"user\",\"content\":\"…\"}");
    const struct item_type *type = find_type(item);
    if (type && type->read)
        return type->read(reader, item, place);
    request_skip(reader->request, type ? type->note : "item of an unknown type");
    return 0;
}

int responses_input_read(const struct responses_input *reader, const cJSON *input,
        const char **ret_param, struct err *err)
{
    struct place place = {.ret_param = ret_param, .err = err};
    const cJSON *item;
    int r = 0;
    if (!input || cJSON_IsNull(input))
        return 0;
    if (cJSON_IsString(input)) {
        conversation_next_turn(reader->conversation);
        conversation_user_text(reader->conversation, input->valuestring);
        return 0;
    }
    if (!cJSON_IsArray(input)) {
        *ret_param = "input";
        return err_set(err, -EINVAL, "\"input\" must be a text or an array of items");
    }
    cJSON_ArrayForEach(item, input)
    {
        if (!r)
            r = read_item(reader, item, &place);
        place.index++;
    }
    return r;
}
