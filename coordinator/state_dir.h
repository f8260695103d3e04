/* What a coordinator is and keeps in its state directory: the key pair of its link, now and after a
 * rotation, the identity of its mesh, the lock, and small files for scripts. Start-up, and the end.
 *
 *   link.key, link.key.next   key pairs of the link (keys.h)
 *   mesh.key                  identity that signs members' certificates
 *   members.json, tokens.json, api-keys.json, mode-moves.json, ledger.sqlite, tls/ of others */
#pragma once

#include "common/err.h"
#include "common/trust/identity.h"
#include "common/trust/keys.h"

#include <limits.h>

enum { STATE_DIR_LINE_MAX = 254 }; /* bytes of a line in a file for scripts */

struct state_dir {
    char path[PATH_MAX];
    int lock; /* descriptor; -1: not held */
    struct key_pair link, next_link;
    struct identity identity;
    char mesh_id[IDENTITY_ID_LEN + 1];
};

/* Makes what is missing: the directory (`given`, or the default of `program`), the keys, the
 * identity. -ENOENT where there are members but no identity that has signed them: a new one would
 * make strangers of all, without a word. state_dir_close() after any outcome. */
MUST_CHECK int state_dir_open(
        struct state_dir *state, const char *program, const char *given, struct err *err);
/* Takes one that is all zero but for lock = -1. */
void state_dir_close(struct state_dir *state);

/* As daemon_lock_state(), until state_dir_close(). */
MUST_CHECK int state_dir_lock(struct state_dir *state, struct err *err);
/* The next key pair becomes the link's at the next start. Takes the lock: no coordinator may run.
 */
MUST_CHECK int state_dir_rotate_link_key(struct state_dir *state, struct err *err);

/* Path of the file `name`. -ENAMETOOLONG. */
MUST_CHECK int state_dir_file(
        const struct state_dir *state, const char *name, char path[PATH_MAX], struct err *err);
/* Writes one line, readable only by this user. -E2BIG beyond STATE_DIR_LINE_MAX. */
MUST_CHECK int state_dir_write_line(
        const struct state_dir *state, const char *name, const char *line, struct err *err);
/* Where it is there. */
void state_dir_remove(const struct state_dir *state, const char *name);
