#include "coordinator/scheduling/refusal.h"

#include "proto/capability.h"

const char *refusal_name(enum refusal refusal)
{
    static const char *const names[REFUSAL_COUNT] = {
            [REFUSAL_NONE] = "none",
            [REFUSAL_LACKS] = "cannot do what is asked",
            [REFUSAL_QUALITY] = "below the quality floor",
            [REFUSAL_BATCH_ONLY] = "larger than the memory: for batch work only",
            [REFUSAL_CONTEXT] = "context too small",
            [REFUSAL_NOT_LOADED] = "not loaded: what is too long goes to one that is",
            [REFUSAL_AVOIDED] = "has failed this request",
            [REFUSAL_NO_FIT] = "larger than the memory limit",
            [REFUSAL_UNUSABLE] = "draining or gone",
            [REFUSAL_SILENT] = "silent: back in a moment, or gone",
            [REFUSAL_STOPPING] = "engine is being stopped",
            [REFUSAL_FAILED] = "engine is being restarted",
            [REFUSAL_TRIPPED] = "failed too often: rests for a while",
            [REFUSAL_FULL] = "full",
    };
    return names[refusal];
}

static enum refusal refusal_by_state(const struct fleet_instance *instance)
{
    if (instance->state == INSTANCE_STOPPING)
        return REFUSAL_STOPPING;
    return instance->state == INSTANCE_FAILED ? REFUSAL_FAILED : REFUSAL_NONE;
}

enum refusal refusal_for_all(const struct fleet_instance *instance)
{
    if (instance->state == INSTANCE_AVAILABLE && !instance->fits && !instance->ordered)
        return REFUSAL_NO_FIT;
    if (!instance->usable)
        return instance->silent ? REFUSAL_SILENT : REFUSAL_UNUSABLE;
    enum refusal refusal = instance->ordered ? REFUSAL_NONE : refusal_by_state(instance);
    return refusal == REFUSAL_NONE && instance->tripped ? REFUSAL_TRIPPED : refusal;
}

uint32_t refusal_abilities(const struct fleet_instance *instance)
{
    return CAPABILITY_ALL & ~capability_lacking(instance->capabilities, CAPABILITY_ALL);
}
