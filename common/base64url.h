/* Base64url without padding (RFC 4648, section 5): one text for one run of bytes, in a time that
 * does not depend on what they are. Pure. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Letters of so many bytes. */
#define BASE64URL_LEN(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64URL_LEN(len) letters and a NUL. */
void base64url_encode(const void *data, size_t len, char *ret_text);
/* False where `text` is none, spare bits of its last letter are set, or it says more than `max`
 * bytes; then `ret_data` may hold a part of them. */
MUST_CHECK bool base64url_decode(
        const char *text, size_t len, void *ret_data, size_t max, size_t *ret_len);
