/* The file of a plot. It is opened before the runs, which may take long, and written after them:
 * what it had stays until then, and a new one that was not written whole is gone when it is
 * closed. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

struct plot_file;

/* A regular file, there or not, or /dev/null. Errors name `path`. -EINVAL: it is something else,
 * or `trace` itself ("": there is none); -ENOMEM, or the errno of the call that failed. */
MUST_CHECK int plot_file_open(
        const char *path, const char *trace, struct plot_file **ret_file, struct err *err);
/* In place of what it had; once. The errno of the call that failed. */
MUST_CHECK int plot_file_write(struct plot_file *file, const struct buf *text, struct err *err);
void plot_file_close(struct plot_file *file); /* takes NULL */
