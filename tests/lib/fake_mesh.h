/* A coordinator's nodes without sockets: the test plays the nodes over a link in memory and owns
 * the clock. What fails that should not aborts. */
#pragma once

#include "coordinator/node_table.h"
#include "tests/lib/fake_link.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <stddef.h>

struct fake_mesh {
    struct virtual_env env;
    struct fake_link link;
    struct scratch scratch;
    struct trust *trust; /* of the first peers of `link` */
    struct node_table *nodes;
    unsigned changes; /* that the table has told */
};

/* The table trusts `trusted` nodes, none of which is there. Only errors are logged. */
void fake_mesh_init(struct fake_mesh *mesh, size_t trusted);
void fake_mesh_fini(struct fake_mesh *mesh);

/* `msg` arrives from `peer`, or from the peer of that number. */
void fake_mesh_say_as(struct fake_mesh *mesh, const struct link_peer *peer, const struct msg *msg);
void fake_mesh_say(struct fake_mesh *mesh, size_t node, const struct msg *msg);
/* HELLO of a node that speaks the link's first version. */
void fake_mesh_hello(struct fake_mesh *mesh, size_t node, const char *software);
