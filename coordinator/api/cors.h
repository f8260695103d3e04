/* Pages of other origins in a browser: nobody may use this endpoint from one but those that the
 * owner lists (setting cors-origins). An entry is an origin, "https://chat.example.org" or
 * "http://box:3000", compared whole; or such a scheme with a star for its host, for editors' own
 * pages, where the scheme is not http or https. Source of the headers: WHATWG Fetch, "CORS
 * protocol". */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/http/http_server.h"

#include <stdbool.h>
#include <stddef.h>

enum { CORS_ORIGINS_MAX = 64 };

struct cors {
    const char *const *origins; /* borrowed */
    size_t count;
};

/* -EINVAL names an entry that is no origin, or would let every page in. */
MUST_CHECK int cors_check(const struct cors *cors, struct err *err);
/* `origin`: the header's value. Pure. */
bool cors_allows(const struct cors *cors, const char *origin);
/* Sets the headers that let a page of `origin` read the answer. */
void cors_set_headers(struct http_exchange *exchange, const char *origin);
/* Answers the question that a browser asks before the request. */
void cors_answer_preflight(struct http_exchange *exchange, const char *origin);
