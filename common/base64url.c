#include "common/base64url.h"

#include <sodium.h>
#include <stdint.h>

enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

void base64url_encode(const void *data, size_t len, char *ret_text)
{
    sodium_bin2base64(ret_text, BASE64URL_LEN(len) + 1, data, len, VARIANT);
}

/* libsodium (1.0.18) takes some bytes from 0x80 on for letters. */
static bool is_ascii(const char *text, size_t len)
{
    unsigned all = 0;
    for (size_t i = 0; i < len; i++)
        all |= (uint8_t)text[i];
    return all < 0x80;
}

bool base64url_decode(const char *text, size_t len, void *ret_data, size_t max, size_t *ret_len)
{
    size_t got;
    if (!is_ascii(text, len) ||
            sodium_base642bin(ret_data, max, text, len, NULL, &got, NULL, VARIANT))
        return false;
    *ret_len = got;
    return true;
}
