#include "coordinator/dialects/openai/openai_answer.h"
#include "coordinator/dialects/openai/openai_body.h"
#include "coordinator/dialects/openai/openai_completions.h"
#include "coordinator/dialects/openai/openai_infill.h"

enum { TOP_LOGPROBS_MAX = 20, BEST_OF_MAX = 20 };

/* One prompt is a text or its token ids; either may stand in an array alone. Engines answer a
 * stream of several wrongly, so that those are asked for one by one. */
static int read_prompt(struct openai_body *body)
{
    const cJSON *prompt = fields_member(body->json, "prompt");
    const cJSON *first = cJSON_IsArray(prompt) ? prompt->child : NULL;
    if (cJSON_IsString(prompt) || openai_is_token_ids(prompt))
        return 0;
    if (first && !first->next && (cJSON_IsString(first) || openai_is_token_ids(first))) {
        openai_body_set(body, "prompt", first);
        return 0;
    }
    if (first && first->next && (cJSON_IsString(first) || cJSON_IsArray(first)))
        return fields_refuse(&body->fields, "prompt",
                "\"prompt\" holds %d prompts: send each in a request of its own",
                cJSON_GetArraySize(prompt));
    return fields_refuse(&body->fields, "prompt",
            "\"prompt\" must be a string or an array of token ids, not %s",
            cJSON_IsArray(prompt) ? "an array of something else" : fields_type_name(prompt));
}

/* Engines give none where only the chosen token's are asked for. */
static int read_logprobs(struct openai_body *body)
{
    int r = fields_check_whole(&body->fields, "logprobs", 0, TOP_LOGPROBS_MAX);
    const cJSON *given = fields_member(body->json, "logprobs");
    if (r || !given)
        return r;
    r = openai_keep(body, OPENAI_KEPT_LOGPROBS);
    if (r || given->valuedouble > 0)
        return r;
    openai_body_set_num(body, "logprobs", 1);
    return openai_keep(body, OPENAI_KEPT_NO_TOP);
}

static int check_echo(struct openai_body *body)
{
    int r = fields_check_bool(&body->fields, "echo");
    if (!r && json_bool(body->json, "echo", false))
        return fields_refuse(&body->fields, "echo",
                "\"echo\" cannot be true: no engine here gives the prompt back with the answer");
    return r;
}

/* The first answer is as good as any that an engine would have chosen it from. */
static int skip_best_of(struct openai_body *body)
{
    int r = fields_check_whole(&body->fields, "best_of", 1, BEST_OF_MAX);
    if (r || !fields_member(body->json, "best_of"))
        return r;
    if (json_num(body->json, "best_of", 1) > body->request->choices)
        request_skip(body->request, "field best_of");
    openai_body_drop(body, "best_of");
    return 0;
}

static int make_infill(struct openai_body *body)
{
    if (body->request->choices > 1)
        return fields_refuse(&body->fields, "n",
                "\"n\" must be 1 where there is a \"suffix\", not %u", body->request->choices);
    if (fields_member(body->json, "logprobs"))
        request_skip(body->request, "field logprobs");
    return openai_infill_make(body);
}

/* An empty suffix is what a completion has by itself; it still comes from a cursor. */
static int read_task(struct openai_body *body)
{
    int r = fields_check_str(&body->fields, "suffix");
    const char *suffix = json_str(body->json, "suffix", NULL);
    if (r)
        return r;
    if (suffix)
        body->request->lane = LANE_AUTOCOMPLETE;
    if (suffix && *suffix)
        return make_infill(body);
    if (suffix) {
        openai_infill_note_cursor(body);
        openai_body_drop(body, "suffix");
    }
    r = read_prompt(body);
    if (!r)
        openai_infill_note_tokens(body);
    return r ? r : read_logprobs(body);
}

static int read_body(struct openai_body *body)
{
    static int (*const readers[])(struct openai_body * body) = {openai_read_model,
            openai_read_choices, openai_read_stream, openai_read_sampling, check_echo, skip_best_of,
            read_task};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(readers) / sizeof(readers[0]); i++)
        r = readers[i](body);
    return r ? r : openai_body_commit(body);
}

int openai_completions_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    ret_request->kind = REQUEST_COMPLETION;
    return openai_body_read(read_body, input, ret_request, ret_param, err);
}
