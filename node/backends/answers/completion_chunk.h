/* Events of an OpenAI text completion stream (`data: {"choices":[{"text":…}]}`), as llama-server
 * sends them: one choice at a time, and beside a choice's finish reason its usage. Deltas of each
 * choice in the order text, log-probs, finish reason. */
#pragma once

#include "node/backends/answers/engine_answer.h"

/* An engine_chunk_fn. */
MUST_CHECK int completion_chunk_read(
        struct engine_answer *answer, const cJSON *chunk, struct err *err);
