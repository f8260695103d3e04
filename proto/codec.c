#include "proto/codec.h"

#include "proto/codec_parts.h"
#include "proto/frame.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    ENCODE_SCRATCH_BYTES = 2 * 1024 * 1024, /* every message within its limits needs less */
};

const char *codec_word(const char *const *words, size_t count, unsigned value)
{
    return value < count ? words[value] : "unknown";
}

static const struct codec *const codecs[] = {
        [MSG_HELLO] = &codec_hello,
        [MSG_WELCOME] = &codec_welcome,
        [MSG_STATE] = &codec_state,
        [MSG_HEARTBEAT] = &codec_heartbeat,
        [MSG_START] = &codec_start,
        [MSG_BODY] = &codec_body,
        [MSG_CREDIT] = &codec_credit,
        [MSG_CANCEL] = &codec_cancel,
        [MSG_DELTAS] = &codec_deltas,
        [MSG_END] = &codec_end,
        [MSG_FAIL] = &codec_fail,
        [MSG_UNSUPPORTED] = &codec_unsupported,
        [MSG_JOIN] = &codec_join,
        [MSG_JOINED] = &codec_joined,
        [MSG_CERTIFICATE] = &codec_certificate,
        [MSG_REFUSE] = &codec_refuse,
        [MSG_TUNNEL_OPEN] = &codec_tunnel_open,
        [MSG_TUNNEL_DATA] = &codec_tunnel_data,
        [MSG_TUNNEL_CREDIT] = &codec_tunnel_credit,
        [MSG_TUNNEL_CLOSE] = &codec_tunnel_close,
        [MSG_LOAD] = &codec_load,
        [MSG_UNLOAD] = &codec_unload,
        [MSG_PIN] = &codec_pin,
        [MSG_DRAIN] = &codec_drain,
        [MSG_PROGRESS] = &codec_progress,
        [MSG_DONE] = &codec_done,
};

static const struct codec *find_codec(unsigned type)
{
    return type < ARRAY_SIZE(codecs) ? codecs[type] : NULL;
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
    ProtobufCMessage *pb = decoder_unpack(dec, codec->descriptor, frame);

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
