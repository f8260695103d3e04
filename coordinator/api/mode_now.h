/* Where a request for a mode would go now, for the overview of all modes: the decision that a short
 * one gets which is sent with no tools, of a caller that may use all of the mode's models, behind
 * all that waits already. Where the mode has none for it, those are asked that come instead. Inside
 * coordinator/api/ only. */
#pragma once

#include "coordinator/api/admin.h"

#include <stdbool.h>

enum { MODE_NOW_TOKENS = 100 }; /* of its prompt: what every model has room for */

struct mode_now {
    const struct mode *mode; /* that decides */
    struct router_plan plan;
    bool waits; /* else it goes there, or is refused */
};

/* -ENOMEM. `mode` has a model; `client` asks for it, as request.h names it. */
MUST_CHECK int mode_now_find(const struct admin_view *view, const char *client,
        const struct mode *mode, struct mode_now *ret_now);
