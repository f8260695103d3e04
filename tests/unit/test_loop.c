#include "common/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HOUR_MS = 60 * 60 * 1000 };

/* What the callbacks of one test share. */
struct scene {
    struct loop loop;
    struct loop_timer *timer, *other;
    struct loop_watch *watch;
    struct loop_hook hook, hooks[3];
    int sockets[2];
    int fired, stops, reloads, turns, hook_runs, order;
    int status, events;
};

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* libuv opens one pipe for the signals of the whole process, at the first loop, and keeps it. */
static int open_what_stays_open(void **state)
{
    (void)state;
    struct loop loop;
    int r = loop_init(&loop);
    if (r == 0)
        loop_fini(&loop);
    return r;
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->sockets) < 0)
        return -1;
    return loop_init(&s->loop);
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    loop_fini(&s->loop);
    close(s->sockets[0]);
    close(s->sockets[1]);
    free(s);
    return 0;
}

static void count_and_stop(void *ctx)
{
    struct scene *s = ctx;
    s->fired++;
    loop_stop(&s->loop);
}

static void fail_on_call(void *ctx)
{
    (void)ctx;
    fail_msg("a callback came that must not come");
}

/* Runs until the loop has nothing left to do at once and `delay_ms` has passed. */
static void run_for(struct scene *s, uint64_t delay_ms)
{
    struct loop_timer *end = loop_timer_create(&s->loop, count_and_stop, s);
    assert_non_null(end);
    loop_timer_start(end, delay_ms, 0);
    loop_run(&s->loop);
    loop_timer_destroy(end);
    s->fired--;
}

static void fini_gives_everything_back(void **state)
{
    (void)state;
    struct scene s = {.fired = 0};
    int before = open_descriptors();
    assert_int_equal(loop_init(&s.loop), 0);
    assert_int_equal(loop_catch_signals(&s.loop, fail_on_call, NULL, NULL), 0);
    s.timer = loop_timer_create(&s.loop, count_and_stop, &s);
    assert_non_null(s.timer);
    loop_timer_start(s.timer, 0, 0);
    loop_run(&s.loop);
    assert_int_equal(s.fired, 1);
    loop_timer_destroy(s.timer);
    loop_stop(&s.loop);
    loop_fini(&s.loop);
    assert_int_equal(open_descriptors(), before);
}

static void fini_without_a_run(void **state)
{
    (void)state;
    struct loop loop;
    int before = open_descriptors();
    assert_int_equal(loop_init(&loop), 0);
    loop_fini(&loop);
    assert_int_equal(open_descriptors(), before);
}

static void stop_before_run_is_kept(void **state)
{
    struct scene *s = *state;
    loop_stop(&s->loop);
    loop_run(&s->loop);
    run_for(s, 0);
}

static void timer_fires_once(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, count_and_stop, s);
    assert_non_null(s->timer);
    assert_false(loop_timer_active(s->timer));
    loop_timer_start(s->timer, 1, 0);
    assert_true(loop_timer_active(s->timer));
    loop_run(&s->loop);
    assert_int_equal(s->fired, 1);
    assert_false(loop_timer_active(s->timer));
    loop_timer_destroy(s->timer);
    loop_timer_destroy(NULL);
}

static void count_to_five(void *ctx)
{
    struct scene *s = ctx;
    if (++s->fired == 5)
        loop_stop(&s->loop);
}

static void timer_repeats_until_stopped(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, count_to_five, s);
    loop_timer_start(s->timer, 0, 1);
    loop_run(&s->loop);
    assert_int_equal(s->fired, 5);
    assert_true(loop_timer_active(s->timer));
    loop_timer_stop(s->timer);
    assert_false(loop_timer_active(s->timer));
    run_for(s, 5);
    assert_int_equal(s->fired, 5);
    loop_timer_destroy(s->timer);
}

