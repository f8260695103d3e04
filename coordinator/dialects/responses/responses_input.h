/* The `input` of OpenAI's Responses API (a text, or items: messages, calls, results, reasoning) for
 * a neutral chat. What a model has no words for (a web search that a provider ran) is skipped and
 * named; what would change the conversation, were it left out, is refused. References to stored
 * items are resolved before. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/responses/responses_tools.h"
#include "coordinator/request.h"

#include <cjson/cJSON.h>

struct responses_input { /* all borrowed */
    struct conversation *conversation;
    struct request *request;       /* its `needs`, and what is skipped */
    struct responses_tools *tools; /* some items bring more of them */
};

/* Adds `input` behind what the conversation holds; NULL and null are nothing. -EINVAL with
 * `*ret_param` "input", -ENOMEM (also what sticks in the conversation). */
MUST_CHECK int responses_input_read(const struct responses_input *reader, const cJSON *input,
        const char **ret_param, struct err *err);
