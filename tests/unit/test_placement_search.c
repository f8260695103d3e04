#include "coordinator/placement/placement_search.h"
#include "tests/lib/placement_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* ---- random small fleets; the seed of each is printed where it fails */

enum { SERVICES_MAX = 4, OPTIONS_MAX = 64 };

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* From `low` to `high`. */
static uint32_t between(uint64_t *state, uint32_t low, uint32_t high)
{
    return low + next_random(state) % (high - low + 1);
}

static bool one_in(uint64_t *state, uint32_t n)
{
    return next_random(state) % n == 0;
}

static void random_nodes(struct world *world, uint64_t *state, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t node = world_node(world, "node", 0, 0, between(state, 1, 8) * 100);
        world->nodes[node].pool_bytes = between(state, 40, 200) * 1000;
        world->nodes[node].reserve_bytes = between(state, 0, 30) * 1000;
        if (one_in(state, 3))
            world->nodes[node].swap_bytes = between(state, 10, 60) * 1000;
    }
}

static void random_models(struct world *world, uint64_t *state, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t model = world_model(world, "model", 0, 0);
        world->models[model].fixed_bytes = between(state, 5, 90) * 1000;
        world->models[model].token_bytes = between(state, 0, 2);
        if (one_in(state, 5))
            world->models[model].context_max = 4096u << between(state, 0, 4);
    }
}

static void random_files(struct world *world, uint64_t *state)
{
    for (size_t n = 0; n < world->fleet.node_count; n++)
        for (size_t m = 0; m < world->fleet.model_count; m++) {
            if (one_in(state, 5))
                continue;
            size_t file = world_file(world, n, m);
            world->files[file].load_ms = between(state, 1, 300) * 1000;
            uint32_t context = 4096u << between(state, 0, 4), slots = between(state, 1, 3);
            if (one_in(state, 4))
                world_reside(world, file, context, slots);
            if (!one_in(state, 10))
                continue;
            world->files[file].pinned = true;
            world->files[file].context = 4096u << between(state, 0, 3);
            world->files[file].slots = between(state, 1, 2);
            if (world->files[file].resident)
                world_reside(world, file, world->files[file].context, world->files[file].slots);
        }
}

static void random_mode(struct world *world, uint64_t *state, uint32_t copies)
{
    uint32_t context = 4096u << between(state, 0, 4), weight = between(state, 1, 50);
    size_t mode = world_mode(world, "mode", context, weight);
    struct placement_mode *it = &world->modes[mode];
    it->copies = copies;
    it->slots = between(state, 1, 2);
    it->batch = one_in(state, 3);
    it->context_floor = one_in(state, 3) ? 4096 : 0;
    size_t first = next_random(state) % world->fleet.model_count;
    uint32_t choices = between(state, 1, 3);
    bool qualities = one_in(state, 3);
    for (uint32_t c = 0; c < choices && c < world->fleet.model_count; c++) {
        world_choice(world, mode, (first + c) % world->fleet.model_count);
        world->choices[mode][c].quality = qualities ? between(state, 40, 100) : 0;
    }
}

static struct world *random_world(uint64_t seed, uint32_t services)
{
    struct world *world = world_create();
    uint64_t state = seed * 2654435761u + 1;

    random_nodes(world, &state, between(&state, 1, 3));
    random_models(world, &state, between(&state, 1, 4));
    random_files(world, &state);
    while (services > 0) {
        uint32_t copies = services > 1 && one_in(&state, 3) ? 2 : 1;
        random_mode(world, &state, copies);
        services -= copies;
    }
    return world;
}

