/* A certificate of membership: the mesh's identity says that a link key belongs to a member, under
 * which name, for what and until when. Whoever knows the identity's public half can check it, with
 * no shared database. Pure.
 *
 * On the wire and in files it is one run of bytes, everything little-endian:
 *   "mmc1"  version and kind          4
 *   roles                             1   CERTIFICATE_ROLE_… bits, at least one, no unknown ones
 *   serial                            8
 *   not before, not after             8, 8   Unix time in seconds
 *   mesh                              32  public half of the identity that signs
 *   key                               32  link key (Curve25519), raw
 *   length of the name, the name      1, 1 … 63   [A-Za-z0-9._-]
 *   signature                         64  Ed25519 over "modemesh certificate" NUL and all before it
 * No byte may follow. */
#pragma once

#include "common/base64url.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/trust/identity.h"
#include "common/trust/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CERTIFICATE_NAME_MAX = 63,
    CERTIFICATE_BYTES_MAX = 4 + 1 + 8 + 8 + 8 + 32 + 32 + 1 + CERTIFICATE_NAME_MAX + 64,
    CERTIFICATE_TEXT_MAX = BASE64URL_LEN(CERTIFICATE_BYTES_MAX), /* letters */
    CERTIFICATE_SKEW_S = 10 * 60, /* clocks of two hosts may differ by so much at "not before" */
};

enum certificate_role {
    CERTIFICATE_ROLE_NODE = 1,        /* serves models */
    CERTIFICATE_ROLE_EDGE = 2,        /* carries the connections of editors on its host */
    CERTIFICATE_ROLE_COORDINATOR = 4, /* may be believed as the other end of a node's link */
};

struct certificate {
    uint8_t mesh[IDENTITY_BYTES];
    char key[KEY_Z85_LEN + 1]; /* link key */
    char name[CERTIFICATE_NAME_MAX + 1];
    unsigned roles;
    uint64_t serial;
    uint64_t not_before_s, not_after_s; /* Unix time */
};

struct certificate_bytes {
    size_t len; /* 0: none */
    uint8_t data[CERTIFICATE_BYTES_MAX];
};

/* True for a name that a certificate takes. */
bool certificate_name_valid(const char *name);

/* Signs `certificate`, whose `mesh` is set from `identity`. The rest is the caller's and must be
 * valid (aborts: our bug). */
void certificate_sign(const struct identity *identity, const struct certificate *certificate,
        struct certificate_bytes *ret_bytes);
/* Reads the fields and checks form and signature (against the identity that it names itself, so
 * that a caller who pins one compares `mesh`). -EINVAL says which part is wrong. Not checked here:
 * time. */
MUST_CHECK int certificate_parse(
        const void *data, size_t len, struct certificate *ret_certificate, struct err *err);

/* Why a certificate does not do. */
enum certificate_fault {
    CERTIFICATE_FINE,
    CERTIFICATE_FOREIGN,    /* of another mesh */
    CERTIFICATE_OTHER_KEY,  /* of another link key */
    CERTIFICATE_WRONG_ROLE, /* lacks the role */
    CERTIFICATE_NOT_YET,    /* not before lies more than CERTIFICATE_SKEW_S ahead */
    CERTIFICATE_EXPIRED,
    CERTIFICATE_FAULT_COUNT,
};
/* "fine", "of another mesh", …: for people. */
const char *certificate_fault_text(enum certificate_fault fault);
/* Does it prove, at `now_s` (the second "not after" included), that `key_z85` has `role` in the
 * mesh of that identity? */
enum certificate_fault certificate_check(const struct certificate *certificate,
        const uint8_t mesh[IDENTITY_BYTES], const char *key_z85, enum certificate_role role,
        uint64_t now_s);

/* base64url without padding, for files; "" for none. -EINVAL where it is no base64url, -EMSGSIZE
 * where it does not fit. What the bytes say is not looked at. */
MUST_CHECK int certificate_bytes_to_text(
        const struct certificate_bytes *bytes, char *buf, size_t size);
MUST_CHECK int certificate_bytes_from_text(
        const char *text, struct certificate_bytes *ret_bytes, struct err *err);
