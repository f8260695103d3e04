#include "coordinator/router/seat.h"

#include "coordinator/node_session.h"
#include "coordinator/scheduling/prefix_chain.h"
#include "coordinator/scheduling/rates_prior.h"

#include <math.h>

static uint64_t bytes_of(const struct instance *instance)
{
    if (instance->shape.tensor_bytes)
        return instance->shape.tensor_bytes;
    return instance->file_bytes ? instance->file_bytes : instance->memory_bytes;
}

static double load_s(const struct instance *instance)
{
    if (instance->load_ms)
        return instance->load_ms / 1e3;
    return (double)bytes_of(instance) / SEAT_LOAD_BYTES_S + SEAT_LOAD_INIT_MS / 1e3;
}

static uint32_t slots_of(const struct instance *instance)
{
    return instance->slots ? instance->slots : instance->run_slots;
}

static uint32_t context_of(const struct instance *instance)
{
    return instance->context ? instance->context : instance->run_context;
}

/* Each failure in a row makes the next one likelier. */
static float failure_rate(const struct seat *seat)
{
    return 1.0f - 1.0f / (1.0f + (float)seat->failures);
}

void seat_fill(const struct seat *seat, double now_s, struct fleet_instance *ret_entry)
{
    const struct instance *instance = seat->instance;
    rates_now(&seat->rates, now_s, &ret_entry->rates);
    ret_entry->state = instance->state;
    ret_entry->capabilities = instance->capabilities;
    ret_entry->context = context_of(instance);
    ret_entry->slots = slots_of(instance);
    ret_entry->epoch = instance->epoch;
    ret_entry->usable = instance->usable;
    ret_entry->silent = instance->silent;
    ret_entry->tripped = now_s < seat->rests_until_s;
    ret_entry->fits = instance->fits;
    ret_entry->ordered = instance->ordered;
    ret_entry->batch_only = instance->batch_only;
    ret_entry->quality = (uint8_t)instance->quality;
    ret_entry->rtt_s = (float)((double)node_session_facts(instance->session).rtt_us / 1e6);
    ret_entry->load_s = (float)load_s(instance);
    ret_entry->ready_s = seat->loading_since_s + load_s(instance);
    ret_entry->failure_rate = failure_rate(seat);
}

uint32_t seat_cache_blocks(const struct instance *instance, double bytes_per_token)
{
    double tokens = instance->cache_tokens ? (double)instance->cache_tokens
                                           : (double)slots_of(instance) * context_of(instance);
    double blocks = tokens * bytes_per_token / PREFIX_BLOCK_BYTES;
    return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

void seat_prior(const struct instance *instance, struct cost_rates *ret_prior)
{
    const struct rates_facts facts = {.model_bytes = bytes_of(instance),
            .parameters = instance->parameters,
            .bandwidth_bytes = node_session_facts(instance->session).memory_bandwidth_bytes,
            .active_share = rates_active_share(instance->model, instance->architecture),
            .prefill_tok_s = instance->prefill_tok_s,
            .decode_tok_s = instance->decode_tok_s};
    rates_prior(&facts, ret_prior);
}

bool seat_lost_cache(struct seat *seat, double now_s)
{
    const struct instance *instance = seat->instance;
    bool was_there = seat->state == INSTANCE_RESIDENT;
    bool is_there = instance->state == INSTANCE_RESIDENT && instance->restarts == seat->restarts;
    if (instance->state == INSTANCE_LOADING && seat->state != INSTANCE_LOADING)
        seat->loading_since_s = now_s;
    seat->state = instance->state;
    seat->restarts = instance->restarts;
    return was_there && !is_there;
}

static double rest_s(unsigned failures)
{
    double rest_ms = ldexp(SEAT_REST_MS, (int)(failures - SEAT_TRIPS));
    return fmin(rest_ms, SEAT_REST_MAX_MS) / 1e3;
}

void seat_count(struct seat *seat, bool failed, double now_s)
{
    if (!failed) {
        seat->failures = 0;
        seat->rests_until_s = 0;
        return;
    }
    if (seat->failures < UINT8_MAX)
        seat->failures++;
    if (seat->failures >= SEAT_TRIPS)
        seat->rests_until_s = now_s + rest_s(seat->failures);
}