static struct placement *plan_of(const struct world *world, uint64_t seed)
{
    struct placement *plan = NULL;
    struct err err;
    if (placement_create(&world->fleet, &plan, &err) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
    const char *broken = world_broken(world, plan);
    if (broken)
        fail_msg("seed %llu: %s", (unsigned long long)seed, broken);
    return plan;
}

/* ---- the best of all plans, by trying each: the rules of placement.h once more, from the
 * definitions and with nothing in common with what is tested */

struct option {
    size_t file; /* PLACEMENT_NONE: not served */
    size_t choice;
    uint32_t halvings;
    bool kept;
};

struct reference {
    const struct world *world;
    size_t services;
    size_t mode[SERVICES_MAX];
    uint64_t weight[SERVICES_MAX], all;
    struct option options[SERVICES_MAX][OPTIONS_MAX];
    size_t option_count[SERVICES_MAX];
    struct option chosen[SERVICES_MAX];
    bool held[OPTIONS_MAX]; /* file: pinned, and there is room for it */
    uint64_t pinned_cost, best;
};

static uint64_t capacity(const struct world *world, size_t node)
{
    return world->nodes[node].pool_bytes - world->nodes[node].reserve_bytes;
}

static uint64_t load_cost(const struct reference *ref, size_t file)
{
    return ref->all * ref->world->files[file].load_ms / PLACEMENT_HORIZON_S;
}

static void hold_pins(struct reference *ref, bool resident)
{
    const struct world *world = ref->world;
    for (size_t i = 0; i < world->fleet.file_count; i++) {
        const struct placement_file *it = &world->files[i];
        if (!it->pinned || it->resident != resident)
            continue;
        uint64_t sum = world_bytes(world, i, it->context, it->slots);
        for (size_t k = 0; k < world->fleet.file_count; k++)
            if (ref->held[k] && world->files[k].node == it->node)
                sum += world_bytes(world, k, world->files[k].context, world->files[k].slots);
        ref->held[i] = resident || sum <= capacity(world, it->node);
        if (ref->held[i] && !resident)
            ref->pinned_cost += load_cost(ref, i);
    }
}

static bool allowed(const struct reference *ref, size_t service, const struct option *option)
{
    const struct placement_mode *mode = &ref->world->modes[ref->mode[service]];
    const struct placement_file *file = &ref->world->files[option->file];
    uint32_t context = mode->context >> option->halvings;
    uint32_t floor = mode->context_floor ? mode->context_floor : PLACEMENT_CONTEXT_FLOOR;

    if (option->halvings && context < floor)
        return false;
    if (!option->kept)
        return !file->pinned && (!file->context_max || context <= file->context_max);
    bool swaps = world_bytes(ref->world, option->file, file->context, file->slots) >
                 capacity(ref->world, file->node);
    uint32_t start = swaps ? 1 : 0;
    bool least =
            option->halvings == start ||
            (option->halvings > start && file->context < mode->context >> (option->halvings - 1));
    return (ref->held[option->file] || (file->resident && !file->pinned)) &&
           file->context >= context && least;
}

static void list_options(struct reference *ref, size_t service)
{
    const struct placement_mode *mode = &ref->world->modes[ref->mode[service]];
    size_t n = 0;
    ref->options[service][n++] = (struct option){.file = PLACEMENT_NONE};
    for (size_t f = 0; f < ref->world->fleet.file_count; f++)
        for (size_t c = 0; c < mode->choice_count; c++)
            for (uint32_t h = 0; h < 2 * (PLACEMENT_HALVINGS_MAX + 1); h++) {
                struct option it = {f, c, h / 2, h % 2};
                if (mode->choices[c].model != ref->world->files[f].model ||
                        !allowed(ref, service, &it))
                    continue;
                assert_true(n < OPTIONS_MAX);
                ref->options[service][n++] = it;
            }
    ref->option_count[service] = n;
}

struct engine_sum {
    uint32_t context, slots, services, kept, batch, whole;
    uint64_t bytes;
};

static struct engine_sum engine_sum(const struct reference *ref, size_t file)
{
    const struct placement_file *own = &ref->world->files[file];
    struct engine_sum sum = {0};
    for (size_t s = 0; s < ref->services; s++) {
        const struct placement_mode *mode = &ref->world->modes[ref->mode[s]];
        const struct option *it = &ref->chosen[s];
        if (it->file != file)
            continue;
        sum.services++;
        sum.slots += mode->slots;
        sum.kept += it->kept;
        sum.batch += mode->batch;
        sum.whole += it->halvings == 0;
        if (mode->context >> it->halvings > sum.context)
            sum.context = mode->context >> it->halvings;
    }
    if (sum.kept || ref->held[file])
        sum.bytes = world_bytes(ref->world, file, own->context, own->slots);
    else if (sum.services)
        sum.bytes = world_bytes(ref->world, file, sum.context, sum.slots);
    return sum;
}

/* False: that cannot be. `*ret_swapped`: the node's engine is larger than its memory. */
static bool node_holds(const struct reference *ref, size_t node, bool *ret_swapped)
{
    const struct world *world = ref->world;
    uint64_t bytes = 0;
    size_t engines = 0, held = 0;
    bool used = false, fits_swap = true, fits_pins = true;

    for (size_t f = 0; f < world->fleet.file_count; f++) {
        if (world->files[f].node != node)
            continue;
        struct engine_sum sum = engine_sum(ref, f);
        if (sum.kept && (sum.kept < sum.services || sum.slots > world->files[f].slots))
            return false;
        if (!sum.bytes)
            continue;
        bytes += sum.bytes;
        engines++;
        held += ref->held[f];
        used |= sum.services > 0;
        fits_swap &= sum.batch == sum.services && !sum.whole;
        fits_pins &= !sum.services || sum.bytes <= capacity(world, node);
    }
    *ret_swapped = engines == 1 && bytes > capacity(world, node);
    if (bytes <= capacity(world, node) || !used || (held == engines && fits_pins))
        return true;
    return engines == 1 && fits_swap &&
           bytes <= capacity(world, node) + world->nodes[node].swap_bytes;
}

static uint64_t speed_of(const struct reference *ref, size_t node)
{
    uint64_t fastest = 0;
    for (size_t i = 0; i < ref->world->fleet.node_count; i++)
        if (ref->world->nodes[i].bandwidth_mib_s > fastest)
            fastest = ref->world->nodes[i].bandwidth_mib_s;
    return ref->world->nodes[node].bandwidth_mib_s * UINT64_C(1000) / fastest;
}

static uint64_t model_loss(const struct placement_mode *mode, size_t choice)
{
    uint32_t first = mode->choices[0].quality, own = mode->choices[choice].quality;
    uint64_t lost = choice < 3 ? 116 * choice : 348;
    if (first && own)
        lost = own >= first ? 0 : 4 * (first - own) < 348 ? 4 * (first - own) : 348;
    return lost + 4 * choice;
}

static uint64_t service_loss(const struct reference *ref, size_t service, const bool *swapped)
{
    const struct placement_mode *mode = &ref->world->modes[ref->mode[service]];
    const struct option *own = &ref->chosen[service];
    uint64_t others = 0;
    if (own->file == PLACEMENT_NONE)
        return ref->weight[service] * 1000;

    size_t node = ref->world->files[own->file].node;
    for (size_t s = 0; s < ref->services; s++)
        if (s != service && ref->chosen[s].file != PLACEMENT_NONE &&
                ref->world->files[ref->chosen[s].file].node == node)
            others += ref->weight[s];
    uint64_t speed = speed_of(ref, node) * ref->all / (ref->all + others);
    uint64_t points = model_loss(mode, own->choice) + 80 * own->halvings + 150 * swapped[node];
    return ref->weight[service] * (points * 1000 + (mode->batch ? 20 : 70) * (1000 - speed)) / 1000;
}

static void judge(struct reference *ref)
{
    uint64_t cost = ref->pinned_cost;
    bool swapped[3];

    for (size_t n = 0; n < ref->world->fleet.node_count; n++)
        if (!node_holds(ref, n, &swapped[n]))
            return;
    for (size_t s = 0; s < ref->services; s++)
        cost += service_loss(ref, s, swapped);
    for (size_t f = 0; f < ref->world->fleet.file_count; f++) {
        struct engine_sum sum = engine_sum(ref, f);
        cost += sum.services && !sum.kept ? load_cost(ref, f) : 0;
    }
    if (cost < ref->best)
        ref->best = cost;
}

static void try_all(struct reference *ref, size_t service)
{
    if (service == SERVICES_MAX || service == ref->services) {
        judge(ref);
        return;
    }
    for (size_t i = 0; i < ref->option_count[service]; i++) {
        ref->chosen[service] = ref->options[service][i];
        try_all(ref, service + 1);
    }
}

static void find_least_cost(struct reference *ref)
{
    const struct world *world = ref->world;

    assert_true(world->fleet.file_count <= OPTIONS_MAX);
    for (size_t m = 0; m < world->fleet.mode_count; m++)
        for (uint32_t c = 0; c < world->modes[m].copies; c++) {
            assert_true(ref->services < SERVICES_MAX);
            ref->mode[ref->services] = m;
            ref->weight[ref->services] = world->modes[m].weight * 1000 / world->modes[m].copies;
            ref->all += ref->weight[ref->services++];
        }
    hold_pins(ref, true);
    hold_pins(ref, false);
    for (size_t s = 0; s < ref->services; s++)
        list_options(ref, s);
    try_all(ref, 0);
}

static uint64_t cost_of(const struct placement *plan)
{
    return plan->loss + plan->load_cost;
}

static void finish(struct world *world, struct placement *plan)
{
    placement_destroy(plan);
    world_destroy(world);
}

/* The exact search by itself, with nothing to begin with that tells it where not to look. */
static uint64_t sought_from_nothing(const struct world *world, const struct reference *ref)
{
    struct residence *residences = calloc(world->fleet.file_count + 1, sizeof(*residences));
    assert_non_null(residences);
    for (size_t i = 0; i < world->fleet.file_count; i++) {
        const struct placement_file *it = &world->files[i];
        residences[i] =
                (struct residence){it->resident, it->context, it->slots, it->resident_bytes};
    }
    struct seating *seating = seating_create(&world->fleet, residences);
    assert_non_null(seating);
    assert_true(placement_search_exact(seating));
    uint64_t cost = (uint64_t)seating_cost(seating) / SEATING_COST_OF_LOSS;
    seating_destroy(seating);
    free(residences);
    return cost + ref->pinned_cost;
}

static void is_the_best_of_all(uint64_t seed, uint32_t services)
{
    struct world *world = random_world(seed, services);
    struct placement *plan = plan_of(world, seed);
    struct reference ref = {.world = world, .best = UINT64_MAX};
    find_least_cost(&ref);
    if (!plan->exact || cost_of(plan) != ref.best)
        fail_msg("seed %llu: %llu instead of %llu%s", (unsigned long long)seed,
                (unsigned long long)cost_of(plan), (unsigned long long)ref.best,
                plan->exact ? "" : ", not exact");
    uint64_t alone = sought_from_nothing(world, &ref);
    if (alone != ref.best)
        fail_msg("seed %llu: %llu instead of %llu from nothing", (unsigned long long)seed,
                (unsigned long long)alone, (unsigned long long)ref.best);
    finish(world, plan);
}

static void the_exact_search_finds_the_best_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++)
        is_the_best_of_all(seed, 2);
    for (uint64_t seed = 1001; seed <= 1300; seed++)
        is_the_best_of_all(seed, 3);
    for (uint64_t seed = 1301; seed <= 1310; seed++)
        is_the_best_of_all(seed, 4);
}

