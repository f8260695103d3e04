/* A body in the shape of the Responses API that came to the chat's path, as some agents send it:
 * its items become messages, and its settings get the names that they have in a chat. The answer is
 * a chat's. */
#pragma once

#include "coordinator/dialects/openai/openai_body.h"

/* The body has `input` and no `messages`. -EINVAL, -ENOMEM. */
MUST_CHECK int openai_input_adopt(struct openai_body *body);
