#include "coordinator/dialects/ollama/ollama_options.h"

#include "common/json/json.h"
#include "coordinator/dialects/samplers.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { TOP_LOGPROBS_MAX = 20 };

static const double whole_max = INT32_MAX;

static int no_memory(const struct fields *fields)
{
    return err_set(fields->err, -ENOMEM, "no memory for the request");
}

/* Takes `item`, which may be NULL. */
static int add(const struct fields *fields, cJSON *body, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(body, key, item))
        return 0;
    cJSON_Delete(item);
    return no_memory(fields);
}

static int add_sampler(const struct fields *options, const struct sampler *sampler, cJSON *body)
{
    double number;
    bool given;
    int r = sampler_read(options, sampler, &number, &given);
    if (r || !given)
        return r;
    return add(options, body, sampler->name,
            cJSON_CreateNumber(sampler->whole ? trunc(number) : number));
}

/* A negative seed asks for a random one. */
static int add_seed(const struct fields *options, cJSON *body)
{
    double seed;
    bool given;
    int r = fields_number(options, "seed", -whole_max, UINT32_MAX, &seed, &given);
    if (r || !given || seed < 0)
        return r;
    return add(options, body, "seed", cJSON_CreateNumber(trunc(seed)));
}

/* 0 and less: as much as there is room for. */
static int add_limit(const struct fields *options, enum request_kind kind, cJSON *body)
{
    double limit;
    bool given;
    int r = fields_number(options, "num_predict", -whole_max, whole_max, &limit, &given);
    if (r || !given || limit < 1)
        return r;
    const char *key = kind == REQUEST_INFILL ? "n_predict" : "max_tokens";
    return add(options, body, key, cJSON_CreateNumber(trunc(limit)));
}

static bool is_texts(const cJSON *array)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item))
            return false;
    }
    return cJSON_IsArray(array);
}

static int add_stop(const struct fields *options, cJSON *body)
{
    const cJSON *stop = fields_given(options, "stop");
    if (!stop)
        return 0;
    if (!cJSON_IsString(stop) && !is_texts(stop))
        return fields_refuse(options, "stop", "\"stop\" must be a string or an array of strings");
    return add(options, body, "stop", cJSON_Duplicate(stop, true));
}

static int add_options(const struct fields *options, enum request_kind kind, cJSON *body)
{
    int r = 0;
    for (size_t i = 0; !r && i < SAMPLER_COUNT; i++)
        r = add_sampler(options, &samplers[i], body);
    if (!r)
        r = add_seed(options, body);
    if (!r)
        r = add_limit(options, kind, body);
    return r ? r : add_stop(options, body);
}

int ollama_options_add(const struct fields *fields, struct request *request, cJSON *body)
{
    struct fields options = *fields;
    options.object = fields_given(fields, "options");
    if (!options.object)
        return 0;
    if (!cJSON_IsObject(options.object))
        return fields_refuse(
                fields, "options", "\"options\" must be an object, such as {\"temperature\":0.2}");
    if (fields_given(&options, "num_ctx"))
        request_skip(request, "option num_ctx");
    return add_options(&options, request->kind, body);
}

/* {"type":"json_schema","json_schema":{"name":"format","schema":…}} */
static cJSON *schema_format(const cJSON *schema)
{
    cJSON *format = cJSON_CreateObject();
    cJSON *inner = cJSON_AddObjectToObject(format, "json_schema");
    cJSON *copy = cJSON_Duplicate(schema, true);
    if (cJSON_AddStringToObject(format, "type", "json_schema") &&
            cJSON_AddStringToObject(inner, "name", "format") && copy &&
            cJSON_AddItemToObject(inner, "schema", copy))
        return format;
    cJSON_Delete(copy);
    cJSON_Delete(format);
    return NULL;
}

static cJSON *typed_object(const char *type)
{
    cJSON *object = cJSON_CreateObject();
    if (cJSON_AddStringToObject(object, "type", type))
        return object;
    cJSON_Delete(object);
    return NULL;
}

int ollama_format_add(const struct fields *fields, enum request_kind kind, cJSON *body)
{
    const cJSON *format = fields_given(fields, "format");
    bool any = cJSON_IsString(format) && strcmp(format->valuestring, "json") == 0;
    if (!format || (cJSON_IsString(format) && !*format->valuestring))
        return 0;
    if (!any && !cJSON_IsObject(format))
        return fields_refuse(fields, "format", "\"format\" must be \"json\" or a JSON schema");
    if (kind != REQUEST_CHAT)
        return add(fields, body, "json_schema",
                any ? typed_object("object") : cJSON_Duplicate(format, true));
    return add(fields, body, "response_format",
            any ? typed_object("json_object") : schema_format(format));
}

/* Templates know it by one name or the other. */
static int add_thinking(const struct fields *fields, bool enabled, cJSON *body)
{
    cJSON *arguments = cJSON_CreateObject();
    if (arguments && cJSON_AddBoolToObject(arguments, "enable_thinking", enabled))
        return add(fields, body, "chat_template_kwargs", arguments);
    cJSON_Delete(arguments);
    return no_memory(fields);
}

int ollama_think_add(const struct fields *fields, cJSON *body)
{
    static const char *const levels[] = {"low", "medium", "high"};
    const cJSON *think = fields_given(fields, "think");
    if (!think)
        return 0;
    if (cJSON_IsBool(think))
        return add_thinking(fields, cJSON_IsTrue(think), body);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (!cJSON_IsString(think) || strcmp(think->valuestring, levels[i]) != 0)
            continue;
        int r = add(fields, body, "reasoning_effort", cJSON_CreateString(levels[i]));
        return r ? r : add_thinking(fields, true, body);
    }
    return fields_refuse(
            fields, "think", "\"think\" must be true, false, \"low\", \"medium\" or \"high\"");
}

/* A completion says it by one number, and cannot say 0. */
static int add_logprobs(
        const struct fields *fields, enum request_kind kind, double top, cJSON *body)
{
    if (kind == REQUEST_COMPLETION)
        return add(fields, body, "logprobs", cJSON_CreateNumber(top < 1 ? 1 : trunc(top)));
    int r = add(fields, body, "logprobs", cJSON_CreateTrue());
    return r ? r : add(fields, body, "top_logprobs", cJSON_CreateNumber(trunc(top)));
}

int ollama_logprobs_add(const struct fields *fields, struct request *request, cJSON *body)
{
    double top = 0;
    bool wanted, given;
    int r = fields_bool(fields, "logprobs", false, &wanted);
    if (!r)
        r = fields_number(fields, "top_logprobs", 0, TOP_LOGPROBS_MAX, &top, &given);
    if (r || !wanted)
        return r;
    if (request->kind != REQUEST_INFILL)
        return add_logprobs(fields, request->kind, top, body);
    request_skip(request, "logprobs");
    return 0;
}
