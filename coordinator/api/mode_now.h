/* Where a request of the caller's for a mode would go now, for the overview of all modes: what
 * explain would say (explaining.h) of a short one without tools, but for its rows. Inside
 * coordinator/api/ only. */
#pragma once

#include "coordinator/api/caller.h"

#include <stdbool.h>

enum { MODE_NOW_TOKENS = 100 }; /* of its prompt: what every model has room for */

struct mode_now {
    const struct mode *mode; /* that decides */
    struct router_plan plan;
    bool waits; /* else it goes there, or is refused */
};

/* -EACCES (the caller may not use the mode), -ENOMEM. */
MUST_CHECK int mode_now_find(
        const struct call *call, const struct mode *mode, struct mode_now *ret_now);
