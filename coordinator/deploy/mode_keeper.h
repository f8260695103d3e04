/* Keeps modes in force where the config has none: looks once a second at the models that the nodes
 * have, derives modes from them (modes/mode_suggest.h), and puts these where those of the config
 * would be (mode_moves.h) as often as they are others. Aliases and what was deployed stay. A config
 * that has modes is left alone. Loop thread. */
#pragma once

#include "common/env.h"
#include "coordinator/deploy/mode_moves.h"
#include "coordinator/node_table.h"

#include <stdbool.h>

enum { MODE_KEEPER_LOOK_MS = 1000 };

struct mode_keeper;

struct mode_keeper_config { /* all borrowed */
    const struct env *env;
    struct node_table *nodes;
    struct mode_moves *moves;
};

/* NULL where malloc refuses. */
struct mode_keeper *mode_keeper_create(const struct mode_keeper_config *config);
void mode_keeper_destroy(struct mode_keeper *keeper); /* takes NULL */

/* About ten times a second, and at once after the config was read. True where the modes are others
 * now. */
bool mode_keeper_tick(struct mode_keeper *keeper);
