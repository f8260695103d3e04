#include "coordinator/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void holds(
        const struct outbox *outbox, enum outbox_lane lane, uint64_t stream, const char *text)
{
    uint64_t first_stream;
    const void *frame;
    size_t len;
    assert_true(outbox_peek(outbox, lane, &first_stream, &frame, &len));
    assert_int_equal(first_stream, stream);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(frame, text, len);
}

static bool is_empty(const struct outbox *outbox, enum outbox_lane lane)
{
    uint64_t stream;
    const void *frame;
    size_t len;
    return !outbox_peek(outbox, lane, &stream, &frame, &len);
}

static void lanes_keep_their_order(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox, 1000);
    assert_true(is_empty(&outbox, OUTBOX_DATA));
    outbox_drop(&outbox, OUTBOX_DATA);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, "start", 5), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 2, "", 0), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_CONTROL, 0, "cancel", 6), 0);
    holds(&outbox, OUTBOX_CONTROL, 0, "cancel");
    holds(&outbox, OUTBOX_DATA, 1, "start");
    outbox_drop(&outbox, OUTBOX_DATA);
    holds(&outbox, OUTBOX_DATA, 2, "");
    outbox_drop(&outbox, OUTBOX_DATA);
    assert_true(is_empty(&outbox, OUTBOX_DATA));
    assert_int_equal(outbox_bytes(&outbox, OUTBOX_DATA), 0);
    assert_false(is_empty(&outbox, OUTBOX_CONTROL));
    outbox_fini(&outbox);
}

static void a_lane_has_a_limit_of_its_own(void **state)
{
    (void)state;
    static char frame[400];
    struct outbox outbox;
    outbox_init(&outbox, 1000);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, frame, sizeof(frame)), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, frame, sizeof(frame)), 0);
    size_t before = outbox_bytes(&outbox, OUTBOX_DATA);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, frame, sizeof(frame)), -ENOBUFS);
    assert_int_equal(outbox_bytes(&outbox, OUTBOX_DATA), before);
    assert_int_equal(outbox_put(&outbox, OUTBOX_CONTROL, 0, frame, sizeof(frame)), 0);
    outbox_drop(&outbox, OUTBOX_DATA);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, frame, sizeof(frame)), 0);
    outbox_fini(&outbox);
}

static void tunnels_have_a_lane_of_their_own(void **state)
{
    (void)state;
    static char frame[900];
    struct outbox outbox;
    outbox_init(&outbox, 1000);
    assert_int_equal(outbox_put(&outbox, OUTBOX_TUNNEL, 0, frame, sizeof(frame)), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_TUNNEL, 0, frame, sizeof(frame)), -ENOBUFS);
    assert_true(is_empty(&outbox, OUTBOX_CONTROL));
    assert_true(is_empty(&outbox, OUTBOX_DATA));
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, "start", 5), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_CONTROL, 0, "cancel", 6), 0);
    holds(&outbox, OUTBOX_DATA, 1, "start");
    holds(&outbox, OUTBOX_CONTROL, 0, "cancel");
    assert_true(outbox_bytes(&outbox, OUTBOX_TUNNEL) >= sizeof(frame));
    outbox_drop(&outbox, OUTBOX_TUNNEL);
    assert_int_equal(outbox_bytes(&outbox, OUTBOX_TUNNEL), 0);
    holds(&outbox, OUTBOX_DATA, 1, "start");
    assert_int_equal(outbox_put(&outbox, OUTBOX_TUNNEL, 0, "a", 1), 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_TUNNEL, 0, "b", 1), 0);
    holds(&outbox, OUTBOX_TUNNEL, 0, "a");
    outbox_drop(&outbox, OUTBOX_TUNNEL);
    holds(&outbox, OUTBOX_TUNNEL, 0, "b");
    outbox_fini(&outbox);
}

static void an_empty_lane_gives_its_memory_back(void **state)
{
    (void)state;
    static char frame[64 * 1024];
    struct outbox outbox;
    outbox_init(&outbox, 1024 * 1024);
    for (int i = 0; i < 10; i++)
        assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 1, frame, sizeof(frame)), 0);
    while (outbox_bytes(&outbox, OUTBOX_DATA) > 0)
        outbox_drop(&outbox, OUTBOX_DATA);
    assert_int_equal(outbox.lanes[OUTBOX_DATA].cap, 0);
    assert_int_equal(outbox_put(&outbox, OUTBOX_DATA, 3, "again", 5), 0);
    holds(&outbox, OUTBOX_DATA, 3, "again");
    outbox_fini(&outbox);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(lanes_keep_their_order),
            cmocka_unit_test(a_lane_has_a_limit_of_its_own),
            cmocka_unit_test(tunnels_have_a_lane_of_their_own),
            cmocka_unit_test(an_empty_lane_gives_its_memory_back),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
