#include "coordinator/inner_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What its reader sees, in words, and what the job does. */
struct world {
    struct inner_reply inner;
    struct reply reply;
    char seen[256];
    int piece_result;
    unsigned gone; /* so often the job was told */
};

static void see(struct world *world, const char *what, const void *data, size_t len)
{
    size_t used = strlen(world->seen);
    (void)snprintf(world->seen + used, sizeof(world->seen) - used, "%s %.*s; ", what, (int)len,
            (const char *)data);
}

static void on_header(void *ctx, const char *name, const char *value)
{
    see(ctx, name, value, strlen(value));
}

static int on_piece(void *ctx, const void *data, size_t len)
{
    struct world *world = ctx;
    see(world, "piece", data, len);
    return world->piece_result;
}

static void on_whole(void *ctx, int status, const void *body, size_t len)
{
    struct world *world = ctx;
    see(world, status == 200 ? "whole" : "refused", body, len);
    inner_reply_leave(&world->inner); /* tells nobody */
}

static void on_end(void *ctx, bool complete)
{
    struct world *world = ctx;
    see(world, complete ? "complete" : "cut", "", 0);
    inner_reply_leave(&world->inner);
}

static void on_room(void *ctx)
{
    (void)ctx;
    fail();
}

static void on_gone(void *ctx)
{
    struct world *world = ctx;
    world->gone++;
}

static const struct inner_reply_events all = {.on_header = on_header,
                                               .on_piece = on_piece,
                                               .on_whole = on_whole,
                                               .on_end = on_end},
                                       endings = {.on_whole = on_whole, .on_end = on_end};
static const struct http_exchange_events job_events = {.on_room = on_room, .on_gone = on_gone};

static void begin(struct world *world, const struct inner_reply_events *events)
{
    *world = (struct world){.gone = 0};
    inner_reply_init(&world->inner, events, world);
    world->reply = inner_reply_for_job(&world->inner);
    reply_watch(&world->reply, &job_events, world);
}

static void a_whole_answer_reaches_its_reader(void **state)
{
    struct world world;
    (void)state;
    begin(&world, &all);
    reply_set_header(&world.reply, "Retry-After", "7");
    reply_send(&world.reply, 503, "application/json", "busy", 4);
    assert_string_equal(world.seen, "Retry-After 7; refused busy; ");
    assert_int_equal(world.gone, 0);
}

static void a_stream_reaches_it_piece_by_piece(void **state)
{
    struct world world;
    (void)state;
    begin(&world, &all);
    reply_begin(&world.reply, 200, "text/event-stream");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reply_room(&world.reply), HTTP_STREAM_BUFFER);
        assert_int_equal(reply_write(&world.reply, &"abc"[i], 1), 0);
    }
    reply_end(&world.reply);
    assert_string_equal(world.seen, "piece a; piece b; piece c; complete ; ");
    assert_int_equal(world.gone, 0);
}

/* It has its own bound; the job then cuts the answer off. */
static void what_its_reader_cannot_keep_the_job_hears_of(void **state)
{
    struct world world;
    (void)state;
    begin(&world, &all);
    reply_begin(&world.reply, 200, "text/event-stream");
    world.piece_result = -ENOBUFS;
    assert_int_equal(reply_write(&world.reply, "a", 1), -ENOBUFS);
    reply_abort(&world.reply);
    assert_string_equal(world.seen, "piece a; cut ; ");
    assert_int_equal(world.gone, 0);
}

static void what_its_reader_does_not_want_is_dropped(void **state)
{
    struct world world;
    (void)state;
    begin(&world, &endings);
    reply_set_header(&world.reply, "Retry-After", "7");
    reply_begin(&world.reply, 200, "text/event-stream");
    assert_int_equal(reply_write(&world.reply, "a", 1), 0);
    reply_end(&world.reply);
    assert_string_equal(world.seen, "complete ; ");
}

static void who_leaves_is_gone_once(void **state)
{
    struct world world;
    (void)state;
    begin(&world, &all);
    inner_reply_leave(&world.inner);
    inner_reply_leave(&world.inner);
    assert_int_equal(world.gone, 1);
    assert_string_equal(world.seen, "");
    inner_reply_init(&world.inner, &all, &world); /* no job has it yet */
    inner_reply_leave(&world.inner);
    assert_int_equal(world.gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_whole_answer_reaches_its_reader),
            cmocka_unit_test(a_stream_reaches_it_piece_by_piece),
            cmocka_unit_test(what_its_reader_cannot_keep_the_job_hears_of),
            cmocka_unit_test(what_its_reader_does_not_want_is_dropped),
            cmocka_unit_test(who_leaves_is_gone_once),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("inner_reply", tests, NULL, NULL);
}
