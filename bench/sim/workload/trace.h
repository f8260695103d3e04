/* Request traces of others, read strictly: a line that is not as its format says is an error that
 * names the line. Two formats, told apart by how the text begins:
 *
 *   Mooncake   one JSON object a line: timestamp (ms, whole, not before the line above),
 *              input_length, output_length, and hash_ids: one number for each block of 512 tokens,
 *              the last one being what is left; equal numbers are equal beginnings
 *   Azure      a line of headings, then TIMESTAMP,ContextTokens,GeneratedTokens; of prompts only
 *              the length is known: each is a session of its own and shares nothing
 *
 * Sessions of Mooncake's, which names none: requests that share a block belong together, unless
 * so many begin with it that it is a system prompt: more than 1 % of all, and more than
 * TRACE_COMMON_MIN. As blocks are chained, the first block that is not so common decides. A request
 * without one is a session of its own. */
#pragma once

#include "bench/sim/workload/workload.h"

#include <stddef.h>

enum {
    TRACE_BYTES_MAX = 1024 * 1024 * 1024,
    TRACE_LINE_MAX = 4 * 1024 * 1024,
    TRACE_CHAIN_MAX = WORKLOAD_TOKENS_MAX / WORKLOAD_BLOCK_TOKENS,
    TRACE_COMMON_MIN = 64,
};

/* -EINVAL (names the line), -E2BIG, -ENOMEM. Arrivals begin at 0. */
MUST_CHECK int trace_parse(
        const char *text, size_t len, struct workload *ret_workload, struct err *err);
/* … or what file_read() returns. */
MUST_CHECK int trace_read(const char *path, struct workload *ret_workload, struct err *err);
