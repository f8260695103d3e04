/* The event loop of a daemon: libuv with what every module here needs from it. One loop thread; all
 * callbacks run on it. A callback's last act may free its own object. Blocking work goes to
 * uv_queue_work(). */
#pragma once

#include "common/buf.h"
#include "common/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef void (*loop_fn)(void *ctx);

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_signal_t sigint, sigterm, sighup;
    struct list hooks, last_hooks;
    loop_fn on_stop, on_reload;
    void *signal_ctx;
};

MUST_CHECK int loop_init(struct loop *loop);
/* Closes what is left, runs the last callbacks, frees. Every owner has destroyed its watchers
 * before. */
void loop_fini(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* SIGINT and SIGTERM call `on_stop` (each time), SIGHUP calls `on_reload` (NULL: ignored). SIGPIPE
 * is ignored. */
MUST_CHECK int loop_catch_signals(struct loop *loop, loop_fn on_stop, loop_fn on_reload, void *ctx);

/* A hook runs once in every turn of the loop, right before it waits: the place to flush what the
 * turn has gathered. The caller owns the struct. A hook may not remove another hook. */
struct loop_hook {
    struct list link;
    loop_fn fn;
    void *ctx;
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook, loop_fn fn, void *ctx);
/* The same, after all hooks of loop_hook_add(), whenever they were added: for who must see what
 * those did. */
void loop_hook_add_last(struct loop *loop, struct loop_hook *hook, loop_fn fn, void *ctx);
void loop_hook_remove(struct loop_hook *hook);

/* A timer owned by its creator. NULL where malloc refuses. Destroy takes NULL, may be called from
 * the timer's own callback, and no callback comes after it. */
struct loop_timer;
struct loop_timer *loop_timer_create(struct loop *loop, loop_fn fn, void *ctx);
/* `repeat_ms` 0: once. Starting a running timer moves it. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer);

/* Watches a descriptor that somebody else owns. `fn` gets UV_READABLE | UV_WRITABLE | UV_DISCONNECT
 * bits, or a negative error in `status`, after which it watches no more until it is set again. At
 * most one watch per descriptor. Creating makes the descriptor non-blocking; NULL where it cannot
 * be watched (a regular file, or watched already) or malloc refuses. Destroy before the descriptor
 * is closed; it takes NULL, may be called from the watch's own callback, and no callback comes
 * after it. */
struct loop_watch;
typedef void (*loop_watch_fn)(void *ctx, int status, int events);
struct loop_watch *loop_watch_create(struct loop *loop, int fd, loop_watch_fn fn, void *ctx);
/* `events` 0 stops watching. */
void loop_watch_set(struct loop_watch *watch, int events);
void loop_watch_destroy(struct loop_watch *watch);
