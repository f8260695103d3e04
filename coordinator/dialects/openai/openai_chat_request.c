#include "coordinator/dialects/exact_numbers.h"
#include "coordinator/dialects/openai/openai_answer.h"
#include "coordinator/dialects/openai/openai_body.h"
#include "coordinator/dialects/openai/openai_chat.h"
#include "coordinator/dialects/openai/openai_input.h"
#include "coordinator/dialects/openai/openai_messages.h"
#include "coordinator/dialects/openai/openai_tools.h"

#include <errno.h>
#include <string.h>

enum { TOP_LOGPROBS_MAX = 20 };

/* Engines give no log-probs at all where none but the chosen token's are asked for. */
static int read_logprobs(struct openai_body *body)
{
    int r = fields_check_bool(&body->fields, "logprobs");
    if (!r)
        r = fields_check_whole(&body->fields, "top_logprobs", 0, TOP_LOGPROBS_MAX);
    bool wanted = json_bool(body->json, "logprobs", false);
    double top = json_num(body->json, "top_logprobs", 0);
    if (r)
        return r;
    if (!wanted && top > 0)
        return fields_refuse(
                &body->fields, "top_logprobs", "\"top_logprobs\" needs \"logprobs\" to be true");
    if (!wanted)
        return 0;
    if (top == 0)
        openai_body_set_num(body, "top_logprobs", 1);
    r = top == 0 ? openai_keep(body, OPENAI_KEPT_NO_TOP) : 0;
    return r ? r : openai_keep(body, OPENAI_KEPT_LOGPROBS);
}

/* The schema stands in `json_schema`, or, as llama.cpp's clients have it, beside the type. */
static int check_schema(struct openai_body *body, const cJSON *format)
{
    const cJSON *wrapped = fields_member(format, "json_schema");
    const cJSON *schema = fields_member(wrapped ? wrapped : format, "schema");
    if (cJSON_IsObject(schema))
        return 0;
    return fields_refuse(&body->fields, "response_format.json_schema.schema",
            "\"response_format.json_schema.schema\" must be an object, not %s",
            fields_type_name(schema));
}

static int read_format(struct openai_body *body)
{
    const cJSON *format = fields_member(body->json, "response_format");
    const char *type = json_str(format, "type", "");
    if (!format)
        return 0;
    if (!cJSON_IsObject(format))
        return fields_check_object(&body->fields, "response_format");
    if (strcmp(type, "json_schema") == 0)
        return check_schema(body, format);
    if (strcmp(type, "text") == 0 || strcmp(type, "json_object") == 0)
        return 0;
    return fields_refuse(&body->fields, "response_format.type",
            "\"response_format.type\" must be \"text\", \"json_object\" or \"json_schema\"");
}

/* {"reasoning":{"effort":…}} is what other servers call it. */
static int read_effort(struct openai_body *body)
{
    const cJSON *nested = fields_member(fields_member(body->json, "reasoning"), "effort");
    int r = fields_check_str(&body->fields, "reasoning_effort");
    if (!r)
        r = fields_check_object(&body->fields, "reasoning");
    if (r)
        return r;
    if (nested && !cJSON_IsString(nested))
        return fields_refuse(&body->fields, "reasoning.effort",
                "\"reasoning.effort\" must be a string, not %s", fields_type_name(nested));
    if (nested && !fields_member(body->json, "reasoning_effort"))
        openai_body_set_str(body, "reasoning_effort", nested->valuestring);
    if (fields_member(body->json, "reasoning"))
        openai_body_drop(body, "reasoning");
    return 0;
}

static int check_modalities(struct openai_body *body)
{
    const cJSON *modality;
    int r = fields_check_array(&body->fields, "modalities");
    if (r)
        return r;
    cJSON_ArrayForEach(modality, fields_member(body->json, "modalities"))
    {
        if (!cJSON_IsString(modality) || strcmp(modality->valuestring, "text") != 0)
            return fields_refuse(&body->fields, "modalities",
                    "\"modalities\" may be [\"text\"] only: no model here answers in sound");
    }
    return 0;
}

/* An answer without them is as good. */
static void skip_fields(struct openai_body *body)
{
    static const struct {
        const char *key, *what;
    } fields[] = {
            {"prediction", "field prediction"}, {"web_search_options", "field web_search_options"}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!fields_member(body->json, fields[i].key))
            continue;
        request_skip(body->request, fields[i].what);
        openai_body_drop(body, fields[i].key);
    }
}

static int read_conversation(struct openai_body *body)
{
    bool legacy = false;
    int r = 0;
    if (!fields_member(body->json, "messages") && fields_member(body->json, "input"))
        r = openai_input_adopt(body);
    if (!r)
        r = openai_messages_read(body);
    if (!r)
        r = openai_tools_read(body, &legacy);
    return r || !legacy ? r : openai_keep(body, OPENAI_KEPT_FUNCTIONS);
}

static int read_settings(struct openai_body *body)
{
    static int (*const readers[])(struct openai_body * body) = {openai_read_choices,
            openai_read_stream, openai_read_sampling, read_logprobs, read_format, read_effort,
            check_modalities};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(readers) / sizeof(readers[0]); i++)
        r = readers[i](body);
    return r;
}

static int keep_numbers(struct openai_body *body)
{
    const struct dialect_input *input = body->input;
    if (exact_numbers_keep(body->json, "arguments", input->body, input->len))
        return err_set(body->fields.err, -ENOMEM, "no memory for the request");
    return 0;
}

static int read_body(struct openai_body *body)
{
    int r = keep_numbers(body);
    if (!r)
        r = openai_read_model(body);
    if (!r)
        r = read_conversation(body);
    if (!r)
        r = read_settings(body);
    if (r)
        return r;
    skip_fields(body);
    return openai_body_commit(body);
}

int openai_chat_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    ret_request->kind = REQUEST_CHAT;
    ret_request->lane = LANE_CHAT;
    ret_request->needs |= CAPABILITY_CHAT;
    return openai_body_read(read_body, input, ret_request, ret_param, err);
}
