#include "proto/codec.h"

#include "common/text.h"
#include "proto/frame.h"
#include "proto/mesh.pb-c.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

enum {
    DELTAS_ON_STACK = 64,                   /* a turn of the loop rarely moves more streams */
    ENCODE_SCRATCH_BYTES = 2 * 1024 * 1024, /* every message within its limits needs less */
};

_Static_assert((int)MODEMESH__INSTANCE_STATE__INSTANCE_FAILED == INSTANCE_FAILED, "same numbers");
_Static_assert((int)MODEMESH__REQUEST_KIND__REQUEST_TRANSCRIPTION == REQUEST_TRANSCRIPTION,
        "same numbers");
_Static_assert((int)MODEMESH__DELTA_KIND__DELTA_RESULT == DELTA_RESULT, "same numbers");
_Static_assert(
        (int)MODEMESH__FAIL_CODE__FAIL_CONTEXT_EXCEEDED == FAIL_CONTEXT_EXCEEDED, "same numbers");

_Static_assert((int)MODEMESH__REFUSE_CODE__REFUSE_VERSION == REFUSE_VERSION, "same numbers");

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
    return value < count ? names[value] : "unknown";
}

const char *instance_state_name(enum instance_state state)
{
    static const char *const names[INSTANCE_STATE_COUNT] = {
            [INSTANCE_AVAILABLE] = "available",
            [INSTANCE_LOADING] = "loading",
            [INSTANCE_RESIDENT] = "resident",
            [INSTANCE_STOPPING] = "stopping",
            [INSTANCE_FAILED] = "failed",
    };

    return name_of(names, ARRAY_SIZE(names), state);
}

const char *request_kind_name(enum request_kind kind)
{
    static const char *const names[REQUEST_KIND_COUNT] = {
            [REQUEST_CHAT] = "chat",
            [REQUEST_COMPLETION] = "completion",
            [REQUEST_INFILL] = "infill",
            [REQUEST_EMBEDDINGS] = "embeddings",
            [REQUEST_RERANK] = "rerank",
            [REQUEST_TOKENIZE] = "tokenize",
            [REQUEST_DETOKENIZE] = "detokenize",
            [REQUEST_TEMPLATE] = "template",
            [REQUEST_COUNT] = "count",
            [REQUEST_TRANSCRIPTION] = "transcription",
    };

    return name_of(names, ARRAY_SIZE(names), kind);
}

const char *delta_kind_name(enum delta_kind kind)
{
    static const char *const names[DELTA_KIND_COUNT] = {
            [DELTA_TEXT] = "text",
            [DELTA_REASONING] = "reasoning",
            [DELTA_TOOL_CALLS] = "tool_calls",
            [DELTA_LOGPROBS] = "logprobs",
            [DELTA_FINISH] = "finish",
            [DELTA_USAGE] = "usage",
            [DELTA_PROGRESS] = "progress",
            [DELTA_RESULT] = "result",
    };

    return name_of(names, ARRAY_SIZE(names), kind);
}

const char *fail_code_name(enum fail_code code)
{
    static const char *const names[FAIL_CODE_COUNT] = {
            [FAIL_ENGINE_DIED] = "engine_died",
            [FAIL_ENGINE_ERROR] = "engine_error",
            [FAIL_NO_MODEL] = "no_model",
            [FAIL_NO_MEMORY] = "no_memory",
            [FAIL_OVERLOADED] = "overloaded",
            [FAIL_DRAINING] = "draining",
            [FAIL_BAD_REQUEST] = "bad_request",
            [FAIL_PROTOCOL] = "protocol",
            [FAIL_CONTEXT_EXCEEDED] = "context_length_exceeded",
    };

    return name_of(names, ARRAY_SIZE(names), code);
}

const char *refuse_code_name(enum refuse_code code)
{
    static const char *const names[REFUSE_CODE_COUNT] = {
            [REFUSE_OTHER] = "other",
            [REFUSE_REVOKED] = "revoked",
            [REFUSE_EXPIRED] = "expired",
            [REFUSE_FOREIGN_MESH] = "foreign_mesh",
            [REFUSE_BAD_CERTIFICATE] = "bad_certificate",
            [REFUSE_NAME_TAKEN] = "name_taken",
            [REFUSE_TOKEN] = "token",
            [REFUSE_VERSION] = "version",
    };

    return name_of(names, ARRAY_SIZE(names), code);
}

bool fail_code_retryable(enum fail_code code)
{
    switch (code) {
    case FAIL_ENGINE_DIED:
    case FAIL_NO_MODEL:
    case FAIL_NO_MEMORY:
    case FAIL_OVERLOADED:
    case FAIL_DRAINING:
        return true;
    default:
        return false;
    }
}

uint32_t msg_delta_cost(const struct msg_delta *delta)
{
    return (uint32_t)delta->len + MSG_DELTA_OVERHEAD;
}

