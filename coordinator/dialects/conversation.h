/* Builds the neutral chat's `messages` and `tools` (OpenAI's shapes) out of the pieces that other
 * APIs bring, always in the same way, so that a conversation that grows keeps its prefix byte for
 * byte and finds its cache again, and so that two APIs make the same of the same conversation:
 *
 * - A turn of texts only has a string as its content, its texts joined by "\n"; one with pictures
 *   an array of parts. Whether a client sent one text as a string or as an array does not show.
 * - What the system says at the start becomes one system message. What it says later becomes part
 *   of the user's turn at that place (templates refuse a later system message, and moving it to the
 *   front would change the prefix).
 * - The pieces of an assistant's turn (reasoning, text, tool calls) become one message with
 *   `reasoning_content`, `content` (null where there are only tool calls) and `tool_calls`.
 * - A tool's result is a message of its own, text only; pictures in it follow in a user turn behind
 *   the results of that turn.
 *
 * A failure for lack of memory sticks, what follows does nothing, conversation_take() tells. Texts
 * need not be NUL-terminated where a length is given. Pure. */
#pragma once

#include "common/buf.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of a tool's name, and of a namespace's. Readers refuse longer ones: a name is compared with
 * all the others, and a namespace's is told again with each of its tools. */
enum { CONVERSATION_NAME_MAX = 256 };

struct conversation;

/* NULL where malloc refuses. */
struct conversation *conversation_create(void);
/* Takes NULL. */
void conversation_destroy(struct conversation *conversation);

void conversation_system(struct conversation *conversation, const char *text);
void conversation_user_text(struct conversation *conversation, const char *text);
/* `url`: "data:image/png;base64,…" (picture.h); `detail` "low", "high", "auto" or NULL. */
void conversation_user_image(
        struct conversation *conversation, const char *url, const char *detail);
void conversation_assistant_text(struct conversation *conversation, const char *text);
void conversation_assistant_reasoning(struct conversation *conversation, const char *text);
/* `arguments` is the text of a JSON object. */
void conversation_tool_call(
        struct conversation *conversation, const char *id, const char *name, const char *arguments);
/* The pieces of the result of the call `id` follow; they are one result with what was said of it
 * right before. */
void conversation_begin_result(struct conversation *conversation, const char *id);
void conversation_result_text(struct conversation *conversation, const char *text);
void conversation_result_image(struct conversation *conversation, const char *url);
/* True for a name that is not longer than it may be. */
bool conversation_takes_name(const char *name);
/* `schema` is copied; NULL: any object. `description` may be NULL. */
void conversation_tool(struct conversation *conversation, const char *name, const char *description,
        const cJSON *schema, bool strict);
/* The next piece of any role begins a message of its own, also where the role stays. */
void conversation_next_turn(struct conversation *conversation);

/* Moves what was built into `body` as "messages" and, where there are any, "tools". -ENOMEM. */
MUST_CHECK int conversation_take(struct conversation *conversation, cJSON *body);

/* The same rules for messages that came in OpenAI's shape already: "developer" is a system, later
 * system messages are folded in place, several at the start become one, text-only arrays of parts
 * become strings, pictures leave a tool's result; cache_control, which clients move from turn to
 * turn, goes. Messages of a role or shape that these rules do not name stay as they are. Changes
 * `messages`, an array, in place; `*ret_changed` tells whether it had to. -ENOMEM: what is left of
 * `messages` is of no use. */
MUST_CHECK int conversation_normalise(cJSON *messages, bool *ret_changed);
