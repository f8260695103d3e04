/* The 4-byte header before every message of the link (PROTOCOL.md, "Frame"):
 *   byte 0  magic 0x6d ('m')   byte 1  version   byte 2  type   byte 3  flags (0 in version 1)
 * Pure. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_MAGIC = 0x6d,
    FRAME_VERSION = 1,     /* what we send */
    FRAME_VERSION_MIN = 1, /* oldest that we understand; two versions that differ by one talk */
    FRAME_HEADER_BYTES = 4,
    FRAME_BODY_MAX = 64 * 1024, /* bytes of protobuf behind the header */
    FRAME_MAX = FRAME_HEADER_BYTES + FRAME_BODY_MAX,
};

struct frame {
    uint8_t version, type, flags;
    const void *body; /* borrowed from the message */
    size_t body_len;
};

/* -EBADMSG: too short or wrong magic; -EPROTONOSUPPORT: version outside [FRAME_VERSION_MIN,
 * FRAME_VERSION + 1]; -EMSGSIZE: body past FRAME_BODY_MAX. An unknown type is not this layer's
 * business. */
MUST_CHECK int frame_parse(const void *data, size_t len, struct frame *ret_frame);
/* Writes the header of a message of `type` to `ret_header`. */
void frame_header(uint8_t type, uint8_t ret_header[FRAME_HEADER_BYTES]);
