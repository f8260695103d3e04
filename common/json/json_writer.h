/* Writes JSON straight into a buf, member by member: for large answers that nobody needs as a tree.
 * Commas come by themselves. The first failure sticks, what follows it does nothing, and
 * json_writer_result() tells it at the end. Pure.
 *
 * `key` is the member's name where the open bracket is an object's, and NULL in an array and at the
 * top. It is plain ASCII that needs no escaping. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json_writer {
    struct buf *out; /* borrowed */
    int result;
    bool comma; /* the next value follows another one */
};

void json_writer_init(struct json_writer *writer, struct buf *out);
/* 0, -ENOBUFS, -ENOMEM: then `out` holds a part that is of no use. */
MUST_CHECK int json_writer_result(const struct json_writer *writer);

void json_writer_object(struct json_writer *writer, const char *key);
void json_writer_array(struct json_writer *writer, const char *key);
void json_writer_object_end(struct json_writer *writer);
void json_writer_array_end(struct json_writer *writer);

/* What is not UTF-8 in `text` becomes U+FFFD. */
void json_writer_str(struct json_writer *writer, const char *key, const char *text);
void json_writer_u64(struct json_writer *writer, const char *key, uint64_t value);
/* Six significant digits; `value` is finite. */
void json_writer_num(struct json_writer *writer, const char *key, double value);
void json_writer_bool(struct json_writer *writer, const char *key, bool value);
void json_writer_null(struct json_writer *writer, const char *key);
