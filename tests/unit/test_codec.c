#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/lib/codec_bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

enum {
    TYPE_UNKNOWN = 99,
    TEXT_BYTES = MSG_TEXT_MAX + 2,
};

static void assert_same_coordinators(const struct msg_bytes *got, size_t count, size_t want)
{
    assert_int_equal(count, want);
    for (size_t i = 0; i < count; i++)
        codec_bench_assert_bytes(&got[i], &codec_sample(MSG_WELCOME)->welcome.coordinators[i]);
}

static void test_hello(void **state)
{
    const struct msg_hello *got = &codec_bench_round_trip(*state, codec_sample(MSG_HELLO))->hello;

    assert_string_equal(got->name, "strix-1.local");
    assert_string_equal(got->software, "modemesh 0.1.0");
    assert_int_equal(got->version_min, 1);
    assert_int_equal(got->version_max, 2);
    codec_bench_assert_bytes(&got->certificate, &codec_sample(MSG_HELLO)->hello.certificate);
}

static void test_welcome(void **state)
{
    const struct msg_welcome *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_WELCOME))->welcome;

    assert_int_equal(got->epoch, 0xfedcba98);
    assert_int_equal(got->version, 1);
    assert_int_equal(got->heartbeat_ms, 250);
    assert_string_equal(got->coordinator, "büro");
    codec_bench_assert_bytes(&got->mesh, &codec_sample(MSG_WELCOME)->welcome.mesh);
    codec_bench_assert_bytes(&got->certificate, &codec_sample(MSG_WELCOME)->welcome.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 2);
}

static void test_heartbeat(void **state)
{
    const struct msg_heartbeat *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_HEARTBEAT))->heartbeat;

    assert_true(got->sent_us == UINT64_MAX);
    assert_int_equal(got->echo_us, 1);
}

static void test_start(void **state)
{
    const struct msg_start *got = &codec_bench_round_trip(*state, codec_sample(MSG_START))->start;

    assert_true(got->stream == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->request_id, "req 7/é");
    assert_string_equal(got->model, "fast");
    assert_int_equal(got->kind, REQUEST_TRANSCRIPTION);
    assert_int_equal(got->window, 16384);
    assert_int_equal(got->body_bytes, 33554432);
    assert_true(got->batch);
    assert_true(got->session == UINT64_MAX);
    assert_int_equal(got->prompt_tokens, 30000);
    assert_int_equal(got->needs, CAPABILITY_CHAT | CAPABILITY_TOOLS);
}

static void test_body(void **state)
{
    const struct msg_body *got = &codec_bench_round_trip(*state, codec_sample(MSG_BODY))->body;

    assert_true(got->stream == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->len, 3);
    assert_memory_equal(got->data, "{\0}", 3);
    assert_true(got->last);
}

static void test_credit(void **state)
{
    const struct msg_credit *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_CREDIT))->credit;

    assert_int_equal(got->count, 2);
    for (size_t i = 0; i < got->count; i++) {
        assert_true(got->grants[i].stream == codec_sample(MSG_CREDIT)->credit.grants[i].stream);
        assert_int_equal(got->grants[i].bytes, codec_sample(MSG_CREDIT)->credit.grants[i].bytes);
    }
}

static void assert_same_delta(const struct msg_delta *got, const struct msg_delta *want)
{
    assert_true(got->stream == want->stream);
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->choice, want->choice);
    assert_int_equal(got->more, want->more);
    assert_int_equal(got->len, want->len);
    if (want->len)
        assert_memory_equal(got->data, want->data, want->len);
    assert_int_equal(got->usage.prompt_tokens, want->usage.prompt_tokens);
    assert_int_equal(got->usage.cached_tokens, want->usage.cached_tokens);
    assert_int_equal(got->usage.completion_tokens, want->usage.completion_tokens);
    assert_float_equal(got->usage.prefill_ms, want->usage.prefill_ms, 0);
    assert_float_equal(got->usage.decode_ms, want->usage.decode_ms, 0);
}

static void test_deltas(void **state)
{
    const struct msg_deltas *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_DELTAS))->deltas;

    assert_int_equal(got->count, codec_sample(MSG_DELTAS)->deltas.count);
    for (size_t i = 0; i < got->count; i++)
        assert_same_delta(&got->deltas[i], &codec_sample(MSG_DELTAS)->deltas.deltas[i]);
}

/* Around the number that is written without an allocation, and the largest. */
static void test_many_deltas(void **state)
{
    static const size_t counts[] = {0, 1, 63, 64, 65, MSG_DELTAS_MAX};
    struct msg_delta *deltas = calloc(MSG_DELTAS_MAX, sizeof *deltas);

    assert_non_null(deltas);
    for (size_t i = 0; i < MSG_DELTAS_MAX; i++)
        deltas[i] =
                (struct msg_delta){.stream = i + 1, .data = i % 2 ? "x" : "yz", .len = 2 - i % 2};
    for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
        struct msg msg = {.type = MSG_DELTAS, .deltas = {deltas, counts[c]}};
        const struct msg_deltas *got = &codec_bench_round_trip(*state, &msg)->deltas;

        assert_int_equal(got->count, counts[c]);
        for (size_t i = 0; i < got->count; i++)
            assert_same_delta(&got->deltas[i], &deltas[i]);
    }
    free(deltas);
}

static void test_end_cancel_unsupported(void **state)
{
    assert_true(codec_bench_round_trip(*state, codec_sample(MSG_END))->end.stream ==
                CODEC_SAMPLE_STREAM);
    assert_true(codec_bench_round_trip(*state, codec_sample(MSG_CANCEL))->cancel.stream ==
                CODEC_SAMPLE_STREAM);
    assert_int_equal(
            codec_bench_round_trip(*state, codec_sample(MSG_UNSUPPORTED))->unsupported.type, 200);
}

static void test_fail(void **state)
{
    const struct msg_fail *got = &codec_bench_round_trip(*state, codec_sample(MSG_FAIL))->fail;

    assert_true(got->stream == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->code, FAIL_ENGINE_ERROR);
    assert_int_equal(got->http_status, 503);
    assert_string_equal(got->message, "engine: loading model");
}

static void test_join(void **state)
{
    const struct msg_join *got = &codec_bench_round_trip(*state, codec_sample(MSG_JOIN))->join;

    assert_string_equal(got->name, "strix-1");
    assert_string_equal(got->software, "modemesh 0.1.0");
    assert_int_equal(got->version_min, 1);
    assert_int_equal(got->version_max, 2);
    codec_bench_assert_bytes(&got->key, &codec_sample(MSG_JOIN)->join.key);
}

