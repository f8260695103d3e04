#include "coordinator/plan/plan_keep.h"

#include "common/number.h"

static void note_change(struct plan_keep *keep, uint64_t now_ms)
{
    if (!keep->changed)
        keep->changed_first_ms = now_ms;
    keep->changed = true;
    keep->changed_last_ms = now_ms;
}

static bool has_settled(const struct plan_keep *keep, uint64_t now_ms)
{
    return now_ms - keep->changed_last_ms >= PLAN_KEEP_SETTLE_MS ||
           now_ms - keep->changed_first_ms >= PLAN_KEEP_SETTLE_MAX_MS;
}

bool plan_keep_look(struct plan_keep *keep, uint64_t digest, bool held, uint64_t now_ms)
{
    if (digest != 0 && digest != keep->digest) {
        keep->digest = digest;
        note_change(keep, now_ms);
    }
    if (keep->busy || held || !keep->changed || now_ms < keep->not_before_ms ||
            !has_settled(keep, now_ms))
        return false;
    keep->changed = keep->hurried = false;
    keep->busy = true;
    return true;
}

void plan_keep_idle(struct plan_keep *keep)
{
    keep->busy = false;
}

static uint64_t pause_ms(const struct plan_keep *keep)
{
    uint64_t pause = PLAN_KEEP_INTERVAL_MS;
    for (unsigned i = 0; i < keep->failures && pause < PLAN_KEEP_FAILED_MAX_MS; i++)
        pause *= 2;
    return number_lesser(pause, PLAN_KEEP_FAILED_MAX_MS);
}

void plan_keep_later(struct plan_keep *keep, uint64_t now_ms)
{
    plan_keep_ended(keep, true, now_ms);
    note_change(keep, now_ms);
}

void plan_keep_ended(struct plan_keep *keep, bool ok, uint64_t now_ms)
{
    keep->busy = false;
    keep->failures = ok ? 0 : keep->failures + 1;
    keep->not_before_ms = keep->hurried ? 0 : now_ms + pause_ms(keep);
    if (!ok) /* what was left undone is to be tried again, also where nothing changes */
        note_change(keep, now_ms);
}

void plan_keep_hurry(struct plan_keep *keep)
{
    keep->hurried = true;
    keep->not_before_ms = 0;
    keep->failures = 0;
}
