#include "coordinator/scheduling/routing.h"

#include "coordinator/scheduling/fleet_digest.h"
#include "coordinator/scheduling/prefix_index.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct routing {
    float *totals; /* J of each instance of each option, in their order, each option in whole
                      blocks; INFINITY: not feasible, or none */
    size_t room;
};

/* What is the same for each instance of an option. */
struct aim {
    const struct routing_request *request;
    const struct routing_option *option;
    size_t option_index;
    uint32_t pass;
    struct fleet_question question;
};

/* An instance that may be chosen. */
struct candidate {
    const struct fleet_instance *instance; /* NULL: none */
    size_t option;
    float total_s; /* J */
    bool has_room;
};

/* Of an option's instances the two that compute prompts fastest of those that begin at once. */
struct spare {
    const struct fleet_instance *first; /* NULL: none */
    float tok_s, second_tok_s;          /* 0: none */
    uint32_t loaded;                    /* instances, these two among them */
};

/* What was found out about all of them. */
struct survey {
    float least_s; /* J */
    float least_of_s[ROUTING_OPTIONS_MAX];
    uint32_t feasible;
    struct spare spares[ROUTING_OPTIONS_MAX]; /* where the request is greedy */
};

/* --- what is asked of an instance --- */

static uint32_t count_of(const struct routing_option *option)
{
    return option->model ? option->model->count : 0;
}

static size_t blocks_of(const struct routing_option *option)
{
    return (count_of(option) + FLEET_LANES - 1) / FLEET_LANES;
}

static size_t lanes_of(const struct routing_request *request)
{
    size_t blocks = 0;
    for (size_t i = 0; i < request->option_count; i++)
        blocks += blocks_of(&request->options[i]);
    return blocks * FLEET_LANES;
}

static uint8_t most_quality(const struct routing_request *request)
{
    uint8_t most = request->quality_wanted;
    for (size_t i = 0; i < request->option_count && !request->quality_wanted; i++)
        if (request->options[i].quality > most)
            most = request->options[i].quality;
    return most;
}

static uint32_t needs_of(const struct routing_request *request)
{
    uint32_t needs = request->needs | request->loaded |
                     (request->tripped_too ? FLEET_ABLE_ALIVE : FLEET_ABLE_OPEN);
    return request->batch ? needs : needs | FLEET_ABLE_INTERACTIVE;
}

static struct aim aim_at(
        const struct fleet *fleet, const struct routing_request *request, size_t index)
{
    const struct routing_option *option = &request->options[index];
    return (struct aim){.request = request,
            .option = option,
            .option_index = index,
            .pass = fleet_pass(fleet),
            .question = {.held_blocks = option->held_blocks,
                    .block_tokens = (float)option->block_tokens,
                    .prompt_tokens = (float)cost_bounded(option->prompt_tokens),
                    .whole_tokens = (float)(option->prompt_tokens + request->output_reserve),
                    .decode_steps = (float)cost_bounded(request->beta * request->output_tokens),
                    .gamma = (float)request->gamma,
                    .sigma = (float)request->sigma,
                    .quality_wanted = most_quality(request),
                    .quality_floor = request->quality_floor,
                    .quality = option->quality,
                    .needs = needs_of(request),
                    .now_s = request->now_s}};
}

static bool has_failed(const struct aim *aim, uint32_t epoch)
{
    for (size_t i = 0; i < aim->request->avoid_count; i++)
        if (aim->request->avoid[i].epoch == epoch &&
                aim->request->avoid[i].model == aim->option->model)
            return true;
    return false;
}

static bool computes_prompts(const struct fleet_instance *instance)
{
    return instance->running > instance->decoding;
}

static uint32_t slots_of(const struct fleet_instance *instance)
{
    return instance->slots ? instance->slots : 1;
}

static bool is_loaded(const struct fleet_instance *instance)
{
    return instance->usable && instance->state == INSTANCE_RESIDENT;
}

static bool is_spare(const struct fleet_instance *instance)
{
    return is_loaded(instance) && !computes_prompts(instance) &&
           instance->running + 1 < slots_of(instance);
}

