/* Frames for one node that wait for its link, in three lanes: control (CANCEL, CREDIT, HEARTBEAT,
 * WELCOME) overtakes data (START, BODY), and data what goes through tunnels. Bounded in bytes. A
 * data frame carries its stream's id, so that what belongs to a stream that was cancelled in the
 * meantime is never sent. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outbox_lane { OUTBOX_CONTROL, OUTBOX_DATA, OUTBOX_TUNNEL, OUTBOX_LANES };

struct outbox {
    struct buf lanes[OUTBOX_LANES];
};

void outbox_init(struct outbox *outbox, size_t max_bytes_per_lane);
void outbox_fini(struct outbox *outbox);

/* Of memory that the lane needs: its frames and what stands before each. */
size_t outbox_bytes(const struct outbox *outbox, enum outbox_lane lane);

/* Copies the frame to the end of the lane. -ENOBUFS past the maximum, -ENOMEM. */
MUST_CHECK int outbox_put(struct outbox *outbox, enum outbox_lane lane, uint64_t stream,
        const void *frame, size_t len);

/* The oldest frame of the lane: false where it is empty. Borrowed until the next put or drop. */
bool outbox_peek(const struct outbox *outbox, enum outbox_lane lane, uint64_t *ret_stream,
        const void **ret_frame, size_t *ret_len);
/* Takes it away; nothing where the lane is empty. */
void outbox_drop(struct outbox *outbox, enum outbox_lane lane);
