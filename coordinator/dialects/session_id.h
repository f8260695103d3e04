/* What ties the requests of one conversation together, as clients say it: a header or a member of
 * the body, each client in its own way. Pure. */
#pragma once

#include "coordinator/dialects/dialect.h"

#include <cjson/cJSON.h>

/* Writes request->session; "" where the client says nothing. `body` may be NULL. A value that is
 * longer than REQUEST_SESSION_MAX is none. */
void session_id_read(
        const struct dialect_input *input, const cJSON *body, struct request *ret_request);
