/* One HTTP call on an engine: a post goes out, and the bytes of the answer come in where it is the
 * kind of answer that was asked for; else why not, in the words of the link. Belongs to its caller
 * until on_end is called or it is cancelled. Loop thread only; no callback from inside these
 * functions. */
#pragma once

#include "node/backends/engine_post.h"

enum { ENGINE_BASE_MAX = 215 }; /* bytes before the path of a URL */

struct engine_call;
struct engine_slots;

struct engine_target { /* borrowed for the life of a call */
    struct http_client *http;
    const char *base;          /* "http://engine"; at most ENGINE_BASE_MAX bytes */
    const char *unix_socket;   /* NULL: TCP */
    const char *model;         /* what the engine calls the model; NULL: it has but one */
    const char *authorization; /* a whole header, "Authorization: Bearer …"; NULL: none */
    uint32_t unknown_kinds;    /* bits 1 << enum request_kind that it has no endpoint for */
    const char *media_marker;  /* what the engine writes into a prompt for a picture; "" none */
    const struct env *env;
    struct engine_slots *slots; /* NULL: the engine chooses its slots */
};

struct engine_call_events {
    /* A piece of a good answer. May cancel the call. */
    void (*on_data)(void *ctx, const char *data, size_t len);
    /* Last, once, never after cancel; the call is freed on return. NULL: the answer is complete, as
     * far as HTTP can tell. */
    void (*on_end)(void *ctx, const struct msg_fail *fail);
};

/* Takes nothing of `post` but a copy of its body. `events` is borrowed for the life of the call. */
MUST_CHECK int engine_call_start(const struct engine_target *target, const struct engine_post *post,
        const struct engine_call_events *events, void *ctx, struct engine_call **ret_call,
        struct err *err);
/* Closes the connection, which aborts the request on the engine too; frees. Takes NULL. */
void engine_call_cancel(struct engine_call *call);
void engine_call_pause(struct engine_call *call);
void engine_call_resume(struct engine_call *call);
