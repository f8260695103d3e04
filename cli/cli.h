/* What the commands of `modemesh` share: where the coordinator is, and one function each. */
#pragma once

#include "cli/client.h"
#include "cli/command.h"

enum cli_exit { /* documented in `modemesh help` */
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,      /* refused, failed, or an answer that broke off */
    CLI_EXIT_USAGE = 2,       /* the command line */
    CLI_EXIT_UNREACHABLE = 3, /* no coordinator answers */
    CLI_EXIT_INTERRUPTED = 130,
};

struct cli {
    struct client *client; /* borrowed by the commands; NULL for those that are `local` */
};

/* Each: 0, -EINVAL for a wrong command line, or an error of client.h. */
int cmd_status(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_ask(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_modes(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models(const struct cli *cli, const struct command_line *line, struct err *err);
