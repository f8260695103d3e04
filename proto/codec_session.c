/* Messages of a session as a whole: its beginning, its life, and membership. */
#include "proto/codec_parts.h"
#include "proto/mesh.pb-c.h"

_Static_assert((int)MODEMESH__REFUSE_CODE__REFUSE_VERSION == REFUSE_VERSION, "same numbers");

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

    return codec_word(names, ARRAY_SIZE(names), code);
}

static ProtobufCBinaryData *put_coordinators(
        struct encoder *enc, const struct msg_bytes *list, size_t count)
{
    ProtobufCBinaryData *entries = count > 0 ? encoder_alloc(enc, count * sizeof *entries) : NULL;

    for (size_t i = 0; entries && i < count; i++)
        entries[i] = encoder_put_bytes(&list[i]);
    return entries;
}

static const struct msg_bytes *take_coordinators(
        struct decoder *dec, const ProtobufCBinaryData *pb, size_t count)
{
    struct msg_bytes *list =
            decoder_take_array(dec, "coordinators", count, MSG_CERTIFICATES_MAX, sizeof *list);

    for (size_t i = 0; list && i < count; i++)
        list[i] = decoder_take_bytes(&pb[i]);
    return list;
}

static void encode_hello(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Hello pb = MODEMESH__HELLO__INIT;

    pb.name = encoder_put_text(enc, TEXT_NODE_NAME, "name", msg->hello.name);
    pb.software = encoder_put_text(enc, TEXT_LABEL, "software", msg->hello.software);
    pb.version_min = msg->hello.version_min;
    pb.version_max = msg->hello.version_max;
    pb.certificate = encoder_put_bytes(&msg->hello.certificate);
    encoder_pack(enc, MSG_HELLO, &pb.base);
}

static void decode_hello(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Hello *pb = (const Modemesh__Hello *)base;

    ret_msg->hello = (struct msg_hello){
            .name = decoder_take_text(dec, TEXT_NODE_NAME, "name", &pb->name),
            .software = decoder_take_text(dec, TEXT_LABEL, "software", &pb->software),
            .version_min = pb->version_min,
            .version_max = pb->version_max,
            .certificate = decoder_take_bytes(&pb->certificate),
    };
}

const struct codec codec_hello = {
        "hello", &modemesh__hello__descriptor, encode_hello, decode_hello};

static void encode_welcome(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Welcome pb = MODEMESH__WELCOME__INIT;

    pb.epoch = msg->welcome.epoch;
    pb.version = msg->welcome.version;
    pb.heartbeat_ms = msg->welcome.heartbeat_ms;
    pb.coordinator = encoder_put_text(enc, TEXT_LABEL, "coordinator", msg->welcome.coordinator);
    pb.mesh = encoder_put_bytes(&msg->welcome.mesh);
    pb.certificate = encoder_put_bytes(&msg->welcome.certificate);
    pb.n_coordinators = msg->welcome.coordinator_count;
    pb.coordinators = put_coordinators(enc, msg->welcome.coordinators, pb.n_coordinators);
    encoder_pack(enc, MSG_WELCOME, &pb.base);
}

