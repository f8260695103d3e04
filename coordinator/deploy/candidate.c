#include "coordinator/deploy/candidate.h"

#include <string.h>

/* Positive where the larger number is `a`'s. */
static int compare(double a, double b)
{
    return (a > b) - (a < b);
}

/* True where `a` is the better one; of both it is known that they can. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    int order = compare((double)b->way, (double)a->way);
    if (!order)
        order = compare((double)a->bandwidth_bytes, (double)b->bandwidth_bytes);
    if (!order)
        order = compare((double)a->decode_tok_s, (double)b->decode_tok_s);
    if (!order)
        order = compare((double)a->free_bytes, (double)b->free_bytes);
    return order ? order > 0 : strcmp(a->node, b->node) < 0;
}

size_t candidate_choose(const struct candidate *candidates, size_t count)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].way == ORDER_WAY_NONE)
            continue;
        if (best == count || is_better(&candidates[i], &candidates[best]))
            best = i;
    }
    return best;
}
