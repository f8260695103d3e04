#include "coordinator/deploy/plan_task.h"

#include "coordinator/deploy/task.h"
#include "coordinator/plan/plan_apply.h"
#include "coordinator/plan/planner.h"

#include <errno.h>
#include <stdlib.h>

static const char gave_way[] = "people have asked for something else meanwhile";

struct plan_task {
    struct task *task;
    struct planner_wait *wait; /* until the plan is there */
    struct plan_apply *apply;  /* from then on */
    bool gives_way;
};

static void on_progress(void *ctx, const char *node, const char *text)
{
    struct plan_task *plan = ctx;
    task_progress(plan->task, node, text);
}

static void on_done(void *ctx, bool ok, const char *text)
{
    struct plan_task *plan = ctx;
    task_end(plan->task, ok ? TASK_DONE : TASK_FAILED, text);
}

static const struct plan_apply_events events = {.on_progress = on_progress, .on_done = on_done};

static void on_plan(
        void *ctx, const struct plan *made, const struct buf *answer, const struct err *err)
{
    (void)answer;
    struct plan_task *plan = ctx;
    const struct plan_apply_config config = {.env = plan->task->world->env,
            .nodes = plan->task->world->nodes,
            .events = &events,
            .ctx = plan,
            .settled_only = plan->task->facts.spec.automatic};
    struct err why = made ? (struct err){.text = ""} : *err;
    plan->wait = NULL;
    if (made && plan->gives_way)
        err_set(&why, -ECANCELED, "%s", gave_way);
    else if (made && plan_apply_create(&config, made, &plan->apply, &why) == 0)
        plan_apply_start(plan->apply);
    if (!plan->apply)
        task_end(plan->task, TASK_FAILED, why.text);
}

int plan_task_begin(struct task *task, struct err *err)
{
    struct plan_task *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return err_set(err, -ENOMEM, "no memory for an operation");
    plan->task = task;
    int r = planner_ask(task->world->planner, on_plan, plan, &plan->wait, err);
    if (r) {
        free(plan);
        return r;
    }
    task->plan = plan;
    task_progress(task, NULL, "a plan is made");
    return 0;
}

void plan_task_tick(struct plan_task *plan)
{
    if (plan && plan->apply)
        plan_apply_tick(plan->apply);
}

void plan_task_give_way(struct plan_task *plan)
{
    plan->gives_way = true;
    if (plan->apply)
        plan_apply_stop(plan->apply, gave_way);
}

void plan_task_destroy(struct plan_task *plan)
{
    if (!plan)
        return;
    planner_forget(plan->wait);
    plan_apply_destroy(plan->apply);
    free(plan);
}
