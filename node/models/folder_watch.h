/* Tells that something in a set of folders has changed: a file or folder was made, written, removed
 * or moved there, or a folder itself is gone. It does not tell what; who is told looks again. So
 * nothing has to be known of what stands where, and events that the kernel had to drop do no harm.
 * Built on inotify(7), which sees what this host does, and nothing of what others do in a network
 * folder: a look from time to time is needed anyway.
 *
 * The set is told anew in each look, in rounds of folder_watch_begin(), add() for each folder
 * *before* it is listed (so that nothing falls between), end(). Those three may block and may run
 * on any thread, one at a time; all else is of the loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FOLDER_WATCH_MAX = 8192,     /* folders, where the caller names no other limit */
    FOLDER_WATCH_PAUSE_MS = 250, /* after each call, while the kernel gathers; likewise */
};

struct folder_watch_config {
    size_t folders_max; /* 0: FOLDER_WATCH_MAX */
    uint32_t pause_ms;  /* 0: FOLDER_WATCH_PAUSE_MS */
    const char *suffix; /* files whose names end otherwise do not matter; NULL: all do. Borrowed */
};

/* `lost`: the kernel had no room for all events. */
typedef void (*folder_watch_fn)(void *ctx, bool lost);

struct folder_watch;

/* -EMFILE: the user has too many watchers (fs.inotify.max_user_instances), -ENOMEM … */
MUST_CHECK int folder_watch_create(struct loop *loop, const struct folder_watch_config *config,
        folder_watch_fn fn, void *ctx, struct folder_watch **ret_watch, struct err *err);
/* No call comes after it. Takes NULL; may be called from the callback. */
void folder_watch_stop(struct folder_watch *watch);
/* Stopped, and no round is under way. Takes NULL. */
void folder_watch_destroy(struct folder_watch *watch);

void folder_watch_begin(struct folder_watch *watch);
/* The folder itself, not what lies in its folders. -ENOSPC: `folders_max`, or what the kernel lets
 * a user have (fs.inotify.max_user_watches); -ENOENT, -EACCES, -ENOTDIR …, -ENOMEM. */
MUST_CHECK int folder_watch_add(struct folder_watch *watch, const char *path, struct err *err);
/* What was not added since begin() is watched no more. */
void folder_watch_end(struct folder_watch *watch);
/* Folders that are watched; between rounds. */
size_t folder_watch_count(const struct folder_watch *watch);
