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
            facts.context = (uint32_t)number_greater(facts.context, instance->context);
        }
        if (instance->quality > facts.points)
            facts.points = instance->quality;
    }
    return facts;
}
