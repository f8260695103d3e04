/* Where texts stand in the neutral body of a chat (proto/codec.h): whose they are decides what they
 * may say of the mode. Everything is borrowed from the body. Pure; linear in the body. */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

/* The message of the system at the start. NULL: none. */
const cJSON *chat_system(const cJSON *body);
/* What the user said last, also where tools have answered since. NULL: nothing. */
const cJSON *chat_latest_user(const cJSON *body);
/* The string of `role` of a message; "" where it has none. */
const char *chat_role(const cJSON *message);

typedef void chat_text_fn(void *ctx, const char *text, size_t len);
/* Calls `fn` for the content, or for each part of it that is a text. Takes NULL. */
void chat_each_text(const cJSON *message, chat_text_fn *fn, void *ctx);
