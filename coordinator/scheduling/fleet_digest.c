#include "coordinator/scheduling/fleet_digest.h"

#include "coordinator/scheduling/prefix_index.h"
#include "coordinator/scheduling/refusal.h"

#include <assert.h>
#include <math.h>
#include <stdalign.h>
#include <string.h>

static_assert(sizeof(struct fleet_block) == 68 * FLEET_LANES, "about a cache line each");
static_assert(alignof(struct fleet_block) <= alignof(max_align_t), "malloc gives memory for it");

typedef int32_t mask_lanes __attribute__((vector_size(16))); /* of each lane all bits, or none */

/* Nothing has begun it, neither we nor its node: it would begin with this request. */
static bool begins_load(const struct fleet_instance *it)
{
    return it->state != INSTANCE_RESIDENT && it->state != INSTANCE_LOADING && it->running == 0;
}

static double load_price_s(const struct fleet_instance *it)
{
    return begins_load(it) && !it->ordered ? FLEET_LOAD_PRICE * (double)it->load_s : 0;
}

static double free_s(const struct fleet_instance *it)
{
    bool is_loading = it->state == INSTANCE_LOADING;
    return is_loading ? cost_most(it->prefill_done_s, it->ready_s) : it->prefill_done_s;
}

static double queue_s(const struct fleet_instance *it, uint32_t pass)
{
    double promised_s = fleet_promised(it, pass) ? (double)it->promised_prefill_s : 0;
    return cost_bounded(promised_s) + (begins_load(it) ? cost_bounded((double)it->load_s) : 0);
}

static double slots_of(const struct fleet_instance *it)
{
    return it->slots ? it->slots : 1;
}

static double ahead_of(const struct fleet_instance *it, uint32_t pass)
{
    return (double)it->running + fleet_promised(it, pass);
}

/* Behind slot_free_s, which knows of those that run: a turn for each that is promised beyond. */
static double slot_queue_s(const struct fleet_instance *it, uint32_t pass)
{
    double beyond = ahead_of(it, pass) - cost_most(it->running, slots_of(it));
    return cost_bounded(cost_most(beyond, 0) * (double)it->slot_turn_s);
}

/* Only where it has none free: what is promised takes those that are. */
static double slot_free_s(const struct fleet_instance *it, uint32_t pass)
{
    return ahead_of(it, pass) < slots_of(it) ? 0 : it->slot_free_s;
}

void fleet_cost_state(const struct fleet_instance *instance, uint32_t pass, double held_tokens,
        double now_s, struct cost_state *ret_state)
{
    double load_s = begins_load(instance) ? (double)instance->load_s : 0;
    if (instance->state == INSTANCE_LOADING)
        load_s = instance->ready_s - now_s;
    *ret_state = (struct cost_state){
            .rates = &instance->rates,
            .held_tokens = held_tokens,
            .prefill_queue_s = cost_most(free_s(instance) - now_s, 0) + queue_s(instance, pass),
            .slot_wait_s = cost_most(slot_free_s(instance, pass) - now_s, 0) +
                           slot_queue_s(instance, pass),
            .load_s = load_s,
            .swap_token_s = (double)instance->swap_token_s,
            .rtt_s = (double)instance->rtt_s,
            .price_s = (double)instance->price_s + load_price_s(instance),
            .failure_rate = (double)instance->failure_rate,
            .running = ahead_of(instance, pass),
            .slots = slots_of(instance),
    };
}

uint32_t fleet_digest_loaded(const struct fleet_instance *instance)
{
    if (instance->state == INSTANCE_RESIDENT)
        return FLEET_ABLE_RESIDENT | FLEET_ABLE_LOADED;
    return instance->state == INSTANCE_LOADING ? FLEET_ABLE_LOADED : 0;
}

static uint32_t able(const struct fleet_instance *it)
{
    uint32_t bits = refusal_abilities(it) | fleet_digest_loaded(it);
    enum refusal refusal = refusal_for_all(it);
    if (refusal == REFUSAL_NONE)
        bits |= FLEET_ABLE_OPEN;
    if (refusal == REFUSAL_NONE || refusal == REFUSAL_TRIPPED)
        bits |= FLEET_ABLE_ALIVE;
    return it->batch_only ? bits : bits | FLEET_ABLE_INTERACTIVE;
}

static double fixed_s(const struct fleet_instance *it)
{
    return cost_bounded((double)it->rtt_s) + cost_bounded((double)it->price_s + load_price_s(it)) +
           cost_bounded((double)it->failure_rate * COST_RETRY_S);
}

