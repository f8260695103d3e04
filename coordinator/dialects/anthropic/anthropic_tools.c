#include "coordinator/dialects/anthropic/anthropic_tools.h"

#include "common/json/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SKIPPED_TYPE_MAX = 40 };

struct reading {
    const struct fields *fields;
    struct request *request;
    struct conversation *conversation;
    const char *chosen; /* the only tool that counts; NULL: all do */
    bool found;         /* there is one that counts */
};

/* Length of a type without its date: "web_search" of "web_search_20250305". */
static size_t undated_len(const char *type)
{
    size_t len = strlen(type), digits = len;
    while (digits > 0 && isdigit((unsigned char)type[digits - 1]))
        digits--;
    return digits > 1 && digits < len && type[digits - 1] == '_' ? digits - 1 : len;
}

/* The type goes into a header and the log: what is no plain word is not repeated. */
static void skip(const struct reading *reading, const char *type)
{
    char what[SKIPPED_TYPE_MAX + sizeof("tool ")];
    size_t len = undated_len(type);
    bool plain = len > 0 && len <= SKIPPED_TYPE_MAX;
    for (size_t i = 0; plain && i < len; i++)
        plain = isalnum((unsigned char)type[i]) || type[i] == '_';
    if (plain)
        snprintf(what, sizeof(what), "tool %.*s", (int)len, type);
    request_skip(reading->request, plain ? what : "tool of an unknown type");
}

static int check_tool(const struct reading *reading, const cJSON *tool, size_t at)
{
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(tool, "input_schema");
    if (*json_str(tool, "name", "") == '\0')
        return fields_refuse(reading->fields, "tools",
                "\"tools[%zu].name\" must be a string that is not empty", at);
    if (schema && !cJSON_IsObject(schema))
        return fields_refuse(reading->fields, "tools",
                "\"tools[%zu].input_schema\" must be a JSON schema, an object", at);
    return 0;
}

static int read_tool(struct reading *reading, const cJSON *tool, size_t at)
{
    const char *type = json_str(tool, "type", "custom"), *name = json_str(tool, "name", "");
    if (!cJSON_IsObject(tool))
        return fields_refuse(reading->fields, "tools", "\"tools[%zu]\" must be an object", at);
    if (strcmp(type, "custom") != 0) {
        skip(reading, type);
        return 0;
    }
    int r = check_tool(reading, tool, at);
    if (r || (reading->chosen && strcmp(name, reading->chosen) != 0))
        return r;
    conversation_tool(reading->conversation, name, json_str(tool, "description", NULL),
            json_obj(tool, "input_schema"), json_bool(tool, "strict", false));
    reading->found = true;
    return 0;
}

static int read_tools(struct reading *reading)
{
    const cJSON *tools = NULL, *tool;
    size_t at = 0;
    int r = fields_array(reading->fields, "tools", &tools);
    cJSON_ArrayForEach(tool, tools)
    {
        if (!r)
            r = read_tool(reading, tool, at++);
    }
    return r;
}

/* --- which of them --- */

/* What OpenAI's API calls the choice; NULL where there is no such choice. */
static const char *mode_of(const char *type)
{
    static const char *const modes[][2] = {
            {"auto", "auto"}, {"any", "required"}, {"tool", "required"}, {"none", "none"}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
        if (strcmp(modes[i][0], type) == 0)
            return modes[i][1];
    return NULL;
}

static int add(const struct reading *reading, cJSON *body, const char *key, cJSON *value)
{
    if (value && cJSON_AddItemToObject(body, key, value))
        return 0;
    cJSON_Delete(value);
    return err_set(reading->fields->err, -ENOMEM, "no memory for the tools");
}

static int check_choice(const struct reading *reading, const cJSON *choice)
{
    const char *type = json_str(choice, "type", "");
    if (!mode_of(type))
        return fields_refuse(reading->fields, "tool_choice",
                "\"tool_choice\" must be an object with the type \"auto\", \"any\", \"tool\" or "
                "\"none\"");
    if (strcmp(type, "tool") == 0 && !json_str(choice, "name", NULL))
        return fields_refuse(reading->fields, "tool_choice",
                "\"tool_choice.name\" must be the name of one of the \"tools\"");
    return 0;
}

/* Where there is nothing to choose from, only a choice that must be made is a mistake. */
static int write_choice(const struct reading *reading, const cJSON *choice, cJSON *body)
{
    const char *mode = mode_of(json_str(choice, "type", ""));
    bool forced = strcmp(mode, "required") == 0;
    const cJSON *alone = cJSON_GetObjectItemCaseSensitive(choice, "disable_parallel_tool_use");
    if (!reading->found && forced)
        return fields_refuse(reading->fields, "tool_choice",
                "\"tool_choice\" asks for a tool that is none of the custom ones in \"tools\"");
    if (!reading->found)
        return 0;
    int r = add(reading, body, "tool_choice", cJSON_CreateString(mode));
    if (!r && cJSON_IsBool(alone))
        r = add(reading, body, "parallel_tool_calls", cJSON_CreateBool(!cJSON_IsTrue(alone)));
    return r;
}

int anthropic_tools_read(const struct fields *fields, struct request *request,
        struct conversation *conversation, cJSON *body)
{
    struct reading reading = {.fields = fields, .request = request, .conversation = conversation};
    const cJSON *choice = fields_given(fields, "tool_choice");
    int r = choice ? check_choice(&reading, choice) : 0;
    if (!r && strcmp(json_str(choice, "type", ""), "tool") == 0)
        reading.chosen = json_str(choice, "name", NULL);
    if (!r)
        r = read_tools(&reading);
    if (reading.found && strcmp(json_str(choice, "type", ""), "none") != 0)
        request->needs |= CAPABILITY_TOOLS;
    return r || !choice ? r : write_choice(&reading, choice, body);
}
