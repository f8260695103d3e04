/* The requests that run on one engine, as backend_ops has them: each an engine_run, ended together
 * where the engine ends. Loop thread only. */
#pragma once

#include "common/list.h"
#include "node/backends/backend.h"
#include "node/backends/engine_call.h"

struct engine_runs { /* caller's */
    struct list list;
    const struct engine_target *target; /* borrowed */
    bool stirred;                       /* a delta came since this was last cleared */
    const char *ending; /* why the engine ends: what else goes wrong is told as this. NULL: it does
                           not end. Borrowed */
};

void engine_runs_init(struct engine_runs *runs, const struct engine_target *target);
MUST_CHECK int engine_runs_start(struct engine_runs *runs, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err);
/* Ends all with FAIL_ENGINE_DIED and the words of `ending`. From the loop only: calls back. */
void engine_runs_end(struct engine_runs *runs);

/* As in backend_ops. */
void engine_runs_cancel(struct run *run);
void engine_runs_pause(struct run *run);
void engine_runs_resume(struct run *run);
