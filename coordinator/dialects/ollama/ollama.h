/* The endpoints of Ollama's API that ask a model for something, as real clients speak it: streams
 * of one JSON object a line, no blank lines, on unless `"stream":false`.
 *
 * The mesh decides what is loaded where and with which context: `keep_alive`, `num_ctx` and the
 * other options of a load are accepted and do nothing. A request to load or to unload a model (no
 * messages, no prompt) is answered without asking an engine (request->settled).
 *
 * Durations are the engine's own, prefill and decode; waiting is not in them, and `load_duration`
 * is 0. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* POST /api/chat */
extern const struct dialect dialect_ollama_chat;
/* POST /api/generate: one user turn; with `suffix` it fills in the middle, with `raw` the prompt is
 * completed as it stands. */
extern const struct dialect dialect_ollama_generate;
/* POST /api/embed */
extern const struct dialect dialect_ollama_embed;
/* POST /api/embeddings, the older one: one text, one vector */
extern const struct dialect dialect_ollama_embeddings;
