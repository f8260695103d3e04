#include "coordinator/api/serve_plan.h"

#include "coordinator/plan/planner.h"

#include <errno.h>
#include <stdlib.h>

struct asker {        /* one exchange until its plan is there, or its client gone */
    struct call call; /* less what is the caller's: he was let in */
    struct planner_wait *wait;
};

static void on_gone(void *ctx)
{
    struct asker *asker = ctx;
    planner_forget(asker->wait);
    free(asker);
}

static const struct http_exchange_events events = {.on_gone = on_gone};

static void on_plan(
        void *ctx, const struct plan *plan, const struct buf *answer, const struct err *err)
{
    struct asker *asker = ctx;
    if (plan)
        call_reply_json(&asker->call, 0, answer);
    else
        call_fail(&asker->call, 500, "internal_error", NULL, err->text);
    free(asker);
}

void serve_plan(const struct call *call)
{
    struct asker *asker = calloc(1, sizeof(*asker));
    struct err err;
    if (!asker) {
        call_fail(call, 500, "internal_error", NULL, "no memory for a plan");
        return;
    }
    asker->call = *call;
    asker->call.caller = NULL;
    asker->call.tail = "";
    int r = planner_ask(call->api->planner, on_plan, asker, &asker->wait, &err);
    if (r == 0) {
        http_exchange_watch(call->exchange, &events, asker);
        return;
    }
    free(asker);
    call_fail(call, r == -EBUSY ? 503 : 500, r == -EBUSY ? "overloaded" : "internal_error", NULL,
            err.text);
}