static void test_joined(void **state)
{
    const struct msg_joined *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_JOINED))->joined;

    codec_bench_assert_bytes(&got->mesh, &codec_sample(MSG_JOINED)->joined.mesh);
    codec_bench_assert_bytes(&got->certificate, &codec_sample(MSG_JOINED)->joined.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 2);
}

static void test_certificate(void **state)
{
    const struct msg_certificate *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_CERTIFICATE))->certificate;

    codec_bench_assert_bytes(
            &got->certificate, &codec_sample(MSG_CERTIFICATE)->certificate.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 1);
}

static void test_refuse(void **state)
{
    const struct msg_refuse *got =
            &codec_bench_round_trip(*state, codec_sample(MSG_REFUSE))->refuse;

    assert_int_equal(got->code, REFUSE_EXPIRED);
    assert_string_equal(got->message, "ended yesterday");
}

static void test_tunnels(void **state)
{
    const struct msg *got = codec_bench_round_trip(*state, codec_sample(MSG_TUNNEL_OPEN));

    assert_true(got->tunnel_open.tunnel == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->tunnel_open.window, 65536);
    got = codec_bench_round_trip(*state, codec_sample(MSG_TUNNEL_DATA));
    assert_true(got->tunnel_data.tunnel == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->tunnel_data.len, 3);
    assert_memory_equal(got->tunnel_data.data, "G\0T", 3);
    got = codec_bench_round_trip(*state, codec_sample(MSG_TUNNEL_CREDIT));
    assert_true(got->tunnel_credit.tunnel == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->tunnel_credit.bytes, UINT32_MAX);
    got = codec_bench_round_trip(*state, codec_sample(MSG_TUNNEL_CLOSE));
    assert_true(got->tunnel_close.tunnel == CODEC_SAMPLE_STREAM);
}

static void test_every_enum_value(void **state)
{
    struct msg msg = *codec_sample(MSG_REFUSE);

    for (unsigned code = 0; code < REFUSE_CODE_COUNT; code++) {
        msg.refuse.code = (enum refuse_code)code;
        assert_int_equal(codec_bench_round_trip(*state, &msg)->refuse.code, code);
    }
    msg = *codec_sample(MSG_FAIL);

    for (unsigned code = 0; code < FAIL_CODE_COUNT; code++) {
        msg.fail.code = (enum fail_code)code;
        assert_int_equal(codec_bench_round_trip(*state, &msg)->fail.code, code);
    }
    for (unsigned kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        struct msg_delta delta = {.stream = 1, .kind = (enum delta_kind)kind};

        msg = (struct msg){.type = MSG_DELTAS, .deltas = {&delta, 1}};
        assert_int_equal(codec_bench_round_trip(*state, &msg)->deltas.deltas[0].kind, kind);
    }
}

static void test_encoding_appends(void **state)
{
    struct codec_bench *fix = *state;
    size_t first;

    codec_bench_encode(fix, codec_sample(MSG_END));
    first = fix->out.len;
    assert_int_equal(codec_encode(codec_sample(MSG_END), &fix->out, NULL), 0);
    assert_int_equal(fix->out.len, 2 * first);
    assert_memory_equal(buf_at(&fix->out), buf_at(&fix->out) + first, first);
}

static void test_wire_format(void **state)
{
    struct codec_bench *fix = *state;
    struct buf *out = &fix->out;

    wire_put_header(out, MSG_START);
    wire_put_fixed64(out, 1, 42);
    wire_put_bytes(out, 2, "r", 1);
    wire_put_bytes(out, 3, "m", 1);
    wire_put_number(out, 5, 300);
    wire_put_number(out, 6, 7);
    codec_bench_assert_decodes(fix);
    assert_int_equal(fix->msg.start.stream, 42);
    assert_string_equal(fix->msg.start.request_id, "r");
    assert_string_equal(fix->msg.start.model, "m");
    assert_int_equal(fix->msg.start.kind, REQUEST_CHAT);
    assert_int_equal(fix->msg.start.window, 300);
    assert_int_equal(fix->msg.start.body_bytes, 7);
    assert_false(fix->msg.start.batch);
    assert_int_equal(fix->msg.start.session | fix->msg.start.prompt_tokens, 0);
    assert_int_equal(fix->msg.start.needs, 0);
}

static void test_start_that_needs_what_nobody_knows(void **state)
{
    struct msg msg = *codec_sample(MSG_START);

    msg.start.needs = UINT32_MAX;
    assert_int_equal(codec_bench_round_trip(*state, &msg)->start.needs, CAPABILITY_ALL);
}

/* Whoever runs requests refuses that one stream; the session goes on. */
static void test_start_of_an_unknown_kind(void **state)
{
    struct msg msg = *codec_sample(MSG_START);
    const struct msg_start *got;

    msg.start.kind = (enum request_kind)(REQUEST_KIND_COUNT + 5);
    got = &codec_bench_round_trip(*state, &msg)->start;
    assert_true(got->stream == CODEC_SAMPLE_STREAM);
    assert_int_equal(got->kind, REQUEST_KIND_COUNT);
    assert_string_equal(request_kind_name(got->kind), "unknown");
}

/* What a program without memberships says. */
static void test_older_hello(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_HELLO);
    wire_put_bytes(&fix->out, 1, "strix", 5);
    wire_put_bytes(&fix->out, 2, "modemesh 0.1.0", 14);
    wire_put_number(&fix->out, 3, 1);
    wire_put_number(&fix->out, 4, 1);
    codec_bench_assert_decodes(fix);
    assert_string_equal(fix->msg.hello.name, "strix");
    assert_int_equal(fix->msg.hello.certificate.len, 0);
}

/* … and one that proves nothing cannot be believed. */
static void test_older_welcome(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_WELCOME);
    wire_put_number(&fix->out, 1, 7);
    wire_put_number(&fix->out, 2, 1);
    wire_put_number(&fix->out, 3, 250);
    wire_put_bytes(&fix->out, 4, "hub", 3);
    codec_bench_assert_refused(fix, -EPROTO, MSG_WELCOME, "mesh");
    wire_put_bytes(&fix->out, 5, codec_sample(MSG_JOIN)->join.key.data, MSG_KEY_BYTES);
    codec_bench_assert_decodes(fix);
    assert_int_equal(fix->msg.welcome.certificate.len, 0);
    assert_int_equal(fix->msg.welcome.coordinator_count, 0);
}

