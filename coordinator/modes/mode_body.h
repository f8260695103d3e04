/* What a mode says of an answer, put into the neutral body of a request (proto/PROTOCOL.md): its
 * temperature where the client said none, and its limit of tokens where the client said none or
 * more. All else of the body stays byte for byte. Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/modes/modes.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

/* Changes `body`, one that a dialect has made, of a request of this kind. Kinds that write no text
 * are left alone. -ENOBUFS, -ENOMEM: the body is as it was. */
MUST_CHECK int mode_fill_body(const struct mode *mode, enum request_kind kind, struct buf *body);
/* Tokens that such a body lets its answer have; 0: it says no limit, or lets it have none. */
uint32_t mode_body_limit(enum request_kind kind, const struct buf *body);
