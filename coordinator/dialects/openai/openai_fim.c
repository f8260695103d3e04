/* POST /v1/fim/completions. Shapes: Mistral's API reference, "Fill-in-the-middle". */
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/openai/openai_answer.h"
#include "coordinator/dialects/openai/openai_body.h"
#include "coordinator/dialects/openai/openai_chat.h"
#include "coordinator/dialects/openai/openai_infill.h"

static int read_seed(struct openai_body *body)
{
    const double max = (double)JSON_WHOLE_MAX;
    int r = fields_check_whole(&body->fields, "random_seed", -max, max);
    const cJSON *seed = fields_member(body->json, "random_seed");
    if (r || !seed)
        return r;
    openai_body_set(body, "seed", seed);
    openai_body_drop(body, "random_seed");
    return 0;
}

static int read_body(struct openai_body *body)
{
    int r = openai_read_model(body);
    if (!r)
        r = openai_read_stream(body);
    if (!r)
        r = openai_read_sampling(body);
    if (!r)
        r = read_seed(body);
    if (!r)
        r = openai_infill_make(body);
    return r ? r : openai_body_commit(body);
}

static int parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return openai_body_read(read_body, input, ret_request, ret_param, err);
}

const struct dialect dialect_openai_fim = {
        .name = "openai fim",
        .family = &family_openai,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = parse,
        .answer_create = openai_chat_answer_create,
        .answer_destroy = openai_answer_destroy,
        .stream_begin = openai_answer_begin,
        .stream_delta = openai_answer_delta,
        .stream_idle = openai_answer_idle,
        .stream_end = openai_answer_end,
        .stream_error = openai_answer_error,
        .gather = openai_answer_gather,
        .whole = openai_answer_whole,
};
