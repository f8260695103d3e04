/* What people who run the mesh can do to it over HTTP (/mesh/v1/…): nodes, join tokens, API keys,
 * the certificate. JSON in, JSON out; the caller's scope was checked before (api.c). Shapes are
 * stable: fields are added, never renamed. Loop thread.
 *
 *   GET  nodes          members, pending nodes with their phrases, the window, refusals by kind
 *   POST nodes/approve  {"node": NAME|ADDRESS|KEY|PHRASE, "phrase"?, "name"?, "roles"?: ["node",
 *                       "edge"]}; with "phrase" it must be that node's
 *   POST nodes/revoke   {"node": NAME|KEY}
 *   POST nodes/forget   {"node": NAME|KEY}
 *   POST nodes/accept   {"for_ms": N}; 0 ends it
 *   GET  tokens
 *   POST tokens         {"uses"?, "expires_in_ms"?, "roles"?, "addresses"?: ["HOST:PORT", …]}
 *   POST tokens/revoke  {"id"}
 *   GET  keys
 *   POST keys           {"name", "modes"?, "models"?, "admin"?, "requests_per_minute"?}; the answer
 *                       has "notes" on what the names of modes and models mean (key_scope.h)
 *   POST keys/revoke    {"name"}
 *   GET  tls
 *
 * and what takes longer than a request (model_operations.h). */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "common/json/json_writer.h"
#include "coordinator/api/api_keys.h"
#include "coordinator/http/tls.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_table.h"
#include "coordinator/router/router.h"
#include "coordinator/trust/door.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum {
    OPERATIONS_TOKEN_EXPIRES_MS = 60 * 60 * 1000, /* of a token, where none is asked for */
    OPERATIONS_LISTENERS_MAX = 16,
};
#define OPERATIONS_TOKEN_EXPIRES_MAX_MS (366ull * 24 * 60 * 60 * 1000)

struct tasks;

struct operations { /* what they work on; all borrowed */
    const struct env *env;
    struct door *door;
    struct api_keys *keys;
    struct node_table *nodes;
    const struct modes *modes; /* in force */
    const struct router *router;
    struct tasks *tasks;
    const struct tls *tls;     /* NULL: no listener has TLS */
    const char *link_endpoint; /* "tcp://0.0.0.0:8421", as bound */
    const char
            *listeners[OPERATIONS_LISTENERS_MAX + 1]; /* "https://0.0.0.0:8443"; NULL at the end */
};

struct operation {
    const char *method, *path;
    /* `body` is an object, NULL for GET. Writes the members of the answer into an object that the
     * caller has opened. 0; -EINVAL, -ERANGE, -E2BIG: what was asked for makes no sense; -ENOENT:
     * there is no such thing; -EEXIST, -EACCES, -ENOSPC: it cannot be now; else our own trouble. On
     * failure nothing has changed, and what was written is of no use. */
    int (*run)(const struct operations *operations, const cJSON *body, struct json_writer *out,
            struct err *err);
};

/* NULL where there is none at this path; `*ret_allowed` is then the method that there is ("GET,
 * POST": both), or NULL.
 */
const struct operation *operation_find(
        const char *method, const char *path, const char **ret_allowed);

/* Makes a join token for `roles`, good for `uses` and `expires_in_ms`, that names `addresses`
 * ("HOST:PORT"; none: all of this host) and notes it in the book. The line goes to `out`, whose
 * memory the caller wipes. -ERANGE, or what tokens_add() returns. */
MUST_CHECK int operations_make_token(const struct operations *operations, unsigned roles,
        uint64_t uses, uint64_t expires_in_ms, const char *const *addresses, size_t address_count,
        struct token *ret_token, struct buf *out, struct err *err);
