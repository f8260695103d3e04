/* Merges what a setup has noted into the editor's files: all of them can be, or none is touched. */
#pragma once

#include "cli/cli.h"
#include "cli/setup/setup.h"

/* Says on `cli->out` what became of each file. -EINVAL and -EMSGSIZE name the file that cannot be
 * merged into; otherwise errors as of config_file.h. */
MUST_CHECK int setup_write(const struct cli *cli, const struct setup *setup, struct err *err);
