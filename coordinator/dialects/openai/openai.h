/* The endpoints of OpenAI's API, as real clients speak them, but for Responses (responses.h). What
 * nobody here knows in a request goes on to the engine as it came. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* POST /v1/chat/completions. A body in the shape of Responses ("input") is accepted too. */
extern const struct dialect dialect_openai_chat;
/* POST /v1/completions; with a suffix it fills in the middle. */
extern const struct dialect dialect_openai_completions;
/* POST /v1/fim/completions, Mistral's: prompt and suffix in, a chat's answer out. */
extern const struct dialect dialect_openai_fim;
/* POST /v1/embeddings */
extern const struct dialect dialect_openai_embeddings;
/* POST /v1/rerank, in the shape that Jina and Cohere agree on */
extern const struct dialect dialect_openai_rerank;
/* POST /v1/audio/transcriptions, multipart/form-data */
extern const struct dialect dialect_openai_transcriptions;
