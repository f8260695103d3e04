#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/frame.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

enum {
    TYPE_UNKNOWN = 99,
    TEXT_BYTES = MSG_TEXT_MAX + 2,
};

static const uint64_t sample_stream = 0xfedcba9800020001;

/* One message of each type, no field of it zero. */

static const struct msg_instance sample_instances[] = {
        {
                .model = "qwen3-coder:30b-a3b/Q4_K_M",
                .state = INSTANCE_RESIDENT,
                .pinned = true,
                .file_bytes = 18556686912,
                .memory_bytes = 21474836480,
                .context = 131072,
                .slots = 4,
                .busy = 3,
                .prefill_tok_s = 1234.5f,
                .decode_tok_s = 87.25f,
                .restarts = 2,
                .engine = "llama-server",
                .note = "läuft",
                .capabilities = CAPABILITY_ALL,
                .context_trained = 262144,
                .parameters = 30532122624,
                .modified_s = 1732190000,
                .architecture = "qwen3moe",
                .quantisation = "Q4_K_M",
        },
        {.model = "a b+c",
                .state = INSTANCE_FAILED,
                .engine = "fake",
                .note = "killed by signal 9",
                .modified_s = -1,
                .architecture = "",
                .quantisation = ""},
};
static const char *const sample_removed[] = {"gone-1", "gone-2"};
static const struct msg_grant sample_grants[] = {
        {0xfedcba9800020001, 8192}, {0xfedcba9800020002, UINT32_MAX}};
static const struct msg_delta sample_deltas[] = {
        {.stream = 1, .kind = DELTA_TEXT, .data = "h\0i", .len = 3},
        {.stream = 2, .kind = DELTA_LOGPROBS, .choice = 127, .more = true, .data = "{", .len = 1},
        {.stream = UINT64_MAX,
                .kind = DELTA_USAGE,
                .usage = {.prompt_tokens = 1,
                        .cached_tokens = 2,
                        .completion_tokens = 3,
                        .prefill_ms = 4.5f,
                        .decode_ms = 5.5f}},
        {.stream = 3, .kind = DELTA_PROGRESS, .data = "prefill", .len = 7},
        {.stream = 4, .kind = DELTA_RESULT, .data = "{\"tok", .len = 5},
};

static const uint8_t sample_key[MSG_KEY_BYTES] = {1, 0, 255};
static const uint8_t sample_certificate[MSG_CERTIFICATE_MAX] = {2, 0, 254};
static const struct msg_bytes sample_coordinators[] = {
        {sample_certificate, sizeof sample_certificate}, {sample_key, 1}};

static const struct msg samples[] = {
        {.type = MSG_HELLO,
                .hello = {.name = "strix-1.local",
                        .software = "modemesh 0.1.0",
                        .version_min = 1,
                        .version_max = 2,
                        .certificate = {sample_certificate, sizeof sample_certificate}}},
        {.type = MSG_WELCOME,
                .welcome = {.epoch = 0xfedcba98,
                        .version = 1,
                        .heartbeat_ms = 250,
                        .coordinator = "büro",
                        .mesh = {sample_key, sizeof sample_key},
                        .certificate = {sample_certificate, 3},
                        .coordinators = sample_coordinators,
                        .coordinator_count = ARRAY_SIZE(sample_coordinators)}},
        {.type = MSG_STATE,
                .state = {.full = true,
                        .draining = true,
                        .memory_total_bytes = 137438953472,
                        .memory_available_bytes = 100000000000,
                        .memory_limit_bytes = 103079215104,
                        .memory_used_bytes = 21474836480,
                        .instances = sample_instances,
                        .instance_count = ARRAY_SIZE(sample_instances),
                        .removed = sample_removed,
                        .removed_count = ARRAY_SIZE(sample_removed)}},
        {.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = UINT64_MAX, .echo_us = 1}},
        {.type = MSG_START,
                .start = {.stream = 0xfedcba9800020001,
                        .request_id = "req 7/é",
                        .model = "fast",
                        .kind = REQUEST_TRANSCRIPTION,
                        .window = 16384,
                        .body_bytes = 33554432}},
        {.type = MSG_BODY,
                .body = {.stream = 0xfedcba9800020001, .data = "{\0}", .len = 3, .last = true}},
        {.type = MSG_CREDIT, .credit = {sample_grants, ARRAY_SIZE(sample_grants)}},
        {.type = MSG_CANCEL, .cancel = {0xfedcba9800020001}},
        {.type = MSG_DELTAS, .deltas = {sample_deltas, ARRAY_SIZE(sample_deltas)}},
        {.type = MSG_END, .end = {0xfedcba9800020001}},
        {.type = MSG_FAIL,
                .fail = {.stream = 0xfedcba9800020001,
                        .code = FAIL_ENGINE_ERROR,
                        .http_status = 503,
                        .message = "engine: loading model"}},
        {.type = MSG_UNSUPPORTED, .unsupported = {.type = 200}},
        {.type = MSG_JOIN,
                .join = {.name = "strix-1",
                        .software = "modemesh 0.1.0",
                        .version_min = 1,
                        .version_max = 2,
                        .key = {sample_key, sizeof sample_key}}},
        {.type = MSG_JOINED,
                .joined = {.mesh = {sample_key, sizeof sample_key},
                        .certificate = {sample_certificate, 1},
                        .coordinators = sample_coordinators,
                        .coordinator_count = ARRAY_SIZE(sample_coordinators)}},
        {.type = MSG_CERTIFICATE,
                .certificate = {.certificate = {sample_certificate, 2},
                        .coordinators = sample_coordinators,
                        .coordinator_count = 1}},
        {.type = MSG_REFUSE, .refuse = {.code = REFUSE_EXPIRED, .message = "ended yesterday"}},
        {.type = MSG_TUNNEL_OPEN, .tunnel_open = {0xfedcba9800020001, 65536}},
        {.type = MSG_TUNNEL_DATA, .tunnel_data = {0xfedcba9800020001, "G\0T", 3}},
        {.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {0xfedcba9800020001, UINT32_MAX}},
        {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {0xfedcba9800020001}},
};

static const struct msg *sample(enum msg_type type)
{
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        if (samples[i].type == type)
            return &samples[i];
    fail_msg("no sample of type %d", (int)type);
    return NULL;
}

