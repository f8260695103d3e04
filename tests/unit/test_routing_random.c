/* Decisions by chance, held against a naive reading of the rules: every instance by itself, in
 * doubles, with none of the modules' own arithmetic. MODEMESH_SEED repeats the one that failed. */
#include "coordinator/scheduling/prefix_index.h"
#include "coordinator/scheduling/routing.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORLDS = 3000,
    MODELS = 3,
    INSTANCES_MAX = 40, /* of all models */
    HOLDERS = 8,
};

#define NOW_S 5000.0
#define EXACT 1e-3 /* the modules compare in floats: within this share either may win */

static const char *const names[MODELS] = {"small", "balanced", "large"};

/* An instance as it was drawn; two fleets of them differ in their order only. */
struct drawn {
    size_t model;
    struct fleet_instance it;
    bool promised;
};

struct scene {
    uint64_t seed;
    struct virtual_env env;
    struct drawn drawn[INSTANCES_MAX];
    size_t count;
    uint32_t held[MODELS][HOLDERS];
    struct routing_option options[MODELS]; /* without their models */
    size_t order[MODELS];                  /* which model each option is */
    struct routing_request request;
    size_t session_model, avoid_model;
};

static uint64_t below(struct scene *scene, uint64_t bound)
{
    return env_random_u64(&scene->env.env) % bound;
}

static bool chance(struct scene *scene, unsigned percent)
{
    return below(scene, 100) < percent;
}

static double between(struct scene *scene, double low, double high)
{
    return low + (high - low) * (double)below(scene, 1 << 24) / (1 << 24);
}

/* --- drawing --- */

static struct fleet_instance draw_instance(struct scene *scene)
{
    bool is_sound = chance(scene, 60);
    return (struct fleet_instance){
            .rates = {.prefill_tok_s = (float)between(scene, 100, 5000),
                    .half_depth = chance(scene, 20) ? INFINITY : (float)between(scene, 5e3, 1e5),
                    .step_s = (float)between(scene, 0.005, 0.05),
                    .step_sequence_s = (float)between(scene, 0, 0.005)},
            .state = is_sound ? INSTANCE_RESIDENT
                              : (enum instance_state)below(scene, INSTANCE_STATE_COUNT),
            .capabilities = CAPABILITY_CHAT | (chance(scene, 90) ? CAPABILITY_TOOLS : 0) |
                            (chance(scene, 70) ? CAPABILITY_EXACT : 0) |
                            (chance(scene, 50) ? CAPABILITY_TEMPLATE : 0),
            .context = chance(scene, 10) ? 0 : 8192U << below(scene, 4),
            .slots = (uint32_t)below(scene, 5),
            .running = chance(scene, 50) ? 0 : (uint32_t)below(scene, 7),
            .holder = chance(scene, 10) ? PREFIX_NO_HOLDER : (uint32_t)below(scene, HOLDERS),
            .usable = is_sound || chance(scene, 70),
            .silent = chance(scene, 50),
            .tripped = !is_sound && chance(scene, 20),
            .fits = is_sound || chance(scene, 60),
            .ordered = !is_sound && chance(scene, 20),
            .batch_only = !is_sound && chance(scene, 30),
            .quality = (uint8_t)below(scene, 101),
            .rtt_s = (float)between(scene, 0, 0.05),
            .swap_token_s = chance(scene, 30) ? (float)between(scene, 0, 0.001) : 0,
            .load_s = (float)between(scene, 1, 60),
            .failure_rate = chance(scene, 80) ? 0 : (float)between(scene, 0, 1),
            .price_s = chance(scene, 90) ? 0 : (float)between(scene, 0, 5),
            .ready_s = NOW_S + between(scene, -5, 60),
            .prefill_done_s = NOW_S + between(scene, -20, 20),
            .slot_free_s = NOW_S + between(scene, -20, 40),
            .last_used = below(scene, 1000),
            .promised = 1 + (uint32_t)below(scene, 3),
            .promised_prefill_s = (float)between(scene, 0, 20),
            .slot_turn_s = (float)between(scene, 0, 10)};
}