static void starting_again_moves_the_timer(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, fail_on_call, s);
    s->other = loop_timer_create(&s->loop, count_and_stop, s);
    loop_timer_start(s->timer, 1, 0);
    loop_timer_start(s->timer, HOUR_MS, 0);
    loop_timer_start(s->other, HOUR_MS, 0);
    loop_timer_start(s->other, 5, 0);
    loop_run(&s->loop);
    assert_int_equal(s->fired, 1);
    loop_timer_destroy(s->timer);
    loop_timer_destroy(s->other);
}

static void delay_counts_from_the_start_and_not_from_the_turn(void **state)
{
    struct scene *s = *state;
    const struct timespec long_turn = {.tv_nsec = 30000000};
    nanosleep(&long_turn, NULL);
    uint64_t begin_ns = uv_hrtime();
    run_for(s, 20);
    assert_true(uv_hrtime() - begin_ns >= 19000000);
}

static void destroy_self(void *ctx)
{
    struct scene *s = ctx;
    s->fired++;
    loop_timer_destroy(s->timer);
}

static void timer_may_destroy_itself(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, destroy_self, s);
    loop_timer_start(s->timer, 0, 1);
    run_for(s, 5);
    assert_int_equal(s->fired, 1);
}

static void destroy_other(void *ctx)
{
    struct scene *s = ctx;
    s->fired++;
    loop_timer_destroy(s->other);
}

static void no_callback_comes_after_destroy(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, destroy_other, s);
    s->other = loop_timer_create(&s->loop, fail_on_call, s);
    loop_timer_start(s->timer, 1, 0);
    loop_timer_start(s->other, 1, 0); /* due in the same turn, right behind */
    run_for(s, 5);
    assert_int_equal(s->fired, 1);
    loop_timer_destroy(s->timer);
}

static void count_hook(void *ctx)
{
    struct scene *s = ctx;
    s->hook_runs++;
}

static void on_check(uv_check_t *check)
{
    struct scene *s = check->data;
    s->turns++;
    assert_int_equal(s->hook_runs, s->turns);
}

/* The check handle is left to loop_fini(), which runs before this function gives its memory back.
 */
static void hooks_run_once_each_turn_before_the_wait(void **state)
{
    struct scene *s = *state;
    uv_check_t check = {.data = s};
    uv_check_init(&s->loop.uv, &check);
    uv_check_start(&check, on_check);
    loop_hook_add(&s->loop, &s->hook, count_hook, s);
    s->timer = loop_timer_create(&s->loop, count_to_five, s);
    loop_timer_start(s->timer, 0, 1);
    loop_run(&s->loop);
    assert_true(s->turns >= 4);
    assert_int_equal(s->hook_runs, s->turns);
    loop_timer_destroy(s->timer);

    loop_hook_remove(&s->hook);
    int runs = s->hook_runs;
    uv_check_stop(&check);
    run_for(s, 1);
    assert_int_equal(s->hook_runs, runs);
    loop_fini(&s->loop);
    assert_int_equal(loop_init(&s->loop), 0);
}

struct note {
    struct scene *scene;
    int digit;
};

static void write_digit(void *ctx)
{
    const struct note *note = ctx;
    note->scene->order = note->scene->order * 10 + note->digit;
}

static void write_digit_and_leave(void *ctx)
{
    const struct note *note = ctx;
    write_digit(ctx);
    loop_hook_remove(&note->scene->hooks[note->digit - 1]);
}

static void hooks_run_in_order_and_may_remove_themselves(void **state)
{
    struct scene *s = *state;
    struct note notes[] = {{s, 1}, {s, 2}, {s, 3}};
    loop_hook_add(&s->loop, &s->hooks[0], write_digit_and_leave, &notes[0]);
    loop_hook_add(&s->loop, &s->hooks[1], write_digit_and_leave, &notes[1]);
    loop_hook_add(&s->loop, &s->hooks[2], write_digit_and_leave, &notes[2]);
    run_for(s, 5);
    assert_int_equal(s->order, 123);
    assert_true(list_empty(&s->loop.hooks));
}

