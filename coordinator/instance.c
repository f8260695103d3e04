#include "coordinator/instance.h"

/* What a model's file tells for sure. */
static const uint32_t said_by_file =
        CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK;

uint32_t instance_lacks(const struct instance *instance, uint32_t needs)
{
    uint32_t lacking = needs & ~instance->capabilities;
    if (instance->capabilities == 0)
        return 0;
    return instance->capabilities & CAPABILITY_EXACT ? lacking : lacking & said_by_file;
}
