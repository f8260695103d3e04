/* What `modemesh explain` prints of the coordinator's answer (coordinator/api/serve_explain.h). */
#pragma once

#include "cli/report.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* The instances, one a row with every term of its cost; of an answer with no instances nothing. */
extern const struct report report_explained;

/* For people: the rule, what a request would get, the instances, and the mode's models. */
MUST_CHECK int explain_tables_print(const cJSON *answer, FILE *out, struct err *err);
