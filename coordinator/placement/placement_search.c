#include "coordinator/placement/placement_search.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- greedy */

enum {
    PASSES_MAX = 16,
    REBUILDS_MAX = 64, /* places for which nodes are rebuilt around one service, in one pass … */
    REBUILDS_SURE = 4, /* … and of these, also where only the others can gain by it */
};

/* A service that was taken from where it sat. */
struct moved {
    struct seating_service *service;
    const struct place *place; /* there; NULL: nowhere */
};

struct greedy {
    struct seating *seating;
    struct moved *moved; /* the weightiest first */
    size_t moved_count;
    uint64_t last_step;
};

static bool is_within(const struct place *engine, const struct place *place)
{
    return !engine || (place->file == engine->file && place->context <= engine->context);
}

/* Where the service, which sits nowhere, adds least to the cost: anywhere, or (`engine`) in that
 * file with no more context. NULL: it costs less not to serve it, or there is no room. */
static const struct place *cheapest(
        struct seating *seating, const struct seating_service *service, const struct place *engine)
{
    const struct seating_mode *mode = &seating->modes[service->mode];
    const struct place *best = NULL;
    int64_t least = 0, change;

    for (size_t i = 0; i < mode->place_count; i++) {
        const struct place *it = &mode->places[i];
        if (seating_alone(service, it) - seating_unserved(service) >= least)
            break; /* and so for all that follow */
        if (is_within(engine, it) && seating_offer(seating, service, it, &change) &&
                change < least) {
            best = it;
            least = change;
        }
    }
    return best;
}

static bool seat(
        struct seating *seating, struct seating_service *service, const struct place *engine)
{
    const struct place *place = service->place ? NULL : cheapest(seating, service, engine);
    if (place)
        seating_put(seating, service, place);
    return place != NULL;
}

/* Where one copy of a mode found no place, the next one finds none either. */
static bool hopeless(const struct seating *seating, size_t index)
{
    return index > 0 && !seating->services[index - 1].place &&
           seating->services[index - 1].mode == seating->services[index].mode;
}

static void seat_all(struct seating *seating)
{
    for (size_t i = 0; i < seating->service_count; i++)
        if (!hopeless(seating, i))
            seat(seating, &seating->services[i], NULL);
}

static void note_moved(
        struct greedy *greedy, struct seating_service *service, const struct place *from)
{
    size_t at = greedy->moved_count++;
    for (; at > 0 && greedy->moved[at - 1].service > service; at--)
        greedy->moved[at] = greedy->moved[at - 1];
    greedy->moved[at] = (struct moved){.service = service, .place = from};
}

static void lift(struct greedy *greedy, struct seating_service *service)
{
    note_moved(greedy, service, service->place);
    seating_take(greedy->seating, service);
}

static void lift_node(struct greedy *greedy, const struct seating_node *node)
{
    while (node->first != SEATING_END)
        lift(greedy, &greedy->seating->services[node->first]);
}

static void seat_moved(struct greedy *greedy, bool lightest_first)
{
    size_t count = greedy->moved_count;
    for (size_t i = 0; i < count; i++)
        seat(greedy->seating, greedy->moved[lightest_first ? count - 1 - i : i].service, NULL);
}

/* Those who sat at that engine stay with it, and those who sit nowhere join, all with no more
 * context than `place`: an engine's context is the same for all, so none could give way alone. */
static void squeeze(struct greedy *greedy, const struct place *place)
{
    struct seating *seating = greedy->seating;

    for (size_t i = 0; i < greedy->moved_count; i++)
        if (greedy->moved[i].place && greedy->moved[i].place->file == place->file)
            seat(seating, greedy->moved[i].service, place);
    seat_moved(greedy, false);
    for (size_t i = 0; i < seating->service_count; i++)
        if (!hopeless(seating, i) && seat(seating, &seating->services[i], place))
            note_moved(greedy, &seating->services[i], NULL);
}

static void put_back(struct greedy *greedy)
{
    for (size_t i = 0; i < greedy->moved_count; i++)
        seating_take(greedy->seating, greedy->moved[i].service);
    for (size_t i = 0; i < greedy->moved_count; i++)
        if (greedy->moved[i].place)
            seating_put(greedy->seating, greedy->moved[i].service, greedy->moved[i].place);
}

/* How those find another place who sat where a service is to sit. */
enum way { WEIGHTIEST_FIRST, LIGHTEST_FIRST, SQUEEZED, WAYS };

/* Gives the service that place, whoever sits on its node, where that costs less in sum. */
static bool rebuild(struct greedy *greedy, struct seating_service *service,
        const struct place *place, enum way way)
{
    struct seating *seating = greedy->seating;
    size_t node = seating->fleet->files[place->file].node;
    int64_t before = seating_cost(seating), change;

    greedy->moved_count = 0;
    lift(greedy, service);
    lift_node(greedy, &seating->nodes[node]);
    if (seating_offer(seating, service, place, &change)) {
        seating_put(seating, service, place);
        if (way == SQUEEZED)
            squeeze(greedy, place);
        else
            seat_moved(greedy, way == LIGHTEST_FIRST);
    }
    if (seating_cost(seating) < before)
        return true;
    put_back(greedy);
    return false;
}

