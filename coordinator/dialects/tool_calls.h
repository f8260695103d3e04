/* Tool calls put together from their pieces, for APIs that say each one whole. Plain values; the
 * owner calls tool_calls_fini(). */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stddef.h>

struct tool_call {
    char *id, *name;      /* NULL where the engine gave none */
    struct buf arguments; /* the text of a JSON object, once the answer is complete */
};

struct tool_calls { /* zeroed at first */
    struct tool_call *list;
    size_t count; /* at most GATHERED_TOOL_CALLS_MAX */
    size_t bytes; /* of all of them; at most GATHERED_BYTES_MAX */
};

void tool_calls_fini(struct tool_calls *calls);
/* Takes the pieces of a DELTA_TOOL_CALLS. Calls come in order: a piece belongs to one that is
 * there, or begins the next; else -EPROTO. -ENOBUFS, -ENOMEM. */
MUST_CHECK int tool_calls_add(struct tool_calls *calls, const struct msg_delta *delta);
/* There is one. */
void tool_calls_drop_last(struct tool_calls *calls);
