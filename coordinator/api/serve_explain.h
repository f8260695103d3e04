/* GET /mesh/v1/explain?mode=MODE&tokens=N: where a request would go now, and what it would cost on
 * every instance that may answer, term by term. Instead of `mode` `model`, any name that a request
 * may have there; besides `session`, `output` and `needs` (explain_query.h). What `needs` tells of
 * "chat", "fim", "embeddings", "rerank" and "audio" is the kind of the request, without a word of
 * them that which the mode is for; "fim" without "chat" goes where infill goes. The decision is the
 * one of live requests (router/explanation.h), after the mode's rules (modes/mode_policy.h), as one
 * gets it that the caller sends now, behind all that waits already; nothing changes by it. Where
 * the mode has none for it, the modes that are asked instead are gone through as well, and all
 * members are those of the mode that decides in the end.
 *
 * {"mode": that decides; "": a model was asked for, "passed": [{"mode", "why"}], those before it,
 *  the one that was asked for first, which have none for it, "rule", "prompt_tokens",
 *  "output_tokens", "needs": ["chat"],
 *  "session": null | {"id", "known", "node", "model"}, "verdict": "run" | "wait" | "none",
 *  "why", "awaited": null | {"node", "why": "is away"}, of whom it waits for that no instance here
 *  can take, "when_none", "next": the mode that would come after this one; "": none,
 *  "chosen": null | {"node", "model"},
 *  "models": [{"model", "points", "option": it may answer, by the rule and by one of its instances,
 *              "why"}], of the mode, in its order
 *  "instances": [{"node", "model", "state", "running", "slots", "chosen", "feasible", "why",
 *                 "held_tokens", "seconds": null | {"wait", … , "time_to_first_token", "total"}}],
 *  "left_out": instances beyond those}
 *
 * `session` is the id that a client sends with its conversation (dialects/session_id.h); it is
 * known to those alone who ask as that client does. What an instance holds of its prompt is told by
 * the last block of the request before: all up to it, or nothing. */
#pragma once

#include "coordinator/api/caller.h"

void serve_explain(const struct call *call);
