/* Random numbers of a run, all from its seed: the same seed gives the same numbers wherever
 * the C library computes logarithms alike. xoshiro256** (Blackman and Vigna, 2018), seeded by
 * splitmix64. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state[4];
};

/* `stream` tells uses of one seed apart, so that a draw more in one does not move the others. */
void chance_init(struct chance *chance, uint64_t seed, uint64_t stream);
uint64_t chance_u64(struct chance *chance);
/* Uniform in (0, 1]. */
double chance_unit(struct chance *chance);
/* 0 … count − 1; `count` is at least 1. */
uint32_t chance_below(struct chance *chance, uint32_t count);
double chance_exponential(struct chance *chance, double mean);
/* Of that mean, and a coefficient of variation `cv` (more than 0); 1 is the exponential. Marsaglia
 * and Tsang, "A Simple Method for Generating Gamma Variables", 2000. */
double chance_gamma(struct chance *chance, double mean, double cv);
/* Of that median; `sigma` is the deviation of its logarithm. */
double chance_log_normal(struct chance *chance, double median, double sigma);

/* One of 64 bits made of another: a hash for numbers. */
uint64_t chance_mix(uint64_t value);

struct zipf {      /* 0 … count − 1, the n-th with a weight of 1 / (n + 1)^exponent */
    double *below; /* cumulated weights */
    uint32_t count;
};

MUST_CHECK int zipf_init(struct zipf *zipf, uint32_t count, double exponent); /* -ENOMEM */
void zipf_fini(struct zipf *zipf);
uint32_t zipf_draw(const struct zipf *zipf, struct chance *chance);
