/* Writes down what the reader of an engine's answer says, as "kind:choice:data;" for each delta. */
#pragma once

#include "node/backends/answers/engine_answer.h"

#include <stdbool.h>
#include <stddef.h>

struct delta_record {
    char text[4096];
    int stop_after; /* deltas; 0: never */
    int count;
};

/* An engine_delta_fn; `ctx` is the record. Aborts the test where a delta is none of an engine. */
bool delta_record_take(void *ctx, const struct msg_delta *delta);

/* Reads the events, which end with NULL, into `answer` and `record`, until one fails. */
int delta_record_read(struct delta_record *record, struct engine_answer *answer,
        engine_chunk_fn read_chunk, const char *const *events, struct err *err);
