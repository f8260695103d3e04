#include "coordinator/router/router.h"

#include "common/log.h"
#include "coordinator/router/seat.h"
#include "coordinator/scheduling/prefix_index.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_STEPS = 4096 }; /* of the prefix index, in a tick */

struct held { /* what prefix_find() fills */
    uint32_t *blocks;
    uint32_t room;
};

struct answers { /* of a mode, or of models asked for by name */
    char mode[MSG_NAME_MAX + 1];
    double tokens; /* decayed mean */
};

struct router {
    struct router_config config;
    struct prefix_index *prefixes;
    struct fleet *fleet;
    struct routing *routing;
    struct answers answers[ROUTER_MODES_MAX];
    size_t answer_count;
    struct held held[ROUTING_OPTIONS_MAX];
};

struct router *router_create(const struct router_config *config)
{
    struct router *router = calloc(1, sizeof(*router));
    if (!router)
        return NULL;
    size_t bytes = config->prefix_bytes ? config->prefix_bytes : ROUTER_PREFIX_BYTES;
    router->config = *config;
    router->prefixes = prefix_index_create(bytes);
    router->fleet = fleet_create(router->prefixes);
    router->routing = routing_create();
    if (router->prefixes && router->fleet && router->routing)
        return router;
    router_destroy(router);
    return NULL;
}

void router_destroy(struct router *router)
{
    if (!router)
        return;
    for (size_t i = 0; i < ROUTING_OPTIONS_MAX; i++)
        free(router->held[i].blocks);
    routing_destroy(router->routing);
    fleet_destroy(router->fleet);
    prefix_index_destroy(router->prefixes);
    free(router);
}

static double now_s(const struct router *router)
{
    return (double)env_now_us(router->config.env) / 1e6;
}

/* --- what nodes tell --- */

static double bytes_per_token(const struct router *router, const char *name)
{
    const struct fleet_model *model = fleet_find(router->fleet, name);
    return model ? token_ratio_bytes(&model->ratio) : TOKEN_RATIO_PRIOR;
}

static void begin_rates(const struct router *router, struct seat *seat)
{
    struct cost_rates prior;
    seat_prior(seat->instance, &prior);
    rates_init(&seat->rates, &prior, now_s(router));
}

static int add(struct router *router, struct instance *instance)
{
    struct fleet_instance entry = {.holder = PREFIX_NO_HOLDER};
    struct seat *seat = calloc(1, sizeof(*seat));
    if (!seat)
        return -ENOMEM;
    seat->instance = instance;
    begin_rates(router, seat);
    (void)seat_lost_cache(seat, now_s(router));
    seat_fill(seat, now_s(router), &entry);
    seat->cache_blocks = seat_cache_blocks(instance, bytes_per_token(router, instance->model));
    int r = fleet_add(router->fleet, instance->model, &entry, seat->cache_blocks, &seat->handle);
    if (r) {
        free(seat);
        return r;
    }
    if (seat->handle.model->count == 1)
        token_ratio_init(&seat->handle.model->ratio);
    instance->seat = seat;
    return 0;
}

/* It has lost its cache, or has another one. */
static void begin_cache(struct router *router, struct seat *seat)
{
    int r = fleet_forget_prompts(router->fleet, &seat->handle, seat->cache_blocks);
    if (r)
        log_debug("prompts of an instance are not remembered",
                LOG_S("model", seat->instance->model), LOG_S("node", seat->instance->node));
}

static void update(struct router *router, struct instance *instance)
{
    struct seat *seat = instance->seat;
    if (!seat)
        return;
    uint32_t blocks = seat_cache_blocks(instance, bytes_per_token(router, instance->model));
    bool lost = seat_lost_cache(seat, now_s(router)) || blocks != seat->cache_blocks;
    struct cost_rates prior;
    seat_prior(instance, &prior);
    rates_set_prior(&seat->rates, &prior);
    seat_fill(seat, now_s(router), fleet_at(&seat->handle));
    seat->cache_blocks = blocks;
    if (lost)
        begin_cache(router, seat);
    fleet_reckon(router->fleet, &seat->handle, now_s(router));
}

