/* sse_reader: a stream gives the same events, comments and result in one push and in chunks cut
 * anywhere. The first byte of the input says how the rest is cut. */
#include "common/sse_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 48, LOG_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct buf *log = ctx;
    int r;

    assert(data[len] == '\0');
    assert(strlen(name) + len <= LIMIT);
    r = buf_append(log, name, strlen(name) + 1);
    if (r == 0)
        r = buf_append(log, &len, sizeof(len));
    if (r == 0)
        r = buf_append(log, data, len);
    assert(r == 0);
    return len == 13 ? -ECANCELED : 0;
}

static void on_comment(void *ctx, const char *text, size_t len)
{
    struct buf *log = ctx;
    int r;

    assert(len < LIMIT);
    r = buf_append_str(log, ":");
    if (r == 0)
        r = buf_append(log, text, len);
    assert(r == 0);
}

/* Pieces of 1 to 16 bytes, by a small generator. */
static size_t next_len(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return 1 + (*seed >> 28);
}

static int push_copy(struct sse_reader *reader, const uint8_t *data, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    assert(copy);
    memcpy(copy, data, len);
    int r = sse_reader_push(reader, copy, len, NULL);
    free(copy);
    assert(r == 0 || r == -EMSGSIZE || r == -ECANCELED);
    return r;
}

static int read_pieces(struct sse_reader *reader, const uint8_t *data, size_t size, uint32_t seed)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < size;) {
        size_t n = next_len(&seed);
        n = n < size - at ? n : size - at;
        r = push_copy(reader, data + at, n);
        at += n;
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;

    if (size == 0)
        return 0;
    buf_init(&whole, LOG_MAX);
    buf_init(&pieces, LOG_MAX);
    struct sse_reader *first = sse_reader_create(LIMIT, on_event, &whole);
    struct sse_reader *second = sse_reader_create(LIMIT, on_event, &pieces);
    assert(first && second);
    sse_reader_tell_comments(first, on_comment);
    sse_reader_tell_comments(second, on_comment);

    int r = push_copy(first, data + 1, size - 1);
    int r_pieces = read_pieces(second, data + 1, size - 1, data[0]);
    assert(r == r_pieces);
    assert(whole.len == pieces.len);
    assert(memcmp(buf_at(&whole), buf_at(&pieces), whole.len) == 0);
    if (r < 0)
        assert(push_copy(first, data, size) == r);

    sse_reader_destroy(first);
    sse_reader_destroy(second);
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
