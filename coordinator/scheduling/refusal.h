/* Why an instance cannot be chosen for a request, or not now. */
#pragma once

#include "coordinator/scheduling/fleet.h"

#include <stdint.h>

/* In the order of the tests. From REFUSAL_SILENT on they pass by themselves, and are waited for. */
enum refusal {
    REFUSAL_NONE,
    REFUSAL_LACKS,      /* a capability */
    REFUSAL_QUALITY,    /* below the floor */
    REFUSAL_BATCH_ONLY, /* larger than the memory */
    REFUSAL_CONTEXT,    /* prompt and answer are longer */
    REFUSAL_NOT_LOADED, /* … than each context, and only what is loaded is to count them */
    REFUSAL_AVOIDED,    /* it has failed this request */
    REFUSAL_NO_FIT,     /* not loaded, and it can never be there */
    REFUSAL_UNUSABLE,   /* its node drains, or is gone: router.h says who waits for it */
    REFUSAL_SILENT,     /* not heard of now: back in a moment, or gone */
    REFUSAL_STOPPING,   /* its engine ends */
    REFUSAL_FAILED,     /* … or has ended, and is started again */
    REFUSAL_TRIPPED, /* its circuit is open: it has failed too often, and rests while others can */
    REFUSAL_FULL,    /* it can be chosen, and has no room now */
    REFUSAL_COUNT,
};

/* "context too small"; for people and JSON. */
const char *refusal_name(enum refusal refusal);

/* What any request is told, whatever it asks for: REFUSAL_NO_FIT to REFUSAL_TRIPPED, or NONE.
 * What is ordered is taken for loaded soon, in any state. */
enum refusal refusal_for_all(const struct fleet_instance *instance);

/* Of the capabilities there are, those that the instance is not known to lack (proto/capability.h).
 */
uint32_t refusal_abilities(const struct fleet_instance *instance);
