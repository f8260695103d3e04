/* What a set of runs came to, for people, for programs, and as a plot. */
#pragma once

#include "bench/sim/experiment.h"
#include "common/buf.h"
#include "common/err.h"

#include <stdio.h>

enum { REPORT_OUTCOMES_MAX = 32 }; /* all policies and their variants */

struct report {        /* of one load */
    const char *title; /* what was run, one line */
    const char *more;  /* options by which more requests would be left */
    double load;
    double requests;                              /* a seed, in the mean */
    struct outcome outcomes[REPORT_OUTCOMES_MAX]; /* the first is what others are compared with */
    size_t count;
    uint64_t first_seed;
};

void report_fini(struct report *report);
/* What was not measured is "-" here, and null in JSON, the interval of one seed, too; where no
 * request is left, all say so. Intervals end at 0, and those of shares at 1.
 * -ENOMEM, -EIO. */
MUST_CHECK int sim_report_print(const struct report *report, FILE *out, struct err *err);
/* Appends one JSON object. -ENOMEM, -ENOBUFS. */
MUST_CHECK int report_json(const struct report *report, struct buf *out);
/* Shares of requests over time to first token. -ENOMEM, -ENOBUFS. */
MUST_CHECK int report_plot(const struct report *report, struct buf *out);
/* p95 of time to first token over load; `reports` of the same policies, 1 to REPORT_LOADS_MAX of
 * them in any order. -ENOMEM, -ENOBUFS. */
enum { REPORT_LOADS_MAX = 200 };
MUST_CHECK int report_plot_loads(const struct report *reports, size_t count, struct buf *out);
