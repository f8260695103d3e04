#include "common/model/estimate.h"

#include "common/number.h"
#include "common/saturating.h"

#define MARGIN_MIN (UINT64_C(1) << 30)

enum {
    MARGIN_PCT = 5,
    MARGIN_PART_MAX = 16,          /* of all memory, at most one such part */
    CONTEXT_MAX_UNKNOWN = 1 << 20, /* where the trained length is not known */
    FLOAT_BYTES = 4,
    MASK_BYTES = 2,     /* with flash attention; a float without */
    RESIDUAL_ROWS = 5,  /* of the embedding's width, that live through a layer */
    TRANSIENT_ROWS = 3, /* of the widest step: two factors and their product */
};

/* What a run means in cells. */
struct cells {
    uint64_t streams;      /* caches beside each other */
    uint64_t full, window; /* cells of one stream; 0 where there is no such layer */
    uint64_t batch;        /* tokens computed at once */
};

static uint64_t padded(uint64_t tokens)
{
    return (tokens + ESTIMATE_CONTEXT_STEP - 1) / ESTIMATE_CONTEXT_STEP * ESTIMATE_CONTEXT_STEP;
}

static uint64_t sequences_of(const struct model_run *run)
{
    return run->sequences > 0 ? run->sequences : 1;
}

/* The factors are of 32 bits each, so that nothing here goes past 64. */
static struct cells count_cells(const struct model_shape *shape, const struct model_run *run)
{
    uint64_t sequences = sequences_of(run), sharing = run->unified ? sequences : 1;
    uint64_t context = padded(padded(run->context) * sharing);
    struct cells cells = {.streams = run->unified ? 1 : sequences};

    cells.batch = run->batch_tokens > 0 ? run->batch_tokens : ESTIMATE_BATCH_DEFAULT;
    cells.batch = number_lesser(cells.batch, context * cells.streams);
    if (shape->full.layers > 0)
        cells.full = context;
    if (shape->window.layers > 0)
        cells.window = padded(number_lesser(context, shape->window_tokens * sharing + cells.batch));
    return cells;
}

static uint64_t cache_bytes(const struct model_cell *cell, const struct model_run *run,
        uint64_t cells, uint64_t streams)
{
    uint64_t keys = cache_type_bytes(run->type_k, cell->k_elements);
    uint64_t values = cache_type_bytes(run->type_v, cell->v_elements);

    return saturating_product(saturating_product(saturating_sum(keys, values), cells), streams);
}

static uint64_t floats(uint64_t rows, uint64_t width)
{
    return saturating_product(saturating_product(rows, width), FLOAT_BYTES);
}

/* One step of a layer: the mask with either the scores of attention, which flash attention never
 * keeps, or what the feed-forward part makes. */
static uint64_t layer_bytes(
        const struct model_shape *shape, const struct model_run *run, const struct cells *cells)
{
    uint64_t mask = saturating_product(saturating_sum(cells->full, cells->window), cells->batch);
    uint64_t scores = saturating_product(number_greater(cells->full, cells->window), cells->batch);
    uint64_t width = number_greater(shape->feed_forward, shape->embedding);
    uint64_t widest = floats(cells->batch * TRANSIENT_ROWS, width);

    if (!run->no_flash_attention)
        return saturating_sum(saturating_product(mask, MASK_BYTES), widest);
    return saturating_sum(saturating_product(mask, FLOAT_BYTES),
            number_greater(floats(scores, shape->heads), widest));
}

static uint64_t compute_bytes(
        const struct model_shape *shape, const struct model_run *run, const struct cells *cells)
{
    uint64_t rows =
            run->output_rows > 0 ? number_lesser(run->output_rows, cells->batch) : cells->batch;
    uint64_t residual = floats(cells->batch * RESIDUAL_ROWS, shape->embedding);
    uint64_t step = number_greater(layer_bytes(shape, run, cells), floats(rows, shape->vocabulary));
    uint64_t output = floats(sequences_of(run), shape->vocabulary);

    return saturating_sum(saturating_sum(residual, step), output);
}

static uint64_t total_of(const struct model_memory *memory)
{
    const uint64_t parts[] = {memory->tensor_bytes, memory->full_bytes, memory->window_bytes,
            memory->state_bytes, memory->compute_bytes, memory->projector_bytes,
            memory->draft_bytes};
    uint64_t total = 0;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        total = saturating_sum(total, parts[i]);
    return total;
}

uint64_t estimate_margin(uint64_t bytes)
{
    return number_greater(MARGIN_MIN, bytes / 100 * MARGIN_PCT);
}

/* Where 5 % count, models and margin are 105 parts of which the models have 100. */
uint64_t estimate_usable_bytes(uint64_t memory_bytes)
{
    uint64_t beside_least = saturating_difference(memory_bytes, MARGIN_MIN);
    uint64_t share = memory_bytes / (100 + MARGIN_PCT) * 100;

    return number_greater(
            number_lesser(beside_least, share), memory_bytes - memory_bytes / MARGIN_PART_MAX);
}

void estimate_memory(const struct model_shape *shape, const struct model_run *run,
        struct model_memory *ret_memory)
{
    struct cells cells = count_cells(shape, run);

    *ret_memory = (struct model_memory){.tensor_bytes = shape->tensor_bytes,
            .full_bytes = cache_bytes(&shape->full, run, cells.full, cells.streams),
            .window_bytes = cache_bytes(&shape->window, run, cells.window, cells.streams),
            .state_bytes = saturating_product(shape->state_bytes, sequences_of(run)),
            .compute_bytes = compute_bytes(shape, run, &cells),
            .projector_bytes = run->projector_bytes,
            .draft_bytes = run->draft_bytes};
    ret_memory->total_bytes = total_of(ret_memory);
    ret_memory->margin_bytes = estimate_margin(ret_memory->total_bytes);
}

static bool fits(const struct model_shape *shape, const struct model_run *run, uint32_t context,
        uint64_t bytes)
{
    struct model_run tried = *run;
    struct model_memory memory;

    tried.context = context;
    estimate_memory(shape, &tried, &memory);
    return memory.total_bytes <= bytes;
}

/* The total grows with the context, so that halving finds the place. */
uint32_t estimate_context(
        const struct model_shape *shape, const struct model_run *run, uint64_t bytes)
{
    uint32_t trained = shape->context_trained > 0 ? shape->context_trained : CONTEXT_MAX_UNKNOWN;
    uint32_t good = 0, bad = trained / ESTIMATE_CONTEXT_STEP + 1; /* in steps */

    while (bad - good > 1) {
        uint32_t middle = good + (bad - good) / 2;
        if (fits(shape, run, middle * ESTIMATE_CONTEXT_STEP, bytes))
            good = middle;
        else
            bad = middle;
    }
    return good * ESTIMATE_CONTEXT_STEP;
}
