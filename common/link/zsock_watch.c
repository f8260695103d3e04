#include "common/link/zsock_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

struct zsock_watch {
    struct loop_hook hook;
    uv_poll_t poll;
    uv_check_t check;
    uv_idle_t idle; /* runs while messages wait, so that the loop does not sleep on them */
    unsigned open_handles;
    bool due; /* there may be something to read */
    bool destroyed;
    void *zsock;
    zsock_read_fn fn;
    void *ctx;
};

static bool readable(struct zsock_watch *watch)
{
    int events = 0;
    size_t size = sizeof(events);
    return zmq_getsockopt(watch->zsock, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct zsock_watch *watch = poll->data;
    (void)status;
    (void)events;
    watch->due = true;
}

/* Whoever sent on the socket since the last turn may have eaten the edge. */
static void before_wait(void *ctx)
{
    struct zsock_watch *watch = ctx;
    watch->due = readable(watch);
    if (watch->due)
        uv_idle_start(&watch->idle, on_idle);
    else
        uv_idle_stop(&watch->idle);
}

static void on_check(uv_check_t *check)
{
    struct zsock_watch *watch = check->data;
    if (!watch->due)
        return;
    for (int i = 0; i < ZSOCK_MESSAGES_PER_TURN; i++)
        if (!watch->fn(watch->ctx) || watch->destroyed)
            break;
}

static void on_close(uv_handle_t *handle)
{
    struct zsock_watch *watch = handle->data;
    if (--watch->open_handles == 0)
        free(watch);
}

static void start(struct zsock_watch *watch, struct loop *loop)
{
    uv_check_init(&loop->uv, &watch->check);
    uv_idle_init(&loop->uv, &watch->idle);
    watch->open_handles = 3;
    watch->poll.data = watch->check.data = watch->idle.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_poll);
    uv_check_start(&watch->check, on_check);
    loop_hook_add_last(loop, &watch->hook, before_wait, watch);
}

struct zsock_watch *zsock_watch_create(struct loop *loop, void *zsock, zsock_read_fn fn, void *ctx)
{
    int fd;
    size_t size = sizeof(fd);
    if (zmq_getsockopt(zsock, ZMQ_FD, &fd, &size))
        return NULL;
    struct zsock_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->zsock = zsock;
    watch->fn = fn;
    watch->ctx = ctx;
    int r = uv_poll_init(&loop->uv, &watch->poll, fd);
    if (r) {
        free(watch);
        errno = -r;
        return NULL;
    }
    start(watch, loop);
    return watch;
}

void zsock_watch_destroy(struct zsock_watch *watch)
{
    if (!watch || watch->destroyed)
        return;
    watch->destroyed = true;
    loop_hook_remove(&watch->hook);
    uv_close((uv_handle_t *)&watch->poll, on_close);
    uv_close((uv_handle_t *)&watch->check, on_close);
    uv_close((uv_handle_t *)&watch->idle, on_close);
}
