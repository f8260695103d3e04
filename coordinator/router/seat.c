#include "coordinator/router/seat.h"

#include "common/model/estimate.h"
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
    uint32_t slots = instance->slots ? instance->slots : instance->run_slots;
    return slots < MSG_SLOTS_MAX ? slots : MSG_SLOTS_MAX;
}

static uint32_t context_of(const struct instance *instance)
{
    return instance->context ? instance->context : instance->run_context;
}

static double swap_token_s(const struct instance *instance)
{
    struct model_memory memory;
    const struct model_run run = {.context = context_of(instance),
            .sequences = 1,
            .type_k = instance->type_k,
            .type_v = instance->type_v};
    if (!instance->cache_swaps || !instance->shape.tensor_bytes || !run.context)
        return 0;
    estimate_memory(&instance->shape, &run, &memory);
    return (double)memory.full_bytes / run.context / SEAT_SWAP_BYTES_S;
}

/* Each failure in a row makes the next one likelier. */
static double failure_rate(const struct seat *seat, double now_s)
{
    double at_first = 1 - 1 / (1.0 + seat->failures);
    return at_first * exp2((seat->failed_s - now_s) / SEAT_FADE_S);
}

static double ready_s(const struct seat *seat, double now_s)
{
    double taken_s = now_s - seat->loading_since_s, expected_s = load_s(seat->instance);
    return seat->loading_since_s +
           (taken_s > expected_s ? SEAT_LOAD_OVERDUE * taken_s : expected_s);
}

uint32_t seat_capabilities(const struct seat *seat)
{
    uint32_t said = seat->instance->capabilities;
    if (said & CAPABILITY_EXACT || !seat->denied)
        return said;
    uint32_t known = said ? said : CAPABILITY_CHAT; /* as capability_lacking() takes it */
    return (known & ~seat->denied) | CAPABILITY_TEMPLATE;
}

void seat_fill(const struct seat *seat, double now_s, struct fleet_instance *ret_entry)
{
    const struct instance *instance = seat->instance;
    rates_now(&seat->rates, now_s, &ret_entry->rates);
    ret_entry->state = instance->state;
    ret_entry->capabilities = seat_capabilities(seat);
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
    ret_entry->swap_token_s = (float)swap_token_s(instance);
    ret_entry->load_s = (float)load_s(instance);
    ret_entry->ready_s = ready_s(seat, now_s);
    ret_entry->failure_rate = (float)failure_rate(seat, now_s);
}

/* --- what its node says --- */

/* Queries are about as wide as what layers pass on. A layer with a window attends to little. */
static double attention_width(const struct model_shape *shape)
{
    return shape->bound ? 0 : (double)shape->full.layers * shape->embedding;
}

/* What is known of its speed before its first request. */
static struct cost_rates prior_of(const struct instance *instance)
{
    struct cost_rates prior;
    const struct rates_facts facts = {.model_bytes = bytes_of(instance),
            .parameters = instance->parameters,
            .bandwidth_bytes = node_session_facts(instance->session).memory_bandwidth_bytes,
            .active_share = rates_active_share(instance->model, instance->architecture),
            .attention_width = attention_width(&instance->shape),
            .prefill_tok_s = (double)instance->prefill_tok_s,
            .decode_tok_s = (double)instance->decode_tok_s};
    rates_prior(&facts, &prior);
    return prior;
}

