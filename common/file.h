/* Small files that must be whole or absent: keys, trust lists, tokens. State files are 0600 in a
 * 0700 directory. Blocking; for start-up and rare writes. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

/* Makes `path` and its missing parents. The last one gets mode 0700; where it is there already, its
 * mode is tightened to 0700 if it is ours, and refused (-EPERM) if another user owns it. */
MUST_CHECK int file_make_private_dir(const char *path, struct err *err);

/* Reads a whole regular file of at most `max` bytes into `*ret_data` (malloc, NUL-terminated,
 * caller frees). -ENOENT, -EINVAL (not a regular file), -EFBIG (names the limit), or the errno of
 * the call that failed. */
MUST_CHECK int file_read(
        const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err);

/* As file_read(), and refuses (-EPERM) a file that group or others can read or write, with the
 * chmod that helps. */
MUST_CHECK int file_read_secret(
        const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err);

/* As file_read(), and refuses (-EPERM) a file that group or others can write: what stands in it is
 * believed. */
MUST_CHECK int file_read_guarded(
        const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err);

/* Writes through a temporary file in the same folder, fsync, rename; mode 0600. On failure the old
 * file is as it was and the temporary one is gone. */
MUST_CHECK int file_write_private(const char *path, const void *data, size_t len, struct err *err);

/* "<dir>/<name>" into `buf`; -ENAMETOOLONG where it does not fit. */
MUST_CHECK int file_join(char *buf, size_t size, const char *dir, const char *name);