static void test_wire_format_of_join(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_JOIN);
    wire_put_bytes(&fix->out, 1, "n", 1);
    wire_put_number(&fix->out, 3, 1);
    wire_put_number(&fix->out, 4, 2);
    wire_put_bytes(&fix->out, 5, codec_sample(MSG_JOIN)->join.key.data, MSG_KEY_BYTES);
    codec_bench_assert_decodes(fix);
    assert_string_equal(fix->msg.join.name, "n");
    assert_string_equal(fix->msg.join.software, "");
    codec_bench_assert_bytes(&fix->msg.join.key, &codec_sample(MSG_JOIN)->join.key);
}

static void test_wire_format_of_a_tunnel(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_TUNNEL_OPEN);
    wire_put_fixed64(&fix->out, 1, 42);
    wire_put_number(&fix->out, 2, 65536);
    codec_bench_assert_decodes(fix);
    assert_int_equal(fix->msg.tunnel_open.tunnel, 42);
    assert_int_equal(fix->msg.tunnel_open.window, 65536);
    wire_put_header(&fix->out, MSG_TUNNEL_DATA);
    wire_put_fixed64(&fix->out, 1, 42);
    wire_put_bytes(&fix->out, 2, "GET", 3);
    codec_bench_assert_decodes(fix);
    assert_int_equal(fix->msg.tunnel_data.tunnel, 42);
    assert_memory_equal(fix->msg.tunnel_data.data, "GET", 3);
}

static void test_unknown_fields_are_skipped(void **state)
{
    struct codec_bench *fix = *state;
    const struct msg_fail *got = &fix->msg.fail;

    codec_bench_encode(fix, codec_sample(MSG_FAIL));
    wire_put_number(&fix->out, 100, UINT64_MAX);
    wire_put_bytes(&fix->out, 101, "later version", 13);
    wire_put_fixed64(&fix->out, 102, 1);
    wire_put_float(&fix->out, 103, 1);
    codec_bench_assert_decodes(fix);
    assert_true(got->stream == CODEC_SAMPLE_STREAM);
    assert_string_equal(got->message, "engine: loading model");
}

static void test_unknown_type(void **state)
{
    static const unsigned types[] = {0, MSG_DONE + 1, TYPE_UNKNOWN, UINT8_MAX};
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        wire_put_header(&fix->out, types[i]);
        wire_put_byte(&fix->out, 0xff);
        assert_int_equal(codec_bench_decode(fix, fix->out.len), -EOPNOTSUPP);
        assert_int_equal(fix->msg.type, types[i]);
    }
}

static void test_bad_frames(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_END);
    fix->out.data[0] = 'x';
    assert_int_equal(codec_bench_decode(fix, fix->out.len), -EBADMSG);
    wire_put_header(&fix->out, MSG_END);
    fix->out.data[1] = FRAME_VERSION + 2;
    assert_int_equal(codec_bench_decode(fix, fix->out.len), -EPROTONOSUPPORT);
    assert_non_null(strstr(fix->err.text, "version 3"));
}

/* A cut between two fields may leave a good message; any other cut is an error, and none reads too
 * far. */
static void test_cut_at_each_length(void **state)
{
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < codec_sample_count; i++) {
        size_t refused = 0;

        codec_bench_encode(fix, &codec_samples[i]);
        for (size_t len = 0; len < fix->out.len; len++) {
            int rc = codec_bench_decode(fix, len);

            if (len < FRAME_HEADER_BYTES)
                assert_int_equal(rc, -EBADMSG);
            else if (rc != 0)
                assert_int_equal(rc, -EPROTO);
            refused += rc != 0;
        }
        assert_true(refused > FRAME_HEADER_BYTES);
    }
}

static void test_body_is_not_protobuf(void **state)
{
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < codec_sample_count; i++) {
        wire_put_header(&fix->out, codec_samples[i].type);
        wire_put_byte(&fix->out, 0xff);
        codec_bench_assert_refused(fix, -EPROTO, codec_samples[i].type, "protobuf");
    }
}

static void test_largest_message(void **state)
{
    struct codec_bench *fix = *state;
    size_t data_bytes;
    char *data;

    codec_bench_encode(fix, codec_sample(MSG_END));
    data_bytes = FRAME_MAX - fix->out.len - 4; /* tag and three bytes of length */
    data = calloc(1, data_bytes);
    assert_non_null(data);
    wire_put_bytes(&fix->out, 15, data, data_bytes);
    assert_int_equal(fix->out.len, FRAME_MAX);
    codec_bench_assert_decodes(fix);
    wire_put_byte(&fix->out, 0);
    assert_int_equal(codec_bench_decode(fix, fix->out.len), -EMSGSIZE);
    free(data);
}

/* A field of a good message written again behind it replaces the first value (protobuf's rule), so
 * that each rule can be broken alone. */
struct number_case {
    enum msg_type type;
    unsigned field;
    uint64_t value;
    const char *refused; /* what the text names, NULL: the value is good */
};

