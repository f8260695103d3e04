#include "cli/cli.h"
#include "cli/terminal.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int cmd_version(const struct cli *cli, const struct command_line *line, struct err *err);
static int cmd_help(const struct cli *cli, const struct command_line *line, struct err *err);

static const char default_url[] = "http://127.0.0.1:8420";

static const struct command_flag global_flags[] = {
        {.name = "coordinator",
                .metavar = "URL",
                .help = "Where the coordinator answers (MODEMESH_COORDINATOR; "
                        "http://127.0.0.1:8420)"},
        {.name = "key",
                .metavar = "KEY",
                .help = "API key (MODEMESH_KEY, which no other user can see)"},
        {.name = NULL},
};

static const struct command_flag status_flags[] = {
        {.name = "json", .help = "Print the coordinator's own JSON: all that it knows"},
        {.name = NULL},
};

static const struct command_flag report_flags[] = {
        {.name = "json", .help = "Print JSON"},
        {.name = "raw", .help = "Print one row a line, for scripts"},
        {.name = NULL},
};

static const struct command_flag ask_flags[] = {
        {.name = "mode",
                .letter = 'm',
                .metavar = "MODE",
                .help = "Editor mode that answers (see 'modes')"},
        {.name = "model",
                .metavar = "MODEL",
                .help = "A model, a mode or auto (see 'models' and 'modes')"},
        {.name = "show",
                .letter = 'v',
                .help = "Say on standard error which model and node answer, and why"},
        {.name = NULL},
};

static const struct command commands[] = {
        {.name = "status",
                .operands = "",
                .summary = "Show nodes, models, memory, queue and modes (also --json)",
                .flags = status_flags,
                .run = cmd_status},
        {.name = "ask",
                .operands = "[TEXT] [-]",
                .operands_max = 100000,
                .summary = "Ask a question and stream the answer",
                .detail =
                        "The words are the question. With a last word '-', standard input follows "
                        "them, a blank\nline between; with '-' alone, or no words and input that "
                        "is no terminal, it is the\nquestion. Beside words without '-', standard "
                        "input is not read. Without --mode or\n--model the coordinator picks "
                        "(mode ask). Ctrl-C cancels the answer, on the node too.",
                .examples = "  modemesh ask \"what is a monad?\"\n"
                            "  modemesh ask --mode code \"review this\" - <file.c\n"
                            "  git diff | modemesh ask \"write a commit message for this\" -",
                .flags = ask_flags,
                .run = cmd_ask},
        {.name = "modes",
                .operands = "",
                .summary = "Show where each mode would go now, and why (also --json, --raw)",
                .flags = report_flags,
                .run = cmd_modes},
        {.name = "models",
                .operands = "",
                .summary = "Show the models of all nodes (also --json, --raw)",
                .flags = report_flags,
                .run = cmd_models},
        {.name = "version",
                .operands = "",
                .summary = "Show the version",
                .local = true,
                .run = cmd_version},
        {.name = "help",
                .operands = "[COMMAND]",
                .operands_max = 1,
                .summary = "Show this, or the help of a command",
                .local = true,
                .run = cmd_help},
        {.name = NULL},
};

static const struct command_set set = {
        .program = "modemesh",
        .summary = "Talks to the coordinator of a mesh: what it has, and what it answers.",
        .epilog = "Exit codes: 0 done, 1 the request was refused or failed, 2 wrong command line,\n"
                  "3 no coordinator answers, 130 interrupted.",
        .flags = global_flags,
        .commands = commands,
};

static int cmd_version(const struct cli *cli, const struct command_line *line, struct err *err)
{
    (void)cli;
    (void)line;
    (void)err;
    puts("modemesh " MODEMESH_VERSION);
    return 0;
}

static int cmd_help(const struct cli *cli, const struct command_line *line, struct err *err)
{
    const struct command *command = NULL;

    (void)cli;
    if (line->operand_count) {
        command = command_find(&set, line->operands[0], err);
        if (!command)
            return -EINVAL;
    }
    command_print_help(&set, command, stdout);
    return 0;
}

static const char *url_of(const struct command_line *line)
{
    const char *url = command_value(line, "coordinator");

    if (!url)
        url = getenv("MODEMESH_COORDINATOR");
    return url && *url ? url : default_url;
}

/* The client keeps the key in locked memory; argv, which every user of the machine can read,
 * forgets it. */
static int make_client(const struct command_line *line, struct client **ret_client, struct err *err)
{
    const char *key = command_value(line, "key");
    int rc;

    if (!key)
        key = getenv("MODEMESH_KEY");
    rc = client_create(url_of(line), key && *key ? key : NULL, ret_client, err);
    for (size_t i = 0; i < line->given_count; i++)
        if (strcmp(line->given[i].flag->name, "key") == 0)
            explicit_bzero(line->given[i].value, strlen(line->given[i].value));
    return rc;
}

static int run_command(const struct command_line *line, struct err *err)
{
    struct cli cli = {.client = NULL};
    int rc = 0;

    if (!line->command->local)
        rc = make_client(line, &cli.client, err);
    if (rc == 0)
        rc = line->command->run(&cli, line, err);
    client_destroy(cli.client);
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = err_set(err, -EIO, "cannot write to standard output: %s", strerror(errno));
    return rc;
}

static int dispatch(const struct command_line *line, struct err *err)
{
    if (line->help) {
        command_print_help(&set, line->command, stdout);
        return 0;
    }
    return line->version ? cmd_version(NULL, line, err) : run_command(line, err);
}

static int report_failure(int rc, struct err *err)
{
    size_t len = terminal_strip(err->text, strlen(err->text));

    if (rc == -EINTR)
        return CLI_EXIT_INTERRUPTED;
    fprintf(stderr, "modemesh: %.*s\n", (int)len, err->text);
    if (rc == -EINVAL)
        return CLI_EXIT_USAGE;
    return rc == -EHOSTUNREACH ? CLI_EXIT_UNREACHABLE : CLI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct rlimit no_core = {0}; /* a core dump would hold the key */
    struct command_line line;
    struct err err = {0};
    int rc;

    setrlimit(RLIMIT_CORE, &no_core);
    setlocale(LC_CTYPE, "");
    rc = command_parse(&set, argc, argv, &line, &err);
    if (rc == 0)
        rc = dispatch(&line, &err);
    return rc == 0 ? CLI_EXIT_OK : report_failure(rc, &err);
}
