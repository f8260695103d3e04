/* What `modemesh fit` is asked: how the models would be run, and in what memory. */
#pragma once

#include "cli/command.h"
#include "common/model/estimate.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FIT_CONTEXTS_MAX = 8,
    FIT_CONTEXT_MAX = TEXT_TOKENS_MAX, /* as engine.context of a node */
    FIT_SLOTS_MAX = 1024,              /* as engine.slots of a node */
};

struct fit_ask {
    uint32_t contexts[FIT_CONTEXTS_MAX]; /* tokens of one slot; ascending, no two equal */
    size_t context_count;                /* at least 1 */
    uint32_t together;                   /* context of models that stand beside each other */
    uint32_t slots;
    enum cache_type type; /* of keys and values */
    uint64_t memory_bytes;
    bool memory_given; /* else it is this host's */
};

/* Reads --context, --together, --slots, --memory and --kv. -EINVAL names the value and what would
 * be one; -EIO where the host does not tell its memory. */
MUST_CHECK int fit_ask_read(
        const struct command_line *line, struct fit_ask *ret_ask, struct err *err);

/* Tokens from 1 to FIT_CONTEXT_MAX: a size without bytes, "8k" but not "8kB". -EINVAL says so. */
MUST_CHECK int fit_ask_parse_context(const char *text, uint32_t *ret_context, struct err *err);
/* Requests at once, from 1 to FIT_SLOTS_MAX. -EINVAL says so. */
MUST_CHECK int fit_ask_parse_slots(const char *text, uint32_t *ret_slots, struct err *err);
/* "8k", "1M", "40960" into `buf`: a context as people write it. Returns `buf`. */
const char *fit_ask_context(uint32_t tokens, char *buf, size_t size);

/* An engine started so, with `context` tokens for each slot. */
struct model_run fit_ask_run(const struct fit_ask *ask, uint32_t context);
