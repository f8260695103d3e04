/* Shows what a setup has noted, as people read and paste it. */
#pragma once

#include "cli/cli.h"
#include "cli/setup/editors.h"

/* All of it on `cli->out`. -ENOMEM, -EIO, or what merge_text() returns. */
MUST_CHECK int setup_print(const struct cli *cli, const struct editor *editor,
        const struct setup *setup, struct err *err);
/* What is wrong with the mesh for an editor, a line each on `cli->notes`: modes that are left out,
 * that take no tools, or whose context is too short. */
void setup_print_warnings(const struct cli *cli, const struct mesh *mesh);
/* The steps and notes alone, for after a write. */
void setup_print_rest(const struct cli *cli, const struct setup *setup);
/* The editors, and how each is set up. -ENOMEM, -EIO. */
MUST_CHECK int setup_print_editors(const struct cli *cli, struct err *err);
