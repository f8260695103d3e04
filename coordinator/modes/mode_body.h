/* What a mode says of an answer, put into the neutral body of a request (proto/PROTOCOL.md): its
 * temperature where the client said none, and its limit of tokens where the client said none or
 * more. All else of the body stays byte for byte. Another mode may take over later: then its words
 * stand in the place of the first one's. Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/modes/modes.h"
#include "coordinator/request.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

struct mode_answer {
    bool has_temperature;
    double temperature;
    uint32_t max_output; /* tokens; 0: no limit */
};

struct mode_answer mode_answer_of(const struct mode *mode);

/* What the client says in `body`, one that a dialect has made and no mode has filled yet. */
void mode_body_read(enum request_kind kind, const struct buf *body, struct request_said *ret_said);
/* Changes `body`, of a request of this kind, of which the client said `said`; it may have been
 * filled before, for another mode. Kinds that write no text are left alone. -ENOBUFS, -ENOMEM: the
 * body is as it was. */
MUST_CHECK int mode_fill_body(const struct mode_answer *answer, const struct request_said *said,
        enum request_kind kind, struct buf *body);
/* Tokens that the answer may have by a body that is filled so; 0: no limit, or none at all. */
uint32_t mode_answer_limit(
        const struct mode_answer *answer, const struct request_said *said, enum request_kind kind);
