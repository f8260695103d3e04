/* The parts that codec.c is made of, a file for each group of messages. Private to codec*.c. */
#pragma once

#include "proto/codec.h"
#include "proto/decoder.h"
#include "proto/encoder.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

struct codec { /* of one type of message */
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    /* Ends with encoder_pack(). All but its text was checked by rules.h. */
    void (*encode)(const struct msg *msg, struct encoder *enc);
    /* All but its text is checked by rules.h afterwards, so that enums may be taken as they are. */
    void (*decode)(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg);
};

extern const struct codec codec_hello, codec_welcome, codec_heartbeat, codec_unsupported,
        codec_join, codec_joined, codec_certificate, codec_refuse;
extern const struct codec codec_state;
extern const struct codec codec_start, codec_body, codec_credit, codec_cancel, codec_deltas,
        codec_end, codec_fail;
extern const struct codec codec_tunnel_open, codec_tunnel_data, codec_tunnel_credit,
        codec_tunnel_close;
extern const struct codec codec_load, codec_unload, codec_pin, codec_drain, codec_progress,
        codec_done;

/* The name of an enum's value; "unknown" past the last. */
const char *codec_word(const char *const *words, size_t count, unsigned value);