/* Each node has some of the models. */
static void draw_fleet(struct scene *scene)
{
    bool alike = chance(scene, 20); /* many ties */
    size_t places = below(scene, INSTANCES_MAX + 1);
    for (uint32_t i = 0; i < places; i++) {
        struct drawn *drawn = &scene->drawn[scene->count];
        *drawn = (struct drawn){
                .model = i % MODELS, .promised = chance(scene, 20), .it = draw_instance(scene)};
        if (alike && scene->count > 0) {
            drawn->it = scene->drawn[0].it;
            drawn->it.last_used = below(scene, 5);
            drawn->it.running = (uint32_t)below(scene, 5);
        }
        drawn->it.decoding = drawn->it.running - (uint32_t)below(scene, 1 + drawn->it.running / 2);
        drawn->it.epoch = i / MODELS + 1;
        scene->count += chance(scene, 80);
    }
}

static void draw_options(struct scene *scene)
{
    size_t first = below(scene, MODELS);
    double tokens = between(scene, 10, 60000);
    for (size_t i = 0; i < MODELS; i++) {
        scene->order[i] = (first + i) % MODELS;
        for (size_t j = 0; j < HOLDERS; j++)
            scene->held[i][j] = chance(scene, 50) ? 0 : (uint32_t)below(scene, 300);
        scene->options[i] =
                (struct routing_option){.held_blocks = chance(scene, 80) ? scene->held[i] : NULL,
                        .block_tokens = between(scene, 200, 300),
                        .prompt_tokens = tokens * between(scene, 0.9, 1.1),
                        .quality = chance(scene, 80) ? (uint8_t)below(scene, 101) : 0};
    }
}

static void draw_request(struct scene *scene)
{
    draw_options(scene);
    scene->session_model = below(scene, MODELS);
    scene->avoid_model = below(scene, MODELS);
    scene->request = (struct routing_request){.option_count = below(scene, MODELS + 1),
            .output_tokens = between(scene, 0, 2000),
            .output_reserve = (uint32_t)below(scene, 4096),
            .beta = between(scene, 0, 1),
            .gamma = between(scene, 0, 1),
            .sigma = between(scene, 0, 1),
            .quality_floor = chance(scene, 70) ? 0 : (uint8_t)below(scene, 80),
            .quality_wanted = chance(scene, 70) ? 0 : (uint8_t)below(scene, 101),
            .needs = CAPABILITY_CHAT | (chance(scene, 30) ? CAPABILITY_TOOLS : 0),
            .lane = chance(scene, 20) ? LANE_AUTOCOMPLETE : LANE_CHAT,
            .batch = chance(scene, 20),
            .greedy = chance(scene, 20),
            .due = chance(scene, 10),
            .session.epoch = chance(scene, 50) ? (uint32_t)below(scene, INSTANCES_MAX / 2) : 0,
            .tail_tokens = chance(scene, 50) ? between(scene, 0, 3000) : 0,
            .avoid[0].epoch = (uint32_t)below(scene, INSTANCES_MAX / 2),
            .avoid_count = below(scene, 2),
            .now_s = NOW_S};
}

static void draw(struct scene *scene, uint64_t seed)
{
    memset(scene, 0, sizeof(*scene));
    scene->seed = seed;
    virtual_env_init(&scene->env);
    scene->env.random = seed * 0x9e3779b97f4a7c15ULL;
    draw_fleet(scene);
    draw_request(scene);
}

/* --- the naive reading --- */

static double max_of(double a, double b)
{
    return a > b ? a : b;
}

static double min_of(double a, double b)
{
    return a < b ? a : b;
}

static const struct routing_option *option_of(const struct scene *scene, const struct drawn *drawn)
{
    for (size_t i = 0; i < scene->request.option_count; i++)
        if (scene->order[i] == drawn->model)
            return &scene->options[i];
    return NULL;
}

static double quality_of(const struct routing_option *option, const struct drawn *drawn)
{
    return option->quality ? option->quality : drawn->it.quality;
}

static bool is_avoided(const struct scene *scene, const struct drawn *drawn)
{
    return scene->request.avoid_count && scene->request.avoid[0].epoch == drawn->it.epoch &&
           scene->avoid_model == drawn->model;
}

