#include "tests/lib/codec_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

static const uint8_t sample_fingerprint[MSG_FINGERPRINT_BYTES] = {3, 0, 253};
static const char *const sample_aliases[] = {"coder", "gpt-4o:latest"};
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
                .aliases = sample_aliases,
                .alias_count = ARRAY_SIZE(sample_aliases),
                .quality = 72,
                .fingerprint = {sample_fingerprint, sizeof sample_fingerprint},
                .foreign = true,
                .batch_only = true,
                .load_ms = 8123,
                .cache_tokens = 262144,
                .cache_swaps = true,
                .shape = {.tensor_bytes = 18551000000,
                        .input_bytes = 350000000,
                        .full = {.layers = 48, .k_elements = 24576, .v_elements = 24577},
                        .window = {.layers = 5, .k_elements = 640, .v_elements = 641},
                        .window_tokens = 1024,
                        .state_bytes = 2097152,
                        .layers = 53,
                        .embedding = 2048,
                        .vocabulary = 151936,
                        .feed_forward = 6144,
                        .heads = 32,
                        .context_trained = 262144,
                        .bound = true},
                .run_context = 65536,
                .run_slots = 8,
                .type_k = CACHE_TYPE_Q8_0,
                .type_v = CACHE_TYPE_IQ4_NL,
                .batch_tokens = 2048,
                .output_rows = 9,
                .side_bytes = 876543210,
                .measured_bytes = 21000000000,
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
        {CODEC_SAMPLE_STREAM, 8192}, {0xfedcba9800020002, UINT32_MAX}};
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

const struct msg codec_samples[] = {
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
                        .swap_allowance_bytes = 53687091200,
                        .memory_bandwidth_bytes = 256000000000,
                        .instances = sample_instances,
                        .instance_count = ARRAY_SIZE(sample_instances),
                        .removed = sample_removed,
                        .removed_count = ARRAY_SIZE(sample_removed)}},
        {.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = UINT64_MAX, .echo_us = 1}},
        {.type = MSG_START,
                .start = {.stream = CODEC_SAMPLE_STREAM,
                        .request_id = "req 7/é",
                        .model = "fast",
                        .kind = REQUEST_TRANSCRIPTION,
                        .window = 16384,
                        .body_bytes = 33554432,
                        .batch = true,
                        .session = UINT64_MAX,
                        .prompt_tokens = 30000,
                        .needs = CAPABILITY_CHAT | CAPABILITY_TOOLS}},
        {.type = MSG_BODY,
                .body = {.stream = CODEC_SAMPLE_STREAM, .data = "{\0}", .len = 3, .last = true}},
        {.type = MSG_CREDIT, .credit = {sample_grants, ARRAY_SIZE(sample_grants)}},
        {.type = MSG_CANCEL, .cancel = {CODEC_SAMPLE_STREAM}},
        {.type = MSG_DELTAS, .deltas = {sample_deltas, ARRAY_SIZE(sample_deltas)}},
        {.type = MSG_END, .end = {CODEC_SAMPLE_STREAM}},
        {.type = MSG_FAIL,
                .fail = {.stream = CODEC_SAMPLE_STREAM,
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
        {.type = MSG_TUNNEL_OPEN, .tunnel_open = {CODEC_SAMPLE_STREAM, 65536}},
        {.type = MSG_TUNNEL_DATA, .tunnel_data = {CODEC_SAMPLE_STREAM, "G\0T", 3}},
        {.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {CODEC_SAMPLE_STREAM, UINT32_MAX}},
        {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {CODEC_SAMPLE_STREAM}},
        {.type = MSG_LOAD,
                .load = {.order = CODEC_SAMPLE_STREAM,
                        .model = "qwen3-coder:30b-a3b/Q4_K_M",
                        .replaces = "a b+c",
                        .context = 131072,
                        .slots = 2,
                        .type_k = "q8_0",
                        .type_v = "q4_0",
                        .keep = true,
                        .rehearse = true}},
        {.type = MSG_UNLOAD, .unload = {CODEC_SAMPLE_STREAM, "fast"}},
        {.type = MSG_PIN, .pin = {CODEC_SAMPLE_STREAM, "fast", true}},
        {.type = MSG_DRAIN, .drain = {CODEC_SAMPLE_STREAM, true}},
        {.type = MSG_PROGRESS, .progress = {CODEC_SAMPLE_STREAM, "3 runs to finish"}},
        {.type = MSG_DONE,
                .done = {.order = CODEC_SAMPLE_STREAM,
                        .ok = true,
                        .code = FAIL_NO_MEMORY,
                        .way = ORDER_WAY_SWAP,
                        .message = "91 GB läuft"}},
};
const size_t codec_sample_count = ARRAY_SIZE(codec_samples);

const struct msg *codec_sample(enum msg_type type)
{
    for (size_t i = 0; i < codec_sample_count; i++)
        if (codec_samples[i].type == type)
            return &codec_samples[i];
    fail_msg("no sample of type %d", (int)type);
    return NULL;
}

int codec_bench_setup(void **state)
{
    struct codec_bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    buf_init(&bench->out, SIZE_MAX);
    arena_init(&bench->arena, MSG_ARENA_BYTES);
    *state = bench;
    return 0;
}

int codec_bench_teardown(void **state)
{
    struct codec_bench *bench = *state;

    buf_fini(&bench->out);
    arena_fini(&bench->arena);
    free(bench);
    return 0;
}

void codec_bench_encode(struct codec_bench *bench, const struct msg *msg)
{
    buf_clear(&bench->out);
    if (codec_encode(msg, &bench->out, &bench->err) < 0)
        fail_msg("encode: %s", bench->err.text);
}

/* The copy is gone when the result is looked at. */
int codec_bench_decode(struct codec_bench *bench, size_t len)
{
    void *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, buf_at(&bench->out), len);
    arena_fini(&bench->arena);
    bench->err.text[0] = '\0';
    rc = codec_decode(copy, len, &bench->arena, &bench->msg, &bench->err);
    free(copy);
    return rc;
}

