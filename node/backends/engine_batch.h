/* How many tokens an engine of ours computes at once: what it is started with, and what its memory
 * is counted with. Pure. */
#pragma once

#include <stdint.h>

enum {
    /* Tokens of a text that an embedding model reads, unless its context is shorter or the owner's
     * words say otherwise. It reads a text at once, and the memory for that grows with the square.
     */
    ENGINE_EMBEDDING_BATCH = 2048,
};

/* Of a model that makes vectors (CAPABILITY_EMBEDDINGS, CAPABILITY_RERANK), with `context` tokens a
 * sequence (0: not known), a whole text. 0: it writes text, and the engine's own choice is right.
 */
uint32_t engine_batch_tokens(uint32_t capabilities, uint32_t context);
