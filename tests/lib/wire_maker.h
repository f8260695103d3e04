/* Protobuf written by hand, field by field, so that the wire format is tested too and rules can be
 * broken. Appends to a caller's buffer; a failed append fails the test. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Clears `out` and begins a frame of that type. */
void wire_put_header(struct buf *out, unsigned type);

void wire_put_byte(struct buf *out, unsigned byte);
void wire_put_varint(struct buf *out, uint64_t value);
void wire_put_number(struct buf *out, unsigned field, uint64_t value);
void wire_put_fixed64(struct buf *out, unsigned field, uint64_t value);
void wire_put_bytes(struct buf *out, unsigned field, const void *data, size_t len);
void wire_put_float(struct buf *out, unsigned field, float value);