static const struct number_case number_cases[] = {
        {MSG_HELLO, 3, 0, "version_min"}, {MSG_HELLO, 3, 2, NULL}, {MSG_HELLO, 3, 3, "version_max"},
        {MSG_HELLO, 4, 255, NULL}, {MSG_HELLO, 4, 256, "version_max"}, {MSG_WELCOME, 1, 0, "epoch"},
        {MSG_WELCOME, 1, UINT32_MAX, NULL}, {MSG_WELCOME, 2, 0, "version"},
        {MSG_WELCOME, 2, 255, NULL}, {MSG_WELCOME, 2, 256, "version"},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MIN, NULL},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MIN - 1, "heartbeat_ms"},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MAX, NULL},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MAX + 1, "heartbeat_ms"},
        {MSG_START, 4, REQUEST_KIND_COUNT, NULL}, {MSG_START, 4, UINT64_MAX, NULL}, /* −1 */
        {MSG_START, 5, 1, NULL}, {MSG_START, 5, 0, "window"}, {MSG_START, 6, 0, NULL},
        {MSG_FAIL, 2, FAIL_CODE_COUNT - 1, NULL}, {MSG_FAIL, 2, FAIL_CODE_COUNT, "code"},
        {MSG_FAIL, 3, 0, NULL}, {MSG_FAIL, 3, 99, "http_status"}, {MSG_FAIL, 3, 100, NULL},
        {MSG_FAIL, 3, 599, NULL}, {MSG_FAIL, 3, 600, "http_status"},
        {MSG_UNSUPPORTED, 1, 255, NULL}, {MSG_UNSUPPORTED, 1, 256, "type"},
        {MSG_JOIN, 3, 0, "version_min"}, {MSG_JOIN, 3, 2, NULL}, {MSG_JOIN, 3, 3, "version_max"},
        {MSG_JOIN, 4, 255, NULL}, {MSG_JOIN, 4, 256, "version_max"},
        {MSG_REFUSE, 1, REFUSE_CODE_COUNT - 1, NULL}, {MSG_REFUSE, 1, REFUSE_CODE_COUNT, "code"},
        {MSG_REFUSE, 1, UINT64_MAX, "code"}, /* −1 */
        {MSG_TUNNEL_OPEN, 2, 0, "window"}, {MSG_TUNNEL_OPEN, 2, 1, NULL},
        {MSG_TUNNEL_OPEN, 2, UINT32_MAX, NULL}, {MSG_TUNNEL_CREDIT, 2, 0, "bytes"},
        {MSG_TUNNEL_CREDIT, 2, 1, NULL}, {MSG_LOAD, 4, 0, NULL},
        {MSG_LOAD, 4, MSG_CONTEXT_MAX, NULL}, {MSG_LOAD, 4, MSG_CONTEXT_MAX + 1, "context"},
        {MSG_LOAD, 5, 0, NULL}, {MSG_LOAD, 5, MSG_SLOTS_MAX, NULL},
        {MSG_LOAD, 5, MSG_SLOTS_MAX + 1, "slots"}, {MSG_DONE, 3, FAIL_CODE_COUNT - 1, NULL},
        {MSG_DONE, 3, FAIL_CODE_COUNT, "code"}, {MSG_DONE, 4, ORDER_WAY_COUNT - 1, NULL},
        {MSG_DONE, 4, ORDER_WAY_COUNT, "way"}, {MSG_DONE, 4, UINT64_MAX, "way"}, /* −1 */
};

static void test_number_limits(void **state)
{
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(number_cases); i++) {
        const struct number_case *c = &number_cases[i];

        codec_bench_encode(fix, codec_sample(c->type));
        wire_put_number(&fix->out, c->field, c->value);
        if (c->refused)
            codec_bench_assert_refused(fix, -EPROTO, c->type, c->refused);
        else
            codec_bench_assert_decodes(fix);
    }
}

static void test_stream_is_not_zero(void **state)
{
    static const enum msg_type types[] = {MSG_START, MSG_BODY, MSG_CANCEL, MSG_END, MSG_FAIL};
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        codec_bench_encode(fix, codec_sample(types[i]));
        wire_put_fixed64(&fix->out, 1, 0);
        codec_bench_assert_refused(fix, -EPROTO, types[i], "stream");
    }
}

static void test_tunnel_is_not_zero(void **state)
{
    static const enum msg_type types[] = {
            MSG_TUNNEL_OPEN, MSG_TUNNEL_DATA, MSG_TUNNEL_CREDIT, MSG_TUNNEL_CLOSE};
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        codec_bench_encode(fix, codec_sample(types[i]));
        wire_put_fixed64(&fix->out, 1, 0);
        codec_bench_assert_refused(fix, -EPROTO, types[i], "tunnel");
    }
}

static void test_order_is_not_zero(void **state)
{
    static const enum msg_type types[] = {
            MSG_LOAD, MSG_UNLOAD, MSG_PIN, MSG_DRAIN, MSG_PROGRESS, MSG_DONE};
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        codec_bench_encode(fix, codec_sample(types[i]));
        wire_put_fixed64(&fix->out, 1, 0);
        codec_bench_assert_refused(fix, -EPROTO, types[i], "order");
    }
}

/* Keys, certificates, and what goes through a tunnel: bytes of which only the count counts. */
struct bytes_case {
    enum msg_type type;
    unsigned field;
    size_t min, max;
    const char *name;
};

static const struct bytes_case bytes_cases[] = {
        {MSG_HELLO, 5, 0, MSG_CERTIFICATE_MAX, "certificate"},
        {MSG_WELCOME, 5, MSG_KEY_BYTES, MSG_KEY_BYTES, "mesh"},
        {MSG_WELCOME, 6, 0, MSG_CERTIFICATE_MAX, "certificate"},
        {MSG_WELCOME, 7, 1, MSG_CERTIFICATE_MAX, "coordinators"},
        {MSG_JOIN, 5, MSG_KEY_BYTES, MSG_KEY_BYTES, "key"},
        {MSG_JOINED, 1, MSG_KEY_BYTES, MSG_KEY_BYTES, "mesh"},
        {MSG_JOINED, 2, 1, MSG_CERTIFICATE_MAX, "certificate"},
        {MSG_JOINED, 3, 1, MSG_CERTIFICATE_MAX, "coordinators"},
        {MSG_CERTIFICATE, 1, 0, MSG_CERTIFICATE_MAX, "certificate"},
        {MSG_CERTIFICATE, 2, 1, MSG_CERTIFICATE_MAX, "coordinators"},
        {MSG_TUNNEL_DATA, 2, 1, MSG_CHUNK_MAX, "data"},
};

static void check_bytes(struct codec_bench *fix, const struct bytes_case *c, size_t len)
{
    static const uint8_t zeros[MSG_CHUNK_MAX + 1];

    codec_bench_encode(fix, codec_sample(c->type));
    wire_put_bytes(&fix->out, c->field, zeros, len);
    if (len >= c->min && len <= c->max)
        codec_bench_assert_decodes(fix);
    else
        codec_bench_assert_refused(fix, -EPROTO, c->type, c->name);
}

static void test_bytes_limits(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(bytes_cases); i++) {
        const struct bytes_case *c = &bytes_cases[i];

        check_bytes(*state, c, c->min);
        check_bytes(*state, c, c->max);
        check_bytes(*state, c, c->max + 1);
        if (c->min > 0)
            check_bytes(*state, c, c->min - 1);
    }
}

struct text_case {
    enum msg_type type;
    unsigned field;
    size_t min, max;
    const char *name;
    bool plain; /* letters, digits and a few signs only */
};

