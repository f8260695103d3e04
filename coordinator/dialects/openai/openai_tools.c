#include "coordinator/dialects/openai/openai_tools.h"

#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/name_set.h"
#include "coordinator/dialects/responses/responses_tools.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SKIPPED_NAME_MAX = 40,
    TOOLS_MAX = 1024, /* of one request, those in namespaces too */
};

struct tools {
    struct openai_body *body;
    cJSON *list;  /* what is passed on */
    size_t count; /* of functions that were put there */
    bool changed; /* the list is not the one that came */
    size_t at;    /* index of the tool that is looked at */
};

static int no_memory(struct tools *tools)
{
    return err_set(tools->body->fields.err, -ENOMEM, "no memory for the tools");
}

/* --- tools --- */

/* The name goes into a header and the log: what is no plain word is not repeated. */
static void skip(struct tools *tools, const char *type)
{
    char what[SKIPPED_NAME_MAX + sizeof("tool ")];
    bool plain = *type && strlen(type) <= SKIPPED_NAME_MAX;
    for (const char *at = type; plain && *at; at++)
        plain = isalnum((unsigned char)*at) || *at == '_' || *at == '-' || *at == '.';
    snprintf(what, sizeof(what), "tool %s", plain ? type : "of an unknown type");
    request_skip(tools->body->request, what);
    tools->changed = true;
}

static int check_function(struct tools *tools, const cJSON *function)
{
    const cJSON *name = fields_member(function, "name");
    const cJSON *parameters = fields_member(function, "parameters");
    if (!cJSON_IsString(name) || !*name->valuestring)
        return fields_refuse(&tools->body->fields, "tools",
                "\"tools[%zu].function.name\" must be a string that is not empty, not %s",
                tools->at, fields_type_name(name));
    if (!conversation_takes_name(name->valuestring))
        return fields_refuse(&tools->body->fields, "tools",
                "\"tools[%zu].function.name\" must have at most %d bytes", tools->at,
                (int)CONVERSATION_NAME_MAX);
    if (parameters && !cJSON_IsObject(parameters))
        return fields_refuse(&tools->body->fields, "tools",
                "\"tools[%zu].function.parameters\" must be a JSON schema, an object, not %s",
                tools->at, fields_type_name(parameters));
    return 0;
}

/* Takes `tool`. */
static int add(struct tools *tools, cJSON *tool)
{
    bool room = tools->count++ < TOOLS_MAX;
    if (room && tool && cJSON_AddItemToArray(tools->list, tool))
        return 0;
    cJSON_Delete(tool);
    if (room)
        return no_memory(tools);
    return fields_refuse(&tools->body->fields, "tools", "\"tools\" must hold at most %d functions",
            (int)TOOLS_MAX);
}

/* Takes `function`. */
static cJSON *wrap(cJSON *function)
{
    cJSON *tool = cJSON_CreateObject();
    if (cJSON_AddStringToObject(tool, "type", "function") &&
            cJSON_AddItemToObject(tool, "function", function))
        return tool;
    cJSON_Delete(function);
    cJSON_Delete(tool);
    return NULL;
}

static bool move(cJSON *from, const char *key, cJSON *to, const char *new_key)
{
    cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(from, key);
    if (!item || cJSON_AddItemToObject(to, new_key, item))
        return true;
    cJSON_Delete(item);
    return false;
}

/* Takes `tool`, whose function's members stand beside its type. */
static int add_flat(struct tools *tools, cJSON *tool)
{
    cJSON *function = cJSON_CreateObject();
    bool schema = !fields_member(tool, "parameters");
    bool moved = move(tool, "name", function, "name") &&
                 move(tool, "description", function, "description") &&
                 move(tool, schema ? "input_schema" : "parameters", function, "parameters") &&
                 move(tool, "strict", function, "strict");
    cJSON_Delete(tool);
    tools->changed = true;
    int r = moved ? check_function(tools, function) : no_memory(tools);
    if (!r)
        return add(tools, wrap(function));
    cJSON_Delete(function);
    return r;
}

/* Takes `tool`. */
static int add_function(struct tools *tools, cJSON *tool)
{
    const cJSON *function = fields_member(tool, "function");
    if (!cJSON_IsObject(function) && fields_member(tool, "name"))
        return add_flat(tools, tool);
    int r = check_function(tools, function);
    if (!r && fields_member(tool, "type"))
        return add(tools, tool);
    if (!r) {
        tools->changed = true;
        r = add(tools, wrap(cJSON_DetachItemFromObjectCaseSensitive(tool, "function")));
    }
    cJSON_Delete(tool);
    return r;
}

