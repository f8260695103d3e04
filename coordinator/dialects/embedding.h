/* The vector of an embedding, as engines say it and as APIs want it: a list of numbers, or the
 * little-endian bytes of its floats in base64, which costs a quarter as much. Pure. */
#pragma once

#include "common/buf.h"

#include <cjson/cJSON.h>
#include <stddef.h>

enum { EMBEDDING_DIMENSIONS_MAX = 64 * 1024 };

struct embedding { /* zeroed at first; used for one vector after the other */
    float *values; /* room for EMBEDDING_DIMENSIONS_MAX, or NULL */
    size_t count;
};

void embedding_fini(struct embedding *embedding);
/* Reads either form. -EPROTO where it is neither, is empty or too long, or holds what is no number;
 * -ENOMEM. */
MUST_CHECK int embedding_read(struct embedding *embedding, const cJSON *value);
/* Leaves the first `dimensions`, at most those that are there, and makes the length 1 again: models
 * that are trained for it (Matryoshka) say most there. */
void embedding_shorten(struct embedding *embedding, size_t dimensions);
/* -ENOBUFS, -ENOMEM. */
MUST_CHECK int embedding_append_numbers(const struct embedding *embedding, struct buf *out);
MUST_CHECK int embedding_append_base64(const struct embedding *embedding, struct buf *out);
