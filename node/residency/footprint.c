#include "node/residency/footprint.h"

#include "common/number.h"
#include "common/saturating.h"
#include "node/backends/engine_batch.h"

enum { MIB = 1024 * 1024 };

/* A draft model has a cache of its own, as long as that of the model. */
static uint64_t draft_bytes(const struct model_settings *settings, uint32_t context)
{
    const struct model_run run = {.context = context, .sequences = settings->slots};
    struct model_memory memory;

    if (settings->draft == NULL)
        return 0;
    estimate_memory(&settings->draft_shape, &run, &memory);
    return memory.total_bytes;
}

struct model_run footprint_run(const struct catalogue_model *model,
        const struct model_settings *settings, uint32_t context)
{
    return (struct model_run){.context = context,
            .sequences = settings->slots,
            .type_k = settings->type_k,
            .type_v = settings->type_v,
            .batch_tokens = engine_batch_tokens(model->capabilities, context),
            .projector_bytes = settings->projector_bytes,
            .draft_bytes = draft_bytes(settings, context)};
}

void footprint_set_rows(struct model_run *run, uint32_t rows_of_sequence)
{
    uint64_t rows = (uint64_t)rows_of_sequence * run->sequences;

    if (run->batch_tokens == 0)
        run->output_rows = (uint32_t)number_lesser(rows, ESTIMATE_BATCH_DEFAULT);
}

uint64_t footprint_bytes(const struct model_shape *shape, struct model_run run,
        uint32_t rows_of_sequence, uint64_t otherwise)
{
    struct model_memory memory;

    footprint_set_rows(&run, rows_of_sequence);
    if (run.output_rows == 0 || run.context == 0 || shape->tensor_bytes == 0)
        return otherwise;
    estimate_memory(shape, &run, &memory);
    return memory.total_bytes;
}

static void estimate(const struct catalogue_model *model, const struct model_settings *settings,
        uint32_t context, struct footprint *ret_footprint)
{
    const struct model_run run = footprint_run(model, settings, context);

    *ret_footprint = (struct footprint){.context = context};
    estimate_memory(&model->shape, &run, &ret_footprint->memory);
}

static bool cache_is_large(const struct model_memory *memory)
{
    uint64_t cache = saturating_sum(memory->full_bytes, memory->window_bytes);

    return cache > memory->tensor_bytes && cache > FOOTPRINT_CACHE_FREE_BYTES;
}

static void choose_context(const struct catalogue_model *model,
        const struct model_settings *settings, const struct footprint_room *room,
        struct footprint *ret_footprint)
{
    uint32_t context = model->context;

    estimate(model, settings, context, ret_footprint);
    while (cache_is_large(&ret_footprint->memory) && context / 2 >= FOOTPRINT_CONTEXT_MIN) {
        context /= 2;
        estimate(model, settings, context, ret_footprint);
    }
    while (ret_footprint->memory.total_bytes > room->limit_bytes &&
            context / 2 >= FOOTPRINT_CONTEXT_LEAST) {
        context /= 2;
        estimate(model, settings, context, ret_footprint);
    }
}

/* Only where even that does not fit: else the context that is wanted is refused, with the numbers.
 */
static void reduce_to_swap(const struct catalogue_model *model,
        const struct model_settings *settings, const struct footprint_room *room,
        struct footprint *footprint)
{
    struct footprint reduced;

    if (room->swap_bytes == 0 || footprint->context <= FOOTPRINT_CONTEXT_SWAPPED ||
            footprint->memory.total_bytes <= room->limit_bytes)
        return;
    estimate(model, settings, FOOTPRINT_CONTEXT_SWAPPED, &reduced);
    if (reduced.memory.total_bytes > room->limit_bytes)
        *footprint = reduced;
}

static void assume(const struct catalogue_model *model, const struct model_settings *settings,
        uint32_t context, struct footprint *ret_footprint)
{
    uint64_t rest = model->file_bytes / FOOTPRINT_UNKNOWN_DIVISOR;
    uint64_t side = saturating_sum(settings->projector_bytes, draft_bytes(settings, context));

    if (rest < FOOTPRINT_UNKNOWN_MIN_BYTES)
        rest = FOOTPRINT_UNKNOWN_MIN_BYTES;
    *ret_footprint = (struct footprint){.context = context,
            .memory = {.tensor_bytes = model->file_bytes,
                    .compute_bytes = rest,
                    .total_bytes = saturating_sum(saturating_sum(model->file_bytes, rest), side)}};
}

static uint64_t whole_mib(uint64_t bytes)
{
    return bytes / MIB * MIB;
}

static uint64_t choose_prompt_cache(const struct model_settings *settings,
        const struct footprint_room *room, const struct model_memory *memory)
{
    uint64_t slots_cache = saturating_sum(
            saturating_sum(memory->full_bytes, memory->window_bytes), memory->state_bytes);

    if (settings->prompt_cache_set)
        return whole_mib(settings->prompt_cache_bytes);
    if (slots_cache == 0)
        return whole_mib(room->prompt_cache_bytes);
    return whole_mib(number_lesser(room->prompt_cache_bytes,
            saturating_product(slots_cache, FOOTPRINT_PROMPTS_PER_CACHE)));
}

/* A checkpoint holds what cannot be computed from the tokens before it. */
static void add_prompt_cache(const struct catalogue_model *model,
        const struct model_settings *settings, const struct footprint_room *room,
        struct footprint *footprint)
{
    const struct model_memory *memory = &footprint->memory;

    if (engine_batch_tokens(model->capabilities, footprint->context) > 0)
        return;
    footprint->prompt_cache_bytes = choose_prompt_cache(settings, room, memory);
    footprint->checkpoint_bytes = saturating_sum(memory->window_bytes, memory->state_bytes);
}

uint32_t footprint_checkpoints(uint64_t checkpoint_bytes, uint64_t prompt_cache_bytes)
{
    uint64_t count = checkpoint_bytes == 0 ? 0 : prompt_cache_bytes / 2 / checkpoint_bytes;

    if (checkpoint_bytes == 0)
        return 0;
    return (uint32_t)number_greater(1, number_lesser(count, FOOTPRINT_CHECKPOINTS_MAX));
}

static void footprint_of_context(const struct catalogue_model *model,
        const struct model_settings *settings, const struct footprint_room *room,
        struct footprint *ret_footprint)
{
    uint32_t context = settings->context;

    if (context > model->context && model->context > 0)
        context = model->context;
    if (model->shape.tensor_bytes == 0 || (context == 0 && model->context == 0)) {
        assume(model, settings, context > 0 ? context : model->context, ret_footprint);
        return;
    }
    if (context > 0)
        estimate(model, settings, context, ret_footprint);
    else
        choose_context(model, settings, room, ret_footprint);
    reduce_to_swap(model, settings, room, ret_footprint);
}

void footprint_of(const struct catalogue_model *model, const struct model_settings *settings,
        const struct footprint_room *room, struct footprint *ret_footprint)
{
    footprint_of_context(model, settings, room, ret_footprint);
    add_prompt_cache(model, settings, room, ret_footprint);
}
