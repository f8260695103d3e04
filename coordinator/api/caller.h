/* What the parts of the API share: who calls, what was asked of which path, and answers that are
 * errors. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/api.h"
#include "coordinator/api/offers.h"
#include "coordinator/dialects/dialect.h"

#include <stdbool.h>

enum { CALL_MODES_MAX = 400 }; /* bytes of the modes' names in a refusal */

struct caller {
    struct api_key *key;      /* NULL: none was shown, and none was needed */
    bool owner;               /* may run the mesh */
    const char *node;         /* whose edge carries it; NULL: none */
    struct node_table *nodes; /* by which names of models are read; NULL only without a key */
};

struct call { /* a request with its path found; borrowed for the call */
    struct api *api;
    struct http_exchange *exchange;
    const struct caller *caller;
    const struct dialect_family *family;
    const struct dialect *dialect; /* of a path that is inference; else NULL */
    const char *mode;              /* that the path asks for; NULL: none */
    const char *tail;              /* what stands where the path's pattern has its "*"; "" none */
    char request_id[REQUEST_ID_MAX];
    bool id_told; /* the answer's headers have it already */
};

/* Adds the request's id to the answer's headers, under our name and the API's own. */
void call_tell_id(const struct call *call);

/* In the family's shape; 503 gets Retry-After. */
void call_fail_with(const struct call *call, const struct api_error *error);
void call_fail(const struct call *call, int status, const char *code, const char *param,
        const char *message);
/* A JSON body, or 500 where making it failed with `r`. */
void call_reply_json(const struct call *call, int r, const struct buf *body);

/* "ask, code": those that the caller may use; "none yet". Ends with "…" where there is no room for
 * all. Returns `text`. */
const char *call_name_modes(const struct call *call, char text[CALL_MODES_MAX]);

/* For who answers later: looks the caller's key up again, which may be gone. False: it was revoked.
 */
bool caller_renew(struct caller *caller, const struct call *call);
bool caller_allows_mode(const struct caller *caller, const char *mode);
/* A key names models: it may use what an alias of one of them means, and under that name too. */
bool caller_allows_model(const struct caller *caller, const char *model);
/* True where no model, known or not, is kept from it. */
bool caller_has_all_models(const struct caller *caller);
/* A key that names modes and no models may ask for those modes' models, and no others, by name. */
bool caller_may_name_model(
        const struct caller *caller, const struct modes *modes, const char *name);
/* Of the mode's models those that the caller may get by it, in the mode's order. */
size_t caller_models_of_mode(
        const struct caller *caller, const struct mode *mode, const char *allowed[MODE_MODELS_MAX]);
/* modes_fallback(), of the modes that the caller may use. */
const struct mode *caller_fallback(const struct caller *caller, const struct modes *modes);
/* The mode that is asked instead of `mode` where that has none. NULL: none is, or the caller may
 * not use it. */
const struct mode *caller_next_mode(
        const struct caller *caller, const struct modes *modes, const struct mode *mode);
/* "local", "key NAME", "edge NODE": for logs, and as the owner of what is stored. */
void caller_name(const struct caller *caller, char *name, size_t size);

struct call_offers { /* keep it while the offers are used */
    struct offers offers;
    const struct modes *modes;
    const struct caller *caller;
};
/* What the caller may ask for. */
void call_offers_init(struct call_offers *offers, const struct call *call);
