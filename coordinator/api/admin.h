/* What operators read: the state of the whole mesh as JSON (GET /mesh/v1/status), with the modes by
 * which it goes, and modes to keep where the config has none (GET /mesh/v1/modes/suggestion).
 * Shapes are stable: fields are added, never renamed. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "coordinator/deploy/mode_moves.h"
#include "coordinator/job/job.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_table.h"
#include "coordinator/router/router.h"
#include "coordinator/trust/door.h"

enum { ADMIN_YAML_MAX = 256 * 1024 };

struct admin_view { /* what there is to tell; all borrowed */
    const struct env *env;
    const char *name, *version, *link, *key, *mesh;
    const char *http; /* the first loopback listener; NULL: there is none */
    uint64_t started_us;
    const struct modes *modes;
    const struct mode_moves *moves; /* what deploys have changed of them; NULL: nothing */
    struct node_table *nodes;
    struct router *router;
    const struct jobs *jobs;
    const struct door *door;
};

struct call; /* caller.h */

/* Appends the status, as the call's caller asks for it: where a mode goes now is told as of a
 * request of that one. -ENOMEM, -ENOBUFS: what was appended is of no use. */
MUST_CHECK int admin_append_status(const struct call *call, struct buf *out);
/* {"derived": whether the config has no modes, "yaml": a section `modes` for it}: those in force
 * where they are derived, else what would be. Errors as above. */
MUST_CHECK int admin_append_suggestion(const struct admin_view *view, struct buf *out);
