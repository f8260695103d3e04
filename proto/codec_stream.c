/* Messages of a stream: a request on its way in, its answer on its way out. */
#include "proto/codec_parts.h"
#include "proto/mesh.pb-c.h"

#include <errno.h>

enum {
    DELTAS_ON_STACK = 64, /* a turn of the loop rarely moves more streams */
};

_Static_assert((int)MODEMESH__REQUEST_KIND__REQUEST_TRANSCRIPTION == REQUEST_TRANSCRIPTION,
        "same numbers");
_Static_assert((int)MODEMESH__DELTA_KIND__DELTA_RESULT == DELTA_RESULT, "same numbers");
_Static_assert(
        (int)MODEMESH__FAIL_CODE__FAIL_CONTEXT_EXCEEDED == FAIL_CONTEXT_EXCEEDED, "same numbers");

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

    return codec_word(names, ARRAY_SIZE(names), kind);
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

    return codec_word(names, ARRAY_SIZE(names), kind);
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

    return codec_word(names, ARRAY_SIZE(names), code);
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

static void encode_start(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Start pb = MODEMESH__START__INIT;

    pb.stream = msg->start.stream;
    pb.request_id = encoder_put_text(enc, TEXT_REQUEST_ID, "request_id", msg->start.request_id);
    pb.model = encoder_put_text(enc, TEXT_MODEL_NAME, "model", msg->start.model);
    pb.kind = (Modemesh__RequestKind)msg->start.kind;
    pb.window = msg->start.window;
    pb.body_bytes = msg->start.body_bytes;
    pb.batch = msg->start.batch;
    pb.session = msg->start.session;
    pb.prompt_tokens = msg->start.prompt_tokens;
    pb.needs = msg->start.needs;
    encoder_pack(enc, MSG_START, &pb.base);
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
            .request_id = decoder_take_text(dec, TEXT_REQUEST_ID, "request_id", &pb->request_id),
            .model = decoder_take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .kind = take_request_kind(pb->kind),
            .window = pb->window,
            .body_bytes = pb->body_bytes,
            .batch = pb->batch,
            .session = pb->session,
            .prompt_tokens = pb->prompt_tokens,
            .needs = pb->needs & CAPABILITY_ALL,
    };
}

const struct codec codec_start = {
        "start", &modemesh__start__descriptor, encode_start, decode_start};

static void encode_body(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Body pb = MODEMESH__BODY__INIT;

    pb.stream = msg->body.stream;
    pb.data = encoder_borrow(msg->body.data, msg->body.len);
    pb.last = msg->body.last;
    encoder_pack(enc, MSG_BODY, &pb.base);
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

const struct codec codec_body = {"body", &modemesh__body__descriptor, encode_body, decode_body};

static void encode_credit(const struct msg *msg, struct encoder *enc)
{
    const struct msg_credit *credit = &msg->credit;
    Modemesh__Credit pb = MODEMESH__CREDIT__INIT;
    Modemesh__Grant *entries =
            encoder_alloc(enc, credit->count * (sizeof *entries + sizeof *pb.grants));

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
    encoder_pack(enc, MSG_CREDIT, &pb.base);
}

static void decode_credit(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Credit *pb = (const Modemesh__Credit *)base;
    struct msg_grant *grants =
            decoder_take_array(dec, "grants", pb->n_grants, MSG_CREDITS_MAX, sizeof *grants);

    for (size_t i = 0; grants && i < pb->n_grants; i++)
        grants[i] = (struct msg_grant){pb->grants[i]->stream, pb->grants[i]->bytes};
    ret_msg->credit = (struct msg_credit){.grants = grants, .count = pb->n_grants};
}

const struct codec codec_credit = {
        "credit", &modemesh__credit__descriptor, encode_credit, decode_credit};

static void encode_cancel(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Cancel pb = MODEMESH__CANCEL__INIT;

    pb.stream = msg->cancel.stream;
    encoder_pack(enc, MSG_CANCEL, &pb.base);
}

static void decode_cancel(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->cancel.stream = ((const Modemesh__Cancel *)base)->stream;
}

const struct codec codec_cancel = {
        "cancel", &modemesh__cancel__descriptor, encode_cancel, decode_cancel};

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
    pb->data = encoder_borrow(delta->data, delta->len);
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
        slots = encoder_alloc(enc, deltas->count * (sizeof *slots + sizeof *pb.deltas));
        if (!slots)
            return;
        pb.deltas = (Modemesh__Delta **)(void *)(slots + deltas->count);
    }
    for (size_t i = 0; i < deltas->count; i++) {
        put_delta(&deltas->deltas[i], &slots[i]);
        pb.deltas[i] = &slots[i].delta;
    }
    encoder_pack(enc, MSG_DELTAS, &pb.base);
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
            decoder_take_array(dec, "deltas", pb->n_deltas, MSG_DELTAS_MAX, sizeof *deltas);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_deltas; i++) {
        take_delta(dec, pb->deltas[i], &deltas[i]);
        if (dec->rc < 0)
            err_prefix(dec->err, dec->rc, "deltas[%zu]", i);
    }
    ret_msg->deltas = (struct msg_deltas){.deltas = deltas, .count = pb->n_deltas};
}

const struct codec codec_deltas = {
        "deltas", &modemesh__deltas__descriptor, encode_deltas, decode_deltas};

static void encode_end(const struct msg *msg, struct encoder *enc)
{
    Modemesh__End pb = MODEMESH__END__INIT;

    pb.stream = msg->end.stream;
    encoder_pack(enc, MSG_END, &pb.base);
}

static void decode_end(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->end.stream = ((const Modemesh__End *)base)->stream;
}

const struct codec codec_end = {"end", &modemesh__end__descriptor, encode_end, decode_end};

static void encode_fail(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Fail pb = MODEMESH__FAIL__INIT;

    pb.stream = msg->fail.stream;
    pb.code = (Modemesh__FailCode)msg->fail.code;
    pb.http_status = msg->fail.http_status;
    pb.message = encoder_put_sentence(enc, msg->fail.message);
    encoder_pack(enc, MSG_FAIL, &pb.base);
}

static void decode_fail(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Fail *pb = (const Modemesh__Fail *)base;

    ret_msg->fail = (struct msg_fail){
            .stream = pb->stream,
            .code = (enum fail_code)pb->code,
            .http_status = pb->http_status,
            .message = decoder_take_text(dec, TEXT_SENTENCE, "message", &pb->message),
    };
}

const struct codec codec_fail = {"fail", &modemesh__fail__descriptor, encode_fail, decode_fail};
