/* A body of type multipart/form-data (RFC 7578), read in place: nothing is copied but names. Pure.
 * Foreign bytes: every length is bounded below. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    FORM_PARTS_MAX = 64,
    FORM_HEADERS_MAX = 4096, /* bytes of the headers of one part */
    FORM_NAME_MAX = 64,
    FORM_FILENAME_MAX = 255, /* a longer one is cut */
    FORM_BOUNDARY_MAX = 70,  /* RFC 2046 */
};

struct form_part {
    char name[FORM_NAME_MAX + 1];
    char filename[FORM_FILENAME_MAX + 1]; /* as it stands there; "": none */
    const char *data;                     /* borrowed */
    size_t len;
};

/* A negative return ends the walk and is returned. */
typedef int (*form_part_fn)(void *ctx, const struct form_part *part);

/* Calls `fn` for each part in order. -EINVAL where the type is another one or the body has another
 * form, and then `err` says how; or what `fn` returned. */
MUST_CHECK int form_data_each(const char *content_type, const char *body, size_t len,
        form_part_fn fn, void *ctx, struct err *err);
