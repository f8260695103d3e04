/* Makes plans of the fleet as it is now, and their answers, on the loop's work queue: one at a
 * time. Who asks while one is being made waits for the next, which sees what has changed since; all
 * who wait for the same one get the same. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_table.h"
#include "coordinator/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PLANNER_WAITING_MAX = 256, /* who wait for plans at once */
    PLANNER_ANSWER_MAX = 64 * 1024 * 1024,
};

struct planner;
struct planner_wait; /* one who waits */

struct planner_config { /* all borrowed */
    struct loop *loop;
    struct node_table *nodes;
    const struct modes *modes;
};

/* `plan` is placed, `answer` is what plan_answer.h makes of it; borrowed for the call. NULL: there
 * is none, for the reason in `err`. Comes once, from the loop, never inside planner_ask(). */
typedef void (*planner_fn)(
        void *ctx, const struct plan *plan, const struct buf *answer, const struct err *err);

/* NULL where malloc refuses. */
struct planner *planner_create(const struct planner_config *config);
/* Nobody who waits is called any more. Takes NULL. */
void planner_destroy(struct planner *planner);

/* -EBUSY past PLANNER_WAITING_MAX, -ENOMEM. */
MUST_CHECK int planner_ask(struct planner *planner, planner_fn fn, void *ctx,
        struct planner_wait **ret_wait, struct err *err);
/* `fn` is not called any more. Takes NULL; not after `fn` was called. */
void planner_forget(struct planner_wait *wait);

/* plan_digest() of the fleet as it is now; 0 where there is no memory to look. */
uint64_t planner_digest(const struct planner *planner);
