/* The identity of a mesh: an Ed25519 key pair (libsodium, RFC 8032) that signs memberships
 * (certificate.h). The first coordinator makes it and keeps it as STATE/mesh.key (0600, base64url
 * of the 32-byte seed); everybody else knows its public half, which is what is pinned. The secret
 * half lives in sodium_malloc()'s memory. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IDENTITY_BYTES = 32,    /* of the public half */
    IDENTITY_TEXT_LEN = 43, /* of the public half in base64url without padding */
    IDENTITY_ID_LEN = 16,   /* letters of the mesh's short id */
    SIGNATURE_BYTES = 64,
};

struct identity {
    uint8_t public_key[IDENTITY_BYTES];
    uint8_t *secret; /* crypto_sign_SECRETKEYBYTES, sodium_malloc */
};

/* Reads the identity from `path`, or makes one and writes it where nothing is there. Errors as of
 * keys_load_or_create(); a file that is there is never touched. Blocking; for start-up. */
MUST_CHECK int identity_load_or_create(
        const char *path, struct identity *ret_identity, struct err *err);
/* One that is never written. */
MUST_CHECK int identity_generate(struct identity *ret_identity, struct err *err);
/* Wipes and frees the secret half. Takes an identity of zeros, and may be repeated. */
void identity_fini(struct identity *identity);

void identity_sign(const struct identity *identity, const void *data, size_t len,
        uint8_t ret_signature[SIGNATURE_BYTES]);
bool identity_verify(const uint8_t public_key[IDENTITY_BYTES], const void *data, size_t len,
        const uint8_t signature[SIGNATURE_BYTES]);

/* The public half as text, and back. -EINVAL where `text` is none. */
void identity_to_text(
        const uint8_t public_key[IDENTITY_BYTES], char ret_text[IDENTITY_TEXT_LEN + 1]);
MUST_CHECK int identity_from_text(
        const char *text, uint8_t ret_public_key[IDENTITY_BYTES], struct err *err);
/* What people and announcements call the mesh: the first letters of a hash of the public half, in
 * lower-case base32 ("k3vqz7m2a5tdh4ef"). Not a proof: 80 bits that anybody may repeat. */
void identity_id(const uint8_t public_key[IDENTITY_BYTES], char ret_id[IDENTITY_ID_LEN + 1]);
