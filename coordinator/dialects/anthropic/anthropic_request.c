#include "coordinator/dialects/anthropic/anthropic_request.h"

#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic_messages.h"
#include "coordinator/dialects/anthropic/anthropic_tools.h"
#include "coordinator/dialects/exact_numbers.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct reading {
    struct fields fields;
    struct request *request;
    cJSON *body; /* that is made */
};

static int no_memory(const struct reading *reading)
{
    return err_set(reading->fields.err, -ENOMEM, "no memory for the request");
}

/* Takes `value`, which may be NULL. */
static int add(const struct reading *reading, const char *key, cJSON *value)
{
    if (value && cJSON_AddItemToObject(reading->body, key, value))
        return 0;
    cJSON_Delete(value);
    return no_memory(reading);
}

/* --- how to answer --- */

struct setting {
    const char *key;
    double min, max;
    int (*check)(const struct fields *fields, const char *key, double min, double max);
};

/* They are called the same in the neutral chat. */
static const struct setting settings[] = {
        {"max_tokens", 1, INT32_MAX, fields_check_whole},
        {"temperature", 0, 2, fields_check_number},
        {"top_p", 0, 1, fields_check_number},
        {"top_k", 0, INT32_MAX, fields_check_whole},
};

static int add_setting(const struct reading *reading, const struct setting *setting)
{
    const cJSON *given = fields_given(&reading->fields, setting->key);
    int r = setting->check(&reading->fields, setting->key, setting->min, setting->max);
    return r || !given ? r : add(reading, setting->key, cJSON_CreateNumber(given->valuedouble));
}

static int add_settings(const struct reading *reading)
{
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(settings) / sizeof(*settings); i++)
        r = add_setting(reading, &settings[i]);
    return r;
}

static int add_stop(const struct reading *reading)
{
    const cJSON *sequences, *sequence;
    int r = fields_array(&reading->fields, "stop_sequences", &sequences);
    if (r || !sequences || !sequences->child)
        return r;
    cJSON_ArrayForEach(sequence, sequences)
    {
        if (!cJSON_IsString(sequence) || *sequence->valuestring == '\0')
            return fields_refuse(&reading->fields, "stop_sequences",
                    "\"stop_sequences\" must be an array of strings that are not empty");
    }
    return add(reading, "stop", cJSON_Duplicate(sequences, true));
}

static int enable_thinking(const struct reading *reading, bool enable)
{
    cJSON *kwargs = cJSON_CreateObject();
    if (cJSON_AddBoolToObject(kwargs, "enable_thinking", enable))
        return add(reading, "chat_template_kwargs", kwargs);
    cJSON_Delete(kwargs);
    return no_memory(reading);
}

/* "adaptive" is what an engine does anyway. The names are llama-server's. */
static int add_thinking(const struct reading *reading)
{
    const cJSON *thinking = fields_given(&reading->fields, "thinking");
    const char *type = json_str(thinking, "type", "");
    uint64_t budget;
    if (!thinking || strcmp(type, "adaptive") == 0)
        return 0;
    if (strcmp(type, "disabled") == 0)
        return enable_thinking(reading, false);
    if (strcmp(type, "enabled") != 0)
        return fields_refuse(&reading->fields, "thinking",
                "\"thinking\" must be an object with the type \"enabled\", \"adaptive\" or "
                "\"disabled\"");
    if (!json_whole(cJSON_GetObjectItemCaseSensitive(thinking, "budget_tokens"), &budget) ||
            budget > INT32_MAX)
        return fields_refuse(&reading->fields, "thinking",
                "\"thinking.budget_tokens\" must be a whole number of tokens");
    int r = enable_thinking(reading, true);
    return r ? r : add(reading, "thinking_budget_tokens", cJSON_CreateNumber((double)budget));
}

/* A client that meets a refusal here gives up for good: what is not known is passed over. */
static int add_effort(const struct reading *reading, const cJSON *config)
{
    static const char *const efforts[][2] = {{"low", "low"}, {"medium", "medium"}, {"high", "high"},
            {"xhigh", "high"}, {"max", "high"}};
    const char *effort = json_str(config, "effort", "");
    for (size_t i = 0; i < sizeof(efforts) / sizeof(*efforts); i++)
        if (strcmp(efforts[i][0], effort) == 0)
            return add(reading, "reasoning_effort", cJSON_CreateString(efforts[i][1]));
    return 0;
}

