/* The directory where the engines of a node listen on sockets: private to this user, gone with the
 * node, and of a path so short that a socket's name has room in sun_path. Blocking. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>

enum { RUNTIME_DIR_MAX = 72 }; /* bytes */

struct runtime_dir {
    char path[RUNTIME_DIR_MAX + 1];
    bool is_ours; /* made here */
};

/* $RUNTIME_DIRECTORY as systemd gives it; else one is made, mode 0700, in $XDG_RUNTIME_DIR under a
 * name that shows `node`, or in /tmp. A variable whose path is not absolute, or too long, counts as
 * unset. The errno of mkdtemp(). */
MUST_CHECK int runtime_dir_open(const char *node, struct runtime_dir *ret_dir, struct err *err);
/* Removes it where it was made here; that it is not empty is logged. Takes one of zeros. */
void runtime_dir_close(const struct runtime_dir *dir);
