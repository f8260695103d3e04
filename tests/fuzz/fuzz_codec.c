/* codec_decode() on any bytes. What it takes can be sent again in no more bytes and means the same
 * after it: the second and the third writing of a message are equal byte for byte. Too small an
 * arena says so. */
#include "proto/codec.h"
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(
        const void *data, size_t size, size_t limit_bytes, struct arena *arena, struct msg *ret_msg)
{
    struct err err;

    arena_init(arena, limit_bytes);
    return codec_decode(data, size, arena, ret_msg, &err);
}

/* Writes `msg` to `out`, reads it back into `arena` and returns what was read. */
static struct msg rewrite(const struct msg *msg, struct buf *out, struct arena *arena)
{
    struct msg again;
    struct err err;
    int rc = codec_encode(msg, out, &err);

    assert(rc == 0);
    rc = decode(buf_at(out), out->len, MSG_ARENA_BYTES, arena, &again);
    assert(rc == 0 && again.type == msg->type);
    return again;
}

static void check_same_after_rewrite(const struct msg *msg, size_t size)
{
    struct arena arena_1, arena_2;
    struct buf first, second;
    struct msg again;

    buf_init(&first, FRAME_MAX);
    buf_init(&second, FRAME_MAX);
    again = rewrite(msg, &first, &arena_1);
    (void)rewrite(&again, &second, &arena_2);
    assert(first.len <= size);
    assert(first.len == second.len && memcmp(buf_at(&first), buf_at(&second), first.len) == 0);
    arena_fini(&arena_1);
    arena_fini(&arena_2);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct msg msg = {0};
    int rc = decode(data, size, MSG_ARENA_BYTES, &arena, &msg), rc_small;

    if (rc == 0)
        check_same_after_rewrite(&msg, size);
    else if (rc == -EOPNOTSUPP)
        assert((unsigned)msg.type == data[2]);
    else
        assert(rc == -EBADMSG || rc == -EPROTONOSUPPORT || rc == -EMSGSIZE || rc == -EPROTO ||
                rc == -ENOMEM);
    arena_fini(&arena);

    rc_small = decode(data, size, size * 2, &arena, &msg);
    assert(rc_small == rc || rc_small == -ENOMEM);
    arena_fini(&arena);
    return 0;
}
