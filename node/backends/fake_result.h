/* The fake engine's answers to requests that are answered by one JSON object: of the right shape
 * for what was asked, and plain to see through. Vectors are all the same, every document scores 0,
 * texts begin with "[fake engine]". Pure. */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stddef.h>

enum { FAKE_BYTES_PER_TOKEN = 4 }; /* of a prompt */

/* True for the kinds that are answered so. */
bool fake_result_is(enum request_kind kind);
/* Appends the answer. -EINVAL: `body` is no JSON object, or lacks what the kind needs; -ENOBUFS,
 * -ENOMEM. */
MUST_CHECK int fake_result_write(
        enum request_kind kind, const char *body, size_t len, struct buf *out);
