#include "common/sse_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";
enum { BYTE_ORDER_MARK_LEN = sizeof(byte_order_mark) - 1 };

struct sse_reader {
    size_t max_event_bytes;
    sse_event_fn fn;
    sse_comment_fn comment_fn; /* NULL: comments are skipped */
    void *ctx;
    struct buf line; /* the part of the current line that came in earlier chunks */
    struct buf name, data;
    size_t mark_len;   /* bytes of the byte order mark seen so far */
    bool past_mark;    /* the stream has begun with it, or with something else */
    bool has_data;     /* the event has at least one data line */
    bool after_return; /* the last byte was CR: an LF now belongs to the same line end */
    int failed;        /* the error that ended the stream, or 0 */
};

struct sse_reader *sse_reader_create(size_t max_event_bytes, sse_event_fn fn, void *ctx)
{
    struct sse_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return NULL;
    *reader = (struct sse_reader){.max_event_bytes = max_event_bytes, .fn = fn, .ctx = ctx};
    buf_init(&reader->line, SIZE_MAX);
    buf_init(&reader->name, SIZE_MAX);
    buf_init(&reader->data, SIZE_MAX);
    return reader;
}

void sse_reader_destroy(struct sse_reader *reader)
{
    if (!reader)
        return;
    buf_fini(&reader->line);
    buf_fini(&reader->name);
    buf_fini(&reader->data);
    free(reader);
}

void sse_reader_tell_comments(struct sse_reader *reader, sse_comment_fn fn)
{
    reader->comment_fn = fn;
}

static int too_big(const struct sse_reader *reader, const char *what, struct err *err)
{
    return err_set(err, -EMSGSIZE, "%s of the event stream is longer than %zu bytes", what,
            reader->max_event_bytes);
}

static void forget_event(struct sse_reader *reader)
{
    buf_clear(&reader->name);
    buf_clear(&reader->data);
    reader->has_data = false;
}

static int call_receiver(struct sse_reader *reader, struct err *err)
{
    int r = buf_terminate(&reader->name);

    if (r == 0)
        r = buf_terminate(&reader->data);
    if (r < 0)
        return err_set(err, r, "no memory for an event of %zu bytes", reader->data.len);
    r = reader->fn(reader->ctx, buf_at(&reader->name), buf_at(&reader->data), reader->data.len);
    if (r < 0)
        return err_set(err, r, "the receiver of the event refused it: %s", strerror(-r));
    return 0;
}

static int dispatch(struct sse_reader *reader, struct err *err)
{
    int r = reader->has_data ? call_receiver(reader, err) : 0;

    forget_event(reader);
    return r;
}

/* Name and data may grow by `len` bytes within the limit. */
static bool event_has_room(const struct sse_reader *reader, size_t len)
{
    return len <= reader->max_event_bytes - reader->name.len - reader->data.len;
}

static int add_data(struct sse_reader *reader, const char *value, size_t len, struct err *err)
{
    size_t joint = reader->has_data ? 1 : 0;
    int r;

    if (!event_has_room(reader, len) || !event_has_room(reader, len + joint))
        return too_big(reader, "an event", err);
    r = buf_append(&reader->data, "\n", joint);
    if (r == 0)
        r = buf_append(&reader->data, value, len);
    if (r < 0)
        return err_set(err, r, "no memory for a data line of %zu bytes", len);
    reader->has_data = true;
    return 0;
}

/* A name with a NUL could pass for a shorter one, so it counts as none. */
static int set_name(struct sse_reader *reader, const char *value, size_t len, struct err *err)
{
    buf_clear(&reader->name);
    if (len == 0 || memchr(value, '\0', len))
        return 0;
    if (!event_has_room(reader, len))
        return too_big(reader, "an event", err);
    int r = buf_append(&reader->name, value, len);
    return r < 0 ? err_set(err, r, "no memory for an event name of %zu bytes", len) : 0;
}

static bool name_is(const char *line, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(line, name, len) == 0;
}

static int take_field(struct sse_reader *reader, const char *line, size_t len, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    size_t value_at = colon ? name_len + 1 : len;

    if (value_at < len && line[value_at] == ' ')
        value_at++;
    if (colon == line && reader->comment_fn)
        reader->comment_fn(reader->ctx, line + value_at, len - value_at);
    if (name_is(line, name_len, "data"))
        return add_data(reader, line + value_at, len - value_at, err);
    if (name_is(line, name_len, "event"))
        return set_name(reader, line + value_at, len - value_at, err);
    return 0;
}

static int take_line(struct sse_reader *reader, const char *line, size_t len, struct err *err)
{
    return len == 0 ? dispatch(reader, err) : take_field(reader, line, len, err);
}

static int keep_part(struct sse_reader *reader, const char *data, size_t len, struct err *err)
{
    if (len > reader->max_event_bytes - reader->line.len)
        return too_big(reader, "a line", err);
    int r = buf_append(&reader->line, data, len);
    return r < 0 ? err_set(err, r, "no memory for a line of %zu bytes", len) : 0;
}

/* Ends the line whose last part is `data`. The usual line lies whole in one chunk and is not
 * copied. */
static int end_line(struct sse_reader *reader, const char *data, size_t len, struct err *err)
{
    if (reader->line.len == 0) {
        if (len > reader->max_event_bytes)
            return too_big(reader, "a line", err);
        return take_line(reader, data, len, err);
    }

    int r = keep_part(reader, data, len, err);
    if (r == 0)
        r = take_line(reader, buf_at(&reader->line), reader->line.len, err);
    buf_clear(&reader->line);
    return r;
}

static size_t line_len(const char *data, size_t len)
{
    size_t n = 0;

    while (n < len && data[n] != '\n' && data[n] != '\r')
        n++;
    return n;
}

static int take_lines(struct sse_reader *reader, const char *data, size_t len, struct err *err)
{
    for (size_t at = 0; at < len;) {
        if (reader->after_return && data[at] == '\n')
            at++;
        reader->after_return = false;

        size_t n = line_len(data + at, len - at);
        if (n == len - at)
            return n > 0 ? keep_part(reader, data + at, n, err) : 0;
        int r = end_line(reader, data + at, n, err);
        if (r < 0)
            return r;
        reader->after_return = data[at + n] == '\r';
        at += n + 1;
    }
    return 0;
}

/* Takes a byte order mark at the start, also in pieces. Bytes that only looked like one begin the
 * first line. Writes how many bytes of `data` are dealt with. */
static int take_mark(
        struct sse_reader *reader, const char *data, size_t len, size_t *ret_taken, struct err *err)
{
    size_t taken = 0;

    while (taken < len && reader->mark_len < BYTE_ORDER_MARK_LEN &&
            data[taken] == byte_order_mark[reader->mark_len]) {
        reader->mark_len++;
        taken++;
    }
    *ret_taken = taken;
    reader->past_mark = taken < len || reader->mark_len == BYTE_ORDER_MARK_LEN;
    if (!reader->past_mark || reader->mark_len == BYTE_ORDER_MARK_LEN)
        return 0;
    return keep_part(reader, byte_order_mark, reader->mark_len, err);
}

int sse_reader_push(struct sse_reader *reader, const char *data, size_t len, struct err *err)
{
    size_t taken = 0;
    int r = 0;

    if (reader->failed < 0)
        return err_set(err, reader->failed, "the event stream has ended with an error before");
    if (len == 0)
        return 0;
    if (!reader->past_mark)
        r = take_mark(reader, data, len, &taken, err);
    if (r == 0)
        r = take_lines(reader, data + taken, len - taken, err);
    reader->failed = r;
    return r;
}
