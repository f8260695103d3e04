/* One request on an engine that speaks llama-server's HTTP: the post as this mesh wants it asked
 * (engine_post.h), the answer in any of its forms as typed deltas, and why it ended. A chat's
 * tokens take two calls: its prompt by the engine's own template, then the tokens of that. Belongs
 * to its caller until on_end has returned or it was cancelled. Loop thread only; no callback from
 * inside these functions. */
#pragma once

#include "node/backends/backend.h"
#include "node/backends/engine_call.h"

struct engine_run;

/* `target` and `events` are borrowed for the life of the run. -EINVAL where the body cannot be
 * used; -ENOTSUP for a kind that the engine does not know; -ENOMEM. */
MUST_CHECK int engine_run_start(const struct engine_target *target, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct engine_run **ret_run, struct err *err);
/* Closes the connection, which aborts the request on the engine too; frees. May be called from
 * on_delta. */
void engine_run_cancel(struct engine_run *run);
void engine_run_pause(struct engine_run *run);
void engine_run_resume(struct engine_run *run);
