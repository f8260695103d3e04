/* The response object of OpenAI's Responses API, as it stands in events, in whole answers and
 * behind GET, and what request->kept holds for it. Pure.
 *
 * request->kept of a request to /v1/responses, made by its parse():
 *   echo       text: the object's members that repeat the request, raw JSON with commas between
 *   aliases    object: what the functions stand for (responses_tools.h)
 *   encrypted  true where reasoning is wanted back in later requests without being stored
 *   logprobs   true where they were asked for
 *   follow     true where the client of a background request waits for its events
 *   sequence   number of the next event: counts on where an answer is made anew
 *   owner      text: whose response it is
 *   previous   text: the id that it builds on, or ""
 *   input      text: JSON array of its own items, for the store */
#pragma once

#include "common/buf.h"
#include "coordinator/request.h"
#include "proto/codec.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESPONSES_ID_MAX = 40, /* of a response, as we make them */
    /* Bytes of `echo`: a member that would pass it is told as if it had not been given. Every event
     * that holds the object repeats it. */
    RESPONSES_ECHO_MAX = 512 * 1024,
};

/* "resp_" and the hexadecimal digits of the request's id. Returns `ret_id`. */
const char *responses_id(const char *request_id, char ret_id[static RESPONSES_ID_MAX + 1]);

/* Appends `echo` for a request's body. -ENOMEM. `echo` has a little more room than
 * RESPONSES_ECHO_MAX. */
MUST_CHECK int responses_echo_append(const cJSON *body, struct buf *echo);

struct responses_object { /* borrowed for the call */
    const char *id, *model;
    int64_t created_s;
    const char *status;        /* "queued", "in_progress", "completed", "failed", … */
    const char *incomplete;    /* why, "max_output_tokens"; NULL: it is not */
    const char *error_code;    /* NULL: no error */
    const char *error_message; /* with error_code */
    const cJSON *kept;
    const struct buf *output;      /* JSON items, with commas between; NULL: none */
    const struct msg_usage *usage; /* NULL: not known */
};

/* -ENOBUFS, -ENOMEM. `ret_output_at`, `ret_output_len` (may be NULL): where in `out` the array of
 * the output stands. */
MUST_CHECK int responses_object_append(const struct responses_object *object, struct buf *out,
        size_t *ret_output_at, size_t *ret_output_len);
