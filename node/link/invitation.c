#include "node/link/invitation.h"

#include "common/daemon.h"
#include "common/file.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int read_coordinator_key(
        const struct config *config, struct invitation *invitation, struct err *err)
{
    const char *path = config_str(config, "coordinator-key");

    return path == NULL ? 0 : keys_read_public(path, invitation->coordinator_key, err);
}

static void find_token_file(const struct config *config, struct invitation *invitation)
{
    const char *given = config_str(config, "local-token");
    char dir[PATH_MAX];

    if (given != NULL)
        (void)snprintf(invitation->token_file, sizeof invitation->token_file, "%s", given);
    else if (daemon_other_state_dir("modemesh-coordinator", dir, sizeof dir, NULL) < 0 ||
             file_join(invitation->token_file, sizeof invitation->token_file, dir, "local.token") <
                     0)
        invitation->token_file[0] = '\0';
}

/* A file that is not there (yet, or any more) is looked for as long as this node is no member. */
static int read_token_file(const char *path, struct invitation *invitation, struct err *err)
{
    int r = join_token_read(path, &invitation->token, err);

    invitation->has_token = r == 0;
    if (r != -ENOENT)
        return r;
    /* What was given may be a mistyped token: it is not repeated. */
    log_warn("--join is no token (mmj_…) and names no file that is there; it is looked for as a "
             "file until this node is a member",
            LOG_U("letters", strlen(path)));
    (void)snprintf(invitation->token_file, sizeof invitation->token_file, "%s", path);
    return 0;
}

static int parse_token(const char *text, struct invitation *invitation, struct err *err)
{
    int r = join_token_parse(text, strlen(text), &invitation->token, err);

    invitation->has_token = r == 0;
    return r;
}

/* A token is told from the name of a file by its first letters. */
static int read_token(const struct config *config, struct invitation *invitation, struct err *err)
{
    static const char prefix[] = "mmj_";
    const char *given = config_str(config, "join");
    int r;

    if (given == NULL || *given == '\0')
        return 0;
    r = strncmp(given, prefix, strlen(prefix)) == 0 ? parse_token(given, invitation, err)
                                                    : read_token_file(given, invitation, err);
    return r < 0 ? err_prefix(err, r, "--join") : 0;
}

int invitation_read(const struct config *config, struct invitation *ret_invitation, struct err *err)
{
    struct invitation invitation = {.has_token = false};
    int r = read_coordinator_key(config, &invitation, err);

    find_token_file(config, &invitation);
    if (r == 0)
        r = read_token(config, &invitation, err);
    if (r == 0)
        *ret_invitation = invitation;
    return r;
}

void invitation_fini(struct invitation *invitation)
{
    join_token_fini(&invitation->token);
}
