/* API keys of editors and of people who run the mesh: STATE/api-keys.json. A key is "mm_" and 43
 * letters of base64url (256 random bits), shown once; kept is its BLAKE2b hash. A presented key is
 * hashed and compared with every hash in constant time. Writes block on one small file. Loop
 * thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    API_KEYS_MAX = 1024,
    API_KEYS_FILE_MAX = 4 * 1024 * 1024,
    API_KEY_TEXT_LEN = 3 + 43,
    API_KEY_HASH_BYTES = 32,
    API_KEY_NAME_MAX = 63,  /* [A-Za-z0-9._-] */
    API_KEY_SCOPE_MAX = 64, /* modes, and models, that one key names */
    API_KEY_SCOPE_NAME_MAX = 128,
    API_KEY_RATE_MAX = 1000000, /* requests a minute */
};

struct api_key {
    char name[API_KEY_NAME_MAX + 1];
    uint8_t hash[API_KEY_HASH_BYTES];
    bool admin;   /* may run the mesh, and everything below */
    char **modes; /* that it may use; none listed: all */
    size_t mode_count;
    char **models; /* that it may ask for by name, and that may answer it; none listed: all */
    size_t model_count;
    uint32_t requests_per_minute; /* 0: no limit */
    int64_t created_ms;           /* Unix time */
    /* In memory only: */
    int64_t last_used_ms; /* Unix time, 0: not since the start */
    uint64_t requests;
    double tokens;         /* of its rate's bucket */
    uint64_t tokens_at_ms; /* env's clock */
    char last_address[64]; /* where it was last good */
};

struct api_keys;

/* As members_open(); `env` is borrowed. */
MUST_CHECK int api_keys_open(
        const char *path, const struct env *env, struct api_keys **ret_keys, struct err *err);
void api_keys_close(struct api_keys *keys); /* takes NULL */

struct api_key_spec { /* borrowed */
    const char *name;
    bool admin;
    const char *const *modes;
    size_t mode_count;
    const char *const *models;
    size_t model_count;
    uint64_t requests_per_minute;
};
/* Makes a key and writes its text, which nobody can get again, to `ret_text`; the caller wipes it.
 * -EEXIST (the name is taken), -EINVAL, -ERANGE, -E2BIG name the value, -ENOSPC at API_KEYS_MAX or
 * API_KEYS_FILE_MAX, or what file_write_private() returns; then nothing has changed. */
MUST_CHECK int api_keys_create(struct api_keys *keys, const struct api_key_spec *spec,
        char ret_text[API_KEY_TEXT_LEN + 1], struct err *err);
/* -ENOENT names the nearest. */
MUST_CHECK int api_keys_revoke(struct api_keys *keys, const char *name, struct err *err);
/* NULL where no key is this one; else it counts as used now, and the caller notes the address. Not
 * borrowed for longer than until the next create or revoke: who answers later copies what it needs.
 */
struct api_key *api_keys_check(struct api_keys *keys, const char *text);
/* True for text that begins as our keys do: others, which editors insist on sending, are not meant
 * for us. */
bool api_key_is_ours(const char *text);
size_t api_keys_count(const struct api_keys *keys);
const struct api_key *api_keys_at(
        const struct api_keys *keys, size_t index); /* NULL past the last */

/* An empty list in a key allows all. */
bool api_key_allows_mode(const struct api_key *key, const char *mode);
bool api_key_allows_model(const struct api_key *key, const char *model);
/* Counts one request. 0; or -EBUSY with the seconds until the next is allowed. A minute's worth may
 * come at once. */
MUST_CHECK int api_key_take(struct api_key *key, uint64_t now_ms, uint32_t *ret_retry_s);
