/* One small question to an engine over HTTP: the whole answer, or why there is none. Belongs to its
 * caller until `fn` is called or it is cancelled. Loop thread only; `fn` never comes from inside
 * engine_ask_start(). */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/http_client.h"

#include <stddef.h>
#include <stdint.h>

enum {
    ENGINE_ANSWER_MAX = 1024 * 1024, /* bytes of an answer */
    ENGINE_URL_MAX = 192,            /* bytes of an engine's address */
};

struct engine_address {        /* borrowed for the life of who uses it */
    const char *url;           /* "http://127.0.0.1:11434", without a slash at its end */
    const char *authorization; /* a whole header, "Authorization: Bearer …"; NULL: none */
    const char *unix_socket;   /* path; then the host in `url` is only a name. NULL: TCP */
};

struct engine_question {
    const char *path;
    const char *json; /* body of a POST; NULL: GET */
    uint32_t timeout_ms;
};

/* Last, once. `result` 0: `text` is the answer, borrowed; -EACCES: it wants a key, or another;
 * -EREMOTEIO: an error, its words in `err`; -EMSGSIZE: the answer is too long; -ENOMEM; else the
 * connection's own: -ECONNREFUSED, -ETIMEDOUT, … */
typedef void (*engine_ask_fn)(
        void *ctx, int result, const char *text, size_t len, const struct err *err);

struct engine_ask;
MUST_CHECK int engine_ask_start(struct http_client *http, const struct engine_address *address,
        const struct engine_question *question, engine_ask_fn fn, void *ctx,
        struct engine_ask **ret_ask, struct err *err);
/* No `fn` comes after it. Takes NULL. */
void engine_ask_cancel(struct engine_ask *ask);
