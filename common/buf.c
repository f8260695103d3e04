#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_CAP_MIN = 64 };

void buf_init(struct buf *buf, size_t max)
{
    /* One byte beyond the maximum is kept for buf_terminate(). */
    *buf = (struct buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

const char *buf_at(const struct buf *buf)
{
    return buf->data ? buf->data + buf->start : "";
}

static size_t grown_cap(const struct buf *buf, size_t total)
{
    size_t limit = buf->max + 1;
    size_t cap = buf->cap > limit / 2 ? limit : buf->cap * 2;
    if (cap < BUF_CAP_MIN)
        cap = BUF_CAP_MIN < limit ? BUF_CAP_MIN : limit;
    return cap < total ? total : cap;
}

static int grow(struct buf *buf, size_t total)
{
    size_t cap = grown_cap(buf, total);
    char *data = malloc(cap);
    if (!data)
        return -ENOMEM;
    if (buf->len)
        memcpy(data, buf->data + buf->start, buf->len);
    free(buf->data);
    buf->data = data;
    buf->start = 0;
    buf->cap = cap;
    return 0;
}

/* `len` is at most max + 1 − buf->len. Held bytes are moved to the front only where that is cheaper
 * than what was consumed before them, or where the allocation cannot grow; so appends stay linear
 * in sum. */
static int make_room(struct buf *buf, size_t len)
{
    size_t total = buf->len + len;
    if (len <= buf->cap - buf->start - buf->len)
        return 0;
    if (total > buf->cap || (buf->start < buf->len && buf->cap <= buf->max))
        return grow(buf, total);
    memmove(buf->data, buf->data + buf->start, buf->len);
    buf->start = 0;
    return 0;
}

int buf_reserve(struct buf *buf, size_t len, void **ret_room)
{
    if (len > buf->max - buf->len)
        return -ENOBUFS;
    int r = make_room(buf, len ? len : 1);
    if (r < 0)
        return r;
    *ret_room = buf->data + buf->start + buf->len;
    return 0;
}

void buf_commit(struct buf *buf, size_t len)
{
    assert(len <= buf->cap - buf->start - buf->len);
    assert(len <= buf->max - buf->len);
    buf->len += len;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    void *room;
    int r = buf_reserve(buf, len, &room);
    if (r < 0)
        return r;
    memcpy(room, data, len);
    buf_commit(buf, len);
    return 0;
}

int buf_append_str(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

static int append_formatted(struct buf *buf, size_t len, const char *fmt, va_list args)
        __attribute__((format(printf, 3, 0)));

/* `len` is what the text was measured to be. */
static int append_formatted(struct buf *buf, size_t len, const char *fmt, va_list args)
{
    if (len > buf->max - buf->len)
        return -ENOBUFS;
    int r = make_room(buf, len + 1);
    if (r < 0)
        return r;
    (void)vsnprintf(buf->data + buf->start + buf->len, len + 1, fmt, args);
    buf_commit(buf, len);
    return 0;
}

int buf_appendf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return -EINVAL;

    va_start(args, fmt);
    int r = append_formatted(buf, (size_t)len, fmt, args);
    va_end(args);
    return r;
}

int buf_terminate(struct buf *buf)
{
    int r = make_room(buf, 1);
    if (r < 0)
        return r;
    buf->data[buf->start + buf->len] = '\0';
    return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->start += len;
    buf->len -= len;
    if (buf->len == 0)
        buf->start = 0;
}

void buf_clear(struct buf *buf)
{
    buf->start = 0;
    buf->len = 0;
}

void reader_init(struct reader *reader, const void *data, size_t len)
{
    *reader = (struct reader){.at = data, .left = len};
}

static int read_le(struct reader *reader, size_t size, uint64_t *ret_value)
{
    if (reader->left < size)
        return -EBADMSG;
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | reader->at[i - 1];
    reader->at += size;
    reader->left -= size;
    *ret_value = value;
    return 0;
}

int reader_u8(struct reader *reader, uint8_t *ret_value)
{
    uint64_t value;
    int r = read_le(reader, sizeof(*ret_value), &value);
    if (r == 0)
        *ret_value = (uint8_t)value;
    return r;
}

int reader_u16(struct reader *reader, uint16_t *ret_value)
{
    uint64_t value;
    int r = read_le(reader, sizeof(*ret_value), &value);
    if (r == 0)
        *ret_value = (uint16_t)value;
    return r;
}

int reader_u32(struct reader *reader, uint32_t *ret_value)
{
    uint64_t value;
    int r = read_le(reader, sizeof(*ret_value), &value);
    if (r == 0)
        *ret_value = (uint32_t)value;
    return r;
}

int reader_u64(struct reader *reader, uint64_t *ret_value)
{
    return read_le(reader, sizeof(*ret_value), ret_value);
}

int reader_bytes(struct reader *reader, size_t len, const void **ret_data)
{
    const void *data = reader->at;
    int r = reader_skip(reader, len);
    if (r == 0)
        *ret_data = data;
    return r;
}

int reader_skip(struct reader *reader, uint64_t len)
{
    if (len > reader->left)
        return -EBADMSG;
    if (len == 0)
        return 0;
    reader->at += len;
    reader->left -= (size_t)len;
    return 0;
}
