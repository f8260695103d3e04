#include "node/residency/residency.h"

#include "node/residency/residency_room.h"

#include <math.h>

/* A decision in the making. */
struct scene {
    const struct residency_host *host;
    struct residency_model *models;
    size_t count;
    struct room now;     /* what leaves is still there */
    struct room claimed; /* once what leaves is gone and every claim so far is met */
    uint64_t short_bytes;
    uint64_t coming_bytes; /* of ended engines, not seen as free yet */
    bool free_is_known;    /* what is free tells what others take */
    bool under_way;        /* a load, or an eviction for one: no other begins */
};

/* Whom a claim may displace: each includes the one before. */
enum reach {
    REACH_IDLE,  /* who can leave now */
    REACH_BUSY,  /* … and who can once it is idle */
    REACH_YOUNG, /* … and who can once it has been here for long enough */
    REACH_COUNT,
};

static uint64_t elapsed_ms(const struct residency_host *host, uint64_t since_ms)
{
    return host->now_ms > since_ms ? host->now_ms - since_ms : 0;
}

static bool since_less_than(const struct residency_host *host, uint64_t at_ms, uint64_t span_ms)
{
    return at_ms > 0 && elapsed_ms(host, at_ms) < span_ms;
}

static bool settling(const struct residency_host *host)
{
    return since_less_than(host, host->released_at_ms, RESIDENCY_SETTLE_MS);
}

static uint64_t tenure_end_ms(const struct residency_model *model)
{
    return model->loaded_at_ms + (uint64_t)model->load_ms * RESIDENCY_TENURE;
}

/* Who waits for a closed model cannot run on it: it is as idle as it will get. */
static bool is_idle(const struct residency_model *model)
{
    return !model->busy && (model->waiting == 0 || model->closed);
}

static bool may_leave(const struct residency_model *model)
{
    return model->state == RESIDENCY_RESIDENT && !model->foreign && !model->pinned && !model->evict;
}

static bool within_reach(
        const struct scene *scene, const struct residency_model *model, enum reach reach)
{
    if (!may_leave(model) || model->displaced_by != NULL)
        return false;
    if (reach < REACH_YOUNG && scene->host->now_ms < tenure_end_ms(model))
        return false;
    return reach > REACH_IDLE || is_idle(model);
}

/* Seconds of loading per second that it spares, by byte. */
static double worth(const struct residency_model *model)
{
    return (double)model->rate_per_s * model->load_ms /
           (double)(model->memory_bytes > 0 ? model->memory_bytes : 1);
}

static bool worth_less(const struct residency_model *a, const struct residency_model *b)
{
    double worth_a = worth(a), worth_b = worth(b);

    return worth_a != worth_b ? worth_a < worth_b : a->used_at_ms < b->used_at_ms;
}

/* What its users lose when `other` takes its place, in milliseconds. The chance that they miss it
 * during the swap there and back is that of a request in that time; a silence of many usual gaps
 * says that they have gone. */
static double displacement_price_ms(const struct residency_model *model,
        const struct residency_model *other, const struct residency_host *host)
{
    double swap_ms = (double)model->load_ms + other->load_ms;
    double idle_s = (double)elapsed_ms(host, model->used_at_ms) / 1000;
    double expected = model->rate_per_s * swap_ms / 1000;

    if (model->busy || model->waiting > 0)
        return swap_ms;
    return (expected < 1 ? expected : 1) * exp(-model->rate_per_s * idle_s) * swap_ms;
}

static double regret_ms(const struct residency_model *model, const struct residency_host *host)
{
    return (double)model->waiting * (double)elapsed_ms(host, model->waiting_since_ms);
}

uint64_t residency_pardon_ms(const struct residency_model *model)
{
    unsigned doublings;

    if (model->failures == 0)
        return 0;
    doublings = model->failures - 1;
    if (doublings > RESIDENCY_PARDON_DOUBLINGS)
        doublings = RESIDENCY_PARDON_DOUBLINGS;
    return model->failed_at_ms + ((uint64_t)RESIDENCY_PARDON_MS << doublings);
}

/* Others may leave for it although it failed. */
static bool pardoned(const struct residency_model *model, const struct residency_host *host)
{
    return host->now_ms >= residency_pardon_ms(model);
}

/* --- marks --- */

static void refuse(struct residency_model *model, enum residency_reason reason)
{
    model->verdict = RESIDENCY_REFUSE;
    model->reason = reason;
}

