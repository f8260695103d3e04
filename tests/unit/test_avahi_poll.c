#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/avahi_poll.h"
#include "tests/lib/patience.h"

#include <avahi-common/timeval.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, QUIET_MS = 30 };

/* What one watch has told. */
struct ear {
    AvahiWatch *watch;
    int fd, heard;
    unsigned events;
    bool reads, leaves; /* what it does when it hears something */
};

struct scene {
    struct loop loop;
    struct loop_timer *patience;
    struct avahi_poll *poll;
    const AvahiPoll *api;
    int sockets[2], descriptors;
    struct ear ear, other;
    AvahiTimeout *timeout;
    struct timeval due;
    int fired, again;
};

#define RUN_UNTIL(s, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(s)->loop.uv, UV_RUN_ONCE)

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

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    if (!s || loop_init(&s->loop) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->sockets) < 0)
        return -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    s->poll = avahi_poll_create(&s->loop);
    if (!s->poll)
        return -1;
    s->api = avahi_poll_get(s->poll);
    s->descriptors = open_descriptors();
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    if (s->ear.watch)
        s->api->watch_free(s->ear.watch);
    if (s->other.watch)
        s->api->watch_free(s->other.watch);
    if (s->timeout)
        s->api->timeout_free(s->timeout);
    avahi_poll_destroy(s->poll);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    close(s->sockets[0]);
    if (s->sockets[1] >= 0)
        close(s->sockets[1]);
    free(s);
    return 0;
}

static void hang_up(struct scene *s)
{
    close(s->sockets[1]);
    s->sockets[1] = -1;
}

/* --- watches --- */

static void on_events(AvahiWatch *watch, int fd, AvahiWatchEvent events, void *ctx)
{
    struct scene *s = ctx;
    struct ear *ear = watch == s->ear.watch ? &s->ear : &s->other;
    char byte;
    assert_ptr_equal(watch, ear->watch);
    assert_int_equal(s->api->watch_get_events(watch), events);
    ear->heard++;
    ear->fd = fd;
    ear->events = events;
    if (ear->reads)
        assert_int_equal(read(fd, &byte, 1), 1);
    if (ear->leaves) {
        s->api->watch_free(watch);
        ear->watch = NULL;
    }
}

static void listen_to(struct scene *s, struct ear *ear, int fd, AvahiWatchEvent events)
{
    ear->watch = s->api->watch_new(s->api, fd, events, on_events, s);
    assert_non_null(ear->watch);
}

static void what_can_be_read_is_told(void **state)
{
    struct scene *s = *state;
    s->ear.reads = true;
    listen_to(s, &s->ear, s->sockets[0], AVAHI_WATCH_IN);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->ear.heard, 0);
    assert_int_equal(write(s->sockets[1], "ab", 2), 2);
    RUN_UNTIL(s, s->ear.heard == 2);
    assert_int_equal(s->ear.fd, s->sockets[0]);
    assert_int_equal(s->ear.events, AVAHI_WATCH_IN);
}

static void one_socket_may_be_watched_twice(void **state)
{
    struct scene *s = *state;
    s->ear.reads = s->other.leaves = true;
    listen_to(s, &s->ear, s->sockets[0], AVAHI_WATCH_IN);
    listen_to(s, &s->other, s->sockets[0], AVAHI_WATCH_OUT);
    RUN_UNTIL(s, s->other.heard == 1);
    assert_int_equal(s->other.events, AVAHI_WATCH_OUT);
    assert_int_equal(write(s->sockets[1], "a", 1), 1);
    RUN_UNTIL(s, s->ear.heard == 1);
    assert_int_equal(s->other.heard, 1);
}

static void an_update_changes_what_is_told(void **state)
{
    struct scene *s = *state;
    listen_to(s, &s->ear, s->sockets[0], 0);
    assert_int_equal(write(s->sockets[1], "a", 1), 1);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->ear.heard, 0);
    s->ear.leaves = true;
    s->api->watch_update(s->ear.watch, (AvahiWatchEvent)(AVAHI_WATCH_IN | AVAHI_WATCH_OUT));
    RUN_UNTIL(s, s->ear.heard == 1);
    assert_int_equal(s->ear.events, AVAHI_WATCH_IN | AVAHI_WATCH_OUT);
}

static void the_end_of_a_peer_is_told_to_who_waits_to_read(void **state)
{
    struct scene *s = *state;
    s->ear.leaves = true;
    listen_to(s, &s->ear, s->sockets[0], AVAHI_WATCH_IN);
    hang_up(s);
    RUN_UNTIL(s, s->ear.heard == 1);
    assert_true(s->ear.events & AVAHI_WATCH_IN);
}

static void a_hangup_is_told_where_it_is_asked_for(void **state)
{
    struct scene *s = *state;
    s->ear.leaves = true;
    listen_to(s, &s->ear, s->sockets[0], AVAHI_WATCH_HUP);
    hang_up(s);
    RUN_UNTIL(s, s->ear.heard == 1);
    assert_int_equal(s->ear.events, AVAHI_WATCH_HUP);
}

