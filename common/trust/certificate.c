#include "common/trust/certificate.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

enum {
    MAGIC_LEN = 4,
    ROLES_ALL = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE | CERTIFICATE_ROLE_COORDINATOR,
};

static const char magic[] = "mmc1";
/* Its NUL is signed too. No other use of the identity begins so. */
static const char context[] = "modemesh certificate";

/* What is signed. */
struct message {
    size_t len;
    uint8_t data[sizeof(context) + CERTIFICATE_BYTES_MAX];
};

static const char *const fault_texts[CERTIFICATE_FAULT_COUNT] = {
        [CERTIFICATE_FINE] = "fine",
        [CERTIFICATE_FOREIGN] = "of another mesh",
        [CERTIFICATE_OTHER_KEY] = "of another link key",
        [CERTIFICATE_WRONG_ROLE] = "not for this role",
        [CERTIFICATE_NOT_YET] = "not valid yet",
        [CERTIFICATE_EXPIRED] = "expired",
};

bool certificate_name_valid(const char *name)
{
    static const char allowed[] =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    return len > 0 && len <= CERTIFICATE_NAME_MAX && strspn(name, allowed) == len;
}

static bool roles_valid(unsigned roles)
{
    return roles != 0 && (roles & ~(unsigned)ROLES_ALL) == 0;
}

static struct message message_of(const void *body, size_t len)
{
    struct message message = {.len = sizeof(context) + len};
    memcpy(message.data, context, sizeof(context));
    memcpy(message.data + sizeof(context), body, len);
    return message;
}

/* --- writing --- */