/* What each test works with. */
struct fixture {
    struct buf out;
    struct arena arena;
    struct err err;
    struct msg msg;
};

static int setup(void **state)
{
    struct fixture *fix = calloc(1, sizeof *fix);

    assert_non_null(fix);
    buf_init(&fix->out, SIZE_MAX);
    arena_init(&fix->arena, MSG_ARENA_BYTES);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fix = *state;

    buf_fini(&fix->out);
    arena_fini(&fix->arena);
    free(fix);
    return 0;
}

static void encode(struct fixture *fix, const struct msg *msg)
{
    buf_clear(&fix->out);
    if (codec_encode(msg, &fix->out, &fix->err) < 0)
        fail_msg("encode: %s", fix->err.text);
}

/* Decodes from an allocation of exactly the message's size, which is gone when the result is looked
 * at. */
static int decode(struct fixture *fix, size_t len)
{
    void *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, buf_at(&fix->out), len);
    arena_fini(&fix->arena);
    fix->err.text[0] = '\0';
    rc = codec_decode(copy, len, &fix->arena, &fix->msg, &fix->err);
    free(copy);
    return rc;
}

static const struct msg *round_trip(struct fixture *fix, const struct msg *msg)
{
    encode(fix, msg);
    if (decode(fix, fix->out.len) < 0)
        fail_msg("decode: %s", fix->err.text);
    assert_int_equal(fix->msg.type, msg->type);
    return &fix->msg;
}

/* Protobuf written by hand, so that the wire format is tested too and rules can be broken. */

static void put_byte(struct buf *out, unsigned byte)
{
    uint8_t b = (uint8_t)byte;

    assert_int_equal(buf_append(out, &b, 1), 0);
}

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(out, (unsigned)(value & 0x7f) | 0x80);
    put_byte(out, (unsigned)value);
}

static void put_number(struct buf *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3 | 0);
    put_varint(out, value);
}

static void put_fixed64(struct buf *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3 | 1);
    for (unsigned i = 0; i < 8; i++)
        put_byte(out, (unsigned)(value >> 8 * i) & 0xff);
}

static void put_bytes(struct buf *out, unsigned field, const void *data, size_t len)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, len);
    assert_int_equal(buf_append(out, data, len), 0);
}

static void put_float(struct buf *out, unsigned field, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_varint(out, field << 3 | 5);
    for (unsigned i = 0; i < 4; i++)
        put_byte(out, bits >> 8 * i & 0xff);
}

static void put_header(struct buf *out, unsigned type)
{
    uint8_t header[FRAME_HEADER_BYTES];

    frame_header((uint8_t)type, header);
    buf_clear(out);
    assert_int_equal(buf_append(out, header, sizeof header), 0);
}

static void assert_decodes(struct fixture *fix)
{
    if (decode(fix, fix->out.len) < 0)
        fail_msg("decode: %s", fix->err.text);
}

/* The text begins with the message and names the field. */
static void assert_refused(struct fixture *fix, int want, enum msg_type type, const char *field)
{
    struct msg untouched;

    memset(&fix->msg, 0x5a, sizeof fix->msg);
    untouched = fix->msg;
    assert_int_equal(decode(fix, fix->out.len), want);
    assert_memory_equal(&fix->msg, &untouched, sizeof untouched);
    if (strncmp(fix->err.text, msg_type_name(type), strlen(msg_type_name(type))) != 0 ||
            !strstr(fix->err.text, field))
        fail_msg("\"%s\" does not name %s: %s", fix->err.text, msg_type_name(type), field);
}

static void assert_not_encoded(
        struct fixture *fix, int want, const struct msg *msg, const char *field)
{
    buf_clear(&fix->out);
    assert_int_equal(buf_append_str(&fix->out, "before"), 0);
    assert_int_equal(codec_encode(msg, &fix->out, &fix->err), want);
    assert_int_equal(fix->out.len, strlen("before"));
    assert_memory_equal(buf_at(&fix->out), "before", fix->out.len);
    if (strncmp(fix->err.text, msg_type_name(msg->type), strlen(msg_type_name(msg->type))) != 0 ||
            !strstr(fix->err.text, field))
        fail_msg("\"%s\" does not name %s", fix->err.text, field);
}

static void assert_same_bytes(const struct msg_bytes *got, const struct msg_bytes *want)
{
    assert_int_equal(got->len, want->len);
    assert_memory_equal(got->data, want->data, want->len);
}

static void assert_same_coordinators(const struct msg_bytes *got, size_t count, size_t want)
{
    assert_int_equal(count, want);
    for (size_t i = 0; i < count; i++)
        assert_same_bytes(&got[i], &sample_coordinators[i]);
}

static void test_hello(void **state)
{
    const struct msg_hello *got = &round_trip(*state, sample(MSG_HELLO))->hello;

    assert_string_equal(got->name, "strix-1.local");
    assert_string_equal(got->software, "modemesh 0.1.0");
    assert_int_equal(got->version_min, 1);
    assert_int_equal(got->version_max, 2);
    assert_same_bytes(&got->certificate, &sample(MSG_HELLO)->hello.certificate);
}

static void test_welcome(void **state)
{
    const struct msg_welcome *got = &round_trip(*state, sample(MSG_WELCOME))->welcome;

    assert_int_equal(got->epoch, 0xfedcba98);
    assert_int_equal(got->version, 1);
    assert_int_equal(got->heartbeat_ms, 250);
    assert_string_equal(got->coordinator, "büro");
    assert_same_bytes(&got->mesh, &sample(MSG_WELCOME)->welcome.mesh);
    assert_same_bytes(&got->certificate, &sample(MSG_WELCOME)->welcome.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 2);
}

