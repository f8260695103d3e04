/* A dialect is one endpoint of one public API: it turns that endpoint's request into the neutral
 * one and neutral deltas into its bytes. Nothing behind it knows which API the editor speaks. Pure:
 * bytes in, bytes out; the job moves them. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/request.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DIALECT_ANSWER_MAX =
            16 * 1024 *
            1024, /* bytes of an answer that is gathered whole, or of one streamed value */
};

/* What the answer says of itself. Borrowed for the life of the answer. */
struct answer_facts {
    const char *request_id;
    const char *model; /* that answers */
    int64_t created_s; /* Unix time */
};

/* An error on its way to an editor, before it has a shape. */
struct api_error {
    int status;                             /* HTTP */
    const char *code;                       /* "model_not_found", "overloaded", … */
    const char *param;                      /* the field that is wrong, or NULL */
    const char *message;                    /* what, with which value, what to do */
    uint32_t retry_after_s;                 /* 429 and 503; 0: the sender's own default */
    uint32_t prompt_tokens, context_tokens; /* "context_length_exceeded"; 0: not known */
};

/* The shape of an API's errors: for all its endpoints, and for what fails before one is known. */
struct dialect_family {
    const char *name; /* "openai", "anthropic", "ollama", "llama.cpp" */
    /* The whole body of an answer that is only an error, application/json. */
    int (*error_body)(const struct api_error *error, const char *request_id, struct buf *out);
};

extern const struct dialect_family family_openai, family_anthropic, family_ollama, family_llamacpp;

struct response_store;

struct dialect_input { /* borrowed for the call */
    const char *body;
    size_t len;
    const char *content_type;                           /* "" where the client said nothing */
    const char *(*header)(void *ctx, const char *name); /* NULL where absent */
    void *ctx;
    const char *owner;                /* whose stored responses may be built on */
    struct response_store *responses; /* NULL: nothing is stored */
    int64_t now_s;                    /* Unix time */
};

struct answer; /* one answer being made; private to its dialect */

struct dialect {
    const char *name; /* "openai chat" */
    const struct dialect_family *family;
    const char *stream_type; /* content type of a streamed answer; NULL: never streams */
    const char *whole_type;  /* … and of one given whole */

    /* Reads a request. -EINVAL with `*ret_param` (static or NULL) the field that is wrong: 400.
     * -ENOENT: something that it builds on is not there (any more): 404. -ENOMEM: 500.
     * `ret_request` was initialised by the caller, who frees it in any case. */
    int (*parse)(const struct dialect_input *input, struct request *ret_request,
            const char **ret_param, struct err *err);

    /* NULL where malloc refuses. `request` outlives the answer; its body may be gone. */
    struct answer *(*answer_create)(
            const struct request *request, const struct answer_facts *facts);
    void (*answer_destroy)(struct answer *answer);

    /* Streamed answers: each appends what goes out now, which may be nothing. -EPROTO where a delta
     * makes no sense in this API (no such choice, JSON of another shape) or the engine gave no
     * finish reason; -ENOBUFS, -ENOMEM. NULL in a dialect that never streams. */
    int (*stream_begin)(struct answer *answer, struct buf *out);
    int (*stream_delta)(struct answer *answer, const struct msg_delta *delta, struct buf *out);
    int (*stream_idle)(
            struct answer *answer, struct buf *out); /* a sign of life that clients count as one */
    int (*stream_end)(struct answer *answer, struct buf *out);
    /* After this nothing more is said. */
    int (*stream_error)(struct answer *answer, const struct api_error *error, struct buf *out);

    /* Whole answers: gather, then print. Errors as above; -ENOBUFS past DIALECT_ANSWER_MAX. */
    int (*gather)(struct answer *answer, const struct msg_delta *delta);
    int (*whole)(struct answer *answer, struct buf *out);
};

/* True where the delta is content: the first one commits the request to its instance. Pure. */
bool delta_is_content(const struct msg_delta *delta);