/* Could this very request ever be sent there, as things are, unless it rests? */
static bool is_able(const struct scene *scene, const struct drawn *drawn)
{
    const struct routing_option *option = option_of(scene, drawn);
    const struct routing_request *request = &scene->request;
    const struct fleet_instance *it = &drawn->it;
    if (!option || !it->usable || is_avoided(scene, drawn))
        return false;
    if (it->batch_only && !request->batch)
        return false;
    if (request->needs & CAPABILITY_TOOLS && !(it->capabilities & CAPABILITY_TOOLS) &&
            it->capabilities & (CAPABILITY_EXACT | CAPABILITY_TEMPLATE))
        return false;
    if (quality_of(option, drawn) < request->quality_floor)
        return false;
    if (it->context && option->prompt_tokens + request->output_reserve > it->context)
        return false;
    bool loadable = it->state == INSTANCE_AVAILABLE && it->fits;
    return it->state == INSTANCE_RESIDENT || it->state == INSTANCE_LOADING || it->ordered ||
           loadable;
}

/* Those that rest are, where all that are able rest. */
static bool is_feasible(const struct scene *scene, const struct drawn *drawn)
{
    bool all_rest = true;
    for (size_t i = 0; i < scene->count; i++)
        all_rest = all_rest && (scene->drawn[i].it.tripped || !is_able(scene, &scene->drawn[i]));
    return is_able(scene, drawn) && (!drawn->it.tripped || all_rest);
}

static double wanted_of(const struct scene *scene)
{
    double most = 0;
    for (size_t i = 0; i < scene->request.option_count; i++)
        most = max_of(most, scene->options[i].quality);
    return scene->request.quality_wanted ? scene->request.quality_wanted : most;
}

static double slots_of(const struct drawn *drawn)
{
    return drawn->it.slots ? drawn->it.slots : 1;
}

/* Until its prefill begins, loads and all. */
static double wait_s(const struct drawn *drawn)
{
    const struct fleet_instance *it = &drawn->it;
    bool resident = it->state == INSTANCE_RESIDENT, loading = it->state == INSTANCE_LOADING;
    double promised = drawn->promised ? it->promised : 0, slot_s = 0;
    double prefill_s = max_of(it->prefill_done_s - NOW_S, 0);
    if (loading)
        prefill_s = max_of(prefill_s, it->ready_s - NOW_S);
    if (!resident && !loading && it->running == 0)
        prefill_s += (double)it->load_s;
    if (drawn->promised)
        prefill_s += (double)it->promised_prefill_s;
    double beyond = it->running + promised - max_of(it->running, slots_of(drawn));
    if (it->running + promised >= slots_of(drawn))
        slot_s = max_of(it->slot_free_s - NOW_S, 0) + beyond * (double)it->slot_turn_s;
    return max_of(prefill_s, slot_s);
}

static double held_of(const struct scene *scene, const struct drawn *drawn)
{
    const struct routing_option *option = option_of(scene, drawn);
    bool holds = option->held_blocks && drawn->it.holder != PREFIX_NO_HOLDER;
    double held = holds ? option->held_blocks[drawn->it.holder] * option->block_tokens : 0;
    if (holds && drawn->it.epoch == scene->request.session.epoch &&
            drawn->model == scene->session_model)
        held += scene->request.tail_tokens;
    return min_of(held, option->prompt_tokens);
}

static double naive_cost_s(const struct scene *scene, const struct drawn *drawn)
{
    const struct routing_option *option = option_of(scene, drawn);
    const struct routing_request *request = &scene->request;
    const struct fleet_instance *it = &drawn->it;
    double slots = slots_of(drawn), held = held_of(scene, drawn);
    double ahead = it->running + (drawn->promised ? it->promised : 0);
    double n = option->prompt_tokens - held;
    double prefill_s = n * (1 + (held + n / 2) / (double)it->rates.half_depth) /
                       (double)it->rates.prefill_tok_s;
    double step_s =
            (double)it->rates.step_s + (double)it->rates.step_sequence_s * min_of(ahead + 1, slots);
    bool begins = it->state == INSTANCE_AVAILABLE && it->running == 0 && !it->ordered;
    return wait_s(drawn) + held * (double)it->swap_token_s + prefill_s + (double)it->rtt_s +
           request->beta * request->output_tokens * step_s +
           request->gamma * prefill_s * min_of(ahead, slots) / slots +
           request->sigma * max_of(wanted_of(scene) - quality_of(option, drawn), 0) +
           (double)it->price_s + (begins ? (double)it->load_s : 0) +
           (double)it->failure_rate * COST_RETRY_S;
}

