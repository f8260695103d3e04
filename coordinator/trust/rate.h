/* How often something may happen in a minute. All zero: nothing has happened yet. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t began_ms; /* of the minute that is counted; env's clock */
    unsigned count;
};

/* True where it may happen once more now; it then counts. */
static inline bool rate_take(struct rate *rate, unsigned per_minute, uint64_t now_ms)
{
    const uint64_t minute_ms = 60 * 1000;
    if (now_ms - rate->began_ms >= minute_ms)
        *rate = (struct rate){.began_ms = now_ms};
    if (rate->count >= per_minute)
        return false;
    rate->count++;
    return true;
}
