/* One chat request on an engine that speaks OpenAI's API over HTTP: the body as this mesh wants it
 * asked, the event stream as typed deltas, and why it ended. Belongs to its caller until on_end has
 * returned or it was cancelled. Loop thread only; no callback from inside these functions. */
#pragma once

#include "node/backends/backend.h"

struct openai_run;

struct openai_target { /* borrowed during openai_run_start() */
    struct http_client *http;
    const char *url;         /* of …/v1/chat/completions */
    const char *unix_socket; /* NULL: TCP */
};

/* Asks for a stream with usage, and drops what a client has no say in: the model's name, the slot,
 * the context's size. `events` is borrowed for the life of the run. -EINVAL where the body is no
 * JSON object; -ENOTSUP for a kind other than chat. */
MUST_CHECK int openai_run_start(const struct openai_target *target, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct openai_run **ret_run, struct err *err);
/* Closes the connection, which aborts the request on the engine too; frees. May be called from
 * on_delta. */
void openai_run_cancel(struct openai_run *run);
void openai_run_pause(struct openai_run *run);
void openai_run_resume(struct openai_run *run);
