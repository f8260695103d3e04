/* `system` and `messages` of Anthropic's Messages API for a neutral chat. Part of
 * anthropic_request.h. Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/fields.h"

/* Adds both to the conversation, and to `request` what they need and what of them is skipped.
 * -EINVAL; -ENOMEM (also what sticks in the conversation). */
MUST_CHECK int anthropic_messages_read(
        const struct fields *fields, struct request *request, struct conversation *conversation);
