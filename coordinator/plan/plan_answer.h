/* A plan as JSON: what GET /mesh/v1/plan answers. Shapes are stable: fields are added, never
 * renamed. Numbers are bytes, tokens and milliseconds; losses are thousandths, of the ideal.
 *
 *   {"lost_permille", "exact", "loads", "unloads",
 *    "models": [{"node", "model", "action": "keep" | "load" | "reload" | "spare" | "unload" |
 *                "refuse", "context", "slots", "memory_bytes", "swap_bytes", "load_ms", "foreign",
 *                "why"}],
 *    "modes":  [{"mode", "copy", "served", "model", "node", "context", "wanted_context", "slots",
 *                "choice", "choices", "lost_permille", "lost": {"model", "context", "time", "swap",
 *                "unserved"}, "why"}],
 *    "nodes":  [{"node", "capacity_bytes", "planned_bytes", "spare_bytes", "free_bytes"}],
 *    "notes":  [text]}
 *
 * Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/plan/plan.h"

/* Of a plan that was placed. -ENOMEM, -ENOBUFS: what was appended is of no use. */
MUST_CHECK int plan_answer_append(const struct plan *plan, struct buf *out);
