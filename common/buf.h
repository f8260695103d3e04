/* Bytes going out and bytes coming in, with every length checked.
 *
 * struct buf: a growable byte queue with a named maximum. Append at the back, consume at the front.
 * The caller owns the struct; buf_fini() frees. A failed append changes nothing. struct reader: a
 * cursor over borrowed bytes. Each read is must-check; a failed read changes nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct buf {
    char *data; /* base of the allocation; bytes live in [start, start + len) */
    size_t start, len, cap, max;
};

/* At most `max` bytes are held at once. Nothing is allocated before the first append. */
void buf_init(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);

/* First byte held; valid until the next append. */
const char *buf_at(const struct buf *buf);

/* -ENOBUFS where the maximum would be passed, -ENOMEM where malloc refuses. */
MUST_CHECK int buf_append(struct buf *buf, const void *data, size_t len);
MUST_CHECK int buf_append_str(struct buf *buf, const char *text);
MUST_CHECK int buf_appendf(struct buf *buf, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
/* Appends one NUL byte that is not counted in `len`, so that buf_at() is a C string. */
MUST_CHECK int buf_terminate(struct buf *buf);
/* Room for `len` bytes behind the held ones: writes the address to `*ret_room`; the caller fills it
 * and then calls buf_commit(). */
MUST_CHECK int buf_reserve(struct buf *buf, size_t len, void **ret_room);
void buf_commit(struct buf *buf, size_t len);

/* Drops `len` bytes (at most those held) from the front. */
void buf_consume(struct buf *buf, size_t len);
/* Drops all bytes and keeps the allocation. */
void buf_clear(struct buf *buf);

struct reader {
    const uint8_t *at;
    size_t left;
};

void reader_init(struct reader *reader, const void *data, size_t len);
/* All integers are little-endian. -EBADMSG where fewer bytes remain than asked for. */
MUST_CHECK int reader_u8(struct reader *reader, uint8_t *ret_value);
MUST_CHECK int reader_u16(struct reader *reader, uint16_t *ret_value);
MUST_CHECK int reader_u32(struct reader *reader, uint32_t *ret_value);
MUST_CHECK int reader_u64(struct reader *reader, uint64_t *ret_value);
/* `*ret_data` points into the borrowed bytes. */
MUST_CHECK int reader_bytes(struct reader *reader, size_t len, const void **ret_data);
MUST_CHECK int reader_skip(struct reader *reader, uint64_t len);
