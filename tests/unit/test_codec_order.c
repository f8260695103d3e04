#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "tests/lib/codec_bench.h"

#include <errno.h>
#include <string.h>

static void test_load(void **state)
{
    const struct msg_load *got = &codec_bench_round_trip(*state, codec_sample(MSG_LOAD))->load;

    assert_true(got->order == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->model, "qwen3-coder:30b-a3b/Q4_K_M");
    assert_string_equal(got->replaces, "a b+c");
    assert_int_equal(got->context, 131072);
    assert_int_equal(got->slots, 2);
    assert_string_equal(got->type_k, "q8_0");
    assert_string_equal(got->type_v, "q4_0");
    assert_true(got->keep);
    assert_true(got->rehearse);
}

static void test_unload_pin_drain(void **state)
{
    const struct msg *got = codec_bench_round_trip(*state, codec_sample(MSG_UNLOAD));

    assert_true(got->unload.order == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->unload.model, "fast");
    got = codec_bench_round_trip(*state, codec_sample(MSG_PIN));
    assert_true(got->pin.order == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->pin.model, "fast");
    assert_true(got->pin.pinned);
    got = codec_bench_round_trip(*state, codec_sample(MSG_DRAIN));
    assert_true(got->drain.order == CODEC_SAMPLE_STREAM);
    assert_true(got->drain.draining);
}

static void test_progress_done(void **state)
{
    const struct msg *got = codec_bench_round_trip(*state, codec_sample(MSG_PROGRESS));

    assert_true(got->progress.order == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->progress.text, "3 runs to finish");
    got = codec_bench_round_trip(*state, codec_sample(MSG_DONE));
    assert_true(got->done.order == CODEC_SAMPLE_STREAM);
    assert_true(got->done.ok);
    assert_int_equal(got->done.code, FAIL_NO_MEMORY);
    assert_int_equal(got->done.way, ORDER_WAY_SWAP);
    assert_string_equal(got->done.message, "91 GB läuft");
}

static void test_every_way_and_code(void **state)
{
    struct msg msg = *codec_sample(MSG_DONE);

    for (unsigned way = 0; way < ORDER_WAY_COUNT; way++) {
        msg.done.way = (enum order_way)way;
        assert_int_equal(codec_bench_round_trip(*state, &msg)->done.way, way);
    }
    for (unsigned code = 0; code < FAIL_CODE_COUNT; code++) {
        msg.done.code = (enum fail_code)code;
        assert_int_equal(codec_bench_round_trip(*state, &msg)->done.code, code);
    }
}

/* All that may be left out: as the config has it. */
static void test_shortest_load(void **state)
{
    struct codec_bench *fix = *state;
    const struct msg_load *got = &fix->msg.load;

    wire_put_header(&fix->out, MSG_LOAD);
    wire_put_fixed64(&fix->out, 1, 42);
    codec_bench_assert_refused(fix, -EPROTO, MSG_LOAD, "model");
    wire_put_bytes(&fix->out, 2, "m", 1);
    codec_bench_assert_decodes(fix);
    assert_int_equal(got->order, 42);
    assert_string_equal(got->model, "m");
    assert_string_equal(got->replaces, "");
    assert_int_equal(got->context | got->slots, 0);
    assert_string_equal(got->type_k, "");
    assert_string_equal(got->type_v, "");
    assert_false(got->keep || got->rehearse);
}

static void test_shortest_done(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_DONE);
    wire_put_fixed64(&fix->out, 1, 42);
    codec_bench_assert_decodes(fix);
    assert_false(fix->msg.done.ok);
    assert_int_equal(fix->msg.done.way, ORDER_WAY_NONE);
    assert_string_equal(fix->msg.done.message, "");
}

static void test_encode_keeps_the_rules(void **state)
{
    struct msg msg = *codec_sample(MSG_LOAD);

    msg.load.order = 0;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "order");
    msg = *codec_sample(MSG_LOAD);
    msg.load.model = NULL;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "model");
    msg = *codec_sample(MSG_LOAD);
    msg.load.replaces = "a\nb";
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "replaces");
    msg = *codec_sample(MSG_LOAD);
    msg.load.type_v = "q8\t0";
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "type_v");
    msg = *codec_sample(MSG_LOAD);
    msg.load.slots = MSG_SLOTS_MAX + 1;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "slots");
    msg = *codec_sample(MSG_DONE);
    msg.done.way = ORDER_WAY_COUNT;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "way");
    msg = *codec_sample(MSG_DRAIN);
    msg.drain.order = 0;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "order");
}

static void test_nothing_said_is_empty(void **state)
{
    struct msg msg = *codec_sample(MSG_LOAD);

    msg.load.replaces = msg.load.type_k = msg.load.type_v = NULL;
    assert_string_equal(codec_bench_round_trip(*state, &msg)->load.replaces, "");
    msg = *codec_sample(MSG_DONE);
    msg.done.message = NULL;
    assert_string_equal(codec_bench_round_trip(*state, &msg)->done.message, "");
}

/* An engine's own words are often in them. */
static void test_sentences_are_made_to_fit(void **state)
{
    struct msg msg = *codec_sample(MSG_PROGRESS);
    char text[MSG_TEXT_MAX + 3];

    msg.progress.text = "line\nline\xff";
    assert_string_equal(codec_bench_round_trip(*state, &msg)->progress.text, "line line?");
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    msg = *codec_sample(MSG_DONE);
    msg.done.message = text;
    assert_int_equal(strlen(codec_bench_round_trip(*state, &msg)->done.message), MSG_TEXT_MAX);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, codec_bench_setup, codec_bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_load),
            TEST(test_unload_pin_drain),
            TEST(test_progress_done),
            TEST(test_every_way_and_code),
            TEST(test_shortest_load),
            TEST(test_shortest_done),
            TEST(test_encode_keeps_the_rules),
            TEST(test_nothing_said_is_empty),
            TEST(test_sentences_are_made_to_fit),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("codec_order", tests, NULL, NULL);
}