/* ---- greedy against exact: what a plan serves is what would be lost if it did not */

enum {
    GREEDY_WORST_PERCENT = 60,  /* of what the best plan serves … */
    GREEDY_MEAN_PERMILLE = 990, /* … and in the mean of all fleets */
};

static uint64_t served_by(const struct world *world, const struct placement *plan)
{
    uint64_t all = 0;
    for (size_t m = 0; m < world->fleet.mode_count; m++)
        all += (uint64_t)world->modes[m].weight * 1000 * PLACEMENT_UNSERVED;
    return all > cost_of(plan) ? all - cost_of(plan) : 0;
}

/* In thousandths of what the exact plan serves. */
static uint64_t greedy_share(uint64_t seed)
{
    struct world *world = random_world(seed, between(&(uint64_t){seed}, 3, 12));
    struct placement *best = plan_of(world, seed);
    world->fleet.greedy = true;
    struct placement *plan = plan_of(world, seed);
    uint64_t most = served_by(world, best), share = 1000;

    assert_true(best->exact);
    assert_false(plan->exact);
    if (cost_of(plan) < cost_of(best))
        fail_msg("seed %llu: better than the best", (unsigned long long)seed);
    if (most)
        share = served_by(world, plan) * 1000 / most;
    placement_destroy(best);
    finish(world, plan);
    return share;
}

