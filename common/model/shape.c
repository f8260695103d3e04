#include "common/model/shape.h"

#include "common/model/architecture.h"
#include "common/model/gguf.h"
#include "common/number.h"
#include "common/saturating.h"

#include <stddef.h>

enum {
    FEED_FORWARD_USUAL = 4, /* times the embedding */
    F32_BYTES = 4,
    TOKEN_SHIFTS_DEFAULT = 2, /* of RWKV */
    KDA_CONVOLUTIONS = 3,     /* of queries, keys and values each (Kimi Linear) */
    KDA_KERNEL_DEFAULT = 4,
};

/* Where the architecture is not known. */
static const struct architecture worst = {.plan = PLAN_BOTH, .indexer = true, .looped = true};

/* What is looked at for each layer. */
struct reading {
    const struct gguf_facts *facts;
    const struct architecture *architecture;
    uint32_t layers; /* that take part in answering */
    uint32_t window; /* tokens; 0: none */
    uint64_t k_head, v_head, k_head_window, v_head_window;
    bool latent; /* keys are all there is */
    bool bound;  /* not known: what is most */
};

enum layer_kind { LAYER_NOTHING, LAYER_ATTENTION, LAYER_STATE, LAYER_BOTH };

static uint32_t said(uint32_t number, uint32_t otherwise)
{
    return number == GGUF_NOT_SAID ? otherwise : number;
}

static uint32_t greatest(const struct gguf_per_layer *numbers)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < numbers->count; i++)
        if (numbers->values[i] > value)
            value = numbers->values[i];
    return value;
}

/* Of a layer behind the end of an array the greatest number of all: an upper bound. */
static uint32_t of_layer(const struct gguf_per_layer *numbers, uint32_t layer, uint32_t otherwise)
{
    if (numbers->count == 0)
        return otherwise;
    if (!numbers->array)
        return numbers->values[0];
    return layer < numbers->count ? numbers->values[layer] : greatest(numbers);
}

/* --- what the numbers say together --- */

static uint32_t heads(const struct gguf_facts *facts)
{
    return greatest(&facts->head_count);
}

/* Every token of the vocabulary has so many parameters. */
static uint32_t embedding_most(const struct gguf_facts *facts)
{
    uint64_t most = facts->info.parameters / (facts->tokens > 0 ? facts->tokens : 1);

    return (uint32_t)number_lesser(most, GGUF_NOT_SAID - 1);
}

/* The numbers of a projector have other names. */
static uint32_t embedding_of(const struct gguf_facts *facts)
{
    return said(facts->numbers.embedding_length,
            gguf_is_projector(&facts->info) ? 0 : embedding_most(facts));
}

static uint64_t default_head(const struct gguf_facts *facts)
{
    uint64_t embedding = embedding_of(facts);
    uint32_t first = of_layer(&facts->head_count, 0, 1);

    if (first == 0)
        first = heads(facts);
    return first == 0 ? 0 : embedding / first;
}

/* llama.cpp, llama_hparams: heads of windows are like the others unless the file says otherwise. */
static void read_heads(struct reading *r)
{
    const struct gguf_numbers *numbers = &r->facts->numbers;
    uint64_t head = default_head(r->facts);

    r->k_head = numbers->key_length == GGUF_NOT_SAID ? head : numbers->key_length;
    r->v_head = numbers->value_length == GGUF_NOT_SAID ? head : numbers->value_length;
    r->k_head_window =
            numbers->key_length_swa == GGUF_NOT_SAID ? r->k_head : numbers->key_length_swa;
    r->v_head_window =
            numbers->value_length_swa == GGUF_NOT_SAID ? r->v_head : numbers->value_length_swa;
    r->latent = r->architecture->latent && said(numbers->key_length_mla, 0) > 0 &&
                said(numbers->value_length_mla, 0) > 0;
    if (r->bound) {
        r->k_head = number_greater(r->k_head, r->k_head_window);
        r->v_head = number_greater(r->v_head, r->v_head_window);
    }
}