static bool prefix_name(cJSON *tool, const char *space)
{
    cJSON *function = cJSON_GetObjectItemCaseSensitive(tool, "function");
    cJSON *owner = cJSON_IsObject(function) ? function : tool;
    const char *name = json_str(owner, "name", NULL);
    if (!name)
        return true;
    char *flat = responses_tools_flat_name(space, name);
    cJSON *text = flat ? cJSON_CreateString(flat) : NULL;
    free(flat);
    return text && cJSON_ReplaceItemInObjectCaseSensitive(owner, "name", text);
}

static int add_tool(struct tools *tools, cJSON *tool, bool nested);

/* Takes `tool`. */
static int add_namespace(struct tools *tools, cJSON *tool)
{
    const char *space = json_str(tool, "name", "");
    cJSON *nested = cJSON_GetObjectItemCaseSensitive(tool, "tools");
    int r = 0;
    tools->changed = true;
    if (!conversation_takes_name(space))
        r = fields_refuse(&tools->body->fields, "tools",
                "\"tools[%zu].name\" must have at most %d bytes", tools->at,
                (int)CONVERSATION_NAME_MAX);
    while (!r && cJSON_IsArray(nested) && nested->child) {
        cJSON *inner = cJSON_DetachItemViaPointer(nested, nested->child);
        if (prefix_name(inner, space)) {
            r = add_tool(tools, inner, true);
        } else {
            cJSON_Delete(inner);
            r = no_memory(tools);
        }
    }
    cJSON_Delete(tool);
    return r;
}

/* Takes `tool`. */
static int add_tool(struct tools *tools, cJSON *tool, bool nested)
{
    const char *type = json_str(tool, "type", NULL);
    int r = 0;
    if (!cJSON_IsObject(tool))
        r = fields_refuse(&tools->body->fields, "tools", "\"tools[%zu]\" must be an object, not %s",
                tools->at, fields_type_name(tool));
    else if (!type || strcmp(type, "function") == 0)
        return add_function(tools, tool);
    else if (strcmp(type, "namespace") == 0 && !nested)
        return add_namespace(tools, tool);
    else
        skip(tools, type);
    cJSON_Delete(tool);
    return r;
}

static int read_list(struct tools *tools, cJSON *came)
{
    int r = 0;
    while (!r && came && came->child) {
        r = add_tool(tools, cJSON_DetachItemViaPointer(came, came->child), false);
        tools->at++;
    }
    return r;
}

/* --- which of them --- */

static const char *tool_name(const cJSON *tool)
{
    return json_str(json_obj(tool, "function"), "name", json_str(tool, "name", ""));
}

static void leave_out(struct tools *tools, cJSON *tool)
{
    tools->changed = true;
    cJSON_Delete(cJSON_DetachItemViaPointer(tools->list, tool));
}

/* Only this tool, and it must be called. */
static int choose_one(struct tools *tools, const char *name, const char **ret_mode)
{
    for (cJSON *tool = tools->list->child, *next; tool; tool = next) {
        next = tool->next;
        if (strcmp(tool_name(tool), name) != 0)
            leave_out(tools, tool);
    }
    *ret_mode = "required";
    if (tools->list->child)
        return 0;
    return fields_refuse(&tools->body->fields, "tool_choice",
            "\"tool_choice\" names \"%.64s\", which is none of the functions in \"tools\"", name);
}

static int read_names(const cJSON *entries, struct name_set *names)
{
    const cJSON *entry;
    int r = 0;
    cJSON_ArrayForEach(entry, entries)
    {
        if (!r)
            r = name_set_add(names, tool_name(entry));
    }
    name_set_sort(names);
    return r;
}

static int keep_named(struct tools *tools, const cJSON *entries)
{
    struct name_set names = {0};
    int r = read_names(entries, &names);
    for (cJSON *tool = tools->list->child, *next; !r && tool; tool = next) {
        next = tool->next;
        if (!name_set_has(&names, tool_name(tool)))
            leave_out(tools, tool);
    }
    name_set_fini(&names);
    return r ? no_memory(tools) : 0;
}

static int choose_some(struct tools *tools, const cJSON *choice, const char **ret_mode)
{
    const cJSON *nested = json_obj(choice, "allowed_tools");
    const cJSON *from = nested ? nested : choice, *entries = json_array(from, "tools");
    *ret_mode = json_str(from, "mode", "auto");
    if (!entries)
        return fields_refuse(&tools->body->fields, "tool_choice",
                "\"tool_choice.allowed_tools.tools\" must be an array of tools, not %s",
                fields_type_name(fields_member(from, "tools")));
    return keep_named(tools, entries);
}

