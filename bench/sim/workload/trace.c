#include "bench/sim/workload/trace.h"

#include "bench/sim/workload/trace_format.h"
#include "common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum trace_format { TRACE_MOONCAKE, TRACE_AZURE };

int trace_add(struct trace_reading *reading, double at_s, struct work work, struct err *err)
{
    int r;

    if (reading->workload->count == 0)
        reading->first_s = reading->last_s = at_s;
    if (at_s < reading->last_s)
        return err_set(err, -EINVAL, "the timestamp is before that of the line above");
    reading->last_s = at_s;
    work.arrival_s = at_s - reading->first_s;
    r = workload_add(reading->workload, work, reading->chain);
    if (r == -E2BIG)
        return err_set(err, r, "the trace has more than %d requests, or %d blocks of prompts",
                WORKLOAD_REQUESTS_MAX, WORKLOAD_BLOCKS_MAX);
    return r < 0 ? err_set(err, r, "no memory for the trace") : 0;
}

static int read_line(struct trace_reading *reading, enum trace_format format, const char *line,
        size_t len, struct err *err)
{
    if (len > TRACE_LINE_MAX)
        return err_set(err, -EINVAL, "it is longer than %d bytes", TRACE_LINE_MAX);
    return format == TRACE_MOONCAKE ? trace_mooncake_line(reading, line, len, err)
                                    : trace_azure_line(reading, line, len, err);
}

static size_t line_length(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t len = newline ? (size_t)(newline - at) : (size_t)(end - at);

    return len;
}

/* Empty lines are passed over, also those that end with a carriage return. */
static size_t without_end(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

static int read_lines(struct trace_reading *reading, const char *text, size_t len, struct err *err)
{
    enum trace_format format = TRACE_MOONCAKE;
    const char *at = text, *end = text + len;

    for (size_t number = 1; at < end; number++) {
        size_t raw = line_length(at, end), line = without_end(at, raw);
        int r = 0;

        if (number == 1 && trace_azure_heading(at, line))
            format = TRACE_AZURE;
        else if (line > 0)
            r = read_line(reading, format, at, line, err);
        if (r < 0)
            return err_prefix(err, r, "line %zu", number);
        at += raw + (raw < (size_t)(end - at));
    }
    if (reading->workload->count == 0)
        return err_set(err, -EINVAL, "there is no request in it");
    return format == TRACE_MOONCAKE ? trace_mooncake_sessions(reading->workload) : 0;
}

int trace_parse(const char *text, size_t len, struct workload *ret_workload, struct err *err)
{
    struct workload workload;
    struct trace_reading reading = {.workload = &workload};
    int r;

    workload_init(&workload);
    reading.chain = calloc(TRACE_CHAIN_MAX, sizeof(*reading.chain));
    r = reading.chain ? read_lines(&reading, text, len, err) : -ENOMEM;
    free(reading.chain);
    if (r < 0) {
        workload_fini(&workload);
        return r == -ENOMEM ? err_set(err, r, "no memory for the trace") : r;
    }
    workload.users = workload.sessions;
    for (size_t i = 0; i < workload.count; i++)
        workload.at[i].user = workload.at[i].session;
    *ret_workload = workload;
    return 0;
}

int trace_read(const char *path, struct workload *ret_workload, struct err *err)
{
    char *text;
    size_t len;
    int r = file_read(path, TRACE_BYTES_MAX, &text, &len, err);

    if (r < 0)
        return r;
    r = trace_parse(text, len, ret_workload, err);
    free(text);
    return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}