/* A layer has a tensor at least. */
static uint32_t all_layers(const struct gguf_facts *facts)
{
    uint32_t told = facts->numbers.block_count;
    uint64_t layers = told == GGUF_NOT_SAID ? facts->info.tensor_count : told;

    return (uint32_t)number_lesser(layers, MODEL_LAYERS_MAX);
}

/* The layers that predict further tokens come last, and the engine gives them no cache. */
static uint32_t answering_layers(const struct gguf_facts *facts)
{
    uint32_t all = all_layers(facts), further = said(facts->numbers.nextn_predict_layers, 0);

    return further < all ? all - further : all;
}

static uint32_t window_tokens(const struct reading *r)
{
    const struct architecture *a = r->architecture;
    uint32_t window = said(r->facts->numbers.sliding_window, a->window_default);

    if (a->window == WINDOW_NOWHERE || window == 0)
        return 0;
    if (a->window_layers > 0 && a->window_layers != r->layers)
        return 0;
    return a->window_fixed > 0 ? a->window_fixed : window;
}

static bool has_window(const struct reading *r, uint32_t layer)
{
    const struct gguf_per_layer *pattern = &r->facts->sliding_window_pattern;
    uint32_t period;

    if (r->window == 0 || r->architecture->window == WINDOW_EVERYWHERE)
        return r->window > 0;
    if (pattern->array)
        return layer < pattern->count && pattern->values[layer] != 0;
    period = of_layer(pattern, 0, r->architecture->period);
    if (period == 0)
        return true;
    return layer % period != (r->architecture->full_first ? 0 : period - 1);
}

static bool has_cache(const struct reading *r, uint32_t layer)
{
    const struct architecture *a = r->architecture;

    if (a->shared_tail) {
        uint32_t shared = said(r->facts->numbers.shared_kv_layers, 0);
        return shared >= r->layers || layer < r->layers - shared;
    }
    return a->cached_layers == 0 || layer < a->cached_layers;
}

static uint32_t cache_heads(const struct reading *r, uint32_t layer)
{
    uint32_t count = of_layer(&r->facts->head_count, layer, 1);

    return of_layer(&r->facts->head_count_kv, layer, count);
}

static enum layer_kind kind_by_interval(const struct reading *r, uint32_t layer)
{
    const struct gguf_per_layer *recurrent = &r->facts->recurrent_layers;
    uint32_t interval = said(r->facts->numbers.full_attention_interval, r->architecture->interval);

    if (recurrent->array)
        return of_layer(recurrent, layer, 0) != 0 ? LAYER_STATE : LAYER_ATTENTION;
    if (interval == 0)
        return LAYER_STATE;
    return layer % interval == interval - 1 ? LAYER_ATTENTION : LAYER_STATE;
}

static enum layer_kind layer_kind(const struct reading *r, uint32_t layer)
{
    switch (r->architecture->plan) {
    case PLAN_ATTENTION:
        return LAYER_ATTENTION;
    case PLAN_NOTHING:
        return LAYER_NOTHING;
    case PLAN_STATE:
        return LAYER_STATE;
    case PLAN_BOTH:
        return LAYER_BOTH;
    case PLAN_BY_PART:
        if (of_layer(&r->facts->feed_forward_length, layer, 0) > 0)
            return LAYER_NOTHING;
        break;
    case PLAN_INTERVAL:
        return kind_by_interval(r, layer);
    case PLAN_BY_HEADS:
        break;
    }
    return cache_heads(r, layer) > 0 ? LAYER_ATTENTION : LAYER_STATE;
}

/* --- recurrent state, in values of one layer and sequence --- */

static uint64_t square(uint64_t value)
{
    return saturating_product(value, value);
}

static uint64_t steps(uint32_t kernel)
{
    return kernel > 0 ? kernel - 1 : 0;
}