/* One message on its way out. The first failure sticks in `rc`; what follows does nothing. */
struct encoder {
    struct buf *out;
    struct arena scratch;
    struct err *err;
    int rc;
};

static void *scratch_alloc(struct encoder *enc, size_t size_bytes)
{
    void *piece = arena_alloc(&enc->scratch, size_bytes);

    if (!piece)
        enc->rc = err_set(enc->err, -ENOMEM, "no memory for %zu bytes", size_bytes);
    return piece;
}

/* protobuf-c's structs are not const, and its pack functions only read them. */
static ProtobufCBinaryData borrow(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
}

static ProtobufCBinaryData put_text(
        struct encoder *enc, enum text_rule rule, const char *field, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (enc->rc == 0)
        enc->rc = rules_text(rule, field, text, len, enc->err);
    return borrow(text, len);
}

static ProtobufCBinaryData put_sentence(struct encoder *enc, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    char *copy;

    if (rules_text(TEXT_SENTENCE, "", text, len, NULL) == 0)
        return borrow(text, len);
    len = text_utf8_cut(text, len, MSG_TEXT_MAX);
    copy = scratch_alloc(enc, len);
    if (!copy)
        return borrow(NULL, 0);
    memcpy(copy, text, len);
    rules_fit_sentence(copy, len);
    return borrow(copy, len);
}

static void pack(struct encoder *enc, enum msg_type type, const ProtobufCMessage *pb)
{
    size_t size;
    void *room;

    if (enc->rc < 0)
        return;
    size = protobuf_c_message_get_packed_size(pb);
    if (size > FRAME_BODY_MAX) {
        enc->rc = err_set(enc->err, -EMSGSIZE, "%zu bytes, at most %d fit in one message", size,
                FRAME_BODY_MAX);
        return;
    }
    enc->rc = buf_reserve(enc->out, FRAME_HEADER_BYTES + size, &room);
    if (enc->rc < 0) {
        err_set(enc->err, enc->rc, "no room for %zu bytes: %s", size, strerror(-enc->rc));
        return;
    }
    frame_header((uint8_t)type, room);
    protobuf_c_message_pack(pb, (uint8_t *)room + FRAME_HEADER_BYTES);
    buf_commit(enc->out, FRAME_HEADER_BYTES + size);
}

/* One message on its way in; again the first failure sticks. */
struct decoder {
    struct arena *arena;
    struct err *err;
    int rc;
};

static void *arena_take(struct decoder *dec, size_t size_bytes)
{
    void *piece = arena_alloc(dec->arena, size_bytes);

    if (!piece)
        dec->rc = err_set(dec->err, -ENOMEM, "needs more than the %zu bytes allowed for it",
                dec->arena->limit_bytes);
    return piece;
}

static void *pb_alloc(void *data, size_t size)
{
    return arena_take(data, size);
}

/* The arena frees all at once. */
static void pb_free(void *data, void *piece)
{
    (void)data;
    (void)piece;
}

static ProtobufCMessage *unpack(struct decoder *dec, const ProtobufCMessageDescriptor *descriptor,
        const struct frame *frame)
{
    ProtobufCAllocator allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = dec};
    ProtobufCMessage *pb =
            protobuf_c_message_unpack(descriptor, &allocator, frame->body_len, frame->body);

    if (!pb && dec->rc == 0)
        dec->rc = err_set(dec->err, -EPROTO, "body is not protobuf");
    return pb;
}

static const char *take_text(struct decoder *dec, enum text_rule rule, const char *field,
        const ProtobufCBinaryData *bytes)
{
    char *text;

    if (dec->rc == 0)
        dec->rc = rules_text(rule, field, (const char *)bytes->data, bytes->len, dec->err);
    if (dec->rc < 0 || bytes->len == 0)
        return "";
    text = arena_take(dec, bytes->len + 1);
    if (text)
        memcpy(text, bytes->data, bytes->len);
    return text;
}

/* An array for `count` entries, NULL where there are none, too many, or no memory is left. */
static void *take_array(
        struct decoder *dec, const char *field, size_t count, size_t max, size_t entry_bytes)
{
    if (dec->rc == 0)
        dec->rc = rules_count(field, count, max, dec->err);
    if (dec->rc < 0 || count == 0)
        return NULL;
    return arena_take(dec, count * entry_bytes);
}

static ProtobufCBinaryData put_bytes(const struct msg_bytes *bytes)
{
    return borrow(bytes->data, bytes->len);
}

/* They lie in the arena already. */
static struct msg_bytes take_bytes(const ProtobufCBinaryData *pb)
{
    return (struct msg_bytes){.data = pb->data, .len = pb->len};
}

