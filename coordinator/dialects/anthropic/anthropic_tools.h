/* `tools` and `tool_choice` of Anthropic's Messages API for a neutral chat. Part of
 * anthropic_request.h. Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/fields.h"

/* Adds the tools to the conversation and the choice to `body`, and to `request` what they need and
 * what of them is skipped. A choice of one tool leaves no other: engines know no more of it than
 * that one must be called. -EINVAL, -ENOMEM. */
MUST_CHECK int anthropic_tools_read(const struct fields *fields, struct request *request,
        struct conversation *conversation, cJSON *body);
