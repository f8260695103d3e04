/* What a node was given to join with, by its settings: the key of its coordinator, a join token, or
 * the file where one is or will be. Read once, at start; blocking. What becomes of it is
 * joining.h's. */
#pragma once

#include "common/config/config.h"
#include "common/err.h"
#include "common/trust/join_token.h"
#include "common/trust/keys.h"

#include <limits.h>
#include <stdbool.h>

struct invitation {
    char coordinator_key[KEY_Z85_LEN + 1]; /* "": none is set */
    bool has_token;
    struct join_token token;
    /* A file to look for a token in while this node is no member: where a coordinator of the same
     * user on this host leaves one, or what was given and is not there yet. "": no such place. */
    char token_file[PATH_MAX];
};

/* Settings coordinator-key, join and local-token. Errors as of keys_read_public(),
 * join_token_parse() and join_token_read(). Nothing that may be a token is repeated in the text or
 * the log. On success the caller calls invitation_fini(). */
MUST_CHECK int invitation_read(
        const struct config *config, struct invitation *ret_invitation, struct err *err);
/* Wipes the secret. Takes an invitation of zeros. */
void invitation_fini(struct invitation *invitation);
