#include "node/models/capabilities.h"

#include "proto/codec.h"

#include <string.h>

/* Architectures of llama.cpp that read a text and write none. */
static const char *const encoders[] = {"bert", "modern-bert", "neo-bert", "eurobert", "nomic-bert",
        "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "gemma-embedding", "llama-embed",
        "t5encoder", NULL};

static bool is_encoder(const char *architecture)
{
    for (const char *const *name = encoders; *name; name++)
        if (strcmp(*name, architecture) == 0)
            return true;
    return false;
}

static bool makes_vectors(const struct gguf_info *info)
{
    return info->pooling > GGUF_POOLING_NONE || is_encoder(info->architecture);
}

uint32_t capabilities_of_file(const struct gguf_info *info)
{
    if (info->pooling == GGUF_POOLING_RANK)
        return CAPABILITY_RERANK;
    if (makes_vectors(info))
        return CAPABILITY_EMBEDDINGS;
    return CAPABILITY_CHAT | (info->fim ? CAPABILITY_FIM : 0u) |
           (info->template_tools ? CAPABILITY_TOOLS : 0u) |
           (info->template_thinking ? CAPABILITY_REASONING : 0u);
}