static struct spare find_spare(const struct routing_option *option)
{
    struct spare spare = {.first = NULL};
    for (uint32_t i = 0; i < count_of(option); i++) {
        const struct fleet_instance *it = &option->model->at[i];
        float tok_s = is_spare(it) ? it->rates.prefill_tok_s : 0;
        spare.loaded += is_loaded(it);
        if (tok_s > spare.tok_s)
            spare = (struct spare){it, tok_s, spare.tok_s, spare.loaded};
        else if (tok_s > spare.second_tok_s)
            spare.second_tok_s = tok_s;
    }
    return spare;
}

/* Others find another of its kind that is about as fast and begins at once; or none other is
 * loaded. */
static bool leaves_another(const struct spare *spare, const struct fleet_instance *instance)
{
    float tok_s = spare->first == instance ? spare->second_tok_s : spare->tok_s;
    return spare->loaded == is_loaded(instance) ||
           (tok_s > 0 && tok_s >= (float)ROUTING_AS_FAST * instance->rates.prefill_tok_s);
}

/* Much of what it has been given is still to be computed. While its model loads, that wait is told
 * by its cost. */
static bool is_behind(const struct fleet_instance *instance, double now_s)
{
    return instance->state == INSTANCE_RESIDENT && computes_prompts(instance) &&
           instance->prefill_done_s - now_s > ROUTING_AHEAD_S;
}

static bool has_room(const struct routing_request *request, const struct spare *spare,
        const struct fleet_instance *instance)
{
    uint64_t slots = slots_of(instance), beyond = request->within_slots ? 0 : ROUTING_BEYOND_SLOTS;
    bool hurries = request->lane == LANE_AUTOCOMPLETE || request->due;
    if (request->greedy && !request->due && slots > 1)
        return (uint64_t)instance->running + 1 < slots && !computes_prompts(instance) &&
               leaves_another(spare, instance);
    if (hurries)
        beyond += ROUTING_AUTOCOMPLETE_BEYOND;
    else if (request->policy == ROUTING_BEST && is_behind(instance, request->now_s))
        return false;
    return instance->running < slots + beyond;
}

/* --- choice --- */

static int make_room(struct routing *routing, const struct routing_request *request)
{
    size_t count = lanes_of(request);
    if (count <= routing->room)
        return 0;
    float *totals = realloc(routing->totals, count * sizeof(*totals));
    if (!totals)
        return -ENOMEM;
    routing->totals = totals;
    routing->room = count;
    return 0;
}

static uint32_t epoch_of(const struct fleet_model *model, uint32_t index)
{
    return model->blocks[index / FLEET_LANES].epoch[index % FLEET_LANES];
}

static void forbid(const struct aim *aim, float *totals)
{
    for (uint32_t i = 0; i < count_of(aim->option); i++)
        if (has_failed(aim, epoch_of(aim->option->model, i)))
            totals[i] = INFINITY;
}

/* The number of instances where none is of that session. */
static uint32_t find_epoch(const struct routing_option *option, uint32_t epoch)
{
    uint32_t count = count_of(option), i = 0;
    while (i < count && epoch_of(option->model, i) != epoch)
        i++;
    return i;
}

static bool is_home(const struct aim *aim, const struct fleet_instance *instance)
{
    return instance->epoch == aim->request->session.epoch &&
           aim->option->model == aim->request->session.model;
}

static double held_tokens(const struct aim *aim, const struct fleet_instance *instance)
{
    const struct routing_option *option = aim->option;
    if (!option->held_blocks || instance->holder == PREFIX_NO_HOLDER)
        return 0;
    double held = option->held_blocks[instance->holder] * option->block_tokens;
    if (is_home(aim, instance))
        held += aim->request->tail_tokens;
    return cost_least(held, option->prompt_tokens);
}

