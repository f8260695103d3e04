/* What a request tells of its turn, as far as modes' rules ask for it: are tools offered, have some
 * been called, does the editor say that it plans. Read once for each request, where it is asked
 * for: the body is parsed for it. Inside coordinator/api/ only. */
#pragma once

#include "common/json/json.h"
#include "coordinator/api/caller.h"
#include "coordinator/auto/facts.h"
#include "coordinator/auto/mode_marks.h"

/* Of the neutral body, which a dialect may have made more of than came in. */
extern const struct json_limits request_signs_limits;

/* Read already, for another reason; `mark` NULL: there is none. */
void request_signs_note(
        struct request *request, const struct facts *facts, const struct mode_mark *mark);
/* Reads them, unless they are. A body for which there is no memory says nothing. */
void request_signs_read(const struct call *call, struct request *request);
