/* When a fleet that is kept to its plan (`residency: planned`) is planned anew. The plan itself
 * weighs what a load costs against what it gains (placement/placement.h); this sees to it that
 * nothing is moved for what is over in a moment, and that nothing is moved too often. Pure: the
 * caller looks, tells the time, and does what is due.
 *
 *              the digest changes             quiet for SETTLE_MS, or changing for SETTLE_MAX_MS,
 *   STILL ────────────────────────▶ CHANGED ──────────────────────────────────────────▶ DUE
 *     ▲ ▲                                     and not held, and not before its time      │
 *     │ └───────────────────── the plan has no steps ────────────────────────────────────┤
 *     └── ended: not again for INTERVAL_MS, doubled with each failure in a row ◀── steps ┘
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_KEEP_SETTLE_MS = 15 * 1000,          /* nothing has changed for so long, … */
    PLAN_KEEP_SETTLE_MAX_MS = 2 * 60 * 1000,  /* … or it has not stopped changing for so long */
    PLAN_KEEP_INTERVAL_MS = 5 * 60 * 1000,    /* from the end of one plan's steps to the next … */
    PLAN_KEEP_FAILED_MAX_MS = 60 * 60 * 1000, /* … and after failures, at most */
};

struct plan_keep {   /* plain; begins as {0} */
    uint64_t digest; /* as it was last seen; 0: never */
    bool changed, busy, hurried;
    uint64_t changed_first_ms, changed_last_ms; /* since the last plan */
    uint64_t not_before_ms;
    unsigned failures; /* in a row */
};

/* What the fleet is like now (plan_digest(); 0 is not known, and changes nothing). True: a plan is
 * due, and it is busy until the caller has told how that went. `held`: people are changing
 * something themselves, nothing is due as yet. */
bool plan_keep_look(struct plan_keep *keep, uint64_t digest, bool held, uint64_t now_ms);
/* There is nothing to do, or no plan could be made. */
void plan_keep_idle(struct plan_keep *keep);
/* There is something to do, and not the time for it: a plan is due again after the interval. */
void plan_keep_later(struct plan_keep *keep, uint64_t now_ms);
/* The steps of the plan have ended, so. */
void plan_keep_ended(struct plan_keep *keep, bool ok, uint64_t now_ms);
/* Somebody has changed the settings: the next plan does not wait for the interval to pass, also
 * where one is being carried out just now. */
void plan_keep_hurry(struct plan_keep *keep);
