/* From a mode and a request to what the request's job is chosen by: what the fleet has of the
 * mode's models, the rule that applies (modes/mode_policy.h), and the modes that are asked instead
 * where none of its models can serve. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/caller.h"
#include "coordinator/job/job_terms.h"

/* `left`: of the mode's names of models those that the caller may get. The request has its chain,
 * and the body that it goes with. NULL where malloc refuses. */
struct job_terms *mode_terms_make(const struct call *call, struct request *request,
        const struct mode *mode, const char *const *left, size_t left_count);