static void postpone(struct residency_model *model, enum residency_reason reason, uint64_t until_ms)
{
    model->verdict = RESIDENCY_WAIT;
    model->reason = reason;
    model->until_ms = until_ms;
}

/* Nobody behind it may have what it needs. */
static void claim(struct scene *scene, const struct residency_model *model)
{
    scene->claimed = room_with_load(scene->claimed, scene->host, model);
}

static void unpick(struct scene *scene, const struct residency_model *claimant)
{
    for (size_t i = 0; i < scene->count; i++)
        if (scene->models[i].displaced_by == claimant)
            scene->models[i].displaced_by = NULL;
}

/* Those that are closed already come first, else two claims to one memory would take turns in
 * closing others and none would ever be idle together. A claim that closes nothing as yet leaves
 * them to those that do. */
static bool picked_before(
        const struct residency_model *a, const struct residency_model *b, enum reach reach)
{
    if (reach > REACH_IDLE && a->closed != b->closed)
        return (reach == REACH_BUSY) == a->closed;
    return worth_less(a, b);
}

static struct residency_model *next_pick(const struct scene *scene, enum reach reach)
{
    struct residency_model *next = NULL;

    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (within_reach(scene, model, reach) &&
                (next == NULL || picked_before(model, next, reach)))
            next = model;
    }
    return next;
}

static struct residency_model *next_spared(
        const struct scene *scene, struct room room, const struct residency_model *claimant)
{
    struct residency_model *next = NULL;

    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (model->displaced_by == claimant &&
                room_fits(room_with(room, scene->host, model), scene->host, claimant) &&
                (next == NULL || worth_less(next, model)))
            next = model;
    }
    return next;
}

/* Marks whom `claimant` displaces: those of least worth until the rest leaves room, without those
 * that turn out not to be needed. `*ret_room` is without them. */
static bool pick(struct scene *scene, const struct residency_model *claimant, enum reach reach,
        struct room *ret_room)
{
    struct room room = scene->claimed;
    struct residency_model *model;

    while (!room_fits(room, scene->host, claimant)) {
        model = next_pick(scene, reach);
        if (model == NULL) {
            unpick(scene, claimant);
            return false;
        }
        model->displaced_by = claimant;
        room = room_without(room, scene->host, model);
    }
    while ((model = next_spared(scene, room, claimant)) != NULL) {
        model->displaced_by = NULL;
        room = room_with(room, scene->host, model);
    }
    *ret_room = room;
    return true;
}

/* --- memory that others take --- */

/* More has been promised than is there. */
static uint64_t over_free(const struct scene *scene, struct room room)
{
    uint64_t over = room_short_bytes(room, scene->host);

    return scene->free_is_known && over > scene->coming_bytes ? over - scene->coming_bytes : 0;
}

static bool is_over(const struct scene *scene, struct room room)
{
    return room_over_limit(room, scene->host) > 0 || over_free(scene, room) > 0;
}

static struct residency_model *least_idle(const struct scene *scene)
{
    struct residency_model *found = NULL;

    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (may_leave(model) && is_idle(model) && (found == NULL || worth_less(model, found)))
            found = model;
    }
    return found;
}

static struct residency_model *most_sparable(const struct scene *scene)
{
    struct residency_model *found = NULL;

    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (model->evict && !is_over(scene, room_with(scene->claimed, scene->host, model)) &&
                (found == NULL || worth_less(found, model)))
            found = model;
    }
    return found;
}

/* The engine would die of it, or something else of the user's. */
static void stop_loads(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (model->state != RESIDENCY_LOADING || model->foreign || model->pinned)
            continue;
        model->evict = true;
        scene->claimed = room_without(scene->claimed, scene->host, model);
    }
}

static void relieve(struct scene *scene)
{
    /* Free memory does not go below nothing: how much is missing cannot be seen. */
    bool all = scene->short_bytes > 0 && scene->host->pool_free_bytes == 0;
    struct residency_model *model;

    while ((all || is_over(scene, scene->claimed)) && (model = least_idle(scene)) != NULL) {
        model->evict = true;
        scene->claimed = room_without(scene->claimed, scene->host, model);
    }
    while (!all && (model = most_sparable(scene)) != NULL) {
        model->evict = false;
        scene->claimed = room_with(scene->claimed, scene->host, model);
    }
    if (is_over(scene, scene->claimed))
        stop_loads(scene);
}

/* --- one who wants to be loaded --- */