static bool computes_prompts(const struct drawn *drawn)
{
    return drawn->it.running > drawn->it.decoding;
}

static bool is_loaded(const struct drawn *drawn)
{
    return drawn->it.usable && drawn->it.state == INSTANCE_RESIDENT;
}

/* Another of that model is about as fast and begins at once, or none other is loaded. */
static bool leaves_another(const struct scene *scene, const struct drawn *drawn)
{
    size_t others = 0;
    for (size_t i = 0; i < scene->count; i++) {
        const struct drawn *other = &scene->drawn[i];
        if (other == drawn || other->model != drawn->model || !is_loaded(other))
            continue;
        others++;
        if (!computes_prompts(other) && other->it.running + 1 < slots_of(other) &&
                other->it.rates.prefill_tok_s >=
                        (float)ROUTING_AS_FAST * drawn->it.rates.prefill_tok_s)
            return true;
    }
    return others == 0;
}

static bool has_room(const struct scene *scene, const struct drawn *drawn)
{
    double slots = slots_of(drawn), running = drawn->it.running;
    bool due = scene->request.due, hurries = due || scene->request.lane == LANE_AUTOCOMPLETE;
    if (scene->request.greedy && !due && slots > 1)
        return running + 1 < slots && !computes_prompts(drawn) && leaves_another(scene, drawn);
    if (!hurries && drawn->it.state == INSTANCE_RESIDENT && computes_prompts(drawn) &&
            drawn->it.prefill_done_s - NOW_S > ROUTING_AHEAD_S)
        return false;
    return running < slots + (hurries ? 3 : 1);
}

/* --- the modules --- */

struct subject {
    struct fleet *fleet;
    struct routing *routing;
    struct fleet_handle handles[INSTANCES_MAX];
    struct routing_option options[MODELS];
    struct routing_request request;
    struct routing_plan plan;
};

/* What fleet_add() resets is set again as drawn. */
static void add(struct subject *subject, const struct drawn *drawn, struct fleet_handle *handle)
{
    assert_int_equal(fleet_add(subject->fleet, names[drawn->model], &drawn->it, 0, handle), 0);
    struct fleet_instance *it = fleet_at(handle);
    *it = drawn->it;
    it->handle = handle;
    it->promise_pass = fleet_pass(subject->fleet) - !drawn->promised;
}

static void build(struct subject *subject, const struct scene *scene, size_t step)
{
    subject->fleet = fleet_create(NULL);
    subject->routing = routing_create();
    assert_non_null(subject->fleet);
    assert_non_null(subject->routing);
    for (size_t i = 0; i < scene->count; i++) {
        size_t at = i * step % scene->count;
        add(subject, &scene->drawn[at], &subject->handles[at]);
    }
    subject->request = scene->request;
    subject->request.options = subject->options;
    for (size_t i = 0; i < MODELS; i++) {
        subject->options[i] = scene->options[i];
        subject->options[i].model = fleet_find(subject->fleet, names[scene->order[i]]);
    }
    subject->request.session.model = fleet_find(subject->fleet, names[scene->session_model]);
    subject->request.avoid[0].model = fleet_find(subject->fleet, names[scene->avoid_model]);
}

static void decide(struct subject *subject)
{
    memset(&subject->plan, 0xa5, sizeof(subject->plan));
    assert_int_equal(routing_choose(subject->routing, subject->fleet, &subject->request, NULL, NULL,
                             &subject->plan),
            0);
}

static void destroy(struct subject *subject)
{
    routing_destroy(subject->routing);
    fleet_destroy(subject->fleet);
}

/* --- what must hold --- */

#define check(scene, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("MODEMESH_SEED=%" PRIu64 ": not %s", (scene)->seed, #condition);              \
    } while (0)

static const struct drawn *chosen_of(const struct scene *scene, const struct subject *subject)
{
    const struct fleet_instance *instance = subject->plan.instance;
    return instance ? &scene->drawn[instance->handle - subject->handles] : NULL;
}

