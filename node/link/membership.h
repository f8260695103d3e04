/* What a node remembers of its mesh: STATE/membership.json, written whole after every change. The
 * identity is pinned from the first time on; the coordinators' keys and addresses are what it may
 * dial without being told anything by the network. Blocking on one small file; loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/trust/certificate.h"
#include "common/trust/identity.h"
#include "common/trust/keys.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    MEMBERSHIP_COORDINATOR_KEYS_MAX = 8,
    MEMBERSHIP_ADDRESSES_MAX = 32,
    MEMBERSHIP_ADDRESS_MAX = 255, /* bytes of "HOST:PORT" */
    MEMBERSHIP_FILE_MAX = 64 * 1024,
};

struct membership { /* plain values; all zero: none */
    bool pinned;    /* the identity below is believed, and no other */
    uint8_t mesh[IDENTITY_BYTES];
    struct certificate_bytes certificate; /* ours; len 0: not yet */
    size_t key_count; /* link keys of coordinators that have proven the identity's signature, newest
                         first */
    char keys[MEMBERSHIP_COORDINATOR_KEYS_MAX][KEY_Z85_LEN + 1];
    size_t address_count; /* where coordinators were reached or said to be, latest first */
    char addresses[MEMBERSHIP_ADDRESSES_MAX][MEMBERSHIP_ADDRESS_MAX + 1];
};

/* A missing file gives all zero. -EINVAL says what is wrong and that `modemesh-node --leave` starts
 * anew; -EPERM where others can write it; or what file_read_guarded() returns. */
MUST_CHECK int membership_read(
        const char *path, struct membership *ret_membership, struct err *err);
/* The same membership gives the same bytes. -ENOMEM, or what file_write_private() returns; the old
 * file stays then. */
MUST_CHECK int membership_write(
        const char *path, const struct membership *membership, struct err *err);

/* Each puts it first, without its older copy, and drops the last where there are too many. True
 * where anything changed; what is no key, or no "HOST:PORT" as text_parse_addr() takes it, changes
 * nothing. */
bool membership_add_key(struct membership *membership, const char *key_z85);
bool membership_add_address(struct membership *membership, const char *address);
/* True where a file of the one says what a file of the other does. */
bool membership_equal(const struct membership *a, const struct membership *b);
bool membership_has_key(const struct membership *membership, const char *key_z85);
