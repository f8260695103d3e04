#include "node/footprint.h"

#include "common/saturating.h"
#include "node/backends/backend.h"
#include "proto/codec.h"

static bool makes_vectors(const struct catalogue_model *model)
{
    return model->capabilities & (CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK);
}

static void estimate(const struct catalogue_model *model, uint32_t context, uint32_t slots,
        struct footprint *ret_footprint)
{
    const struct model_run run = {.context = context,
            .sequences = slots,
            .type_k = CACHE_TYPE_F16,
            .type_v = CACHE_TYPE_F16,
            .batch_tokens = makes_vectors(model) ? BACKEND_EMBEDDING_BATCH : 0};

    ret_footprint->context = context;
    estimate_memory(&model->shape, &run, &ret_footprint->memory);
}

static bool cache_is_large(const struct model_memory *memory)
{
    uint64_t cache = saturating_sum(memory->full_bytes, memory->window_bytes);

    return cache > memory->tensor_bytes && cache > FOOTPRINT_CACHE_FREE_BYTES;
}

static void choose_context(
        const struct catalogue_model *model, uint32_t slots, struct footprint *ret_footprint)
{
    uint32_t context = model->context;

    estimate(model, context, slots, ret_footprint);
    while (cache_is_large(&ret_footprint->memory) && context / 2 >= FOOTPRINT_CONTEXT_MIN) {
        context /= 2;
        estimate(model, context, slots, ret_footprint);
    }
}

static void assume(
        const struct catalogue_model *model, uint32_t context, struct footprint *ret_footprint)
{
    uint64_t rest = model->file_bytes / FOOTPRINT_UNKNOWN_DIVISOR;

    if (rest < FOOTPRINT_UNKNOWN_MIN_BYTES)
        rest = FOOTPRINT_UNKNOWN_MIN_BYTES;
    *ret_footprint = (struct footprint){.context = context,
            .memory = {.tensor_bytes = model->file_bytes,
                    .compute_bytes = rest,
                    .total_bytes = saturating_sum(model->file_bytes, rest)}};
}

void footprint_of(const struct catalogue_model *model, uint32_t context, uint32_t slots,
        struct footprint *ret_footprint)
{
    if (context > model->context && model->context > 0)
        context = model->context;
    if (model->shape.tensor_bytes == 0 || (context == 0 && model->context == 0))
        assume(model, context > 0 ? context : model->context, ret_footprint);
    else if (context > 0)
        estimate(model, context, slots, ret_footprint);
    else
        choose_context(model, slots, ret_footprint);
}
