/* How an engine stores the keys and values of its cache: llama.cpp's types, by the names that its
 * options --cache-type-k and --cache-type-v take. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdint.h>

enum cache_type { /* the first is what engines take where nothing is said */
    CACHE_TYPE_F16,
    CACHE_TYPE_F32,
    CACHE_TYPE_BF16,
    CACHE_TYPE_Q8_0,
    CACHE_TYPE_Q5_1,
    CACHE_TYPE_Q5_0,
    CACHE_TYPE_Q4_1,
    CACHE_TYPE_Q4_0,
    CACHE_TYPE_IQ4_NL,
    CACHE_TYPE_COUNT,
};

/* "f16", "q8_0"; static. */
const char *cache_type_name(enum cache_type type);

/* Case is ignored. -EINVAL: names the text, the nearest type and all of them. */
MUST_CHECK int cache_type_parse(const char *text, enum cache_type *ret_type, struct err *err);

/* Bytes of `elements` values. Quantised types come in blocks (ggml: 32 values with their scale);
 * a part of a block counts as a whole one. Saturates. */
uint64_t cache_type_bytes(enum cache_type type, uint64_t elements);