static bool is_wanted(const struct residency_model *model)
{
    return model->state == RESIDENCY_ABSENT && !model->foreign &&
           (model->pinned || model->restart || model->waiting > 0);
}

static unsigned rank(const struct residency_model *model)
{
    return model->pinned ? 2 : model->waiting > 0 ? 1 : 0;
}

static bool comes_before(const struct residency_model *a, const struct residency_model *b)
{
    if (rank(a) != rank(b))
        return rank(a) > rank(b);
    return a->waiting > 0 && (b->waiting == 0 || a->waiting_since_ms < b->waiting_since_ms);
}

static struct residency_model *next_wanted(const struct scene *scene)
{
    struct residency_model *next = NULL;

    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (is_wanted(model) && model->verdict == RESIDENCY_NONE &&
                (next == NULL || comes_before(model, next)))
            next = model;
    }
    return next;
}

/* The room once all that may ever leave has left. */
static struct room room_beside_pins(const struct scene *scene)
{
    struct room room = scene->now;

    for (size_t i = 0; i < scene->count; i++)
        if (room_holds(&scene->models[i]) && !scene->models[i].pinned)
            room = room_without(room, scene->host, &scene->models[i]);
    return room;
}

/* True where no wait for our own models would help: has a verdict then. */
static bool judge_size(const struct scene *scene, struct residency_model *model)
{
    const struct residency_host *host = scene->host;
    struct room room = room_beside_pins(scene);
    bool swaps = residency_swaps(host, model->memory_bytes);

    if (model->memory_bytes > host->limit_bytes && !swaps)
        refuse(model, RESIDENCY_TOO_BIG);
    else if (swaps && model->interactive > 0)
        refuse(model, RESIDENCY_BATCH_ONLY);
    else if (!room_within_limit(room, host, model))
        refuse(model, RESIDENCY_PINS);
    else if (scene->short_bytes == 0 && !room_fits(room, host, model) && settling(host))
        postpone(model, RESIDENCY_SETTLING, host->released_at_ms + RESIDENCY_SETTLE_MS);
    else if (scene->short_bytes > 0 || !room_fits(room, host, model))
        refuse(model, RESIDENCY_OTHERS);
    return model->verdict != RESIDENCY_NONE;
}

/* True where nothing may begin now; the model waits for that. */
static bool held_back(const struct scene *scene, struct residency_model *model)
{
    const struct residency_host *host = scene->host;

    if (scene->under_way)
        postpone(model, RESIDENCY_TURN, 0);
    else if (since_less_than(host, host->short_at_ms, RESIDENCY_CALM_MS))
        postpone(model, RESIDENCY_CALM, host->short_at_ms + RESIDENCY_CALM_MS);
    return model->verdict != RESIDENCY_NONE;
}

static void wait_for_memory(
        struct scene *scene, struct residency_model *model, enum residency_reason reason)
{
    postpone(model, reason, 0);
    scene->under_way = true;
}

/* Nobody has to leave, beside those who do already. */
static void judge_room(struct scene *scene, struct residency_model *model)
{
    claim(scene, model);
    if (!room_fits(scene->now, scene->host, model)) {
        wait_for_memory(scene, model, RESIDENCY_LEAVING);
    } else if (!held_back(scene, model)) {
        model->verdict = RESIDENCY_LOAD;
        model->reason = RESIDENCY_FITS;
        scene->under_way = true;
    }
}

static double price_ms(const struct scene *scene, const struct residency_model *claimant)
{
    double sum = 0;

    for (size_t i = 0; i < scene->count; i++)
        if (scene->models[i].displaced_by == claimant)
            sum += displacement_price_ms(&scene->models[i], claimant, scene->host);
    return sum;
}

/* True where displacing those picked is due; else the model waits for that. */
static bool is_due(struct scene *scene, struct residency_model *model)
{
    double missing_ms = price_ms(scene, model) - regret_ms(model, scene->host);

    if (model->pinned || missing_ms <= 0)
        return true;
    unpick(scene, model);
    postpone(
            model, RESIDENCY_REGRET, scene->host->now_ms + (uint64_t)(missing_ms / model->waiting));
    return false;
}

static void close_picked(struct scene *scene, const struct residency_model *claimant, bool busy)
{
    for (size_t i = 0; i < scene->count; i++) {
        struct residency_model *model = &scene->models[i];
        if (model->displaced_by == claimant)
            model->close = model->closed || (busy && !is_idle(model));
    }
}

static void evict_picked(struct scene *scene, const struct residency_model *claimant)
{
    for (size_t i = 0; i < scene->count; i++)
        if (scene->models[i].displaced_by == claimant)
            scene->models[i].evict = true;
}

