/* The speed of one instance, learnt from its engine's own timings by recursive least squares with
 * forgetting, two lines of two numbers each:
 *
 *   prefill   seconds/n      = 1/R + (d + n/2)/(R·D)     n tokens behind d that were there
 *   decode    seconds/tokens = a + b·B                   B sequences at once
 *
 * Each line is kept as its normal equations (decayed sums over the timings), and solved together
 * with a prior that always has the weight of a timing or so: the prior says what the timings do
 * not. It is sure of the ratio of the two numbers and not of their size, so that a first timing
 * sets the speed of both; as long as all prompts are equally deep D stays about where it was, and
 * nothing winds up. What was learnt fades as it gets old, and leaves the prior.
 *
 * No timing is believed beyond bounds: once there are enough, one that differs from what was
 * expected by more than RATES_CLIP counts as that much; before, by more than RATES_CLIP_FIRST. A
 * stall of a minute so moves a speed by no more than a timing half as slow again. Where the timings
 * differ to the same side again and again, the engine's speed has changed, and what was known is
 * forgotten fast. Pure values. */
#pragma once

#include "coordinator/scheduling/cost.h"

#include <stdbool.h>
#include <stdint.h>

#define RATES_FORGET      0.98             /* weight of what was known, at each new timing … */
#define RATES_FORGET_FAST 0.75             /* … where the speed has changed */
#define RATES_OLD_S       (24 * 60 * 60.0) /* half of its weight has faded after so long */
#define RATES_CLIP        1.5              /* times as long, or as short, as expected */
#define RATES_CLIP_FIRST  8.0

enum {
    RATES_TOKENS_MIN = 32
}; /* a shorter prefill, or answer, says more of the overhead than of
      the speed */

struct rates_line {     /* y = u + v·z: sums over the timings, each weighted and decayed */
    double s1, sz, szz; /* 1, z, z² */
    double t1, tz;      /* y, y·z */
    double weight;      /* timings; a short one counts for less than 1 */
    double drift;       /* decayed mean of log(measured / expected) */
    bool changing;      /* it is far from 0, or was and is not back */
    uint32_t count;     /* timings since the first */
};

struct rates {
    struct cost_rates prior;
    struct rates_line prefill, decode;
    double updated_s;
};

/* What of `prior` is not sound is taken as the nearest that is. */
void rates_init(struct rates *rates, const struct cost_rates *prior, double now_s);
/* More has become known of the host or the model; what was learnt stays. */
void rates_set_prior(struct rates *rates, const struct cost_rates *prior);
/* `tokens` were computed behind `depth` that were there, in `seconds`. Nonsense is ignored. */
void rates_learn_prefill(
        struct rates *rates, double tokens, double depth, double seconds, double now_s);
/* `tokens` were decoded while `sequences` were decoded at once, in the mean. */
void rates_learn_decode(
        struct rates *rates, double tokens, double sequences, double seconds, double now_s);
/* Always sound: R and D above 0 (D may be INFINITY), a above 0, b not below. */
void rates_now(const struct rates *rates, double now_s, struct cost_rates *ret_rates);
/* False where these numbers cannot have been learnt: a file was changed. */
bool rates_are_sound(const struct rates *rates);
