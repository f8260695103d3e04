#include "coordinator/dialects/responses/responses_tools.h"

#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char separator[] = "__";
static const char input_key[] = "input"; /* of a custom tool's function */

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the tools");
}

static int bad_tools(const char **ret_param, struct err *err, const char *message)
{
    *ret_param = "tools";
    return err_set(err, -EINVAL, "%s", message);
}

static int too_many(const char **ret_param, struct err *err)
{
    *ret_param = "tools";
    return err_set(err, -EINVAL, "there are more than %d tools", RESPONSES_TOOLS_MAX);
}

static int bad_choice(const char **ret_param, struct err *err, const char *message)
{
    *ret_param = "tool_choice";
    return err_set(err, -EINVAL, "%s", message);
}

static bool is_type(const cJSON *object, const char *type)
{
    return strcmp(json_str(object, "type", ""), type) == 0;
}

/* --- names --- */

char *responses_tools_flat_name(const char *space, const char *name)
{
    if (!space)
        return strdup(name);
    size_t len = strlen(space), mark = strlen(separator);
    bool ends_so = len >= mark && strcmp(space + len - mark, separator) == 0;
    char *flat = malloc(len + mark + strlen(name) + 1);
    if (!flat)
        return NULL;
    strcpy(flat, space);
    if (!ends_so)
        strcpy(flat + len, separator);
    return strcat(flat, name);
}

char *responses_tools_wrap_input(const char *input)
{
    cJSON *object = cJSON_CreateObject();
    char *arguments = NULL;
    if (object && cJSON_AddStringToObject(object, input_key, input))
        arguments = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return arguments;
}

static const char *only_text(const cJSON *arguments)
{
    const cJSON *first = cJSON_IsObject(arguments) ? arguments->child : NULL;
    const char *input = json_str(arguments, input_key, NULL);
    if (input || !first || first->next || !cJSON_IsString(first))
        return input;
    return first->valuestring;
}

char *responses_tools_unwrap_input(const char *arguments, size_t len)
{
    cJSON *json = NULL;
    const char *input = NULL;
    if (json_parse(arguments, len, &json_limits_request, &json, NULL) == 0)
        input = only_text(json);
    char *text = input ? strdup(input) : strndup(arguments, len);
    cJSON_Delete(json);
    return text;
}

/* --- tools --- */

/* Where the members of a tool, or of a choice, stand: chat completions have them one level down. */
static const cJSON *members_of(const cJSON *item)
{
    const cJSON *nested = json_obj(item, json_str(item, "type", ""));
    return nested ? nested : item;
}

static bool is_callable(const cJSON *item)
{
    return is_type(item, "function") || is_type(item, "custom");
}

static int choose_name(struct responses_tools *tools, const cJSON *entry)
{
    return name_set_add(&tools->chosen, json_str(members_of(entry), "name", ""));
}

static int read_choice(struct responses_tools *tools)
{
    const cJSON *choice = tools->choice, *entry;
    bool one = is_callable(choice), some = is_type(choice, "allowed_tools");
    const cJSON *entries = some ? json_array(choice, "tools") : NULL;
    int r = one ? choose_name(tools, choice) : 0;
    cJSON_ArrayForEach(entry, entries)
    {
        if (!r)
            r = choose_name(tools, entry);
    }
    tools->some = one || some;
    name_set_sort(&tools->chosen);
    return r;
}

int responses_tools_init(struct responses_tools *tools, struct conversation *conversation,
        struct request *request, const cJSON *choice)
{
    *tools = (struct responses_tools){.conversation = conversation,
            .request = request,
            .choice = cJSON_IsNull(choice) ? NULL : choice,
            .names = cJSON_CreateObject(),
            .aliases = cJSON_CreateObject()};
    return tools->names && tools->aliases ? read_choice(tools) : -ENOMEM;
}

void responses_tools_fini(struct responses_tools *tools)
{
    cJSON_Delete(tools->names);
    cJSON_Delete(tools->aliases);
    tools->names = tools->aliases = NULL;
    name_set_fini(&tools->chosen);
}