/* A pipe without a reader is in error for good: poll(2) would say so each time. */
static void an_error_is_told_until_somebody_acts(void **state)
{
    struct scene *s = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    listen_to(s, &s->ear, ends[1], AVAHI_WATCH_OUT);
    RUN_UNTIL(s, s->ear.heard == 3);
    assert_int_equal(s->ear.events, AVAHI_WATCH_OUT | AVAHI_WATCH_ERR);
    s->ear.leaves = true;
    RUN_UNTIL(s, s->ear.heard == 4);
    close(ends[1]);
}

static void what_cannot_be_watched_gives_no_watch(void **state)
{
    struct scene *s = *state;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_null(s->api->watch_new(s->api, file, AVAHI_WATCH_IN, on_events, s));
    close(file);
    assert_null(s->api->watch_new(s->api, 1 << 20, AVAHI_WATCH_IN, on_events, s));
    assert_int_equal(open_descriptors(), s->descriptors);
}

static void a_freed_watch_keeps_no_descriptor(void **state)
{
    struct scene *s = *state;
    listen_to(s, &s->ear, s->sockets[0], AVAHI_WATCH_IN);
    s->api->watch_free(s->ear.watch);
    s->ear.watch = NULL;
    assert_int_equal(open_descriptors(), s->descriptors);
    assert_int_equal(write(s->sockets[1], "a", 1), 1);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->ear.heard, 0);
}

/* --- timeouts --- */

static void on_timeout(AvahiTimeout *timeout, void *ctx)
{
    static const struct timeval at_once = {0, 0};
    struct scene *s = ctx;
    assert_ptr_equal(timeout, s->timeout);
    assert_true(avahi_age(&s->due) >= 0);
    s->fired++;
    loop_stop(&s->loop); /* which would else go on to sleep in the same turn */
    if (s->again-- > 0)
        s->api->timeout_update(timeout, &at_once);
}

static void fire_at(struct scene *s, const struct timeval *at)
{
    if (at)
        s->due = *at;
    s->timeout = s->api->timeout_new(s->api, at, on_timeout, s);
    assert_non_null(s->timeout);
}

static void a_timeout_fires_once_and_not_too_early(void **state)
{
    struct scene *s = *state;
    struct timeval at;
    avahi_elapse_time(&at, 20, 0);
    fire_at(s, &at);
    RUN_UNTIL(s, s->fired == 1);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->fired, 1);
}

static void a_time_of_zero_and_one_in_the_past_are_now(void **state)
{
    struct scene *s = *state;
    struct timeval at = {0, 0};
    fire_at(s, &at);
    RUN_UNTIL(s, s->fired == 1);
    avahi_elapse_time(&at, 0, 0);
    avahi_timeval_add(&at, -5000000);
    s->api->timeout_update(s->timeout, &at);
    RUN_UNTIL(s, s->fired == 2);
}

static void no_time_is_never(void **state)
{
    struct scene *s = *state;
    struct timeval at;
    fire_at(s, NULL);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->fired, 0);
    avahi_elapse_time(&at, QUIET_MS / 2, 0);
    s->api->timeout_update(s->timeout, &at);
    s->api->timeout_update(s->timeout, NULL);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->fired, 0);
}

static void a_timeout_may_be_set_again_as_it_fires(void **state)
{
    struct scene *s = *state;
    struct timeval at = {0, 0};
    s->again = 3;
    fire_at(s, &at);
    RUN_UNTIL(s, s->fired == 4);
}

static void leave_on_timeout(AvahiTimeout *timeout, void *ctx)
{
    struct scene *s = ctx;
    s->fired++;
    loop_stop(&s->loop);
    s->api->timeout_free(timeout);
    s->timeout = NULL;
}

static void a_timeout_may_be_freed_as_it_fires(void **state)
{
    struct scene *s = *state;
    struct timeval at = {0, 0};
    s->timeout = s->api->timeout_new(s->api, &at, leave_on_timeout, s);
    assert_non_null(s->timeout);
    RUN_UNTIL(s, s->fired == 1);
    assert_null(s->timeout);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(what_can_be_read_is_told),
            TEST(one_socket_may_be_watched_twice),
            TEST(an_update_changes_what_is_told),
            TEST(the_end_of_a_peer_is_told_to_who_waits_to_read),
            TEST(a_hangup_is_told_where_it_is_asked_for),
            TEST(an_error_is_told_until_somebody_acts),
            TEST(what_cannot_be_watched_gives_no_watch),
            TEST(a_freed_watch_keeps_no_descriptor),
            TEST(a_timeout_fires_once_and_not_too_early),
            TEST(a_time_of_zero_and_one_in_the_past_are_now),
            TEST(no_time_is_never),
            TEST(a_timeout_may_be_set_again_as_it_fires),
            TEST(a_timeout_may_be_freed_as_it_fires),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("avahi_poll", tests, NULL, NULL);
}
