/* Answers of OpenAI's Responses API that clients come back to: by previous_response_id, by a
 * reference to an item, by GET. Each belongs to its owner (who asked); to others it is not there.
 *
 * A response holds its own input and its object, as the client was given it. The conversation
 * before it is the chain of its previous ones, which live as long as it, also where they cannot be
 * asked for any more. All is bounded: what was not used for longest goes first. Inputs go before
 * the responses, since a client that refers to items needs no inputs, but half of the room is
 * theirs. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

enum {
    RESPONSE_ID_MAX = 64, /* bytes; ours are "resp_" and 24 hex digits */
    /* Past these the oldest go: responses, bytes of all of them. */
    RESPONSE_STORE_COUNT = 4096,
    RESPONSE_STORE_BYTES = 256 * 1024 * 1024,
    /* Past this an input, or a response, is not kept at all. */
    RESPONSE_STORE_ONE_BYTES = 32 * 1024 * 1024,
    RESPONSE_STORE_AGE_MS = 24 * 60 * 60 * 1000, /* since it was last used */
    /* What one request may refer to: items' bytes, and bytes that are searched for them. */
    RESPONSE_REFERENCES_BYTES = 64 * 1024 * 1024,
};

struct response_store;

struct response_store_config {
    const struct env *env; /* borrowed */
    size_t count_max;      /* 0: RESPONSE_STORE_COUNT */
    size_t bytes_max;      /* 0: RESPONSE_STORE_BYTES */
};

struct stored_response { /* borrowed for the call; texts are NUL-terminated */
    const char *id;      /* "resp_…", at most RESPONSE_ID_MAX bytes */
    const char *owner;
    const char *previous;         /* the response before it; "": none */
    const char *input;            /* JSON: an array of items that refer to nothing */
    const char *object;           /* JSON: the response as it was given … */
    size_t output_at, output_len; /* … and where in it the array of its output stands; 0: none */
};

/* NULL where malloc refuses. */
struct response_store *response_store_create(const struct response_store_config *config);
/* Takes NULL. */
void response_store_destroy(struct response_store *store);

/* Keeps a copy; one of the same id is replaced. -EMSGSIZE where it is too large, -EINVAL where the
 * id is, -ENOMEM: then nothing is kept. */
MUST_CHECK int response_store_put(
        struct response_store *store, const struct stored_response *response);
/* What has not been used for too long goes. Every other call does this, too. */
void response_store_expire(struct response_store *store);

/* The object's text, borrowed until the next call. NULL: it is not there. */
const char *response_store_object(struct response_store *store, const char *owner, const char *id);
/* -ENOENT. Those that build on it keep it as a part of their conversation. */
MUST_CHECK int response_store_delete(
        struct response_store *store, const char *owner, const char *id);
/* The items of its own input, each with an id; the caller frees. -ENOENT where they are not there
 * (any more), -ENOMEM. */
MUST_CHECK int response_store_input(
        struct response_store *store, const char *owner, const char *id, cJSON **ret_items);
/* The same of an input's text, for a response that is not stored yet. */
MUST_CHECK int response_input_parse(const char *id, const char *input, cJSON **ret_items);
/* All items of the conversation up to it, its output included; the caller frees. -ENOENT where it,
 * or the input of it or of one before it, is gone; -EMSGSIZE where they are more than a request may
 * hold; -ENOMEM. */
MUST_CHECK int response_store_conversation(struct response_store *store, const char *owner,
        const char *id, cJSON **ret_items, struct err *err);
/* Replaces each item_reference in the array `items` by the item of a response's output. Items' ids
 * tell where they are: "msg_HEX_3" is the output 3 of "resp_HEX". -ENOENT, -EMSGSIZE, -ENOMEM. */
MUST_CHECK int response_store_resolve(
        struct response_store *store, const char *owner, cJSON *items, struct err *err);
