/* The editors on this host: the edge (edge.h) joined to the session with the coordinator
 * (uplink.h). It opens with the first session, and not where the coordinator is on this host too,
 * whose port it would take; asked for by the settings it opens at once. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"
#include "node/link/uplink.h"

#include <stdbool.h>

struct editors;

struct editors_config {
    struct loop *loop;     /* borrowed */
    struct uplink *uplink; /* borrowed */
    struct text_addr addr; /* a loopback one */
    bool at_once;
};

/* -ENOMEM, or what edge_create() returns. */
MUST_CHECK int editors_create(
        const struct editors_config *config, struct editors **ret_editors, struct err *err);
void editors_destroy(struct editors *editors); /* takes NULL, as all below */

/* A session began with the coordinator at `endpoint` ("tcp://10.0.0.5:8421"); `roles` are this
 * node's. */
void editors_up(struct editors *editors, const char *endpoint, unsigned roles);
/* It is over, for this reason. */
void editors_down(struct editors *editors, const char *reason);
/* uplink_events. */
MUST_CHECK int editors_on_tunnel(struct editors *editors, const struct msg *msg, struct err *err);
void editors_on_room(struct editors *editors);