/* Takes `schema`, which may be NULL. */
static cJSON *make_format(cJSON *schema)
{
    cJSON *format = cJSON_CreateObject(), *inner;
    if (schema && cJSON_AddStringToObject(format, "type", "json_schema") &&
            (inner = cJSON_AddObjectToObject(format, "json_schema")) &&
            cJSON_AddStringToObject(inner, "name", "answer") &&
            cJSON_AddTrueToObject(inner, "strict") &&
            cJSON_AddItemToObject(inner, "schema", schema))
        return format;
    cJSON_Delete(schema);
    cJSON_Delete(format);
    return NULL;
}

static int add_format(const struct reading *reading, const char *param, const cJSON *format)
{
    const cJSON *schema = json_obj(format, "schema");
    if (!format || cJSON_IsNull(format))
        return 0;
    if (strcmp(json_str(format, "type", ""), "json_schema") != 0 || !schema)
        return fields_refuse(&reading->fields, param,
                "the answer's format in \"%s\" must be an object with the type \"json_schema\" "
                "and a \"schema\"",
                param);
    return add(reading, "response_format", make_format(cJSON_Duplicate(schema, true)));
}

static int add_output(const struct reading *reading)
{
    const cJSON *config = fields_given(&reading->fields, "output_config");
    const cJSON *format =
            cJSON_IsObject(config) ? cJSON_GetObjectItemCaseSensitive(config, "format") : NULL;
    int r = add_effort(reading, config);
    if (!r && format)
        return add_format(reading, "output_config", format);
    return r ? r
             : add_format(
                       reading, "output_format", fields_given(&reading->fields, "output_format"));
}

static void skip_servers(const struct reading *reading)
{
    const cJSON *servers = fields_given(&reading->fields, "mcp_servers");
    if (cJSON_IsArray(servers) && servers->child)
        request_skip(reading->request, "mcp_servers");
}

/* --- what was said --- */

static int add_conversation(const struct reading *reading)
{
    struct conversation *conversation = conversation_create();
    if (!conversation)
        return no_memory(reading);
    int r = anthropic_messages_read(&reading->fields, reading->request, conversation);
    if (!r)
        r = anthropic_tools_read(&reading->fields, reading->request, conversation, reading->body);
    if (!r && conversation_take(conversation, reading->body) < 0)
        r = no_memory(reading);
    conversation_destroy(conversation);
    return r;
}

static int fill(const struct reading *reading)
{
    int r = fields_model(&reading->fields, reading->request);
    if (!r)
        r = add_conversation(reading);
    if (!r)
        r = add_settings(reading);
    if (!r)
        r = add_stop(reading);
    if (!r)
        r = add_thinking(reading);
    if (!r)
        r = add_output(reading);
    skip_servers(reading);
    return r ? r : fields_write_body(&reading->fields, reading->body, reading->request);
}

static int read_stream(const struct reading *reading)
{
    if (!fields_given(&reading->fields, "max_tokens"))
        return fields_refuse(&reading->fields, "max_tokens",
                "\"max_tokens\" is required: how many tokens the answer may have");
    return fields_bool(&reading->fields, "stream", false, &reading->request->stream);
}

static int parse(const struct dialect_input *input, enum request_kind kind,
        struct request *ret_request, const char **ret_param, struct err *err)
{
    cJSON *came;
    *ret_param = NULL;
    int r = fields_parse_body(input, &came, err);
    if (r)
        return r;
    struct reading reading = {.fields = {.object = came, .ret_param = ret_param, .err = err},
            .request = ret_request,
            .body = cJSON_CreateObject()};
    ret_request->kind = kind;
    session_id_read(input, came, ret_request);
    r = exact_numbers_keep(came, "input", input->body, input->len);
    if (r || !reading.body)
        r = no_memory(&reading);
    if (!r && kind == REQUEST_CHAT)
        r = read_stream(&reading);
    if (!r)
        r = fill(&reading);
    cJSON_Delete(reading.body);
    cJSON_Delete(came);
    return r;
}

int anthropic_request_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse(input, REQUEST_CHAT, ret_request, ret_param, err);
}

int anthropic_request_parse_count(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse(input, REQUEST_COUNT, ret_request, ret_param, err);
}
