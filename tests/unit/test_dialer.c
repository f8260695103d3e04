#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/dialer.h"
#include "tests/lib/loopback.h"
#include "tests/lib/patience.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    SOCKETS_MAX = 64,
    REASON_BUF = 1024,
};

/* No label of a name has more than 63 letters, so no name server is asked. */
#define BAD_NAME "no-such-name-0123456789-0123456789-0123456789-0123456789-0123456789.invalid"

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct dialer *dialer;
    struct text_addr targets[DIALER_TARGETS_MAX + 1];
    size_t target_count;
    int sockets[SOCKETS_MAX]; /* closed at the end */
    size_t socket_count;

    unsigned answers;
    bool found;
    struct dialer_result result;
    char reason[REASON_BUF];
    void (*at_answer)(struct fixture *f);
};

static void on_answer(void *ctx, const struct dialer_result *result, const char *reason)
{
    struct fixture *f = ctx;
    f->answers++;
    f->found = result != NULL;
    assert_true(f->found == (reason == NULL));
    if (result)
        f->result = *result;
    else
        snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop); /* where this came from a timer, the turn would go on to sleep */
    if (f->at_answer)
        f->at_answer(f);
}

/* --- who is dialled --- */

static int keep(struct fixture *f, int fd)
{
    assert_true(fd >= 0);
    assert_true(f->socket_count < SOCKETS_MAX);
    f->sockets[f->socket_count++] = fd;
    return fd;
}

static void add_target(struct fixture *f, const char *host, uint16_t port)
{
    struct text_addr *target = &f->targets[f->target_count++];
    snprintf(target->host, sizeof(target->host), "%s", host);
    target->port = port;
}

static uint16_t add_refusing(struct fixture *f)
{
    uint16_t port;
    keep(f, loopback_bind(&port));
    add_target(f, "127.0.0.1", port);
    return port;
}

static uint16_t add_listening(struct fixture *f)
{
    uint16_t port;
    keep(f, loopback_listen(&port));
    add_target(f, "127.0.0.1", port);
    return port;
}

static void add_mute(struct fixture *f)
{
    uint16_t port;
    keep(f, loopback_mute(&port));
    add_target(f, "127.0.0.1", port);
}

static void dial(struct fixture *f)
{
    unsigned before = f->answers;
    dialer_dial(f->dialer, f->targets, f->target_count);
    assert_int_equal(f->answers, before); /* not from inside the call */
}

