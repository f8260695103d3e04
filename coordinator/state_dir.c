#include "coordinator/state_dir.h"

#include "common/daemon.h"
#include "common/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int state_dir_file(
        const struct state_dir *state, const char *name, char path[PATH_MAX], struct err *err)
{
    return daemon_state_path(state->path, name, path, err);
}

static int load_keys(
        const struct state_dir *state, const char *name, struct key_pair *pair, struct err *err)
{
    char path[PATH_MAX];
    int r = state_dir_file(state, name, path, err);
    return r ? r : keys_load_or_create(path, pair, err);
}

static int check_identity(const struct state_dir *state, const char *key_path, struct err *err)
{
    char members[PATH_MAX];
    int r = state_dir_file(state, "members.json", members, err);
    if (r || access(key_path, F_OK) == 0 || access(members, F_OK) != 0)
        return r;
    return err_set(err, -ENOENT,
            "%s is missing, the identity that signed the members in %s: restore it, or remove "
            "both and tokens.json to begin a new mesh (each node then needs `modemesh-node "
            "--leave` and approval)",
            key_path, members);
}

static int load_identity(struct state_dir *state, struct err *err)
{
    char path[PATH_MAX];
    int r = state_dir_file(state, "mesh.key", path, err);
    if (!r)
        r = check_identity(state, path, err);
    if (!r)
        r = identity_load_or_create(path, &state->identity, err);
    if (!r)
        identity_id(state->identity.public_key, state->mesh_id);
    return r;
}

int state_dir_open(struct state_dir *state, const char *program, const char *given, struct err *err)
{
    *state = (struct state_dir){.lock = -1};
    int r = daemon_open_state(program, given, state->path, sizeof(state->path), err);
    if (!r)
        r = load_keys(state, "link.key", &state->link, err);
    if (!r)
        r = load_keys(state, "link.key.next", &state->next_link, err);
    return r ? r : load_identity(state, err);
}

void state_dir_close(struct state_dir *state)
{
    keys_fini(&state->link);
    keys_fini(&state->next_link);
    identity_fini(&state->identity);
    if (state->lock >= 0)
        close(state->lock);
    state->lock = -1;
}

int state_dir_lock(struct state_dir *state, struct err *err)
{
    int lock = daemon_lock_state(state->path, err);
    if (lock < 0)
        return lock;
    state->lock = lock;
    return 0;
}

int state_dir_rotate_link_key(struct state_dir *state, struct err *err)
{
    char now[PATH_MAX], next[PATH_MAX];
    int r = state_dir_lock(state, err);
    if (!r)
        r = state_dir_file(state, "link.key", now, err);
    if (!r)
        r = state_dir_file(state, "link.key.next", next, err);
    if (!r && rename(next, now) < 0)
        r = err_set(err, -errno, "cannot rename %s: %s", next, strerror(errno));
    return r;
}

int state_dir_write_line(
        const struct state_dir *state, const char *name, const char *line, struct err *err)
{
    char path[PATH_MAX], text[STATE_DIR_LINE_MAX + 2];
    size_t len = strlen(line);
    if (len > STATE_DIR_LINE_MAX)
        return err_set(err, -E2BIG, "the line for %s has %zu bytes; at most %d fit", name, len,
                STATE_DIR_LINE_MAX);
    int r = state_dir_file(state, name, path, err);
    if (r)
        return r;
    snprintf(text, sizeof(text), "%s\n", line);
    return file_write_private(path, text, len + 1, err);
}

void state_dir_remove(const struct state_dir *state, const char *name)
{
    char path[PATH_MAX];
    if (state_dir_file(state, name, path, NULL) == 0)
        (void)unlink(path);
}