/* A tool, wherever its members stood. */
struct tool {
    const char *space; /* NULL: in none */
    const char *name, *description;
    const cJSON *schema;
    bool strict, custom;
};

static bool is_allowed(const struct responses_tools *tools, const struct tool *tool)
{
    return !tools->some || name_set_has(&tools->chosen, tool->name) ||
           (tool->space && name_set_has(&tools->chosen, tool->space));
}

static int note_alias(struct responses_tools *tools, const struct tool *tool, const char *flat)
{
    if (!tool->space && !tool->custom)
        return 0;
    cJSON *alias = cJSON_AddObjectToObject(tools->aliases, flat);
    if (!alias || !cJSON_AddStringToObject(alias, "name", tool->name) ||
            (tool->space && !cJSON_AddStringToObject(alias, "namespace", tool->space)) ||
            (tool->custom && !cJSON_AddTrueToObject(alias, "custom")))
        return -ENOMEM;
    return 0;
}

static int add_named(struct responses_tools *tools, const struct tool *tool, const char *flat)
{
    if (!cJSON_AddTrueToObject(tools->names, flat) || note_alias(tools, tool, flat))
        return -ENOMEM;
    conversation_tool(tools->conversation, flat, tool->description, tool->schema, tool->strict);
    tools->count++;
    return 0;
}

static int add_tool(struct responses_tools *tools, const struct tool *tool)
{
    if (!is_allowed(tools, tool))
        return 0;
    char *flat = responses_tools_flat_name(tool->space, tool->name);
    int r = flat ? 0 : -ENOMEM;
    if (!r && cJSON_GetObjectItemCaseSensitive(tools->names, flat))
        request_skip(tools->request, "second tool of one name");
    else if (!r)
        r = add_named(tools, tool, flat);
    free(flat);
    return r;
}

static cJSON *input_schema(void)
{
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":"
                                 "\"string\"}},\"required\":[\"input\"],"
                                 "\"additionalProperties\":false}";
    return cJSON_Parse(schema);
}

/* The grammar is told in words: the text that has to obey it stands inside of JSON. */
static int describe_custom(const cJSON *tool, struct buf *ret_text)
{
    const cJSON *format = json_obj(tool, "format");
    const cJSON *grammar = json_obj(format, "grammar"); /* as chat completions have it */
    const char *definition = json_str(grammar ? grammar : format, "definition", NULL);
    int r = buf_append_str(ret_text, json_str(tool, "description", ""));
    if (!r && definition)
        r = buf_appendf(ret_text, "%s\"input\" must be text of this %s grammar:\n%s",
                ret_text->len ? "\n\n" : "", json_str(grammar ? grammar : format, "syntax", "lark"),
                definition);
    return r ? r : buf_terminate(ret_text);
}

static int add_custom(struct responses_tools *tools, const cJSON *object, struct tool *tool)
{
    cJSON *schema = input_schema();
    struct buf text;
    buf_init(&text, json_limits_request.max_bytes);
    int r = schema ? describe_custom(object, &text) : -ENOMEM;
    tool->custom = true;
    tool->schema = schema;
    tool->description = buf_at(&text);
    if (!r)
        r = add_tool(tools, tool);
    buf_fini(&text);
    cJSON_Delete(schema);
    return r;
}

static int add_function(struct responses_tools *tools, const cJSON *object, struct tool *tool)
{
    tool->description = json_str(object, "description", NULL);
    tool->schema = json_obj(object, "parameters");
    tool->strict = json_bool(object, "strict", false);
    return add_tool(tools, tool);
}

static int add_callable(struct responses_tools *tools, const cJSON *item, const char *space,
        const char **ret_param, struct err *err)
{
    const cJSON *object = members_of(item);
    struct tool tool = {.space = space, .name = json_str(object, "name", "")};
    if (!*tool.name || !conversation_takes_name(tool.name))
        return bad_tools(
                ret_param, err, "each function and custom tool needs a \"name\" of 1 to 256 bytes");
    if (tools->count == RESPONSES_TOOLS_MAX || tools->offered++ == RESPONSES_OFFERED_MAX)
        return too_many(ret_param, err);
    int r = is_type(item, "custom") ? add_custom(tools, object, &tool)
                                    : add_function(tools, object, &tool);
    return r ? no_memory(err) : 0;
}

