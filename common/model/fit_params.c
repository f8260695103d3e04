#include "common/model/fit_params.h"

#include "common/number.h"
#include "common/saturating.h"

#include <ctype.h>

#define MIB (UINT64_C(1) << 20)

enum {
    COLUMNS = 3,
    DIGITS_MAX = 12,         /* of a number of MiB */
    BLOCK_ELEMENTS = 32,     /* of a quantised cache type */
    RATIO_ELEMENTS = 1 << 16 /* enough to tell what one element takes */
};

struct cursor {
    const char *at, *end;
};

static bool skip_blanks(struct cursor *cursor)
{
    const char *begin = cursor->at;

    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
        cursor->at++;
    return cursor->at > begin;
}

/* "CUDA0", "Host", "MTL0": a letter first, so that a time stamp is none. */
static bool skip_name(struct cursor *cursor)
{
    if (cursor->at == cursor->end || !isalpha((unsigned char)*cursor->at))
        return false;
    while (cursor->at < cursor->end && isgraph((unsigned char)*cursor->at))
        cursor->at++;
    return true;
}

static bool read_number(struct cursor *cursor, uint64_t *ret_value)
{
    const char *begin = cursor->at;
    uint64_t value = 0;

    for (; cursor->at < cursor->end && isdigit((unsigned char)*cursor->at); cursor->at++) {
        if (cursor->at - begin >= DIGITS_MAX)
            return false;
        value = value * 10 + (uint64_t)(*cursor->at - '0');
    }
    *ret_value = value;
    return cursor->at > begin;
}

static void add_mib(uint64_t *sum, uint64_t mib)
{
    if (mib > 0)
        *sum = saturating_sum(*sum, saturating_product(mib + 1, MIB));
}

bool fit_params_take(struct fit_params *params, const char *line, size_t len)
{
    struct cursor cursor = {.at = line, .end = line + len};
    uint64_t mib[COLUMNS];

    if (!skip_name(&cursor))
        return false;
    for (size_t i = 0; i < COLUMNS; i++)
        if (!skip_blanks(&cursor) || !read_number(&cursor, &mib[i]))
            return false;
    while (cursor.at < cursor.end && isspace((unsigned char)*cursor.at))
        cursor.at++;
    if (cursor.at < cursor.end)
        return false;
    add_mib(&params->tensor_bytes, mib[0]);
    add_mib(&params->context_bytes, mib[1]);
    add_mib(&params->compute_bytes, mib[2]);
    return true;
}

static uint64_t divided_up(uint64_t value, uint64_t by)
{
    return value / by + (value % by > 0);
}

static uint64_t less(uint64_t value, uint64_t by)
{
    return value > by ? value - by : 0;
}

/* Elements of keys that take at least `bytes`. */
static uint64_t elements_for(const struct model_run *run, uint64_t bytes)
{
    uint64_t ratio = cache_type_bytes(run->type_k, RATIO_ELEMENTS);
    uint64_t elements = divided_up(saturating_product(bytes, RATIO_ELEMENTS), ratio);

    return saturating_product(divided_up(elements, BLOCK_ELEMENTS), BLOCK_ELEMENTS);
}

static struct model_memory memory_at(
        const struct model_shape *shape, const struct model_run *run, uint32_t context)
{
    struct model_run at = *run;
    struct model_memory memory;

    at.context = context;
    estimate_memory(shape, &at, &memory);
    return memory;
}

static uint64_t lacking_cache(
        const struct model_shape *shape, const struct model_run *run, const struct fit_point *point)
{
    return less(point->params.context_bytes, memory_at(shape, run, point->context).full_bytes);
}

/* Up to `low` the buffer may be as large from the first tokens on (logits), or grow all the way
 * (attention's mask, which the estimator adds by itself). */
static uint64_t lacking_compute(const struct model_shape *shape, const struct model_run *run,
        const struct fit_point *low, const struct fit_point *high)
{
    uint64_t at_once = memory_at(shape, run, ESTIMATE_CONTEXT_STEP).compute_bytes;
    uint64_t at_high = memory_at(shape, run, high->context).compute_bytes;

    return number_greater(
            less(low->params.compute_bytes, at_once), less(high->params.compute_bytes, at_high));
}

/* What is not seen to grow is counted as state, which is there from the first token on. */
struct model_shape fit_params_shape(const struct model_shape *shape, const struct model_run *run,
        const struct fit_point *low, const struct fit_point *high)
{
    uint64_t sequences = run->sequences > 0 ? run->sequences : 1;
    uint64_t cells = (uint64_t)(high->context - low->context) * sequences;
    uint64_t growth = less(high->params.context_bytes, low->params.context_bytes);
    struct model_shape fitted = {.tensor_bytes = high->params.tensor_bytes,
            .full = {.layers = 1, .k_elements = elements_for(run, divided_up(growth, cells))},
            .layers = shape->layers,
            .context_trained = shape->context_trained};
    uint64_t cache =
            number_greater(lacking_cache(&fitted, run, low), lacking_cache(&fitted, run, high));
    uint64_t constant = saturating_sum(cache, lacking_compute(&fitted, run, low, high));

    fitted.state_bytes = divided_up(constant, sequences);
    return fitted;
}
