/* GET /mesh/v1/plan: which models should be loaded where (plan/plan_answer.h). Comes when the plan
 * is made, which may take a second. */
#pragma once

#include "coordinator/api/caller.h"

void serve_plan(const struct call *call);
