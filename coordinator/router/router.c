#include "coordinator/router/router.h"

#include "common/log.h"
#include "coordinator/away.h"
#include "coordinator/ledger.h"
#include "coordinator/modes/mode_look.h"
#include "coordinator/router/alike.h"
#include "coordinator/router/seat.h"
#include "coordinator/scheduling/fleet_digest.h"
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
    enum routing_policy policy;
    struct list watched; /* seats */
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
    list_init(&router->watched);
    if (!router->prefixes || !router->fleet || !router->routing) {
        router_destroy(router);
        return NULL;
    }
    fleet_set_seed(router->fleet, env_random_u64(config->env));
    return router;
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

void router_set_policy(struct router *router, enum routing_policy policy)
{
    router->policy = policy;
}

static double now_s(const struct router *router)
{
    return (double)env_now_us(router->config.env) / 1e6;
}

/* --- what nodes tell --- */

static struct token_ratio ratio_of(const struct router *router, const char *name)
{
    const struct fleet_model *model = fleet_find(router->fleet, name);
    struct token_ratio ratio;
    if (model)
        return model->ratio;
    token_ratio_init(&ratio);
    if (router->config.ledger)
        (void)ledger_find_token_ratio(router->config.ledger, name, &ratio);
    return ratio;
}

/* As the ledger names it. */
static struct ledger_instance kept_as(const struct instance *instance)
{
    return (struct ledger_instance){.node = node_session_peer(instance->session)->key,
            .model = instance->model,
            .fingerprint = instance->has_fingerprint ? instance->fingerprint : NULL};
}

/* What an earlier run, or an earlier session of its node, has learnt. The prior is today's. */
static void recall_rates(struct router *router, struct seat *seat)
{
    const struct ledger_instance it = kept_as(seat->instance);
    const struct cost_rates prior = seat->rates.prior;
    struct rates rates;
    if (!router->config.ledger || !ledger_find_rates(router->config.ledger, &it, &rates))
        return;
    seat->rates = rates;
    rates_set_prior(&seat->rates, &prior);
}

static void watch(struct router *router, struct seat *seat)
{
    if (seat_is_watched(seat, now_s(router)) && !list_linked(&seat->watched))
        list_push_back(&router->watched, &seat->watched);
}

static int add(struct router *router, struct instance *instance)
{
    struct fleet_instance entry = {.holder = PREFIX_NO_HOLDER};
    struct token_ratio ratio = ratio_of(router, instance->model);
    struct seat *seat = calloc(1, sizeof(*seat));
    if (!seat)
        return -ENOMEM;
    seat_init(seat, instance, token_ratio_bytes(&ratio), now_s(router));
    recall_rates(router, seat);
    seat_fill(seat, now_s(router), &entry);
    int r = fleet_add(router->fleet, instance->model, &entry, seat_cache_room(seat), &seat->handle);
    if (r) {
        free(seat);
        return r;
    }
    seat->handle.model->ratio = ratio;
    instance->seat = seat;
    alike_update(seat);
    watch(router, seat);
    if (router->config.away)
        away_note_found(router->config.away, instance);
    return 0;
}

/* It has lost its cache, or begins to have one. */
static void begin_cache(struct router *router, struct seat *seat)
{
    int r = fleet_forget_prompts(router->fleet, &seat->handle, seat_cache_room(seat));
    if (r)
        log_debug("prompts of an instance are not remembered",
                LOG_S("model", seat->instance->model), LOG_S("node", seat->instance->node));
}

static void fit_cache(struct seat *seat)
{
    const struct fleet_model *model = seat->handle.model;
    if (model->prefixes)
        prefix_holder_resize(
                model->prefixes, fleet_at(&seat->handle)->holder, seat_cache_room(seat));
}

static void update(struct router *router, struct instance *instance)
{
    struct seat *seat = instance->seat;
    if (!seat)
        return;
    double bytes_per_token = token_ratio_bytes(&seat->handle.model->ratio);
    bool lost = seat_update(seat, bytes_per_token, now_s(router));
    struct fleet_instance *entry = fleet_at(&seat->handle);
    seat_fill(seat, now_s(router), entry);
    alike_update(seat);
    if (lost || entry->holder == PREFIX_NO_HOLDER)
        begin_cache(router, seat);
    else
        fit_cache(seat);
    watch(router, seat);
    fleet_reckon(router->fleet, &seat->handle, now_s(router));
}

