/* An answer's JSON as a client reads it: within a request's bounds, and a few levels more, as an
 * answer wraps what an engine said. What an engine tells of its tokens is passed on as it came: a
 * key may stand twice in it. To be included by one file of a program. */
#pragma once

#include "common/json/json.h"

#include <assert.h>

enum { ANSWER_WRAPPER_LEVELS = 5 }; /* message.tool_calls[].function.arguments */

/* The caller frees with cJSON_Delete(). */
static inline cJSON *answer_json(const char *text, size_t len)
{
    struct json_limits limits = json_limits_request;
    cJSON *json;
    limits.max_depth += ANSWER_WRAPPER_LEVELS;
    limits.unambiguous = false;
    int r = json_parse(text, len, &limits, &json, NULL);
    assert(r == 0);
    return json;
}
