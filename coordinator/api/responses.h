/* What /v1/responses has beside its POST: responses in the background, and what becomes of a
 * response later (GET, DELETE, cancel, its input). A response is its owner's, who is the caller by
 * caller_name(); to others it is not there. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/caller.h"

#include <stddef.h>

/* Starts the job of a request in the background and answers: by the response as it is, or by its
 * events as they come. `request` is moved, `terms` as in jobs_start(). */
void responses_start(const struct call *call, struct request *request, struct job_terms *terms);

/* `call->tail` is the response's id. */
/* The response; ?stream=true its events, ?starting_after=N those after number N. */
void responses_serve_get(const struct call *call);
void responses_serve_delete(const struct call *call);
void responses_serve_cancel(const struct call *call);
/* ?limit, ?order, ?after as in OpenAI's lists. */
void responses_serve_input_items(const struct call *call);
