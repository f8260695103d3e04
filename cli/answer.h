/* The stream of a chat answer (OpenAI's server-sent events) as text pieces and an end. It knows the
 * wire and nothing of terminals; it decides what counts as a whole answer: one that named a finish
 * reason. One thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

enum { ANSWER_EVENT_MAX = 1024 * 1024 }; /* bytes of one event */

enum answer_kind { ANSWER_TEXT, ANSWER_REASONING };

struct answer;

/* `text` is UTF-8, not NUL-terminated, may be changed by the callee, and is gone after the call. A
 * negative errno with its text in `err` ends the answer. */
typedef int (*answer_text_fn)(
        void *ctx, enum answer_kind kind, char *text, size_t len, struct err *err);

/* A comment of the stream, such as who answers one that waited; as sse_comment_fn. */
typedef void (*answer_comment_fn)(void *ctx, const char *text, size_t len);

/* NULL where malloc refuses. */
struct answer *answer_create(answer_text_fn fn, void *ctx);
void answer_destroy(struct answer *answer); /* takes NULL */
/* From now on comments are told too, with the same `ctx`. */
void answer_tell_comments(struct answer *answer, answer_comment_fn fn);

/* Bytes of the body, cut anywhere. -EREMOTEIO: the stream brought an error, the text is its
 * message; -EPROTO: not a chat stream; -EMSGSIZE; or what the callback returned. */
MUST_CHECK int answer_push(struct answer *answer, const char *data, size_t len, struct err *err);

/* After the last byte. -ECONNRESET where the answer ended without a finish reason. */
MUST_CHECK int answer_finish(const struct answer *answer, struct err *err);
/* "stop", "length", …; "" before it came. Borrowed. */
const char *answer_finish_reason(const struct answer *answer);
