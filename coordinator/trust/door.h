/* Who may come in, and as what: members by their certificate, strangers as pending, tokens once or
 * as often as they say. All rules of trust are here; the link asks in every handshake, sessions ask
 * at HELLO and JOIN, people decide through approve, revoke and forget. Each refusal is counted by
 * its kind and logged once per kind and key in a while (told.h). Sans-I/O but for the books' files.
 * Loop thread.
 *
 *   stranger ──knock──▶ pending ──approve, window──▶ member ──revoke──▶ revoked
 *      ▲                                              │  ▲                │
 *      └───────────────────── forget ─────────────────┴──│────────────────┘
 *   token's key ──JOIN(own key)──────────────────────────┘
 */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/trust/certificate.h"
#include "common/trust/identity.h"
#include "coordinator/trust/members.h"
#include "coordinator/trust/pending.h"
#include "coordinator/trust/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DOOR_WINDOW_MAX_MS = 24 * 60 * 60 * 1000, /* of `nodes accept` */
    DOOR_WINDOW_NODES_MAX = 256,              /* that one window takes in */
    DOOR_KEY_CHANGES_PER_MINUTE = 120,        /* of members; each writes the list */
};

enum door_refusal {
    DOOR_STRANGER, /* unknown key: now pending */
    DOOR_CROWDED,  /* unknown key, and no place on the pending list */
    DOOR_REVOKED,
    DOOR_EXPIRED,         /* a member whose certificate has ended: pending again */
    DOOR_FOREIGN_MESH,    /* HELLO with a certificate of another mesh */
    DOOR_BAD_CERTIFICATE, /* … that is broken, of another key, or lacks the role */
    DOOR_OTHERS_NAME,     /* HELLO under the name of another member */
    DOOR_BAD_TOKEN,       /* with a token that is used up, expired or revoked, or no token at all */
    DOOR_NOT_HELLO, /* first frame is neither HELLO nor JOIN, or JOIN on a connection that may not
                     */
    DOOR_BAD_HANDSHAKE, /* no key was proven */
    DOOR_REFUSAL_COUNT,
};
/* "stranger", "crowded", …: as status and logs write it. */
const char *door_refusal_name(enum door_refusal refusal);

struct door_config {
    const struct env *env;
    const struct identity *identity;
    const char *coordinator_key; /* link key of this coordinator, for phrases */
    struct members *members;
    struct tokens *tokens;
    uint64_t membership_s; /* how long a certificate lasts; renewed in its last third */
};

struct door;

/* Everything is borrowed. NULL where malloc refuses. */
struct door *door_create(const struct door_config *config);
void door_destroy(struct door *door); /* takes NULL */

/* link_server_events.allow: may this key come in? Members and live tokens may; whoever else knocks
 * becomes pending, or a member while the window is open. */
bool door_allow(struct door *door, const char *key_z85, const char *address);
/* link_server_events.on_bad_handshake: told once per address in a while. `address` may be NULL. */
void door_bad_handshake(struct door *door, const char *address);
/* HELLO came from the proven `key_z85`, with the raw certificate it showed (`len` 0: none) under
 * the name `says`. 0 and the member (borrowed until the next change), or a negative errno, with
 * `*ret_refusal` (DOOR_REFUSAL_COUNT: we failed, not the node) and what the node should be told. A
 * member without a name gets the one it says, or one like it. The key that a member changed to
 * takes the old one's place here. How long a membership lasts is what the list of members says,
 * not the certificate: one that was approved again comes with its old certificate. */
MUST_CHECK int door_hello(struct door *door, const char *key_z85, const char *says,
        const void *certificate, size_t len, const char *address, const struct member **ret_member,
        enum door_refusal *ret_refusal, struct err *err);
/* JOIN came on a connection of `via_key` (a token's or a member's own) for the raw link key `key`
 * under the name `says`. Makes the member, or notes the member's next key, and takes one use of the
 * token. 0 with its certificate. As above. A key that is a member already gets its certificate and
 * costs no use; a revoked one is refused. */
MUST_CHECK int door_join(struct door *door, const char *via_key, const char *key_z85,
        const char *says, const char *address, struct certificate_bytes *ret_certificate,
        enum door_refusal *ret_refusal, struct err *err);
/* May a frame of a connection without session be a JOIN only? True for a token's key, also for one
 * that has ceased to be good since the connection was let in. */
bool door_is_token(const struct door *door, const char *key_z85);
/* The token that nodes of this host join by (STATE/local.token): who comes by it is listed as
 * "local". "" ends that. */
void door_set_local_token(struct door *door, const char *id);
const char *door_local_token(const struct door *door);
/* A first frame that is no HELLO. */
void door_refuse_frame(
        struct door *door, const char *key_z85, const char *address, const char *what);

/* A certificate for the member with this key if it should get one now: it has shown none, or one in
 * its last third. `shown_s` is the end of the one that it has shown, 0: none. 1 with
 * `*ret_certificate`, 0, or a negative errno. */
MUST_CHECK int door_renew(struct door *door, const char *key_z85, uint64_t shown_s,
        struct certificate_bytes *ret_certificate, struct err *err);
/* The certificate of a coordinator's link key, made anew. */
void door_own_certificate(const struct door *door, const char *key_z85, const char *name,
        struct certificate_bytes *ret_certificate);

/* A pending node, by its name, address, key or phrase. -ENOENT names the nearest, -EEXIST: several
 * have it, and what to use instead. */
MUST_CHECK int door_find_pending(const struct door *door, const char *what,
        const struct pending_node **ret_node, struct err *err);
/* Makes the pending node with this key a member. `name` NULL: the one that it announces, with
 * "-2" and so on where another has it, or if there is none the one that it will say. `roles` 0:
 * NODE and EDGE. Of a member whose time was over both are kept where nothing else is given. -ENOENT
 * (not pending), -EEXIST (the name is another's), -EINVAL (no name), or what members_put() returns.
 */
MUST_CHECK int door_approve(
        struct door *door, const char *key_z85, const char *name, unsigned roles, struct err *err);
/* By name, or by key. -ENOENT names the nearest. Whoever has sessions ends them (members_edition()
 * has changed). */
MUST_CHECK int door_revoke(struct door *door, const char *what, struct err *err);
MUST_CHECK int door_forget(struct door *door, const char *what, struct err *err);

/* `nodes accept`: who comes in the next `for_ms` is taken; 0 ends it. -ERANGE past
 * DOOR_WINDOW_MAX_MS. */
MUST_CHECK int door_open_window(struct door *door, uint64_t for_ms, struct err *err);
uint64_t door_window_left_ms(const struct door *door);

/* Once a second or so. */
void door_tick(struct door *door);
/* The network announces the name of a key. */
void door_announced(struct door *door, const char *key_z85, const char *name);

struct members *door_members(const struct door *door);
struct tokens *door_tokens(const struct door *door);
const struct pending *door_pending(const struct door *door);
const struct identity *door_identity(const struct door *door);
const char *door_coordinator_key(const struct door *door);
uint64_t door_membership_s(const struct door *door); /* how long a certificate lasts */
/* So many of this kind since the start. */
uint64_t door_refused(const struct door *door, enum door_refusal refusal);
