#include "common/trust/identity.h"

#include "common/base64url.h"
#include "common/file.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    IDENTITY_FILE_MAX = 256,
    SEED_TEXT_LEN = BASE64URL_LEN(crypto_sign_SEEDBYTES),
    DIGEST_BYTES = crypto_generichash_BYTES,
    BASE32_BITS = 5, /* that one letter holds */
};

static_assert(IDENTITY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519's public half");
static_assert(IDENTITY_TEXT_LEN == BASE64URL_LEN(IDENTITY_BYTES), "its text");
static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519's signature");
static_assert(IDENTITY_ID_LEN * BASE32_BITS <= DIGEST_BYTES * 8, "the id is a part of the digest");

static int alloc_secret(struct identity *identity, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, -EIO, "libsodium does not start: no source of randomness");
    identity->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (!identity->secret)
        return err_set(err, -ENOMEM, "no memory for the mesh's identity");
    return 0;
}

/* 32 bytes from text that is nothing else. */
static bool decode(const char *text, size_t len, uint8_t ret_bytes[IDENTITY_BYTES])
{
    size_t got;
    return base64url_decode(text, len, ret_bytes, IDENTITY_BYTES, &got) && got == IDENTITY_BYTES;
}

static size_t len_without_end(const char *text, size_t len)
{
    while (len > 0 && memchr(" \t\r\n", text[len - 1], 4))
        len--;
    return len;
}

static int secret_from_file(const char *path, struct identity *identity, struct err *err)
{
    char *text;
    size_t len;
    uint8_t seed[crypto_sign_SEEDBYTES];
    int r = file_read_secret(path, IDENTITY_FILE_MAX, &text, &len, err);
    if (r)
        return r;
    if (decode(text, len_without_end(text, len), seed))
        crypto_sign_seed_keypair(identity->public_key, identity->secret, seed);
    else
        r = err_set(err, -EINVAL,
                "%s holds no mesh identity (%d characters of base64url); restore it, or remove it "
                "to found a new mesh, which every node has to join anew",
                path, SEED_TEXT_LEN);
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(text, len);
    free(text);
    return r;
}

static int write_secret(const char *path, const struct identity *identity, struct err *err)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    char line[SEED_TEXT_LEN + 1];
    crypto_sign_ed25519_sk_to_seed(seed, identity->secret);
    base64url_encode(seed, sizeof(seed), line);
    line[SEED_TEXT_LEN] = '\n';
    int r = file_write_private(path, line, sizeof(line), err);
    sodium_memzero(line, sizeof(line));
    sodium_memzero(seed, sizeof(seed));
    return r;
}

int identity_generate(struct identity *ret_identity, struct err *err)
{
    struct identity identity = {0};
    int r = alloc_secret(&identity, err);
    if (r)
        return r;
    crypto_sign_keypair(identity.public_key, identity.secret);
    *ret_identity = identity;
    return 0;
}

int identity_load_or_create(const char *path, struct identity *ret_identity, struct err *err)
{
    struct identity identity = {0};
    int r = alloc_secret(&identity, err);
    if (r)
        return r;
    r = secret_from_file(path, &identity, err);
    if (r == -ENOENT) {
        crypto_sign_keypair(identity.public_key, identity.secret);
        r = write_secret(path, &identity, err);
    }
    if (r) {
        identity_fini(&identity);
        return r;
    }
    *ret_identity = identity;
    return 0;
}

void identity_fini(struct identity *identity)
{
    sodium_free(identity->secret);
    identity->secret = NULL;
}

void identity_sign(const struct identity *identity, const void *data, size_t len,
        uint8_t ret_signature[SIGNATURE_BYTES])
{
    crypto_sign_detached(ret_signature, NULL, data, len, identity->secret);
}

bool identity_verify(const uint8_t public_key[IDENTITY_BYTES], const void *data, size_t len,
        const uint8_t signature[SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, data, len, public_key) == 0;
}

void identity_to_text(
        const uint8_t public_key[IDENTITY_BYTES], char ret_text[IDENTITY_TEXT_LEN + 1])
{
    base64url_encode(public_key, IDENTITY_BYTES, ret_text);
}

int identity_from_text(const char *text, uint8_t ret_public_key[IDENTITY_BYTES], struct err *err)
{
    uint8_t public_key[IDENTITY_BYTES];
    if (!decode(text, strlen(text), public_key))
        return err_set(err, -EINVAL, "\"%.60s\" is no mesh identity (%d characters of base64url)",
                text, IDENTITY_TEXT_LEN);
    memcpy(ret_public_key, public_key, IDENTITY_BYTES);
    return 0;
}

/* The letter at `index`: base32 takes the bits from the high end (RFC 4648, section 6). */
static char base32_letter(const uint8_t *bytes, size_t index)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned value = 0;
    for (size_t bit = index * BASE32_BITS; bit < (index + 1) * BASE32_BITS; bit++)
        value = value << 1 | ((unsigned)bytes[bit / 8] >> (7 - bit % 8) & 1);
    return alphabet[value];
}

void identity_id(const uint8_t public_key[IDENTITY_BYTES], char ret_id[IDENTITY_ID_LEN + 1])
{
    uint8_t digest[DIGEST_BYTES];
    crypto_generichash(digest, sizeof(digest), public_key, IDENTITY_BYTES, NULL, 0);
    for (size_t i = 0; i < IDENTITY_ID_LEN; i++)
        ret_id[i] = base32_letter(digest, i);
    ret_id[IDENTITY_ID_LEN] = '\0';
}
