/* When a plan is to be made again: a number over all that a plan follows from. Pure. */
#pragma once

#include "coordinator/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

/* Changes with the nodes and their memory, their models and what is loaded of them, and the modes;
 * not with the requests that engines serve, the order of the hosts, or a little that others take of
 * the memory. */
uint64_t plan_digest(const struct plan_host *hosts, size_t host_count, const struct modes *modes);
