/* Ctrl-C as something to poll: while armed, SIGINT, SIGTERM and SIGHUP make a descriptor readable
 * instead of ending the program; a second one ends it. Who arms it while it is armed shares it: the
 * outermost counts. One thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

/* Writes a descriptor to `*ret_fd` that stays readable from the first signal on; borrowed. */
MUST_CHECK int interrupt_arm(int *ret_fd, struct err *err);
/* The last one puts back what was before. */
void interrupt_disarm(void);
