/* Carries out a plan by orders to the nodes (LOAD, UNLOAD). On each node one after another: first
 * what is let go, then what is loaded again in less memory, then the other loads; several nodes at
 * the same time. A load names context, slots and cache types as the plan has counted them. Where a
 * step fails, or the node is gone, that node's other steps are left, and the other nodes go on.
 * What is pinned the nodes load by themselves; what is foreign is nobody's to change. Each step is
 * logged with its reason. Loop thread. */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "coordinator/node_table.h"
#include "coordinator/plan/plan.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PLAN_APPLY_ORDER_MS = 60 * 60 * 1000, /* that a node may take for one step */
    PLAN_APPLY_TEXT_MAX = 2048,           /* bytes of a text for people */
};

struct plan_apply;

struct plan_apply_events {
    /* `node`: NULL where it is about all of them. Borrowed. */
    void (*on_progress)(void *ctx, const char *node, const char *text);
    /* Last, once: how it ended. The owner destroys it, now or later. */
    void (*on_done)(void *ctx, bool ok, const char *text);
};

struct plan_apply_config { /* all borrowed */
    const struct env *env;
    struct node_table *nodes;
    const struct plan_apply_events *events;
    void *ctx;
    bool settled_only; /* leave nodes alone where plan_is_unsettled() */
};

/* The steps that a plan asks for, so counted. */
size_t plan_apply_count(const struct plan *plan, bool settled_only);

/* Takes what it needs from the plan, which was placed; nothing is told to any node yet. -ENOMEM. */
MUST_CHECK int plan_apply_create(const struct plan_apply_config *config, const struct plan *plan,
        struct plan_apply **ret_apply, struct err *err);
/* The nodes carry out what they have begun; nobody hears of it. Takes NULL. */
void plan_apply_destroy(struct plan_apply *apply);

/* Begins. May have ended on return. */
void plan_apply_start(struct plan_apply *apply);
/* No other step begins; what nodes carry out is waited for. Where steps are left it ends as failed,
 * for that reason (static). */
void plan_apply_stop(struct plan_apply *apply, const char *reason);
/* About once a second: gives up on nodes that took too long. */
void plan_apply_tick(struct plan_apply *apply);
