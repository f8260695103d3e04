#include "proto/rules.h"

#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    LINK_VERSION_MAX = UINT8_MAX, /* one byte of the frame */
    LINK_TYPE_MAX = UINT8_MAX,
    HTTP_STATUS_MIN = 100,
    HTTP_STATUS_MAX = 599,
};

static const struct text_limits {
    size_t min, max;
    const char *extra; /* allowed beside letters and digits; NULL: all but control characters */
} text_limits[TEXT_RULE_COUNT] = {
        [TEXT_NODE_NAME] = {1, MSG_NODE_NAME_MAX, "._-"},
        [TEXT_MODEL_NAME] = {1, MSG_NAME_MAX, "._:/+ -"},
        [TEXT_MODEL_OR_NONE] = {0, MSG_NAME_MAX, "._:/+ -"},
        [TEXT_REQUEST_ID] = {1, MSG_NAME_MAX, NULL},
        [TEXT_LABEL] = {0, MSG_NAME_MAX, NULL},
        [TEXT_SENTENCE] = {0, MSG_TEXT_MAX, NULL},
};

/* One character, as text_utf8_seq() measures it: C0, DEL, or C1 (U+0080 to U+009F), which some
 * terminals obey. */
static bool is_control(const char *data, size_t len)
{
    uint8_t first = (uint8_t)data[0];

    if (len == 1)
        return first < ' ' || first == 0x7f;
    return len == 2 && first == 0xc2 && (uint8_t)data[1] < 0xa0;
}

static int check_printable(const char *field, const char *data, size_t len, struct err *err)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = text_utf8_seq(data + at, len - at);
        if (n == 0)
            return err_set(err, -EINVAL, "%s: not UTF-8 at byte %zu", field, at);
        if (is_control(data + at, n))
            return err_set(err, -EINVAL, "%s: control character at byte %zu", field, at);
    }
    return 0;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int check_letters(
        const char *field, const char *data, size_t len, const char *extra, struct err *err)
{
    for (size_t at = 0; at < len; at++) {
        if (!is_alnum(data[at]) && (data[at] == '\0' || !strchr(extra, data[at])))
            return err_set(err, -EINVAL,
                    "%s: byte %zu is 0x%02x; letters, digits and \"%s\" are allowed", field, at,
                    (unsigned)(uint8_t)data[at], extra);
    }
    return 0;
}

int rules_text(
        enum text_rule rule, const char *field, const char *data, size_t len, struct err *err)
{
    const struct text_limits *limits = &text_limits[rule];

    if (len < limits->min || len > limits->max)
        return err_set(err, -EINVAL, "%s: %zu bytes, %zu to %zu are allowed", field, len,
                limits->min, limits->max);
    if (limits->extra)
        return check_letters(field, data, len, limits->extra, err);
    return check_printable(field, data, len, err);
}

void rules_fit_sentence(char *data, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = text_utf8_seq(data + at, len - at);
        if (n == 0) {
            data[at] = '?';
            n = 1;
        } else if (is_control(data + at, n)) {
            memset(data + at, ' ', n);
        }
    }
}

int rules_count(const char *field, size_t count, size_t max, struct err *err)
{
    if (count > max)
        return err_set(err, -EINVAL, "%s: %zu entries, at most %zu are allowed", field, count, max);
    return 0;
}

static int check_range(
        const char *field, uint64_t value, uint64_t min, uint64_t max, struct err *err)
{
    if (value < min || value > max)
        return err_set(err, -EINVAL, "%s: is %" PRIu64 ", %" PRIu64 " to %" PRIu64 " are allowed",
                field, value, min, max);
    return 0;
}

/* A negative number in an enum field turns into a large one here and is refused as such. */
static int check_enum(const char *field, unsigned value, unsigned count, struct err *err)
{
    if (value >= count)
        return err_set(err, -EINVAL, "%s: %u is not known", field, value);
    return 0;
}

static int check_measure(const char *field, float value, struct err *err)
{
    if (!isfinite(value) || value < 0)
        return err_set(
                err, -EINVAL, "%s: is %g, must be finite and not negative", field, (double)value);
    return 0;
}

static int check_stream(uint64_t stream, struct err *err)
{
    if (stream == 0)
        return err_set(err, -EINVAL, "stream: is 0");
    return 0;
}

