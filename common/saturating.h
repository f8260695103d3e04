/* Arithmetic that ends at the largest number, or at 0, instead of going around, for quantities that
 * a file or a peer drives and that are only compared afterwards. Pure. */
#pragma once

#include <stdint.h>

static inline uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

static inline uint64_t saturating_difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t saturating_product(uint64_t a, uint64_t b)
{
    return __builtin_mul_overflow(a, b, &a) ? UINT64_MAX : a;
}
