#include "coordinator/instance.h"

#include "proto/capability.h"

#include <string.h>

uint32_t instance_lacks(const struct instance *instance, uint32_t needs)
{
    return capability_lacking(instance->capabilities, needs);
}

bool instance_differs(const struct instance *instance, const struct instance *other)
{
    return instance->has_fingerprint && other->has_fingerprint &&
           memcmp(instance->fingerprint, other->fingerprint, MSG_FINGERPRINT_BYTES) != 0;
}
