/* What llama.cpp's server tells of itself: GET /props and GET /slots, here of what a caller may ask
 * for, without anybody's prompt. Pure; what a failed call has appended is of no use. */
#pragma once

#include "common/buf.h"
#include "coordinator/api/offers.h"

enum { LIST_SLOTS_MAX = 1024 }; /* shown of one model */

/* `name` is that of `?model=`; NULL or "": what a request without a name gets, or else the first
 * offer. -ENOENT where there is none, -ENOBUFS, -ENOMEM. */
MUST_CHECK int list_llamacpp_props(
        const struct offers *offers, const char *name, const char *build, struct buf *out);
/* An array with one object a slot; none while the model is not loaded. */
MUST_CHECK int list_llamacpp_slots(const struct offers *offers, const char *name, struct buf *out);
