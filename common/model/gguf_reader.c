#include "common/model/gguf_reader.h"

#include "common/model/tensor_type.h"
#include "common/saturating.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of one value; 0 where the length is in the file. */
static const uint8_t type_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum {
    GGUF_MAGIC = 0x46554747,
    ALIGNMENT_DEFAULT = 32,
    BUFFER_BYTES = 64 * 1024,
};

/* A forward-only view of the source through one buffer. */
struct cursor {
    const struct gguf_source *source;
    uint64_t offset; /* of the next byte in the source */
    size_t at, held; /* of the next byte in `data`, and its end */
    const struct gguf_events *events;
    void *ctx; /* of the events */
    struct err *err;
    uint8_t data[BUFFER_BYTES];
};

static uint64_t cursor_left(const struct cursor *c)
{
    return c->source->size_bytes - c->offset;
}

static int cursor_check(const struct cursor *c, uint64_t len)
{
    if (len > cursor_left(c))
        return err_set(c->err, -ENODATA,
                "the file ends within its metadata (at byte %llu): cut off, or still being copied",
                (unsigned long long)c->source->size_bytes);
    if (len > GGUF_METADATA_MAX - c->offset)
        return err_set(c->err, -EMSGSIZE, "more than %d bytes of metadata", GGUF_METADATA_MAX);
    return 0;
}

static int cursor_fill(struct cursor *c)
{
    ssize_t n = c->source->read_at(c->source->ctx, c->offset, c->data, sizeof c->data);

    if (n < 0)
        return err_set(c->err, (int)n, "cannot read: %s", strerror((int)-n));
    if (n == 0)
        return err_set(c->err, -ENODATA, "the file became shorter while it was read");
    c->at = 0;
    c->held = (size_t)n;
    return 0;
}

static int cursor_read(struct cursor *c, void *ret_data, size_t len)
{
    uint8_t *out = ret_data;
    int rc = cursor_check(c, len);

    while (rc == 0 && len > 0) {
        size_t n = c->held - c->at;
        if (n == 0) {
            rc = cursor_fill(c);
            continue;
        }
        if (n > len)
            n = len;
        memcpy(out, c->data + c->at, n);
        out += n;
        len -= n;
        c->at += n;
        c->offset += n;
    }
    return rc;
}

static int cursor_skip(struct cursor *c, uint64_t len)
{
    int rc = cursor_check(c, len);

    if (rc < 0)
        return rc;
    c->offset += len;
    if (len <= c->held - c->at)
        c->at += (size_t)len;
    else
        c->at = c->held = 0;
    return 0;
}

static int read_uint(struct cursor *c, size_t bytes, uint64_t *ret_value)
{
    uint8_t raw[8];
    uint64_t value = 0;
    int rc = cursor_read(c, raw, bytes);

    if (rc < 0)
        return rc;
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | raw[i - 1];
    *ret_value = value;
    return 0;
}

/* A length, compared with what remains. */
static int read_len(struct cursor *c, uint64_t *ret_len)
{
    int rc = read_uint(c, 8, ret_len);

    return rc < 0 ? rc : cursor_check(c, *ret_len);
}

/* Keeps what fits into `size` bytes with a final NUL; `*ret_len` is the whole text's. */
static int read_text(struct cursor *c, char *ret_text, size_t size, uint64_t *ret_len)
{
    size_t kept;
    int rc = read_len(c, ret_len);

    if (rc < 0)
        return rc;
    kept = *ret_len < size ? (size_t)*ret_len : size - 1;
    rc = cursor_read(c, ret_text, kept);
    if (rc < 0)
        return rc;
    ret_text[kept] = '\0';
    return cursor_skip(c, *ret_len - kept);
}

