/* How a node comes into its mesh and stays in it: which coordinator it dials and with which key,
 * whom it believes, what it remembers. Sessions themselves are the uplink's.
 *
 *                    ┌── a join token: connects with the token's key, JOIN ──▶ JOINED ──┐
 *   no membership ───┤                                                                  ├──▶ member
 *                    └── refused: pending, approved by a person ──▶ HELLO ──▶ WELCOME ──┘     │ ▲
 *                                                     certificate, newer keys of coordinators └─┘
 * WELCOME must prove, by a certificate of the pinned identity, that the link's other end is a
 * coordinator of this node's mesh; the first one pins the identity. A link key of this node that is
 * to change (STATE/link.key.next, `modemesh-node --rotate-key`) is changed by JOIN within a
 * session. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/discovery/discovery.h"
#include "common/env.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/trust/join_token.h"
#include "common/trust/keys.h"
#include "node/link/membership.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    JOINING_HURRY_MS = 1000, /* what is found makes it try at once no more often than this */
    JOINING_REMIND_MS =
            60 * 1000, /* how often the log says again that this node waits for approval */
};

struct joining_config { /* all borrowed for the life of the object */
    struct loop *loop;
    const struct env *env;
    const char *name, *software; /* as in HELLO */
    const char *state;           /* directory */
    struct key_pair *pair;       /* link key; replaced when it changes */
    struct join_token *token;    /* NULL: none was given */
    const char *local_token;     /* file of a coordinator on this host, looked at while there is no
                                    membership; NULL: none */
    const char *mesh;            /* setting: short id of the only mesh to join; NULL: any */
    const char *coordinator_key; /* setting; "" or NULL: none */
};

struct joining_events {
    /* Connected as a member, or as one who may be: say HELLO with this certificate (empty: none).
     */
    void (*on_up)(void *ctx, const struct msg_bytes *certificate);
    void (*on_frame)(void *ctx, const void *data, size_t len);
    void (*on_down)(void *ctx, const char *reason);
    /* The session is a member's, as `roles` (CERTIFICATE_ROLE_…) say until it ends. */
    void (*on_member)(void *ctx, const char *coordinator, unsigned roles);
};

struct joining;

/* Reads the membership. Connects as soon as the loop runs. Errors as of membership_read(), -ENOMEM.
 */
MUST_CHECK int joining_create(const struct joining_config *config,
        const struct joining_events *events, void *ctx, struct joining **ret_joining,
        struct err *err);
void joining_destroy(struct joining *joining); /* takes NULL */
/* An address of the settings, as contact_add_static(). */
MUST_CHECK int joining_add_address(struct joining *joining, const char *address, struct err *err);
/* What discovery says. */
void joining_found(struct joining *joining, const struct discovered *found);
void joining_lost(struct joining *joining, const char *label, const char *address);
/* Something has changed (network, settings): try now instead of after the wait, and look for a key
 * to change to. */
void joining_hurry(struct joining *joining);

struct transport joining_transport(struct joining *joining);
/* uplink_events. */
MUST_CHECK int joining_on_welcome(
        struct joining *joining, const struct msg_welcome *welcome, struct err *err);
void joining_on_membership(struct joining *joining, const struct msg *msg);
/* After WELCOME: true where this node's link key is to change; `*ret_join` is to be sent. */
bool joining_wants_key(struct joining *joining, struct msg *ret_join);
/* The session broke: a new connection. */
void joining_reset(struct joining *joining, const char *reason);

/* What to say in HELLO: what this node is called in its mesh, or its own name before that is known.
 * Borrowed. */
const char *joining_name(const struct joining *joining);
/* Where the link goes or went last, "tcp://10.0.0.5:8421". Borrowed. */
const char *joining_endpoint(const struct joining *joining);
bool joining_is_member(const struct joining *joining);
/* Short id of the pinned mesh; "" where none is. Borrowed. */
const char *joining_mesh(const struct joining *joining);
