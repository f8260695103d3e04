/* What nodes had that are away. A node that was connected since the coordinator started and is not
 * now (it starts again, sleeps, has lost its network) is likely to be back, with the models that it
 * had. So each of its instances is kept as it was told last, in a fleet of its own that routing
 * reads like the other one: all that is there is silent. What could go to one of them, and nowhere
 * else, waits for its node.
 *
 * A node that is back is away no more for the models that it tells of. What it does not tell of for
 * a while it has no longer. Who is a member no more is forgotten, and so are the others when the
 * coordinator stops. Loop thread. */
#pragma once

#include "common/env.h"
#include "coordinator/instance.h"
#include "coordinator/scheduling/fleet.h"

#include <stdbool.h>

enum {
    AWAY_INSTANCES_MAX = 1024, /* past it those that have been away the longest are forgotten */
    AWAY_BACK_MS = 30 * 1000,  /* a node that is back has so long to tell of what it had: it looks
                                  for files and for engines that run already */
};

struct away;

/* NULL where malloc refuses. */
struct away *away_create(const struct env *env);
/* Takes NULL. */
void away_destroy(struct away *away);

/* The instance goes as its session has ended; `last` is what routing has read of it. As far as
 * there is memory. */
void away_note_lost(
        struct away *away, const struct instance *instance, const struct fleet_instance *last);
/* Its node tells of it again. */
void away_note_found(struct away *away, const struct instance *instance);
/* The node of that key is connected, or is not any more. O(instances). */
void away_note_node(struct away *away, const char *key_z85, bool connected);
/* Forgets what those nodes had of whose keys `may_return` says no. */
void away_keep(struct away *away, bool (*may_return)(void *ctx, const char *key_z85), void *ctx);
/* Time has passed. */
void away_tick(struct away *away);

/* All of them. Borrowed. */
struct fleet *away_fleet(const struct away *away);
/* Of one of its instances: the name of its node, borrowed as long as it is there … */
const char *away_node(const struct fleet_instance *entry);
/* … and whether that is back, and has not told of it yet. */
bool away_is_back(const struct fleet_instance *entry);
/* The model that `name` means among them: its own name, or an alias; of several models that have
 * the same alias the first by name. NULL: none. Borrowed likewise. */
const char *away_model(const struct away *away, const char *name);
