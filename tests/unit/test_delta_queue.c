#include "coordinator/delta_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static int put(struct delta_queue *queue, enum delta_kind kind, uint32_t choice, const char *data,
        bool more)
{
    struct msg_delta delta = {
            .kind = kind, .choice = choice, .data = data, .len = strlen(data), .more = more};
    return delta_queue_put(queue, &delta);
}

static void takes(struct delta_queue *queue, enum delta_kind kind, uint32_t choice,
        const char *data, uint32_t cost)
{
    struct msg_delta delta;
    uint32_t sum = 0;
    assert_int_equal(delta_queue_take(queue, &delta, &sum), 1);
    assert_int_equal(delta.kind, kind);
    assert_int_equal(delta.choice, choice);
    assert_int_equal(delta.len, strlen(data));
    assert_memory_equal(delta.data, data, delta.len);
    assert_int_equal(sum, cost);
}

static void takes_nothing(struct delta_queue *queue)
{
    struct msg_delta delta;
    uint32_t cost = 0;
    assert_int_equal(delta_queue_take(queue, &delta, &cost), 0);
    assert_int_equal(cost, 0);
}

static void deltas_come_out_in_order(void **state)
{
    (void)state;
    struct delta_queue queue;
    delta_queue_init(&queue);
    assert_true(delta_queue_empty(&queue));
    assert_int_equal(put(&queue, DELTA_TEXT, 0, "one", false), 0);
    assert_int_equal(put(&queue, DELTA_REASONING, 1, "", false), 0);
    struct msg_delta usage = {
            .kind = DELTA_USAGE, .usage = {.prompt_tokens = 7, .decode_ms = 1.5f}};
    assert_int_equal(delta_queue_put(&queue, &usage), 0);
    takes(&queue, DELTA_TEXT, 0, "one", 3 + MSG_DELTA_OVERHEAD);
    takes(&queue, DELTA_REASONING, 1, "", MSG_DELTA_OVERHEAD);
    struct msg_delta delta;
    uint32_t cost = 0;
    assert_int_equal(delta_queue_take(&queue, &delta, &cost), 1);
    assert_int_equal(delta.usage.prompt_tokens, 7);
    assert_int_equal(cost, MSG_DELTA_OVERHEAD);
    takes_nothing(&queue);
    delta_queue_fini(&queue);
}

static void pieces_of_json_become_one_value(void **state)
{
    (void)state;
    struct delta_queue queue;
    delta_queue_init(&queue);
    assert_int_equal(put(&queue, DELTA_TOOL_CALLS, 0, "[1,", true), 0);
    assert_int_equal(put(&queue, DELTA_TOOL_CALLS, 0, "2,", true), 0);
    struct msg_delta delta;
    uint32_t cost = 0;
    assert_int_equal(delta_queue_take(&queue, &delta, &cost), 0);
    assert_int_equal(cost, 5 + 2 * MSG_DELTA_OVERHEAD);
    assert_true(delta_queue_empty(&queue));
    assert_true(delta_queue_partial(&queue));
    assert_int_equal(put(&queue, DELTA_TOOL_CALLS, 0, "3]", false), 0);
    takes(&queue, DELTA_TOOL_CALLS, 0, "[1,2,3]", 2 + MSG_DELTA_OVERHEAD);
    assert_false(delta_queue_partial(&queue));
    delta_queue_fini(&queue);
}

static void text_is_never_held_back(void **state)
{
    (void)state;
    struct delta_queue queue;
    delta_queue_init(&queue);
    assert_int_equal(put(&queue, DELTA_TEXT, 0, "a", true), 0);
    takes(&queue, DELTA_TEXT, 0, "a", 1 + MSG_DELTA_OVERHEAD);
    delta_queue_fini(&queue);
}

static void mixed_pieces_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum delta_kind kind;
        uint32_t choice;
        bool at_once;
    } cases[] = {{DELTA_LOGPROBS, 0, true}, {DELTA_TOOL_CALLS, 1, true}, {DELTA_TEXT, 0, true},
            {DELTA_LOGPROBS, 0, false}, {DELTA_TOOL_CALLS, 1, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct delta_queue queue;
        struct msg_delta delta;
        uint32_t cost = 0;
        delta_queue_init(&queue);
        assert_int_equal(put(&queue, DELTA_TOOL_CALLS, 0, "[", true), 0);
        if (!cases[i].at_once)
            assert_int_equal(delta_queue_take(&queue, &delta, &cost), 0);
        assert_int_equal(put(&queue, cases[i].kind, cases[i].choice, "]", false), 0);
        assert_int_equal(delta_queue_take(&queue, &delta, &cost), -EPROTO);
        delta_queue_fini(&queue);
    }
}

static void both_sides_have_a_limit(void **state)
{
    (void)state;
    static char piece[MSG_CHUNK_MAX + 1];
    memset(piece, 'x', sizeof(piece) - 1);
    struct delta_queue queue;
    struct msg_delta delta;
    uint32_t cost = 0;
    delta_queue_init(&queue);
    int r = 0;
    size_t count = 0;
    for (; !r && count < 1000; count++)
        r = put(&queue, DELTA_TEXT, 0, piece, false);
    assert_int_equal(r, -ENOBUFS);
    assert_in_range(count * MSG_CHUNK_MAX, DELTA_QUEUE_MAX - 2 * MSG_CHUNK_MAX,
            DELTA_QUEUE_MAX + MSG_CHUNK_MAX);
    delta_queue_clear(&queue);
    assert_true(delta_queue_empty(&queue));

    for (r = 0, count = 0; !r && count < 1000; count++) {
        assert_int_equal(put(&queue, DELTA_LOGPROBS, 0, piece, true), 0);
        r = delta_queue_take(&queue, &delta, &cost);
    }
    assert_int_equal(r, -ENOBUFS);
    delta_queue_clear(&queue);
    assert_false(delta_queue_partial(&queue));
    delta_queue_fini(&queue);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(deltas_come_out_in_order),
            cmocka_unit_test(pieces_of_json_become_one_value),
            cmocka_unit_test(text_is_never_held_back),
            cmocka_unit_test(mixed_pieces_are_refused),
            cmocka_unit_test(both_sides_have_a_limit),
    };
    return cmocka_run_group_tests_name("delta_queue", tests, NULL, NULL);
}
