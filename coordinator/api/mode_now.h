/* Where a request for a mode would go now, for the overview of all modes: the decision that a short
 * one gets which is sent with no tools, of a caller that may use all of the mode's models, behind
 * all that waits already. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/admin.h"

#include <stdbool.h>

enum { MODE_NOW_TOKENS = 100 }; /* of its prompt: what every model has room for */

/* -ENOMEM. `mode` has a model; `client` asks for it, as request.h names it. */
MUST_CHECK int mode_now(const struct admin_view *view, const char *client, const struct mode *mode,
        struct router_plan *ret_plan);
/* Whether a request with that plan waits: else it goes there, or to another mode, or is refused. */
bool mode_now_waits(const struct mode *mode, const struct router_plan *plan);