static uint64_t picked_tenure_end_ms(
        const struct scene *scene, const struct residency_model *claimant)
{
    uint64_t at_ms = 0;

    for (size_t i = 0; i < scene->count; i++) {
        const struct residency_model *model = &scene->models[i];
        if (model->displaced_by == claimant && tenure_end_ms(model) > at_ms)
            at_ms = tenure_end_ms(model);
    }
    return at_ms;
}

static void displace(
        struct scene *scene, struct residency_model *model, enum reach reach, struct room room)
{
    if (!is_due(scene, model))
        return;
    scene->claimed = room;
    claim(scene, model);
    if (reach == REACH_YOUNG) {
        postpone(model, RESIDENCY_YOUNG, picked_tenure_end_ms(scene, model));
        return;
    }
    close_picked(scene, model, reach == REACH_BUSY);
    if (reach == REACH_BUSY) {
        postpone(model, RESIDENCY_BUSY, 0);
    } else if (!held_back(scene, model)) {
        evict_picked(scene, model);
        wait_for_memory(scene, model, RESIDENCY_LEAVING);
    }
}

/* Others would have to leave. */
static void judge_displacing(struct scene *scene, struct residency_model *model)
{
    struct room room;

    for (enum reach reach = REACH_IDLE; reach < REACH_COUNT; reach++) {
        if (pick(scene, model, reach, &room)) {
            displace(scene, model, reach, room);
            return;
        }
    }
    postpone(model, scene->under_way ? RESIDENCY_TURN : RESIDENCY_CLAIMED, 0);
}

static void judge(struct scene *scene, struct residency_model *model)
{
    const struct residency_host *host = scene->host;

    if (judge_size(scene, model))
        return;
    if (host->now_ms < model->retry_at_ms) {
        postpone(model, RESIDENCY_BACKOFF, model->retry_at_ms);
    } else if (room_fits(scene->claimed, host, model)) {
        judge_room(scene, model);
    } else if (settling(host) && room_within_limit(scene->claimed, host, model)) {
        claim(scene, model);
        wait_for_memory(scene, model, RESIDENCY_SETTLING);
    } else if (!pardoned(model, host)) {
        refuse(model, RESIDENCY_FAILED);
    } else if (model->pinned || model->waiting > 0) {
        judge_displacing(scene, model);
    } else {
        postpone(model, RESIDENCY_REGRET, 0);
    }
}

static void forget_decision(struct residency_model *model)
{
    model->verdict = RESIDENCY_NONE;
    model->reason = RESIDENCY_FITS;
    model->until_ms = 0;
    model->evict = model->close = false;
    model->displaced_by = NULL;
}

static void note_engine(struct scene *scene, struct residency_model *model)
{
    bool swaps = residency_swaps(scene->host, model->memory_bytes);

    if (swaps && model->interactive > 0)
        refuse(model, RESIDENCY_BATCH_ONLY);
    if (swaps)
        scene->free_is_known = false; /* it has pushed out whatever it could */
    if (model->state == RESIDENCY_LOADING)
        scene->under_way = true;
    if (model->state == RESIDENCY_STOPPING)
        scene->claimed = room_without(scene->claimed, scene->host, model);
}

static void begin(struct scene *scene)
{
    const struct residency_host *host = scene->host;

    scene->now = scene->claimed = room_now(host, scene->models, scene->count);
    scene->free_is_known = true;
    if (host->pool_free_bytes > 0 &&
            since_less_than(host, host->released_at_ms, RESIDENCY_RELEASE_MS))
        scene->coming_bytes = host->released_bytes;
    for (size_t i = 0; i < scene->count; i++) {
        forget_decision(&scene->models[i]);
        if (room_holds(&scene->models[i]))
            note_engine(scene, &scene->models[i]);
    }
    scene->short_bytes = over_free(scene, scene->claimed);
}

void residency_decide(const struct residency_host *host, struct residency_model *models,
        size_t count, struct residency_decision *ret_decision)
{
    struct scene scene = {.host = host, .models = models, .count = count};
    struct residency_model *model;

    begin(&scene);
    relieve(&scene);
    *ret_decision = (struct residency_decision){.short_bytes = scene.short_bytes};
    while ((model = next_wanted(&scene)) != NULL) {
        judge(&scene, model);
        if (model->verdict == RESIDENCY_LOAD)
            ret_decision->load = model;
    }
}
