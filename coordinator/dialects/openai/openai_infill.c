#include "coordinator/dialects/openai/openai_infill.h"

#include <string.h>

/* What llama.cpp's own endpoints take is an array always. */
static void set_stop(struct openai_body *body)
{
    const cJSON *stop = fields_member(body->json, "stop");
    cJSON *list = cJSON_IsString(stop) ? cJSON_CreateArray() : NULL;
    if (!cJSON_IsString(stop))
        return;
    cJSON_AddItemToArray(list, cJSON_CreateString(stop->valuestring));
    openai_body_set(body, "stop", list);
    cJSON_Delete(list);
}

static void set_length(struct openai_body *body)
{
    const cJSON *limit = openai_length(body);
    openai_body_drop(body, "max_tokens");
    openai_body_drop(body, "max_completion_tokens");
    if (limit)
        openai_body_set(body, "n_predict", limit);
}

/* These mean something else to /infill, or nothing. */
static void drop_fields(struct openai_body *body)
{
    static const char *const keys[] = {"suffix", "n", "echo", "best_of", "logprobs"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        openai_body_drop(body, keys[i]);
}

static bool asks_for_nothing(const struct openai_body *body)
{
    const cJSON *limit = openai_length(body);
    return limit && limit->valuedouble == 0;
}

void openai_infill_note_tokens(struct openai_body *body)
{
    const char *prompt = json_str(body->json, "prompt", "");
    if (request_note_fim(body->request, prompt, asks_for_nothing(body)))
        body->no_memory = true;
}

void openai_infill_note_cursor(struct openai_body *body)
{
    const char *prompt = json_str(body->json, "prompt", NULL);
    if (!prompt || asks_for_nothing(body))
        return;
    if (request_set_cursor(body->request, prompt, "", json_str(body->json, "suffix", "")))
        body->no_memory = true;
}

int openai_infill_make(struct openai_body *body)
{
    const cJSON *prompt = fields_member(body->json, "prompt");
    int r = fields_check_str(&body->fields, "suffix");
    if (r)
        return r;
    if (!cJSON_IsString(prompt))
        return fields_refuse(&body->fields, "prompt",
                "\"prompt\" must be a string, the text before the cursor, not %s",
                fields_type_name(prompt));
    body->request->kind = REQUEST_INFILL;
    body->request->lane = LANE_AUTOCOMPLETE;
    body->request->needs |= CAPABILITY_FIM;
    openai_body_set_str(body, "input_suffix", json_str(body->json, "suffix", ""));
    openai_body_set(body, "input_prefix", prompt);
    openai_body_set_str(body, "prompt", "");
    set_stop(body);
    set_length(body);
    drop_fields(body);
    openai_infill_note_cursor(body);
    return 0;
}