static void cost_on(
        const struct aim *aim, const struct fleet_instance *instance, struct cost *ret_cost)
{
    uint32_t quality = aim->option->quality ? aim->option->quality : instance->quality;
    struct cost_ask ask = {.prompt_tokens = aim->option->prompt_tokens,
            .output_tokens = aim->request->output_tokens,
            .beta = aim->request->beta,
            .gamma = aim->request->gamma,
            .sigma = aim->request->sigma,
            .quality_missing = cost_most((double)aim->question.quality_wanted - quality, 0)};
    struct cost_state state;
    fleet_cost_state(instance, aim->pass, held_tokens(aim, instance), aim->request->now_s, &state);
    cost_of(&ask, &state, ret_cost);
}

/* Digests know whole blocks. */
static void recost_home(const struct aim *aim, float *totals)
{
    uint32_t home = find_epoch(aim->option, aim->request->session.epoch);
    struct cost cost;
    if (aim->option->model != aim->request->session.model || home == count_of(aim->option) ||
            !(totals[home] < INFINITY))
        return;
    cost_on(aim, &aim->option->model->at[home], &cost);
    totals[home] = (float)cost.total_s;
}

/* Lane by lane, as vector instructions do. Adds the feasible ones. */
static float least_of(const float *totals, size_t count, uint32_t *feasible)
{
    float least[FLEET_LANES];
    uint32_t finite[FLEET_LANES] = {0};
    for (size_t i = 0; i < FLEET_LANES; i++)
        least[i] = INFINITY;
    for (size_t at = 0; at < count; at += FLEET_LANES)
        for (size_t i = 0; i < FLEET_LANES; i++) {
            least[i] = totals[at + i] < least[i] ? totals[at + i] : least[i];
            finite[i] += totals[at + i] < INFINITY;
        }
    for (size_t i = 0; i < FLEET_LANES; i++) {
        least[0] = least[i] < least[0] ? least[i] : least[0];
        *feasible += finite[i];
    }
    return least[0];
}

/* Fills the totals of one option, of `blocks`; returns the least of them. */
static float survey_option(
        const struct aim *aim, size_t blocks, float *totals, struct survey *survey)
{
    if (!blocks)
        return INFINITY;
    fleet_digest_costs(&aim->question, aim->option->model->blocks, blocks, totals);
    if (aim->request->avoid_count)
        forbid(aim, totals);
    if (aim->request->tail_tokens > 0)
        recost_home(aim, totals);
    return least_of(totals, blocks * FLEET_LANES, &survey->feasible);
}

static void survey_all(struct routing *routing, const struct fleet *fleet,
        const struct routing_request *request, struct survey *ret_survey)
{
    size_t lanes = 0;
    ret_survey->least_s = INFINITY;
    ret_survey->feasible = 0;
    for (size_t i = 0; i < request->option_count; i++) {
        struct aim aim = aim_at(fleet, request, i);
        size_t blocks = blocks_of(aim.option);
        float least_s =
                survey_option(&aim, blocks, blocks ? &routing->totals[lanes] : NULL, ret_survey);
        if (request->greedy)
            ret_survey->spares[i] = find_spare(aim.option);
        ret_survey->least_of_s[i] = least_s;
        ret_survey->least_s = least_s < ret_survey->least_s ? least_s : ret_survey->least_s;
        lanes += blocks * FLEET_LANES;
    }
}

static struct candidate candidate_at(const struct routing_request *request,
        const struct survey *survey, size_t option, uint32_t index, float total_s)
{
    const struct fleet_instance *instance = &request->options[option].model->at[index];
    return (struct candidate){
            instance, option, total_s, has_room(request, &survey->spares[option], instance)};
}

/* The session's instance, where it is feasible. */
static struct candidate find_home(
        const float *totals, const struct routing_request *request, const struct survey *survey)
{
    struct candidate home = {.total_s = INFINITY};
    for (size_t i = 0; i < request->option_count && request->session.epoch; i++) {
        const struct routing_option *option = &request->options[i];
        uint32_t count = count_of(option), j = count;
        if (option->model == request->session.model)
            j = find_epoch(option, request->session.epoch);
        if (j < count && totals[j] < INFINITY)
            home = candidate_at(request, survey, i, j, totals[j]);
        totals += blocks_of(option) * FLEET_LANES;
    }
    return home;
}