static void the_greedy_search_is_nearly_as_good(void **state)
{
    const uint64_t seeds = 600;
    uint64_t sum = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        uint64_t share = greedy_share(seed);
        if (share < GREEDY_WORST_PERCENT * 10)
            fail_msg("seed %llu: %llu permille", (unsigned long long)seed,
                    (unsigned long long)share);
        sum += share;
    }
    if (sum / seeds < GREEDY_MEAN_PERMILLE)
        fail_msg("%llu permille in the mean", (unsigned long long)(sum / seeds));
}

/* ---- a plan that is followed stands */

static void stands(struct world *world, const struct placement *plan, uint64_t seed)
{
    world_apply(world, plan);
    struct placement *again = plan_of(world, seed);
    for (size_t i = 0; i < again->engine_count; i++) {
        enum placement_action action = again->engines[i].action;
        if (action != PLACEMENT_KEEP && action != PLACEMENT_SPARE && action != PLACEMENT_REFUSE)
            fail_msg("seed %llu: %s after the plan was followed", (unsigned long long)seed,
                    placement_action_name(action));
    }
    if (again->loss > plan->loss)
        fail_msg("seed %llu: worse after the plan was followed", (unsigned long long)seed);
    placement_destroy(again);
}

static void make_loads_free(struct world *world)
{
    for (size_t i = 0; i < world->fleet.file_count; i++)
        world->files[i].load_ms = 0;
    for (size_t i = 0; i < world->fleet.node_count; i++)
        world->nodes[i].bandwidth_mib_s = 100;
}