static void assert_same_instance(const struct msg_instance *got, const struct msg_instance *want)
{
    assert_string_equal(got->model, want->model);
    assert_int_equal(got->state, want->state);
    assert_int_equal(got->pinned, want->pinned);
    assert_int_equal(got->file_bytes, want->file_bytes);
    assert_int_equal(got->memory_bytes, want->memory_bytes);
    assert_int_equal(got->context, want->context);
    assert_int_equal(got->slots, want->slots);
    assert_int_equal(got->busy, want->busy);
    assert_float_equal(got->prefill_tok_s, want->prefill_tok_s, 0);
    assert_float_equal(got->decode_tok_s, want->decode_tok_s, 0);
    assert_int_equal(got->restarts, want->restarts);
    assert_string_equal(got->engine, want->engine);
    assert_string_equal(got->note, want->note);
    assert_int_equal(got->capabilities, want->capabilities);
    assert_int_equal(got->context_trained, want->context_trained);
    assert_int_equal(got->parameters, want->parameters);
    assert_int_equal(got->modified_s, want->modified_s);
    assert_string_equal(got->architecture, want->architecture);
    assert_string_equal(got->quantisation, want->quantisation);
}

static void test_state(void **state)
{
    const struct msg_state *want = &sample(MSG_STATE)->state;
    const struct msg_state *got = &round_trip(*state, sample(MSG_STATE))->state;

    assert_true(got->full);
    assert_true(got->draining);
    assert_int_equal(got->memory_total_bytes, want->memory_total_bytes);
    assert_int_equal(got->memory_available_bytes, want->memory_available_bytes);
    assert_int_equal(got->memory_limit_bytes, want->memory_limit_bytes);
    assert_int_equal(got->memory_used_bytes, want->memory_used_bytes);
    assert_int_equal(got->instance_count, want->instance_count);
    for (size_t i = 0; i < want->instance_count; i++)
        assert_same_instance(&got->instances[i], &want->instances[i]);
    assert_int_equal(got->removed_count, 2);
    assert_string_equal(got->removed[0], "gone-1");
    assert_string_equal(got->removed[1], "gone-2");
}

static void test_heartbeat(void **state)
{
    const struct msg_heartbeat *got = &round_trip(*state, sample(MSG_HEARTBEAT))->heartbeat;

    assert_true(got->sent_us == UINT64_MAX);
    assert_int_equal(got->echo_us, 1);
}

static void test_start(void **state)
{
    const struct msg_start *got = &round_trip(*state, sample(MSG_START))->start;

    assert_true(got->stream == sample_stream);
    assert_string_equal(got->request_id, "req 7/é");
    assert_string_equal(got->model, "fast");
    assert_int_equal(got->kind, REQUEST_TRANSCRIPTION);
    assert_int_equal(got->window, 16384);
    assert_int_equal(got->body_bytes, 33554432);
}

static void test_body(void **state)
{
    const struct msg_body *got = &round_trip(*state, sample(MSG_BODY))->body;

    assert_true(got->stream == sample_stream);
    assert_int_equal(got->len, 3);
    assert_memory_equal(got->data, "{\0}", 3);
    assert_true(got->last);
}

static void test_credit(void **state)
{
    const struct msg_credit *got = &round_trip(*state, sample(MSG_CREDIT))->credit;

    assert_int_equal(got->count, 2);
    for (size_t i = 0; i < got->count; i++) {
        assert_true(got->grants[i].stream == sample_grants[i].stream);
        assert_int_equal(got->grants[i].bytes, sample_grants[i].bytes);
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
    const struct msg_deltas *got = &round_trip(*state, sample(MSG_DELTAS))->deltas;

    assert_int_equal(got->count, ARRAY_SIZE(sample_deltas));
    for (size_t i = 0; i < got->count; i++)
        assert_same_delta(&got->deltas[i], &sample_deltas[i]);
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
        const struct msg_deltas *got = &round_trip(*state, &msg)->deltas;

        assert_int_equal(got->count, counts[c]);
        for (size_t i = 0; i < got->count; i++)
            assert_same_delta(&got->deltas[i], &deltas[i]);
    }
    free(deltas);
}

static void test_end_cancel_unsupported(void **state)
{
    assert_true(round_trip(*state, sample(MSG_END))->end.stream == sample_stream);
    assert_true(round_trip(*state, sample(MSG_CANCEL))->cancel.stream == sample_stream);
    assert_int_equal(round_trip(*state, sample(MSG_UNSUPPORTED))->unsupported.type, 200);
}

static void test_fail(void **state)
{
    const struct msg_fail *got = &round_trip(*state, sample(MSG_FAIL))->fail;

    assert_true(got->stream == sample_stream);
    assert_int_equal(got->code, FAIL_ENGINE_ERROR);
    assert_int_equal(got->http_status, 503);
    assert_string_equal(got->message, "engine: loading model");
}

static void test_join(void **state)
{
    const struct msg_join *got = &round_trip(*state, sample(MSG_JOIN))->join;

    assert_string_equal(got->name, "strix-1");
    assert_string_equal(got->software, "modemesh 0.1.0");
    assert_int_equal(got->version_min, 1);
    assert_int_equal(got->version_max, 2);
    assert_same_bytes(&got->key, &sample(MSG_JOIN)->join.key);
}

static void test_joined(void **state)
{
    const struct msg_joined *got = &round_trip(*state, sample(MSG_JOINED))->joined;

    assert_same_bytes(&got->mesh, &sample(MSG_JOINED)->joined.mesh);
    assert_same_bytes(&got->certificate, &sample(MSG_JOINED)->joined.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 2);
}

static void test_certificate(void **state)
{
    const struct msg_certificate *got = &round_trip(*state, sample(MSG_CERTIFICATE))->certificate;

    assert_same_bytes(&got->certificate, &sample(MSG_CERTIFICATE)->certificate.certificate);
    assert_same_coordinators(got->coordinators, got->coordinator_count, 1);
}

static void test_refuse(void **state)
{
    const struct msg_refuse *got = &round_trip(*state, sample(MSG_REFUSE))->refuse;

    assert_int_equal(got->code, REFUSE_EXPIRED);
    assert_string_equal(got->message, "ended yesterday");
}

static void test_tunnels(void **state)
{
    const struct msg *got = round_trip(*state, sample(MSG_TUNNEL_OPEN));

    assert_true(got->tunnel_open.tunnel == sample_stream);
    assert_int_equal(got->tunnel_open.window, 65536);
    got = round_trip(*state, sample(MSG_TUNNEL_DATA));
    assert_true(got->tunnel_data.tunnel == sample_stream);
    assert_int_equal(got->tunnel_data.len, 3);
    assert_memory_equal(got->tunnel_data.data, "G\0T", 3);
    got = round_trip(*state, sample(MSG_TUNNEL_CREDIT));
    assert_true(got->tunnel_credit.tunnel == sample_stream);
    assert_int_equal(got->tunnel_credit.bytes, UINT32_MAX);
    got = round_trip(*state, sample(MSG_TUNNEL_CLOSE));
    assert_true(got->tunnel_close.tunnel == sample_stream);
}

