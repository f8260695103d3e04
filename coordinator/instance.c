#include "coordinator/instance.h"

#include <string.h>

/* What a model's file tells for sure. */
static const uint32_t said_by_file =
        CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK;

uint32_t instance_lacks(const struct instance *instance, uint32_t needs)
{
    /* A node of an earlier version says nothing, and knows nothing but chat. */
    uint32_t said = instance->capabilities ? instance->capabilities : CAPABILITY_CHAT;
    uint32_t lacking = needs & ~said;
    return said & CAPABILITY_EXACT ? lacking : lacking & said_by_file;
}

bool instance_differs(const struct instance *instance, const struct instance *other)
{
    return instance->has_fingerprint && other->has_fingerprint &&
           memcmp(instance->fingerprint, other->fingerprint, MSG_FINGERPRINT_BYTES) != 0;
}
