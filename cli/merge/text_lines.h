/* The lines of a text that is merged into: where they begin and end, and errors that name them.
 * Pure. */
#pragma once

#include "common/err.h"

#include <stddef.h>

/* "line N: …", for the byte at offset `at`. Returns -EINVAL. */
int merge_fail_at(const char *text, size_t at, struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/* Offsets of the first byte of the line of `at`, and of the line break that ends it (or `len`). */
size_t line_start(const char *text, size_t at);
size_t line_end(const char *text, size_t len, size_t at);
/* The line break that the text uses: that of its first line, "\n" where nothing tells. */
const char *line_break(const char *text, size_t len);