/* Of two that cost about the same. No two are alike in all of this. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->has_room != b->has_room)
        return a->has_room;
    if (a->instance->last_used != b->instance->last_used)
        return a->instance->last_used < b->instance->last_used;
    if (a->total_s < b->total_s || a->total_s > b->total_s)
        return a->total_s < b->total_s;
    return a->option != b->option ? a->option < b->option : a->instance->epoch < b->instance->epoch;
}

/* `best`, or one of the option that is better and costs about as little. */
static struct candidate better_of(const struct routing_request *request,
        const struct survey *survey, size_t option, const float *totals, struct candidate best)
{
    float limit_s = survey->least_s + (float)ROUTING_TIE_S;
    for (uint32_t i = 0; i < count_of(&request->options[option]); i++) {
        if (totals[i] > limit_s)
            continue;
        const struct candidate it = candidate_at(request, survey, option, i, totals[i]);
        if (!best.instance || is_better(&it, &best))
            best = it;
    }
    return best;
}

static struct candidate best_of_ties(
        const float *totals, const struct routing_request *request, const struct survey *survey)
{
    float limit_s = survey->least_s + (float)ROUTING_TIE_S;
    struct candidate best = {.instance = NULL};
    for (size_t i = 0; i < request->option_count; i++) {
        if (survey->least_of_s[i] <= limit_s)
            best = better_of(request, survey, i, totals, best);
        totals += blocks_of(&request->options[i]) * FLEET_LANES;
    }
    return best;
}

/* Who waits at the cursor would feel the margin of others with each letter. */
static bool stays(
        const struct candidate *home, const struct routing_request *request, float least_s)
{
    double margin_s = cost_most(ROUTING_STAY_S, ROUTING_STAY_SHARE * (double)home->total_s);
    if (request->lane == LANE_AUTOCOMPLETE)
        margin_s = ROUTING_TIE_S;
    return home->instance && (double)home->total_s - (double)least_s < margin_s;
}

/* The one that the policy takes, of the first option that has a feasible one. */
static struct candidate best_by_policy(const float *totals, const struct routing_request *request,
        const struct survey *survey, uint32_t pass)
{
    struct candidate best = {.instance = NULL};
    for (size_t i = 0; i < request->option_count && !best.instance; i++) {
        const struct routing_option *option = &request->options[i];
        for (uint32_t j = 0; j < count_of(option); j++) {
            const struct candidate it = candidate_at(request, survey, i, j, totals[j]);
            if (totals[j] < INFINITY &&
                    (!best.instance || routing_policy_prefers(
                                               request->policy, pass, it.instance, best.instance)))
                best = it;
        }
        totals += blocks_of(option) * FLEET_LANES;
    }
    return best;
}

/* One is feasible. */
static struct candidate best_of(const float *totals, const struct fleet *fleet,
        const struct routing_request *request, const struct survey *survey, bool *ret_stayed)
{
    *ret_stayed = false;
    if (request->policy != ROUTING_BEST)
        return best_by_policy(totals, request, survey, fleet_pass(fleet));
    struct candidate home = find_home(totals, request, survey);
    bool stay = stays(&home, request, survey->least_s);
    *ret_stayed = stay && home.total_s > survey->least_s;
    return stay ? home : best_of_ties(totals, request, survey);
}

/* --- what it comes to, in full --- */

static bool is_too_long(const struct aim *aim, const struct fleet_instance *instance)
{
    return instance->context && aim->question.whole_tokens > (float)instance->context;
}

