/* Why a request goes where it goes, or nowhere, in a sentence for people: the header of an answer,
 * a refusal, `modemesh modes`. */
#pragma once

#include "coordinator/scheduling/routing.h"

/* Of a plan that is no ROUTING_RUN: what is waited for, or why no waiting helps. Static. */
const char *why_not(const struct routing_plan *plan);
/* Of one that is: by what its instance was chosen. Static. */
const char *why_there(const struct routing_plan *plan);
