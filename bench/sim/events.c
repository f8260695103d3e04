#include "bench/sim/events.h"

#include <errno.h>
#include <stdlib.h>

void events_init(struct events *events)
{
    *events = (struct events){0};
}

void events_fini(struct events *events)
{
    free(events->heap);
    events_init(events);
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_s != b->at_s ? a->at_s < b->at_s : a->serial < b->serial;
}

static int make_room(struct events *events)
{
    size_t room = events->room ? 2 * events->room : 256;
    struct event *heap;

    if (events->count < events->room)
        return 0;
    heap = reallocarray(events->heap, room, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    events->heap = heap;
    events->room = room;
    return 0;
}

int events_push(struct events *events, struct event event)
{
    int r = make_room(events);
    size_t at = events->count;

    if (r < 0)
        return r;
    event.serial = events->serial++;
    for (; at > 0 && is_before(&event, &events->heap[(at - 1) / 2]); at = (at - 1) / 2)
        events->heap[at] = events->heap[(at - 1) / 2];
    events->heap[at] = event;
    events->count++;
    return 0;
}

static size_t earlier_child(const struct events *events, size_t at)
{
    size_t left = 2 * at + 1;

    return left + 1 < events->count && is_before(&events->heap[left + 1], &events->heap[left])
                   ? left + 1
                   : left;
}

bool events_pop(struct events *events, struct event *ret_event)
{
    struct event last;
    size_t at = 0;

    if (events->count == 0)
        return false;
    *ret_event = events->heap[0];
    last = events->heap[--events->count];
    while (2 * at + 1 < events->count) {
        size_t child = earlier_child(events, at);

        if (!is_before(&events->heap[child], &last))
            break;
        events->heap[at] = events->heap[child];
        at = child;
    }
    events->heap[at] = last;
    return true;
}