/* Also where plans that cost the same abound: loads cost nothing, and all nodes are alike. */
static void a_plan_that_is_followed_stands(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 900; seed++) {
        struct world *world = random_world(seed, between(&(uint64_t){seed}, 2, 10));
        world->fleet.greedy = seed % 2;
        if (seed % 3 == 0)
            make_loads_free(world);
        struct placement *plan = plan_of(world, seed);
        stands(world, plan, seed);
        finish(world, plan);
    }
}

static bool same_plan(const struct placement *a, const struct placement *b)
{
    bool same = a->engine_count == b->engine_count && a->service_count == b->service_count &&
                a->loss == b->loss && a->load_cost == b->load_cost && a->steps == b->steps;
    for (size_t i = 0; same && i < a->engine_count; i++)
        same = a->engines[i].file == b->engines[i].file &&
               a->engines[i].action == b->engines[i].action &&
               a->engines[i].context == b->engines[i].context &&
               a->engines[i].slots == b->engines[i].slots;
    for (size_t i = 0; same && i < a->service_count; i++)
        same = a->services[i].engine == b->services[i].engine &&
               a->services[i].context == b->services[i].context;
    return same;
}

static void the_same_fleet_has_the_same_plan(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world *one = random_world(seed, 6), *two = random_world(seed, 6);
        struct placement *a = plan_of(one, seed), *b = plan_of(two, seed);
        if (!same_plan(a, b))
            fail_msg("seed %llu: two plans", (unsigned long long)seed);
        finish(one, a);
        finish(two, b);
    }
}

/* A plan never costs more than the best one without a load, which is sought by making loads so dear
 * that none is worth it. */
