#include "common/trust/keys.h"

#include "common/file.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { KEY_FILE_MAX = 256 };

static int alloc_secret(struct key_pair *pair, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, -EIO, "libsodium does not start: no source of randomness");
    pair->secret_z85 = sodium_malloc(KEY_Z85_LEN + 1);
    if (!pair->secret_z85)
        return err_set(err, -ENOMEM, "no memory for a secret key");
    return 0;
}

bool key_to_raw(const char *text, uint8_t ret_raw[KEY_BYTES])
{
    uint8_t raw[KEY_BYTES]; /* a secret, it may be */
    bool valid = strlen(text) == KEY_Z85_LEN && zmq_z85_decode(raw, text);
    if (valid)
        memcpy(ret_raw, raw, KEY_BYTES);
    sodium_memzero(raw, sizeof(raw));
    return valid;
}

void key_from_raw(const uint8_t raw[KEY_BYTES], char ret_z85[KEY_Z85_LEN + 1])
{
    zmq_z85_encode(ret_z85, raw, KEY_BYTES);
}

bool key_z85_valid(const char *text)
{
    uint8_t raw[KEY_BYTES];
    bool valid = key_to_raw(text, raw);
    sodium_memzero(raw, sizeof(raw));
    return valid;
}

/* True where `text` is one key and white space behind it, which is cut off in place. */
static bool is_one_key(char *text, size_t len)
{
    bool has_nul = strlen(text) < len;
    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        text[--len] = '\0';
    return !has_nul && key_z85_valid(text);
}

static int secret_from_file(const char *path, struct key_pair *pair, struct err *err)
{
    char *text;
    size_t len;
    int r = file_read_secret(path, KEY_FILE_MAX, &text, &len, err);
    if (r)
        return r;
    if (!is_one_key(text, len)) {
        r = err_set(err, -EINVAL,
                "%s holds no link key (40 characters of Z85); restore it, or remove it to get a "
                "new identity",
                path);
    } else {
        memcpy(pair->secret_z85, text, KEY_Z85_LEN + 1);
        if (zmq_curve_public(pair->public_z85, pair->secret_z85))
            r = err_set(err, -EINVAL, "%s: no public key can be made from it", path);
    }
    sodium_memzero(text, len);
    free(text);
    return r;
}

static int write_secret(const char *path, const struct key_pair *pair, struct err *err)
{
    char line[KEY_Z85_LEN + 1];
    memcpy(line, pair->secret_z85, KEY_Z85_LEN);
    line[KEY_Z85_LEN] = '\n';
    int r = file_write_private(path, line, sizeof(line), err);
    sodium_memzero(line, sizeof(line));
    return r;
}

static int fail_without_curve(struct key_pair *pair, struct err *err)
{
    keys_fini(pair);
    return err_set(err, -ENOTSUP, "libzmq was built without CURVE");
}

int keys_generate(struct key_pair *ret_pair, struct err *err)
{
    struct key_pair pair = {0};
    int r = alloc_secret(&pair, err);
    if (r)
        return r;
    if (zmq_curve_keypair(pair.public_z85, pair.secret_z85))
        return fail_without_curve(&pair, err);
    *ret_pair = pair;
    return 0;
}

int keys_from_secret(const uint8_t secret[KEY_BYTES], struct key_pair *ret_pair, struct err *err)
{
    struct key_pair pair = {0};
    int r = alloc_secret(&pair, err);
    if (r)
        return r;
    key_from_raw(secret, pair.secret_z85);
    if (zmq_curve_public(pair.public_z85, pair.secret_z85))
        return fail_without_curve(&pair, err);
    *ret_pair = pair;
    return 0;
}

int keys_load_or_create(const char *path, struct key_pair *ret_pair, struct err *err)
{
    struct key_pair pair = {0};
    int r = alloc_secret(&pair, err);
    if (r)
        return r;
    r = secret_from_file(path, &pair, err);
    if (r == -ENOENT) {
        keys_fini(&pair);
        r = keys_generate(&pair, err);
        if (!r)
            r = write_secret(path, &pair, err);
    }
    if (r) {
        keys_fini(&pair);
        return r;
    }
    *ret_pair = pair;
    return 0;
}

uint64_t keys_seed(const struct key_pair *pair, const char *purpose)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    uint64_t seed;
    (void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)purpose, strlen(purpose),
            (const uint8_t *)pair->secret_z85, KEY_Z85_LEN); /* fails for other sizes only */
    memcpy(&seed, hash, sizeof(seed));
    return seed;
}

void keys_fini(struct key_pair *pair)
{
    sodium_free(pair->secret_z85);
    pair->secret_z85 = NULL;
}

int keys_read_public(const char *path, char ret_z85[KEY_Z85_LEN + 1], struct err *err)
{
    char *text;
    size_t len;
    int r = file_read_guarded(path, KEY_FILE_MAX, &text, &len, err);
    if (r)
        return r;
    if (is_one_key(text, len))
        memcpy(ret_z85, text, KEY_Z85_LEN + 1);
    else
        r = err_set(err, -EINVAL, "%s holds no public key (one line of 40 Z85 characters)", path);
    free(text);
    return r;
}
