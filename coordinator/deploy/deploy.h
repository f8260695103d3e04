/* How a model comes to be loaded on the node that suits it best and, in a deploy, takes a mode over
 * without a request failing for it. The nodes are asked first (each rehearses, and decides how it
 * would do it), the best one is told, and then:
 *
 *                       nothing to do but to tell
 *   REHEARSING ───────────────────────────────────────────────────────▶ ENDED
 *     │     │ room beside the others, or there already                    ▲
 *     │     └──────────▶ LOADING ─────────── loaded: the mode moves ──┐   │
 *     │ the old one must go first:                                    ▼   │
 *     │ the mode moves, its requests wait                        CLEARING ┤ the old model goes
 *     └──────────▶ SWAPPING ──────────────── loaded ──────────────▶       │ where no mode lists it
 *                     │ failed: the mode goes back                        │
 *                     └──────────▶ RESTORING ─────────────────────────────┘
 *
 * Inside coordinator/deploy/ only. Loop thread. */
#pragma once

#include "coordinator/deploy/task.h"

/* Errors as of tasks_start(). */
MUST_CHECK int deploy_begin(struct task *task, struct err *err);
/* Takes NULL. */
void deploy_destroy(struct deploy *deploy);
