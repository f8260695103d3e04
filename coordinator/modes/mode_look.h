/* What the fleet has of a mode's model, as far as its rules ask for that (mode_policy.h). Pure;
 * O(instances of the model). */
#pragma once

#include "coordinator/modes/mode_policy.h"
#include "coordinator/scheduling/fleet.h"

/* `model` NULL: no node has it, and nothing is known. `needs`: CAPABILITY_… of the request. An
 * instance counts for the context, and as being there, where it is loaded or able to be; one that
 * is larger than its node's memory only for batch work. Leaves `barred` false: keys are the
 * caller's. */
struct mode_model_facts mode_look(const struct fleet_model *model, uint32_t needs, bool batch);
