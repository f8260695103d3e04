/* The monotonic clock of this whole program, libuv's included: it stands where a world's clock
 * does, so that timers of a loop, and what an engine does on them, cost no time. Compiled into the
 * program that wants it, never into a library: whoever links it loses the machine's own clock. */
#pragma once

#include "common/loop.h"
#include "tests/lib/virtual_env.h"

#include <stdint.h>

/* Borrowed; NULL: the machine's clock again. */
void virtual_clock_follow(const struct virtual_env *world);

/* Milliseconds until a timer of `loop` is due; UINT64_MAX: none is. */
uint64_t virtual_clock_due_ms(struct loop *loop);
/* Runs what is due now, and what that makes due now. */
void virtual_clock_run(struct loop *loop);
