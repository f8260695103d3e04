#include "common/trust/join_token.h"

#include "common/base64url.h"
#include "common/file.h"
#include "common/text.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    CHECK_LEN = 4,
    PREFIX_LEN = 4,
    RAW_MAX = 1 + 8 + IDENTITY_BYTES + 2 * KEY_BYTES + 1 +
              JOIN_TOKEN_ADDRESSES_MAX * (1 + JOIN_TOKEN_ADDRESS_MAX) + CHECK_LEN,
};

static_assert(PREFIX_LEN + BASE64URL_LEN(RAW_MAX) < JOIN_TOKEN_TEXT_MAX, "every token fits");

static const char prefix[] = "mmj_";

/* A token's bytes. They hold its secret: wiped wherever one ends. */
struct raw {
    size_t len;
    uint8_t data[RAW_MAX];
};

static bool address_valid(const char *address)
{
    struct text_addr addr;
    return strlen(address) <= JOIN_TOKEN_ADDRESS_MAX &&
           text_parse_addr(address, &addr, NULL) == 0 && addr.port != 0;
}

static void make_check(const uint8_t *data, size_t len, uint8_t ret_check[CHECK_LEN])
{
    uint8_t digest[crypto_generichash_BYTES];
    crypto_generichash(digest, sizeof(digest), data, len, NULL, 0);
    memcpy(ret_check, digest, CHECK_LEN);
}

/* --- writing --- */

static void put(struct raw *raw, const void *data, size_t len)
{
    assert(len <= sizeof(raw->data) - raw->len);
    memcpy(raw->data + raw->len, data, len);
    raw->len += len;
}

static void put_u8(struct raw *raw, size_t value)
{
    assert(value <= UINT8_MAX);
    put(raw, &(uint8_t){(uint8_t)value}, 1);
}

static int put_key(struct raw *raw, const char *key_z85, const char *whose, struct err *err)
{
    assert(sizeof(raw->data) - raw->len >= KEY_BYTES);
    if (!key_z85 || !key_to_raw(key_z85, raw->data + raw->len))
        return err_set(err, -EINVAL, "the %s of a join token is no link key", whose);
    raw->len += KEY_BYTES;
    return 0;
}

static int put_addresses(struct raw *raw, const struct join_token *token, struct err *err)
{
    if (token->address_count == 0 || token->address_count > JOIN_TOKEN_ADDRESSES_MAX)
        return err_set(err, -EINVAL, "a join token holds 1 to %d addresses, not %zu",
                JOIN_TOKEN_ADDRESSES_MAX, token->address_count);
    put_u8(raw, token->address_count);
    for (size_t i = 0; i < token->address_count; i++) {
        const char *address = token->addresses[i];
        if (!address_valid(address))
            return err_set(
                    err, -EINVAL, "\"%s\" is no address (HOST:PORT) for a join token", address);
        put_u8(raw, strlen(address));
        put(raw, address, strlen(address));
    }
    return 0;
}

static int put_token(struct raw *raw, const struct join_token *token, struct err *err)
{
    uint64_t expires_s = htole64(token->expires_s);
    uint8_t check[CHECK_LEN];
    put_u8(raw, VERSION);
    put(raw, &expires_s, sizeof(expires_s));
    put(raw, token->mesh, IDENTITY_BYTES);
    int r = put_key(raw, token->coordinator_key, "coordinator's key", err);
    if (!r)
        r = put_key(raw, token->pair.secret_z85, "secret", err);
    if (!r)
        r = put_addresses(raw, token, err);
    if (r)
        return r;
    make_check(raw->data, raw->len, check);
    put(raw, check, sizeof(check));
    return 0;
}

static int append_text(struct buf *out, const struct raw *raw, struct err *err)
{
    size_t len = PREFIX_LEN + BASE64URL_LEN(raw->len);
    void *room;
    int r = buf_reserve(out, len + 1, &room);
    if (r)
        return err_set(err, r, "no room for a join token of %zu letters", len);
    memcpy(room, prefix, PREFIX_LEN);
    base64url_encode(raw->data, raw->len, (char *)room + PREFIX_LEN);
    buf_commit(out, len);
    return 0;
}

int join_token_append(struct buf *out, const struct join_token *token, struct err *err)
{
    struct raw raw = {.len = 0};
    int r = put_token(&raw, token, err);
    if (!r)
        r = append_text(out, &raw, err);
    sodium_memzero(&raw, sizeof(raw));
    return r;
}

/* --- reading --- */

