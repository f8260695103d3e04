/* Headers of a request that a fuzzer makes of its bytes: lines "NAME: VALUE" before an empty line,
 * and behind that the body. */
#pragma once

#include <stddef.h>

enum { HEADER_LINES_MAX = 8 };

struct header_lines { /* point into the text that was read */
    char *names[HEADER_LINES_MAX], *values[HEADER_LINES_MAX];
    size_t count;
};

/* Cuts `text` apart into `*lines`, which is empty before. A line of another form, and what is past
 * HEADER_LINES_MAX, is left out. Returns what stands behind the empty line; "" where there is
 * none. */
char *header_lines_read(struct header_lines *lines, char *text);
/* The first value of that name, in letters of any case; NULL where there is none. `ctx` is a struct
 * header_lines, or NULL: there are no headers. */
const char *header_lines_find(void *ctx, const char *name);