static int read_key(struct cursor *c, char ret_key[GGUF_KEY_MAX])
{
    uint64_t len;
    int rc = read_text(c, ret_key, GGUF_KEY_MAX, &len);

    if (rc == 0 && len >= GGUF_KEY_MAX)
        return err_set(c->err, -EMSGSIZE, "a key or a tensor's name is longer than %d bytes",
                GGUF_KEY_MAX - 1);
    return rc;
}

/* --- values that nobody asked for --- */

static int skip_text(struct cursor *c)
{
    uint64_t len;
    int rc = read_uint(c, 8, &len);

    return rc < 0 ? rc : cursor_skip(c, len);
}

static int skip_array(struct cursor *c, unsigned depth);

/* Skips `count` values. Each of a type without a fixed size costs at least 8 bytes of the file, so
 * that the loop ends with the file. */
static int skip_values(struct cursor *c, uint64_t type, uint64_t count, unsigned depth)
{
    int rc = 0;

    if (type >= GGUF_TYPE_COUNT)
        return err_set(c->err, -EBADMSG, "unknown value type %llu", (unsigned long long)type);
    if (type_bytes[type] > 0) {
        if (count > cursor_left(c) / type_bytes[type])
            return cursor_check(c, UINT64_MAX);
        return cursor_skip(c, count * type_bytes[type]);
    }
    for (; rc == 0 && count > 0; count--)
        rc = type == GGUF_STRING ? skip_text(c) : skip_array(c, depth + 1);
    return rc;
}

static int skip_array(struct cursor *c, unsigned depth)
{
    uint64_t type, count;
    int rc;

    if (depth > GGUF_ARRAY_DEPTH_MAX)
        return err_set(c->err, -EMSGSIZE, "arrays nested deeper than %d", GGUF_ARRAY_DEPTH_MAX);
    rc = read_uint(c, 4, &type);
    if (rc == 0)
        rc = read_uint(c, 8, &count);
    return rc < 0 ? rc : skip_values(c, type, count, depth);
}

/* --- values that somebody may want --- */

static bool is_number(uint64_t type)
{
    return type < GGUF_TYPE_COUNT && type_bytes[type] > 0 && type != GGUF_F32 && type != GGUF_F64;
}

static bool is_signed(uint64_t type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

static bool is_negative(uint64_t type, uint64_t value)
{
    return is_signed(type) && value >> (8 * type_bytes[type] - 1) != 0;
}

static int show_number(struct cursor *c, const char *key, uint64_t type)
{
    uint64_t value;
    int rc = read_uint(c, type_bytes[type], &value);

    if (rc == 0 && c->events->on_number != NULL && !is_negative(type, value))
        c->events->on_number(c->ctx, key, value);
    return rc;
}

static int show_text(struct cursor *c, const char *key)
{
    char piece[GGUF_PIECE_MAX];
    uint64_t len, at = 0;
    int rc;

    if (c->events->on_text == NULL)
        return skip_text(c);
    rc = read_len(c, &len);
    if (rc == 0 && len == 0)
        c->events->on_text(c->ctx, key, "", 0, 0);
    while (rc == 0 && at < len && at < GGUF_TEXT_READ_MAX) {
        size_t n = len - at < sizeof piece ? (size_t)(len - at) : sizeof piece;
        rc = cursor_read(c, piece, n);
        if (rc == 0)
            c->events->on_text(c->ctx, key, piece, n, at);
        at += n;
    }
    return rc < 0 ? rc : cursor_skip(c, len - at);
}

static int show_numbers(struct cursor *c, uint64_t type, uint64_t count)
{
    uint64_t value;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        rc = read_uint(c, type_bytes[type], &value);
        if (rc == 0 && c->events->on_number_element != NULL)
            c->events->on_number_element(c->ctx, i, is_negative(type, value) ? 0 : value);
    }
    return rc;
}

static int show_texts(struct cursor *c, uint64_t count)
{
    char text[GGUF_ELEMENT_MAX];
    uint64_t len;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        rc = read_text(c, text, sizeof text, &len);
        if (rc == 0 && c->events->on_text_element != NULL)
            c->events->on_text_element(c->ctx, i, text);
    }
    return rc;
}