static enum refusal refusal_of(const struct aim *aim, const struct fleet_instance *instance)
{
    const struct routing_request *request = aim->request;
    uint32_t quality = aim->option->quality ? aim->option->quality : instance->quality;
    if (request->needs & ~refusal_abilities(instance))
        return REFUSAL_LACKS;
    if (quality < request->quality_floor)
        return REFUSAL_QUALITY;
    if (instance->batch_only && !request->batch)
        return REFUSAL_BATCH_ONLY;
    if (is_too_long(aim, instance))
        return REFUSAL_CONTEXT;
    if (request->loaded & ~fleet_digest_loaded(instance))
        return REFUSAL_NOT_LOADED;
    if (has_failed(aim, instance->epoch))
        return REFUSAL_AVOIDED;
    enum refusal refusal = refusal_for_all(instance);
    return refusal == REFUSAL_TRIPPED && request->tripped_too ? REFUSAL_NONE : refusal;
}

/* Told of every instance. */
typedef void visit_fn(void *ctx, const struct aim *aim, const struct fleet_instance *instance);

static void visit_all(const struct fleet *fleet, const struct routing_request *request,
        visit_fn *visit, void *ctx)
{
    for (size_t i = 0; i < request->option_count; i++) {
        struct aim aim = aim_at(fleet, request, i);
        for (uint32_t j = 0; j < count_of(aim.option); j++)
            visit(ctx, &aim, &aim.option->model->at[j]);
    }
}

struct looker {
    routing_look_fn *look;
    void *ctx;
    const struct survey *survey;
};

static void show(void *ctx, const struct aim *aim, const struct fleet_instance *instance)
{
    const struct looker *looker = ctx;
    enum refusal refusal = refusal_of(aim, instance);
    bool feasible = refusal == REFUSAL_NONE;
    struct cost cost;
    if (feasible)
        cost_on(aim, instance, &cost);
    const struct spare *spare = &looker->survey->spares[aim->option_index];
    if (feasible && !has_room(aim->request, spare, instance))
        refusal = REFUSAL_FULL;
    looker->look(looker->ctx, instance, aim->option_index, refusal, feasible ? &cost : NULL,
            held_tokens(aim, instance));
}

static uint32_t fewest(uint32_t some, uint32_t lacks)
{
    int more = __builtin_popcount(lacks) - __builtin_popcount(some);
    return !some || more < 0 || (more == 0 && lacks < some) ? lacks : some;
}

static bool could_count(const struct aim *aim, const struct fleet_instance *instance)
{
    enum refusal refusal = refusal_for_all(instance);
    return fleet_digest_loaded(instance) && !has_failed(aim, instance->epoch) &&
           (refusal == REFUSAL_NONE || refusal == REFUSAL_TRIPPED);
}

bool routing_is_longer(uint32_t context, bool last, uint32_t than, bool than_last)
{
    if (context > 0 && than > 0 && last != than_last)
        return than_last;
    return context > than;
}

/* It could take no shorter prompt either, nor could it in a moment. */
static bool is_closed(const struct fleet_instance *instance)
{
    enum refusal refusal = refusal_for_all(instance);
    return refusal == REFUSAL_NO_FIT || refusal == REFUSAL_UNUSABLE;
}

static void note_context(
        const struct aim *aim, const struct fleet_instance *instance, struct routing_plan *plan)
{
    uint32_t context = instance->context;
    bool closed = is_closed(instance), rests = instance->tripped;
    if (routing_is_longer(context, closed, plan->context_max, plan->longest_closed)) {
        plan->context_max = context;
        plan->longest_closed = closed;
        plan->longest = aim->option_index;
    }
    if (could_count(aim, instance) &&
            routing_is_longer(context, rests, plan->context_loaded, plan->loaded_rests)) {
        plan->context_loaded = context;
        plan->loaded_rests = rests;
    }
}

static void note_refusal(void *ctx, const struct aim *aim, const struct fleet_instance *instance)
{
    struct routing_plan *plan = ctx;
    enum refusal refusal = refusal_of(aim, instance);
    if (refusal > plan->refusal)
        plan->refusal = refusal;
    if (refusal == REFUSAL_LACKS)
        plan->lacking = fewest(plan->lacking, aim->request->needs & ~refusal_abilities(instance));
    if (refusal == REFUSAL_CONTEXT)
        note_context(aim, instance, plan);
    plan->avoided += refusal == REFUSAL_AVOIDED;
}