static void take_out(struct router *router, struct instance *instance)
{
    struct seat *seat = instance->seat;
    if (!seat)
        return;
    if (router->config.away && node_session_state(instance->session) == SESSION_GONE)
        away_note_lost(router->config.away, instance, fleet_at(&seat->handle));
    alike_leave(seat);
    fleet_remove(router->fleet, &seat->handle);
    list_del(&seat->watched);
    free(seat);
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
    double blocks = ask->hash_blocks ? ask->hash_blocks : 1;
    const struct fleet_model *model = fleet_find(router->fleet, ask->models[i]);
    struct token_ratio learnt = model ? model->ratio : ratio_of(router, ask->models[i]);
    double ratio = token_ratio_bytes(&learnt);
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

double router_output_tokens(
        const struct router *router, const char *mode, uint32_t needs, uint32_t output_max)
{
    size_t at = find_answers(router, mode);
    if (needs & (CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK))
        return 0;
    double tokens = at < router->answer_count ? router->answers[at].tokens : ROUTER_OUTPUT_TOKENS;
    return output_max ? fmin(tokens, output_max) : tokens;
}

/* NULL: it is none of the option's. */
static const struct fleet_instance *find_home(
        const struct routing_option *option, const struct routing_place *session)
{
    const struct fleet_model *model = option->model;
    if (!model || !session->epoch || model != session->model)
        return NULL;
    for (uint32_t i = 0; i < model->count; i++)
        if (model->at[i].epoch == session->epoch)
            return &model->at[i];
    return NULL;
}

/* What the session's instance holds behind the blocks, where it does hold all those of the last
 * turn. */
static double tail_tokens(const struct router_ask *ask, const struct routing_request *request)
{
    const struct router_turn *turn = &ask->session_turn;
    double whole_bytes = (double)turn->blocks * PREFIX_BLOCK_BYTES;
    uint32_t hash_blocks = ask->hash_blocks ? ask->hash_blocks : 1;
    for (size_t i = 0; turn->blocks > 0 && i < request->option_count; i++) {
        const struct routing_option *option = &request->options[i];
        const struct fleet_instance *home = find_home(option, &request->session);
        if (home && option->held_blocks && home->holder != PREFIX_NO_HOLDER &&
                (uint64_t)option->held_blocks[home->holder] * hash_blocks >= turn->blocks)
            return turn->answer_tokens + fmax(turn->bytes - whole_bytes, 0) * option->block_tokens /
                                                 ((double)hash_blocks * PREFIX_BLOCK_BYTES);
    }
    return 0;
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
    request->tail_tokens = tail_tokens(ask, request);
}

/* --- nodes that are awaited --- */

struct awaiting {
    struct router_awaited awaited;
    size_t option;
};

static void consider(struct awaiting *awaiting, size_t option, struct router_awaited it)
{
    const struct router_awaited *best = &awaiting->awaited;
    if (best->state && option > awaiting->option)
        return;
    if (best->state && option == awaiting->option && strcmp(best->node, it.node) <= 0)
        return;
    *awaiting = (struct awaiting){.awaited = it, .option = option};
}

static void look_for_draining(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    (void)cost;
    (void)held_tokens;
    if (refusal == REFUSAL_UNUSABLE)
        consider(ctx, option,
                (struct router_awaited){AWAITED_DRAINING, router_instance(instance)->node});
}

static void look_for_away(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    enum awaited state = away_is_back(instance) ? AWAITED_BACK : AWAITED_AWAY;
    (void)cost;
    (void)held_tokens;
    if (refusal == REFUSAL_SILENT)
        consider(ctx, option, (struct router_awaited){state, away_node(instance)});
}

/* What failed there did in a session that is over, as is the place of the conversation. */
static int ask_away(const struct router *router, const struct router_ask *ask,
        const struct routing_request *request, struct awaiting *awaiting)
{
    struct routing_option options[ROUTING_OPTIONS_MAX];
    struct routing_request asked = *request;
    struct fleet *fleet = away_fleet(router->config.away);
    struct routing_plan plan;
    for (size_t i = 0; i < asked.option_count; i++) {
        options[i] = request->options[i];
        options[i].model = fleet_find(fleet, ask->models[i]);
        options[i].held_blocks = NULL;
    }
    asked.options = options;
    asked.session = (struct routing_place){.epoch = 0};
    asked.avoid_count = 0;
    asked.tail_tokens = 0;
    return routing_choose(router->routing, fleet, &asked, look_for_away, awaiting, &plan);
}

/* None that is here can take it, and none has failed it: maybe one can that is away, or drains. */
static int await(const struct router *router, const struct router_ask *ask,
        const struct routing_request *request, struct router_plan *plan)
{
    struct awaiting awaiting = {.option = 0};
    struct routing_plan *routing = &plan->routing;
    if (!ask->awaits || routing->verdict != ROUTING_NONE || routing->avoided > 0)
        return 0;
    struct routing_plan again;
    int r = routing_choose(
            router->routing, router->fleet, request, look_for_draining, &awaiting, &again);
    if (!r && router->config.away)
        r = ask_away(router, ask, request, &awaiting);
    if (r || !awaiting.awaited.state)
        return r;
    plan->awaited = awaiting.awaited;
    routing->verdict = ROUTING_WAIT;
    routing->refusal = REFUSAL_UNUSABLE;
    return 0;
}

static bool is_far_too_long(const struct router_ask *ask, const struct routing_plan *plan,
        const struct routing_option *options)
{
    if (!ask->one_prompt || plan->verdict != ROUTING_NONE || plan->avoided > 0 ||
            !plan->context_max)
        return false;
    return plan->context_max <= ask->far_too_long_for ||
           options[plan->longest].prompt_tokens > ROUTER_FAR_TOO_LONG * plan->context_max;
}

static bool is_loaded_for_it(const struct routing_plan *plan)
{
    return plan->context_loaded >= ROUTER_LONG_ENOUGH * plan->context_max;
}

/* Of what is too long for all: the context that it goes to, and whether only to what is loaded. 0:
 * none is worth it. */
static uint32_t context_for(
        const struct routing_plan *plan, bool far_too_long, uint32_t *ret_loaded)
{
    *ret_loaded = plan->context_loaded == plan->context_max || far_too_long ? FLEET_ABLE_LOADED : 0;
    if (!*ret_loaded)
        return plan->context_max;
    return is_loaded_for_it(plan) ? plan->context_loaded : 0;
}

/* What is estimated to be too long for every instance goes to the longest: it is the engine that
 * counts the tokens, and says both numbers to the client. One that holds it and has failed it is
 * rather tried again. Nothing is loaded for what no engine could hold, nor where another is that
 * has the same context, and has room. */
static bool shorten(const struct router_ask *ask, const struct router_plan *plan,
        struct routing_request *request, struct routing_option *options)
{
    const struct routing_plan *routing = &plan->routing;
    uint32_t loaded, context = context_for(routing, plan->far_too_long, &loaded);
    if (ask->whole || routing->verdict != ROUTING_NONE || routing->avoided > 0 ||
            context <= request->output_reserve)
        return false;
    double room = context - request->output_reserve;
    for (size_t i = 0; i < request->option_count; i++)
        options[i].prompt_tokens = fmin(options[i].prompt_tokens, room);
    request->loaded = loaded;
    return true;
}

/* What rests is taken only where no other can serve. What may be shorter than it seems waits for
 * nothing that is loaded where another can be. */
static bool is_served(const struct routing_plan *plan, bool far_too_long)
{
    return plan->instance && !plan->instance->tripped &&
           (far_too_long || plan->verdict == ROUTING_RUN);
}

/* -ENOMEM. What is resident comes before what is still being loaded, and that before what is not.
 */
static int choose_for_shortened(struct router *router, struct routing_request *request,
        bool far_too_long, struct routing_plan *plan)
{
    static const uint32_t loaded[] = {FLEET_ABLE_RESIDENT, FLEET_ABLE_LOADED, 0};
    for (size_t i = request->loaded ? 0 : 2; i < (far_too_long ? 2 : 3); i++) {
        request->loaded = loaded[i];
        int r = routing_choose(router->routing, router->fleet, request, NULL, NULL, plan);
        if (r || is_served(plan, far_too_long))
            return r;
    }
    return 0;
}

void router_longest_note(struct router_longest *longest, size_t at, const struct router_plan *plan)
{
    const struct routing_plan *routing = &plan->routing;
    if (routing_is_longer(
                routing->context_max, routing->longest_closed, longest->context, longest->closed)) {
        longest->context = routing->context_max;
        longest->closed = routing->longest_closed;
        longest->at = at;
        longest->far_too_long = plan->far_too_long;
    }
    if (routing_is_longer(routing->context_loaded, routing->loaded_rests, longest->context_loaded,
                longest->loaded_rests)) {
        longest->context_loaded = routing->context_loaded;
        longest->loaded_rests = routing->loaded_rests;
        longest->at_loaded = at;
    }
}

size_t router_longest_at(const struct router_longest *longest)
{
    bool same = longest->context_loaded == longest->context;
    bool enough = longest->context_loaded >= ROUTER_LONG_ENOUGH * longest->context;
    return same || (enough && longest->far_too_long) ? longest->at_loaded : longest->at;
}

bool router_longest_loads(const struct router_plan *plan)
{
    return is_served(&plan->routing, false);
}

bool router_longest_may_load(const struct router_longest *longest, const struct router_plan *plan)
{
    return !longest->far_too_long && router_longest_at(longest) != longest->at &&
           !router_longest_loads(plan);
}

uint32_t router_longest_far(const struct router_longest *longest)
{
    return longest->far_too_long ? longest->context : 0;
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
    named.slot_free |= plan->verdict == ROUTING_RUN || plan->slot_free;
    named.room_left |= plan->verdict == ROUTING_RUN || plan->room_left;
    double cost_s = named.cost.total_s;
    if (cost_s - plan->cost.total_s <= fmax(ROUTING_STAY_S, ROUTING_STAY_SHARE * cost_s))
        *plan = named;
    return 0;
}

static uint32_t held_blocks(const struct routing_plan *plan, const struct routing_option *options)
{
    return plan->held_tokens > 0 ? options[plan->option].held_blocks[plan->instance->holder] : 0;
}

static void note_length(const struct router_ask *ask, const struct routing_option *options,
        struct router_plan *plan)
{
    plan->far_too_long = is_far_too_long(ask, &plan->routing, options);
    plan->longest = ask->models[plan->routing.longest];
}

/* A request as routing takes it. */
struct asked {
    struct routing_option options[ROUTING_OPTIONS_MAX];
    double whole_tokens[ROUTING_OPTIONS_MAX]; /* of the prompt, should it be shortened */
    struct routing_request request;           /* of these options */
};

static void fill_asked(struct router *router, const struct router_ask *ask, struct asked *ret_asked)
{
    struct routing_request *request = &ret_asked->request;
    *request = (struct routing_request){.options = ret_asked->options,
            .option_count =
                    ask->model_count < ROUTING_OPTIONS_MAX ? ask->model_count : ROUTING_OPTIONS_MAX,
            .output_tokens = router_output_tokens(router, ask->mode, ask->needs, ask->output_max),
            .beta = ask->beta,
            .gamma = COST_GAMMA,
            .sigma = COST_SIGMA,
            .quality_floor = ask->quality_floor,
            .quality_wanted = ask->quality_wanted,
            .needs = ask->needs,
            .lane = ask->lane,
            .batch = ask->batch,
            .greedy = ask->greedy,
            .policy = router->policy,
            .due = ask->due,
            .tell_free = ask->tell_free,
            .within_slots = ask->within_slots,
            .now_s = now_s(router)};
    request->output_reserve = (uint32_t)fmin(request->output_tokens, ROUTER_RESERVE_MAX);
    for (size_t i = 0; i < request->option_count; i++) {
        fill_option(router, ask, i, &ret_asked->options[i]);
        ret_asked->whole_tokens[i] = ret_asked->options[i].prompt_tokens;
    }
    fill_places(router, ask, request);
}

/* -ENOMEM. As it is, or where that is too long for all, shortened. */
static int choose_as_asked(struct router *router, const struct router_ask *ask, struct asked *asked,
        struct router_plan *plan)
{
    struct routing_plan *routing = &plan->routing;
    int r = routing_choose(router->routing, router->fleet, &asked->request, NULL, NULL, routing);
    if (!r)
        r = await(router, ask, &asked->request, plan);
    if (r)
        return r;
    note_length(ask, asked->options, plan);
    if (shorten(ask, plan, &asked->request, asked->options)) {
        r = choose_for_shortened(router, &asked->request, plan->far_too_long, routing);
        if (!r && !plan->far_too_long)
            r = await(router, ask, &asked->request, plan);
    }
    if (r)
        return r;
    plan->far_too_long &= routing->verdict == ROUTING_NONE;
    return 0;
}

int router_explain(struct router *router, const struct router_ask *ask, routing_look_fn *look,
        void *ctx, struct router_plan *ret_plan)
{
    struct asked asked;
    struct router_plan plan = {.awaited = {AWAITED_NONE, NULL}};
    struct routing_plan *routing = &plan.routing, seen;
    fill_asked(router, ask, &asked);
    int r = choose_as_asked(router, ask, &asked, &plan);
    if (!r && look)
        r = routing_choose(router->routing, router->fleet, &asked.request, look, ctx, &seen);
    if (!r && stands_in(ask, routing))
        r = prefer_named(router, ask, &asked.request, routing);
    if (r)
        return r;
    plan.named_count = ask->named_count;
    plan.stands_in = stands_in(ask, routing);
    plan.instance = routing->instance ? seat_of(routing->instance)->instance : NULL;
    plan.held_blocks = held_blocks(routing, asked.options);
    size_t option = routing->instance ? routing->option : routing->longest;
    plan.prompt_tokens = asked.options[option].prompt_tokens;
    plan.whole_tokens = asked.whole_tokens[option];
    plan.output_tokens = asked.request.output_tokens;
    *ret_plan = plan;
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

void router_sent(struct router *router, const struct router_plan *plan,
        const struct prefix_chain *chain, struct router_trip *trip)
{
    const struct fleet_instance *entry = plan->routing.instance;
    struct fleet_handle *handle = entry->handle;
    struct prefix_group *prefixes = handle->model->prefixes;
    trip->sent_s = now_s(router);
    trip->sequences = entry->decoding + 1;
    trip->held_blocks = plan->held_blocks;
    trip->held_in_all = prefixes ? prefix_holder_held(prefixes, entry->holder) : 0;
    trip->alone = entry->running == 0;
    trip->answering = false;
    trip->writes = plan->output_tokens > 0;
    double decode_s = plan->output_tokens * cost_step_s(&entry->rates, trip->sequences);
    if (prefixes)
        prefix_note(prefixes, entry->holder, chain->hashes, chain->count);
    fleet_sent(router->fleet, handle, &trip->flight, &plan->routing.cost, decode_s, trip->sent_s);
}

void router_first_token(struct router *router, struct router_trip *trip)
{
    trip->answering = true;
    fleet_first_token(router->fleet, &trip->flight, now_s(router));
}

/* One answer out of many, or what a node makes up, says little of the next. */
static double believed(double mean, double tokens)
{
    double most = ROUTER_ANSWER_CLIP * fmax(mean, ROUTER_ANSWER_SHORT);
    return fmin(tokens, fmin(most, ROUTER_ANSWER_MAX));
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
    answers->tokens += ROUTER_OUTPUT_WEIGHT * (believed(answers->tokens, tokens) - answers->tokens);
}

static void learn_ratio(
        struct router *router, struct fleet_model *model, double bytes, double tokens)
{
    token_ratio_learn(&model->ratio, bytes, tokens);
    if (router->config.ledger)
        ledger_keep_token_ratio(router->config.ledger, model->name, &model->ratio);
}

static void learn_speed(struct router *router, struct seat *seat, const struct router_trip *trip,
        const struct msg_usage *usage)
{
    const struct ledger_instance it = kept_as(seat->instance);
    double decoding = fleet_at(&seat->handle)->decoding + 1.0; /* it is counted there no more */
    double now = now_s(router);
    rates_learn_prefill(&seat->rates, usage->prompt_tokens - usage->cached_tokens,
            usage->cached_tokens, (double)usage->prefill_ms / 1e3, now);
    rates_learn_decode(&seat->rates, usage->completion_tokens, (trip->sequences + decoding) / 2,
            (double)usage->decode_ms / 1e3, now);
    if (router->config.ledger)
        ledger_keep_rates(router->config.ledger, &it, &seat->rates);
}

/* It holds the prompt now, whatever it held before: it has computed what lacked. */
static void learn_cache(struct seat *seat, const struct router_trip *trip,
        const struct prefix_chain *chain, const struct msg_usage *usage)
{
    const struct fleet_model *model = seat->handle.model;
    double block_tokens =
            (double)usage->prompt_tokens * PREFIX_BLOCK_BYTES / cost_most((double)chain->bytes, 1);
    const struct seat_reuse reuse = {.thought = trip->held_blocks,
            .reused = usage->cached_tokens / block_tokens,
            .held_in_all = trip->held_in_all,
            .prompt = chain->count,
            .alone = trip->alone};
    if (!model->prefixes)
        return;
    if (reuse.thought > 0)
        seat_note_reuse(seat, &reuse);
    fit_cache(seat);
    prefix_note(model->prefixes, fleet_at(&seat->handle)->holder, chain->hashes, chain->count);
}

static void learn(struct router *router, struct seat *seat, const struct router_trip *trip,
        const char *mode, const struct prefix_chain *chain, const struct msg_usage *usage)
{
    if (usage->prompt_tokens == 0 || usage->cached_tokens > usage->prompt_tokens)
        return;
    learn_ratio(router, seat->handle.model, (double)chain->bytes, usage->prompt_tokens);
    learn_speed(router, seat, trip, usage);
    learn_cache(seat, trip, chain, usage);
    if (trip->writes)
        learn_answer(router, mode, usage->completion_tokens);
}

/* Of the prompt it holds what it held before: how far it came with the rest is not known. */
static void give_up_prompt(
        struct seat *seat, const struct router_trip *trip, const struct prefix_chain *chain)
{
    const struct fleet_model *model = seat->handle.model;
    if (model->prefixes)
        prefix_correct(model->prefixes, fleet_at(&seat->handle)->holder, chain->hashes,
                chain->count, trip->held_blocks);
}

static void count(struct router *router, struct seat *seat, enum router_end end,
        const struct router_trip *trip)
{
    if (end == ROUTER_ERRED)
        seat_count_error(seat, trip->sent_s, now_s(router));
    else if (end != ROUTER_REFUSED)
        seat_count(seat, end == ROUTER_FAILED, trip->sent_s, now_s(router));
    watch(router, seat);
}

void router_ended(struct router *router, struct router_trip *trip, const char *mode,
        const struct prefix_chain *chain, enum router_end end, const struct msg_usage *usage)
{
    struct fleet_handle *handle = trip->flight.handle;
    if (!handle)
        return; /* the instance is gone */
    struct seat *seat = list_entry(handle, struct seat, handle);
    fleet_ended(router->fleet, &trip->flight, now_s(router));
    count(router, seat, end, trip);
    if (end == ROUTER_ANSWERED)
        learn(router, seat, trip, mode, chain, usage);
    else if (!trip->answering)
        give_up_prompt(seat, trip, chain);
    seat_fill(seat, now_s(router), fleet_at(handle));
}

const struct fleet_model *router_model(const struct router *router, const char *model)
{
    return fleet_find(router->fleet, model);
}

const struct fleet_model *router_model_known(const struct router *router, const char *model)
{
    const struct fleet_model *here = router_model(router, model);
    if (here || !router->config.away)
        return here;
    return fleet_find(away_fleet(router->config.away), model);
}

struct mode_model_facts router_look(
        const struct router *router, const char *model, uint32_t needs, bool batch)
{
    struct mode_model_facts facts = mode_look(router_model_known(router, model), needs, batch);
    facts.there = facts.there && router_model(router, model);
    return facts;
}

uint64_t router_slots(struct router *router, const char *const *models, size_t count)
{
    uint64_t slots = 0;
    fleet_freshen(router->fleet);
    for (size_t m = 0; m < count; m++) {
        const struct fleet_model *model = fleet_find(router->fleet, models[m]);
        slots += model ? model->slots : 0;
    }
    return slots;
}

/* Those that have rested are tried again, what failed once costs ever less, and what is late to be
 * loaded comes later. */
static void look_at_watched(struct router *router)
{
    list_for_each_safe (it, &router->watched) {
        struct seat *seat = list_entry(it, struct seat, watched);
        if (!seat_is_watched(seat, now_s(router)))
            list_del(&seat->watched);
        seat_fill(seat, now_s(router), fleet_at(&seat->handle));
    }
}

void router_tick(struct router *router)
{
    look_at_watched(router);
    fleet_look_at_late(router->fleet, now_s(router));
    (void)prefix_index_work(router->prefixes, SWEEP_STEPS);
}
