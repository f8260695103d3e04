#include "common/discovery/avahi_poll.h"

#include <avahi-common/timeval.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct avahi_poll {
    AvahiPoll api;
    struct loop *loop;
};

struct AvahiWatch {
    struct loop_watch *watch;
    int fd;      /* ours: libdbus watches one socket twice, for each direction, and libuv takes a
                    descriptor once */
    int fd_told; /* what avahi calls it */
    AvahiWatchEvent wanted, happened;
    AvahiWatchCallback fn;
    void *ctx;
};

struct AvahiTimeout {
    struct loop_timer *timer;
    AvahiTimeoutCallback fn;
    void *ctx;
};

static const struct {
    AvahiWatchEvent avahi;
    int uv;
} event_names[] = {
        {AVAHI_WATCH_IN, UV_READABLE},
        {AVAHI_WATCH_OUT, UV_WRITABLE},
        {AVAHI_WATCH_HUP, UV_DISCONNECT},
};

enum { EVENT_NAMES = sizeof(event_names) / sizeof(event_names[0]) };

static int to_uv(AvahiWatchEvent events)
{
    int uv = 0;
    for (int i = 0; i < EVENT_NAMES; i++)
        uv |= events & event_names[i].avahi ? event_names[i].uv : 0;
    return uv;
}

static AvahiWatchEvent to_avahi(int uv)
{
    unsigned events = 0;
    for (int i = 0; i < EVENT_NAMES; i++)
        events |= uv & event_names[i].uv ? event_names[i].avahi : 0u;
    return (AvahiWatchEvent)events;
}

/* An error comes with all that was wanted, so that whoever waits to read gets to see it; libuv has
 * stopped, where poll(2), after which AvahiPoll is made, would go on telling. */
static void on_events(void *ctx, int status, int events)
{
    AvahiWatch *watch = ctx;
    watch->happened = to_avahi(events);
    if (status < 0) {
        watch->happened = (AvahiWatchEvent)((unsigned)watch->wanted | AVAHI_WATCH_ERR);
        loop_watch_set(watch->watch, to_uv(watch->wanted));
    }
    watch->fn(watch, watch->fd_told, watch->happened, watch->ctx);
}

static void watch_update(AvahiWatch *watch, AvahiWatchEvent events)
{
    watch->wanted = events;
    loop_watch_set(watch->watch, to_uv(events));
}

static AvahiWatchEvent watch_get_events(AvahiWatch *watch)
{
    return watch->happened;
}

static void watch_free(AvahiWatch *watch)
{
    loop_watch_destroy(watch->watch);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}

static AvahiWatch *watch_new(
        const AvahiPoll *api, int fd, AvahiWatchEvent events, AvahiWatchCallback fn, void *ctx)
{
    struct avahi_poll *poll = api->userdata;
    AvahiWatch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    *watch = (AvahiWatch){.fd_told = fd, .fn = fn, .ctx = ctx};
    watch->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    watch->watch =
            watch->fd < 0 ? NULL : loop_watch_create(poll->loop, watch->fd, on_events, watch);
    if (!watch->watch) {
        watch_free(watch);
        return NULL;
    }
    watch_update(watch, events);
    return watch;
}

static void on_time(void *ctx)
{
    AvahiTimeout *timeout = ctx;
    timeout->fn(timeout, timeout->ctx);
}

/* Avahi counts on the wall clock; {0, 0} is its word for "at once". */
static uint64_t delay_ms(const struct timeval *at)
{
    const AvahiUsec past_us = avahi_age(at);
    return past_us >= 0 ? 0 : (uint64_t)(-past_us + 999) / 1000;
}

static void timeout_update(AvahiTimeout *timeout, const struct timeval *at)
{
    if (at)
        loop_timer_start(timeout->timer, delay_ms(at), 0);
    else
        loop_timer_stop(timeout->timer);
}

static void timeout_free(AvahiTimeout *timeout)
{
    loop_timer_destroy(timeout->timer);
    free(timeout);
}

static AvahiTimeout *timeout_new(
        const AvahiPoll *api, const struct timeval *at, AvahiTimeoutCallback fn, void *ctx)
{
    struct avahi_poll *poll = api->userdata;
    AvahiTimeout *timeout = calloc(1, sizeof(*timeout));
    if (!timeout)
        return NULL;
    *timeout = (AvahiTimeout){.fn = fn, .ctx = ctx};
    timeout->timer = loop_timer_create(poll->loop, on_time, timeout);
    if (!timeout->timer) {
        timeout_free(timeout);
        return NULL;
    }
    timeout_update(timeout, at);
    return timeout;
}

struct avahi_poll *avahi_poll_create(struct loop *loop)
{
    struct avahi_poll *poll = calloc(1, sizeof(*poll));
    if (!poll)
        return NULL;
    poll->loop = loop;
    poll->api = (AvahiPoll){
            .userdata = poll,
            .watch_new = watch_new,
            .watch_update = watch_update,
            .watch_get_events = watch_get_events,
            .watch_free = watch_free,
            .timeout_new = timeout_new,
            .timeout_update = timeout_update,
            .timeout_free = timeout_free,
    };
    return poll;
}

void avahi_poll_destroy(struct avahi_poll *poll)
{
    free(poll);
}

const AvahiPoll *avahi_poll_get(struct avahi_poll *poll)
{
    return &poll->api;
}