static void take_out(struct router *router, struct instance *instance)
{
    if (!instance->seat)
        return;
    fleet_remove(router->fleet, &instance->seat->handle);
    free(instance->seat);
    instance->seat = NULL;
}

void router_on_instance(struct router *router, struct instance *instance, enum instance_event event)
{
    int r = 0;
    if (event == INSTANCE_ADDED)
        r = add(router, instance);
    else if (event == INSTANCE_CHANGED)
        update(router, instance);
    else
        take_out(router, instance);
    if (r)
        log_error("nothing is sent to an instance: no memory, or too many",
                LOG_S("model", instance->model), LOG_S("node", instance->node));
}

/* --- requests --- */

static struct seat *seat_of(const struct fleet_instance *entry)
{
    return list_entry(entry->handle, struct seat, handle);
}

const struct instance *router_instance(const struct fleet_instance *entry)
{
    return seat_of(entry)->instance;
}

static const uint32_t *find_held(
        struct held *held, const struct fleet_model *model, const struct prefix_chain *chain)
{
    uint32_t holders = prefix_group_holders(model->prefixes);
    if (holders > held->room) {
        uint32_t *blocks = reallocarray(held->blocks, holders, sizeof(*blocks));
        if (!blocks)
            return NULL;
        held->blocks = blocks;
        held->room = holders;
    }
    prefix_find(model->prefixes, chain->hashes, chain->count, held->blocks);
    return held->blocks;
}

static void fill_option(struct router *router, const struct router_ask *ask, size_t i,
        struct routing_option *ret_option)
{
    double ratio = bytes_per_token(router, ask->models[i]);
    double blocks = ask->hash_blocks ? ask->hash_blocks : 1;
    const struct fleet_model *model = fleet_find(router->fleet, ask->models[i]);
    *ret_option = (struct routing_option){.model = model,
            .block_tokens = blocks * PREFIX_BLOCK_BYTES / ratio,
            .prompt_tokens =
                    ask->prompt_tokens > 0 ? ask->prompt_tokens : (double)ask->chain->bytes / ratio,
            .quality = ask->quality ? ask->quality[i] : 0};
    if (model && model->prefixes && ask->chain->count > 0)
        ret_option->held_blocks = find_held(&router->held[i], model, ask->chain);
}

/* answer_count where there are none. */
static size_t find_answers(const struct router *router, const char *mode)
{
    size_t i = 0;
    while (i < router->answer_count && strcmp(router->answers[i].mode, mode) != 0)
        i++;
    return i;
}

double router_output_tokens(const struct router *router, const char *mode, uint32_t output_max)
{
    size_t at = find_answers(router, mode);
    double tokens = at < router->answer_count ? router->answers[at].tokens : ROUTER_OUTPUT_TOKENS;
    return output_max ? fmin(tokens, output_max) : tokens;
}

static void fill_places(
        const struct router *router, const struct router_ask *ask, struct routing_request *request)
{
    if (ask->session_epoch)
        request->session = (struct routing_place){.epoch = ask->session_epoch,
                .model = fleet_find(router->fleet, ask->session_model)};
    for (size_t i = 0; i < ask->avoid_count && i < ROUTING_AVOID_MAX; i++)
        request->avoid[request->avoid_count++] =
                (struct routing_place){.epoch = ask->avoid[i].epoch,
                        .model = fleet_find(router->fleet, ask->avoid[i].model)};
}

/* What is estimated to be too long for every instance goes to the longest: it is the engine that
 * counts the tokens, and says both numbers to the client. */
static bool shorten(const struct routing_plan *plan, struct routing_request *request,
        struct routing_option *options)
{
    if (plan->verdict != ROUTING_NONE || plan->context_max <= request->output_reserve)
        return false;
    double room = plan->context_max - request->output_reserve;
    for (size_t i = 0; i < request->option_count; i++)
        options[i].prompt_tokens = fmin(options[i].prompt_tokens, room);
    return true;
}