static void plan_none(
        const struct fleet *fleet, const struct routing_request *request, struct routing_plan *plan)
{
    visit_all(fleet, request, note_refusal, plan);
    plan->verdict = plan->refusal >= REFUSAL_SILENT ? ROUTING_WAIT : ROUTING_NONE;
}

static void plan_for(const struct fleet *fleet, const struct routing_request *request,
        const struct candidate *chosen, struct routing_plan *plan)
{
    struct aim aim = aim_at(fleet, request, chosen->option);
    plan->verdict = chosen->has_room ? ROUTING_RUN : ROUTING_WAIT;
    plan->refusal = chosen->has_room ? REFUSAL_NONE : REFUSAL_FULL;
    plan->instance = chosen->instance;
    plan->option = chosen->option;
    plan->held_tokens = held_tokens(&aim, chosen->instance);
    cost_on(&aim, chosen->instance, &plan->cost);
}

static bool has_slot(const struct fleet_instance *instance, uint32_t pass)
{
    bool loaded = instance->state == INSTANCE_RESIDENT || instance->state == INSTANCE_LOADING;
    uint64_t taken = (uint64_t)instance->running + fleet_promised(instance, pass);
    return loaded && taken < slots_of(instance);
}

static void note_free(const struct routing_request *request, const struct spare *spare,
        uint32_t pass, const struct fleet_instance *instance, struct routing_plan *plan)
{
    plan->slot_free |= has_slot(instance, pass);
    plan->room_left |= has_room(request, spare, instance);
}

static void tell_free(const float *totals, const struct fleet *fleet,
        const struct routing_request *request, const struct survey *survey,
        struct routing_plan *plan)
{
    for (size_t i = 0; i < request->option_count; i++) {
        const struct routing_option *option = &request->options[i];
        for (uint32_t j = 0; j < count_of(option); j++)
            if (totals[j] < INFINITY)
                note_free(request, &survey->spares[i], fleet_pass(fleet), &option->model->at[j],
                        plan);
        totals += blocks_of(option) * FLEET_LANES;
    }
    plan->slot_there = has_slot(plan->instance, fleet_pass(fleet));
}

static uint32_t absent_of(const struct routing_request *request)
{
    uint32_t absent = 0;
    for (size_t i = 0; i < request->option_count; i++)
        absent += count_of(&request->options[i]) == 0;
    return absent;
}

int routing_choose(struct routing *routing, struct fleet *fleet,
        const struct routing_request *request, routing_look_fn *look, void *ctx,
        struct routing_plan *ret_plan)
{
    assert(request->option_count <= ROUTING_OPTIONS_MAX &&
            request->avoid_count <= ROUTING_AVOID_MAX);
    int r = make_room(routing, request);
    if (r)
        return r;
    fleet_freshen(fleet);
    struct routing_request asked = *request;
    struct survey survey;
    survey_all(routing, fleet, &asked, &survey);
    if (survey.feasible == 0) {
        asked.tripped_too = true;
        survey_all(routing, fleet, &asked, &survey);
    }
    struct routing_plan plan = {
            .absent = absent_of(&asked), .feasible = survey.feasible, .policy = asked.policy};
    if (survey.feasible > 0) {
        struct candidate best = best_of(routing->totals, fleet, &asked, &survey, &plan.stayed);
        plan_for(fleet, &asked, &best, &plan);
        if (asked.tell_free && plan.verdict == ROUTING_WAIT)
            tell_free(routing->totals, fleet, &asked, &survey, &plan);
    } else {
        plan_none(fleet, &asked, &plan);
    }
    struct looker looker = {look, ctx, &survey};
    if (look)
        visit_all(fleet, &asked, show, &looker);
    *ret_plan = plan;
    return 0;
}

struct routing *routing_create(void)
{
    return calloc(1, sizeof(struct routing));
}

void routing_destroy(struct routing *routing)
{
    if (!routing)
        return;
    free(routing->totals);
    free(routing);
}
