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

static uint32_t bit_if(bool set, enum capability capability)
{
    return set ? (uint32_t)capability : 0;
}

uint32_t capabilities_of_file(const struct gguf_info *info)
{
    if (info->pooling == GGUF_POOLING_RANK)
        return CAPABILITY_RERANK;
    if (makes_vectors(info))
        return CAPABILITY_EMBEDDINGS;
    return CAPABILITY_CHAT | bit_if(info->fim, CAPABILITY_FIM) |
           bit_if(info->template_read, CAPABILITY_TEMPLATE) |
           bit_if(info->template_tools, CAPABILITY_TOOLS) |
           bit_if(info->template_thinking, CAPABILITY_REASONING);
}

uint32_t capabilities_of_projector(const struct gguf_info *info)
{
    return bit_if(info->sees || info->hears, CAPABILITY_SENSES) |
           bit_if(info->sees, CAPABILITY_VISION) | bit_if(info->hears, CAPABILITY_AUDIO);
}
