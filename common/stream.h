/* Credit: the one flow rule of the link, in both directions (DESIGN "The link", proto/PROTOCOL.md,
 * "Flow"). The reader of a stream grants a window in bytes; the writer spends it and stops at zero;
 * the reader returns what it *took*, in one go once half the window is taken. A writer that
 * overspends breaks the stream. Pure.
 *
 * struct stream_table: id → stream in O(1) for one session, on either side. An id is
 * epoch << 32 | generation << 16 | index: the coordinator makes ids (stream_table_add), the node
 * follows them (stream_table_put). Ids of another epoch, of a finished stream or out of range are
 * found by nobody. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_WINDOW = 16 * 1024, /* bytes of credit that a stream starts with, either direction */
    STREAM_TABLE_MAX = 4096,   /* streams open at once on one link */
};

struct stream_writer {
    uint64_t credit; /* bytes that may still be sent */
};

struct stream_reader {
    uint32_t window;      /* bytes granted at first */
    uint32_t outstanding; /* granted and not yet received */
    uint32_t taken;       /* taken by the consumer and not yet returned */
};

void stream_writer_init(struct stream_writer *writer, uint32_t window);
/* True where `n` more bytes may go out; false leaves all as it was. */
bool stream_writer_spend(struct stream_writer *writer, uint32_t n)
        __attribute__((warn_unused_result));
/* A CREDIT arrived. -EPROTO where the sum passes UINT32_MAX: the peer is broken or hostile. */
MUST_CHECK int stream_writer_grant(struct stream_writer *writer, uint32_t n);

void stream_reader_init(struct stream_reader *reader, uint32_t window);
/* `n` bytes arrived. -EPROTO where they pass what was granted. */
MUST_CHECK int stream_reader_receive(struct stream_reader *reader, uint32_t n);
/* The consumer took `n` of the received bytes. Returns the credit to send back now: 0, or all that
 * has been taken since the last time once that is at least half the window. */
uint32_t stream_reader_take(struct stream_reader *reader, uint32_t n);

struct stream_table;

/* NULL where malloc refuses. `epoch` is the upper half of every id. */
struct stream_table *stream_table_create(uint32_t epoch);
void stream_table_destroy(struct stream_table *table);
/* Makes an id for `stream` (not NULL, borrowed). -ENFILE at STREAM_TABLE_MAX, -ENOMEM. Freed ids
 * come back with another generation. */
MUST_CHECK int stream_table_add(struct stream_table *table, void *stream, uint64_t *ret_id);
/* Follows an id that the peer made. -EPROTO for another epoch or an index out of range, -EEXIST
 * where the index is in use, -ENOMEM. */
MUST_CHECK int stream_table_put(struct stream_table *table, uint64_t id, void *stream);
/* NULL where no open stream has this very id. */
void *stream_table_get(const struct stream_table *table, uint64_t id);
/* Removing an unknown id does nothing. */
void stream_table_remove(struct stream_table *table, uint64_t id);
size_t stream_table_count(const struct stream_table *table);
/* Calls `fn` for each open stream; `fn` may remove that stream (and no other). */
void stream_table_each(
        struct stream_table *table, void (*fn)(void *ctx, uint64_t id, void *stream), void *ctx);
