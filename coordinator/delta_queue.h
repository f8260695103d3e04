/* Deltas of one stream between the node that brought them and the client that has not taken them
 * yet. Compact: data and a few bytes each. Its bound is the stream's credit window, so it needs
 * none of its own but for a value that comes in pieces (`more`), which is put together here. */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DELTA_QUEUE_MAX = 1024 * 1024 }; /* bytes held, overhead included */

struct delta_queue {
    struct buf waiting;
    struct buf value; /* the value being put together, then the one given out */
    bool partial;     /* `value` lacks its last piece … */
    uint8_t kind;     /* … which is of this kind and choice */
    uint32_t choice;
};

void delta_queue_init(struct delta_queue *queue);
void delta_queue_fini(struct delta_queue *queue);
void delta_queue_clear(struct delta_queue *queue);
bool delta_queue_empty(const struct delta_queue *queue);
/* True while pieces were taken out of a value that is not whole. */
bool delta_queue_partial(const struct delta_queue *queue);

/* Copies. -ENOBUFS, -ENOMEM. */
MUST_CHECK int delta_queue_put(struct delta_queue *queue, const struct msg_delta *delta);

/* Takes the oldest value out and adds the credit of its pieces to `*ret_cost`. 1 with `*ret_delta`
 * where a whole value is there (data borrowed until the next call); 0 where the queue is empty or
 * the value still lacks pieces; -EPROTO where pieces of different values mix, -ENOBUFS where a
 * value grows past DELTA_QUEUE_MAX, -ENOMEM. */
MUST_CHECK int delta_queue_take(
        struct delta_queue *queue, struct msg_delta *ret_delta, uint32_t *ret_cost);
