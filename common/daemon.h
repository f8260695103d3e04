/* What every daemon does first: where its files are, what it may not leak, how many descriptors it
 * gets. Start-up. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <limits.h>
#include <stddef.h>

/* The default state directory of `program` ("modemesh-node"): $STATE_DIRECTORY as systemd gives it,
 * of several the first; /var/lib/PROGRAM for root; else $XDG_STATE_HOME/PROGRAM or
 * ~/.local/state/PROGRAM. A variable whose path is not absolute counts as unset. Nothing is made.
 * -ENOENT where there is no home, -ENAMETOOLONG; `buf` is then as it was. */
MUST_CHECK int daemon_state_dir(const char *program, char *buf, size_t size, struct err *err);

/* The same for another program of this user on this host: as above, but $STATE_DIRECTORY is this
 * program's own and does not count. */
MUST_CHECK int daemon_other_state_dir(const char *program, char *buf, size_t size, struct err *err);

/* Makes the state directory, mode 0700: `given`, or daemon_state_dir() where it is NULL. Its path
 * goes to `buf`. Errors as of file_make_private_dir(), and -ENAMETOOLONG. */
MUST_CHECK int daemon_open_state(
        const char *program, const char *given, char *buf, size_t size, struct err *err);

/* "<dir>/<name>" of a file in the state directory into `path`. -ENAMETOOLONG. */
MUST_CHECK int daemon_state_path(
        const char *dir, const char *name, char path[PATH_MAX], struct err *err);

/* Makes this process the only daemon on the state directory `dir`, until the descriptor that it
 * returns is closed or the process ends. -EBUSY where another one holds it; or the errno of the
 * file LOCK in it. */
MUST_CHECK int daemon_lock_state(const char *dir, struct err *err);

/* umask 077, no core dumps (they hold keys and prompts), as many descriptors as the hard limit
 * allows. */
void daemon_harden(void);

/* This host's name, cut at the first dot and to `size`, with all but [A-Za-z0-9_-] replaced by '-'.
 * "host" where there is none. */
void daemon_host_name(char *buf, size_t size);
