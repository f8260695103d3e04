#include "coordinator/scheduling/fleet.h"

#include "coordinator/scheduling/fleet_digest.h"
#include "coordinator/scheduling/prefix_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_FIRST = 8, INSTANCES_FIRST = FLEET_LANES };

static_assert(FLEET_INSTANCES_MAX % FLEET_LANES == 0, "whole blocks");

struct fleet {
    struct prefix_index *prefixes;
    struct fleet_model **models; /* by name */
    size_t count, room;
    uint64_t next_seed; /* of a model's prompts */
    uint64_t requests_sent;
    uint32_t pass;
    struct list stale, promised, busy; /* of handles */
};

/* --- models --- */

static size_t place_of(const struct fleet *fleet, const char *model)
{
    size_t low = 0, high = fleet->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(fleet->models[middle]->name, model) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct fleet_model *fleet_find(const struct fleet *fleet, const char *model)
{
    size_t at = place_of(fleet, model);
    bool is_it = at < fleet->count && strcmp(fleet->models[at]->name, model) == 0;
    return is_it ? fleet->models[at] : NULL;
}

size_t fleet_model_count(const struct fleet *fleet)
{
    return fleet->count;
}

struct fleet_model *fleet_model_at(const struct fleet *fleet, size_t index)
{
    return fleet->models[index];
}

static void model_destroy(struct fleet_model *model)
{
    prefix_group_destroy(model->prefixes);
    free(model->name);
    free(model->at);
    free(model->blocks);
    free(model);
}

static int model_create(struct fleet *fleet, const char *name, struct fleet_model **ret_model)
{
    int r = -ENOMEM;
    struct fleet_model *model = calloc(1, sizeof(*model));
    if (!model)
        return r;
    if (!(model->name = strdup(name)))
        goto out;
    r = 0;
    if (fleet->prefixes)
        r = prefix_group_create(fleet->prefixes, fleet->next_seed, &model->prefixes);
    if (r == -ENOSPC)
        r = 0; /* it works without */
out:
    if (r) {
        model_destroy(model);
        return r;
    }
    fleet->next_seed++;
    *ret_model = model;
    return 0;
}

static int make_room_for_model(struct fleet *fleet)
{
    if (fleet->count < fleet->room)
        return 0;
    if (fleet->count >= FLEET_MODELS_MAX)
        return -ENOSPC;
    size_t room = fleet->room ? 2 * fleet->room : MODELS_FIRST;
    void *models = realloc(fleet->models, room * sizeof(*fleet->models));
    if (!models)
        return -ENOMEM;
    fleet->models = models;
    fleet->room = room;
    return 0;
}

static int add_model(struct fleet *fleet, const char *name, struct fleet_model **ret_model)
{
    int r = make_room_for_model(fleet);
    if (!r)
        r = model_create(fleet, name, ret_model);
    if (r)
        return r;
    size_t at = place_of(fleet, name);
    memmove(&fleet->models[at + 1], &fleet->models[at],
            (fleet->count - at) * sizeof(*fleet->models));
    fleet->models[at] = *ret_model;
    fleet->count++;
    return 0;
}

static void drop_model_if_empty(struct fleet *fleet, struct fleet_model *model)
{
    if (model->count > 0)
        return;
    size_t at = place_of(fleet, model->name);
    fleet->count--;
    memmove(&fleet->models[at], &fleet->models[at + 1],
            (fleet->count - at) * sizeof(*fleet->models));
    model_destroy(model);
}

/* --- instances --- */

static void clear_digest(struct fleet_model *model, uint32_t index)
{
    fleet_digest_clear(&model->blocks[index / FLEET_LANES], index % FLEET_LANES);
}

static int make_room_for_instance(struct fleet_model *model)
{
    if (model->count < model->room)
        return 0;
    if (model->count >= FLEET_INSTANCES_MAX)
        return -ENOSPC;
    uint32_t room = model->room ? 2 * model->room : INSTANCES_FIRST;
    void *at = realloc(model->at, room * sizeof(*model->at));
    if (!at)
        return -ENOMEM;
    model->at = at;
    void *blocks = realloc(model->blocks, room / FLEET_LANES * sizeof(*model->blocks));
    if (!blocks)
        return -ENOMEM;
    model->blocks = blocks;
    while (model->room < room)
        clear_digest(model, model->room++);
    return 0;
}

static int take_holder(struct fleet_model *model, uint32_t cache_blocks, uint32_t *ret_holder)
{
    if (model->prefixes && cache_blocks > 0)
        return prefix_holder_add(model->prefixes, cache_blocks, ret_holder);
    *ret_holder = PREFIX_NO_HOLDER;
    return 0;
}

static int prepare(struct fleet_model *model, uint32_t cache_blocks, uint32_t *ret_holder)
{
    int r = make_room_for_instance(model);
    if (r)
        return r;
    r = take_holder(model, cache_blocks, ret_holder);
    if (r == -ENOSPC)
        *ret_holder = PREFIX_NO_HOLDER;
    return r == -ENOSPC ? 0 : r;
}

static void mark_stale(struct fleet_handle *handle)
{
    if (!list_linked(&handle->stale))
        list_push_back(&handle->fleet->stale, &handle->stale);
}

static void init_handle(
        struct fleet *fleet, struct fleet_model *model, struct fleet_handle *ret_handle)
{
    *ret_handle = (struct fleet_handle){.fleet = fleet, .model = model, .index = model->count};
    list_init(&ret_handle->flights);
    list_init(&ret_handle->stale);
    list_init(&ret_handle->promised);
    list_init(&ret_handle->busy);
}

static void put(struct fleet *fleet, struct fleet_model *model, const struct fleet_instance *first,
        uint32_t holder, struct fleet_handle *handle)
{
    struct fleet_instance *it = &model->at[model->count];
    *it = *first;
    it->holder = holder;
    it->running = it->decoding = 0;
    it->prefill_done_s = it->slot_free_s = 0;
    it->last_used = 0;
    it->promise_pass = it->promised = 0;
    it->promised_prefill_s = it->slot_turn_s = 0;
    it->slots_counted = 0;
    it->handle = handle;
    init_handle(fleet, model, handle);
    mark_stale(handle);
    model->count++;
}

int fleet_add(struct fleet *fleet, const char *model, const struct fleet_instance *first,
        uint32_t cache_blocks, struct fleet_handle *handle)
{
    struct fleet_model *its = fleet_find(fleet, model);
    uint32_t holder;
    int r = its ? 0 : add_model(fleet, model, &its);
    if (r)
        return r;
    r = prepare(its, cache_blocks, &holder);
    if (r)
        drop_model_if_empty(fleet, its);
    else
        put(fleet, its, first, holder, handle);
    return r;
}

static void lose_flights(struct fleet_handle *handle)
{
    while (!list_empty(&handle->flights)) {
        struct flight *flight = list_entry(handle->flights.next, struct flight, link);
        list_del(&flight->link);
        flight->handle = NULL;
    }
}

static void drop_holder(struct fleet_model *model, struct fleet_instance *instance)
{
    if (model->prefixes)
        prefix_holder_drop(model->prefixes, instance->holder);
    instance->holder = PREFIX_NO_HOLDER;
}

/* Into the gap that one leaves. */
static void move_last(struct fleet_model *model, uint32_t gap)
{
    uint32_t last = --model->count;
    model->at[last].handle->index = gap;
    model->at[gap] = model->at[last];
    clear_digest(model, last);
    if (gap != last)
        mark_stale(model->at[gap].handle);
}

void fleet_remove(struct fleet *fleet, struct fleet_handle *handle)
{
    struct fleet_model *model = handle->model;
    if (!model)
        return;
    lose_flights(handle);
    drop_holder(model, &model->at[handle->index]);
    model->slots -= model->at[handle->index].slots_counted;
    list_del(&handle->stale);
    list_del(&handle->promised);
    list_del(&handle->busy);
    move_last(model, handle->index);
    handle->model = NULL;
    drop_model_if_empty(fleet, model);
}

int fleet_forget_prompts(struct fleet *fleet, struct fleet_handle *handle, uint32_t cache_blocks)
{
    (void)fleet;
    struct fleet_instance *instance = fleet_at(handle);
    drop_holder(handle->model, instance);
    return take_holder(handle->model, cache_blocks, &instance->holder);
}

struct fleet_instance *fleet_at(struct fleet_handle *handle)
{
    mark_stale(handle);
    return &handle->model->at[handle->index];
}

static void count_slots(struct fleet_model *model, struct fleet_instance *it)
{
    bool counts = it->state == INSTANCE_RESIDENT && it->usable;
    uint32_t slots = counts ? (it->slots ? it->slots : 1) : 0;
    model->slots = model->slots - it->slots_counted + slots;
    it->slots_counted = slots;
}

void fleet_freshen(struct fleet *fleet)
{
    while (!list_empty(&fleet->stale)) {
        struct fleet_handle *handle = list_entry(fleet->stale.next, struct fleet_handle, stale);
        struct fleet_model *model = handle->model;
        uint32_t at = handle->index;
        count_slots(model, &model->at[at]);
        fleet_digest_make(
                &model->at[at], fleet->pass, &model->blocks[at / FLEET_LANES], at % FLEET_LANES);
        list_del(&handle->stale);
    }
}

/* --- what an instance has been given --- */

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* When each slot is free: a heap, the earliest first. */
struct slot_ends {
    size_t count;
    double at[FLEET_FLIGHTS_MAX];
};

static void add_end(struct slot_ends *ends, double end_s)
{
    size_t at = ends->count++;
    while (at > 0 && ends->at[(at - 1) / 2] > end_s) {
        ends->at[at] = ends->at[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    ends->at[at] = end_s;
}

static double take_end(struct slot_ends *ends)
{
    double first_s = ends->at[0], last_s = ends->at[--ends->count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < ends->count) {
        if (child + 1 < ends->count && ends->at[child + 1] < ends->at[child])
            child++;
        if (ends->at[child] >= last_s)
            break;
        ends->at[at] = ends->at[child];
        at = child;
    }
    ends->at[at] = last_s;
    return first_s;
}

/* Prefills go one after another: `prefill_free_s` moves on. What is overdue ends soon, not now. */
static double end_of(
        const struct flight *flight, double begin_s, double now_s, double *prefill_free_s)
{
    if (flight->decoding)
        return later(
                flight->first_s + flight->decode_s, now_s + FLEET_OVERDUE_SHARE * flight->decode_s);
    *prefill_free_s = later(later(begin_s, *prefill_free_s) + flight->prefill_s, now_s);
    return *prefill_free_s + flight->decode_s;
}

/* Lets all that it has run to its end: one beyond the slots begins when the first slot is free. */
static void run_ahead(struct fleet_handle *handle, struct fleet_instance *it, double now_s)
{
    struct slot_ends ends = {.count = 0};
    uint32_t slots = it->slots ? it->slots : 1, taken = 0;
    double prefill_free_s = handle->prefill_free_s, busy_s = 0;
    if (it->state == INSTANCE_LOADING)
        prefill_free_s = later(prefill_free_s, it->ready_s);
    list_for_each (link, &handle->flights) {
        const struct flight *flight = list_entry(link, struct flight, link);
        bool waits = ends.count == slots;
        double begin_s = waits ? later(flight->begin_s, take_end(&ends)) : flight->begin_s;
        add_end(&ends, end_of(flight, begin_s, now_s, &prefill_free_s));
        busy_s += flight->prefill_s + flight->decode_s;
        if (++taken == FLEET_FLIGHTS_MAX)
            break;
    }
    it->prefill_done_s = prefill_free_s;
    it->slot_free_s = ends.count == slots ? ends.at[0] : 0;
    it->slot_turn_s = taken ? (float)(busy_s / taken / slots) : 0;
}

static void reckon(struct fleet_handle *handle, double now_s)
{
    run_ahead(handle, fleet_at(handle), now_s);
}

static struct flight *first_prefill(const struct fleet_handle *handle)
{
    list_for_each (link, &handle->flights) {
        struct flight *flight = list_entry(link, struct flight, link);
        if (!flight->decoding)
            return flight;
    }
    return NULL;
}

/* Another one that overtakes the first says nothing of how far that is. */
static void end_prefill(struct fleet_handle *handle, const struct flight *flight, double now_s)
{
    if (flight == first_prefill(handle))
        handle->prefill_free_s = now_s;
}

void fleet_sent(struct fleet *fleet, struct fleet_handle *handle, struct flight *flight,
        const struct cost *cost, double decode_s, double now_s)
{
    assert(handle->model && !flight->handle);
    struct fleet_instance *it = fleet_at(handle);
    *flight = (struct flight){.handle = handle,
            .begin_s = now_s + cost->load_s,
            .prefill_s = cost->prefill_s,
            .decode_s = decode_s};
    list_push_back(&handle->flights, &flight->link);
    if (!list_linked(&handle->busy))
        list_push_back(&fleet->busy, &handle->busy);
    it->running++;
    it->last_used = ++fleet->requests_sent;
    reckon(handle, now_s);
}

void fleet_first_token(struct fleet *fleet, struct flight *flight, double now_s)
{
    (void)fleet;
    struct fleet_handle *handle = flight->handle;
    if (!handle || flight->decoding)
        return;
    end_prefill(handle, flight, now_s);
    list_del(&flight->link);
    list_push_front(&handle->flights, &flight->link);
    flight->first_s = now_s;
    flight->decoding = true;
    fleet_at(handle)->decoding++;
    reckon(handle, now_s);
}

void fleet_ended(struct fleet *fleet, struct flight *flight, double now_s)
{
    (void)fleet;
    struct fleet_handle *handle = flight->handle;
    if (!handle)
        return;
    struct fleet_instance *it = fleet_at(handle);
    if (flight->decoding)
        it->decoding--;
    else
        end_prefill(handle, flight, now_s);
    it->running--;
    list_del(&flight->link);
    flight->handle = NULL;
    if (list_empty(&handle->flights))
        list_del(&handle->busy);
    reckon(handle, now_s);
}

void fleet_reckon(struct fleet *fleet, struct fleet_handle *handle, double now_s)
{
    (void)fleet;
    if (fleet_at(handle)->state == INSTANCE_RESIDENT)
        list_for_each (link, &handle->flights) {
            struct flight *flight = list_entry(link, struct flight, link);
            if (flight->begin_s > now_s)
                flight->begin_s = now_s;
        }
    reckon(handle, now_s);
}

void fleet_look_at_late(struct fleet *fleet, double now_s)
{
    list_for_each (link, &fleet->busy) {
        struct fleet_handle *handle = list_entry(link, struct fleet_handle, busy);
        double slot_free_s = handle->model->at[handle->index].slot_free_s;
        if (slot_free_s > 0 && slot_free_s < now_s) /* 0: one is free */
            reckon(handle, now_s);
    }
}

/* --- what waits for it --- */

void fleet_begin_pass(struct fleet *fleet)
{
    fleet->pass++;
    while (!list_empty(&fleet->promised)) {
        struct fleet_handle *handle =
                list_entry(fleet->promised.next, struct fleet_handle, promised);
        mark_stale(handle);
        list_del(&handle->promised);
    }
}

uint32_t fleet_pass(const struct fleet *fleet)
{
    return fleet->pass;
}

uint32_t fleet_promised(const struct fleet_instance *instance, uint32_t pass)
{
    return instance->promise_pass == pass ? instance->promised : 0;
}

void fleet_promise(struct fleet *fleet, const struct fleet_instance *instance, double prefill_s)
{
    struct fleet_handle *handle = instance->handle;
    struct fleet_instance *it = fleet_at(handle);
    if (it->promise_pass != fleet->pass) {
        it->promise_pass = fleet->pass;
        it->promised = 0;
        it->promised_prefill_s = 0;
    }
    if (!list_linked(&handle->promised))
        list_push_back(&fleet->promised, &handle->promised);
    it->promised++;
    it->promised_prefill_s += (float)prefill_s;
}

/* --- all of them --- */

struct fleet *fleet_create(struct prefix_index *prefixes)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet)
        return NULL;
    fleet->prefixes = prefixes;
    fleet->pass = 1;
    list_init(&fleet->stale);
    list_init(&fleet->promised);
    list_init(&fleet->busy);
    return fleet;
}

void fleet_set_seed(struct fleet *fleet, uint64_t seed)
{
    assert(!fleet->count);
    fleet->next_seed = seed;
}

void fleet_destroy(struct fleet *fleet)
{
    if (!fleet)
        return;
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_model *model = fleet->models[i];
        for (uint32_t j = 0; j < model->count; j++) {
            lose_flights(model->at[j].handle);
            model->at[j].handle->model = NULL;
        }
        model_destroy(model);
    }
    free(fleet->models);
    free(fleet);
}
