/* The pieces of tool calls as a DELTA_TOOL_CALLS brings them: JSON in the shape of OpenAI's
 * choices[].delta.tool_calls, where id and name come with a call's first piece and the arguments'
 * text in many. Pure. */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stdint.h>

struct tool_fragment {     /* borrowed for the call */
    uint32_t index;        /* of the call within its answer, below GATHERED_TOOL_CALLS_MAX */
    const char *id, *name; /* NULL where this piece does not bring them */
    const char *arguments; /* "" where none */
};

/* A negative return of `fn` ends the walk and is returned. */
typedef int (*tool_fragment_fn)(void *ctx, const struct tool_fragment *fragment);

/* -EPROTO where it is not of that shape, -ENOMEM, or what `fn` returned. */
MUST_CHECK int tool_fragments_each(const struct msg_delta *delta, tool_fragment_fn fn, void *ctx);
