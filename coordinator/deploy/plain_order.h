/* UNLOAD, PIN and DRAIN: one order to each node that is meant. Where no node is named: to unload a
 * model means everywhere where it is loaded, or kept; to pin it, everywhere where it is loaded, or
 * the one node that has it; to unpin it, everywhere where it is pinned. Inside coordinator/deploy/
 * only. Loop thread. */
#pragma once

#include "coordinator/deploy/task.h"

/* Errors as of tasks_start(). */
MUST_CHECK int plain_order_begin(struct task *task, struct err *err);
