/* Keeps the fleet to its plan, where the config wants that (`residency: planned`): looks at the
 * fleet once a second, has a plan made when one is due (plan/plan_keep.h), and carries it out as an
 * operation (tasks.h) where there is anything to do. Waits while people's own operations run, and
 * leaves what is left of a plan for later when one begins. Loop thread. */
#pragma once

#include "common/env.h"
#include "coordinator/deploy/tasks.h"
#include "coordinator/plan/planner.h"

#include <stdbool.h>

enum { PLAN_KEEPER_LOOK_MS = 1000 };

struct plan_keeper;

struct plan_keeper_config { /* all borrowed */
    const struct env *env;
    struct planner *planner;
    struct tasks *tasks;
};

/* NULL where malloc refuses. Keeps nothing yet. */
struct plan_keeper *plan_keeper_create(const struct plan_keeper_config *config);
/* Takes NULL. Before tasks and planner. */
void plan_keeper_destroy(struct plan_keeper *keeper);

/* The settings were read: whether to keep the fleet to its plan. What has begun goes on. */
void plan_keeper_set(struct plan_keeper *keeper, bool on);
/* About ten times a second. */
void plan_keeper_tick(struct plan_keeper *keeper);
