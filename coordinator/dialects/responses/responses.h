/* OpenAI's POST /v1/responses. Its answer is kept in the response store where the client does not
 * say store:false (response_store.h), and a request in the background is recorded and read later
 * (api/recordings.h). */
#pragma once

#include "coordinator/dialects/dialect.h"

extern const struct dialect dialect_responses;

/* parse() of dialect_responses: responses_request.c. */
MUST_CHECK int responses_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err);
