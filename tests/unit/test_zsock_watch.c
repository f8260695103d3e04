#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/zsock_watch.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    FLOOD = 5000,        /* messages, far more than one edge carries */
    BURST = 500,
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct loop_hook hook;
    void *zmq_context, *near, *far; /* `near` is watched */
    struct zsock_watch *watch, *far_watch;
    unsigned reads, asked, sent, answers, turns;
    unsigned reads_before_turn, most_in_a_turn;
};

#define RUN_UNTIL(f, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(f)->loop.uv, UV_RUN_ONCE)

static void open_pair(struct fixture *f, int near_type, int far_type, const char *endpoint)
{
    static const int zero = 0;
    char bound[64];
    size_t size = sizeof(bound);
    f->near = zmq_socket(f->zmq_context, near_type);
    f->far = zmq_socket(f->zmq_context, far_type);
    void *zsocks[] = {f->near, f->far};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zmq_setsockopt(zsocks[i], ZMQ_LINGER, &zero, sizeof(zero)), 0);
        assert_int_equal(zmq_setsockopt(zsocks[i], ZMQ_SNDHWM, &zero, sizeof(zero)), 0);
        assert_int_equal(zmq_setsockopt(zsocks[i], ZMQ_RCVHWM, &zero, sizeof(zero)), 0);
    }
    assert_int_equal(zmq_bind(f->near, endpoint), 0);
    assert_int_equal(zmq_getsockopt(f->near, ZMQ_LAST_ENDPOINT, bound, &size), 0);
    assert_int_equal(zmq_connect(f->far, bound), 0);
}

static void watch_near(struct fixture *f, zsock_read_fn fn)
{
    f->watch = zsock_watch_create(&f->loop, f->near, fn, f);
    assert_non_null(f->watch);
}

static void far_says(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(zmq_send(f->far, "x", 1, ZMQ_DONTWAIT), 1);
}

static bool read_one(void *ctx)
{
    struct fixture *f = ctx;
    char byte;
    if (zmq_recv(f->near, &byte, 1, ZMQ_DONTWAIT) < 0)
        return false;
    f->reads++;
    return true;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_init(&f->loop))
        return -1;
    f->zmq_context = zmq_ctx_new();
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zsock_watch_destroy(f->watch);
    zsock_watch_destroy(f->far_watch);
    if (f->near)
        zmq_close(f->near);
    if (f->far)
        zmq_close(f->far);
    zmq_ctx_term(f->zmq_context);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

/* --- nothing stalls --- */

/* The ROUTER answers each question, in two parts, from its read function. */
static bool answer_one(void *ctx)
{
    struct fixture *f = ctx;
    char id[8];
    unsigned number;
    int len = zmq_recv(f->near, id, sizeof(id), ZMQ_DONTWAIT);
    if (len < 0)
        return false;
    assert_int_equal(zmq_recv(f->near, &number, sizeof(number), ZMQ_DONTWAIT), sizeof(number));
    assert_int_equal(zmq_send(f->near, id, (size_t)len, ZMQ_DONTWAIT | ZMQ_SNDMORE), len);
    assert_int_equal(zmq_send(f->near, &number, sizeof(number), ZMQ_DONTWAIT), sizeof(number));
    f->reads++;
    return true;
}

static bool read_answer(void *ctx)
{
    struct fixture *f = ctx;
    unsigned number;
    if (zmq_recv(f->far, &number, sizeof(number), ZMQ_DONTWAIT) < 0)
        return false;
    assert_int_equal(number, f->answers);
    f->answers++;
    return true;
}

/* A few in every turn, right before the wait, as long as not too many are under way. */
static void ask_some(void *ctx)
{
    struct fixture *f = ctx;
    for (int i = 0; i < 50 && f->asked < FLOOD && f->asked < f->answers + 300; i++, f->asked++)
        assert_int_equal(
                zmq_send(f->far, &f->asked, sizeof(f->asked), ZMQ_DONTWAIT), sizeof(f->asked));
}

static void a_flood_both_ways_never_stalls(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_ROUTER, ZMQ_DEALER, "tcp://127.0.0.1:*");
    watch_near(f, answer_one);
    f->far_watch = zsock_watch_create(&f->loop, f->far, read_answer, f);
    assert_non_null(f->far_watch);
    loop_hook_add(&f->loop, &f->hook, ask_some, f);
    RUN_UNTIL(f, f->answers == FLOOD);
    loop_hook_remove(&f->hook);
    assert_int_equal(f->reads, FLOOD);
}