static void a_change_is_worth_it(void **state)
{
    int without_load = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world *world = random_world(seed, 4);
        struct placement *plan = plan_of(world, seed);
        for (size_t i = 0; i < world->fleet.file_count; i++)
            world->files[i].load_ms = PLACEMENT_LOAD_MS_MAX;
        struct placement *dear = plan_of(world, seed);
        if (dear->load_count == 0 && cost_of(plan) > dear->loss)
            fail_msg("seed %llu: a change is not worth it", (unsigned long long)seed);
        without_load += dear->load_count == 0;
        placement_destroy(dear);
        finish(world, plan);
    }
    assert_in_range(without_load, 10, 300);
}

/* ---- a large fleet: 1,000 nodes × 20 models */

static void large_modes(
        struct world *world, uint64_t *state, uint32_t count, uint32_t copies, uint32_t slots)
{
    for (uint32_t m = 0; m < count; m++) {
        uint32_t context = 16384u << between(state, 0, 3), weight = between(state, 1, 100);
        size_t mode = world_mode(world, "mode", context, weight);
        world->modes[mode].copies = between(state, 1, copies);
        world->modes[mode].slots = between(state, 1, slots);
        world->modes[mode].batch = one_in(state, 4);
        uint32_t first = between(state, 0, 19), choices = between(state, 1, 6);
        for (uint32_t c = 0; c < choices; c++)
            world_choice(world, mode, (first + c) % 20);
    }
}

static struct world *large_world(uint64_t seed, uint32_t modes, uint32_t copies, uint32_t slots)
{
    struct world *world = world_create();
    uint64_t state = seed;

    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t pool = between(&state, 24, 256), reserve = between(&state, 0, 16);
        world_node(world, "node", pool, reserve, between(&state, 1, 8) * 200);
    }
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t gib = between(&state, 2, 100), kib = between(&state, 20, 260);
        world_model(world, "model", gib, kib);
    }
    world_files_everywhere(world);
    for (size_t i = 0; i < world->fleet.file_count; i++) {
        uint32_t context = 16384u << between(&state, 0, 2), slots_now = between(&state, 1, 4);
        if (one_in(&state, 20))
            world_reside(world, i, context, slots_now);
    }
    large_modes(world, &state, modes, copies, slots);
    return world;
}

static void a_thousand_nodes_are_planned_in_bounded_steps(void **state)
{
    struct world *world = large_world(1, 20, 8, 4);
    (void)state;
    struct placement *plan = plan_of(world, 1);
    assert_false(plan->exact);
    assert_in_range(plan->steps, 1, PLACEMENT_ROUNDS_MAX * (PLACEMENT_GREEDY_STEPS + 100 * 1000));
    for (size_t i = 0; i < plan->service_count; i++)
        assert_int_not_equal(plan->services[i].engine, PLACEMENT_NONE);
    assert_in_range(plan->lost_permille, 0, 50);
    stands(world, plan, 1);
    finish(world, plan);
}

/* More is wanted than the fleet can hold: the steps end the search, and nothing is over budget. */
static void a_thousand_nodes_that_are_too_few_too(void **state)
{
    struct world *world = large_world(2, 40, PLACEMENT_COPIES_MAX, 16);
    (void)state;
    struct placement *plan = plan_of(world, 2);
    assert_in_range(plan->steps, 1, (uint64_t)PLACEMENT_ROUNDS_MAX * 2 * PLACEMENT_GREEDY_STEPS);
    assert_in_range(plan->lost_permille, 100, 900);
    finish(world, plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_exact_search_finds_the_best_of_all),
            cmocka_unit_test(the_greedy_search_is_nearly_as_good),
            cmocka_unit_test(a_plan_that_is_followed_stands),
            cmocka_unit_test(the_same_fleet_has_the_same_plan),
            cmocka_unit_test(a_change_is_worth_it),
            cmocka_unit_test(a_thousand_nodes_are_planned_in_bounded_steps),
            cmocka_unit_test(a_thousand_nodes_that_are_too_few_too),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("placement_search", tests, NULL, NULL);
}