const struct msg *codec_bench_round_trip(struct codec_bench *bench, const struct msg *msg)
{
    codec_bench_encode(bench, msg);
    if (codec_bench_decode(bench, bench->out.len) < 0)
        fail_msg("decode: %s", bench->err.text);
    assert_int_equal(bench->msg.type, msg->type);
    return &bench->msg;
}

void codec_bench_assert_decodes(struct codec_bench *bench)
{
    if (codec_bench_decode(bench, bench->out.len) < 0)
        fail_msg("decode: %s", bench->err.text);
}

void codec_bench_assert_refused(
        struct codec_bench *bench, int want, enum msg_type type, const char *field)
{
    struct msg untouched;

    memset(&bench->msg, 0x5a, sizeof bench->msg);
    untouched = bench->msg;
    assert_int_equal(codec_bench_decode(bench, bench->out.len), want);
    assert_memory_equal(&bench->msg, &untouched, sizeof untouched);
    if (strncmp(bench->err.text, msg_type_name(type), strlen(msg_type_name(type))) != 0 ||
            !strstr(bench->err.text, field))
        fail_msg("\"%s\" does not name %s: %s", bench->err.text, msg_type_name(type), field);
}

void codec_bench_assert_not_encoded(
        struct codec_bench *bench, int want, const struct msg *msg, const char *field)
{
    buf_clear(&bench->out);
    assert_int_equal(buf_append_str(&bench->out, "before"), 0);
    assert_int_equal(codec_encode(msg, &bench->out, &bench->err), want);
    assert_int_equal(bench->out.len, strlen("before"));
    assert_memory_equal(buf_at(&bench->out), "before", bench->out.len);
    if (strncmp(bench->err.text, msg_type_name(msg->type), strlen(msg_type_name(msg->type))) != 0 ||
            !strstr(bench->err.text, field))
        fail_msg("\"%s\" does not name %s", bench->err.text, field);
}

void codec_bench_assert_bytes(const struct msg_bytes *got, const struct msg_bytes *want)
{
    assert_int_equal(got->len, want->len);
    assert_memory_equal(got->data, want->data, want->len);
}
