/* What Ollama's requests say of how to generate, in the neutral terms: `options`, `format`,
 * `think`, `logprobs`. Pure. */
#pragma once

#include "coordinator/dialects/fields.h"

/* Adds to `body`, a neutral one of `request->kind` (chat, completion or infill), what the request's
 * `options` ask of the sampler; those of a load are left out. -EINVAL, -ENOMEM. */
MUST_CHECK int ollama_options_add(
        const struct fields *fields, struct request *request, cJSON *body);
/* Adds `format`: "json" or a JSON schema that the answer must match. */
MUST_CHECK int ollama_format_add(const struct fields *fields, enum request_kind kind, cJSON *body);
/* Adds `think`: true, false, or how much ("low", "medium", "high"). */
MUST_CHECK int ollama_think_add(const struct fields *fields, cJSON *body);
/* Adds `logprobs` and `top_logprobs`; infill brings none, so there they are skipped. */
MUST_CHECK int ollama_logprobs_add(
        const struct fields *fields, struct request *request, cJSON *body);