static int check_versions(uint32_t min, uint32_t max, struct err *err)
{
    int rc = check_range("version_min", min, 1, LINK_VERSION_MAX, err);

    return rc < 0 ? rc : check_range("version_max", max, min, LINK_VERSION_MAX, err);
}

static int check_bytes(
        const char *field, const struct msg_bytes *bytes, size_t min, size_t max, struct err *err)
{
    if (bytes->len < min || bytes->len > max)
        return err_set(
                err, -EINVAL, "%s: %zu bytes, %zu to %zu are allowed", field, bytes->len, min, max);
    return 0;
}

static int check_key(const char *field, const struct msg_bytes *key, struct err *err)
{
    return check_bytes(field, key, MSG_KEY_BYTES, MSG_KEY_BYTES, err);
}

static int check_coordinators(const struct msg_bytes *list, size_t count, struct err *err)
{
    int rc = rules_count("coordinators", count, MSG_CERTIFICATES_MAX, err);

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = check_bytes("coordinators", &list[i], 1, MSG_CERTIFICATE_MAX, err);
    return rc;
}

static int check_hello(const struct msg_hello *hello, struct err *err)
{
    int rc = check_versions(hello->version_min, hello->version_max, err);

    return rc < 0 ? rc
                  : check_bytes("certificate", &hello->certificate, 0, MSG_CERTIFICATE_MAX, err);
}

static int check_welcome(const struct msg_welcome *welcome, struct err *err)
{
    int rc = check_range("epoch", welcome->epoch, 1, UINT32_MAX, err);

    if (rc == 0)
        rc = check_range("version", welcome->version, 1, LINK_VERSION_MAX, err);
    if (rc == 0)
        rc = check_range("heartbeat_ms", welcome->heartbeat_ms, MSG_HEARTBEAT_MS_MIN,
                MSG_HEARTBEAT_MS_MAX, err);
    if (rc == 0)
        rc = check_key("mesh", &welcome->mesh, err);
    if (rc == 0)
        rc = check_bytes("certificate", &welcome->certificate, 0, MSG_CERTIFICATE_MAX, err);
    if (rc == 0)
        rc = check_coordinators(welcome->coordinators, welcome->coordinator_count, err);
    return rc;
}

static int check_join(const struct msg_join *join, struct err *err)
{
    int rc = check_versions(join->version_min, join->version_max, err);

    return rc < 0 ? rc : check_key("key", &join->key, err);
}

static int check_joined(const struct msg_joined *joined, struct err *err)
{
    int rc = check_key("mesh", &joined->mesh, err);

    if (rc == 0)
        rc = check_bytes("certificate", &joined->certificate, 1, MSG_CERTIFICATE_MAX, err);
    if (rc == 0)
        rc = check_coordinators(joined->coordinators, joined->coordinator_count, err);
    return rc;
}

static int check_certificate(const struct msg_certificate *certificate, struct err *err)
{
    int rc = check_bytes("certificate", &certificate->certificate, 0, MSG_CERTIFICATE_MAX, err);

    if (rc < 0)
        return rc;
    return check_coordinators(certificate->coordinators, certificate->coordinator_count, err);
}

/* `amount` of bytes, 1 to `max`. */
static int check_tunnel(
        uint64_t tunnel, const char *field, uint64_t amount, uint64_t max, struct err *err)
{
    if (tunnel == 0)
        return err_set(err, -EINVAL, "tunnel: is 0");
    return check_range(field, amount, 1, max, err);
}

static int check_shape(const struct model_shape *shape, struct err *err)
{
    int rc = check_range("shape.layers", shape->layers, 0, MSG_LAYERS_MAX, err);

    if (rc == 0)
        rc = check_range("shape.full.layers", shape->full.layers, 0, MSG_LAYERS_MAX, err);
    if (rc == 0)
        rc = check_range("shape.window.layers", shape->window.layers, 0, MSG_LAYERS_MAX, err);
    if (rc == 0)
        rc = check_range("shape.window_tokens", shape->window_tokens, 0, MSG_CONTEXT_MAX, err);
    if (rc == 0)
        rc = check_range("shape.context_trained", shape->context_trained, 0, MSG_CONTEXT_MAX, err);
    return rc;
}

