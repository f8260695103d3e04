/* Time in tests that run a real loop: how long an event may take at the most, and waiting for what
 * must not come. */
#pragma once

#include "common/loop.h"

#include <stdint.h>

/* Aborts the program with a word when `ms` have passed and the timer, which the caller destroys, is
 * still there. */
struct loop_timer *patience_start(struct loop *loop, uint64_t ms);

/* Runs the loop for `ms`: for what must not come; no test waits so for what must. */
void patience_run_for(struct loop *loop, uint64_t ms);