static const struct text_case text_cases[] = {
        {MSG_HELLO, 1, 1, MSG_NODE_NAME_MAX, "name", true},
        {MSG_HELLO, 2, 0, MSG_NAME_MAX, "software", false},
        {MSG_WELCOME, 4, 0, MSG_NAME_MAX, "coordinator", false},
        {MSG_STATE, 8, 1, MSG_NAME_MAX, "removed", true},
        {MSG_START, 2, 1, MSG_NAME_MAX, "request_id", false},
        {MSG_START, 3, 1, MSG_NAME_MAX, "model", true},
        {MSG_FAIL, 4, 0, MSG_TEXT_MAX, "message", false},
        {MSG_JOIN, 1, 1, MSG_NODE_NAME_MAX, "name", true},
        {MSG_JOIN, 2, 0, MSG_NAME_MAX, "software", false},
        {MSG_REFUSE, 2, 0, MSG_TEXT_MAX, "message", false},
        {MSG_LOAD, 2, 1, MSG_NAME_MAX, "model", true},
        {MSG_LOAD, 3, 0, MSG_NAME_MAX, "replaces", true},
        {MSG_LOAD, 6, 0, MSG_NAME_MAX, "type_k", false},
        {MSG_LOAD, 7, 0, MSG_NAME_MAX, "type_v", false},
        {MSG_UNLOAD, 2, 1, MSG_NAME_MAX, "model", true},
        {MSG_PIN, 2, 1, MSG_NAME_MAX, "model", true},
        {MSG_PROGRESS, 2, 0, MSG_TEXT_MAX, "text", false},
        {MSG_DONE, 5, 0, MSG_TEXT_MAX, "message", false},
};

/* The same inside an instance. */
static const struct text_case instance_cases[] = {
        {MSG_STATE, 1, 1, MSG_NAME_MAX, "instances[2]: model", true},
        {MSG_STATE, 12, 0, MSG_NAME_MAX, "instances[2]: engine", false},
        {MSG_STATE, 13, 0, MSG_TEXT_MAX, "instances[2]: note", false},
        {MSG_STATE, 20, 1, MSG_NAME_MAX, "instances[2]: aliases", true},
};

typedef void (*put_text_fn)(struct buf *out, unsigned field, const char *text, size_t len);

static void put_plain_text(struct buf *out, unsigned field, const char *text, size_t len)
{
    wire_put_bytes(out, field, text, len);
}

static void put_instance_text(struct buf *out, unsigned field, const char *text, size_t len)
{
    struct buf instance;

    buf_init(&instance, SIZE_MAX);
    wire_put_bytes(&instance, 1, "m", 1);
    wire_put_bytes(&instance, field, text, len);
    wire_put_bytes(out, 7, buf_at(&instance), instance.len);
    buf_fini(&instance);
}

static void check_text(struct codec_bench *fix, const struct text_case *c, put_text_fn put,
        const char *text, size_t len, bool good)
{
    codec_bench_encode(fix, codec_sample(c->type));
    put(&fix->out, c->field, text, len);
    if (good)
        codec_bench_assert_decodes(fix);
    else
        codec_bench_assert_refused(fix, -EPROTO, c->type, c->name);
}

static void check_text_limits(struct codec_bench *fix, const struct text_case *c, put_text_fn put)
{
    char text[TEXT_BYTES];

    memset(text, 'a', sizeof text);
    check_text(fix, c, put, text, c->max, true);
    check_text(fix, c, put, text, c->max + 1, false);
    check_text(fix, c, put, text, c->min, true);
    if (c->min > 0)
        check_text(fix, c, put, text, c->min - 1, false);
}

static void check_text_letters(struct codec_bench *fix, const struct text_case *c, put_text_fn put)
{
    static const char *const never[] = {"a\nb", "\x1b[2J", "\x7f", "a\xff", "\x80", "\xc3",
            "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
            "\xe2\x82", "\xc2\x9b"};
    static const char *const unless_plain[] = {
            "é", "模", "🙂", "a\"b", "\xc2\xa0", "\xf4\x8f\xbf\xbf"};

    check_text(fix, c, put, "a\0b", 3, false);
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        check_text(fix, c, put, never[i], strlen(never[i]), false);
    for (size_t i = 0; i < ARRAY_SIZE(unless_plain); i++)
        check_text(fix, c, put, unless_plain[i], strlen(unless_plain[i]), !c->plain);
}

static void test_text_limits(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(text_cases); i++)
        check_text_limits(*state, &text_cases[i], put_plain_text);
    for (size_t i = 0; i < ARRAY_SIZE(instance_cases); i++)
        check_text_limits(*state, &instance_cases[i], put_instance_text);
}

static void test_text_letters(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(text_cases); i++)
        check_text_letters(*state, &text_cases[i], put_plain_text);
    for (size_t i = 0; i < ARRAY_SIZE(instance_cases); i++)
        check_text_letters(*state, &instance_cases[i], put_instance_text);
}

static void test_name_letters(void **state)
{
    static const struct text_case node = {MSG_HELLO, 1, 1, MSG_NODE_NAME_MAX, "name", true};
    static const struct text_case model = {MSG_START, 3, 1, MSG_NAME_MAX, "model", true};

    for (unsigned c = 1; c < 0x80; c++) {
        char text = (char)c;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        check_text(*state, &node, put_plain_text, &text, 1, alnum || strchr("._-", text));
        check_text(*state, &model, put_plain_text, &text, 1, alnum || strchr("._:/+ -", text));
    }
}

static void test_body_limits(void **state)
{
    struct codec_bench *fix = *state;
    char *data = calloc(1, MSG_CHUNK_MAX + 1);
    struct msg msg = {.type = MSG_BODY, .body = {.stream = 1, .data = data, .len = MSG_CHUNK_MAX}};

    assert_non_null(data);
    assert_int_equal(codec_bench_round_trip(fix, &msg)->body.len, MSG_CHUNK_MAX);
    wire_put_bytes(&fix->out, 2, data, MSG_CHUNK_MAX + 1);
    codec_bench_assert_refused(fix, -EPROTO, MSG_BODY, "data");
    msg.body.len++;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.body.len = 0;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.body.last = true;
    assert_int_equal(codec_bench_round_trip(fix, &msg)->body.len, 0);
    free(data);
}

static void put_repeated(
        struct buf *out, enum msg_type type, unsigned field, const struct buf *entry, size_t count)
{
    wire_put_header(out, type);
    for (size_t i = 0; i < count; i++)
        wire_put_bytes(out, field, buf_at(entry), entry->len);
}

static void check_count(struct codec_bench *fix, enum msg_type type, unsigned field,
        const struct buf *entry, size_t max, const char *name)
{
    put_repeated(&fix->out, type, field, entry, max);
    codec_bench_assert_decodes(fix);
    put_repeated(&fix->out, type, field, entry, max + 1);
    codec_bench_assert_refused(fix, -EPROTO, type, name);
}

