/* Runs llama-fit-params where it is installed, to learn what a model of an architecture that we do
 * not know would take (common/model/fit_params.h). Blocking, a few seconds at most. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/estimate.h"
#include "common/model/fit_params.h"

enum {
    FIT_TOOL_TIMEOUT_MS = 10000,     /* enough for a large model on a slow disk */
    FIT_TOOL_OUTPUT_MAX = 64 * 1024, /* bytes of it that are read */
};

/* Asks about the model in `path` with `run`, which says context and slots. The program is found on
 * PATH, and ended with all that it started when the time is over. -ENOENT: not installed;
 * -ETIMEDOUT; -EMSGSIZE: it prints without end; -EPROTO: it failed, or says nothing that is
 * understood. */
MUST_CHECK int fit_tool_ask(const char *path, const struct model_run *run, unsigned timeout_ms,
        struct fit_params *ret_params, struct err *err);
