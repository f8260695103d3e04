#include "coordinator/outbox.h"

#include <errno.h>
#include <string.h>

enum { KEPT_BYTES = 64 * 1024 }; /* memory that an empty lane may hold on to */

struct entry { /* stands before each frame in a lane */
    uint64_t stream;
    size_t len;
};

void outbox_init(struct outbox *outbox, size_t max_bytes_per_lane)
{
    for (int lane = 0; lane < OUTBOX_LANES; lane++)
        buf_init(&outbox->lanes[lane], max_bytes_per_lane);
}

void outbox_fini(struct outbox *outbox)
{
    for (int lane = 0; lane < OUTBOX_LANES; lane++)
        buf_fini(&outbox->lanes[lane]);
}

size_t outbox_bytes(const struct outbox *outbox, enum outbox_lane lane)
{
    return outbox->lanes[lane].len;
}

int outbox_put(struct outbox *outbox, enum outbox_lane lane, uint64_t stream, const void *frame,
        size_t len)
{
    struct entry entry = {.stream = stream, .len = len};
    void *room;
    int r = buf_reserve(&outbox->lanes[lane], sizeof(entry) + len, &room);
    if (r)
        return r;
    memcpy(room, &entry, sizeof(entry));
    memcpy((char *)room + sizeof(entry), frame, len);
    buf_commit(&outbox->lanes[lane], sizeof(entry) + len);
    return 0;
}

static bool first_entry(const struct outbox *outbox, enum outbox_lane lane, struct entry *ret_entry)
{
    if (outbox->lanes[lane].len == 0)
        return false;
    memcpy(ret_entry, buf_at(&outbox->lanes[lane]), sizeof(*ret_entry));
    return true;
}

bool outbox_peek(const struct outbox *outbox, enum outbox_lane lane, uint64_t *ret_stream,
        const void **ret_frame, size_t *ret_len)
{
    struct entry entry;
    if (!first_entry(outbox, lane, &entry))
        return false;
    *ret_stream = entry.stream;
    *ret_frame = buf_at(&outbox->lanes[lane]) + sizeof(entry);
    *ret_len = entry.len;
    return true;
}

void outbox_drop(struct outbox *outbox, enum outbox_lane lane)
{
    struct entry entry;
    struct buf *frames = &outbox->lanes[lane];
    if (!first_entry(outbox, lane, &entry))
        return;
    buf_consume(frames, sizeof(entry) + entry.len);
    if (frames->len == 0 && frames->cap > KEPT_BYTES)
        buf_fini(frames);
}