static void test_count_limits(void **state)
{
    struct codec_bench *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_fixed64(&entry, 1, CODEC_SAMPLE_STREAM);
    check_count(fix, MSG_DELTAS, 1, &entry, MSG_DELTAS_MAX, "deltas");
    wire_put_number(&entry, 2, 1);
    check_count(fix, MSG_CREDIT, 1, &entry, MSG_CREDITS_MAX, "grants");
    buf_clear(&entry);
    wire_put_bytes(&entry, 1, "m", 1);
    check_count(fix, MSG_STATE, 7, &entry, MSG_INSTANCES_MAX, "instances");
    buf_clear(&entry);
    wire_put_byte(&entry, 'm');
    check_count(fix, MSG_STATE, 8, &entry, MSG_INSTANCES_MAX, "removed");
    buf_fini(&entry);
}

/* The sample brings some already. */
static void check_coordinators(struct codec_bench *fix, enum msg_type type, unsigned field)
{
    size_t had = type == MSG_CERTIFICATE ? 1 : 2;

    codec_bench_encode(fix, codec_sample(type));
    for (size_t i = had; i < MSG_CERTIFICATES_MAX; i++)
        wire_put_bytes(&fix->out, field, "c", 1);
    codec_bench_assert_decodes(fix);
    wire_put_bytes(&fix->out, field, "c", 1);
    codec_bench_assert_refused(fix, -EPROTO, type, "coordinators");
}

static void test_coordinator_limits(void **state)
{
    check_coordinators(*state, MSG_WELCOME, 7);
    check_coordinators(*state, MSG_JOINED, 3);
    check_coordinators(*state, MSG_CERTIFICATE, 2);
}

/* The entries that cost most memory, as many as a message may hold. */
static void test_any_legal_message_fits_the_arena(void **state)
{
    struct codec_bench *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_fixed64(&entry, 1, CODEC_SAMPLE_STREAM);
    wire_put_number(&entry, 2, DELTA_USAGE);
    wire_put_bytes(&entry, 6, "", 0);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, MSG_DELTAS_MAX);
    assert_true(fix->out.len <= FRAME_MAX);
    codec_bench_assert_decodes(fix);
    assert_int_equal(fix->msg.deltas.count, MSG_DELTAS_MAX);
    buf_fini(&entry);
}

static void check_grant(
        struct codec_bench *fix, uint64_t stream, uint32_t bytes, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_fixed64(&entry, 1, stream);
    wire_put_number(&entry, 2, bytes);
    codec_bench_encode(fix, codec_sample(MSG_CREDIT));
    wire_put_bytes(&fix->out, 1, buf_at(&entry), entry.len);
    if (refused)
        codec_bench_assert_refused(fix, -EPROTO, MSG_CREDIT, refused);
    else
        codec_bench_assert_decodes(fix);
    buf_fini(&entry);
}

static void test_grant_limits(void **state)
{
    check_grant(*state, 1, 1, NULL);
    check_grant(*state, 1, 0, "grants[2]: bytes");
    check_grant(*state, 0, 1, "grants[2]: stream");
}

static void check_delta(struct codec_bench *fix, struct msg_delta delta, const char *refused)
{
    struct msg msg = {.type = MSG_DELTAS, .deltas = {&delta, 1}};

    if (refused)
        codec_bench_assert_not_encoded(fix, -EINVAL, &msg, refused);
    else
        assert_same_delta(codec_bench_round_trip(fix, &msg)->deltas.deltas, &delta);
}

static void test_delta_limits(void **state)
{
    char *data = calloc(1, MSG_CHUNK_MAX + 1);
    struct msg_delta good = {.stream = 1, .data = data, .len = 1};
    struct msg_delta delta = good;

    assert_non_null(data);
    delta.len = MSG_CHUNK_MAX;
    check_delta(*state, delta, NULL);
    delta.len = MSG_CHUNK_MAX + 1;
    check_delta(*state, delta, "deltas[0]: data");
    delta = good;
    delta.stream = 0;
    check_delta(*state, delta, "deltas[0]: stream");
    delta = good;
    delta.choice = MSG_CHOICES_MAX - 1;
    check_delta(*state, delta, NULL);
    delta.choice = MSG_CHOICES_MAX;
    check_delta(*state, delta, "deltas[0]: choice");
    delta = good;
    delta.kind = DELTA_KIND_COUNT;
    check_delta(*state, delta, "deltas[0]: kind");
    delta.kind = DELTA_USAGE;
    check_delta(*state, delta, "deltas[0]: data");
    delta.len = 0;
    delta.usage.prefill_ms = NAN;
    check_delta(*state, delta, "deltas[0]: prefill_ms");
    delta.usage = (struct msg_usage){.decode_ms = -1};
    check_delta(*state, delta, "deltas[0]: decode_ms");
    free(data);
}

/* The rules are the same for what comes in; here are those that an encoder of ours cannot write. */
static void test_delta_limits_of_a_peer(void **state)
{
    struct codec_bench *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_fixed64(&entry, 1, 1);
    wire_put_number(&entry, 2, DELTA_USAGE);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    codec_bench_assert_refused(fix, -EPROTO, MSG_DELTAS, "deltas[0]: usage");
    wire_put_number(&entry, 2, UINT64_MAX);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    codec_bench_assert_refused(fix, -EPROTO, MSG_DELTAS, "deltas[0]: kind");
    buf_fini(&entry);
}

/* What does not belong to a delta's kind is not looked at. */
static void test_usage_of_another_kind_is_ignored(void **state)
{
    struct codec_bench *fix = *state;
    struct buf entry, usage;

    buf_init(&entry, SIZE_MAX);
    buf_init(&usage, SIZE_MAX);
    wire_put_float(&usage, 4, NAN);
    wire_put_fixed64(&entry, 1, 1);
    wire_put_bytes(&entry, 6, buf_at(&usage), usage.len);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    codec_bench_assert_decodes(fix);
    assert_float_equal(fix->msg.deltas.deltas[0].usage.prefill_ms, 0, 0);
    buf_fini(&entry);
    buf_fini(&usage);
}

static void test_encode_keeps_the_rules(void **state)
{
    struct codec_bench *fix = *state;
    struct msg msg = *codec_sample(MSG_HELLO);
    struct msg_instance instance = codec_sample(MSG_STATE)->state.instances[0];
    const char *removed[] = {"good", "b\nd"};

    msg.hello.name = "two words";
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg.hello.name = NULL;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg = *codec_sample(MSG_WELCOME);
    msg.welcome.epoch = 0;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "epoch");
    msg = *codec_sample(MSG_START);
    msg.start.request_id = "a\nb";
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "request_id");
    instance.architecture = "a\nb";
    msg = (struct msg){.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: architecture");
    instance = codec_sample(MSG_STATE)->state.instances[0];
    instance.quantisation = "\x7f";
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: quantisation");
    instance = codec_sample(MSG_STATE)->state.instances[0];
    instance.model = "";
    msg = (struct msg){.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: model");
    msg = (struct msg){.type = MSG_STATE, .state = {.removed = removed, .removed_count = 2}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "removed");
    msg.state.removed_count = MSG_INSTANCES_MAX + 1;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "removed");
}