/* The least cost of what is feasible, and the session's own. */
struct bounds {
    uint32_t feasible;
    double least_s;
    const struct drawn *home;
};

static struct bounds bounds_of(const struct scene *scene)
{
    struct bounds bounds = {.least_s = INFINITY};
    for (size_t i = 0; i < scene->count; i++) {
        const struct drawn *drawn = &scene->drawn[i];
        if (!is_feasible(scene, drawn))
            continue;
        bounds.feasible++;
        bounds.least_s = min_of(bounds.least_s, naive_cost_s(scene, drawn));
        if (drawn->it.epoch == scene->request.session.epoch && drawn->model == scene->session_model)
            bounds.home = drawn;
    }
    return bounds;
}

static void check_session(
        const struct scene *scene, const struct bounds *bounds, const struct drawn *chosen)
{
    double home_s = naive_cost_s(scene, bounds->home), slack_s = EXACT * (1 + home_s);
    double better_s = home_s - bounds->least_s;
    bool typed = scene->request.lane == LANE_AUTOCOMPLETE;
    double margin_s = typed ? 0.05 : max_of(0.25, 0.1 * home_s);
    if (better_s < margin_s - slack_s)
        check(scene, chosen == bounds->home);
    if (better_s > margin_s + slack_s)
        check(scene, chosen != bounds->home);
}

static void check_choice(const struct scene *scene, const struct subject *subject)
{
    const struct bounds bounds = bounds_of(scene);
    const struct drawn *chosen = chosen_of(scene, subject);
    const struct routing_plan *plan = &subject->plan;
    check(scene, plan->feasible == bounds.feasible);
    check(scene, !chosen == !bounds.feasible);
    if (!chosen)
        return;
    double total_s = naive_cost_s(scene, chosen);
    check(scene, is_feasible(scene, chosen));
    check(scene, fabs(plan->cost.total_s - total_s) < 1e-6 * (1 + total_s));
    check(scene, plan->verdict == (has_room(scene, chosen) ? ROUTING_RUN : ROUTING_WAIT));
    if (bounds.home)
        check_session(scene, &bounds, chosen);
    if (chosen != bounds.home)
        check(scene, total_s <= bounds.least_s + ROUTING_TIE_S + EXACT * (1 + total_s));
}

/* Of those that are surely within a tie, none that is sooner due was passed over. */
static void check_ties(const struct scene *scene, const struct subject *subject)
{
    const struct bounds bounds = bounds_of(scene);
    const struct drawn *chosen = chosen_of(scene, subject);
    if (!chosen || chosen == bounds.home)
        return;
    for (size_t i = 0; i < scene->count; i++) {
        const struct drawn *other = &scene->drawn[i];
        if (!is_feasible(scene, other) ||
                naive_cost_s(scene, other) > bounds.least_s + 0.049 - EXACT * bounds.least_s)
            continue;
        bool rooms[] = {has_room(scene, chosen), has_room(scene, other)};
        check(scene, rooms[0] >= rooms[1]);
        if (rooms[0] == rooms[1])
            check(scene, chosen->it.last_used <= other->it.last_used);
    }
}

/* Nothing feasible: it is waited for where something may become so by itself. */
static void check_none(const struct scene *scene, const struct subject *subject)
{
    const struct routing_plan *plan = &subject->plan;
    if (plan->instance)
        return;
    bool passes = false;
    for (size_t i = 0; i < scene->count; i++) {
        struct drawn healed = scene->drawn[i];
        bool away = !healed.it.usable && !healed.it.silent;
        bool never = healed.it.state == INSTANCE_AVAILABLE && !healed.it.fits;
        healed.it.usable = !away;
        if (healed.it.state == INSTANCE_STOPPING || healed.it.state == INSTANCE_FAILED)
            healed.it.state = INSTANCE_RESIDENT;
        passes = passes || (!never && is_able(scene, &healed));
        passes = passes || (healed.it.ordered && is_able(scene, &healed));
    }
    check(scene, (plan->verdict == ROUTING_WAIT) == passes);
    check(scene, plan->verdict != ROUTING_RUN);
}

