/* Orders, and what a node answers to them. */
#include "proto/codec_parts.h"
#include "proto/mesh.pb-c.h"

_Static_assert((int)MODEMESH__ORDER_WAY__ORDER_SWAP == ORDER_WAY_SWAP, "same numbers");

const char *order_way_name(enum order_way way)
{
    static const char *const names[ORDER_WAY_COUNT] = {
            [ORDER_WAY_NONE] = "none",
            [ORDER_WAY_THERE] = "there",
            [ORDER_WAY_BESIDE] = "beside",
            [ORDER_WAY_SWAP] = "swap",
    };

    return codec_word(names, ARRAY_SIZE(names), way);
}

static void encode_load(const struct msg *msg, struct encoder *enc)
{
    const struct msg_load *load = &msg->load;
    Modemesh__Load pb = MODEMESH__LOAD__INIT;

    pb.order = load->order;
    pb.model = encoder_put_text(enc, TEXT_MODEL_NAME, "model", load->model);
    pb.replaces = encoder_put_text(enc, TEXT_MODEL_OR_NONE, "replaces", load->replaces);
    pb.context = load->context;
    pb.slots = load->slots;
    pb.type_k = encoder_put_text(enc, TEXT_LABEL, "type_k", load->type_k);
    pb.type_v = encoder_put_text(enc, TEXT_LABEL, "type_v", load->type_v);
    pb.keep = load->keep;
    pb.rehearse = load->rehearse;
    encoder_pack(enc, MSG_LOAD, &pb.base);
}

static void decode_load(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Load *pb = (const Modemesh__Load *)base;

    ret_msg->load = (struct msg_load){
            .order = pb->order,
            .model = decoder_take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .replaces = decoder_take_text(dec, TEXT_MODEL_OR_NONE, "replaces", &pb->replaces),
            .context = pb->context,
            .slots = pb->slots,
            .type_k = decoder_take_text(dec, TEXT_LABEL, "type_k", &pb->type_k),
            .type_v = decoder_take_text(dec, TEXT_LABEL, "type_v", &pb->type_v),
            .keep = pb->keep,
            .rehearse = pb->rehearse,
    };
}

const struct codec codec_load = {"load", &modemesh__load__descriptor, encode_load, decode_load};

static void encode_unload(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Unload pb = MODEMESH__UNLOAD__INIT;

    pb.order = msg->unload.order;
    pb.model = encoder_put_text(enc, TEXT_MODEL_NAME, "model", msg->unload.model);
    encoder_pack(enc, MSG_UNLOAD, &pb.base);
}

static void decode_unload(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Unload *pb = (const Modemesh__Unload *)base;

    ret_msg->unload = (struct msg_unload){
            .order = pb->order,
            .model = decoder_take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
    };
}

const struct codec codec_unload = {
        "unload", &modemesh__unload__descriptor, encode_unload, decode_unload};

static void encode_pin(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Pin pb = MODEMESH__PIN__INIT;

    pb.order = msg->pin.order;
    pb.model = encoder_put_text(enc, TEXT_MODEL_NAME, "model", msg->pin.model);
    pb.pinned = msg->pin.pinned;
    encoder_pack(enc, MSG_PIN, &pb.base);
}

static void decode_pin(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Pin *pb = (const Modemesh__Pin *)base;

    ret_msg->pin = (struct msg_pin){
            .order = pb->order,
            .model = decoder_take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .pinned = pb->pinned,
    };
}

const struct codec codec_pin = {"pin", &modemesh__pin__descriptor, encode_pin, decode_pin};

static void encode_drain(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Drain pb = MODEMESH__DRAIN__INIT;

    pb.order = msg->drain.order;
    pb.draining = msg->drain.draining;
    encoder_pack(enc, MSG_DRAIN, &pb.base);
}

static void decode_drain(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Drain *pb = (const Modemesh__Drain *)base;

    (void)dec;
    ret_msg->drain = (struct msg_drain){.order = pb->order, .draining = pb->draining};
}

const struct codec codec_drain = {
        "drain", &modemesh__drain__descriptor, encode_drain, decode_drain};

static void encode_progress(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Progress pb = MODEMESH__PROGRESS__INIT;

    pb.order = msg->progress.order;
    pb.text = encoder_put_sentence(enc, msg->progress.text);
    encoder_pack(enc, MSG_PROGRESS, &pb.base);
}

static void decode_progress(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Progress *pb = (const Modemesh__Progress *)base;

    ret_msg->progress = (struct msg_progress){
            .order = pb->order,
            .text = decoder_take_text(dec, TEXT_SENTENCE, "text", &pb->text),
    };
}

const struct codec codec_progress = {
        "progress", &modemesh__progress__descriptor, encode_progress, decode_progress};

static void encode_done(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Done pb = MODEMESH__DONE__INIT;

    pb.order = msg->done.order;
    pb.ok = msg->done.ok;
    pb.code = (Modemesh__FailCode)msg->done.code;
    pb.way = (Modemesh__OrderWay)msg->done.way;
    pb.message = encoder_put_sentence(enc, msg->done.message);
    encoder_pack(enc, MSG_DONE, &pb.base);
}

static void decode_done(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Done *pb = (const Modemesh__Done *)base;

    ret_msg->done = (struct msg_done){
            .order = pb->order,
            .ok = pb->ok,
            .code = (enum fail_code)pb->code,
            .way = (enum order_way)pb->way,
            .message = decoder_take_text(dec, TEXT_SENTENCE, "message", &pb->message),
    };
}

const struct codec codec_done = {"done", &modemesh__done__descriptor, encode_done, decode_done};
