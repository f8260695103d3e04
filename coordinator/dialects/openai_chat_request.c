#include "coordinator/dialects/openai_answer.h"
#include "coordinator/dialects/openai_body.h"
#include "coordinator/dialects/openai_chat.h"
#include "coordinator/dialects/openai_input.h"
#include "coordinator/dialects/openai_messages.h"
#include "coordinator/dialects/openai_tools.h"

#include <string.h>

enum { TOP_LOGPROBS_MAX = 20 };

/* Engines give no log-probs at all where none but the chosen token's are asked for. */
static int read_logprobs(struct openai_body *body)
{
    int r = openai_check_bool(body, "logprobs");
    if (!r)
        r = openai_check_whole(body, "top_logprobs", 0, TOP_LOGPROBS_MAX);
    bool wanted = json_bool(body->json, "logprobs", false);
    double top = json_num(body->json, "top_logprobs", 0);
    if (r)
        return r;
    if (!wanted && top > 0)
        return openai_refuse(
                body, "top_logprobs", "\"top_logprobs\" needs \"logprobs\" to be true");
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
    const cJSON *wrapped = openai_given(format, "json_schema");
    const cJSON *schema = openai_given(wrapped ? wrapped : format, "schema");
    if (cJSON_IsObject(schema))
        return 0;
    return openai_refuse(body, "response_format.json_schema.schema",
            "\"response_format.json_schema.schema\" must be an object, not %s",
            openai_type_name(schema));
}

static int read_format(struct openai_body *body)
{
    const cJSON *format = openai_given(body->json, "response_format");
    const char *type = json_str(format, "type", "");
    if (!format)
        return 0;
    if (!cJSON_IsObject(format))
        return openai_check_object(body, "response_format");
    if (strcmp(type, "json_schema") == 0)
        return check_schema(body, format);
    if (strcmp(type, "text") == 0 || strcmp(type, "json_object") == 0)
        return 0;
    return openai_refuse(body, "response_format.type",
            "\"response_format.type\" must be \"text\", \"json_object\" or \"json_schema\"");
}

/* {"reasoning":{"effort":…}} is what other servers call it. */
static int read_effort(struct openai_body *body)
{
    const cJSON *nested = openai_given(openai_given(body->json, "reasoning"), "effort");
    int r = openai_check_str(body, "reasoning_effort");
    if (!r)
        r = openai_check_object(body, "reasoning");
    if (r)
        return r;
    if (nested && !cJSON_IsString(nested))
        return openai_refuse(body, "reasoning.effort",
                "\"reasoning.effort\" must be a string, not %s", openai_type_name(nested));
    if (nested && !openai_given(body->json, "reasoning_effort"))
        openai_body_set_str(body, "reasoning_effort", nested->valuestring);
    if (openai_given(body->json, "reasoning"))
        openai_body_drop(body, "reasoning");
    return 0;
}

static int check_modalities(struct openai_body *body)
{
    const cJSON *modality;
    int r = openai_check_array(body, "modalities");
    if (r)
        return r;
    cJSON_ArrayForEach(modality, openai_given(body->json, "modalities"))
    {
        if (!cJSON_IsString(modality) || strcmp(modality->valuestring, "text") != 0)
            return openai_refuse(body, "modalities",
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
        if (!openai_given(body->json, fields[i].key))
            continue;
        request_skip(body->request, fields[i].what);
        openai_body_drop(body, fields[i].key);
    }
}

static int read_conversation(struct openai_body *body)
{
    bool legacy = false;
    int r = 0;
    if (!openai_given(body->json, "messages") && openai_given(body->json, "input"))
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

static int read_body(struct openai_body *body)
{
    int r = openai_read_model(body);
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
    struct openai_body body;
    ret_request->kind = REQUEST_CHAT;
    ret_request->lane = LANE_CHAT;
    ret_request->needs |= CAPABILITY_CHAT;
    int r = openai_body_open(&body, input, ret_request, ret_param, err);
    if (!r)
        r = read_body(&body);
    openai_body_close(&body);
    return r;
}