/* RWKV: the last tokens, and a matrix of each head. */
static uint64_t wkv_state(const struct gguf_facts *facts)
{
    const struct gguf_numbers *numbers = &facts->numbers;
    uint64_t width = (uint64_t)said(numbers->token_shift_count, TOKEN_SHIFTS_DEFAULT) +
                     said(numbers->wkv_head_size, 0);

    return saturating_product(embedding_of(facts), width);
}

static uint64_t kda_state(const struct gguf_facts *facts)
{
    uint64_t head = said(facts->numbers.kda_head_dim, 0);
    uint64_t kept = KDA_CONVOLUTIONS * steps(said(facts->numbers.conv_kernel, KDA_KERNEL_DEFAULT));
    uint64_t of_head = saturating_sum(saturating_product(kept, head), square(head));

    return saturating_product(of_head, heads(facts));
}

/* conv + ssm: (d_conv-1)(d_inner + 2 n_group d_state) + d_state d_inner. */
static uint64_t ssm_state(const struct gguf_numbers *numbers)
{
    uint64_t inner = said(numbers->inner_size, 0), state = said(numbers->state_size, 0);
    uint64_t groups = saturating_product(2 * (uint64_t)said(numbers->group_count, 0), state);
    uint64_t conv =
            saturating_product(steps(said(numbers->conv_kernel, 0)), saturating_sum(inner, groups));

    return saturating_sum(conv, saturating_product(state, inner));
}

/* Whether a file whose architecture is not known has anything recurrent. */
static bool says_state(const struct gguf_numbers *numbers)
{
    return said(numbers->inner_size, 0) > 0 || said(numbers->wkv_head_size, 0) > 0 ||
           said(numbers->l_cache, 0) > 0 || said(numbers->kda_head_dim, 0) > 0 ||
           numbers->full_attention_interval != GGUF_NOT_SAID;
}

static uint64_t state_of(const struct reading *r, enum state_plan plan)
{
    const struct gguf_numbers *numbers = &r->facts->numbers;

    switch (plan) {
    case STATE_WKV:
        return wkv_state(r->facts);
    case STATE_CONV:
        return saturating_product(embedding_of(r->facts), steps(said(numbers->l_cache, 0)));
    case STATE_KDA:
        return kda_state(r->facts);
    case STATE_SQUARE:
        return saturating_product(square(r->k_head), heads(r->facts));
    case STATE_SSM:
    case STATE_PLAN_COUNT:
        break;
    }
    return ssm_state(numbers);
}

static uint64_t layer_state(const struct reading *r)
{
    uint64_t most = 0;

    if (!r->bound)
        return state_of(r, r->architecture->state);
    if (!says_state(&r->facts->numbers))
        return 0;
    for (unsigned plan = 0; plan < STATE_PLAN_COUNT; plan++)
        most = number_greater(most, state_of(r, (enum state_plan)plan));
    return most;
}

/* --- adding up --- */

static void add_cell(struct model_cell *cell, uint64_t k, uint64_t v)
{
    if (k == 0 && v == 0)
        return;
    cell->layers++;
    cell->k_elements = saturating_sum(cell->k_elements, k);
    cell->v_elements = saturating_sum(cell->v_elements, v);
}

static void add_attention(const struct reading *r, uint32_t layer, struct model_shape *shape)
{
    uint64_t count = cache_heads(r, layer);
    bool window = has_window(r, layer);
    uint64_t k = saturating_product(count, window ? r->k_head_window : r->k_head);
    uint64_t v = saturating_product(count, window ? r->v_head_window : r->v_head);

    if (!has_cache(r, layer))
        return;
    if (r->architecture->indexer)
        k = saturating_sum(k, said(r->facts->numbers.indexer_key_length, 0));
    add_cell(window ? &shape->window : &shape->full, k, r->latent ? 0 : v);
}

