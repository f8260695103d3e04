/* One task and what its kinds share. Inside coordinator/deploy/ only. */
#pragma once

#include "common/list.h"
#include "coordinator/deploy/round.h"
#include "coordinator/deploy/tasks.h"

struct deploy;
struct plan_task;

struct task {
    struct list link; /* of tasks */
    struct tasks *tasks;
    const struct tasks_config *world;
    struct task_facts facts;
    struct round_events round_events;
    struct round *round;    /* the orders that it waits for; NULL: none */
    struct deploy *deploy;  /* of DEPLOY and LOAD; else NULL */
    struct plan_task *plan; /* of PLAN; else NULL */
};

/* What it waits for now; "node: text" where a node says so, `node` NULL: we do. */
void task_progress(struct task *task, const char *node, const char *text);
/* Its end, and that of its round; the log has it. Call it last. */
void task_end(struct task *task, enum task_state state, const char *message);

/* A new round in the place of the one before, whose progress is the task's; `on_end` gets the
 * task. -ENOMEM. */
MUST_CHECK int task_begin_round(
        struct task *task, uint64_t limit_ms, void (*on_end)(void *ctx), struct err *err);
/* "halo1: loaded; halo2: no such model" of all answers, or of those alone that are not ok. Returns
 * `buf`. */
const char *task_gather(const struct task *task, bool failed_only, char *buf, size_t size);
/* True where all answers are ok. */
bool task_all_ok(const struct task *task);

/* The name, the model's own or an alias, under which it is in the mode's list; NULL where it is
 * not. */
const char *task_listed_name(const struct task *task, const struct mode *mode, const char *model);
/* True for an instance of the model on the node; `node` "" is any. */
bool task_means(const struct instance *instance, const char *model, const char *node);
/* That the model is on an engine which its node only uses. Returns -ENOENT. */
int task_refuse_foreign(const struct instance *instance, struct err *err);
/* Why no connected node can load the model: there is no such node, or none has it on its disk and
 * takes work. Returns -ENOENT. */
int task_refuse_nobody(const struct task *task, const char *model, struct err *err);