int rules_plan(const struct msg_instance *instance, struct err *err)
{
    int rc = check_shape(&instance->shape, err);

    if (rc == 0)
        rc = check_range("run_context", instance->run_context, 0, MSG_CONTEXT_MAX, err);
    if (rc == 0)
        rc = check_range("run_slots", instance->run_slots, 0, MSG_SLOTS_MAX, err);
    if (rc == 0)
        rc = check_enum("type_k", instance->type_k, CACHE_TYPE_COUNT, err);
    if (rc == 0)
        rc = check_enum("type_v", instance->type_v, CACHE_TYPE_COUNT, err);
    if (rc == 0)
        rc = check_range("batch_tokens", instance->batch_tokens, 0, MSG_BATCH_TOKENS_MAX, err);
    if (rc == 0)
        rc = check_range("output_rows", instance->output_rows, 0, MSG_BATCH_TOKENS_MAX, err);
    return rc;
}

static int check_fingerprint(const struct msg_bytes *fingerprint, struct err *err)
{
    if (fingerprint->len == 0)
        return 0;
    return check_bytes(
            "fingerprint", fingerprint, MSG_FINGERPRINT_BYTES, MSG_FINGERPRINT_BYTES, err);
}

static int check_instance(const struct msg_instance *instance, struct err *err)
{
    int rc = check_enum("state", instance->state, INSTANCE_STATE_COUNT, err);

    if (rc == 0)
        rc = rules_count("aliases", instance->alias_count, MSG_ALIASES_MAX, err);
    if (rc == 0)
        rc = check_range("quality", instance->quality, 0, MSG_QUALITY_MAX, err);
    if (rc == 0)
        rc = check_fingerprint(&instance->fingerprint, err);
    if (rc == 0)
        rc = check_measure("prefill_tok_s", instance->prefill_tok_s, err);
    if (rc == 0)
        rc = check_measure("decode_tok_s", instance->decode_tok_s, err);
    return rc;
}

static int check_state(const struct msg_state *state, struct err *err)
{
    int rc = rules_count("instances", state->instance_count, MSG_INSTANCES_MAX, err);

    if (rc == 0)
        rc = rules_count("removed", state->removed_count, MSG_INSTANCES_MAX, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < state->instance_count; i++) {
        rc = check_instance(&state->instances[i], err);
        if (rc < 0)
            return err_prefix(err, rc, "instances[%zu]", i);
    }
    return 0;
}

/* A kind that is not known here concerns that one stream: whoever runs requests answers FAIL. */
static int check_start(const struct msg_start *start, struct err *err)
{
    int rc = check_stream(start->stream, err);

    if (rc == 0)
        rc = check_range("window", start->window, 1, UINT32_MAX, err);
    return rc;
}

/* A piece without bytes costs no credit, so that only the last may be one. */
static int check_body(const struct msg_body *body, struct err *err)
{
    int rc = check_stream(body->stream, err);

    if (rc == 0)
        rc = check_range("data (bytes)", body->len, body->last ? 0 : 1, MSG_CHUNK_MAX, err);
    return rc;
}

static int check_credit(const struct msg_credit *credit, struct err *err)
{
    int rc = rules_count("grants", credit->count, MSG_CREDITS_MAX, err);

    for (size_t i = 0; rc == 0 && i < credit->count; i++) {
        rc = check_stream(credit->grants[i].stream, err);
        if (rc == 0)
            rc = check_range("bytes", credit->grants[i].bytes, 1, UINT32_MAX, err);
        if (rc < 0)
            err_prefix(err, rc, "grants[%zu]", i);
    }
    return rc;
}

static int check_usage(const struct msg_delta *delta, struct err *err)
{
    int rc = check_range("data (bytes)", delta->len, 0, 0, err);

    if (rc == 0)
        rc = check_measure("prefill_ms", delta->usage.prefill_ms, err);
    if (rc == 0)
        rc = check_measure("decode_ms", delta->usage.decode_ms, err);
    return rc;
}

static int check_delta(const struct msg_delta *delta, struct err *err)
{
    int rc = check_stream(delta->stream, err);

    if (rc == 0)
        rc = check_enum("kind", delta->kind, DELTA_KIND_COUNT, err);
    if (rc == 0)
        rc = check_range("choice", delta->choice, 0, MSG_CHOICES_MAX - 1, err);
    if (rc == 0)
        rc = check_range("data (bytes)", delta->len, 0, MSG_CHUNK_MAX, err);
    if (rc == 0 && delta->kind == DELTA_USAGE)
        rc = check_usage(delta, err);
    return rc;
}

