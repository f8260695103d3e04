#include "tests/lib/wire_maker.h"

#include "proto/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void wire_put_byte(struct buf *out, unsigned byte)
{
    uint8_t b = (uint8_t)byte;

    assert_int_equal(buf_append(out, &b, 1), 0);
}

void wire_put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        wire_put_byte(out, (unsigned)(value & 0x7f) | 0x80);
    wire_put_byte(out, (unsigned)value);
}

void wire_put_number(struct buf *out, unsigned field, uint64_t value)
{
    wire_put_varint(out, field << 3 | 0);
    wire_put_varint(out, value);
}

void wire_put_fixed64(struct buf *out, unsigned field, uint64_t value)
{
    wire_put_varint(out, field << 3 | 1);
    for (unsigned i = 0; i < 8; i++)
        wire_put_byte(out, (unsigned)(value >> 8 * i) & 0xff);
}

void wire_put_bytes(struct buf *out, unsigned field, const void *data, size_t len)
{
    wire_put_varint(out, field << 3 | 2);
    wire_put_varint(out, len);
    assert_int_equal(buf_append(out, data, len), 0);
}

void wire_put_float(struct buf *out, unsigned field, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    wire_put_varint(out, field << 3 | 5);
    for (unsigned i = 0; i < 4; i++)
        wire_put_byte(out, bits >> 8 * i & 0xff);
}

void wire_put_header(struct buf *out, unsigned type)
{
    uint8_t header[FRAME_HEADER_BYTES];

    frame_header((uint8_t)type, header);
    buf_clear(out);
    assert_int_equal(buf_append(out, header, sizeof header), 0);
}
