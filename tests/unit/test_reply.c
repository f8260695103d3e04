#include "coordinator/reply.h"

#include "tests/lib/fake_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static unsigned rooms, gone;

static void on_room(void *ctx)
{
    assert_ptr_equal(ctx, &rooms);
    rooms++;
}

static void on_gone(void *ctx)
{
    assert_ptr_equal(ctx, &rooms);
    gone++;
}

static const struct http_exchange_events events = {.on_room = on_room, .on_gone = on_gone};

static int setup(void **state)
{
    static struct http_exchange exchange;
    fake_exchange_init(&exchange);
    rooms = gone = 0;
    *state = &exchange;
    return 0;
}

static int teardown(void **state)
{
    fake_exchange_fini(*state);
    return 0;
}

static void a_whole_answer_reaches_the_client(void **state)
{
    struct http_exchange *exchange = *state;
    const struct reply reply = reply_to_exchange(exchange);
    reply_set_header(&reply, "X-Test", "1");
    reply_send(&reply, 201, "text/plain", "hello", 5);
    assert_int_equal(exchange->status, 201);
    assert_string_equal(
            fake_exchange_text(&exchange->headers), "X-Test: 1\nContent-Type: text/plain\n");
    assert_string_equal(fake_exchange_text(&exchange->body), "hello");
}

static void a_stream_is_pulled(void **state)
{
    static char much[HTTP_STREAM_BUFFER];
    struct http_exchange *exchange = *state;
    const struct reply reply = reply_to_exchange(exchange);
    reply_watch(&reply, &events, &rooms);
    reply_begin(&reply, 200, "text/event-stream");
    assert_true(exchange->open);
    assert_int_equal(reply_room(&reply), HTTP_STREAM_BUFFER);
    assert_int_equal(reply_write(&reply, much, 1), 0);
    assert_int_equal(reply_room(&reply), HTTP_STREAM_BUFFER - 1);
    assert_int_equal(reply_write(&reply, much, sizeof(much)), 0); /* past the room */
    assert_int_equal(reply_room(&reply), 0);
    fake_exchange_read(exchange);
    assert_int_equal(rooms, 1);
    reply_end(&reply);
    assert_false(exchange->open);
    assert_false(exchange->aborted);
    assert_int_equal(exchange->body.len, sizeof(much) + 1);
    assert_int_equal(gone, 0);
}

static void a_write_that_fails_says_so(void **state)
{
    struct http_exchange *exchange = *state;
    const struct reply reply = reply_to_exchange(exchange);
    reply_watch(&reply, &events, &rooms);
    reply_begin(&reply, 200, "text/plain");
    exchange->write_result = -ENOBUFS;
    assert_int_equal(reply_write(&reply, "x", 1), -ENOBUFS);
    reply_abort(&reply);
    assert_true(exchange->aborted);
}

static void a_client_that_leaves_is_told_of(void **state)
{
    struct http_exchange *exchange = *state;
    const struct reply reply = reply_to_exchange(exchange);
    reply_watch(&reply, &events, &rooms);
    fake_exchange_leave(exchange);
    assert_int_equal(gone, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_whole_answer_reaches_the_client),
            TEST(a_stream_is_pulled),
            TEST(a_write_that_fails_says_so),
            TEST(a_client_that_leaves_is_told_of),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
