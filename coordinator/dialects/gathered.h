/* An answer gathered from its deltas, for clients that want it whole: text, reasoning, tool calls
 * put together from their fragments, log-probs, finish reason, per choice. Shared by the dialects.
 */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    GATHERED_TOOL_CALLS_MAX = 128,         /* tool calls of one choice */
    GATHERED_BYTES_MAX = 16 * 1024 * 1024, /* of all choices together */
    GATHERED_FINISH_MAX = 32,              /* bytes of a finish reason, with its NUL */
};

struct gathered;

/* NULL where malloc refuses. `choices` is at least 1. */
struct gathered *gathered_create(uint32_t choices);
/* Takes NULL. */
void gathered_destroy(struct gathered *gathered);

/* -ENOBUFS past a limit, -EPROTO for a choice or a fragment that makes no sense, -ENOMEM. Kinds
 * that are no part of a message (usage, progress) are taken and ignored. */
MUST_CHECK int gathered_add(struct gathered *gathered, const struct msg_delta *delta);

/* "" while the choice has none. */
const char *gathered_finish(const struct gathered *gathered, uint32_t choice);
bool gathered_has_calls(const struct gathered *gathered, uint32_t choice);
/* Appends {"role":"assistant","content":…,"reasoning_content":…,"tool_calls":[…]}; content is null
 * where there are only tool calls, the last two are absent where there are none. */
MUST_CHECK int gathered_append_message(
        const struct gathered *gathered, uint32_t choice, struct buf *out);
/* Appends the text alone, as a JSON string. */
MUST_CHECK int gathered_append_text(
        const struct gathered *gathered, uint32_t choice, struct buf *out);
/* Appends {"content":[…]} or null. */
MUST_CHECK int gathered_append_logprobs(
        const struct gathered *gathered, uint32_t choice, struct buf *out);
