/* certificate_parse() on any bytes. The first byte says what the rest is: a certificate as it
 * comes, or (SIGNED) a body that is signed here, with our identity as its mesh, so that the fuzzer
 * gets past the signature. Whoever signs is known, so what is taken can be signed again, to the
 * same bytes. */
#include "common/trust/certificate.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIGNED = 1, UNTOUCHED = 99, AT_MESH = 29, BODY_MAX = 512 };

static const char context[] = "modemesh certificate";

/* From a seed of zeros. */
static const struct identity *our_identity(void)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES];
    static uint8_t secret[crypto_sign_SECRETKEYBYTES];
    static struct identity identity = {.secret = secret};
    crypto_sign_seed_keypair(identity.public_key, secret, seed);
    return &identity;
}

/* Puts the mesh and the signature to the body; returns the whole length. */
static size_t sign_body(const struct identity *identity, const uint8_t *body, size_t len,
        uint8_t ret_whole[BODY_MAX + SIGNATURE_BYTES])
{
    uint8_t message[sizeof(context) + BODY_MAX];
    memcpy(ret_whole, body, len);
    if (len >= AT_MESH + IDENTITY_BYTES)
        memcpy(ret_whole + AT_MESH, identity->public_key, IDENTITY_BYTES);
    memcpy(message, context, sizeof(context));
    memcpy(message + sizeof(context), ret_whole, len);
    identity_sign(identity, message, sizeof(context) + len, ret_whole + len);
    return len + SIGNATURE_BYTES;
}

static void check_taken(const struct identity *identity, const struct certificate *certificate,
        const void *data, size_t len)
{
    struct certificate_bytes again;
    assert(memcmp(certificate->mesh, identity->public_key, IDENTITY_BYTES) == 0);
    assert(key_z85_valid(certificate->key) && certificate_name_valid(certificate->name));
    certificate_sign(identity, certificate, &again);
    assert(again.len == len && memcmp(again.data, data, len) == 0);
    assert(certificate_check(certificate, identity->public_key, certificate->key,
                   (enum certificate_role)certificate->roles,
                   certificate->not_after_s) != CERTIFICATE_EXPIRED);
}

static void check_parse(const struct identity *identity, const void *data, size_t len, bool is_ours)
{
    struct certificate certificate = {.serial = UNTOUCHED, .roles = UNTOUCHED};
    struct err err = {.text = ""};
    int r = certificate_parse(data, len, &certificate, &err);
    if (r == 0) {
        check_taken(identity, &certificate, data, len);
        return;
    }
    assert(r == -EINVAL && err.text[0] != '\0');
    assert(!is_ours || !strstr(err.text, "signature"));
    assert(certificate.serial == UNTOUCHED && certificate.roles == UNTOUCHED);
}

/* One text for one run of bytes, and back. */
static void check_text(const uint8_t *data, size_t size)
{
    char text[BODY_MAX + 1], again[CERTIFICATE_TEXT_MAX + 1];
    struct certificate_bytes bytes;
    memcpy(text, data, size);
    text[size] = '\0';
    if (certificate_bytes_from_text(text, &bytes, NULL))
        return;
    int r = certificate_bytes_to_text(&bytes, again, sizeof(again));
    assert(r == 0 && strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct identity *identity = our_identity();
    uint8_t whole[BODY_MAX + SIGNATURE_BYTES];
    if (size == 0 || size - 1 > BODY_MAX)
        return 0;
    const uint8_t *rest = data + 1;
    size_t len = size - 1;
    check_text(rest, len);
    if (data[0] == SIGNED)
        check_parse(identity, whole, sign_body(identity, rest, len, whole), true);
    else
        check_parse(identity, rest, len, false);
    return 0;
}