/* Rebuilds nodes where the service alone would add less than it does now: `adds`. */
static bool rebuild_for(struct greedy *greedy, struct seating_service *service, int64_t adds)
{
    struct seating *seating = greedy->seating;
    const struct seating_mode *mode = &seating->modes[service->mode];

    for (size_t i = 0; i < mode->place_count && i < REBUILDS_MAX; i++) {
        const struct place *it = &mode->places[i];
        int64_t alone = seating_alone(service, it);
        if (alone >= adds || seating->steps > greedy->last_step)
            return false;
        if (i >= REBUILDS_SURE && alone + seating_load(seating, it) >= adds)
            continue;
        for (enum way way = 0; way < WAYS; way++)
            if (rebuild(greedy, service, it, way))
                return true;
    }
    return false;
}

static bool improve(struct greedy *greedy, struct seating_service *service)
{
    struct seating *seating = greedy->seating;
    int64_t before = seating_cost(seating);

    seating_take(seating, service);
    int64_t without = seating_cost(seating) - seating_unserved(service);
    seat(seating, service, NULL);
    int64_t now = seating_cost(seating);
    return rebuild_for(greedy, service, now - without) || now < before;
}

static bool improve_all(struct greedy *greedy)
{
    struct seating *seating = greedy->seating;
    bool better = false;
    for (size_t i = 0; i < seating->service_count && seating->steps <= greedy->last_step; i++)
        better |= improve(greedy, &seating->services[i]);
    return better;
}

int placement_search_greedy(struct seating *seating)
{
    struct greedy greedy = {.seating = seating,
            /* Who is seated twice in one rebuild is noted twice. */
            .moved = calloc(2 * seating->service_count + 1, sizeof(*greedy.moved))};
    if (!greedy.moved)
        return -ENOMEM;
    seat_all(seating);
    greedy.last_step = seating->steps + PLACEMENT_GREEDY_STEPS;
    for (int pass = 0; pass < PASSES_MAX && improve_all(&greedy); pass++)
        ;
    free(greedy.moved);
    return 0;
}

/* ---- exact: branch and bound over the services in their order */

struct exact {
    struct seating *seating;
    const struct place *best[PLACEMENT_EXACT_SERVICES]; /* NULL: not served */
    int64_t best_cost;
    uint64_t last_step;
};

static bool exhausted(const struct exact *exact)
{
    return exact->seating->steps > exact->last_step;
}

static void remember(struct exact *exact)
{
    const struct seating *seating = exact->seating;
    for (size_t i = 0; i < seating->service_count; i++)
        exact->best[i] = seating->services[i].place;
    exact->best_cost = seating_cost(seating);
}

/* The least that the service adds, who sits nowhere yet: what does not fit beside those who sit
 * does not fit beside more of them either. */
static int64_t least_of(struct seating *seating, const struct seating_service *service)
{
    const struct seating_mode *mode = &seating->modes[service->mode];
    int64_t least = seating_unserved(service), change;

    for (size_t i = 0; i < mode->place_count; i++) {
        const struct place *it = &mode->places[i];
        if (seating_alone(service, it) >= least)
            break;
        int64_t own = seating_least(seating, service, it);
        if (own < least && seating_offer(seating, service, it, &change))
            least = own;
    }
    return least;
}

/* How much the cost changes at best when the services from the `first` on are seated: not more than
 * nothing, since they count as not served before. */
static int64_t least_of_rest(struct seating *seating, size_t first)
{
    int64_t sum = 0;
    for (size_t i = first; i < seating->service_count; i++) {
        const struct seating_service *it = &seating->services[i];
        sum += least_of(seating, it) - seating_unserved(it);
    }
    return sum;
}

/* Copies of a mode are alike: each sits at or after the place of the one before it. */
static size_t first_place(const struct seating *seating, size_t index)
{
    const struct seating_service *it = &seating->services[index];
    const struct seating_mode *mode = &seating->modes[it->mode];
    if (index == 0 || seating->services[index - 1].mode != it->mode)
        return 0;
    const struct place *before = seating->services[index - 1].place;
    return before ? (size_t)(before - mode->places) : mode->place_count;
}

static void branch(struct exact *exact, size_t index)
{
    struct seating *seating = exact->seating;
    int64_t cost = seating_cost(seating), change;
    if (index == seating->service_count) {
        if (cost < exact->best_cost)
            remember(exact);
        return;
    }

    struct seating_service *service = &seating->services[index];
    const struct seating_mode *mode = &seating->modes[service->mode];
    int64_t rest = least_of_rest(seating, index + 1);
    for (size_t i = first_place(seating, index); i < mode->place_count; i++) {
        const struct place *it = &mode->places[i];
        int64_t alone = seating_alone(service, it) - seating_unserved(service);
        if (exhausted(exact) || cost + alone + rest >= exact->best_cost)
            break;
        if (!seating_offer(seating, service, it, &change) ||
                cost + change + rest >= exact->best_cost)
            continue;
        seating_put(seating, service, it);
        branch(exact, index + 1);
        seating_take(seating, service);
    }
    if (cost + rest < exact->best_cost)
        branch(exact, index + 1); /* without it */
}

bool placement_search_exact(struct seating *seating)
{
    struct exact exact = {.seating = seating, .last_step = seating->steps + PLACEMENT_EXACT_STEPS};

    assert(seating->service_count <= PLACEMENT_EXACT_SERVICES);
    remember(&exact);
    for (size_t i = 0; i < seating->service_count; i++)
        seating_take(seating, &seating->services[i]);
    branch(&exact, 0);
    for (size_t i = 0; i < seating->service_count; i++)
        if (exact.best[i])
            seating_put(seating, &seating->services[i], exact.best[i]);
    return !exhausted(&exact);
}
