/* Ctrl-C as something to poll: while armed, SIGINT, SIGTERM and SIGHUP make a descriptor readable
 * instead of ending the program; a second one ends it. One at a time in a process. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

/* Writes a descriptor to `*ret_fd` that stays readable from the first signal on; borrowed. */
MUST_CHECK int interrupt_arm(int *ret_fd, struct err *err);
/* Puts back what was before. */
void interrupt_disarm(void);
