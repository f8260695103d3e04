/* Which instance serves a request: a pure function from a snapshot to a plan and its reason. The
 * rule: the first model of the list that has a resident instance with room; among its instances the
 * least busy one (requests after this one per slot), ties to the least recently used. Nothing
 * resident: a node that can load the first model of the list. Where a model is larger than a node's
 * memory, only batch work is sent there. */
#pragma once

#include "coordinator/instance.h"
#include "coordinator/request.h"

#include <stddef.h>

enum {
    /* Requests sent to one instance before the coordinator keeps the next ones in its own queue,
     * per slot. The engine queues what is beyond its slots. */
    SCHEDULER_REQUESTS_PER_SLOT = 16,
    /* Room beside it, per slot, that chat cannot take. */
    SCHEDULER_AUTOCOMPLETE_PER_SLOT = 2,
    SCHEDULER_AVOID_MAX = 8,
};

struct scheduler_request {
    const char *const *models; /* in the order of preference */
    size_t model_count;
    struct scheduler_avoid {
        uint32_t epoch; /* of the session */
        const char *model;
    } avoid[SCHEDULER_AVOID_MAX]; /* the instances that have failed this request */
    size_t avoid_count;
    uint32_t needs; /* CAPABILITY_…: an instance that lacks one does not count */
    enum request_lane lane;
    bool batch; /* nobody waits in front of a screen: else none that is batch_only counts */
};

enum scheduler_verdict {
    SCHEDULER_RUN,    /* send it to `instance` now */
    SCHEDULER_WAIT,   /* an instance exists but cannot take it now: ask again when something has
                         changed */
    SCHEDULER_NONE,   /* no node that is here has any of the models and can hold it */
    SCHEDULER_UNABLE, /* nodes have each of them, but they lack `lacking` */
};

struct scheduler_plan {
    enum scheduler_verdict verdict;
    struct instance *instance; /* SCHEDULER_RUN only */
    const char *reason;        /* static, a sentence for people */
    uint32_t lacking;          /* SCHEDULER_UNABLE only: CAPABILITY_… */
};

/* Reads the snapshot, changes nothing. O(instances × models). */
struct scheduler_plan scheduler_choose(
        struct instance *const *instances, size_t count, const struct scheduler_request *request);
