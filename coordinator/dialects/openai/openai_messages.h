/* `messages` of a chat, checked and brought into the one form that engines' templates know: parts
 * of other spellings renamed, what calls and answers functions in the old way made tool calls, and
 * the rules of conversation_normalise(). They are printed anew only where that changed something.
 */
#pragma once

#include "coordinator/dialects/openai/openai_body.h"

/* -EINVAL, -ENOMEM. Adds what pictures and sound need to request->needs. */
MUST_CHECK int openai_messages_read(struct openai_body *body);