static void run_until_answered(struct fixture *f, unsigned answers)
{
    while (f->answers < answers)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static void dial_and_wait(struct fixture *f)
{
    unsigned before = f->answers;
    dial(f);
    run_until_answered(f, before + 1);
}

static void assert_said(struct fixture *f, const char *words)
{
    if (!strstr(f->reason, words))
        fail_msg("\"%s\" does not say \"%s\"", f->reason, words);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_init(&f->loop))
        return -1;
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->dialer = dialer_create(&f->loop, on_answer, f);
    return f->dialer ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dialer_destroy(f->dialer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    for (size_t i = 0; i < f->socket_count; i++)
        close(f->sockets[i]);
    free(f);
    return 0;
}

/* --- who answers --- */

static void the_one_that_answers_is_told(void **state)
{
    struct fixture *f = *state;
    uint16_t port = add_listening(f);
    dial_and_wait(f);
    assert_true(f->found);
    assert_int_equal(f->result.target, 0);
    assert_string_equal(f->result.address, "127.0.0.1");
    assert_int_equal(f->result.port, port);
}

static void the_last_of_many_wins_where_the_others_do_not_answer(void **state)
{
    struct fixture *f = *state;
    add_mute(f);
    add_refusing(f);
    add_target(f, BAD_NAME, 1);
    add_mute(f);
    uint16_t port = add_listening(f);
    dial_and_wait(f);
    assert_true(f->found);
    assert_int_equal(f->result.target, 4);
    assert_int_equal(f->result.port, port);
}

static void a_name_is_looked_up(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    keep(f, loopback_listen(&port));
    add_refusing(f);
    add_target(f, "localhost", port);
    dial_and_wait(f);
    assert_true(f->found);
    assert_int_equal(f->result.target, 1);
    assert_string_equal(f->result.address, "127.0.0.1");
    assert_int_equal(f->result.port, port);
}

static void one_name_with_two_ports_is_tried_on_both(void **state)
{
    struct fixture *f = *state;
    uint16_t refusing, listening;
    keep(f, loopback_bind(&refusing));
    keep(f, loopback_listen(&listening));
    add_target(f, "localhost", refusing);
    add_target(f, "localhost", listening);
    dial_and_wait(f);
    assert_true(f->found);
    assert_int_equal(f->result.target, 1);
}

static void an_ipv6_address_is_dialled(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t size = sizeof(address);
    int fd = keep(f, socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (bind(fd, (struct sockaddr *)&address, size))
        skip(); /* a host without IPv6 */
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    add_target(f, "::1", ntohs(address.sin6_port));
    dial_and_wait(f);
    assert_true(f->found);
    assert_string_equal(f->result.address, "::1");
    assert_int_equal(f->result.port, ntohs(address.sin6_port));
}

static void the_connection_is_closed_again(void **state)
{
    struct fixture *f = *state;
    char byte;
    add_listening(f);
    dial_and_wait(f);
    int connection = keep(f, accept(f->sockets[0], NULL, NULL));
    dial_and_wait(f); /* its turns of the loop close what the last dial has left */
    assert_int_equal(recv(connection, &byte, 1, 0), 0);
}

static void what_is_past_the_limit_is_left_out(void **state)
{
    struct fixture *f = *state;
    uint16_t port = add_refusing(f);
    while (f->target_count < DIALER_TARGETS_MAX)
        add_target(f, "127.0.0.1", port);
    add_listening(f);
    dial_and_wait(f);
    assert_false(f->found);
    assert_said(f, "; and 60 more");
}

/* --- who does not --- */

static void a_refusal_is_told_at_once(void **state)
{
    enum { DIALS = 5 };
    struct fixture *f = *state;
    char words[128];
    uint16_t port = add_refusing(f);
    uint64_t begin_ms = uv_hrtime() / 1000000;
    for (int i = 0; i < DIALS; i++)
        dial_and_wait(f);
    assert_true(uv_hrtime() / 1000000 - begin_ms < DIALS * DIALER_TIMEOUT_MS);
    assert_false(f->found);
    snprintf(words, sizeof(words), "127.0.0.1 port %u: connection refused", port);
    assert_said(f, words);
}

static void silence_is_given_up_in_time(void **state)
{
    struct fixture *f = *state;
    uint64_t begin_ms = uv_hrtime() / 1000000;
    add_mute(f);
    add_refusing(f);
    dial_and_wait(f);
    assert_false(f->found);
    assert_true(uv_hrtime() / 1000000 - begin_ms + 1 >= DIALER_TIMEOUT_MS);
    assert_said(f, "no answer; 127.0.0.1 port");
    assert_said(f, "connection refused");
}

static void a_name_that_nobody_knows_is_told(void **state)
{
    struct fixture *f = *state;
    add_target(f, BAD_NAME, 8421);
    dial_and_wait(f);
    assert_false(f->found);
    assert_said(f, BAD_NAME " port 8421: ");
    assert_null(strstr(f->reason, "no answer"));
}

static void without_addresses_that_is_the_answer(void **state)
{
    struct fixture *f = *state;
    dial_and_wait(f);
    assert_false(f->found);
    assert_string_equal(f->reason, "no address is known");
}

/* --- again, and no more --- */

static void a_new_dial_ends_the_last_without_a_word(void **state)
{
    struct fixture *f = *state;
    add_mute(f);
    add_target(f, "localhost", 1);
    dial(f);
    patience_run_for(&f->loop, DIALER_STAGGER_MS); /* in mid-dial */
    assert_int_equal(f->answers, 0);
    f->target_count = 0;
    add_listening(f);
    dial_and_wait(f);
    assert_true(f->found);
    patience_run_for(&f->loop, DIALER_TIMEOUT_MS + DIALER_STAGGER_MS);
    assert_int_equal(f->answers, 1);
}

/* The first two dials call off a lookup that may or may not have begun; the third has to have one.
 */
static void a_name_may_be_dialled_again_and_again(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    keep(f, loopback_listen(&port));
    add_target(f, "localhost", port);
    dial(f);
    dial(f);
    dial_and_wait(f);
    assert_true(f->found);
    assert_int_equal(f->answers, 1);
}

static void dial_one_that_listens(struct fixture *f)
{
    f->at_answer = NULL;
    f->target_count = 0;
    add_listening(f);
    dial(f);
}

static void the_next_dial_may_begin_in_the_answer(void **state)
{
    struct fixture *f = *state;
    f->at_answer = dial_one_that_listens;
    add_refusing(f);
    dial(f);
    run_until_answered(f, 2);
    assert_true(f->found);
}

static void destroy(struct fixture *f)
{
    dialer_destroy(f->dialer);
    f->dialer = NULL;
}

static void the_dialer_may_be_destroyed_in_the_answer(void **state)
{
    struct fixture *f = *state;
    f->at_answer = destroy;
    add_mute(f);
    add_listening(f);
    dial_and_wait(f);
    assert_true(f->found);
    assert_null(f->dialer);
}

static void the_dialer_may_be_destroyed_in_mid_dial(void **state)
{
    struct fixture *f = *state;
    add_mute(f);
    for (int i = 0; i < 8; i++)
        add_target(f, i % 2 ? "localhost" : BAD_NAME, 1);
    dial(f);
    destroy(f); /* with lookups that run, and others that wait for a thread */
    patience_run_for(&f->loop, DIALER_STAGGER_MS);
    f->dialer = dialer_create(&f->loop, on_answer, f);
    dial(f);
    patience_run_for(&f->loop, 2 * DIALER_STAGGER_MS);
    destroy(f); /* with connections that are being made */
    patience_run_for(&f->loop, DIALER_STAGGER_MS);
    assert_int_equal(f->answers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(the_one_that_answers_is_told),
            TEST(the_last_of_many_wins_where_the_others_do_not_answer),
            TEST(a_name_is_looked_up),
            TEST(one_name_with_two_ports_is_tried_on_both),
            TEST(an_ipv6_address_is_dialled),
            TEST(the_connection_is_closed_again),
            TEST(what_is_past_the_limit_is_left_out),
            TEST(a_refusal_is_told_at_once),
            TEST(silence_is_given_up_in_time),
            TEST(a_name_that_nobody_knows_is_told),
            TEST(without_addresses_that_is_the_answer),
            TEST(a_new_dial_ends_the_last_without_a_word),
            TEST(a_name_may_be_dialled_again_and_again),
            TEST(the_next_dial_may_begin_in_the_answer),
            TEST(the_dialer_may_be_destroyed_in_the_answer),
            TEST(the_dialer_may_be_destroyed_in_mid_dial),
    };
    return cmocka_run_group_tests_name("dialer", tests, NULL, NULL);
}
