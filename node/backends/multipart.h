/* A body of type multipart/form-data (RFC 7578), for the few endpoints of engines that take a file.
 * Pure but for the boundary, which is random and does not occur in what stands between. */
#pragma once

#include "common/buf.h"
#include "common/env.h"

#include <stddef.h>

enum {
    MULTIPART_BOUNDARY_BYTES = 16,
    MULTIPART_TYPE_MAX = 80, /* bytes of the content type with its boundary and a NUL */
};

struct multipart {
    struct buf *out; /* borrowed */
    char boundary[2 * MULTIPART_BOUNDARY_BYTES + 1];
};

/* Chooses a boundary. What is appended to `out` from here on is the body. */
void multipart_init(struct multipart *multipart, const struct env *env, struct buf *out);
/* A field. `name` is plain ASCII without quotes. -ENOBUFS, -ENOMEM, as for the others. */
MUST_CHECK int multipart_field(struct multipart *multipart, const char *name, const char *value);
/* A file; in `filename` quotes and control characters are written as browsers do, as %22. */
MUST_CHECK int multipart_file(struct multipart *multipart, const char *name, const char *filename,
        const void *data, size_t len);
MUST_CHECK int multipart_end(struct multipart *multipart);
/* "multipart/form-data; boundary=…" */
void multipart_type(const struct multipart *multipart, char ret_type[MULTIPART_TYPE_MAX]);