static void test_every_enum_value(void **state)
{
    struct msg msg = *sample(MSG_REFUSE);

    for (unsigned code = 0; code < REFUSE_CODE_COUNT; code++) {
        msg.refuse.code = (enum refuse_code)code;
        assert_int_equal(round_trip(*state, &msg)->refuse.code, code);
    }
    msg = *sample(MSG_FAIL);

    for (unsigned code = 0; code < FAIL_CODE_COUNT; code++) {
        msg.fail.code = (enum fail_code)code;
        assert_int_equal(round_trip(*state, &msg)->fail.code, code);
    }
    for (unsigned s = 0; s < INSTANCE_STATE_COUNT; s++) {
        struct msg_instance instance = {.model = "m", .state = (enum instance_state)s};

        msg = (struct msg){
                .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
        assert_int_equal(round_trip(*state, &msg)->state.instances[0].state, s);
    }
    for (unsigned kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        struct msg_delta delta = {.stream = 1, .kind = (enum delta_kind)kind};

        msg = (struct msg){.type = MSG_DELTAS, .deltas = {&delta, 1}};
        assert_int_equal(round_trip(*state, &msg)->deltas.deltas[0].kind, kind);
    }
}

static void test_encoding_appends(void **state)
{
    struct fixture *fix = *state;
    size_t first;

    encode(fix, sample(MSG_END));
    first = fix->out.len;
    assert_int_equal(codec_encode(sample(MSG_END), &fix->out, NULL), 0);
    assert_int_equal(fix->out.len, 2 * first);
    assert_memory_equal(buf_at(&fix->out), buf_at(&fix->out) + first, first);
}

static void test_wire_format(void **state)
{
    struct fixture *fix = *state;
    struct buf *out = &fix->out;

    put_header(out, MSG_START);
    put_fixed64(out, 1, 42);
    put_bytes(out, 2, "r", 1);
    put_bytes(out, 3, "m", 1);
    put_number(out, 5, 300);
    put_number(out, 6, 7);
    assert_decodes(fix);
    assert_int_equal(fix->msg.start.stream, 42);
    assert_string_equal(fix->msg.start.request_id, "r");
    assert_string_equal(fix->msg.start.model, "m");
    assert_int_equal(fix->msg.start.kind, REQUEST_CHAT);
    assert_int_equal(fix->msg.start.window, 300);
    assert_int_equal(fix->msg.start.body_bytes, 7);
}

/* Whoever runs requests refuses that one stream; the session goes on. */
static void test_start_of_an_unknown_kind(void **state)
{
    struct msg msg = *sample(MSG_START);
    const struct msg_start *got;

    msg.start.kind = (enum request_kind)(REQUEST_KIND_COUNT + 5);
    got = &round_trip(*state, &msg)->start;
    assert_true(got->stream == sample_stream);
    assert_int_equal(got->kind, REQUEST_KIND_COUNT);
    assert_string_equal(request_kind_name(got->kind), "unknown");
}

static void put_instance_head(struct buf *out)
{
    put_bytes(out, 1, "m", 1);
    put_number(out, 6, 4096);
}

static const struct msg_instance *decode_instance(struct fixture *fix, const struct buf *instance)
{
    put_header(&fix->out, MSG_STATE);
    put_bytes(&fix->out, 7, buf_at(instance), instance->len);
    assert_decodes(fix);
    return &fix->msg.state.instances[0];
}

/* What a node says that does not know what models can do. */
static void test_older_instance(void **state)
{
    const struct msg_instance *got;
    struct buf instance;

    buf_init(&instance, 256);
    put_instance_head(&instance);
    got = decode_instance(*state, &instance);
    assert_string_equal(got->model, "m");
    assert_int_equal(got->context, 4096);
    assert_int_equal(got->capabilities | got->context_trained, 0);
    assert_int_equal(got->parameters, 0);
    assert_int_equal(got->modified_s, 0);
    assert_string_equal(got->architecture, "");
    assert_string_equal(got->quantisation, "");
    buf_fini(&instance);
}

static void test_newer_capabilities_are_dropped(void **state)
{
    const struct msg_instance *got;
    struct buf instance;

    buf_init(&instance, 256);
    put_instance_head(&instance);
    put_number(&instance, 14, UINT32_MAX);
    got = decode_instance(*state, &instance);
    assert_int_equal(got->capabilities, CAPABILITY_ALL);
    buf_fini(&instance);
}

/* What a program without memberships says. */
static void test_older_hello(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_HELLO);
    put_bytes(&fix->out, 1, "strix", 5);
    put_bytes(&fix->out, 2, "modemesh 0.1.0", 14);
    put_number(&fix->out, 3, 1);
    put_number(&fix->out, 4, 1);
    assert_decodes(fix);
    assert_string_equal(fix->msg.hello.name, "strix");
    assert_int_equal(fix->msg.hello.certificate.len, 0);
}

/* … and one that proves nothing cannot be believed. */
static void test_older_welcome(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_WELCOME);
    put_number(&fix->out, 1, 7);
    put_number(&fix->out, 2, 1);
    put_number(&fix->out, 3, 250);
    put_bytes(&fix->out, 4, "hub", 3);
    assert_refused(fix, -EPROTO, MSG_WELCOME, "mesh");
    put_bytes(&fix->out, 5, sample_key, sizeof sample_key);
    assert_decodes(fix);
    assert_int_equal(fix->msg.welcome.certificate.len, 0);
    assert_int_equal(fix->msg.welcome.coordinator_count, 0);
}

static void test_wire_format_of_join(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_JOIN);
    put_bytes(&fix->out, 1, "n", 1);
    put_number(&fix->out, 3, 1);
    put_number(&fix->out, 4, 2);
    put_bytes(&fix->out, 5, sample_key, sizeof sample_key);
    assert_decodes(fix);
    assert_string_equal(fix->msg.join.name, "n");
    assert_string_equal(fix->msg.join.software, "");
    assert_same_bytes(&fix->msg.join.key, &sample(MSG_JOIN)->join.key);
}

