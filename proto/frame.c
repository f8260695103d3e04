#include "proto/frame.h"

#include <errno.h>

int frame_parse(const void *data, size_t len, struct frame *ret_frame)
{
    const uint8_t *bytes = data;

    if (len < FRAME_HEADER_BYTES || bytes[0] != FRAME_MAGIC)
        return -EBADMSG;
    if (bytes[1] < FRAME_VERSION_MIN || bytes[1] > FRAME_VERSION + 1)
        return -EPROTONOSUPPORT;
    if (len > FRAME_MAX)
        return -EMSGSIZE;
    *ret_frame = (struct frame){
            .version = bytes[1],
            .type = bytes[2],
            .flags = bytes[3],
            .body = bytes + FRAME_HEADER_BYTES,
            .body_len = len - FRAME_HEADER_BYTES,
    };
    return 0;
}

void frame_header(uint8_t type, uint8_t ret_header[FRAME_HEADER_BYTES])
{
    ret_header[0] = FRAME_MAGIC;
    ret_header[1] = FRAME_VERSION;
    ret_header[2] = type;
    ret_header[3] = 0;
}
