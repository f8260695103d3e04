/* The lesser and the greater of two numbers. Functions, as a macro would evaluate one of them twice
 * and compare what has not the same sign. Pure. */
#pragma once

#include <stdint.h>

static inline uint64_t number_lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t number_greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