static void test_encode_keeps_the_rules_of_joining(void **state)
{
    static const uint8_t zeros[MSG_CERTIFICATE_MAX + 1];
    static const struct msg_bytes none[1], many[MSG_CERTIFICATES_MAX + 1];
    struct codec_bench *fix = *state;
    struct msg msg = *codec_sample(MSG_HELLO);

    msg.hello.certificate = (struct msg_bytes){zeros, sizeof zeros};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *codec_sample(MSG_WELCOME);
    msg.welcome.mesh.len--;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "mesh");
    msg = *codec_sample(MSG_WELCOME);
    msg.welcome.coordinators = none;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "coordinators");
    msg = *codec_sample(MSG_WELCOME);
    msg.welcome.coordinators = many;
    msg.welcome.coordinator_count = ARRAY_SIZE(many);
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "coordinators");
    msg = *codec_sample(MSG_JOIN);
    msg.join.key.len++;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "key");
    msg = *codec_sample(MSG_JOIN);
    msg.join.name = "";
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg = *codec_sample(MSG_JOINED);
    msg.joined.certificate.len = 0;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *codec_sample(MSG_CERTIFICATE);
    msg.certificate.certificate = (struct msg_bytes){zeros, sizeof zeros};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *codec_sample(MSG_REFUSE);
    msg.refuse.code = REFUSE_CODE_COUNT;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "code");
}

static void test_encode_keeps_the_rules_of_tunnels(void **state)
{
    static const uint8_t zeros[MSG_CHUNK_MAX + 1];
    struct codec_bench *fix = *state;
    struct msg msg = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .data = zeros, .len = 1}};

    msg.tunnel_data.len = MSG_CHUNK_MAX;
    assert_int_equal(codec_bench_round_trip(fix, &msg)->tunnel_data.len, MSG_CHUNK_MAX);
    msg.tunnel_data.len++;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.tunnel_data.len = 0;
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg = (struct msg){.type = MSG_TUNNEL_OPEN, .tunnel_open = {.window = 1}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "tunnel");
    msg = (struct msg){.type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = 1}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "window");
    msg = (struct msg){.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = 1}};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "bytes");
    msg = (struct msg){.type = MSG_TUNNEL_CLOSE};
    codec_bench_assert_not_encoded(fix, -EINVAL, &msg, "tunnel");
}

static void test_too_large_to_encode(void **state)
{
    enum { COUNT = 4 };
    struct msg_delta deltas[COUNT];
    struct msg msg = {.type = MSG_DELTAS, .deltas = {deltas, COUNT}};
    char *data = calloc(1, MSG_CHUNK_MAX);
    struct codec_bench *fix = *state;

    assert_non_null(data);
    for (size_t i = 0; i < COUNT; i++)
        deltas[i] = (struct msg_delta){.stream = i + 1, .data = data, .len = MSG_CHUNK_MAX};
    codec_bench_assert_not_encoded(fix, -EMSGSIZE, &msg, "at most 65536");

    deltas[0].len -= 100;
    codec_bench_encode(fix, &msg);
    deltas[0].len += FRAME_MAX - fix->out.len;
    codec_bench_encode(fix, &msg);
    assert_int_equal(fix->out.len, FRAME_MAX);
    codec_bench_assert_decodes(fix);
    deltas[0].len++;
    codec_bench_assert_not_encoded(fix, -EMSGSIZE, &msg, "65537");
    free(data);
}

static void test_no_room_in_the_buffer(void **state)
{
    struct codec_bench *fix = *state;
    size_t len;

    codec_bench_encode(fix, codec_sample(MSG_STATE));
    len = fix->out.len;
    buf_fini(&fix->out);
    buf_init(&fix->out, strlen("before") + len - 1);
    codec_bench_assert_not_encoded(fix, -ENOBUFS, codec_sample(MSG_STATE), "no room");
}

