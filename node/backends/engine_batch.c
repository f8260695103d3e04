#include "node/backends/engine_batch.h"

#include "proto/codec.h"

uint32_t engine_batch_tokens(uint32_t capabilities, uint32_t context)
{
    if ((capabilities & (CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK)) == 0)
        return 0;
    return context > 0 && context < ENGINE_EMBEDDING_BATCH ? context : ENGINE_EMBEDDING_BATCH;
}