static void test_wire_format_of_a_tunnel(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_TUNNEL_OPEN);
    put_fixed64(&fix->out, 1, 42);
    put_number(&fix->out, 2, 65536);
    assert_decodes(fix);
    assert_int_equal(fix->msg.tunnel_open.tunnel, 42);
    assert_int_equal(fix->msg.tunnel_open.window, 65536);
    put_header(&fix->out, MSG_TUNNEL_DATA);
    put_fixed64(&fix->out, 1, 42);
    put_bytes(&fix->out, 2, "GET", 3);
    assert_decodes(fix);
    assert_int_equal(fix->msg.tunnel_data.tunnel, 42);
    assert_memory_equal(fix->msg.tunnel_data.data, "GET", 3);
}

static void test_unknown_fields_are_skipped(void **state)
{
    struct fixture *fix = *state;
    const struct msg_fail *got = &fix->msg.fail;

    encode(fix, sample(MSG_FAIL));
    put_number(&fix->out, 100, UINT64_MAX);
    put_bytes(&fix->out, 101, "later version", 13);
    put_fixed64(&fix->out, 102, 1);
    put_float(&fix->out, 103, 1);
    assert_decodes(fix);
    assert_true(got->stream == sample_stream);
    assert_string_equal(got->message, "engine: loading model");
}

static void test_unknown_type(void **state)
{
    static const unsigned types[] = {0, MSG_DONE + 1, TYPE_UNKNOWN, UINT8_MAX};
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        put_header(&fix->out, types[i]);
        put_byte(&fix->out, 0xff);
        assert_int_equal(decode(fix, fix->out.len), -EOPNOTSUPP);
        assert_int_equal(fix->msg.type, types[i]);
    }
}

static void test_bad_frames(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_END);
    fix->out.data[0] = 'x';
    assert_int_equal(decode(fix, fix->out.len), -EBADMSG);
    put_header(&fix->out, MSG_END);
    fix->out.data[1] = FRAME_VERSION + 2;
    assert_int_equal(decode(fix, fix->out.len), -EPROTONOSUPPORT);
    assert_non_null(strstr(fix->err.text, "version 3"));
}

/* A cut between two fields may leave a good message; any other cut is an error, and none reads too
 * far. */
static void test_cut_at_each_length(void **state)
{
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        size_t refused = 0;

        encode(fix, &samples[i]);
        for (size_t len = 0; len < fix->out.len; len++) {
            int rc = decode(fix, len);

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
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        put_header(&fix->out, samples[i].type);
        put_byte(&fix->out, 0xff);
        assert_refused(fix, -EPROTO, samples[i].type, "protobuf");
    }
}

static void test_largest_message(void **state)
{
    struct fixture *fix = *state;
    size_t data_bytes;
    char *data;

    encode(fix, sample(MSG_END));
    data_bytes = FRAME_MAX - fix->out.len - 4; /* tag and three bytes of length */
    data = calloc(1, data_bytes);
    assert_non_null(data);
    put_bytes(&fix->out, 15, data, data_bytes);
    assert_int_equal(fix->out.len, FRAME_MAX);
    assert_decodes(fix);
    put_byte(&fix->out, 0);
    assert_int_equal(decode(fix, fix->out.len), -EMSGSIZE);
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
        {MSG_HELLO, 3, 0, "version_min"},
        {MSG_HELLO, 3, 2, NULL},
        {MSG_HELLO, 3, 3, "version_max"},
        {MSG_HELLO, 4, 255, NULL},
        {MSG_HELLO, 4, 256, "version_max"},
        {MSG_WELCOME, 1, 0, "epoch"},
        {MSG_WELCOME, 1, UINT32_MAX, NULL},
        {MSG_WELCOME, 2, 0, "version"},
        {MSG_WELCOME, 2, 255, NULL},
        {MSG_WELCOME, 2, 256, "version"},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MIN, NULL},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MIN - 1, "heartbeat_ms"},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MAX, NULL},
        {MSG_WELCOME, 3, MSG_HEARTBEAT_MS_MAX + 1, "heartbeat_ms"},
        {MSG_START, 4, REQUEST_KIND_COUNT, NULL},
        {MSG_START, 4, UINT64_MAX, NULL}, /* −1 */
        {MSG_START, 5, 1, NULL},
        {MSG_START, 5, 0, "window"},
        {MSG_START, 6, 0, NULL},
        {MSG_FAIL, 2, FAIL_CODE_COUNT - 1, NULL},
        {MSG_FAIL, 2, FAIL_CODE_COUNT, "code"},
        {MSG_FAIL, 3, 0, NULL},
        {MSG_FAIL, 3, 99, "http_status"},
        {MSG_FAIL, 3, 100, NULL},
        {MSG_FAIL, 3, 599, NULL},
        {MSG_FAIL, 3, 600, "http_status"},
        {MSG_UNSUPPORTED, 1, 255, NULL},
        {MSG_UNSUPPORTED, 1, 256, "type"},
        {MSG_JOIN, 3, 0, "version_min"},
        {MSG_JOIN, 3, 2, NULL},
        {MSG_JOIN, 3, 3, "version_max"},
        {MSG_JOIN, 4, 255, NULL},
        {MSG_JOIN, 4, 256, "version_max"},
        {MSG_REFUSE, 1, REFUSE_CODE_COUNT - 1, NULL},
        {MSG_REFUSE, 1, REFUSE_CODE_COUNT, "code"},
        {MSG_REFUSE, 1, UINT64_MAX, "code"}, /* −1 */
        {MSG_TUNNEL_OPEN, 2, 0, "window"},
        {MSG_TUNNEL_OPEN, 2, 1, NULL},
        {MSG_TUNNEL_OPEN, 2, UINT32_MAX, NULL},
        {MSG_TUNNEL_CREDIT, 2, 0, "bytes"},
        {MSG_TUNNEL_CREDIT, 2, 1, NULL},
};

