/* Which coordinator a node dials next, and where: from its membership, the static addresses of its
 * settings, a join token, and what discovery finds. A coordinator is a link key; each has several
 * addresses, of which the first that answers wins (common/link/dialer.h). Keys take turns, best
 * first: those of the membership; those that are announced under the pinned mesh's id; without a
 * membership those that are set, or, where none is set, every one that is announced: who names a
 * coordinator does not want to be taken in by another. Anybody may announce any key at any address,
 * and accept connections there: keys and addresses that are known otherwise go first, and wait for
 * no more than one turn of what is only announced. An address that answered, but not provably with
 * its key, is dialled again only when no other one of that key answers. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/discovery/discovery.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"
#include "common/trust/keys.h"
#include "node/link/membership.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CONTACT_STATIC_MAX = 32,     /* addresses in the settings, and in a token */
    CONTACT_DISCOVERED_MAX = 64, /* coordinators that discovery has found, on each interface */
    CONTACT_EXPECTED_MAX = 8,    /* keys that are set */
    CONTACT_PORT = 8421,         /* of an address without one */
};

struct contact;

struct contact_target {
    char endpoint[128];             /* "tcp://10.0.0.5:8421" */
    char key[KEY_Z85_LEN + 1];      /* that it has to prove */
    char mesh[IDENTITY_ID_LEN + 1]; /* as announced; "" where unknown */
    bool announced;                 /* only announcements say that the key is there */
};

struct contact_events {
    /* `target` is borrowed. */
    void (*on_target)(void *ctx, const struct contact_target *target);
    /* Nobody can be dialled now; `reason` for people, with the way out. Seek again later. */
    void (*on_none)(void *ctx, const char *reason);
};

/* NULL where malloc refuses. `events` is borrowed. */
struct contact *contact_create(struct loop *loop, const struct contact_events *events, void *ctx);
void contact_destroy(struct contact *contact); /* takes NULL */

/* An address of the settings: "HOST", "HOST:PORT" or "tcp://HOST:PORT"; 8421 without a port.
 * -EINVAL shows the forms; -E2BIG. */
MUST_CHECK int contact_add_static(struct contact *contact, const char *address, struct err *err);
/* A key that is expected at the static addresses (setting coordinator-key, or a token's), also
 * where discovery finds it. What is past CONTACT_EXPECTED_MAX is left out. */
void contact_expect_key(struct contact *contact, const char *key_z85);
/* Before there is a membership, only this mesh counts among what is announced (its short id). Where
 * it is not set, and no key is, a node that sees several meshes announced dials none: whichever
 * lets it in first would have it, and anybody can announce one. */
void contact_name_mesh(struct contact *contact, const char *mesh_id);
/* Keys and addresses of the membership; again after each change. Copied. */
void contact_set_membership(struct contact *contact, const struct membership *membership);
/* While one is set, only this key is dialled, at these addresses and those that discovery has for
 * it: for a join token. NULL ends that. Copied. -EINVAL, -E2BIG. */
MUST_CHECK int contact_set_token(struct contact *contact, const char *key_z85,
        const struct text_addr *addresses, size_t count, struct err *err);
/* What discovery_events say. */
void contact_found(struct contact *contact, const struct discovered *found);
void contact_lost(struct contact *contact, const char *label, const char *address);
/* True where a coordinator that may be dialled has just been found, or another address of one:
 * worth trying at once. Reset by the call. */
bool contact_has_news(struct contact *contact);

/* Picks and dials, one key after the other until an address answers; on_target or on_none comes
 * from the loop, once. */
void contact_seek(struct contact *contact);
/* The last target did not do: the next one has its turn. `wrong_host`: its address answered, but
 * did not prove this key. */
void contact_failed(struct contact *contact, bool wrong_host);
/* It did: it is dialled first from here on. */
void contact_worked(struct contact *contact);
