/* What GET /mesh/v1/explain asks: a request that might be, in the members of a URL's query. Pure.
 */
#pragma once

#include "common/err.h"
#include "coordinator/http/http_server.h"
#include "coordinator/request.h"

#include <stdint.h>

struct explain_query { /* "": not given */
    char mode[MSG_NAME_MAX + 1], model[MSG_NAME_MAX + 1];
    char session[REQUEST_SESSION_MAX + 1];
    uint32_t tokens; /* of the prompt */
    uint32_t output; /* at most, of the answer; 0: not given */
    uint32_t needs;  /* CAPABILITY_… */
};

/* -EINVAL: `*ret_param` (static) is the member that is wrong, and `err` says what it may be. */
MUST_CHECK int explain_query_read(const struct http_exchange *exchange,
        struct explain_query *ret_query, const char **ret_param, struct err *err);
