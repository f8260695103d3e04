#include "cli/cli.h"

#include <errno.h>

int cmd_version(const struct cli *cli, const struct command_line *line, struct err *err)
{
    (void)line;
    (void)err;
    fputs("modemesh " MODEMESH_VERSION "\n", cli->out);
    return 0;
}

int cmd_help(const struct cli *cli, const struct command_line *line, struct err *err)
{
    const struct command *command = NULL;

    if (line->operand_count) {
        command = command_find(&cli_commands, line->operands, line->operand_count, err);
        if (!command)
            return -EINVAL;
    }
    command_print_help(&cli_commands, command, cli->out);
    return 0;
}
