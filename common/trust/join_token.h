/* A join token: one line that lets a machine join with no approval and nothing trusted on first
 * use. It holds where coordinators are, the identity of their mesh, the link key they prove, and a
 * link key made for the token, which is a secret. How often and how long it works is the
 * coordinator's book (coordinator/tokens.h); no node looks at the expiry in it.
 *
 * Text: "mmj_" and base64url without padding of
 *   version 1                         1
 *   expiry                            8   Unix time in seconds, 0: none; little-endian
 *   mesh                              32  identity's public half
 *   coordinator's link key            32
 *   the token's secret link key       32
 *   count of addresses                1   1 … 16
 *   each: length, "HOST:PORT"         1, …
 *   check                             4   first bytes of BLAKE2b over all before
 * The check finds typing errors; a token of every version ends with one. The secret lives in
 * sodium_malloc()'s memory. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/trust/identity.h"
#include "common/trust/keys.h"

#include <stddef.h>
#include <stdint.h>

enum {
    JOIN_TOKEN_ADDRESSES_MAX = 16,
    JOIN_TOKEN_ADDRESS_MAX = 255, /* bytes of one */
    JOIN_TOKEN_TEXT_MAX = 8192,   /* letters of the whole line */
};

struct join_token {
    uint64_t expires_s; /* Unix time, 0: never */
    uint8_t mesh[IDENTITY_BYTES];
    char coordinator_key[KEY_Z85_LEN + 1];
    struct key_pair pair; /* the token's own */
    size_t address_count;
    char addresses[JOIN_TOKEN_ADDRESSES_MAX][JOIN_TOKEN_ADDRESS_MAX + 1]; /* "HOST:PORT" */
};

/* Appends the line, without newline. Whoever appends to a buf that reallocates leaves copies of the
 * secret: reserve JOIN_TOKEN_TEXT_MAX first and wipe it after. -EINVAL where a field is not valid,
 * -ENOBUFS, -ENOMEM. */
MUST_CHECK int join_token_append(struct buf *out, const struct join_token *token, struct err *err);
/* White space around the line is dropped. No part of `text` gets into `err`. -EINVAL says what is
 * wrong (not a token, cut off or mistyped, of a newer version), -ENOMEM. On success the caller
 * calls join_token_fini(). */
MUST_CHECK int join_token_parse(
        const char *text, size_t len, struct join_token *ret_token, struct err *err);
/* Reads it from a file that only its owner can read. Errors as of file_read_secret() and
 * join_token_parse(). */
MUST_CHECK int join_token_read(const char *path, struct join_token *ret_token, struct err *err);
/* Wipes the secret. Takes a token of zeros. */
void join_token_fini(struct join_token *token);
