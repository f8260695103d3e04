/* Events of an OpenAI chat completion stream (`data: {"choices":[{"delta":…}]}`), as llama-server
 * and its kin send them, turned into typed deltas. Pure: JSON text in, calls of a function out.
 * Foreign text: bounded by json_limits_event. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPENAI_CHOICES_MAX = 128 }; /* a larger index is refused */

struct openai_error {     /* an engine's report of one; its words are in a struct err */
    enum fail_code code;  /* FAIL_ENGINE_ERROR, FAIL_CONTEXT_EXCEEDED */
    uint32_t http_status; /* the client's fault is 400, also where the engine says otherwise */
};

struct openai_stream { /* zeroed at first; plain values, owns nothing */
    bool finished;     /* a finish reason has come */
    bool done;         /* `[DONE]` has come; what follows is ignored */
    bool has_usage;    /* `usage` holds the numbers that came last */
    struct msg_usage usage;
    struct openai_error error; /* that ended it */
};

/* Takes one delta: `stream` 0, data borrowed, of any length. False: nobody wants the rest. */
typedef bool (*openai_delta_fn)(void *ctx, const struct msg_delta *delta);

/* Reads the data of one event and calls `fn` for each piece, per choice in the order reasoning,
 * text, tool calls, log-probs, finish reason. Usage and timings are only kept. 0; -ECANCELED: `fn`
 * returned false, and `stream` was not touched since; -EREMOTEIO: the engine reports an error, its
 * words in `err`; -EPROTO: not such an event. */
MUST_CHECK int openai_chunk_read(struct openai_stream *stream, const char *data, size_t len,
        openai_delta_fn fn, void *ctx, struct err *err);

/* What the body of an error answer with this HTTP status reports, {"error":{"message":…}} or
 * {"error":"…"}. The engine's own words go to `err`; where there are none, that. A prompt past the
 * context gets words of ours, which clients know from other servers. Never fails. */
void openai_error_read(const char *body, size_t len, uint32_t http_status,
        struct openai_error *ret_error, struct err *err);
