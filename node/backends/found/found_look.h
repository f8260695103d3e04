/* Asks an engine that runs already what it has: the questions of its manner, one after the other.
 * Belongs to its caller until `fn` is called or it is cancelled. Loop thread only; `fn` never comes
 * from inside found_look_start(). */
#pragma once

#include "node/backends/engine_ask.h"
#include "node/backends/found/found_engine.h"

enum { FOUND_LOOK_TIMEOUT_MS = 5000 }; /* of each question */

struct found_look;

/* Last, once; `list` is borrowed. `result` below 0: as engine_ask.h and found_read_fn have it. */
typedef void (*found_look_fn)(
        void *ctx, int result, const struct found_list *list, const struct err *err);

/* `id` NULL: everything. Else only whether the model of this id is resident, which is one question.
 */
MUST_CHECK int found_look_start(struct http_client *http, const struct engine_address *address,
        const struct engine_manner *manner, const char *id, found_look_fn fn, void *ctx,
        struct found_look **ret_look, struct err *err);
/* No `fn` comes after it. Takes NULL. */
void found_look_cancel(struct found_look *look);