static bool stands_in(const struct router_ask *ask, const struct routing_plan *plan)
{
    return ask->named_count && plan->instance && plan->option >= ask->named_count;
}

/* What is named is taken nevertheless, unless the other is better by as much as it takes to leave
 * the instance of a conversation: it keeps the request waiting, or has more of it to compute. */
static int prefer_named(struct router *router, const struct router_ask *ask,
        struct routing_request *request, struct routing_plan *plan)
{
    struct routing_plan named;
    request->option_count = ask->named_count;
    int r = routing_choose(router->routing, router->fleet, request, NULL, NULL, &named);
    if (r || !named.instance)
        return r;
    double cost_s = named.cost.total_s;
    if (cost_s - plan->cost.total_s <= fmax(ROUTING_STAY_S, ROUTING_STAY_SHARE * cost_s))
        *plan = named;
    return 0;
}

int router_explain(struct router *router, const struct router_ask *ask, routing_look_fn *look,
        void *ctx, struct router_plan *ret_plan)
{
    struct routing_option options[ROUTING_OPTIONS_MAX];
    struct routing_request request = {.options = options,
            .option_count =
                    ask->model_count < ROUTING_OPTIONS_MAX ? ask->model_count : ROUTING_OPTIONS_MAX,
            .output_tokens = router_output_tokens(router, ask->mode, ask->output_max),
            .beta = ask->beta > 0 ? ask->beta : COST_BETA_INTERACTIVE,
            .gamma = COST_GAMMA,
            .sigma = COST_SIGMA,
            .quality_floor = ask->quality_floor,
            .quality_wanted = ask->quality_wanted,
            .needs = ask->needs,
            .lane = ask->lane,
            .batch = ask->batch,
            .greedy = ask->greedy,
            .now_s = now_s(router)};
    request.output_reserve = (uint32_t)fmin(request.output_tokens, ROUTER_RESERVE_MAX);
    for (size_t i = 0; i < request.option_count; i++)
        fill_option(router, ask, i, &options[i]);
    fill_places(router, ask, &request);
    struct routing_plan *plan = &ret_plan->routing;
    int r = routing_choose(router->routing, router->fleet, &request, NULL, NULL, plan);
    if (!r && (shorten(plan, &request, options) || look))
        r = routing_choose(router->routing, router->fleet, &request, look, ctx, plan);
    if (!r && stands_in(ask, plan))
        r = prefer_named(router, ask, &request, plan);
    if (r)
        return r;
    ret_plan->named_count = ask->named_count;
    ret_plan->stands_in = stands_in(ask, plan);
    ret_plan->instance = plan->instance ? seat_of(plan->instance)->instance : NULL;
    ret_plan->prompt_tokens = options[plan->option].prompt_tokens;
    ret_plan->output_tokens = request.output_tokens;
    return 0;
}

int router_choose(struct router *router, const struct router_ask *ask, struct router_plan *ret_plan)
{
    return router_explain(router, ask, NULL, NULL, ret_plan);
}

void router_begin_pass(struct router *router)
{
    fleet_begin_pass(router->fleet);
}

void router_promise(struct router *router, const struct router_plan *plan)
{
    if (plan->routing.instance)
        fleet_promise(router->fleet, plan->routing.instance, plan->routing.cost.prefill_s);
}

/* --- what became of it --- */

static uint32_t held_blocks(const struct router *router, const struct router_plan *plan,
        const struct fleet_instance *entry)
{
    const struct held *held = &router->held[plan->routing.option];
    return plan->routing.held_tokens > 0 ? held->blocks[entry->holder] : 0;
}