static void start_timer_now(void *ctx)
{
    struct scene *s = ctx;
    loop_timer_start(s->timer, 0, 0);
}

static void timer_from_a_hook_shortens_the_wait(void **state)
{
    struct scene *s = *state;
    s->timer = loop_timer_create(&s->loop, count_and_stop, s);
    loop_hook_add(&s->loop, &s->hook, start_timer_now, s);
    loop_run(&s->loop);
    assert_int_equal(s->fired, 1);
    loop_hook_remove(&s->hook);
    loop_timer_destroy(s->timer);
}

static void note_event(void *ctx, int status, int events)
{
    struct scene *s = ctx;
    s->fired++;
    s->status = status;
    s->events = events;
    loop_stop(&s->loop);
}

static void watch_tells_readable_and_writable(void **state)
{
    struct scene *s = *state;
    s->watch = loop_watch_create(&s->loop, s->sockets[0], note_event, s);
    assert_non_null(s->watch);
    loop_watch_set(s->watch, UV_WRITABLE);
    loop_run(&s->loop);
    assert_int_equal(s->events, UV_WRITABLE);

    loop_watch_set(s->watch, UV_READABLE);
    assert_int_equal(write(s->sockets[1], "x", 1), 1);
    loop_run(&s->loop);
    assert_int_equal(s->events, UV_READABLE);
    assert_int_equal(s->status, 0);
    assert_int_equal(s->fired, 2);

    loop_watch_set(s->watch, 0);
    run_for(s, 2);
    assert_int_equal(s->fired, 2);
    loop_watch_destroy(s->watch);
    loop_watch_destroy(NULL);
}

static void watch_tells_that_the_peer_left(void **state)
{
    struct scene *s = *state;
    s->watch = loop_watch_create(&s->loop, s->sockets[0], note_event, s);
    loop_watch_set(s->watch, UV_DISCONNECT);
    run_for(s, 1);
    assert_int_equal(s->fired, 0);
    assert_int_equal(shutdown(s->sockets[1], SHUT_RDWR), 0);
    loop_run(&s->loop);
    assert_int_equal(s->status, 0);
    assert_int_equal(s->events, UV_DISCONNECT);
    loop_watch_destroy(s->watch);
}

static void watch_works_on_a_pipe(void **state)
{
    struct scene *s = *state;
    int fds[2];
    char byte;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s->watch = loop_watch_create(&s->loop, fds[0], note_event, s);
    loop_watch_set(s->watch, UV_READABLE | UV_DISCONNECT);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run(&s->loop);
    assert_int_equal(s->events, UV_READABLE);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[1]);
    loop_run(&s->loop);
    assert_true(s->events & UV_DISCONNECT);
    loop_watch_destroy(s->watch);
    close(fds[0]);
}

static void watch_tells_errors(void **state)
{
    struct scene *s = *state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s->watch = loop_watch_create(&s->loop, fds[1], note_event, s);
    assert_non_null(s->watch);
    close(fds[0]);
    loop_watch_set(s->watch, UV_DISCONNECT);
    loop_run(&s->loop);
    assert_int_equal(s->fired, 1);
    assert_true(s->status < 0);
    run_for(s, 2);
    assert_int_equal(s->fired, 1);
    loop_watch_destroy(s->watch);
    close(fds[1]);
}

static void watch_refuses_what_cannot_be_watched(void **state)
{
    struct scene *s = *state;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_null(loop_watch_create(&s->loop, file, note_event, s));
    assert_null(loop_watch_create(&s->loop, -1, note_event, s));
    close(file);

    s->watch = loop_watch_create(&s->loop, s->sockets[0], note_event, s);
    loop_watch_set(s->watch, UV_READABLE);
    assert_null(loop_watch_create(&s->loop, s->sockets[0], note_event, s));
    loop_watch_destroy(s->watch);
}

static void destroy_own_watch(void *ctx, int status, int events)
{
    struct scene *s = ctx;
    note_event(ctx, status, events);
    loop_watch_destroy(s->watch);
}

