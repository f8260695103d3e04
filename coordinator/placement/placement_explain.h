/* Why a plan is as it is, one sentence for each decision: what `modemesh plan` prints beside it and
 * the log keeps. Pure; the fleet is the one that the plan was made for. */
#pragma once

#include "coordinator/placement/placement.h"

enum { PLACEMENT_TEXT_MAX = 512 }; /* a longer text is cut */

/* Why that engine is kept, loaded, or let go: "for code and ask (3 copies)". Returns `text`. */
const char *placement_explain_engine(const struct placement_fleet *fleet,
        const struct placement *placement, size_t engine, char text[PLACEMENT_TEXT_MAX]);

/* Why a copy of a mode gets what it gets, and what stands against what it would rather have:
 * "choice 2 of 3: "glm" takes 92.0 GiB with 8192 tokens, "halo1" has at most 80.0 GiB; shares
 * "halo1" with ask". Returns `text`. */
const char *placement_explain_service(const struct placement_fleet *fleet,
        const struct placement *placement, size_t service, char text[PLACEMENT_TEXT_MAX]);
