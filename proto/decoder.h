/* What the codec's files take a message apart with, the other way round of encoder.h and as
 * private. All that is taken lies in the caller's arena. The first failure sticks in `rc`. */
#pragma once

#include "common/arena.h"
#include "common/err.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "proto/rules.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct decoder { /* one message on its way in */
    struct arena *arena;
    struct err *err;
    int rc;
};

/* The frame's body, in the arena; NULL where it is not protobuf or does not fit there. */
ProtobufCMessage *decoder_unpack(struct decoder *dec, const ProtobufCMessageDescriptor *descriptor,
        const struct frame *frame);

/* "" where it breaks its rule. */
const char *decoder_take_text(struct decoder *dec, enum text_rule rule, const char *field,
        const ProtobufCBinaryData *bytes);
/* They lie in the arena already. */
struct msg_bytes decoder_take_bytes(const ProtobufCBinaryData *pb);
/* A zeroed array for `count` entries, NULL where there are none, too many, or no memory is left. */
void *decoder_take_array(
        struct decoder *dec, const char *field, size_t count, size_t max, size_t entry_bytes);
