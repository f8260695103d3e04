/* Nodes that knocked and are not members: refused in the handshake, so they hold no connection;
 * what is kept is a proven key, where it came from, and the name that its host announces. Bounded
 * in number, per address and over time, so that strangers by the thousand take nothing and hide
 * nobody who keeps knocking. Pure but for its memory; time is given. */
#pragma once

#include "common/link/link.h"
#include "common/trust/certificate.h"
#include "common/trust/keys.h"
#include "common/trust/phrase.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PENDING_MAX = 256,
    PENDING_NAMES_MAX = 1024, /* announced names that are kept, also of keys that did not knock yet;
                                 the oldest gives way */
    PENDING_PER_ADDRESS_MAX = 8,         /* of one IPv4 address or IPv6 /64 network */
    PENDING_NEW_PER_MINUTE = 120,        /* all addresses together */
    PENDING_EXPIRES_MS = 10 * 60 * 1000, /* after its last knock */
    PENDING_QUIET_MS = 5 * 1000, /* one that has not knocked for so long gives its place to a new
                                    one where the list is full */
};

struct pending_node {
    char key[KEY_Z85_LEN + 1];
    char address[LINK_ADDRESS_MAX + 1];
    char name[CERTIFICATE_NAME_MAX +
              1];                /* announced by somebody with this key; "": unknown. Not proven */
    char phrase[PHRASE_LEN + 1]; /* that it shows too */
    uint64_t first_ms, last_ms;  /* of env's clock */
    uint64_t knocks;
};

struct pending;

/* For phrases: this coordinator's link key, copied. NULL where malloc refuses. */
struct pending *pending_create(const char *coordinator_key);
void pending_destroy(struct pending *pending);

enum pending_verdict {
    PENDING_NEW,
    PENDING_KNOWN,
    PENDING_REFUSED
}; /* REFUSED: no place for it now */
/* The key has knocked from `address`. */
enum pending_verdict pending_knock(
        struct pending *pending, const char *key_z85, const char *address, uint64_t now_ms);
/* The network announces a name for the key, before it knocks or after. One in the form of a phrase
 * or of an address is not taken: those are proven. */
void pending_name(struct pending *pending, const char *key_z85, const char *name);
void pending_remove(struct pending *pending, const char *key_z85);
/* Drops what has expired. */
void pending_tick(struct pending *pending, uint64_t now_ms);

size_t pending_count(const struct pending *pending);
/* In the order of coming; NULL past the last. Borrowed until the next change. */
const struct pending_node *pending_at(const struct pending *pending, size_t index);
const struct pending_node *pending_find(const struct pending *pending, const char *key_z85);
