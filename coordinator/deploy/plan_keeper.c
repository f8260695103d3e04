#include "coordinator/deploy/plan_keeper.h"

#include "common/log.h"
#include "coordinator/plan/plan_apply.h"
#include "coordinator/plan/plan_keep.h"

#include <stdlib.h>
#include <string.h>

struct plan_keeper {
    struct plan_keeper_config config;
    bool on;
    uint64_t looked_ms;
    struct plan_keep keep;
    struct planner_wait *wait;  /* NULL: no plan is being made */
    char task[TASK_ID_LEN + 1]; /* the operation that carries one out; "": none */
};

/* NULL where it is forgotten already. */
static const struct task_facts *find_task(const struct tasks *tasks, const char *id)
{
    for (size_t i = 0; i < tasks_count(tasks); i++)
        if (strcmp(tasks_at(tasks, i)->id, id) == 0)
            return tasks_at(tasks, i);
    return NULL;
}

/* Whether somebody changes the fleet just now, be it by us. */
static bool something_runs(const struct tasks *tasks)
{
    for (size_t i = 0; i < tasks_count(tasks); i++)
        if (tasks_at(tasks, i)->state == TASK_RUNNING && !tasks_at(tasks, i)->spec.rehearse)
            return true;
    return false;
}

static void look_after_task(struct plan_keeper *keeper)
{
    const struct task_facts *task = find_task(keeper->config.tasks, keeper->task);
    if (task && task->state == TASK_RUNNING)
        return;
    keeper->task[0] = '\0';
    plan_keep_ended(
            &keeper->keep, task && task->state == TASK_DONE, env_now_ms(keeper->config.env));
}

static void carry_out(struct plan_keeper *keeper)
{
    const struct task_spec spec = {
            .kind = TASK_PLAN, .type_k = "", .type_v = "", .automatic = true};
    const struct task_facts *task;
    struct err err;
    if (tasks_start(keeper->config.tasks, &spec, &task, &err) == 0) {
        strcpy(keeper->task, task->id);
        return;
    }
    log_warn("plan not carried out", LOG_S("reason", err.text));
    plan_keep_ended(&keeper->keep, false, env_now_ms(keeper->config.env));
}

static void consider(struct plan_keeper *keeper, const struct plan *plan)
{
    if (plan_apply_count(plan, true) > 0)
        carry_out(keeper);
    else if (plan_apply_count(plan, false) > 0)
        plan_keep_later(&keeper->keep, env_now_ms(keeper->config.env));
    else
        plan_keep_idle(&keeper->keep);
}

/* The operation plans once more: what has changed meanwhile counts. */
static void on_plan(
        void *ctx, const struct plan *plan, const struct buf *answer, const struct err *err)
{
    struct plan_keeper *keeper = ctx;
    (void)answer;
    keeper->wait = NULL;
    if (!plan)
        log_warn("no plan could be made", LOG_S("reason", err->text));
    if (plan && keeper->on)
        consider(keeper, plan);
    else
        plan_keep_idle(&keeper->keep);
}

static void make_plan(struct plan_keeper *keeper)
{
    struct err err;
    if (planner_ask(keeper->config.planner, on_plan, keeper, &keeper->wait, &err) == 0)
        return;
    log_warn("no plan could be made", LOG_S("reason", err.text));
    plan_keep_ended(&keeper->keep, false, env_now_ms(keeper->config.env));
}

void plan_keeper_tick(struct plan_keeper *keeper)
{
    uint64_t now_ms = env_now_ms(keeper->config.env);
    if (now_ms - keeper->looked_ms < PLAN_KEEPER_LOOK_MS)
        return;
    keeper->looked_ms = now_ms;
    if (*keeper->task)
        look_after_task(keeper);
    if (keeper->on && plan_keep_look(&keeper->keep, planner_digest(keeper->config.planner),
                              something_runs(keeper->config.tasks), now_ms))
        make_plan(keeper);
}

void plan_keeper_set(struct plan_keeper *keeper, bool on)
{
    keeper->on = on;
    plan_keep_hurry(&keeper->keep);
}

struct plan_keeper *plan_keeper_create(const struct plan_keeper_config *config)
{
    struct plan_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper)
        keeper->config = *config;
    return keeper;
}

void plan_keeper_destroy(struct plan_keeper *keeper)
{
    if (!keeper)
        return;
    planner_forget(keeper->wait);
    free(keeper);
}
