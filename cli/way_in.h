/* Where the coordinator is, and as whom it is spoken to: flags before environment before defaults.
 * Commands for whoever runs the mesh go through the socket that the coordinator keeps for its own
 * user, unless an address or a key was given; a state directory, by --state or its variable, takes
 * any command there. */
#pragma once

#include "cli/client.h"
#include "cli/command.h"

#include <limits.h>

struct way_in {
    struct client_config config; /* points into argv, the environment, and `socket` */
    char socket[PATH_MAX];       /* STATE/admin.sock, where config.socket is not NULL */
};

/* Fills `*way`, which stays where it is. -EINVAL for flags that exclude each other, or what
 * daemon_state_dir() returns. */
MUST_CHECK int way_in_choose(const struct command_line *line, struct way_in *way, struct err *err);
