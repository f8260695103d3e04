/* The book of join tokens: STATE/tokens.json. A token's secret half is only in its one line of text
 * (common/trust/join_token.h); here is the public half, how often and until when it works. Expired
 * and used up ones leave the book. Writes block on one small file. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/trust/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKENS_MAX = 256,
    TOKENS_FILE_MAX = 256 * 1024,
    TOKEN_ID_LEN = 8, /* hex digits, from a hash of its key */
    TOKEN_USES_MAX = 100000,
    TOKENS_PAST_MAX = 256, /* keys of former tokens that are remembered until the next start */
};

struct token {
    char id[TOKEN_ID_LEN + 1];
    char key[KEY_Z85_LEN + 1];
    unsigned roles;     /* as members have them */
    uint64_t uses_left; /* 1 … TOKEN_USES_MAX */
    uint64_t uses;      /* so far */
    int64_t created_ms; /* Unix time */
    int64_t expires_ms; /* Unix time */
};

struct tokens;

/* As members_open(). */
MUST_CHECK int tokens_open(const char *path, struct tokens **ret_tokens, struct err *err);
void tokens_close(struct tokens *tokens); /* takes NULL */

/* `token->id` is made from its key. -ENOSPC at TOKENS_MAX, -EEXIST, -EINVAL (names what the file
 * cannot hold), or what file_write_private() returns; then nothing has changed. */
MUST_CHECK int tokens_add(struct tokens *tokens, struct token *token, struct err *err);
/* NULL where the key is no token, or one that is used up or expired at `now_ms` (Unix time).
 * Borrowed until the next change. */
const struct token *tokens_find_key(
        const struct tokens *tokens, const char *key_z85, int64_t now_ms);
/* True for the key of a token that is used up, expired or revoked, as far as that is remembered:
 * such a key is no unknown node's. */
bool tokens_was_key(const struct tokens *tokens, const char *key_z85, int64_t now_ms);
/* Takes one use. -ENOENT (unknown, used up, expired), or what file_write_private() returns; then
 * nothing has changed. */
MUST_CHECK int tokens_use(
        struct tokens *tokens, const char *key_z85, int64_t now_ms, struct err *err);
/* -ENOENT, or what file_write_private() returns. */
MUST_CHECK int tokens_revoke(struct tokens *tokens, const char *id, struct err *err);
/* Drops the expired ones from the list (and from the file at the next change). */
void tokens_tick(struct tokens *tokens, int64_t now_ms);
size_t tokens_count(const struct tokens *tokens);
/* In the order of creation; NULL past the last. */
const struct token *tokens_at(const struct tokens *tokens, size_t index);
