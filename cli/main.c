#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/way_in.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The client keeps the key in locked memory; argv, which every user of the machine can read, and
 * the environment forget it. */
static void wipe_key(const struct command_line *line)
{
    char *variable = getenv("MODEMESH_KEY");

    if (variable)
        explicit_bzero(variable, strlen(variable));
    for (size_t i = 0; i < line->given_count; i++)
        if (strcmp(line->given[i].flag->name, "key") == 0)
            explicit_bzero(line->given[i].value, strlen(line->given[i].value));
}

static int make_client(const struct command_line *line, struct client **ret_client, struct err *err)
{
    struct way_in way;
    int rc = way_in_choose(line, &way, err);

    if (rc == 0)
        rc = client_create(&way.config, ret_client, err);
    wipe_key(line);
    return rc;
}

static int run_command(struct cli *cli, const struct command_line *line, struct err *err)
{
    int rc = 0;

    if (!line->command->local)
        rc = make_client(line, &cli->client, err);
    if (rc == 0)
        rc = line->command->run(cli, line, err);
    client_destroy(cli->client);
    if (rc == 0 && (fflush(cli->out) != 0 || ferror(cli->out)))
        rc = err_set(err, -EIO, "cannot write to standard output: %s", strerror(errno));
    return rc;
}

static int dispatch(const struct command_line *line, struct err *err)
{
    struct cli cli = {
            .out = stdout,
            .notes = stderr,
            .in = stdin,
            .interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO),
    };

    if (line->help) {
        command_print_help(&cli_commands, line->command, stdout);
        return 0;
    }
    return line->version ? cmd_version(&cli, line, err) : run_command(&cli, line, err);
}

static int report_failure(int rc, const struct err *err)
{
    char line[ERR_TEXT_MAX];

    if (rc == -EINTR)
        return CLI_EXIT_INTERRUPTED;
    fprintf(stderr, "modemesh: %s\n", terminal_line(err->text, line, sizeof(line)));
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
    rc = command_parse(&cli_commands, argc, argv, &line, &err);
    if (rc == 0)
        rc = dispatch(&line, &err);
    return rc == 0 ? CLI_EXIT_OK : report_failure(rc, &err);
}