static ProtobufCBinaryData *put_bytes_list(
        struct encoder *enc, const struct msg_bytes *list, size_t count)
{
    ProtobufCBinaryData *entries = count > 0 ? scratch_alloc(enc, count * sizeof *entries) : NULL;

    for (size_t i = 0; entries && i < count; i++)
        entries[i] = put_bytes(&list[i]);
    return entries;
}

static const struct msg_bytes *take_bytes_list(
        struct decoder *dec, const ProtobufCBinaryData *pb, size_t count)
{
    struct msg_bytes *list =
            take_array(dec, "coordinators", count, MSG_CERTIFICATES_MAX, sizeof *list);

    for (size_t i = 0; list && i < count; i++)
        list[i] = take_bytes(&pb[i]);
    return list;
}

static void encode_hello(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Hello pb = MODEMESH__HELLO__INIT;

    pb.name = put_text(enc, TEXT_NODE_NAME, "name", msg->hello.name);
    pb.software = put_text(enc, TEXT_LABEL, "software", msg->hello.software);
    pb.version_min = msg->hello.version_min;
    pb.version_max = msg->hello.version_max;
    pb.certificate = put_bytes(&msg->hello.certificate);
    pack(enc, MSG_HELLO, &pb.base);
}

static void decode_hello(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Hello *pb = (const Modemesh__Hello *)base;

    ret_msg->hello = (struct msg_hello){
            .name = take_text(dec, TEXT_NODE_NAME, "name", &pb->name),
            .software = take_text(dec, TEXT_LABEL, "software", &pb->software),
            .version_min = pb->version_min,
            .version_max = pb->version_max,
            .certificate = take_bytes(&pb->certificate),
    };
}

static void encode_welcome(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Welcome pb = MODEMESH__WELCOME__INIT;

    pb.epoch = msg->welcome.epoch;
    pb.version = msg->welcome.version;
    pb.heartbeat_ms = msg->welcome.heartbeat_ms;
    pb.coordinator = put_text(enc, TEXT_LABEL, "coordinator", msg->welcome.coordinator);
    pb.mesh = put_bytes(&msg->welcome.mesh);
    pb.certificate = put_bytes(&msg->welcome.certificate);
    pb.n_coordinators = msg->welcome.coordinator_count;
    pb.coordinators = put_bytes_list(enc, msg->welcome.coordinators, pb.n_coordinators);
    pack(enc, MSG_WELCOME, &pb.base);
}

