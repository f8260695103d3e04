/* The join token for nodes of the same user on this host, in the state directory's local.token:
 * they join by it without approval. Made anew at each start, revoked at the end. Loop thread. */
#pragma once

#include "coordinator/api/operations.h"

#define LOCAL_TOKEN_FILE_NAME "local.token"

/* Writes it to `path`, readable only by this user, in place of what an earlier start left there,
 * whose token is revoked. Where that does not succeed it says so in the log: nodes of this host
 * then wait for approval, as others do. */
void local_token_write(const struct operations *operations, const char *path);
/* Where one was made. */
void local_token_revoke(const struct operations *operations);
