/* All connected nodes: which session a frame belongs to, when a session begins and ends, and the
 * snapshot of instances that the scheduler reads. START goes only where HELLO came with a member's
 * key: a session is (key, routing id, epoch), and one key has one session. Who may come is the
 * door's business; here its word is carried out. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/link/link.h"
#include "common/loop.h"
#include "coordinator/aliases.h"
#include "coordinator/away.h"
#include "coordinator/http/http_server.h"
#include "coordinator/node_session.h"
#include "coordinator/trust/door.h"

#include <stddef.h>

enum {
    NODE_TABLE_STALL_MS = 500, /* ticks further apart than this: our own loop stood still */
    NODE_TABLE_RENEW_MS =
            60 * 1000, /* how often sessions are asked whether they need a new certificate … */
    NODE_TABLE_RENEWS = 9, /* … and at least so often in the life of one: in its last third too */
    NODE_TABLE_RENEWALS_MAX = 8, /* of a tick: each writes the list of members */
    NODE_TABLE_FAREWELL_MS =
            1000, /* a connection that was told REFUSE or JOINED is cut after so long … */
    NODE_TABLE_FAREWELLS_MAX = 64, /* … or at once, where so many wait already */
    NODE_TABLE_KEYS = 2,           /* link keys of a coordinator: its own, and the next one */
};

struct node_table;

/* `on_change`: the nodes, an instance, or how many requests one has; called as often as that
 * happens, so it only notes it. Everything is borrowed. */
struct node_table_config {
    const struct env *env;
    struct transport transport;
    void (*cut)(void *ctx, const struct link_peer *peer); /* ends a connection now */
    struct door *door;
    struct away
            *away; /* told of nodes, and asked for names; NULL: nothing is known of who is gone */
    const char *coordinator_name;
    const char
            *coordinator_keys[NODE_TABLE_KEYS]; /* our link key, and the one that takes its place */
    struct loop *loop;                          /* for the editors that nodes carry … */
    struct http_server *edge_http;              /* … to this server; NULL: none are taken */
    void (*on_change)(void *ctx);
    /* As a session tells of it (node_session_events). May be NULL. */
    void (*on_instance)(void *ctx, struct instance *instance, enum instance_event event);
    void *ctx;
};

/* NULL where malloc refuses. */
struct node_table *node_table_create(const struct node_table_config *config);
/* Fails every open stream first. */
void node_table_destroy(struct node_table *table);

/* A frame from the link. */
void node_table_on_frame(
        struct node_table *table, const struct link_peer *peer, const void *data, size_t len);
void node_table_on_disconnect_hint(struct node_table *table, int fd);
/* Once a turn, and about ten times a second. A tick also ends the sessions of those who are members
 * no more, and renews certificates. */
void node_table_flush(struct node_table *table);
void node_table_tick(struct node_table *table);

/* The instances of all sessions; none where there is no memory for the list. Borrowed until the
 * next frame, flush or tick. */
struct instance *const *node_table_instances(struct node_table *table, size_t *ret_count);
/* One instance of each model, in the order of names: the one with the most context. As above. */
struct instance *const *node_table_models(struct node_table *table, size_t *ret_count);

/* The model that `name` means: `name` itself where it is no alias (aliases.h), also none of a model
 * that only nodes had which are away. As above. */
const char *node_table_model(struct node_table *table, const char *name);
/* All aliases, in the order of names; none where there is no memory for the list. As above. */
const struct alias *node_table_aliases(struct node_table *table, size_t *ret_count);

/* An instance of the same name on another node whose content is not the same (instance_differs()):
 * who stands for the name is the one with the most context that is known by its content, so that
 * those who follow it differ from nobody. NULL: none. As above. */
const struct instance *node_table_differing(
        struct node_table *table, const struct instance *instance);

/* The connected nodes, the oldest session first: the one that comes after `session`, which is in
 * the table, or the first of all where that is NULL. NULL past the last. */
struct node_session *node_table_next(
        const struct node_table *table, const struct node_session *session);
/* NULL where the node of that key is not connected. */
struct node_session *node_table_find_key(const struct node_table *table, const char *key_z85);
/* As above, for the node that people call so. */
struct node_session *node_table_find_name(const struct node_table *table, const char *name);
/* Editors' connections that the node of this session carries now. */
size_t node_table_editors(const struct node_table *table, const struct node_session *session);
size_t node_table_count(const struct node_table *table);