static int show_array(struct cursor *c, const char *key)
{
    uint64_t type, count;
    int rc = read_uint(c, 4, &type);

    if (rc == 0)
        rc = read_uint(c, 8, &count);
    if (rc < 0)
        return rc;
    if (!(is_number(type) || type == GGUF_STRING) || c->events->on_array == NULL ||
            !c->events->on_array(c->ctx, key, (enum gguf_type)type, count))
        return skip_values(c, type, count, 1);
    return type == GGUF_STRING ? show_texts(c, count) : show_numbers(c, type, count);
}

/* The alignment is the format's own business and nobody else's. */
static int read_alignment(struct cursor *c, uint64_t type, uint64_t *alignment)
{
    uint64_t value;
    int rc = read_uint(c, type_bytes[type], &value);

    if (rc < 0)
        return rc;
    if (value == 0 || value > GGUF_METADATA_MAX || (value & (value - 1)) != 0)
        return err_set(c->err, -EBADMSG, "alignment %llu is not a power of two",
                (unsigned long long)value);
    *alignment = value;
    return 0;
}

static int read_pair(struct cursor *c, uint64_t *alignment)
{
    char key[GGUF_KEY_MAX];
    uint64_t type = 0;
    int rc = read_key(c, key);

    if (rc == 0)
        rc = read_uint(c, 4, &type);
    if (rc < 0)
        return rc;
    if (is_number(type) && strcmp(key, "general.alignment") == 0)
        return read_alignment(c, type, alignment);
    if (is_number(type))
        return show_number(c, key, type);
    if (type == GGUF_STRING)
        return show_text(c, key);
    return type == GGUF_ARRAY ? show_array(c, key) : skip_values(c, type, 1, 0);
}

/* --- tensors --- */

static int read_dimensions(
        struct cursor *c, const char *name, uint64_t *ret_row, uint64_t *ret_rows)
{
    uint64_t dimensions, dimension, row = 1, rows = 1;
    int rc = read_uint(c, 4, &dimensions);

    if (rc == 0 && dimensions > GGUF_DIMENSIONS_MAX)
        return err_set(c->err, -EBADMSG, "tensor %s has %llu dimensions", name,
                (unsigned long long)dimensions);
    for (uint64_t i = 0; rc == 0 && i < dimensions; i++) {
        rc = read_uint(c, 8, &dimension);
        if (rc == 0 && i == 0)
            row = dimension;
        else if (rc == 0)
            rows = saturating_product(rows, dimension);
    }
    if (rc < 0)
        return rc;
    *ret_row = row;
    *ret_rows = rows;
    return 0;
}

/* Reads one tensor's head; its data ends `*ret_end` bytes into the data section, or is known to
 * reach only to its first byte. */
static int read_tensor(struct cursor *c, uint64_t *ret_end)
{
    char name[GGUF_KEY_MAX];
    struct gguf_tensor tensor = {.name = name};
    uint64_t row = 0, rows = 0, type = 0, offset = 0;
    int rc = read_key(c, name);

    if (rc == 0)
        rc = read_dimensions(c, name, &row, &rows);
    if (rc == 0)
        rc = read_uint(c, 4, &type);
    if (rc == 0)
        rc = read_uint(c, 8, &offset);
    if (rc < 0)
        return rc;
    tensor.elements = saturating_product(row, rows);
    tensor.type_known = tensor_type_row_bytes((uint32_t)type, row, &tensor.bytes);
    tensor.bytes = saturating_product(tensor.bytes, rows);
    if (c->events->on_tensor != NULL)
        c->events->on_tensor(c->ctx, &tensor);
    *ret_end = saturating_sum(offset, tensor.bytes > 0 ? tensor.bytes : 1);
    return 0;
}

