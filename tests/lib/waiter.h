/* One who waits for a model of a node and, once that is ready, has it. Of the tests' own checks. */
#pragma once

#include "node/residency/supervisor.h"

struct waiter {
    struct instance_wait wait;
    struct instance *instance;
    unsigned calls;
    int code; /* -1: ready, and acquired; instance_release() is the test's */
    char message[512];
};

/* Nothing comes before the supervisor's next tick. */
void waiter_begin(struct waiter *waiter, const struct supervisor *supervisor, const char *name);
