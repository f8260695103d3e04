/* Where a request for a mode would go now, for the overview of all modes: the decision that a short
 * one gets which is sent with no tools, of a caller that may use all of the mode's models. Inside
 * coordinator/api/ only. */
#pragma once

#include "coordinator/api/admin.h"

enum { MODE_NOW_TOKENS = 100 }; /* of its prompt: what every model has room for */

/* -ENOMEM. `mode` has a model. */
MUST_CHECK int mode_now(
        const struct admin_view *view, const struct mode *mode, struct router_plan *ret_plan);
