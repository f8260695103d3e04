/* Events of llama-server's own completion stream, which /infill has: `content`, and in a choice's
 * last event `stop`, why it stopped, and the counts. Deltas of each choice in the order text,
 * log-probs, finish reason ("stop", "length"). */
#pragma once

#include "node/backends/answers/engine_answer.h"

/* An engine_chunk_fn. */
MUST_CHECK int native_chunk_read(struct engine_answer *answer, const cJSON *chunk, struct err *err);
