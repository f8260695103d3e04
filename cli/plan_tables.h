/* A plan as people read it: the answer of GET /mesh/v1/plan as tables. Pure but for what it
 * prints. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* What it comes to, in a line; which models on which nodes; what each mode gets; what is left free;
 * what could not be counted as it was told. -ENOMEM, -EIO. */
MUST_CHECK int plan_tables_print(const cJSON *plan, FILE *out, struct err *err);
