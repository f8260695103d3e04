/* A coordinator's nodes without sockets: the test plays the nodes over a link in memory and owns
 * the clock. What fails that should not aborts. */
#pragma once

#include "common/trust/identity.h"
#include "coordinator/node_table.h"
#include "coordinator/router/router.h"
#include "coordinator/trust/door.h"
#include "tests/lib/fake_link.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <stddef.h>

enum {
    FAKE_MESH_MEMBERSHIP_S = 90 * 24 * 60 * 60,
    FAKE_MESH_PREFIX_BYTES = 1024 * 1024,
};

struct fake_mesh {
    uint64_t membership_s; /* how long one lasts */
    struct virtual_env env;
    struct fake_link link;
    struct scratch scratch;
    struct identity identity;
    struct key_pair keys; /* link key of the coordinator */
    struct members *members;
    struct tokens *tokens;
    struct door *door;
    struct away *away;
    struct router *router;
    struct node_table *nodes;
    unsigned changes;          /* that the table has told */
    unsigned cuts;             /* connections that it has ended … */
    struct link_peer last_cut; /* … the last one of them */
};

/* The first `members` peers of `link` are members, by the names node0, node1, …; none of them is
 * there. Only errors are logged. */
void fake_mesh_init(struct fake_mesh *mesh, size_t members);
void fake_mesh_init_for(struct fake_mesh *mesh, size_t members, uint64_t membership_s);
void fake_mesh_fini(struct fake_mesh *mesh);

/* `msg` arrives from `peer`, or from the peer of that number. */
void fake_mesh_say_as(struct fake_mesh *mesh, const struct link_peer *peer, const struct msg *msg);
void fake_mesh_say(struct fake_mesh *mesh, size_t node, const struct msg *msg);
/* HELLO of a node that speaks the link's first version. */
void fake_mesh_hello(struct fake_mesh *mesh, size_t node, const char *software);
