/* Answers that an engine gives as one JSON value: gathered here, read by each dialect. Internal to
 * the dialects. */
#pragma once

#include "coordinator/dialects/dialect.h"

#include <cjson/cJSON.h>

struct answer { /* open for the dialects */
    const struct request *request;
    struct answer_facts facts;
    struct buf result; /* the engine's words */
    struct msg_usage usage;
};

/* As in struct dialect. */
struct answer *engine_result_create(
        const struct request *request, const struct answer_facts *facts);
void engine_result_destroy(struct answer *answer);
int engine_result_gather(struct answer *answer, const struct msg_delta *delta);

/* The value, an object, which the caller frees. -EPROTO where it is none, -ENOBUFS, -ENOMEM. */
MUST_CHECK int engine_result_read(const struct answer *answer, cJSON **ret_result);
