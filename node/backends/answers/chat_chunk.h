/* Events of an OpenAI chat completion stream (`data: {"choices":[{"delta":…}]}`), as llama-server
 * and its kin send them. What the model thinks is `reasoning_content` there, and `reasoning` as
 * Ollama and vLLM have it. Deltas of each choice in the order reasoning, text, tool calls,
 * log-probs, finish reason. */
#pragma once

#include "node/backends/answers/engine_answer.h"

/* An engine_chunk_fn. */
MUST_CHECK int chat_chunk_read(struct engine_answer *answer, const cJSON *chunk, struct err *err);
