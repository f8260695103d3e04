#include "bench/sim/workload/chance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

uint64_t chance_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void chance_init(struct chance *chance, uint64_t seed, uint64_t stream)
{
    uint64_t at = chance_mix(seed) ^ chance_mix(~stream);

    for (size_t i = 0; i < 4; i++)
        chance->state[i] = at = chance_mix(at);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

uint64_t chance_u64(struct chance *chance)
{
    uint64_t *s = chance->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double chance_unit(struct chance *chance)
{
    return (double)((chance_u64(chance) >> 11) + 1) * 0x1p-53;
}

uint32_t chance_below(struct chance *chance, uint32_t count)
{
    return (uint32_t)(((chance_u64(chance) >> 32) * count) >> 32);
}

static double draw_normal(struct chance *chance)
{
    double radius = sqrt(-2 * log(chance_unit(chance)));

    return radius * cos(2 * M_PI * chance_unit(chance));
}

double chance_exponential(struct chance *chance, double mean)
{
    return -mean * log(chance_unit(chance));
}

/* A shape of at least 1, and a scale of 1. */
static double large_gamma(struct chance *chance, double shape)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);

    for (;;) {
        double normal = draw_normal(chance);
        double cube = pow(1 + c * normal, 3);

        if (cube > 0 &&
                log(chance_unit(chance)) < 0.5 * normal * normal + d - d * cube + d * log(cube))
            return d * cube;
    }
}

double chance_gamma(struct chance *chance, double mean, double cv)
{
    double shape = 1 / (cv * cv);
    double drawn = shape >= 1
                           ? large_gamma(chance, shape)
                           : large_gamma(chance, shape + 1) * pow(chance_unit(chance), 1 / shape);

    return drawn * mean / shape;
}

double chance_log_normal(struct chance *chance, double median, double sigma)
{
    return median * exp(sigma * draw_normal(chance));
}

int zipf_init(struct zipf *zipf, uint32_t count, double exponent)
{
    double sum = 0;

    zipf->count = count;
    zipf->below = calloc(count, sizeof(*zipf->below));
    if (!zipf->below)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        zipf->below[i] = sum += pow(i + 1, -exponent);
    return 0;
}

void zipf_fini(struct zipf *zipf)
{
    free(zipf->below);
    zipf->below = NULL;
}

uint32_t zipf_draw(const struct zipf *zipf, struct chance *chance)
{
    double wanted = chance_unit(chance) * zipf->below[zipf->count - 1];
    uint32_t low = 0, high = zipf->count - 1;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (zipf->below[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
