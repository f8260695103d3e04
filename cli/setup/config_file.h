/* A config file of somebody else's, about to be changed: read whole, kept as a backup, replaced in
 * one step. A link is followed, and what it leads to is changed. The caller owns the struct. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum { CONFIG_FILE_BACKUPS_MAX = 9999 }; /* of one file */

struct config_file {
    char path[PATH_MAX]; /* without links */
    bool exists;
    struct stat stat; /* where it exists */
    char *text;       /* "" where it does not exist */
    size_t len;
};

/* -ENOENT: a link that leads nowhere; -EPERM: we are root, and its folder is another user's; or
 * what file_read() returns but for a file that is not there. */
MUST_CHECK int config_file_open(struct config_file *file, const char *path, struct err *err);
/* Wipes the text, which may hold a key. */
void config_file_close(struct config_file *file);

/* Copies the file as it was to FILE.modemesh-backup-N, the first N that is free, and puts `text` in
 * its place; owner and mode stay. Where it did not exist it is made, for its owner alone, with the
 * folders that lead there; `ret_backup` is then "". On failure it is as it was. -EBUSY: somebody
 * else has changed it since it was read; -EPERM: its owner cannot be kept; or the errno of the call
 * that failed. */
MUST_CHECK int config_file_replace(const struct config_file *file, const struct buf *text,
        char ret_backup[PATH_MAX], struct err *err);
