/* Messages of a tunnel: an editor's connection through a node. */
#include "proto/codec_parts.h"
#include "proto/mesh.pb-c.h"

static void encode_tunnel_open(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelOpen pb = MODEMESH__TUNNEL_OPEN__INIT;

    pb.tunnel = msg->tunnel_open.tunnel;
    pb.window = msg->tunnel_open.window;
    encoder_pack(enc, MSG_TUNNEL_OPEN, &pb.base);
}

static void decode_tunnel_open(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelOpen *pb = (const Modemesh__TunnelOpen *)base;

    (void)dec;
    ret_msg->tunnel_open = (struct msg_tunnel_open){.tunnel = pb->tunnel, .window = pb->window};
}

const struct codec codec_tunnel_open = {
        "tunnel_open", &modemesh__tunnel_open__descriptor, encode_tunnel_open, decode_tunnel_open};

static void encode_tunnel_data(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelData pb = MODEMESH__TUNNEL_DATA__INIT;

    pb.tunnel = msg->tunnel_data.tunnel;
    pb.data = encoder_borrow(msg->tunnel_data.data, msg->tunnel_data.len);
    encoder_pack(enc, MSG_TUNNEL_DATA, &pb.base);
}

static void decode_tunnel_data(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelData *pb = (const Modemesh__TunnelData *)base;

    (void)dec;
    ret_msg->tunnel_data = (struct msg_tunnel_data){
            .tunnel = pb->tunnel, .data = pb->data.data, .len = pb->data.len};
}

const struct codec codec_tunnel_data = {
        "tunnel_data", &modemesh__tunnel_data__descriptor, encode_tunnel_data, decode_tunnel_data};

static void encode_tunnel_credit(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelCredit pb = MODEMESH__TUNNEL_CREDIT__INIT;

    pb.tunnel = msg->tunnel_credit.tunnel;
    pb.bytes = msg->tunnel_credit.bytes;
    encoder_pack(enc, MSG_TUNNEL_CREDIT, &pb.base);
}

static void decode_tunnel_credit(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__TunnelCredit *pb = (const Modemesh__TunnelCredit *)base;

    (void)dec;
    ret_msg->tunnel_credit = (struct msg_tunnel_credit){.tunnel = pb->tunnel, .bytes = pb->bytes};
}

const struct codec codec_tunnel_credit = {"tunnel_credit", &modemesh__tunnel_credit__descriptor,
        encode_tunnel_credit, decode_tunnel_credit};

static void encode_tunnel_close(const struct msg *msg, struct encoder *enc)
{
    Modemesh__TunnelClose pb = MODEMESH__TUNNEL_CLOSE__INIT;

    pb.tunnel = msg->tunnel_close.tunnel;
    encoder_pack(enc, MSG_TUNNEL_CLOSE, &pb.base);
}

static void decode_tunnel_close(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->tunnel_close.tunnel = ((const Modemesh__TunnelClose *)base)->tunnel;
}

const struct codec codec_tunnel_close = {"tunnel_close", &modemesh__tunnel_close__descriptor,
        encode_tunnel_close, decode_tunnel_close};