static void put(struct certificate_bytes *bytes, const void *data, size_t len)
{
    assert(len <= sizeof(bytes->data) - bytes->len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static void put_u8(struct certificate_bytes *bytes, size_t value)
{
    assert(value <= UINT8_MAX);
    put(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void put_u64(struct certificate_bytes *bytes, uint64_t value)
{
    uint64_t little = htole64(value);
    put(bytes, &little, sizeof(little));
}

static void put_key(struct certificate_bytes *bytes, const char *key_z85)
{
    uint8_t raw[KEY_BYTES] = {0};
    bool valid = key_to_raw(key_z85, raw);
    assert(valid);
    (void)valid;
    put(bytes, raw, sizeof(raw));
}

static void put_body(struct certificate_bytes *bytes, const uint8_t mesh[IDENTITY_BYTES],
        const struct certificate *certificate)
{
    put(bytes, magic, MAGIC_LEN);
    put_u8(bytes, certificate->roles);
    put_u64(bytes, certificate->serial);
    put_u64(bytes, certificate->not_before_s);
    put_u64(bytes, certificate->not_after_s);
    put(bytes, mesh, IDENTITY_BYTES);
    put_key(bytes, certificate->key);
    put_u8(bytes, strlen(certificate->name));
    put(bytes, certificate->name, strlen(certificate->name));
}

void certificate_sign(const struct identity *identity, const struct certificate *certificate,
        struct certificate_bytes *ret_bytes)
{
    struct certificate_bytes bytes = {.len = 0};
    uint8_t signature[SIGNATURE_BYTES];
    assert(roles_valid(certificate->roles) && certificate_name_valid(certificate->name));
    put_body(&bytes, identity->public_key, certificate);
    struct message message = message_of(bytes.data, bytes.len);
    identity_sign(identity, message.data, message.len, signature);
    put(&bytes, signature, sizeof(signature));
    *ret_bytes = bytes;
}

/* --- reading --- */

static int fail_cut(struct err *err)
{
    return err_set(err, -EINVAL, "the certificate is cut off");
}

static int read_kind(struct reader *reader, struct err *err)
{
    const void *kind;
    if (reader_bytes(reader, MAGIC_LEN, &kind))
        return fail_cut(err);
    if (memcmp(kind, magic, MAGIC_LEN) != 0)
        return err_set(err, -EINVAL,
                "this is no certificate of a version that is known here (it does not begin with "
                "\"%s\")",
                magic);
    return 0;
}

static int read_roles(struct reader *reader, struct certificate *certificate, struct err *err)
{
    uint8_t roles;
    if (reader_u8(reader, &roles))
        return fail_cut(err);
    if (!roles_valid(roles))
        return err_set(
                err, -EINVAL, "the certificate's roles (0x%02x) are none, or unknown here", roles);
    certificate->roles = roles;
    return 0;
}

static int read_numbers(struct reader *reader, struct certificate *certificate, struct err *err)
{
    if (reader_u64(reader, &certificate->serial) ||
            reader_u64(reader, &certificate->not_before_s) ||
            reader_u64(reader, &certificate->not_after_s))
        return fail_cut(err);
    return 0;
}

static int read_keys(struct reader *reader, struct certificate *certificate, struct err *err)
{
    const void *mesh, *key;
    if (reader_bytes(reader, IDENTITY_BYTES, &mesh) || reader_bytes(reader, KEY_BYTES, &key))
        return fail_cut(err);
    memcpy(certificate->mesh, mesh, IDENTITY_BYTES);
    key_from_raw(key, certificate->key);
    return 0;
}

static int read_name(struct reader *reader, struct certificate *certificate, struct err *err)
{
    uint8_t len;
    const void *name;
    if (reader_u8(reader, &len) || reader_bytes(reader, len, &name))
        return fail_cut(err);
    if (len <= CERTIFICATE_NAME_MAX)
        memcpy(certificate->name, name, len); /* the rest is zeros */
    if (!certificate_name_valid(certificate->name) || strlen(certificate->name) != len)
        return err_set(err, -EINVAL, "the certificate's name is not 1 to %d of [A-Za-z0-9._-]",
                CERTIFICATE_NAME_MAX);
    return 0;
}

static int read_body(struct reader *reader, struct certificate *certificate, struct err *err)
{
    int r = read_kind(reader, err);
    if (!r)
        r = read_roles(reader, certificate, err);
    if (!r)
        r = read_numbers(reader, certificate, err);
    if (!r)
        r = read_keys(reader, certificate, err);
    if (!r)
        r = read_name(reader, certificate, err);
    return r;
}

int certificate_parse(
        const void *data, size_t len, struct certificate *ret_certificate, struct err *err)
{
    struct certificate certificate = {.roles = 0};
    struct reader reader;
    const void *signature;
    reader_init(&reader, data, len);
    int r = read_body(&reader, &certificate, err);
    if (r)
        return r;
    size_t body_len = len - reader.left;
    if (reader_bytes(&reader, SIGNATURE_BYTES, &signature))
        return fail_cut(err);
    if (reader.left > 0)
        return err_set(
                err, -EINVAL, "%zu bytes too many stand behind the certificate", reader.left);
    struct message message = message_of(data, body_len);
    if (!identity_verify(certificate.mesh, message.data, message.len, signature))
        return err_set(err, -EINVAL, "the certificate's signature is not its mesh's");
    *ret_certificate = certificate;
    return 0;
}

/* --- judging --- */

const char *certificate_fault_text(enum certificate_fault fault)
{
    assert(fault < CERTIFICATE_FAULT_COUNT);
    return fault_texts[fault];
}

enum certificate_fault certificate_check(const struct certificate *certificate,
        const uint8_t mesh[IDENTITY_BYTES], const char *key_z85, enum certificate_role role,
        uint64_t now_s)
{
    uint64_t begins_s = certificate->not_before_s;
    if (memcmp(certificate->mesh, mesh, IDENTITY_BYTES) != 0)
        return CERTIFICATE_FOREIGN;
    if (strcmp(certificate->key, key_z85) != 0)
        return CERTIFICATE_OTHER_KEY;
    if (!(certificate->roles & role))
        return CERTIFICATE_WRONG_ROLE;
    if (begins_s > now_s && begins_s - now_s > CERTIFICATE_SKEW_S)
        return CERTIFICATE_NOT_YET;
    return now_s > certificate->not_after_s ? CERTIFICATE_EXPIRED : CERTIFICATE_FINE;
}

/* --- text --- */

int certificate_bytes_to_text(const struct certificate_bytes *bytes, char *buf, size_t size)
{
    if (size < BASE64URL_LEN(bytes->len) + 1)
        return -EMSGSIZE;
    base64url_encode(bytes->data, bytes->len, buf);
    return 0;
}

int certificate_bytes_from_text(
        const char *text, struct certificate_bytes *ret_bytes, struct err *err)
{
    struct certificate_bytes bytes = {.len = 0};
    size_t len = strlen(text);
    if (len > CERTIFICATE_TEXT_MAX)
        return err_set(err, -EMSGSIZE, "%zu letters are too many for a certificate (at most %d)",
                len, CERTIFICATE_TEXT_MAX);
    if (!base64url_decode(text, len, bytes.data, sizeof(bytes.data), &bytes.len))
        return err_set(err, -EINVAL, "the certificate's text is no base64url");
    *ret_bytes = bytes;
    return 0;
}
