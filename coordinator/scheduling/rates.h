/* The speed of one instance, learnt from its engine's own timings by recursive least squares with
 * forgetting: prefill seconds = n/R + (n·d + n²/2)/(R·D), linear in 1/R and 1/(R·D); seconds of a
 * decode step = a + b·B. It begins with a prior and goes back to it as what was learnt gets old.
 * Pure values. */
#pragma once

#include "coordinator/scheduling/cost.h"

#include <stdint.h>

#define RATES_FORGET 0.98             /* weight of what was known, at each new timing */
#define RATES_OLD_S  (24 * 60 * 60.0) /* half of what was learnt is forgotten after so long */
#define RATES_TOKENS_MIN                                                                           \
    32 /* a shorter prefill, or answer, says more of the overhead than of the                      \
          speed */

struct rates_line { /* y = u·x1 + v·x2 */
    double u, v, p11, p12, p22;
    uint32_t count; /* timings */
};

struct rates {
    struct cost_rates prior;
    struct rates_line prefill, decode;
    double updated_s;
};

/* A prior from what is known before the first request: bytes that a decode step reads, the memory
 * bandwidth in bytes a second (0: not known), parameters (0: not known). */
void rates_prior(uint64_t model_bytes, uint64_t bandwidth_bytes, uint64_t parameters,
        struct cost_rates *ret_prior);

void rates_init(struct rates *rates, const struct cost_rates *prior, double now_s);
/* `tokens` were computed behind `depth` that were there, in `seconds`. Nonsense is ignored. */
void rates_learn_prefill(
        struct rates *rates, double tokens, double depth, double seconds, double now_s);
/* `tokens` were decoded while `sequences` were decoded at once, in the mean. */
void rates_learn_decode(
        struct rates *rates, double tokens, double sequences, double seconds, double now_s);
/* Always sound: rates above 0 that cost_prefill_s() can take. */
void rates_now(const struct rates *rates, double now_s, struct cost_rates *ret_rates);