static void add_layer(const struct reading *r, uint32_t layer, struct model_shape *shape)
{
    enum layer_kind kind = layer_kind(r, layer);

    if (kind == LAYER_ATTENTION || kind == LAYER_BOTH)
        add_attention(r, layer, shape);
    if (kind == LAYER_STATE || kind == LAYER_BOTH)
        shape->state_bytes =
                saturating_sum(shape->state_bytes, saturating_product(layer_state(r), F32_BYTES));
}

static void multiply(struct model_cell *cell, uint32_t by)
{
    uint64_t layers = saturating_product(cell->layers, by);

    cell->layers = layers > UINT32_MAX ? UINT32_MAX : (uint32_t)layers;
    cell->k_elements = saturating_product(cell->k_elements, by);
    cell->v_elements = saturating_product(cell->v_elements, by);
}

static void add_layers(const struct reading *r, struct model_shape *shape)
{
    for (uint32_t layer = 0; layer < r->layers; layer++)
        add_layer(r, layer, shape);
    if (r->architecture->looped) {
        uint32_t loops = said(r->facts->numbers.num_loops, 1);
        multiply(&shape->full, loops > 0 ? loops : 1);
    }
    if (shape->window.layers > 0)
        shape->window_tokens = r->window;
}

/* No word of layers or widths, an array that ends before the layers do, or more of them than are
 * looked at. */
static bool lacks_facts(const struct gguf_facts *facts)
{
    const struct gguf_per_layer *arrays[] = {&facts->head_count, &facts->head_count_kv,
            &facts->feed_forward_length, &facts->sliding_window_pattern, &facts->recurrent_layers};

    if (facts->numbers.block_count == GGUF_NOT_SAID ||
            facts->numbers.embedding_length == GGUF_NOT_SAID)
        return !gguf_is_projector(&facts->info);
    if (facts->numbers.block_count > MODEL_LAYERS_MAX)
        return true;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (arrays[i]->overlong || (arrays[i]->array && arrays[i]->count < answering_layers(facts)))
            return true;
    return false;
}

/* The widest that is computed at once: of a mixture, the experts of one token together. Where that
 * is not known for sure, at least as wide as most are. */
static uint32_t feed_forward(const struct gguf_facts *facts, bool bound)
{
    const struct gguf_numbers *numbers = &facts->numbers;
    uint64_t experts = saturating_product(
            said(numbers->expert_used_count, 0), said(numbers->expert_feed_forward_length, 0));
    uint64_t mixture = saturating_sum(experts, said(numbers->expert_shared_feed_forward_length, 0));
    uint64_t width = number_greater(mixture, greatest(&facts->feed_forward_length));

    if (bound)
        width = number_greater(width, (uint64_t)FEED_FORWARD_USUAL * embedding_of(facts));
    return width > UINT32_MAX ? UINT32_MAX : (uint32_t)width;
}

static void read_widths(const struct gguf_facts *facts, struct model_shape *shape)
{
    const struct gguf_numbers *numbers = &facts->numbers;

    shape->tensor_bytes = facts->tensor_bytes;
    shape->input_bytes =
            saturating_sum(facts->has_output ? facts->token_bytes : 0, facts->layer_token_bytes);
    shape->layers = said(numbers->block_count, 0);
    shape->embedding = embedding_of(facts);
    shape->vocabulary = facts->tokens > 0 ? facts->tokens : said(numbers->vocab_size, 0);
    shape->feed_forward = feed_forward(facts, shape->bound);
    shape->heads = heads(facts);
    shape->context_trained = said(numbers->context_length, 0);
}

void model_shape_of(const struct gguf_facts *facts, struct model_shape *ret_shape)
{
    const struct architecture *known = architecture_find(facts->info.architecture);
    bool bound = known == NULL || lacks_facts(facts);
    struct model_shape shape = {.bound = bound};
    struct reading r = {.facts = facts, .architecture = bound ? &worst : known, .bound = bound};

    r.layers = bound ? all_layers(facts) : answering_layers(facts);
    r.window = window_tokens(&r);
    read_heads(&r);
    read_widths(facts, &shape);
    add_layers(&r, &shape);
    *ret_shape = shape;
}
