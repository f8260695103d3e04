/* A Unix stream socket in the file system that only programs of our own user, and root's, may talk
 * to: mode 0600, and each peer's user is asked of the kernel before anybody reads a byte from it.
 * Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"

#include <stddef.h>

enum { UNIX_LISTENER_PATH_MAX = 107 }; /* bytes; the kernel's limit */

struct unix_listener;

/* `fd` is a connection that has been let in: non-blocking, and the callee's from here on. */
typedef void (*unix_listener_fn)(void *ctx, int fd);

/* A socket file that nobody listens behind is replaced. -EADDRINUSE where somebody does, -EEXIST
 * where `path` is something else than a socket, -ENAMETOOLONG, -ENOMEM, or the errno of the call
 * that failed; the text names the path. */
MUST_CHECK int unix_listener_create(struct loop *loop, const char *path, unix_listener_fn fn,
        void *ctx, struct unix_listener **ret_listener, struct err *err);
/* Borrowed. */
const char *unix_listener_path(const struct unix_listener *listener);
/* Takes no more connections, and removes the file, but not where it is another one by now. May be
 * repeated. */
void unix_listener_quiesce(struct unix_listener *listener);
/* Quiesces and frees. Takes NULL. Neither from `fn`. */
void unix_listener_destroy(struct unix_listener *listener);