static int fail_broken(struct err *err)
{
    return err_set(err, -EINVAL, "the join token is cut off or mistyped; copy it again, whole");
}

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

static void trim(const char **text, size_t *len)
{
    for (; *len > 0 && is_blank(**text); (*len)--)
        (*text)++;
    while (*len > 0 && is_blank((*text)[*len - 1]))
        (*len)--;
}

/* The bytes of the line without their check, which is right. */
static int read_text(const char *text, size_t len, struct raw *raw, struct err *err)
{
    uint8_t check[CHECK_LEN];
    trim(&text, &len);
    if (len < PREFIX_LEN || memcmp(text, prefix, PREFIX_LEN) != 0)
        return err_set(err, -EINVAL, "this is no join token: one begins with \"%s\"", prefix);
    if (!base64url_decode(
                text + PREFIX_LEN, len - PREFIX_LEN, raw->data, sizeof(raw->data), &raw->len) ||
            raw->len <= CHECK_LEN)
        return fail_broken(err);
    raw->len -= CHECK_LEN;
    make_check(raw->data, raw->len, check);
    return memcmp(raw->data + raw->len, check, CHECK_LEN) == 0 ? 0 : fail_broken(err);
}

static int read_version(struct reader *reader, struct err *err)
{
    uint8_t version;
    if (reader_u8(reader, &version))
        return fail_broken(err);
    if (version != VERSION)
        return err_set(err, -EINVAL, "the join token is of a newer version; update modemesh here");
    return 0;
}

static int read_keys(struct reader *reader, struct join_token *token, struct err *err)
{
    const void *mesh, *coordinator_key, *secret;
    if (reader_u64(reader, &token->expires_s) || reader_bytes(reader, IDENTITY_BYTES, &mesh) ||
            reader_bytes(reader, KEY_BYTES, &coordinator_key) ||
            reader_bytes(reader, KEY_BYTES, &secret))
        return fail_broken(err);
    memcpy(token->mesh, mesh, IDENTITY_BYTES);
    key_from_raw(coordinator_key, token->coordinator_key);
    return keys_from_secret(secret, &token->pair, err);
}

static int read_address(struct reader *reader, char *address, struct err *err)
{
    uint8_t len;
    const void *data;
    if (reader_u8(reader, &len) || reader_bytes(reader, len, &data))
        return fail_broken(err);
    memcpy(address, data, len);
    address[len] = '\0';
    return strlen(address) == len && address_valid(address)
                   ? 0
                   : err_set(err, -EINVAL, "the join token holds an address that is none");
}

static int read_addresses(struct reader *reader, struct join_token *token, struct err *err)
{
    uint8_t count;
    if (reader_u8(reader, &count))
        return fail_broken(err);
    if (count == 0 || count > JOIN_TOKEN_ADDRESSES_MAX)
        return err_set(err, -EINVAL, "the join token holds no address, or more than %d",
                JOIN_TOKEN_ADDRESSES_MAX);
    token->address_count = count;
    int r = 0;
    for (size_t i = 0; i < count && !r; i++)
        r = read_address(reader, token->addresses[i], err);
    return r;
}

/* On failure too `token` may hold a secret. */
static int read_token(const struct raw *raw, struct join_token *token, struct err *err)
{
    struct reader reader;
    reader_init(&reader, raw->data, raw->len);
    int r = read_version(&reader, err);
    if (!r)
        r = read_keys(&reader, token, err);
    if (!r)
        r = read_addresses(&reader, token, err);
    if (!r && reader.left > 0)
        r = fail_broken(err);
    return r;
}

int join_token_parse(const char *text, size_t len, struct join_token *ret_token, struct err *err)
{
    struct join_token token = {.address_count = 0};
    struct raw raw = {.len = 0};
    int r = read_text(text, len, &raw, err);
    if (!r)
        r = read_token(&raw, &token, err);
    sodium_memzero(&raw, sizeof(raw));
    if (r) {
        join_token_fini(&token);
        return r;
    }
    *ret_token = token;
    return 0;
}

int join_token_read(const char *path, struct join_token *ret_token, struct err *err)
{
    char *text;
    size_t len;
    int r = file_read_secret(path, JOIN_TOKEN_TEXT_MAX, &text, &len, err);
    if (r)
        return r;
    r = join_token_parse(text, len, ret_token, err);
    if (r)
        err_prefix(err, r, "%s", path);
    sodium_memzero(text, len);
    free(text);
    return r;
}

void join_token_fini(struct join_token *token)
{
    keys_fini(&token->pair);
}
