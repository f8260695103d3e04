/* Why a request goes where it goes, or nowhere, in a sentence for people: the header of an answer,
 * a refusal, `modemesh modes`. */
#pragma once

#include "coordinator/router/router.h"

#include <stddef.h>

enum { WHY_MAX = 160 }; /* bytes of a sentence */

/* Of a plan that is no ROUTING_RUN: what is waited for, or why no waiting helps. Static. */
const char *why_not(const struct routing_plan *plan);
/* The same in `text`, with the node that is waited for, or the longest context there is, and how
 * long the prompt is beside it where it is far too long. */
void why_not_full(const struct router_plan *plan, char *text, size_t size);
/* "is away": of a node that is waited for. Static. */
const char *why_awaited(enum awaited state);
/* Of one that has an instance: that the prompt is longer than every context, and goes there all the
 * same, as tokens are an estimate. NULL: it is not. Static. */
const char *why_too_long(const struct router_plan *plan);
/* Of one that is: by what its instance was chosen. Static. */
const char *why_there(const struct routing_plan *plan);
