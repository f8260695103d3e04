/* frame_parse() on any bytes: the body lies inside them, and a good frame survives being written
 * again. */
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[FRAME_HEADER_BYTES];
    struct frame frame;
    int rc = frame_parse(data, size, &frame);

    if (rc < 0) {
        assert(rc == -EBADMSG || rc == -EPROTONOSUPPORT || rc == -EMSGSIZE);
        return 0;
    }
    assert(frame.body == data + FRAME_HEADER_BYTES);
    assert(frame.body_len == size - FRAME_HEADER_BYTES && frame.body_len <= FRAME_BODY_MAX);
    frame_header(frame.type, header);
    assert(header[0] == data[0] && header[2] == data[2]);
    assert(frame.version != FRAME_VERSION || header[1] == data[1]);
    return 0;
}
