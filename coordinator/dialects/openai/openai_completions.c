/* POST /v1/completions. Shapes: OpenAI API reference, "Completions (legacy)", as real clients read
 * it. */
#include "coordinator/dialects/openai/openai_completions.h"

#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/openai/openai_answer.h"

const struct dialect dialect_openai_completions = {
        .name = "openai completions",
        .family = &family_openai,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = openai_completions_parse,
        .answer_create = openai_completions_answer_create,
        .answer_destroy = openai_answer_destroy,
        .stream_begin = openai_answer_begin,
        .stream_delta = openai_answer_delta,
        .stream_idle = openai_answer_idle,
        .stream_end = openai_answer_end,
        .stream_error = openai_answer_error,
        .gather = openai_answer_gather,
        .whole = openai_answer_whole,
};