static void decode_welcome(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Welcome *pb = (const Modemesh__Welcome *)base;

    ret_msg->welcome = (struct msg_welcome){
            .epoch = pb->epoch,
            .version = pb->version,
            .heartbeat_ms = pb->heartbeat_ms,
            .coordinator = take_text(dec, TEXT_LABEL, "coordinator", &pb->coordinator),
            .mesh = take_bytes(&pb->mesh),
            .certificate = take_bytes(&pb->certificate),
            .coordinators = take_bytes_list(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

static void put_instance(
        struct encoder *enc, const struct msg_instance *instance, Modemesh__Instance *ret_pb)
{
    modemesh__instance__init(ret_pb);
    ret_pb->model = put_text(enc, TEXT_MODEL_NAME, "model", instance->model);
    ret_pb->state = (Modemesh__InstanceState)instance->state;
    ret_pb->pinned = instance->pinned;
    ret_pb->file_bytes = instance->file_bytes;
    ret_pb->memory_bytes = instance->memory_bytes;
    ret_pb->context = instance->context;
    ret_pb->slots = instance->slots;
    ret_pb->busy = instance->busy;
    ret_pb->prefill_tok_s = instance->prefill_tok_s;
    ret_pb->decode_tok_s = instance->decode_tok_s;
    ret_pb->restarts = instance->restarts;
    ret_pb->engine = put_text(enc, TEXT_LABEL, "engine", instance->engine);
    ret_pb->note = put_sentence(enc, instance->note);
    ret_pb->capabilities = instance->capabilities;
    ret_pb->context_trained = instance->context_trained;
    ret_pb->parameters = instance->parameters;
    ret_pb->modified_s = instance->modified_s;
    ret_pb->architecture = put_text(enc, TEXT_LABEL, "architecture", instance->architecture);
    ret_pb->quantisation = put_text(enc, TEXT_LABEL, "quantisation", instance->quantisation);
}

static void put_instances(struct encoder *enc, const struct msg_state *state, Modemesh__State *pb)
{
    Modemesh__Instance *entries;

    if (state->instance_count == 0)
        return;
    pb->instances = scratch_alloc(enc, state->instance_count * sizeof *pb->instances);
    entries = scratch_alloc(enc, state->instance_count * sizeof *entries);
    for (size_t i = 0; enc->rc == 0 && i < state->instance_count; i++) {
        put_instance(enc, &state->instances[i], &entries[i]);
        pb->instances[i] = &entries[i];
        if (enc->rc < 0)
            err_prefix(enc->err, enc->rc, "instances[%zu]", i);
    }
    pb->n_instances = state->instance_count;
}

static void put_removed(struct encoder *enc, const struct msg_state *state, Modemesh__State *pb)
{
    if (state->removed_count == 0 || enc->rc < 0)
        return;
    pb->removed = scratch_alloc(enc, state->removed_count * sizeof *pb->removed);
    for (size_t i = 0; enc->rc == 0 && i < state->removed_count; i++)
        pb->removed[i] = put_text(enc, TEXT_MODEL_NAME, "removed", state->removed[i]);
    pb->n_removed = state->removed_count;
}

static void encode_state(const struct msg *msg, struct encoder *enc)
{
    const struct msg_state *state = &msg->state;
    Modemesh__State pb = MODEMESH__STATE__INIT;

    pb.full = state->full;
    pb.draining = state->draining;
    pb.memory_total_bytes = state->memory_total_bytes;
    pb.memory_available_bytes = state->memory_available_bytes;
    pb.memory_limit_bytes = state->memory_limit_bytes;
    pb.memory_used_bytes = state->memory_used_bytes;
    put_instances(enc, state, &pb);
    put_removed(enc, state, &pb);
    pack(enc, MSG_STATE, &pb.base);
}

static void take_instance(
        struct decoder *dec, const Modemesh__Instance *pb, struct msg_instance *ret_instance)
{
    *ret_instance = (struct msg_instance){
            .model = take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .state = (enum instance_state)pb->state,
            .pinned = pb->pinned,
            .file_bytes = pb->file_bytes,
            .memory_bytes = pb->memory_bytes,
            .context = pb->context,
            .slots = pb->slots,
            .busy = pb->busy,
            .prefill_tok_s = pb->prefill_tok_s,
            .decode_tok_s = pb->decode_tok_s,
            .restarts = pb->restarts,
            .engine = take_text(dec, TEXT_LABEL, "engine", &pb->engine),
            .note = take_text(dec, TEXT_SENTENCE, "note", &pb->note),
            /* A bit that nobody here knows would be passed on as if somebody did. */
            .capabilities = pb->capabilities & CAPABILITY_ALL,
            .context_trained = pb->context_trained,
            .parameters = pb->parameters,
            .modified_s = pb->modified_s,
            .architecture = take_text(dec, TEXT_LABEL, "architecture", &pb->architecture),
            .quantisation = take_text(dec, TEXT_LABEL, "quantisation", &pb->quantisation),
    };
}

static const struct msg_instance *take_instances(struct decoder *dec, const Modemesh__State *pb)
{
    struct msg_instance *instances =
            take_array(dec, "instances", pb->n_instances, MSG_INSTANCES_MAX, sizeof *instances);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_instances; i++) {
        take_instance(dec, pb->instances[i], &instances[i]);
        if (dec->rc < 0)
            err_prefix(dec->err, dec->rc, "instances[%zu]", i);
    }
    return instances;
}

static const char *const *take_removed(struct decoder *dec, const Modemesh__State *pb)
{
    const char **removed =
            take_array(dec, "removed", pb->n_removed, MSG_INSTANCES_MAX, sizeof *removed);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_removed; i++)
        removed[i] = take_text(dec, TEXT_MODEL_NAME, "removed", &pb->removed[i]);
    return removed;
}

static void decode_state(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__State *pb = (const Modemesh__State *)base;

    ret_msg->state = (struct msg_state){
            .full = pb->full,
            .draining = pb->draining,
            .memory_total_bytes = pb->memory_total_bytes,
            .memory_available_bytes = pb->memory_available_bytes,
            .memory_limit_bytes = pb->memory_limit_bytes,
            .memory_used_bytes = pb->memory_used_bytes,
            .instances = take_instances(dec, pb),
            .instance_count = pb->n_instances,
            .removed = take_removed(dec, pb),
            .removed_count = pb->n_removed,
    };
}

static void encode_heartbeat(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Heartbeat pb = MODEMESH__HEARTBEAT__INIT;

    pb.sent_us = msg->heartbeat.sent_us;
    pb.echo_us = msg->heartbeat.echo_us;
    pack(enc, MSG_HEARTBEAT, &pb.base);
}

static void decode_heartbeat(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Heartbeat *pb = (const Modemesh__Heartbeat *)base;

    (void)dec;
    ret_msg->heartbeat = (struct msg_heartbeat){.sent_us = pb->sent_us, .echo_us = pb->echo_us};
}

static void encode_start(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Start pb = MODEMESH__START__INIT;

    pb.stream = msg->start.stream;
    pb.request_id = put_text(enc, TEXT_REQUEST_ID, "request_id", msg->start.request_id);
    pb.model = put_text(enc, TEXT_MODEL_NAME, "model", msg->start.model);
    pb.kind = (Modemesh__RequestKind)msg->start.kind;
    pb.window = msg->start.window;
    pb.body_bytes = msg->start.body_bytes;
    pack(enc, MSG_START, &pb.base);
}

/* All kinds that are not known here are one. */
static enum request_kind take_request_kind(Modemesh__RequestKind kind)
{
    return (unsigned)kind < REQUEST_KIND_COUNT ? (enum request_kind)kind : REQUEST_KIND_COUNT;
}

static void decode_start(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Start *pb = (const Modemesh__Start *)base;

    ret_msg->start = (struct msg_start){
            .stream = pb->stream,
            .request_id = take_text(dec, TEXT_REQUEST_ID, "request_id", &pb->request_id),
            .model = take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .kind = take_request_kind(pb->kind),
            .window = pb->window,
            .body_bytes = pb->body_bytes,
    };
}

static void encode_body(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Body pb = MODEMESH__BODY__INIT;

    pb.stream = msg->body.stream;
    pb.data = borrow(msg->body.data, msg->body.len);
    pb.last = msg->body.last;
    pack(enc, MSG_BODY, &pb.base);
}

static void decode_body(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Body *pb = (const Modemesh__Body *)base;

    (void)dec;
    ret_msg->body = (struct msg_body){
            .stream = pb->stream,
            .data = pb->data.data,
            .len = pb->data.len,
            .last = pb->last,
    };
}

static void encode_credit(const struct msg *msg, struct encoder *enc)
{
    const struct msg_credit *credit = &msg->credit;
    Modemesh__Credit pb = MODEMESH__CREDIT__INIT;
    Modemesh__Grant *entries =
            scratch_alloc(enc, credit->count * (sizeof *entries + sizeof *pb.grants));

    if (!entries)
        return;
    pb.grants = (Modemesh__Grant **)(void *)(entries + credit->count);
    pb.n_grants = credit->count;
    for (size_t i = 0; i < credit->count; i++) {
        modemesh__grant__init(&entries[i]);
        entries[i].stream = credit->grants[i].stream;
        entries[i].bytes = credit->grants[i].bytes;
        pb.grants[i] = &entries[i];
    }
    pack(enc, MSG_CREDIT, &pb.base);
}

static void decode_credit(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Credit *pb = (const Modemesh__Credit *)base;
    struct msg_grant *grants =
            take_array(dec, "grants", pb->n_grants, MSG_CREDITS_MAX, sizeof *grants);

    for (size_t i = 0; grants && i < pb->n_grants; i++)
        grants[i] = (struct msg_grant){pb->grants[i]->stream, pb->grants[i]->bytes};
    ret_msg->credit = (struct msg_credit){.grants = grants, .count = pb->n_grants};
}

static void encode_cancel(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Cancel pb = MODEMESH__CANCEL__INIT;

    pb.stream = msg->cancel.stream;
    pack(enc, MSG_CANCEL, &pb.base);
}

static void decode_cancel(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->cancel.stream = ((const Modemesh__Cancel *)base)->stream;
}

struct delta_slot {
    Modemesh__Delta delta;
    Modemesh__Usage usage; /* set for DELTA_USAGE only */
};

static void put_usage(const struct msg_usage *usage, Modemesh__Usage *ret_pb)
{
    modemesh__usage__init(ret_pb);
    ret_pb->prompt_tokens = usage->prompt_tokens;
    ret_pb->cached_tokens = usage->cached_tokens;
    ret_pb->completion_tokens = usage->completion_tokens;
    ret_pb->prefill_ms = usage->prefill_ms;
    ret_pb->decode_ms = usage->decode_ms;
}

static void put_delta(const struct msg_delta *delta, struct delta_slot *ret_slot)
{
    Modemesh__Delta *pb = &ret_slot->delta;

    modemesh__delta__init(pb);
    pb->stream = delta->stream;
    pb->kind = (Modemesh__DeltaKind)delta->kind;
    pb->choice = delta->choice;
    pb->more = delta->more;
    pb->data = borrow(delta->data, delta->len);
    if (delta->kind == DELTA_USAGE) {
        put_usage(&delta->usage, &ret_slot->usage);
        pb->usage = &ret_slot->usage;
    }
}

static void encode_deltas(const struct msg *msg, struct encoder *enc)
{
    const struct msg_deltas *deltas = &msg->deltas;
    Modemesh__Deltas pb = MODEMESH__DELTAS__INIT;
    struct delta_slot few_slots[DELTAS_ON_STACK], *slots = few_slots;
    Modemesh__Delta *few[DELTAS_ON_STACK];

    pb.deltas = few;
    pb.n_deltas = deltas->count;
    if (deltas->count > DELTAS_ON_STACK) {
        slots = scratch_alloc(enc, deltas->count * (sizeof *slots + sizeof *pb.deltas));
        if (!slots)
            return;
        pb.deltas = (Modemesh__Delta **)(void *)(slots + deltas->count);
    }
    for (size_t i = 0; i < deltas->count; i++) {
        put_delta(&deltas->deltas[i], &slots[i]);
        pb.deltas[i] = &slots[i].delta;
    }
    pack(enc, MSG_DELTAS, &pb.base);
}

static struct msg_usage take_usage(struct decoder *dec, const Modemesh__Usage *pb)
{
    if (!pb) {
        dec->rc = err_set(dec->err, -EPROTO, "usage: is missing");
        return (struct msg_usage){0};
    }
    return (struct msg_usage){
            .prompt_tokens = pb->prompt_tokens,
            .cached_tokens = pb->cached_tokens,
            .completion_tokens = pb->completion_tokens,
            .prefill_ms = pb->prefill_ms,
            .decode_ms = pb->decode_ms,
    };
}

static void take_delta(struct decoder *dec, const Modemesh__Delta *pb, struct msg_delta *ret_delta)
{
    ret_delta->stream = pb->stream;
    ret_delta->kind = (enum delta_kind)pb->kind;
    ret_delta->choice = pb->choice;
    ret_delta->more = pb->more;
    ret_delta->data = (const char *)pb->data.data;
    ret_delta->len = pb->data.len;
    if (ret_delta->kind == DELTA_USAGE)
        ret_delta->usage = take_usage(dec, pb->usage);
}

static void decode_deltas(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Deltas *pb = (const Modemesh__Deltas *)base;
    struct msg_delta *deltas =
            take_array(dec, "deltas", pb->n_deltas, MSG_DELTAS_MAX, sizeof *deltas);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_deltas; i++) {
        take_delta(dec, pb->deltas[i], &deltas[i]);
        if (dec->rc < 0)
            err_prefix(dec->err, dec->rc, "deltas[%zu]", i);
    }
    ret_msg->deltas = (struct msg_deltas){.deltas = deltas, .count = pb->n_deltas};
}