static int choose(struct tools *tools, const cJSON *choice, const char **ret_mode)
{
    const char *type = json_str(choice, "type", "");
    if (cJSON_IsString(choice))
        *ret_mode = choice->valuestring;
    else if (!cJSON_IsObject(choice))
        return fields_refuse(&tools->body->fields, "tool_choice",
                "\"tool_choice\" must be a string or an object, not %s", fields_type_name(choice));
    else if (strcmp(type, "allowed_tools") == 0)
        return choose_some(tools, choice, ret_mode);
    else if (*tool_name(choice))
        return choose_one(tools, tool_name(choice), ret_mode);
    else
        *ret_mode = type;
    return 0;
}

/* NULL where there is no such mode. "any" is what other APIs call "required". */
static const char *known_mode(const char *mode)
{
    static const char *const modes[] = {"auto", "none", "required"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(mode, modes[i]) == 0)
            return modes[i];
    return strcmp(mode, "any") == 0 ? "required" : NULL;
}

static int check_mode(struct tools *tools, const char *came, const char *mode)
{
    if (!mode)
        return fields_refuse(&tools->body->fields, "tool_choice",
                "\"tool_choice\" is \"%.40s\"; accepted are \"auto\", \"none\", \"required\" and "
                "the name of a function",
                came);
    if (strcmp(mode, "required") == 0 && !tools->list->child)
        return fields_refuse(&tools->body->fields, "tool_choice",
                "\"tool_choice\" asks for a call, but there is no tool that a model here can call");
    return 0;
}

static int read_choice(struct tools *tools, const char *key)
{
    struct openai_body *body = tools->body;
    const cJSON *choice = fields_member(body->json, key);
    const char *came = "auto";
    int r = choice ? choose(tools, choice, &came) : 0;
    const char *mode = known_mode(came);
    if (!r)
        r = check_mode(tools, came, mode);
    if (r)
        return r;
    if (choice && !tools->list->child)
        openai_body_drop(body, key);
    else if (choice && strcmp(json_str(body->json, "tool_choice", ""), mode) != 0)
        openai_body_set_str(body, "tool_choice", mode);
    if (tools->list->child && strcmp(mode, "none") != 0)
        body->request->needs |= CAPABILITY_TOOLS;
    return 0;
}

/* --- the older form --- */

/* Takes the array `functions`. */
static int read_functions(struct tools *tools, cJSON *functions)
{
    int r = 0;
    tools->changed = true;
    while (!r && functions->child) {
        cJSON *function = cJSON_DetachItemViaPointer(functions, functions->child);
        r = check_function(tools, function);
        if (r)
            cJSON_Delete(function);
        else
            r = add(tools, wrap(function));
        tools->at++;
    }
    return r;
}

/* `function_call` is "auto", "none" or {"name": …}. */
static int read_legacy(struct tools *tools, bool *ret_legacy)
{
    struct openai_body *body = tools->body;
    cJSON *functions = cJSON_GetObjectItemCaseSensitive(body->json, "functions");
    int r = fields_check_array(&body->fields, "functions");
    openai_body_drop(body, "functions");
    openai_body_drop(body, "function_call");
    *ret_legacy = true;
    return r ? r : read_functions(tools, functions);
}

static int read_all(struct tools *tools, bool *ret_legacy)
{
    struct openai_body *body = tools->body;
    bool legacy = !fields_member(body->json, "tools") && fields_member(body->json, "functions");
    int r = fields_check_array(&body->fields, "tools");
    if (!r && legacy)
        r = read_legacy(tools, ret_legacy);
    else if (!r)
        r = read_list(tools, cJSON_GetObjectItemCaseSensitive(body->json, "tools"));
    if (!r)
        r = read_choice(tools, legacy ? "function_call" : "tool_choice");
    return r;
}

int openai_tools_read(struct openai_body *body, bool *ret_legacy)
{
    struct tools tools = {.body = body, .list = cJSON_CreateArray()};
    bool given = cJSON_GetObjectItemCaseSensitive(body->json, "tools") != NULL;
    *ret_legacy = false;
    int r = tools.list ? read_all(&tools, ret_legacy) : no_memory(&tools);
    if (!r && !tools.list->child && given)
        openai_body_drop(body, "tools");
    else if (!r && tools.list->child && tools.changed)
        openai_body_set(body, "tools", tools.list);
    cJSON_Delete(tools.list);
    return r ? r : fields_check_bool(&body->fields, "parallel_tool_calls");
}