/* What a send in a hook does to a message that arrived just before: the edge is gone, the message
 * stays. */
static void eat_the_edge(void *ctx)
{
    struct fixture *f = ctx;
    int events = 0;
    size_t size = sizeof(events);
    if (f->sent == BURST)
        return;
    far_says(f, 1);
    f->sent++;
    assert_int_equal(zmq_getsockopt(f->near, ZMQ_EVENTS, &events, &size), 0);
    assert_true(events & ZMQ_POLLIN);
}

static void an_edge_eaten_in_a_hook_is_not_missed(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    watch_near(f, read_one);
    loop_hook_add(&f->loop, &f->hook, eat_the_edge, f); /* later than the watch, so it runs later */
    RUN_UNTIL(f, f->reads == BURST);
    loop_hook_remove(&f->hook);
    assert_int_equal(f->sent, BURST);
}

/* --- fairness --- */

static void count_turn(void *ctx)
{
    struct fixture *f = ctx;
    unsigned reads = f->reads - f->reads_before_turn;
    f->reads_before_turn = f->reads;
    if (reads > f->most_in_a_turn)
        f->most_in_a_turn = reads;
    f->turns++;
}

static void one_turn_reads_a_bounded_number(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    far_says(f, BURST); /* before there is a watch */
    watch_near(f, read_one);
    loop_hook_add(&f->loop, &f->hook, count_turn, f);
    RUN_UNTIL(f, f->reads == BURST);
    count_turn(f);
    loop_hook_remove(&f->hook);
    assert_int_equal(f->most_in_a_turn, ZSOCK_MESSAGES_PER_TURN);
    assert_true(f->turns >= BURST / ZSOCK_MESSAGES_PER_TURN);
}

static void a_quiet_socket_lets_the_loop_sleep(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    watch_near(f, read_one);
    far_says(f, BURST);
    RUN_UNTIL(f, f->reads == BURST);
    loop_hook_add(&f->loop, &f->hook, count_turn, f);
    patience_run_for(&f->loop, 50);
    loop_hook_remove(&f->hook);
    assert_in_range(f->turns, 1, 10);
}

/* --- the end --- */

static bool read_one_and_leave(void *ctx)
{
    struct fixture *f = ctx;
    bool had = read_one(f);
    zsock_watch_destroy(f->watch);
    zsock_watch_destroy(f->watch);
    zmq_close(f->near);
    f->watch = NULL;
    f->near = NULL;
    return had;
}

static void a_read_may_destroy_the_watch_and_close_the_socket(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    far_says(f, BURST);
    watch_near(f, read_one_and_leave);
    RUN_UNTIL(f, f->reads == 1);
    patience_run_for(&f->loop, 1);
    assert_int_equal(f->reads, 1);
    assert_null(f->watch);
}

static void a_watch_destroyed_before_the_first_turn_reads_nothing(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    far_says(f, 1);
    watch_near(f, read_one);
    zsock_watch_destroy(f->watch);
    watch_near(f, read_one); /* the same descriptor again */
    RUN_UNTIL(f, f->reads == 1);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct fixture *f = *state;
    open_pair(f, ZMQ_PAIR, ZMQ_PAIR, "inproc://watched");
    watch_near(f, read_one);
    assert_null(zsock_watch_create(&f->loop, f->near, read_one, f));
    assert_int_equal(errno, EEXIST);
    assert_null(zsock_watch_create(&f->loop, NULL, read_one, f));
    assert_int_equal(errno, ENOTSOCK);
    zsock_watch_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_flood_both_ways_never_stalls),
            TEST(an_edge_eaten_in_a_hook_is_not_missed),
            TEST(one_turn_reads_a_bounded_number),
            TEST(a_quiet_socket_lets_the_loop_sleep),
            TEST(a_read_may_destroy_the_watch_and_close_the_socket),
            TEST(a_watch_destroyed_before_the_first_turn_reads_nothing),
            TEST(what_cannot_be_watched_is_refused),
    };
    return cmocka_run_group_tests_name("zsock_watch", tests, NULL, NULL);
}