/* What the provider, or a program of its own at the client, would do without the model's words for
 * it. Other types are not named: no word of a client goes into a log. */
static void skip_tool(struct request *request, const char *type)
{
    static const char *const known[] = {"tool web_search", "tool web_search_preview",
            "tool image_generation", "tool file_search", "tool code_interpreter", "tool computer",
            "tool computer_use", "tool computer_use_preview", "tool mcp", "tool local_shell",
            "tool shell", "tool apply_patch", "tool tool_search", "tool programmatic_tool_calling"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i] + strlen("tool "), type) == 0) {
            request_skip(request, known[i]);
            return;
        }
    request_skip(request, "tool of an unknown type");
}

static int add_space(
        struct responses_tools *tools, const cJSON *item, const char **ret_param, struct err *err)
{
    const char *space = json_str(item, "name", NULL);
    const cJSON *inner;
    int r = 0;
    if (!space || !*space || !conversation_takes_name(space))
        return bad_tools(ret_param, err, "each namespace needs a \"name\" of 1 to 256 bytes");
    cJSON_ArrayForEach(inner, json_array(item, "tools"))
    {
        if (!r && is_callable(inner))
            r = add_callable(tools, inner, space, ret_param, err);
        else if (!r)
            skip_tool(tools->request, json_str(inner, "type", ""));
    }
    return r;
}

static int add_item(
        struct responses_tools *tools, const cJSON *item, const char **ret_param, struct err *err)
{
    if (!cJSON_IsObject(item))
        return bad_tools(ret_param, err,
                "each entry of \"tools\" must be an object, such as "
                "{\"type\":\"function\",\"name\":\"…\",\"parameters\":{…}}");
    if (is_type(item, "namespace"))
        return add_space(tools, item, ret_param, err);
    if (is_callable(item))
        return add_callable(tools, item, NULL, ret_param, err);
    skip_tool(tools->request, json_str(item, "type", ""));
    return 0;
}

int responses_tools_add(
        struct responses_tools *tools, const cJSON *list, const char **ret_param, struct err *err)
{
    const cJSON *item;
    int r = 0;
    if (!list || cJSON_IsNull(list))
        return 0;
    if (!cJSON_IsArray(list))
        return bad_tools(ret_param, err, "\"tools\" must be an array");
    cJSON_ArrayForEach(item, list)
    {
        if (!r)
            r = add_item(tools, item, ret_param, err);
    }
    return r;
}

/* --- choice --- */

static int set_mode(struct responses_tools *tools, const char *mode, cJSON *body,
        const char **ret_param, struct err *err)
{
    bool must = strcmp(mode, "required") == 0;
    if (!must && strcmp(mode, "auto") != 0 && strcmp(mode, "none") != 0)
        return bad_choice(ret_param, err,
                "\"tool_choice\" must be \"auto\", \"none\", \"required\" or an object that names "
                "a tool");
    if (tools->names->child && strcmp(mode, "none") != 0)
        tools->request->needs |= CAPABILITY_TOOLS;
    if (tools->names->child)
        return cJSON_AddStringToObject(body, "tool_choice", mode) ? 0 : no_memory(err);
    if (must)
        return bad_choice(ret_param, err,
                "\"tool_choice\" asks for a call, but none of \"tools\" is it that can be called");
    return 0;
}

int responses_tools_choose(
        struct responses_tools *tools, cJSON *body, const char **ret_param, struct err *err)
{
    const cJSON *choice = tools->choice;
    if (!choice)
        return set_mode(tools, "auto", body, ret_param, err);
    if (cJSON_IsString(choice))
        return set_mode(tools, choice->valuestring, body, ret_param, err);
    if (is_callable(choice))
        return set_mode(tools, "required", body, ret_param, err);
    if (is_type(choice, "allowed_tools"))
        return set_mode(tools, json_str(choice, "mode", "auto"), body, ret_param, err);
    return bad_choice(ret_param, err,
            "\"tool_choice\" has no known form, or forces a tool that is not served here");
}