static void watch_may_destroy_itself_and_be_made_again(void **state)
{
    struct scene *s = *state;
    assert_int_equal(write(s->sockets[1], "x", 1), 1);
    for (int round = 1; round <= 3; round++) {
        s->watch = loop_watch_create(&s->loop, s->sockets[0], destroy_own_watch, s);
        assert_non_null(s->watch);
        loop_watch_set(s->watch, UV_READABLE | UV_WRITABLE);
        loop_run(&s->loop);
        assert_int_equal(s->fired, round);
        assert_int_equal(s->events, UV_READABLE | UV_WRITABLE);
        run_for(s, 1);
        assert_int_equal(s->fired, round);
    }
}

static void count_stop(void *ctx)
{
    struct scene *s = ctx;
    s->stops++;
    loop_stop(&s->loop);
}

static void count_reload(void *ctx)
{
    struct scene *s = ctx;
    s->reloads++;
    loop_stop(&s->loop);
}

static void signals_call_back_each_time(void **state)
{
    struct scene *s = *state;
    assert_int_equal(loop_catch_signals(&s->loop, count_stop, count_reload, s), 0);
    static const int stopping[] = {SIGTERM, SIGINT, SIGTERM};
    for (int i = 0; i < 3; i++) {
        kill(getpid(), stopping[i]);
        loop_run(&s->loop);
        assert_int_equal(s->stops, i + 1);
    }
    assert_int_equal(s->reloads, 0);
    kill(getpid(), SIGHUP);
    loop_run(&s->loop);
    assert_int_equal(s->reloads, 1);
    assert_int_equal(s->stops, 3);
}

static void signals_that_nobody_wants_are_ignored(void **state)
{
    struct scene *s = *state;
    assert_int_equal(loop_catch_signals(&s->loop, count_stop, NULL, s), 0);
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGTERM);
    loop_run(&s->loop);
    assert_int_equal(s->stops, 1);

    close(s->sockets[1]);
    assert_int_equal(write(s->sockets[0], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->sockets), 0);
}

static void work(uv_work_t *req)
{
    *(int *)req->data = 1;
}

static void fini_waits_for_work_in_flight(void **state)
{
    (void)state;
    struct loop loop;
    int done = 0;
    uv_work_t req = {.data = &done};
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(uv_queue_work(&loop.uv, &req, work, NULL), 0);
    loop_fini(&loop);
    assert_int_equal(done, 1);
}

#define SCENE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(fini_gives_everything_back),
            cmocka_unit_test(fini_without_a_run),
            SCENE_TEST(stop_before_run_is_kept),
            SCENE_TEST(timer_fires_once),
            SCENE_TEST(timer_repeats_until_stopped),
            SCENE_TEST(starting_again_moves_the_timer),
            SCENE_TEST(delay_counts_from_the_start_and_not_from_the_turn),
            SCENE_TEST(timer_may_destroy_itself),
            SCENE_TEST(no_callback_comes_after_destroy),
            SCENE_TEST(hooks_run_once_each_turn_before_the_wait),
            SCENE_TEST(hooks_run_in_order_and_may_remove_themselves),
            SCENE_TEST(timer_from_a_hook_shortens_the_wait),
            SCENE_TEST(watch_tells_readable_and_writable),
            SCENE_TEST(watch_tells_that_the_peer_left),
            SCENE_TEST(watch_works_on_a_pipe),
            SCENE_TEST(watch_tells_errors),
            SCENE_TEST(watch_refuses_what_cannot_be_watched),
            SCENE_TEST(watch_may_destroy_itself_and_be_made_again),
            SCENE_TEST(signals_call_back_each_time),
            SCENE_TEST(signals_that_nobody_wants_are_ignored),
            cmocka_unit_test(fini_waits_for_work_in_flight),
    };
    return cmocka_run_group_tests_name("loop", tests, open_what_stays_open, NULL);
}