void router_sent(struct router *router, const struct router_plan *plan,
        const struct prefix_chain *chain, struct router_trip *trip)
{
    const struct fleet_instance *entry = plan->routing.instance;
    struct fleet_handle *handle = entry->handle;
    trip->sequences = entry->decoding + 1;
    trip->held_blocks = held_blocks(router, plan, entry);
    trip->answering = false;
    double decode_s = plan->output_tokens * cost_step_s(&entry->rates, trip->sequences);
    if (handle->model->prefixes)
        prefix_note(handle->model->prefixes, entry->holder, chain->hashes, chain->count);
    fleet_sent(router->fleet, handle, &trip->flight, &plan->routing.cost, decode_s, now_s(router));
}

void router_first_token(struct router *router, struct router_trip *trip)
{
    trip->answering = true;
    fleet_first_token(router->fleet, &trip->flight, now_s(router));
}

static void learn_answer(struct router *router, const char *mode, double tokens)
{
    size_t at = find_answers(router, mode);
    if (at == ROUTER_MODES_MAX)
        return;
    struct answers *answers = &router->answers[at];
    if (at == router->answer_count) {
        router->answer_count++;
        snprintf(answers->mode, sizeof(answers->mode), "%s", mode);
        answers->tokens = ROUTER_OUTPUT_TOKENS;
    }
    answers->tokens += ROUTER_OUTPUT_WEIGHT * (tokens - answers->tokens);
}

static void learn_speed(struct router *router, struct seat *seat, const struct router_trip *trip,
        const struct msg_usage *usage)
{
    double now = now_s(router);
    uint32_t cached = usage->cached_tokens < usage->prompt_tokens ? usage->cached_tokens : 0;
    struct fleet_instance *entry = fleet_at(&seat->handle);
    double sequences = (trip->sequences + fmax(entry->decoding, 1)) / 2.0;
    rates_learn_prefill(&seat->rates, usage->prompt_tokens - cached, cached,
            (double)usage->prefill_ms / 1e3, now);
    rates_learn_decode(
            &seat->rates, usage->completion_tokens, sequences, (double)usage->decode_ms / 1e3, now);
    rates_now(&seat->rates, now, &entry->rates);
}

static void learn(struct router *router, struct seat *seat, const struct router_trip *trip,
        const char *mode, const struct prefix_chain *chain, const struct msg_usage *usage)
{
    if (usage->prompt_tokens == 0)
        return;
    token_ratio_learn(&seat->handle.model->ratio, (double)chain->bytes, usage->prompt_tokens);
    learn_speed(router, seat, trip, usage);
    learn_answer(router, mode, usage->completion_tokens);
}

void router_ended(struct router *router, struct router_trip *trip, const char *mode,
        const struct prefix_chain *chain, enum router_end end, const struct msg_usage *usage)
{
    struct fleet_handle *handle = trip->flight.handle;
    fleet_ended(router->fleet, &trip->flight, now_s(router));
    if (!handle)
        return;
    struct seat *seat = list_entry(handle, struct seat, handle);
    if (end != ROUTER_REFUSED)
        seat_count(seat, end == ROUTER_FAILED, now_s(router));
    if (end == ROUTER_ANSWERED)
        learn(router, seat, trip, mode, chain, usage);
    else if (!trip->answering && handle->model->prefixes)
        prefix_correct(handle->model->prefixes, fleet_at(handle)->holder, chain->hashes,
                chain->count, trip->held_blocks);
    seat_fill(seat, now_s(router), fleet_at(handle));
}

const struct fleet_model *router_model(const struct router *router, const char *model)
{
    return fleet_find(router->fleet, model);
}

uint32_t router_slots(const struct router *router, const char *const *models, size_t count)
{
    uint32_t slots = 0;
    for (size_t m = 0; m < count; m++) {
        const struct fleet_model *model = fleet_find(router->fleet, models[m]);
        for (uint32_t i = 0; model && i < model->count; i++)
            if (model->at[i].state == INSTANCE_RESIDENT && model->at[i].usable)
                slots += model->at[i].slots ? model->at[i].slots : 1;
    }
    return slots;
}

void router_tick(struct router *router)
{
    (void)prefix_index_work(router->prefixes, SWEEP_STEPS);
}
