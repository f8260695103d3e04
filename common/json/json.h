/* JSON with limits. Parsing is cJSON's, behind a scan that bounds size, depth and number of values
 * first, so that a hostile text costs no more than its own length. Editing of a top-level object
 * works on the raw text, so that what we do not touch goes through byte for byte (big numbers,
 * escapes, unknown members). */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JSON_DEPTH_MAX = 256, /* what struct json_limits may ask for at most; cJSON recurses */
    JSON_EDIT_MAX = 64,   /* members in one json_edit() */
};

struct json_limits {
    size_t max_bytes;
    unsigned max_depth; /* of nested arrays and objects; at most JSON_DEPTH_MAX */
    size_t max_values;  /* values of any kind, keys included */
    /* Refuse what readers take differently: a key twice in one object, a number past a double. */
    bool unambiguous;
};

/* 32 MiB, 64 levels, 1 million values, unambiguous: request bodies. */
extern const struct json_limits json_limits_request;
/* 1 MiB, 64 levels, 100,000 values: answers of an engine, one event. */
extern const struct json_limits json_limits_event;

/* Whole text must be one JSON value in UTF-8 (RFC 8259). The caller frees with cJSON_Delete().
 * Refused too, as no reader agrees on them: \u0000 and half surrogate pairs in strings, numbers of
 * more than 63 characters. -EINVAL: "line 3, column 17: …" (1-based, columns in bytes), -EMSGSIZE:
 * which limit, -ENOMEM. */
MUST_CHECK int json_parse(const char *text, size_t len, const struct json_limits *limits,
        cJSON **ret_json, struct err *err);

/* Puts \ufffd in the place of each escape \u0000 in JSON that somebody else has made, and returns
 * how many there were. */
size_t json_replace_nul(char *text, size_t len);

/* Members of an object; the default where absent, null or of another type. Borrowed from `object`.
 */
const char *json_str(const cJSON *object, const char *key, const char *def);
double json_num(const cJSON *object, const char *key, double def);
bool json_bool(const cJSON *object, const char *key, bool def);
const cJSON *json_obj(const cJSON *object, const char *key);   /* NULL unless an object */
const cJSON *json_array(const cJSON *object, const char *key); /* NULL unless an array */

/* The largest whole number that a double, and so every reader of JSON, holds exactly. */
#define JSON_WHOLE_MAX (UINT64_C(9007199254740991))
/* True where `value` is a whole number from 0 to JSON_WHOLE_MAX. Takes NULL. */
bool json_whole(const cJSON *value, uint64_t *ret_number);

/* Appends `text` as a JSON string with its quotes. Each byte that is not UTF-8 becomes U+FFFD. */
MUST_CHECK int json_append_str(struct buf *buf, const char *text, size_t len);
/* Appends a compact print of `json`. */
MUST_CHECK int json_append(struct buf *buf, const cJSON *json);

/* The raw value of the first member `key` of the object `text`, which has passed json_parse(): it
 * points into `text`. -ENOENT: there is none; -EINVAL: no object. O(what stands before it). */
MUST_CHECK int json_find(
        const char *text, size_t len, const char *key, const char **ret_value, size_t *ret_len);

struct json_member {
    const char *key;   /* plain ASCII, needs no escaping */
    const char *value; /* raw JSON, or NULL: remove the member */
};

/* Appends to `out` the object `text` with the `n` members of `set` replaced, added or removed at
 * top level; all else byte for byte. Keys in `set` differ from each other; where `text` has such a
 * key several times, however it is escaped, one is left at most. `text` has passed json_parse() as
 * an object; -EINVAL where it is none. On failure `out` is as it was. */
MUST_CHECK int json_edit(
        struct buf *out, const char *text, size_t len, const struct json_member *set, size_t n);