static void test_number_limits(void **state)
{
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(number_cases); i++) {
        const struct number_case *c = &number_cases[i];

        encode(fix, sample(c->type));
        put_number(&fix->out, c->field, c->value);
        if (c->refused)
            assert_refused(fix, -EPROTO, c->type, c->refused);
        else
            assert_decodes(fix);
    }
}

static void test_stream_is_not_zero(void **state)
{
    static const enum msg_type types[] = {MSG_START, MSG_BODY, MSG_CANCEL, MSG_END, MSG_FAIL};
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        encode(fix, sample(types[i]));
        put_fixed64(&fix->out, 1, 0);
        assert_refused(fix, -EPROTO, types[i], "stream");
    }
}

static void test_tunnel_is_not_zero(void **state)
{
    static const enum msg_type types[] = {
            MSG_TUNNEL_OPEN, MSG_TUNNEL_DATA, MSG_TUNNEL_CREDIT, MSG_TUNNEL_CLOSE};
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        encode(fix, sample(types[i]));
        put_fixed64(&fix->out, 1, 0);
        assert_refused(fix, -EPROTO, types[i], "tunnel");
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

static void check_bytes(struct fixture *fix, const struct bytes_case *c, size_t len)
{
    static const uint8_t zeros[MSG_CHUNK_MAX + 1];

    encode(fix, sample(c->type));
    put_bytes(&fix->out, c->field, zeros, len);
    if (len >= c->min && len <= c->max)
        assert_decodes(fix);
    else
        assert_refused(fix, -EPROTO, c->type, c->name);
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
};

/* The same inside an instance. */
static const struct text_case instance_cases[] = {
        {MSG_STATE, 1, 1, MSG_NAME_MAX, "instances[2]: model", true},
        {MSG_STATE, 12, 0, MSG_NAME_MAX, "instances[2]: engine", false},
        {MSG_STATE, 13, 0, MSG_TEXT_MAX, "instances[2]: note", false},
};

typedef void (*put_text_fn)(struct buf *out, unsigned field, const char *text, size_t len);

static void put_plain_text(struct buf *out, unsigned field, const char *text, size_t len)
{
    put_bytes(out, field, text, len);
}

static void put_instance_text(struct buf *out, unsigned field, const char *text, size_t len)
{
    struct buf instance;

    buf_init(&instance, SIZE_MAX);
    put_bytes(&instance, 1, "m", 1);
    put_bytes(&instance, field, text, len);
    put_bytes(out, 7, buf_at(&instance), instance.len);
    buf_fini(&instance);
}

static void check_text(struct fixture *fix, const struct text_case *c, put_text_fn put,
        const char *text, size_t len, bool good)
{
    encode(fix, sample(c->type));
    put(&fix->out, c->field, text, len);
    if (good)
        assert_decodes(fix);
    else
        assert_refused(fix, -EPROTO, c->type, c->name);
}

static void check_text_limits(struct fixture *fix, const struct text_case *c, put_text_fn put)
{
    char text[TEXT_BYTES];

    memset(text, 'a', sizeof text);
    check_text(fix, c, put, text, c->max, true);
    check_text(fix, c, put, text, c->max + 1, false);
    check_text(fix, c, put, text, c->min, true);
    if (c->min > 0)
        check_text(fix, c, put, text, c->min - 1, false);
}

static void check_text_letters(struct fixture *fix, const struct text_case *c, put_text_fn put)
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
    struct fixture *fix = *state;
    char *data = calloc(1, MSG_CHUNK_MAX + 1);
    struct msg msg = {.type = MSG_BODY, .body = {.stream = 1, .data = data, .len = MSG_CHUNK_MAX}};

    assert_non_null(data);
    assert_int_equal(round_trip(fix, &msg)->body.len, MSG_CHUNK_MAX);
    put_bytes(&fix->out, 2, data, MSG_CHUNK_MAX + 1);
    assert_refused(fix, -EPROTO, MSG_BODY, "data");
    msg.body.len++;
    assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.body.len = 0;
    assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.body.last = true;
    assert_int_equal(round_trip(fix, &msg)->body.len, 0);
    free(data);
}

static void put_repeated(
        struct buf *out, enum msg_type type, unsigned field, const struct buf *entry, size_t count)
{
    put_header(out, type);
    for (size_t i = 0; i < count; i++)
        put_bytes(out, field, buf_at(entry), entry->len);
}

static void check_count(struct fixture *fix, enum msg_type type, unsigned field,
        const struct buf *entry, size_t max, const char *name)
{
    put_repeated(&fix->out, type, field, entry, max);
    assert_decodes(fix);
    put_repeated(&fix->out, type, field, entry, max + 1);
    assert_refused(fix, -EPROTO, type, name);
}

static void test_count_limits(void **state)
{
    struct fixture *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    put_fixed64(&entry, 1, sample_stream);
    check_count(fix, MSG_DELTAS, 1, &entry, MSG_DELTAS_MAX, "deltas");
    put_number(&entry, 2, 1);
    check_count(fix, MSG_CREDIT, 1, &entry, MSG_CREDITS_MAX, "grants");
    buf_clear(&entry);
    put_bytes(&entry, 1, "m", 1);
    check_count(fix, MSG_STATE, 7, &entry, MSG_INSTANCES_MAX, "instances");
    buf_clear(&entry);
    put_byte(&entry, 'm');
    check_count(fix, MSG_STATE, 8, &entry, MSG_INSTANCES_MAX, "removed");
    buf_fini(&entry);
}

/* The sample brings some already. */
static void check_coordinators(struct fixture *fix, enum msg_type type, unsigned field)
{
    size_t had = type == MSG_CERTIFICATE ? 1 : 2;

    encode(fix, sample(type));
    for (size_t i = had; i < MSG_CERTIFICATES_MAX; i++)
        put_bytes(&fix->out, field, "c", 1);
    assert_decodes(fix);
    put_bytes(&fix->out, field, "c", 1);
    assert_refused(fix, -EPROTO, type, "coordinators");
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
    struct fixture *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    put_fixed64(&entry, 1, sample_stream);
    put_number(&entry, 2, DELTA_USAGE);
    put_bytes(&entry, 6, "", 0);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, MSG_DELTAS_MAX);
    assert_true(fix->out.len <= FRAME_MAX);
    assert_decodes(fix);
    assert_int_equal(fix->msg.deltas.count, MSG_DELTAS_MAX);
    buf_fini(&entry);
}

