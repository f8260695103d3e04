/* `tools` and `tool_choice` of a chat (and their older form, `functions` and `function_call`),
 * brought into what every engine knows: functions, and "auto", "none" or "required".
 *
 * - A function may stand flat, as in Responses.
 * - A namespace's tools become functions "NAMESPACE__NAME", as responses_tools.h has it.
 * - Tools that the provider itself would run (web search, …) are skipped and named.
 * - A choice of one tool, or of some, is "required" or "auto" with the others left out.
 *
 * Printed anew only where that changed something. */
#pragma once

#include "coordinator/dialects/openai/openai_body.h"

/* -EINVAL, -ENOMEM. Adds CAPABILITY_TOOLS to request->needs where the model may call one. Sets
 * `*ret_legacy` where the client knows functions only, and wants its answer so. */
MUST_CHECK int openai_tools_read(struct openai_body *body, bool *ret_legacy);
