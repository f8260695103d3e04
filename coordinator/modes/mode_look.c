#include "coordinator/modes/mode_look.h"

#include "common/number.h"
#include "coordinator/scheduling/refusal.h"

static bool may_hold(const struct fleet_instance *instance, bool batch)
{
    enum refusal refusal = refusal_for_all(instance);
    if (instance->batch_only && !batch)
        return false;
    return refusal != REFUSAL_UNUSABLE && refusal != REFUSAL_NO_FIT;
}

/* One that does not say its context takes whatever comes. */
static uint32_t context_of(const struct fleet_instance *instance)
{
    return instance->context ? instance->context : UINT32_MAX;
}

struct mode_model_facts mode_look(const struct fleet_model *model, uint32_t needs, bool batch)
{
    struct mode_model_facts facts = {.unable = model && model->count > 0};
    for (uint32_t i = 0; model && i < model->count; i++) {
        const struct fleet_instance *instance = &model->at[i];
        bool able = !(needs & ~refusal_abilities(instance));
        if (able)
            facts.unable = false;
        if (able && may_hold(instance, batch)) {
            facts.there = true;
            facts.context = (uint32_t)number_greater(facts.context, context_of(instance));
        }
        if (instance->quality > facts.points)
            facts.points = instance->quality;
    }
    return facts;
}
