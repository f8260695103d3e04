/* The answer of `modemesh fit` for people, as JSON, or one row a line. */
#pragma once

#include "cli/fit/fit_answer.h"
#include "cli/table.h"

#include <stdio.h>

enum { FIT_SETS_SHOWN_MAX = 20 }; /* combinations in text; JSON has all */

/* -ENOMEM, -EIO. */
MUST_CHECK int fit_print(const struct fit_models *models, const struct fit_ask *ask,
        const struct fit_answer *answer, enum table_format format, FILE *out, struct err *err);

/* As fit_print() in JSON. */
MUST_CHECK int fit_print_json(const struct fit_models *models, const struct fit_ask *ask,
        const struct fit_answer *answer, FILE *out, struct err *err);