static void test_sentences_are_made_to_fit(void **state)
{
    struct msg_instance instance = {.model = "m", .note = "a\x80z\x1b[m"};
    struct msg msg = {.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    char text[MSG_TEXT_MAX + 3];

    assert_string_equal(codec_bench_round_trip(*state, &msg)->state.instances[0].note, "a?z [m");
    msg = *codec_sample(MSG_FAIL);
    memset(text, 'a', sizeof text);
    memcpy(text + MSG_TEXT_MAX - 1, "é!", sizeof "é!");
    msg.fail.message = text;
    assert_int_equal(strlen(codec_bench_round_trip(*state, &msg)->fail.message), MSG_TEXT_MAX - 1);
    msg.fail.message = "line\nline\xc2\x9b\xf0\x9f";
    assert_string_equal(codec_bench_round_trip(*state, &msg)->fail.message, "line line  ??");
    msg.fail.message = NULL;
    assert_string_equal(codec_bench_round_trip(*state, &msg)->fail.message, "");
    msg = (struct msg){.type = MSG_REFUSE, .refuse = {.message = "no\nentry\xff"}};
    assert_string_equal(codec_bench_round_trip(*state, &msg)->refuse.message, "no entry?");
}

/* Below what a message needs the arena's limit is named; from there on the message is whole. */
static void test_arena_limit(void **state)
{
    struct codec_bench *fix = *state;

    for (size_t i = 0; i < codec_sample_count; i++) {
        size_t needed;

        fix->arena.limit_bytes = MSG_ARENA_BYTES;
        codec_bench_encode(fix, &codec_samples[i]);
        codec_bench_assert_decodes(fix);
        needed = fix->arena.used_bytes;
        for (size_t limit = 0; limit < needed; limit += 8) {
            fix->arena.limit_bytes = limit;
            codec_bench_assert_refused(fix, -ENOMEM, codec_samples[i].type, "allowed");
        }
        fix->arena.limit_bytes = needed;
        codec_bench_assert_decodes(fix);
    }
}

/* Unknown fields are kept by protobuf-c until the message is freed: many small ones must not cost
 * more. */
static void test_a_hostile_message_is_bounded(void **state)
{
    struct codec_bench *fix = *state;

    wire_put_header(&fix->out, MSG_END);
    while (fix->out.len <= FRAME_MAX - 2)
        wire_put_number(&fix->out, 15, 1);
    codec_bench_assert_refused(fix, -ENOMEM, MSG_END, "allowed");
    assert_true(fix->arena.used_bytes <= MSG_ARENA_BYTES);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(msg_type_name(MSG_HELLO), "hello");
    assert_string_equal(msg_type_name(MSG_UNSUPPORTED), "unsupported");
    assert_string_equal(msg_type_name(MSG_JOIN), "join");
    assert_string_equal(msg_type_name(MSG_TUNNEL_CLOSE), "tunnel_close");
    assert_string_equal(msg_type_name(MSG_LOAD), "load");
    assert_string_equal(msg_type_name(MSG_DONE), "done");
    assert_string_equal(msg_type_name(MSG_DONE + 1), "unknown");
    assert_string_equal(msg_type_name(0), "unknown");
    assert_string_equal(msg_type_name(TYPE_UNKNOWN), "unknown");
    assert_string_equal(instance_state_name(INSTANCE_RESIDENT), "resident");
    assert_string_equal(instance_state_name(INSTANCE_STATE_COUNT), "unknown");
    assert_string_equal(request_kind_name(REQUEST_CHAT), "chat");
    assert_string_equal(request_kind_name(REQUEST_TRANSCRIPTION), "transcription");
    assert_string_equal(request_kind_name(REQUEST_KIND_COUNT), "unknown");
    assert_string_equal(delta_kind_name(DELTA_PROGRESS), "progress");
    assert_string_equal(delta_kind_name(DELTA_RESULT), "result");
    assert_string_equal(fail_code_name(FAIL_PROTOCOL), "protocol");
    assert_string_equal(fail_code_name(FAIL_CONTEXT_EXCEEDED), "context_length_exceeded");
    assert_string_equal(order_way_name(ORDER_WAY_NONE), "none");
    assert_string_equal(order_way_name(ORDER_WAY_SWAP), "swap");
    assert_string_equal(order_way_name(ORDER_WAY_COUNT), "unknown");
    assert_string_equal(refuse_code_name(REFUSE_OTHER), "other");
    assert_string_equal(refuse_code_name(REFUSE_VERSION), "version");
    assert_string_equal(refuse_code_name(REFUSE_CODE_COUNT), "unknown");
    for (unsigned i = 0; i < INSTANCE_STATE_COUNT; i++)
        assert_non_null(instance_state_name((enum instance_state)i));
    for (unsigned i = 0; i < REQUEST_KIND_COUNT; i++)
        assert_non_null(request_kind_name((enum request_kind)i));
    for (unsigned i = 0; i < DELTA_KIND_COUNT; i++)
        assert_non_null(delta_kind_name((enum delta_kind)i));
    for (unsigned i = 0; i < FAIL_CODE_COUNT; i++)
        assert_non_null(fail_code_name((enum fail_code)i));
    for (unsigned i = 0; i < REFUSE_CODE_COUNT; i++)
        assert_non_null(refuse_code_name((enum refuse_code)i));
    for (unsigned i = 0; i < ORDER_WAY_COUNT; i++)
        assert_non_null(order_way_name((enum order_way)i));
}

static void test_retryable(void **state)
{
    (void)state;
    assert_true(fail_code_retryable(FAIL_ENGINE_DIED));
    assert_true(fail_code_retryable(FAIL_NO_MODEL));
    assert_true(fail_code_retryable(FAIL_NO_MEMORY));
    assert_true(fail_code_retryable(FAIL_OVERLOADED));
    assert_true(fail_code_retryable(FAIL_DRAINING));
    assert_false(fail_code_retryable(FAIL_ENGINE_ERROR));
    assert_false(fail_code_retryable(FAIL_BAD_REQUEST));
    assert_false(fail_code_retryable(FAIL_PROTOCOL));
    assert_false(fail_code_retryable(FAIL_CONTEXT_EXCEEDED));
}

static void test_delta_cost(void **state)
{
    (void)state;
    assert_int_equal(msg_delta_cost(&(struct msg_delta){.len = 0}), MSG_DELTA_OVERHEAD);
    assert_int_equal(msg_delta_cost(&(struct msg_delta){.len = 100}), 100 + MSG_DELTA_OVERHEAD);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, codec_bench_setup, codec_bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_hello),
            TEST(test_welcome),
            TEST(test_heartbeat),
            TEST(test_start),
            TEST(test_body),
            TEST(test_credit),
            TEST(test_deltas),
            TEST(test_many_deltas),
            TEST(test_end_cancel_unsupported),
            TEST(test_fail),
            TEST(test_join),
            TEST(test_joined),
            TEST(test_certificate),
            TEST(test_refuse),
            TEST(test_tunnels),
            TEST(test_every_enum_value),
            TEST(test_encoding_appends),
            TEST(test_wire_format),
            TEST(test_start_of_an_unknown_kind),
            TEST(test_start_that_needs_what_nobody_knows),
            TEST(test_older_hello),
            TEST(test_older_welcome),
            TEST(test_wire_format_of_join),
            TEST(test_wire_format_of_a_tunnel),
            TEST(test_unknown_fields_are_skipped),
            TEST(test_unknown_type),
            TEST(test_bad_frames),
            TEST(test_cut_at_each_length),
            TEST(test_body_is_not_protobuf),
            TEST(test_largest_message),
            TEST(test_number_limits),
            TEST(test_stream_is_not_zero),
            TEST(test_tunnel_is_not_zero),
            TEST(test_order_is_not_zero),
            TEST(test_bytes_limits),
            TEST(test_text_limits),
            TEST(test_text_letters),
            TEST(test_name_letters),
            TEST(test_body_limits),
            TEST(test_count_limits),
            TEST(test_coordinator_limits),
            TEST(test_any_legal_message_fits_the_arena),
            TEST(test_grant_limits),
            TEST(test_delta_limits),
            TEST(test_delta_limits_of_a_peer),
            TEST(test_usage_of_another_kind_is_ignored),
            TEST(test_encode_keeps_the_rules),
            TEST(test_encode_keeps_the_rules_of_joining),
            TEST(test_encode_keeps_the_rules_of_tunnels),
            TEST(test_too_large_to_encode),
            TEST(test_no_room_in_the_buffer),
            TEST(test_sentences_are_made_to_fit),
            TEST(test_arena_limit),
            TEST(test_a_hostile_message_is_bounded),
            TEST(test_names),
            TEST(test_retryable),
            TEST(test_delta_cost),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