static void encode_end(const struct msg *msg, struct encoder *enc)
{
    Modemesh__End pb = MODEMESH__END__INIT;

    pb.stream = msg->end.stream;
    pack(enc, MSG_END, &pb.base);
}

static void decode_end(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->end.stream = ((const Modemesh__End *)base)->stream;
}

static void encode_fail(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Fail pb = MODEMESH__FAIL__INIT;

    pb.stream = msg->fail.stream;
    pb.code = (Modemesh__FailCode)msg->fail.code;
    pb.http_status = msg->fail.http_status;
    pb.message = put_sentence(enc, msg->fail.message);
    pack(enc, MSG_FAIL, &pb.base);
}

static void decode_fail(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Fail *pb = (const Modemesh__Fail *)base;

    ret_msg->fail = (struct msg_fail){
            .stream = pb->stream,
            .code = (enum fail_code)pb->code,
            .http_status = pb->http_status,
            .message = take_text(dec, TEXT_SENTENCE, "message", &pb->message),
    };
}

static void encode_unsupported(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Unsupported pb = MODEMESH__UNSUPPORTED__INIT;

    pb.type = msg->unsupported.type;
    pack(enc, MSG_UNSUPPORTED, &pb.base);
}

static void decode_unsupported(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->unsupported.type = ((const Modemesh__Unsupported *)base)->type;
}

