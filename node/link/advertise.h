/* What this node says of itself on the local network (`_modemesh-node._tcp`): name, link key,
 * resident models, free memory. Anybody can read it, so it can be turned off. Loop thread. */
#pragma once

#include "common/discovery/discovery.h"
#include "common/env.h"
#include "node/residency/supervisor.h"

#include <stdint.h>

enum {
    ADVERTISE_LOOK_MS = 250, /* between two looks: each reads the host's memory */
    ADVERTISE_MIN_MS = 2000, /* between two announcements */
    ADVERTISE_MEMORY_PARTS =
            50, /* free memory that moved by less than this part of the whole is no news */
};

struct advertise { /* plain memory of what was said last; all zero: nothing yet */
    struct announcement said;
    uint64_t said_ms, looked_ms;
};

/* Says anew what has changed; to be called a few times a second. `supervisor` NULL: a node without
 * models. */
void advertise_tick(struct advertise *advertise, struct discovery *discovery,
        struct supervisor *supervisor, const char *name, const char *key, uint64_t now_ms);
