#include "coordinator/scheduling/cost.h"

const struct cost_term cost_terms[COST_TERM_COUNT] = {
        {"wait", offsetof(struct cost, wait_s)},
        {"load", offsetof(struct cost, load_s)},
        {"swap", offsetof(struct cost, swap_s)},
        {"prefill", offsetof(struct cost, prefill_s)},
        {"round_trip", offsetof(struct cost, rtt_s)},
        {"decode", offsetof(struct cost, decode_s)},
        {"interference", offsetof(struct cost, interference_s)},
        {"quality", offsetof(struct cost, quality_s)},
        {"price", offsetof(struct cost, price_s)},
        {"failure", offsetof(struct cost, failure_s)},
};

double cost_term_s(const struct cost *cost, size_t term)
{
    return *(const double *)(const void *)((const char *)cost + cost_terms[term].offset);
}
