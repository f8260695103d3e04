#include "node/backends/engine_runs.h"

#include "node/backends/engine_run.h"

#include <errno.h>
#include <stdlib.h>

struct run {
    struct engine_runs *owner;
    struct list link;
    struct engine_run *call;
    const struct run_events *events;
    void *ctx;
};

void engine_runs_init(struct engine_runs *runs, const struct engine_target *target)
{
    *runs = (struct engine_runs){.target = target};
    list_init(&runs->list);
}

static void run_free(struct run *run)
{
    list_del(&run->link);
    free(run);
}

static struct msg_fail failure_of(const struct engine_runs *runs)
{
    return (struct msg_fail){.code = FAIL_ENGINE_DIED, .message = runs->ending};
}

void engine_runs_end(struct engine_runs *runs)
{
    struct msg_fail fail = failure_of(runs);

    while (!list_empty(&runs->list)) {
        struct run *run = list_entry(runs->list.next, struct run, link);

        list_del(&run->link);
        engine_run_cancel(run->call);
        run->events->on_end(run->ctx, &fail);
        run_free(run);
    }
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct run *run = ctx;

    run->owner->stirred = true;
    run->events->on_delta(run->ctx, delta);
}

/* An engine that is being ended may close its connections before engine_runs_end() comes round. */
static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct run *run = ctx;
    struct msg_fail ending = failure_of(run->owner);

    if (fail && run->owner->ending)
        fail = &ending;
    list_del(&run->link);
    run->events->on_end(run->ctx, fail);
    run_free(run);
}

static const struct run_events call_events = {on_delta, on_end};

int engine_runs_start(struct engine_runs *runs, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    struct run *run = calloc(1, sizeof(*run));
    int r;

    if (!run)
        return err_set(err, -ENOMEM, "no memory for a request");
    *run = (struct run){.owner = runs, .events = events, .ctx = ctx};
    r = engine_run_start(runs->target, spec, &call_events, run, &run->call, err);
    if (r < 0) {
        free(run);
        return r;
    }
    list_push_back(&runs->list, &run->link);
    *ret_run = run;
    return 0;
}

void engine_runs_cancel(struct run *run)
{
    engine_run_cancel(run->call);
    run_free(run);
}

void engine_runs_pause(struct run *run)
{
    engine_run_pause(run->call);
}

void engine_runs_resume(struct run *run)
{
    engine_run_resume(run->call);
}
