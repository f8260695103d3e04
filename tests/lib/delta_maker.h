/* Deltas out of a fuzzer's bytes: each a byte for its kind, one for its length, its data. To be
 * included by one file of a program. */
#pragma once

#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct delta_maker { /* plain values; borrows the bytes */
    const uint8_t *at;
    size_t left;
    char data[256];
};

/* False at the end. The delta is good until the next one. Engines' texts have no NUL. */
static inline bool delta_maker_next(struct delta_maker *maker, struct msg_delta *ret_delta)
{
    if (maker->left < 2)
        return false;
    size_t len = maker->at[1] < maker->left - 2 ? maker->at[1] : maker->left - 2;
    *ret_delta = (struct msg_delta){.kind = maker->at[0] % DELTA_KIND_COUNT,
            .choice = maker->at[0] >> 6 == 3,
            .data = maker->data,
            .len = len};
    memcpy(maker->data, maker->at + 2, len);
    for (char *nul; (nul = memchr(maker->data, '\0', len));)
        *nul = ' ';
    maker->at += 2 + len;
    maker->left -= 2 + len;
    if (ret_delta->kind == DELTA_USAGE)
        ret_delta->usage = (struct msg_usage){.prompt_tokens = (uint32_t)len,
                .cached_tokens = (uint32_t)len / 2,
                .completion_tokens = 3,
                .prefill_ms = (float)len,
                .decode_ms = 1};
    return true;
}