static void encode_join(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Join pb = MODEMESH__JOIN__INIT;

    pb.name = put_text(enc, TEXT_NODE_NAME, "name", msg->join.name);
    pb.software = put_text(enc, TEXT_LABEL, "software", msg->join.software);
    pb.version_min = msg->join.version_min;
    pb.version_max = msg->join.version_max;
    pb.key = put_bytes(&msg->join.key);
    pack(enc, MSG_JOIN, &pb.base);
}

static void decode_join(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Join *pb = (const Modemesh__Join *)base;

    ret_msg->join = (struct msg_join){
            .name = take_text(dec, TEXT_NODE_NAME, "name", &pb->name),
            .software = take_text(dec, TEXT_LABEL, "software", &pb->software),
            .version_min = pb->version_min,
            .version_max = pb->version_max,
            .key = take_bytes(&pb->key),
    };
}

static void encode_joined(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Joined pb = MODEMESH__JOINED__INIT;

    pb.mesh = put_bytes(&msg->joined.mesh);
    pb.certificate = put_bytes(&msg->joined.certificate);
    pb.n_coordinators = msg->joined.coordinator_count;
    pb.coordinators = put_bytes_list(enc, msg->joined.coordinators, pb.n_coordinators);
    pack(enc, MSG_JOINED, &pb.base);
}

