/* Numbers and names as people write them: sizes, durations, addresses, the nearest of some names.
 * Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_TOKENS_MAX = 16 * 1024 * 1024 };

/* "512", "16K", "1.5G", "96GiB", "64MB": K, M, G and T are powers of 1024, with or without "iB" or
 * "B". -EINVAL (names the text and the accepted forms), -ERANGE past UINT64_MAX. */
MUST_CHECK int text_parse_size(const char *text, uint64_t *ret_bytes, struct err *err);
/* "250ms", "3s", "1.5s", "10m", "2h", "7d"; a bare number is refused except 0. Milliseconds. */
MUST_CHECK int text_parse_duration(const char *text, uint64_t *ret_ms, struct err *err);
/* Tokens: "40960", "8k", "1.5M", k and M are powers of 1024; 1 to TEXT_TOKENS_MAX. -EINVAL (names
 * the text and the accepted forms). */
MUST_CHECK int text_parse_tokens(const char *text, uint32_t *ret_tokens, struct err *err);
/* The shortest of these forms that is exact: "8k", "40000". Returns `buf`. */
const char *text_format_tokens(uint32_t tokens, char *buf, size_t size);
/* Decimal, whole text, no sign games. */
MUST_CHECK int text_parse_u64(const char *text, uint64_t *ret_value, struct err *err);

/* "95.3 GiB", "1.0 MiB", "512 B" into `buf`; returns `buf`. */
const char *text_format_size(uint64_t bytes, char *buf, size_t size);
/* "3 s", "12 min", "5 h", "3 d": the two digits a person wants. Returns `buf`. */
const char *text_format_age(uint64_t ms, char *buf, size_t size);

struct text_addr {
    char host[256]; /* without brackets; a name, an IPv4 or an IPv6 address */
    uint16_t port;  /* 0 means: any free one */
};

/* "127.0.0.1:8420", "[::1]:8420", "box.local:8421". -EINVAL names what is wrong and shows the form.
 */
MUST_CHECK int text_parse_addr(const char *text, struct text_addr *ret_addr, struct err *err);

/* The candidate with the least edit distance to `text`, or NULL where none is near (more than a
 * third of its letters wrong, at least 2 allowed, but never all of them). `names` ends with NULL.
 * Case is ignored. */
const char *text_nearest(const char *text, const char *const *names);

/* Length in bytes of the longest prefix of `data` that does not end inside a UTF-8 sequence and is
 * at most `max` long; `len` where it fits whole. A sequence that is not UTF-8 counts as single
 * bytes. */
size_t text_utf8_cut(const char *data, size_t len, size_t max);

/* Length in bytes of the UTF-8 sequence that `data` begins with; 0 where there is none, or only
 * part of one. */
size_t text_utf8_seq(const char *data, size_t len);

/* A text that is written piece by piece. It lies at `text`, which the caller owns, has `len` bytes
 * and at most `size` with its NUL. */
struct text_writer {
    char *text;
    size_t size, len;
};

/* Appends; what does not fit is cut after its last whole character, and nothing comes after it. */
void text_write(struct text_writer *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends one of some names, "ask, code", where nothing else has been written. False: there is no
 * room for it with an ellipsis behind it; the ellipsis stands in its place, and nothing comes after
 * it. */
bool text_write_name(struct text_writer *to, const char *name);
