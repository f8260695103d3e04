/* What trace.c shares with the two formats: each takes one line, without its end. */
#pragma once

#include "bench/sim/workload/workload.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

struct trace_reading {
    struct workload *workload;
    uint64_t *chain; /* room for TRACE_CHAIN_MAX */
    double first_s;  /* of the first request */
    double last_s;   /* … of the last; what comes is not before */
};

/* -EINVAL, -E2BIG, -ENOMEM. `err` does not name the line. */
MUST_CHECK int trace_mooncake_line(
        struct trace_reading *reading, const char *line, size_t len, struct err *err);
MUST_CHECK int trace_azure_line(
        struct trace_reading *reading, const char *line, size_t len, struct err *err);
/* True for its line of headings. */
bool trace_azure_heading(const char *line, size_t len);

/* Adds a request that arrives at `at_s` of the trace's own clock. */
MUST_CHECK int trace_add(
        struct trace_reading *reading, double at_s, struct work work, struct err *err);

/* Says which session each request of a Mooncake trace belongs to. -ENOMEM. */
MUST_CHECK int trace_mooncake_sessions(struct workload *workload);