static void decode_welcome(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Welcome *pb = (const Modemesh__Welcome *)base;

    ret_msg->welcome = (struct msg_welcome){
            .epoch = pb->epoch,
            .version = pb->version,
            .heartbeat_ms = pb->heartbeat_ms,
            .coordinator = decoder_take_text(dec, TEXT_LABEL, "coordinator", &pb->coordinator),
            .mesh = decoder_take_bytes(&pb->mesh),
            .certificate = decoder_take_bytes(&pb->certificate),
            .coordinators = take_coordinators(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

const struct codec codec_welcome = {
        "welcome", &modemesh__welcome__descriptor, encode_welcome, decode_welcome};

static void encode_heartbeat(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Heartbeat pb = MODEMESH__HEARTBEAT__INIT;

    pb.sent_us = msg->heartbeat.sent_us;
    pb.echo_us = msg->heartbeat.echo_us;
    encoder_pack(enc, MSG_HEARTBEAT, &pb.base);
}

static void decode_heartbeat(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Heartbeat *pb = (const Modemesh__Heartbeat *)base;

    (void)dec;
    ret_msg->heartbeat = (struct msg_heartbeat){.sent_us = pb->sent_us, .echo_us = pb->echo_us};
}

const struct codec codec_heartbeat = {
        "heartbeat", &modemesh__heartbeat__descriptor, encode_heartbeat, decode_heartbeat};

static void encode_unsupported(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Unsupported pb = MODEMESH__UNSUPPORTED__INIT;

    pb.type = msg->unsupported.type;
    encoder_pack(enc, MSG_UNSUPPORTED, &pb.base);
}

static void decode_unsupported(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    (void)dec;
    ret_msg->unsupported.type = ((const Modemesh__Unsupported *)base)->type;
}

const struct codec codec_unsupported = {
        "unsupported", &modemesh__unsupported__descriptor, encode_unsupported, decode_unsupported};

static void encode_join(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Join pb = MODEMESH__JOIN__INIT;

    pb.name = encoder_put_text(enc, TEXT_NODE_NAME, "name", msg->join.name);
    pb.software = encoder_put_text(enc, TEXT_LABEL, "software", msg->join.software);
    pb.version_min = msg->join.version_min;
    pb.version_max = msg->join.version_max;
    pb.key = encoder_put_bytes(&msg->join.key);
    encoder_pack(enc, MSG_JOIN, &pb.base);
}

static void decode_join(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Join *pb = (const Modemesh__Join *)base;

    ret_msg->join = (struct msg_join){
            .name = decoder_take_text(dec, TEXT_NODE_NAME, "name", &pb->name),
            .software = decoder_take_text(dec, TEXT_LABEL, "software", &pb->software),
            .version_min = pb->version_min,
            .version_max = pb->version_max,
            .key = decoder_take_bytes(&pb->key),
    };
}

const struct codec codec_join = {"join", &modemesh__join__descriptor, encode_join, decode_join};

static void encode_joined(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Joined pb = MODEMESH__JOINED__INIT;

    pb.mesh = encoder_put_bytes(&msg->joined.mesh);
    pb.certificate = encoder_put_bytes(&msg->joined.certificate);
    pb.n_coordinators = msg->joined.coordinator_count;
    pb.coordinators = put_coordinators(enc, msg->joined.coordinators, pb.n_coordinators);
    encoder_pack(enc, MSG_JOINED, &pb.base);
}

static void decode_joined(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Joined *pb = (const Modemesh__Joined *)base;

    ret_msg->joined = (struct msg_joined){
            .mesh = decoder_take_bytes(&pb->mesh),
            .certificate = decoder_take_bytes(&pb->certificate),
            .coordinators = take_coordinators(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

const struct codec codec_joined = {
        "joined", &modemesh__joined__descriptor, encode_joined, decode_joined};

static void encode_certificate(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Certificate pb = MODEMESH__CERTIFICATE__INIT;

    pb.certificate = encoder_put_bytes(&msg->certificate.certificate);
    pb.n_coordinators = msg->certificate.coordinator_count;
    pb.coordinators = put_coordinators(enc, msg->certificate.coordinators, pb.n_coordinators);
    encoder_pack(enc, MSG_CERTIFICATE, &pb.base);
}

static void decode_certificate(
        const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Certificate *pb = (const Modemesh__Certificate *)base;

    ret_msg->certificate = (struct msg_certificate){
            .certificate = decoder_take_bytes(&pb->certificate),
            .coordinators = take_coordinators(dec, pb->coordinators, pb->n_coordinators),
            .coordinator_count = pb->n_coordinators,
    };
}

const struct codec codec_certificate = {
        "certificate", &modemesh__certificate__descriptor, encode_certificate, decode_certificate};

static void encode_refuse(const struct msg *msg, struct encoder *enc)
{
    Modemesh__Refuse pb = MODEMESH__REFUSE__INIT;

    pb.code = (Modemesh__RefuseCode)msg->refuse.code;
    pb.message = encoder_put_sentence(enc, msg->refuse.message);
    encoder_pack(enc, MSG_REFUSE, &pb.base);
}

static void decode_refuse(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__Refuse *pb = (const Modemesh__Refuse *)base;

    ret_msg->refuse = (struct msg_refuse){
            .code = (enum refuse_code)pb->code,
            .message = decoder_take_text(dec, TEXT_SENTENCE, "message", &pb->message),
    };
}

const struct codec codec_refuse = {
        "refuse", &modemesh__refuse__descriptor, encode_refuse, decode_refuse};