/* A file that is still being copied is whole in its head and lacks its last tensors. */
static int read_tensors(struct cursor *c, uint64_t alignment, struct gguf_layout *layout)
{
    uint64_t end, last = 0;
    int rc;

    for (uint64_t i = 0; i < layout->tensor_count; i++) {
        rc = read_tensor(c, &end);
        if (rc < 0)
            return rc;
        if (end > last)
            last = end;
    }
    layout->header_bytes = c->offset;
    layout->data_offset = c->offset + (alignment - c->offset % alignment) % alignment;
    if (last > 0 && (layout->data_offset > c->source->size_bytes ||
                            last > c->source->size_bytes - layout->data_offset))
        return err_set(c->err, -ENODATA,
                "the last tensor ends behind the end of the file (%llu bytes): cut off, or still "
                "being copied",
                (unsigned long long)c->source->size_bytes);
    if (layout->data_offset > c->source->size_bytes)
        layout->data_offset = c->source->size_bytes;
    return 0;
}

/* --- the head --- */

static int read_version(struct cursor *c, uint32_t *ret_version)
{
    uint64_t magic, version;
    int rc = read_uint(c, 4, &magic);

    if (rc == 0 && magic != GGUF_MAGIC)
        return err_set(c->err, -EBADMSG, "not a GGUF file (no magic number at its start)");
    if (rc == 0)
        rc = read_uint(c, 4, &version);
    if (rc < 0)
        return rc;
    if ((version & 0xffff) == 0)
        return err_set(c->err, -ENOTSUP, "a big-endian GGUF file; convert it for this machine");
    if (version < 2 || version > 3)
        return err_set(c->err, -ENOTSUP, "GGUF version %llu; versions 2 and 3 are known",
                (unsigned long long)version);
    *ret_version = (uint32_t)version;
    return 0;
}

static int read_head(struct cursor *c, struct gguf_layout *layout, uint64_t *ret_keys)
{
    int rc = read_version(c, &layout->version);

    if (rc == 0)
        rc = read_uint(c, 8, &layout->tensor_count);
    if (rc == 0)
        rc = read_uint(c, 8, ret_keys);
    if (rc < 0)
        return rc;
    if (layout->tensor_count > GGUF_TENSORS_MAX)
        return err_set(c->err, -EMSGSIZE, "%llu tensors; at most %d are read",
                (unsigned long long)layout->tensor_count, GGUF_TENSORS_MAX);
    if (*ret_keys > GGUF_KEYS_MAX)
        return err_set(c->err, -EMSGSIZE, "%llu keys; at most %d are read",
                (unsigned long long)*ret_keys, GGUF_KEYS_MAX);
    return 0;
}

static int read_all(struct cursor *c, struct gguf_layout *ret_layout)
{
    struct gguf_layout layout;
    uint64_t keys = 0, alignment = ALIGNMENT_DEFAULT;
    int rc = read_head(c, &layout, &keys);

    for (; rc == 0 && keys > 0; keys--)
        rc = read_pair(c, &alignment);
    if (rc == 0)
        rc = read_tensors(c, alignment, &layout);
    if (rc == 0)
        *ret_layout = layout;
    return rc;
}

int gguf_read(const struct gguf_source *source, const struct gguf_events *events, void *ctx,
        struct gguf_layout *ret_layout, struct err *err)
{
    static const struct gguf_events nobody;
    struct cursor *c = malloc(sizeof *c);
    int rc;

    if (c == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    c->source = source;
    c->offset = 0;
    c->at = c->held = 0;
    c->events = events != NULL ? events : &nobody;
    c->ctx = ctx;
    c->err = err;
    rc = read_all(c, ret_layout);
    free(c);
    return rc;
}

static ssize_t read_fd(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    ssize_t n;

    do {
        n = pread(*(int *)ctx, ret_data, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

struct gguf_source gguf_source_fd(int *fd, uint64_t size_bytes)
{
    return (struct gguf_source){.read_at = read_fd, .ctx = fd, .size_bytes = size_bytes};
}