void fleet_digest_make(const struct fleet_instance *instance, uint32_t pass,
        struct fleet_block *block, size_t lane)
{
    double slots = slots_of(instance), ahead = ahead_of(instance, pass);
    double step_s = cost_step_s(&instance->rates, cost_least(ahead + 1, slots));
    block->free_s[lane] = free_s(instance);
    block->slot_free_s[lane] = slot_free_s(instance, pass);
    block->queue_s[lane] = (float)queue_s(instance, pass);
    block->slot_queue_s[lane] = (float)slot_queue_s(instance, pass);
    block->token_s[lane] = (float)cost_bounded(1 / (double)instance->rates.prefill_tok_s);
    block->depth_share[lane] = (float)cost_bounded(1 / (double)instance->rates.half_depth);
    block->swap_token_s[lane] = instance->swap_token_s;
    block->step_s[lane] = (float)step_s;
    block->batch_share[lane] = (float)(cost_least(ahead, slots) / slots);
    block->fixed_s[lane] = (float)fixed_s(instance);
    block->context[lane] = instance->context ? (float)instance->context : INFINITY;
    block->quality[lane] = instance->quality;
    block->able[lane] = able(instance);
    block->epoch[lane] = instance->epoch;
    block->holder[lane] = instance->holder;
}

void fleet_digest_clear(struct fleet_block *block, size_t lane)
{
    block->able[lane] = 0;
    block->epoch[lane] = 0;
    block->holder[lane] = PREFIX_NO_HOLDER;
}

static inline fleet_lanes all(float value)
{
    return (fleet_lanes){value, value, value, value};
}

static inline fleet_lanes pick(mask_lanes where, fleet_lanes yes, fleet_lanes no)
{
    return (fleet_lanes)((where & (mask_lanes)yes) | (~where & (mask_lanes)no));
}

static inline fleet_lanes more(fleet_lanes a, fleet_lanes b)
{
    return pick(a > b, a, b);
}

static inline float held_by(const uint32_t *held_blocks, uint32_t holder)
{
    return holder != PREFIX_NO_HOLDER ? (float)(int32_t)held_blocks[holder] : 0;
}

static inline fleet_lanes held_tokens(
        const struct fleet_question *question, const struct fleet_block *block)
{
    const uint32_t *blocks = question->held_blocks;
    fleet_lanes prompt = all(question->prompt_tokens);
    if (!blocks)
        return all(0);
    fleet_lanes held = {held_by(blocks, block->holder[0]), held_by(blocks, block->holder[1]),
            held_by(blocks, block->holder[2]), held_by(blocks, block->holder[3])};
    held *= question->block_tokens;
    return pick(held < prompt, held, prompt);
}

/* Until `times`, or none. */
static inline fleet_lanes until(const fleet_times *times, double now_s)
{
    return more(__builtin_convertvector(*times - now_s, fleet_lanes), all(0));
}

static inline fleet_lanes wait_s(const struct fleet_block *block, double now_s)
{
    return more(until(&block->free_s, now_s) + block->queue_s,
            until(&block->slot_free_s, now_s) + block->slot_queue_s);
}

static inline fleet_lanes prefill_s(
        const struct fleet_question *question, const struct fleet_block *block, fleet_lanes held)
{
    fleet_lanes computed = question->prompt_tokens - held;
    return computed * (1 + (held + computed / 2) * block->depth_share) * block->token_s;
}

static inline fleet_lanes quality_of(
        const struct fleet_question *question, const struct fleet_block *block)
{
    return question->quality > 0 ? all(question->quality) : block->quality;
}

static inline mask_lanes infeasible(
        const struct fleet_question *question, const struct fleet_block *block)
{
    return ((question->needs & ~block->able) != 0) |
           (quality_of(question, block) < question->quality_floor) |
           (block->context < question->whole_tokens);
}

static inline fleet_lanes total_s(
        const struct fleet_question *question, const struct fleet_block *block)
{
    fleet_lanes missing = more(question->quality_wanted - quality_of(question, block), all(0));
    fleet_lanes held = held_tokens(question, block);
    fleet_lanes total =
            wait_s(block, question->now_s) + held * block->swap_token_s +
            prefill_s(question, block, held) * (1 + question->gamma * block->batch_share) +
            question->decode_steps * block->step_s + question->sigma * missing + block->fixed_s;
    return pick(infeasible(question, block), all(INFINITY), total);
}

/* Compiled twice: where the processor has AVX2 it takes a third less time. The results are the
 * same. */
#ifdef __x86_64__
#define WITH_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define WITH_AVX2
#endif

WITH_AVX2 static void fill_totals(const struct fleet_question *question,
        const struct fleet_block *blocks, size_t count, float *ret_totals)
{
    const struct fleet_question asked = *question;
    for (size_t i = 0; i < count; i++) {
        fleet_lanes total = total_s(&asked, &blocks[i]);
        memcpy(&ret_totals[i * FLEET_LANES], &total, sizeof(total));
    }
}

void fleet_digest_costs(const struct fleet_question *question, const struct fleet_block *blocks,
        size_t count, float *ret_totals)
{
    fill_totals(question, blocks, count, ret_totals);
}
