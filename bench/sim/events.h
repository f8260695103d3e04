/* What is going to happen, in the order of virtual time; what is for one moment happens in the
 * order in which it was put in. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_ARRIVAL, /* of request `subject` */
    EVENT_NODE,    /* node `subject` has come to the end of what it computes */
    EVENT_DOWN,    /* node `subject` dies */
    EVENT_MISSED,  /* it is noticed that node `subject` has died */
    EVENT_UP,      /* node `subject` is back, its model loaded */
};

struct event {
    double at_s;
    uint64_t serial;
    enum event_kind kind;
    uint32_t subject;
    uint32_t version; /* of the subject when it was put in: older ones are void */
};

struct events {
    struct event *heap;
    size_t count, room;
    uint64_t serial;
};

void events_init(struct events *events);
void events_fini(struct events *events);
/* -ENOMEM. `event->serial` is set here. */
MUST_CHECK int events_push(struct events *events, struct event event);
/* False where nothing is left. */
bool events_pop(struct events *events, struct event *ret_event);