static void decode_joined(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Joined *pb = (const Modemesh__Joined *)base;

    ret_msg->joined = (struct msg_joined){
            .mesh = take_bytes(&pb->mesh),
            .certificate = take_bytes(&pb->certificate),
            .coordinators = take_bytes_list(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

static void encode_certificate(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Certificate pb = MODEMESH__CERTIFICATE__INIT;

    pb.certificate = put_bytes(&msg->certificate.certificate);
    pb.n_coordinators = msg->certificate.coordinator_count;
    pb.coordinators = put_bytes_list(enc, msg->certificate.coordinators, pb.n_coordinators);
    pack(enc, MSG_CERTIFICATE, &pb.base);
}

static void decode_certificate(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Certificate *pb = (const Modemesh__Certificate *)base;

    ret_msg->certificate = (struct msg_certificate){
            .certificate = take_bytes(&pb->certificate),
            .coordinators = take_bytes_list(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

static void encode_refuse(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Refuse pb = MODEMESH__REFUSE__INIT;

    pb.code = (Modemesh__RefuseCode)msg->refuse.code;
    pb.message = put_sentence(enc, msg->refuse.message);
    pack(enc, MSG_REFUSE, &pb.base);
}

static void decode_refuse(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Refuse *pb = (const Modemesh__Refuse *)base;

    ret_msg->refuse = (struct msg_refuse){
            .code = (enum refuse_code)pb->code,
            .message = take_text(dec, TEXT_SENTENCE, "message", &pb->message),
    };
}

static void encode_tunnel_open(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelOpen pb = MODEMESH__TUNNEL_OPEN__INIT;

    pb.tunnel = msg->tunnel_open.tunnel;
    pb.window = msg->tunnel_open.window;
    pack(enc, MSG_TUNNEL_OPEN, &pb.base);
}

static void decode_tunnel_open(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelOpen *pb = (const Modemesh__TunnelOpen *)base;

    (void)dec;
    ret_msg->tunnel_open = (struct msg_tunnel_open){.tunnel = pb->tunnel, .window = pb->window};
}

static void encode_tunnel_data(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelData pb = MODEMESH__TUNNEL_DATA__INIT;

    pb.tunnel = msg->tunnel_data.tunnel;
    pb.data = borrow(msg->tunnel_data.data, msg->tunnel_data.len);
    pack(enc, MSG_TUNNEL_DATA, &pb.base);
}

static void decode_tunnel_data(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelData *pb = (const Modemesh__TunnelData *)base;

    (void)dec;
    ret_msg->tunnel_data = (struct msg_tunnel_data){
            .tunnel = pb->tunnel, .data = pb->data.data, .len = pb->data.len};
}

static void encode_tunnel_credit(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelCredit pb = MODEMESH__TUNNEL_CREDIT__INIT;

    pb.tunnel = msg->tunnel_credit.tunnel;
    pb.bytes = msg->tunnel_credit.bytes;
    pack(enc, MSG_TUNNEL_CREDIT, &pb.base);
}

static void decode_tunnel_credit(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelCredit *pb = (const Modemesh__TunnelCredit *)base;

    (void)dec;
    ret_msg->tunnel_credit = (struct msg_tunnel_credit){.tunnel = pb->tunnel, .bytes = pb->bytes};
}

static void encode_tunnel_close(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelClose pb = MODEMESH__TUNNEL_CLOSE__INIT;

    pb.tunnel = msg->tunnel_close.tunnel;
    pack(enc, MSG_TUNNEL_CLOSE, &pb.base);
}

static void decode_tunnel_close(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->tunnel_close.tunnel = ((const Modemesh__TunnelClose *)base)->tunnel;
}

static const struct codec {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    void (*encode)(const struct msg *msg, struct encoder *enc);
    void (*decode)(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg);
} codecs[] = {
        [MSG_HELLO] = {"hello", &modemesh__hello__descriptor, encode_hello, decode_hello},
        [MSG_WELCOME] = {"welcome", &modemesh__welcome__descriptor, encode_welcome, decode_welcome},
        [MSG_STATE] = {"state", &modemesh__state__descriptor, encode_state, decode_state},
        [MSG_HEARTBEAT] = {"heartbeat", &modemesh__heartbeat__descriptor, encode_heartbeat,
                decode_heartbeat},
        [MSG_START] = {"start", &modemesh__start__descriptor, encode_start, decode_start},
        [MSG_BODY] = {"body", &modemesh__body__descriptor, encode_body, decode_body},
        [MSG_CREDIT] = {"credit", &modemesh__credit__descriptor, encode_credit, decode_credit},
        [MSG_CANCEL] = {"cancel", &modemesh__cancel__descriptor, encode_cancel, decode_cancel},
        [MSG_DELTAS] = {"deltas", &modemesh__deltas__descriptor, encode_deltas, decode_deltas},
        [MSG_END] = {"end", &modemesh__end__descriptor, encode_end, decode_end},
        [MSG_FAIL] = {"fail", &modemesh__fail__descriptor, encode_fail, decode_fail},
        [MSG_UNSUPPORTED] = {"unsupported", &modemesh__unsupported__descriptor, encode_unsupported,
                decode_unsupported},
        [MSG_JOIN] = {"join", &modemesh__join__descriptor, encode_join, decode_join},
        [MSG_JOINED] = {"joined", &modemesh__joined__descriptor, encode_joined, decode_joined},
        [MSG_CERTIFICATE] = {"certificate", &modemesh__certificate__descriptor, encode_certificate,
                decode_certificate},
        [MSG_REFUSE] = {"refuse", &modemesh__refuse__descriptor, encode_refuse, decode_refuse},
        [MSG_TUNNEL_OPEN] = {"tunnel_open", &modemesh__tunnel_open__descriptor, encode_tunnel_open,
                decode_tunnel_open},
        [MSG_TUNNEL_DATA] = {"tunnel_data", &modemesh__tunnel_data__descriptor, encode_tunnel_data,
                decode_tunnel_data},
        [MSG_TUNNEL_CREDIT] = {"tunnel_credit", &modemesh__tunnel_credit__descriptor,
                encode_tunnel_credit, decode_tunnel_credit},
        [MSG_TUNNEL_CLOSE] = {"tunnel_close", &modemesh__tunnel_close__descriptor,
                encode_tunnel_close, decode_tunnel_close},
};

static const struct codec *find_codec(unsigned type)
{
    return type < ARRAY_SIZE(codecs) && codecs[type].name ? &codecs[type] : NULL;
}

const char *msg_type_name(unsigned type)
{
    const struct codec *codec = find_codec(type);

    return codec ? codec->name : "unknown";
}

int codec_encode(const struct msg *msg, struct buf *out, struct err *err)
{
    const struct codec *codec = find_codec(msg->type);
    struct encoder enc = {.out = out, .err = err};

    assert(codec);
    arena_init(&enc.scratch, ENCODE_SCRATCH_BYTES);
    enc.rc = rules_check(msg, err);
    if (enc.rc == 0)
        codec->encode(msg, &enc);
    arena_fini(&enc.scratch);
    return enc.rc < 0 ? err_prefix(err, enc.rc, "%s", codec->name) : 0;
}

int codec_send(
        const struct transport *transport, const void *peer, const struct msg *msg, struct err *err)
{
    struct buf frame;
    int rc;

    buf_init(&frame, FRAME_MAX);
    rc = codec_encode(msg, &frame, err);
    if (rc == 0)
        rc = transport_send(transport, peer, buf_at(&frame), frame.len);
    if (rc < 0 && frame.len > 0)
        err_set(err, rc, "the link does not take a message: %s", strerror(-rc));
    buf_fini(&frame);
    return rc;
}

static int parse_frame(const void *data, size_t len, struct frame *ret_frame, struct err *err)
{
    int rc = frame_parse(data, len, ret_frame);

    switch (rc) {
    case -EBADMSG:
        return err_set(err, rc, "%zu bytes that are no message of this link", len);
    case -EPROTONOSUPPORT:
        return err_set(err, rc, "version %u of the link is not spoken here, only %d to %d",
                ((const uint8_t *)data)[1], FRAME_VERSION_MIN, FRAME_VERSION + 1);
    case -EMSGSIZE:
        return err_set(err, rc, "message of %zu bytes, at most %d are allowed", len, FRAME_MAX);
    default:
        return rc;
    }
}

static void decode_frame(const struct codec *codec, const struct frame *frame, struct decoder *dec,
        struct msg *ret_msg)
{
    ProtobufCMessage *pb = unpack(dec, codec->descriptor, frame);

    if (pb)
        codec->decode(pb, dec, ret_msg);
    if (dec->rc == 0)
        dec->rc = rules_check(ret_msg, dec->err);
    if (dec->rc == -EINVAL)
        dec->rc = -EPROTO;
}

int codec_decode(
        const void *data, size_t len, struct arena *arena, struct msg *ret_msg, struct err *err)
{
    struct decoder dec = {.arena = arena, .err = err};
    const struct codec *codec;
    struct frame frame;
    struct msg msg;
    int rc = parse_frame(data, len, &frame, err);

    if (rc < 0)
        return rc;
    msg = (struct msg){.type = frame.type};
    codec = find_codec(frame.type);
    if (!codec) {
        ret_msg->type = frame.type;
        return err_set(err, -EOPNOTSUPP, "message type %u is not known here", frame.type);
    }
    decode_frame(codec, &frame, &dec, &msg);
    if (dec.rc < 0)
        return err_prefix(err, dec.rc, "%s", codec->name);
    *ret_msg = msg;
    return 0;
}
