#include "proto/encoder.h"

#include "common/text.h"
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

void *encoder_alloc(struct encoder *enc, size_t size_bytes)
{
    void *piece = arena_alloc(&enc->scratch, size_bytes);

    if (!piece)
        enc->rc = err_set(enc->err, -ENOMEM, "no memory for %zu bytes", size_bytes);
    return piece;
}

ProtobufCBinaryData encoder_borrow(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
}

ProtobufCBinaryData encoder_put_text(
        struct encoder *enc, enum text_rule rule, const char *field, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (enc->rc == 0)
        enc->rc = rules_text(rule, field, text, len, enc->err);
    return encoder_borrow(text, len);
}

ProtobufCBinaryData encoder_put_sentence(struct encoder *enc, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    char *copy;

    if (rules_text(TEXT_SENTENCE, "", text, len, NULL) == 0)
        return encoder_borrow(text, len);
    len = text_utf8_cut(text, len, MSG_TEXT_MAX);
    copy = encoder_alloc(enc, len);
    if (!copy)
        return encoder_borrow(NULL, 0);
    memcpy(copy, text, len);
    rules_fit_sentence(copy, len);
    return encoder_borrow(copy, len);
}

ProtobufCBinaryData encoder_put_bytes(const struct msg_bytes *bytes)
{
    return encoder_borrow(bytes->data, bytes->len);
}

void encoder_pack(struct encoder *enc, enum msg_type type, const ProtobufCMessage *pb)
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