static void check_grant(struct fixture *fix, uint64_t stream, uint32_t bytes, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    put_fixed64(&entry, 1, stream);
    put_number(&entry, 2, bytes);
    encode(fix, sample(MSG_CREDIT));
    put_bytes(&fix->out, 1, buf_at(&entry), entry.len);
    if (refused)
        assert_refused(fix, -EPROTO, MSG_CREDIT, refused);
    else
        assert_decodes(fix);
    buf_fini(&entry);
}

static void test_grant_limits(void **state)
{
    check_grant(*state, 1, 1, NULL);
    check_grant(*state, 1, 0, "grants[2]: bytes");
    check_grant(*state, 0, 1, "grants[2]: stream");
}

static void check_instance_field(struct fixture *fix, const struct buf *field, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    put_bytes(&entry, 1, "m", 1);
    assert_int_equal(buf_append(&entry, buf_at(field), field->len), 0);
    encode(fix, sample(MSG_STATE));
    put_bytes(&fix->out, 7, buf_at(&entry), entry.len);
    if (refused)
        assert_refused(fix, -EPROTO, MSG_STATE, refused);
    else
        assert_decodes(fix);
    buf_fini(&entry);
}

static void test_instance_limits(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, -0.5f};
    struct buf field;

    buf_init(&field, SIZE_MAX);
    put_number(&field, 2, INSTANCE_STATE_COUNT - 1);
    check_instance_field(*state, &field, NULL);
    buf_clear(&field);
    put_number(&field, 2, INSTANCE_STATE_COUNT);
    check_instance_field(*state, &field, "instances[2]: state");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        buf_clear(&field);
        put_float(&field, 9, bad[i]);
        check_instance_field(*state, &field, "instances[2]: prefill_tok_s");
        buf_clear(&field);
        put_float(&field, 10, bad[i]);
        check_instance_field(*state, &field, "instances[2]: decode_tok_s");
    }
    buf_fini(&field);
}

static void check_delta(struct fixture *fix, struct msg_delta delta, const char *refused)
{
    struct msg msg = {.type = MSG_DELTAS, .deltas = {&delta, 1}};

    if (refused)
        assert_not_encoded(fix, -EINVAL, &msg, refused);
    else
        assert_same_delta(round_trip(fix, &msg)->deltas.deltas, &delta);
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
    struct fixture *fix = *state;
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    put_fixed64(&entry, 1, 1);
    put_number(&entry, 2, DELTA_USAGE);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    assert_refused(fix, -EPROTO, MSG_DELTAS, "deltas[0]: usage");
    put_number(&entry, 2, UINT64_MAX);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    assert_refused(fix, -EPROTO, MSG_DELTAS, "deltas[0]: kind");
    buf_fini(&entry);
}

/* What does not belong to a delta's kind is not looked at. */
static void test_usage_of_another_kind_is_ignored(void **state)
{
    struct fixture *fix = *state;
    struct buf entry, usage;

    buf_init(&entry, SIZE_MAX);
    buf_init(&usage, SIZE_MAX);
    put_float(&usage, 4, NAN);
    put_fixed64(&entry, 1, 1);
    put_bytes(&entry, 6, buf_at(&usage), usage.len);
    put_repeated(&fix->out, MSG_DELTAS, 1, &entry, 1);
    assert_decodes(fix);
    assert_float_equal(fix->msg.deltas.deltas[0].usage.prefill_ms, 0, 0);
    buf_fini(&entry);
    buf_fini(&usage);
}

static void test_encode_keeps_the_rules(void **state)
{
    struct fixture *fix = *state;
    struct msg msg = *sample(MSG_HELLO);
    struct msg_instance instance = sample_instances[0];
    const char *removed[] = {"good", "b\nd"};

    msg.hello.name = "two words";
    assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg.hello.name = NULL;
    assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg = *sample(MSG_WELCOME);
    msg.welcome.epoch = 0;
    assert_not_encoded(fix, -EINVAL, &msg, "epoch");
    msg = *sample(MSG_START);
    msg.start.request_id = "a\nb";
    assert_not_encoded(fix, -EINVAL, &msg, "request_id");
    instance.architecture = "a\nb";
    msg = (struct msg){.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: architecture");
    instance = sample_instances[0];
    instance.quantisation = "\x7f";
    assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: quantisation");
    instance = sample_instances[0];
    instance.model = "";
    msg = (struct msg){.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    assert_not_encoded(fix, -EINVAL, &msg, "instances[0]: model");
    msg = (struct msg){.type = MSG_STATE, .state = {.removed = removed, .removed_count = 2}};
    assert_not_encoded(fix, -EINVAL, &msg, "removed");
    msg.state.removed_count = MSG_INSTANCES_MAX + 1;
    assert_not_encoded(fix, -EINVAL, &msg, "removed");
}

static void test_encode_keeps_the_rules_of_joining(void **state)
{
    static const uint8_t zeros[MSG_CERTIFICATE_MAX + 1];
    static const struct msg_bytes none[1], many[MSG_CERTIFICATES_MAX + 1];
    struct fixture *fix = *state;
    struct msg msg = *sample(MSG_HELLO);

    msg.hello.certificate = (struct msg_bytes){zeros, sizeof zeros};
    assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *sample(MSG_WELCOME);
    msg.welcome.mesh.len--;
    assert_not_encoded(fix, -EINVAL, &msg, "mesh");
    msg = *sample(MSG_WELCOME);
    msg.welcome.coordinators = none;
    assert_not_encoded(fix, -EINVAL, &msg, "coordinators");
    msg = *sample(MSG_WELCOME);
    msg.welcome.coordinators = many;
    msg.welcome.coordinator_count = ARRAY_SIZE(many);
    assert_not_encoded(fix, -EINVAL, &msg, "coordinators");
    msg = *sample(MSG_JOIN);
    msg.join.key.len++;
    assert_not_encoded(fix, -EINVAL, &msg, "key");
    msg = *sample(MSG_JOIN);
    msg.join.name = "";
    assert_not_encoded(fix, -EINVAL, &msg, "name");
    msg = *sample(MSG_JOINED);
    msg.joined.certificate.len = 0;
    assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *sample(MSG_CERTIFICATE);
    msg.certificate.certificate = (struct msg_bytes){zeros, sizeof zeros};
    assert_not_encoded(fix, -EINVAL, &msg, "certificate");
    msg = *sample(MSG_REFUSE);
    msg.refuse.code = REFUSE_CODE_COUNT;
    assert_not_encoded(fix, -EINVAL, &msg, "code");
}

static void test_encode_keeps_the_rules_of_tunnels(void **state)
{
    static const uint8_t zeros[MSG_CHUNK_MAX + 1];
    struct fixture *fix = *state;
    struct msg msg = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .data = zeros, .len = 1}};

    msg.tunnel_data.len = MSG_CHUNK_MAX;
    assert_int_equal(round_trip(fix, &msg)->tunnel_data.len, MSG_CHUNK_MAX);
    msg.tunnel_data.len++;
    assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg.tunnel_data.len = 0;
    assert_not_encoded(fix, -EINVAL, &msg, "data");
    msg = (struct msg){.type = MSG_TUNNEL_OPEN, .tunnel_open = {.window = 1}};
    assert_not_encoded(fix, -EINVAL, &msg, "tunnel");
    msg = (struct msg){.type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = 1}};
    assert_not_encoded(fix, -EINVAL, &msg, "window");
    msg = (struct msg){.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = 1}};
    assert_not_encoded(fix, -EINVAL, &msg, "bytes");
    msg = (struct msg){.type = MSG_TUNNEL_CLOSE};
    assert_not_encoded(fix, -EINVAL, &msg, "tunnel");
}

