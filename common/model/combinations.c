#include "common/model/combinations.h"

#include "common/saturating.h"

#include <assert.h>
#include <stdbool.h>

struct models {
    const uint64_t *bytes;
    size_t count;
    uint64_t limit;
};

/* Whether the set fits, and what it leaves of the limit. */
static bool fits(const struct models *models, unsigned set, uint64_t *ret_left)
{
    uint64_t left = models->limit;

    for (size_t i = 0; i < models->count; i++) {
        if (!(set >> i & 1))
            continue;
        if (models->bytes[i] > left)
            return false;
        left -= models->bytes[i];
    }
    *ret_left = left;
    return true;
}

static bool is_maximal(const struct models *models, unsigned set)
{
    uint64_t left;

    if (!fits(models, set, &left))
        return false;
    for (size_t i = 0; i < models->count; i++)
        if (!(set >> i & 1) && models->bytes[i] <= left)
            return false;
    return true;
}

/* The set of the same size that comes next: with 4 models 0011, 0101, 0110, 1001, … (Gosper). */
static unsigned next_of_size(unsigned set)
{
    unsigned lowest = set & -set, carried = set + lowest;

    return carried | ((set ^ carried) / lowest >> 2);
}

size_t combinations_find(const uint64_t *bytes, size_t count, uint64_t limit_bytes,
        uint16_t ret_sets[COMBINATIONS_SETS_MAX])
{
    struct models models = {.bytes = bytes, .count = count, .limit = limit_bytes};
    size_t found = 0;

    assert(count <= COMBINATIONS_MODELS_MAX);
    for (size_t size = count; size > 0; size--)
        for (unsigned set = (1u << size) - 1; set >> count == 0; set = next_of_size(set))
            if (is_maximal(&models, set))
                ret_sets[found++] = (uint16_t)set;
    return found;
}

static uint32_t longest_of(const struct combination_member *members, size_t count)
{
    uint32_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t own = estimate_context(members[i].shape, &members[i].run, UINT64_MAX);
        longest = own > longest ? own : longest;
    }
    return longest;
}

static uint64_t bytes_at(const struct combination_member *member, uint32_t context)
{
    struct model_run run = member->run;
    struct model_memory memory;
    uint32_t trained = member->shape->context_trained;

    run.context = trained > 0 && trained < context ? trained : context;
    estimate_memory(member->shape, &run, &memory);
    return memory.total_bytes;
}

static bool fit_at(const struct combination_member *members, size_t count, uint32_t context,
        uint64_t limit_bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum = saturating_sum(sum, bytes_at(&members[i], context));
    return sum <= limit_bytes;
}

/* The sum grows with the context, so that halving finds the place. */
uint32_t combinations_context(
        const struct combination_member *members, size_t count, uint64_t limit_bytes)
{
    uint32_t good = 0, bad = longest_of(members, count) / ESTIMATE_CONTEXT_STEP + 1; /* in steps */

    while (bad - good > 1) {
        uint32_t middle = good + (bad - good) / 2;
        if (fit_at(members, count, middle * ESTIMATE_CONTEXT_STEP, limit_bytes))
            good = middle;
        else
            bad = middle;
    }
    return good * ESTIMATE_CONTEXT_STEP;
}