static int check_deltas(const struct msg_deltas *deltas, struct err *err)
{
    int rc = rules_count("deltas", deltas->count, MSG_DELTAS_MAX, err);

    for (size_t i = 0; rc == 0 && i < deltas->count; i++) {
        rc = check_delta(&deltas->deltas[i], err);
        if (rc < 0)
            err_prefix(err, rc, "deltas[%zu]", i);
    }
    return rc;
}

static int check_fail(const struct msg_fail *fail, struct err *err)
{
    int rc = check_stream(fail->stream, err);

    if (rc == 0)
        rc = check_enum("code", fail->code, FAIL_CODE_COUNT, err);
    if (rc == 0 && fail->http_status != 0)
        rc = check_range("http_status", fail->http_status, HTTP_STATUS_MIN, HTTP_STATUS_MAX, err);
    return rc;
}

static int check_order(uint64_t order, struct err *err)
{
    if (order == 0)
        return err_set(err, -EINVAL, "order: is 0");
    return 0;
}

static int check_load(const struct msg_load *load, struct err *err)
{
    int rc = check_order(load->order, err);

    if (rc == 0)
        rc = check_range("context", load->context, 0, MSG_CONTEXT_MAX, err);
    if (rc == 0)
        rc = check_range("slots", load->slots, 0, MSG_SLOTS_MAX, err);
    return rc;
}

static int check_done(const struct msg_done *done, struct err *err)
{
    int rc = check_order(done->order, err);

    if (rc == 0)
        rc = check_enum("code", done->code, FAIL_CODE_COUNT, err);
    if (rc == 0)
        rc = check_enum("way", done->way, ORDER_WAY_COUNT, err);
    return rc;
}

int rules_check(const struct msg *msg, struct err *err)
{
    switch (msg->type) {
    case MSG_HELLO:
        return check_hello(&msg->hello, err);
    case MSG_WELCOME:
        return check_welcome(&msg->welcome, err);
    case MSG_STATE:
        return check_state(&msg->state, err);
    case MSG_HEARTBEAT:
        return 0;
    case MSG_START:
        return check_start(&msg->start, err);
    case MSG_BODY:
        return check_body(&msg->body, err);
    case MSG_CREDIT:
        return check_credit(&msg->credit, err);
    case MSG_CANCEL:
        return check_stream(msg->cancel.stream, err);
    case MSG_DELTAS:
        return check_deltas(&msg->deltas, err);
    case MSG_END:
        return check_stream(msg->end.stream, err);
    case MSG_FAIL:
        return check_fail(&msg->fail, err);
    case MSG_UNSUPPORTED:
        return check_range("type", msg->unsupported.type, 0, LINK_TYPE_MAX, err);
    case MSG_JOIN:
        return check_join(&msg->join, err);
    case MSG_JOINED:
        return check_joined(&msg->joined, err);
    case MSG_CERTIFICATE:
        return check_certificate(&msg->certificate, err);
    case MSG_REFUSE:
        return check_enum("code", msg->refuse.code, REFUSE_CODE_COUNT, err);
    case MSG_TUNNEL_OPEN:
        return check_tunnel(
                msg->tunnel_open.tunnel, "window", msg->tunnel_open.window, UINT32_MAX, err);
    case MSG_TUNNEL_DATA:
        return check_tunnel(
                msg->tunnel_data.tunnel, "data (bytes)", msg->tunnel_data.len, MSG_CHUNK_MAX, err);
    case MSG_TUNNEL_CREDIT:
        return check_tunnel(
                msg->tunnel_credit.tunnel, "bytes", msg->tunnel_credit.bytes, UINT32_MAX, err);
    case MSG_TUNNEL_CLOSE:
        return check_tunnel(msg->tunnel_close.tunnel, "", 1, 1, err);
    case MSG_LOAD:
        return check_load(&msg->load, err);
    case MSG_UNLOAD:
        return check_order(msg->unload.order, err);
    case MSG_PIN:
        return check_order(msg->pin.order, err);
    case MSG_DRAIN:
        return check_order(msg->drain.order, err);
    case MSG_PROGRESS:
        return check_order(msg->progress.order, err);
    case MSG_DONE:
        return check_done(&msg->done, err);
    }
    return err_set(err, -EINVAL, "type: %d is not known", (int)msg->type);
}