static void test_too_large_to_encode(void **state)
{
    enum { COUNT = 4 };
    struct msg_delta deltas[COUNT];
    struct msg msg = {.type = MSG_DELTAS, .deltas = {deltas, COUNT}};
    char *data = calloc(1, MSG_CHUNK_MAX);
    struct fixture *fix = *state;

    assert_non_null(data);
    for (size_t i = 0; i < COUNT; i++)
        deltas[i] = (struct msg_delta){.stream = i + 1, .data = data, .len = MSG_CHUNK_MAX};
    assert_not_encoded(fix, -EMSGSIZE, &msg, "at most 65536");

    deltas[0].len -= 100;
    encode(fix, &msg);
    deltas[0].len += FRAME_MAX - fix->out.len;
    encode(fix, &msg);
    assert_int_equal(fix->out.len, FRAME_MAX);
    assert_decodes(fix);
    deltas[0].len++;
    assert_not_encoded(fix, -EMSGSIZE, &msg, "65537");
    free(data);
}

static void test_no_room_in_the_buffer(void **state)
{
    struct fixture *fix = *state;
    size_t len;

    encode(fix, sample(MSG_STATE));
    len = fix->out.len;
    buf_fini(&fix->out);
    buf_init(&fix->out, strlen("before") + len - 1);
    assert_not_encoded(fix, -ENOBUFS, sample(MSG_STATE), "no room");
}

static void test_sentences_are_made_to_fit(void **state)
{
    struct msg_instance instance = {.model = "m", .note = "a\x80z\x1b[m"};
    struct msg msg = {.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};
    char text[MSG_TEXT_MAX + 3];

    assert_string_equal(round_trip(*state, &msg)->state.instances[0].note, "a?z [m");
    msg = *sample(MSG_FAIL);
    memset(text, 'a', sizeof text);
    memcpy(text + MSG_TEXT_MAX - 1, "é!", sizeof "é!");
    msg.fail.message = text;
    assert_int_equal(strlen(round_trip(*state, &msg)->fail.message), MSG_TEXT_MAX - 1);
    msg.fail.message = "line\nline\xc2\x9b\xf0\x9f";
    assert_string_equal(round_trip(*state, &msg)->fail.message, "line line  ??");
    msg.fail.message = NULL;
    assert_string_equal(round_trip(*state, &msg)->fail.message, "");
    msg = (struct msg){.type = MSG_REFUSE, .refuse = {.message = "no\nentry\xff"}};
    assert_string_equal(round_trip(*state, &msg)->refuse.message, "no entry?");
}

/* Below what a message needs the arena's limit is named; from there on the message is whole. */
static void test_arena_limit(void **state)
{
    struct fixture *fix = *state;

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        size_t needed;

        fix->arena.limit_bytes = MSG_ARENA_BYTES;
        encode(fix, &samples[i]);
        assert_decodes(fix);
        needed = fix->arena.used_bytes;
        for (size_t limit = 0; limit < needed; limit += 8) {
            fix->arena.limit_bytes = limit;
            assert_refused(fix, -ENOMEM, samples[i].type, "allowed");
        }
        fix->arena.limit_bytes = needed;
        assert_decodes(fix);
    }
}

/* Unknown fields are kept by protobuf-c until the message is freed: many small ones must not cost
 * more. */
static void test_a_hostile_message_is_bounded(void **state)
{
    struct fixture *fix = *state;

    put_header(&fix->out, MSG_END);
    while (fix->out.len <= FRAME_MAX - 2)
        put_number(&fix->out, 15, 1);
    assert_refused(fix, -ENOMEM, MSG_END, "allowed");
    assert_true(fix->arena.used_bytes <= MSG_ARENA_BYTES);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(msg_type_name(MSG_HELLO), "hello");
    assert_string_equal(msg_type_name(MSG_UNSUPPORTED), "unsupported");
    assert_string_equal(msg_type_name(MSG_JOIN), "join");
    assert_string_equal(msg_type_name(MSG_TUNNEL_CLOSE), "tunnel_close");
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_hello),
            TEST(test_welcome),
            TEST(test_state),
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
            TEST(test_older_instance),
            TEST(test_newer_capabilities_are_dropped),
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
            TEST(test_bytes_limits),
            TEST(test_text_limits),
            TEST(test_text_letters),
            TEST(test_name_letters),
            TEST(test_body_limits),
            TEST(test_count_limits),
            TEST(test_coordinator_limits),
            TEST(test_any_legal_message_fits_the_arena),
            TEST(test_grant_limits),
            TEST(test_instance_limits),
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
