/* The messages and tools of Ollama's chats as a neutral conversation. What Ollama leaves unsaid is
 * made up in the same way each time, so that a conversation that grows keeps its prefix: calls
 * without an id are numbered, and a tool's result without one belongs to the first call of its name
 * that has none yet. Pure. */
#pragma once

#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/fields.h"

/* Adds `messages` and `tools`, and to `request->needs` what the messages need. -EINVAL. */
MUST_CHECK int ollama_messages_add(
        const struct fields *fields, struct request *request, struct conversation *conversation);
/* Adds one user turn with the pictures of `images`, an array of base64 or NULL. -EINVAL, -ENOMEM.
 */
MUST_CHECK int ollama_user_turn_add(const struct fields *fields, const char *text,
        const cJSON *images, struct request *request, struct conversation *conversation);
