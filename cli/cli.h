/* What the commands of `modemesh` share: where the coordinator is, where they read and write, and
 * one function each. */
#pragma once

#include "cli/client.h"
#include "cli/command.h"

#include <stdbool.h>
#include <stdio.h>

enum cli_exit { /* documented in `modemesh help` */
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,      /* refused, failed, or an answer that broke off */
    CLI_EXIT_USAGE = 2,       /* the command line */
    CLI_EXIT_UNREACHABLE = 3, /* no coordinator answers */
    CLI_EXIT_INTERRUPTED = 130,
};

struct cli {
    struct client *client; /* borrowed by the commands; NULL for those that are `local` */
    FILE *out;             /* results, and nothing else: programs read it */
    FILE *notes;           /* what people are told besides */
    FILE *in;              /* answers to questions */
    bool interactive;      /* a person reads `notes` and answers on `in` */
};

/* All commands, with their flags and their help. */
extern const struct command_set cli_commands;

/* Each: 0, -EINVAL for a wrong command line, or an error of client.h. */
int cmd_status(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_ask(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_modes(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models_load(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models_unload(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models_pin(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_models_unpin(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_deploy(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_operations(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_explain(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_plan(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_fit(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_setup(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_list(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_approve(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_revoke(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_forget(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_drain(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_resume(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_nodes_accept(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_token_create(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_token_list(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_token_revoke(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_keys_create(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_keys_list(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_keys_revoke(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_tls_show(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_version(const struct cli *cli, const struct command_line *line, struct err *err);
int cmd_help(const struct cli *cli, const struct command_line *line, struct err *err);
