#include "cli/way_in.h"

#include "common/daemon.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char default_url[] = "http://127.0.0.1:8420";

/* The flag, else the variable; an empty one counts as unset. */
static const char *setting(const struct command_line *line, const char *flag, const char *variable)
{
    const char *value = command_value(line, flag);

    if (!value)
        value = getenv(variable);
    return value && *value ? value : NULL;
}

static const char *state_dir(const struct command_line *line)
{
    return setting(line, "state", "MODEMESH_COORDINATOR_STATE");
}

static int choose_socket(const struct command_line *line, struct way_in *way, struct err *err)
{
    const char *given = state_dir(line);
    char dir[PATH_MAX];
    int rc = 0;

    if (!given)
        rc = daemon_state_dir("modemesh-coordinator", dir, sizeof(dir), err);
    if (rc == 0)
        rc = daemon_state_path(given ? given : dir, "admin.sock", way->socket, err);
    if (rc == 0)
        way->config.socket = way->socket;
    return rc;
}

int way_in_choose(const struct command_line *line, struct way_in *way, struct err *err)
{
    const char *url = setting(line, "coordinator", "MODEMESH_COORDINATOR");
    const char *key = setting(line, "key", "MODEMESH_KEY");
    bool state = command_has(line, "state");

    if (state && (command_has(line, "coordinator") || command_has(line, "key")))
        return err_set(err, -EINVAL,
                "--state, for the coordinator on this host, excludes --coordinator and --key");
    *way = (struct way_in){.config = {.url = url ? url : default_url,
                                   .key = key,
                                   .ca = setting(line, "ca", "MODEMESH_CA")}};
    if (state || (!url && !key && (line->command->admin || state_dir(line)))) {
        way->config.key = NULL; /* the socket is the right to enter */
        return choose_socket(line, way, err);
    }
    return 0;
}
