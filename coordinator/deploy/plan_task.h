/* PLAN: makes a plan of the fleet as it is, and carries it out (plan/). Inside coordinator/deploy/
 * only. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

struct plan_task;
struct task;

/* The plan is made on the work queue. -EBUSY, -ENOMEM. */
MUST_CHECK int plan_task_begin(struct task *task, struct err *err);
/* About once a second. Takes NULL. */
void plan_task_tick(struct plan_task *plan);
/* People ask for something themselves: what is left of the plan is left to the next one. */
void plan_task_give_way(struct plan_task *plan);
/* Takes NULL. */
void plan_task_destroy(struct plan_task *plan);
