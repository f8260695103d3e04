/* The Curve25519 key pair of a daemon on the link: made on first start, kept as STATE/link.key
 * (0600). The secret half lives in sodium_malloc()'s memory and is wiped; the public half is the
 * daemon's identity. Keys are written in Z85 (ZeroMQ RFC 32): 40 printable characters for 32 bytes.
 * Blocking; for start-up. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { KEY_Z85_LEN = 40, KEY_BYTES = 32 };

struct key_pair {
    char public_z85[KEY_Z85_LEN + 1];
    char *secret_z85; /* sodium_malloc, NUL-terminated */
};

/* Reads the pair from `path`, or makes one and writes it there if nothing is there. -EPERM where
 * others could read or write it, -EINVAL where it is no key, or what file_read_secret() and
 * file_write_private() return. A file that is there is never touched, and no part of it gets into
 * `err`. */
MUST_CHECK int keys_load_or_create(const char *path, struct key_pair *ret_pair, struct err *err);
/* A pair that is never written. */
MUST_CHECK int keys_generate(struct key_pair *ret_pair, struct err *err);
/* The pair that a raw secret half belongs to. -ENOMEM, -EIO, -ENOTSUP. */
MUST_CHECK int keys_from_secret(
        const uint8_t secret[KEY_BYTES], struct key_pair *ret_pair, struct err *err);
/* A number that only the pair's owner knows, and the same as long as it lives; another one for each
 * purpose. */
uint64_t keys_seed(const struct key_pair *pair, const char *purpose);
/* Wipes and frees the secret half. Takes a pair of zeros, and may be repeated. */
void keys_fini(struct key_pair *pair);

/* Reads a peer's public key, one line, from `path`. -ENOENT, -EINVAL where it is no key, or what
 * file_read() returns. */
MUST_CHECK int keys_read_public(const char *path, char ret_z85[KEY_Z85_LEN + 1], struct err *err);
/* True for 40 characters that decode to 32 bytes. */
bool key_z85_valid(const char *text);
/* The raw bytes of a key, and back: one text for one key. False where `text` is no key; then
 * `ret_raw` is as it was. */
MUST_CHECK bool key_to_raw(const char *text, uint8_t ret_raw[KEY_BYTES]);
void key_from_raw(const uint8_t raw[KEY_BYTES], char ret_z85[KEY_Z85_LEN + 1]);
