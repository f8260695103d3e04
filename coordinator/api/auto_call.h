/* Tells the mode of a request that asks for `auto` (auto/auto_mode.h): from its body, its headers
 * and its conversation, at once; or, where those do not say and a small model may be asked, when
 * that has answered, within CLASSIFIER_DEADLINE_MS. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/caller.h"

/* `mode` is one that the caller may use, borrowed from the modes in force: where none of those that
 * such a request may go to, the first that answers chats. NULL: there is none at all. */
typedef void auto_call_fn(
        const struct call *call, struct request *request, const struct mode *mode);

/* Writes request->told, ->complexity and ->beta and calls `resume`: before it returns, with the
 * caller's own `call` and `request`; or later, with copies that live as long as that call (the
 * request is moved, the caller's is empty). Not where the client leaves before; a key that was
 * revoked meanwhile is refused. */
void auto_call_start(const struct call *call, struct request *request, auto_call_fn *resume);
