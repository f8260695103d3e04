#include "common/loop.h"

#include <signal.h>
#include <stdlib.h>

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *ctx;
};

struct loop_watch {
    uv_poll_t uv;
    loop_watch_fn fn;
    void *ctx;
};

static void run_hooks(struct list *hooks)
{
    list_for_each_safe (it, hooks) {
        struct loop_hook *hook = list_entry(it, struct loop_hook, link);
        hook->fn(hook->ctx);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    run_hooks(&loop->hooks);
    run_hooks(&loop->last_hooks);
}

static int init_signals(struct loop *loop)
{
    int r = uv_signal_init(&loop->uv, &loop->sigint);
    if (r == 0)
        r = uv_signal_init(&loop->uv, &loop->sigterm);
    if (r == 0)
        r = uv_signal_init(&loop->uv, &loop->sighup);
    loop->sigint.data = loop->sigterm.data = loop->sighup.data = loop;
    return r;
}

int loop_init(struct loop *loop)
{
    *loop = (struct loop){.on_stop = NULL};
    list_init(&loop->hooks);
    list_init(&loop->last_hooks);
    int r = uv_loop_init(&loop->uv);
    if (r < 0)
        return r;
    r = init_signals(loop);
    if (r < 0) {
        loop_fini(loop);
        return r;
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_fini(struct loop *loop)
{
    /* More than one round only where a last callback made a new handle, or left the loop stopped.
     */
    do {
        uv_walk(&loop->uv, close_handle, NULL);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (uv_loop_close(&loop->uv) == UV_EBUSY);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
    struct loop *loop = handle->data;
    (void)signum;
    loop->on_stop(loop->signal_ctx);
}

static void on_reload_signal(uv_signal_t *handle, int signum)
{
    struct loop *loop = handle->data;
    (void)signum;
    if (loop->on_reload)
        loop->on_reload(loop->signal_ctx);
}

int loop_catch_signals(struct loop *loop, loop_fn on_stop, loop_fn on_reload, void *ctx)
{
    loop->on_stop = on_stop;
    loop->on_reload = on_reload;
    loop->signal_ctx = ctx;
    signal(SIGPIPE, SIG_IGN);

    int r = uv_signal_start(&loop->sigint, on_stop_signal, SIGINT);
    if (r == 0)
        r = uv_signal_start(&loop->sigterm, on_stop_signal, SIGTERM);
    if (r == 0)
        r = uv_signal_start(&loop->sighup, on_reload_signal, SIGHUP);
    return r;
}

static void add_hook(struct list *hooks, struct loop_hook *hook, loop_fn fn, void *ctx)
{
    hook->fn = fn;
    hook->ctx = ctx;
    list_push_back(hooks, &hook->link);
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook, loop_fn fn, void *ctx)
{
    add_hook(&loop->hooks, hook, fn, ctx);
}

void loop_hook_add_last(struct loop *loop, struct loop_hook *hook, loop_fn fn, void *ctx)
{
    add_hook(&loop->last_hooks, hook, fn, ctx);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_del(&hook->link);
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_fn fn, void *ctx)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return NULL;
    timer->fn = fn;
    timer->ctx = ctx;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    return timer;
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *timer = handle->data;
    timer->fn(timer->ctx);
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    /* libuv counts from the begin of the turn; after a long turn the timer would fire too early. */
    uv_update_time(timer->uv.loop);
    uv_timer_start(&timer->uv, on_timer, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv);
}

static void free_data(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer)
        uv_close((uv_handle_t *)&timer->uv, free_data);
}

struct loop_watch *loop_watch_create(struct loop *loop, int fd, loop_watch_fn fn, void *ctx)
{
    struct loop_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    if (uv_poll_init(&loop->uv, &watch->uv, fd) < 0) {
        free(watch);
        return NULL;
    }
    watch->fn = fn;
    watch->ctx = ctx;
    watch->uv.data = watch;
    return watch;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct loop_watch *watch = handle->data;
    watch->fn(watch->ctx, status, events);
}

void loop_watch_set(struct loop_watch *watch, int events)
{
    if (events)
        uv_poll_start(&watch->uv, events, on_poll);
    else
        uv_poll_stop(&watch->uv);
}

void loop_watch_destroy(struct loop_watch *watch)
{
    if (watch)
        uv_close((uv_handle_t *)&watch->uv, free_data);
}
