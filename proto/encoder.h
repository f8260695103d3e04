/* What the codec's files put a message together with: text that keeps its rule, bytes, and the
 * frame around it all. Private to codec*.c, which with encoder and decoder are the only files that
 * see protobuf-c.
 *
 * The first failure sticks in `rc`; what follows does nothing. All is borrowed until
 * encoder_pack(). */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "proto/codec.h"
#include "proto/rules.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct encoder { /* one message on its way out */
    struct buf *out;
    struct arena scratch;
    struct err *err;
    int rc;
};

/* Zeroed, and freed with the encoder's scratch; NULL where no memory is left. */
void *encoder_alloc(struct encoder *enc, size_t size_bytes);

/* protobuf-c's structs are not const, and its pack functions only read them. */
ProtobufCBinaryData encoder_borrow(const void *data, size_t len);

/* NULL is "". */
ProtobufCBinaryData encoder_put_text(
        struct encoder *enc, enum text_rule rule, const char *field, const char *text);
/* Cut and cleaned where it has to be. */
ProtobufCBinaryData encoder_put_sentence(struct encoder *enc, const char *text);
ProtobufCBinaryData encoder_put_bytes(const struct msg_bytes *bytes);

/* Last: appends the frame's header and `pb` to the output. */
void encoder_pack(struct encoder *enc, enum msg_type type, const ProtobufCMessage *pb);