static void check_same(const struct scene *scene, const struct subject *a, const struct subject *b)
{
    check(scene, a->plan.verdict == b->plan.verdict);
    check(scene, a->plan.refusal == b->plan.refusal);
    check(scene, chosen_of(scene, a) == chosen_of(scene, b));
    check(scene, a->plan.option == b->plan.option);
    for (size_t i = 0; a->plan.instance && i < COST_TERM_COUNT; i++)
        check(scene, cost_term_s(&a->plan.cost, i) == cost_term_s(&b->plan.cost, i));
    check(scene, a->plan.lacking == b->plan.lacking);
    check(scene, a->plan.context_max == b->plan.context_max);
    check(scene, a->plan.stayed == b->plan.stayed);
}

/* What explain says of each is what was decided by. */
static void look(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    const struct scene *scene = ctx;
    const struct drawn *drawn = scene->drawn;
    while (drawn->it.epoch != instance->epoch || drawn->model != scene->order[option])
        drawn++;
    check(scene, !cost == !is_feasible(scene, drawn));
    check(scene, fabs(held_tokens - held_of(scene, drawn)) < 1e-6);
    if (cost)
        check(scene, (refusal == REFUSAL_NONE) == has_room(scene, drawn));
    if (cost)
        check(scene, fabs(cost->total_s - naive_cost_s(scene, drawn)) < 1e-6 * (1 + cost->total_s));
}

/* A step that reaches each place once, whatever the count up to INSTANCES_MAX. */
enum { SHUFFLE = 43 };

static void check_scene(uint64_t seed)
{
    static struct scene scene;
    static struct subject subject, shuffled;
    draw(&scene, seed);
    build(&subject, &scene, 1);
    build(&shuffled, &scene, SHUFFLE);
    decide(&subject);
    check_choice(&scene, &subject);
    check_ties(&scene, &subject);
    check_none(&scene, &subject);
    decide(&shuffled);
    check_same(&scene, &subject, &shuffled);
    decide(&shuffled); /* nothing has changed by deciding */
    check_same(&scene, &subject, &shuffled);
    assert_int_equal(routing_choose(subject.routing, subject.fleet, &subject.request, look, &scene,
                             &shuffled.plan),
            0);
    destroy(&subject);
    destroy(&shuffled);
}

static void decisions_follow_the_rules(void **state)
{
    (void)state;
    const char *given = getenv("MODEMESH_SEED");
    if (given)
        check_scene(strtoull(given, NULL, 10));
    for (uint64_t seed = 1; !given && seed <= WORLDS; seed++)
        check_scene(seed);
}

/* --- turns --- */

static void take_turns(uint64_t seed, bool end_at_once)
{
    static struct scene scene;
    static struct subject subject;
    static struct flight flights[INSTANCES_MAX];
    bool had[INSTANCES_MAX] = {false};
    draw(&scene, seed);
    scene.count = 1 + seed % INSTANCES_MAX;
    for (uint32_t i = 0; i < scene.count; i++) {
        scene.drawn[i] = (struct drawn){.it = {.rates = {1000, 30000, 0.01F, 0.001F},
                                                .state = INSTANCE_RESIDENT,
                                                .slots = 4,
                                                .epoch = i + 1,
                                                .holder = PREFIX_NO_HOLDER,
                                                .usable = true}};
    }
    scene.request = (struct routing_request){.option_count = MODELS, .beta = 0.3, .now_s = NOW_S};
    memset(flights, 0, sizeof(flights));
    build(&subject, &scene, SHUFFLE);
    for (size_t i = 0; i < scene.count; i++) {
        decide(&subject);
        check(&scene, subject.plan.verdict == ROUTING_RUN);
        size_t at = (size_t)(subject.plan.instance->handle - subject.handles);
        check(&scene, !had[at]);
        had[at] = true;
        fleet_sent(subject.fleet, subject.plan.instance->handle, &flights[i], &subject.plan.cost, 1,
                NOW_S);
        if (end_at_once)
            fleet_ended(subject.fleet, &flights[i], NOW_S);
    }
    destroy(&subject);
}

static void equal_instances_take_turns(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * INSTANCES_MAX; seed++)
        take_turns(seed, seed % 3 == 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(decisions_follow_the_rules),
            cmocka_unit_test(equal_instances_take_turns),
    };
    return cmocka_run_group_tests_name("routing_random", tests, NULL, NULL);
}