static uint32_t cache_blocks(const struct instance *instance, double bytes_per_token)
{
    double tokens = instance->cache_tokens ? (double)instance->cache_tokens
                                           : (double)slots_of(instance) * context_of(instance);
    double blocks = tokens * bytes_per_token / PREFIX_BLOCK_BYTES;
    return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

static void note_state(struct seat *seat, double now_s)
{
    const struct instance *instance = seat->instance;
    if (instance->state == INSTANCE_LOADING && seat->state != INSTANCE_LOADING)
        seat->loading_since_s = now_s;
    seat->state = instance->state;
    seat->restarts = instance->restarts;
}

void seat_init(struct seat *seat, struct instance *instance, double bytes_per_token, double now_s)
{
    struct cost_rates prior = prior_of(instance);
    *seat = (struct seat){.instance = instance,
            .state = INSTANCE_AVAILABLE,
            .cache_blocks = cache_blocks(instance, bytes_per_token),
            .cache_share = 1};
    list_init(&seat->watched);
    rates_init(&seat->rates, &prior, now_s);
    note_state(seat, now_s);
}

bool seat_update(struct seat *seat, double bytes_per_token, double now_s)
{
    const struct instance *instance = seat->instance;
    struct cost_rates prior = prior_of(instance);
    bool was_there = seat->state == INSTANCE_RESIDENT;
    bool is_there = instance->state == INSTANCE_RESIDENT && instance->restarts == seat->restarts;
    rates_set_prior(&seat->rates, &prior);
    seat->cache_blocks = cache_blocks(instance, bytes_per_token);
    note_state(seat, now_s);
    return was_there && !is_there;
}

/* --- what it shows --- */

uint32_t seat_cache_room(const struct seat *seat)
{
    double room = ceil(seat->cache_share * seat->cache_blocks);
    return (uint32_t)fmin(room, seat->cache_blocks);
}

/* An engine that never says what it reused has not forgotten all of it each time. */
static bool is_evidence(const struct seat *seat, const struct seat_reuse *reuse)
{
    return reuse->alone && (seat->tells_reuse || !seat->instance->foreign);
}

void seat_note_reuse(struct seat *seat, const struct seat_reuse *reuse)
{
    double lost = reuse->thought - reuse->reused;
    double had = fmax(reuse->held_in_all - lost, (double)reuse->prompt);
    seat->tells_reuse |= reuse->reused > 0;
    if (lost <= SEAT_REUSE_SLACK + SEAT_REUSE_SLACK_SHARE * reuse->thought)
        seat->cache_share = fmin(seat->cache_share + SEAT_GROW, 1);
    else if (is_evidence(seat, reuse) && had < seat_cache_room(seat))
        seat->cache_share = fmax(had / seat->cache_blocks, SEAT_SHRINK_MOST * seat->cache_share);
}

/* --- its circuit --- */

static double rest_s(unsigned failures)
{
    double rest_ms = ldexp(SEAT_REST_MS, (int)(failures - SEAT_TRIPS));
    return fmin(rest_ms, SEAT_REST_MAX_MS) / 1e3;
}

static void forget_failures(struct seat *seat)
{
    seat->failures = 0;
    seat->rests_until_s = 0;
}

static void count_failure(struct seat *seat, double now_s)
{
    if (seat->failures < UINT8_MAX)
        seat->failures++;
    seat->failed_s = now_s;
    if (seat->failures >= SEAT_TRIPS)
        seat->rests_until_s = now_s + rest_s(seat->failures);
}

/* It was sent when the last failure was known. */
static bool says_more(const struct seat *seat, double sent_s)
{
    return seat->failures == 0 || sent_s >= seat->failed_s;
}

void seat_count(struct seat *seat, bool failed, double sent_s, double now_s)
{
    if (!failed)
        forget_failures(seat);
    else if (says_more(seat, sent_s))
        count_failure(seat, now_s);
}

void seat_count_error(struct seat *seat, double sent_s, double now_s)
{
    if (!says_more(seat, sent_s))
        return;
    if (seat->failures + 1 < SEAT_TRIPS)
        seat->failures++;
    seat->failed_s = now_s;
}

bool seat_is_watched(struct seat *seat, double now_s)
{
    if (now_s > fmax(seat->failed_s, seat->rests_until_s) + SEAT_FORGET_S)
        forget_failures(seat);
    return seat->failures > 0 || seat->state == INSTANCE_LOADING;
}
