#include "coordinator/scheduler.h"

#include <string.h>

static bool avoided(const struct scheduler_request *request, const struct instance *instance)
{
    for (size_t i = 0; i < request->avoid_count; i++)
        if (request->avoid[i].epoch == instance->epoch &&
                strcmp(request->avoid[i].model, instance->model) == 0)
            return true;
    return false;
}

/* It swaps: nobody who waits for an answer is sent there. */
static bool is_closed(const struct scheduler_request *request, const struct instance *instance)
{
    return instance->batch_only && !request->batch;
}

static bool candidate(
        const struct scheduler_request *request, const struct instance *instance, const char *model)
{
    return instance->usable && !avoided(request, instance) && !is_closed(request, instance) &&
           !instance_lacks(instance, request->needs) && strcmp(instance->model, model) == 0;
}

/* A resident engine serves at least one request at once, whatever its node says. */
static uint64_t slots_of(const struct instance *instance)
{
    return instance->slots ? instance->slots : 1;
}

static bool has_room(const struct instance *instance, enum request_lane lane)
{
    uint64_t per_slot = SCHEDULER_REQUESTS_PER_SLOT;
    if (lane == LANE_AUTOCOMPLETE)
        per_slot += SCHEDULER_AUTOCOMPLETE_PER_SLOT;
    return instance->running < slots_of(instance) * per_slot;
}

/* Compares (running + 1) / slots without division. */
static bool less_busy(const struct instance *a, const struct instance *b)
{
    uint64_t left = ((uint64_t)a->running + 1) * slots_of(b);
    uint64_t right = ((uint64_t)b->running + 1) * slots_of(a);
    return left != right ? left < right : a->last_used_us < b->last_used_us;
}

static struct instance *least_busy_resident(struct instance *const *instances, size_t count,
        const struct scheduler_request *request, const char *model)
{
    struct instance *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct instance *it = instances[i];
        if (it->state != INSTANCE_RESIDENT || !candidate(request, it, model) ||
                !has_room(it, request->lane))
            continue;
        if (!best || less_busy(it, best))
            best = it;
    }
    return best;
}

/* What its node would load for a request. */
static bool can_be_loaded(const struct instance *instance)
{
    return instance->state == INSTANCE_AVAILABLE && instance->fits;
}

static bool has_a_model(const struct scheduler_request *request, const struct instance *instance)
{
    for (size_t m = 0; m < request->model_count; m++)
        if (strcmp(instance->model, request->models[m]) == 0)
            return true;
    return false;
}

/* It has one of the models, can do what is needed, is open to the request and has not failed it. */
static bool suits(const struct scheduler_request *request, const struct instance *instance)
{
    return has_a_model(request, instance) && !avoided(request, instance) &&
           !is_closed(request, instance) && !instance_lacks(instance, request->needs);
}

static bool any_closed(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    for (size_t i = 0; i < count; i++)
        if (is_closed(request, instances[i]) && has_a_model(request, instances[i]) &&
                !instance_lacks(instances[i], request->needs))
            return true;
    return false;
}

static bool any_in_state(struct instance *const *instances, size_t count,
        const struct scheduler_request *request, enum instance_state state)
{
    for (size_t i = 0; i < count; i++)
        if (instances[i]->state == state && instances[i]->usable && suits(request, instances[i]))
            return true;
    return false;
}

static bool any_that_can_be_loaded(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    for (size_t i = 0; i < count; i++)
        if (can_be_loaded(instances[i]) && instances[i]->usable && suits(request, instances[i]))
            return true;
    return false;
}

static bool any_that_is_ordered(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    for (size_t i = 0; i < count; i++)
        if (instances[i]->ordered && instances[i]->usable && suits(request, instances[i]))
            return true;
    return false;
}

static bool any_silent(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    for (size_t i = 0; i < count; i++)
        if (instances[i]->silent && suits(request, instances[i]))
            return true;
    return false;
}

/* Loading, or about to be: it was sent a request and its node has not spoken since, or its node was
 * told to load it, and maybe lets another one finish first. */
static bool is_loading(const struct instance *instance)
{
    return instance->state == INSTANCE_LOADING || instance->ordered ||
           (instance->state == INSTANCE_AVAILABLE && instance->running > 0);
}

/* The node that loads the model already, else the one that was least recently given work for it. */
static struct instance *best_to_load(struct instance *const *instances, size_t count,
        const struct scheduler_request *request, const char *model)
{
    struct instance *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct instance *it = instances[i];
        bool loading = is_loading(it);
        if ((!loading && !can_be_loaded(it)) || !candidate(request, it, model))
            continue;
        if (loading && it->running < SCHEDULER_REQUESTS_PER_SLOT)
            return it;
        if (!loading && (!best || it->last_used_us < best->last_used_us))
            best = it;
    }
    return best;
}

static struct scheduler_plan run_on(struct instance *instance, const char *reason)
{
    return (struct scheduler_plan){
            .verdict = SCHEDULER_RUN, .instance = instance, .reason = reason};
}

static struct scheduler_plan wait_because(const char *reason)
{
    return (struct scheduler_plan){.verdict = SCHEDULER_WAIT, .reason = reason};
}

static struct scheduler_plan none_because(const char *reason)
{
    return (struct scheduler_plan){.verdict = SCHEDULER_NONE, .reason = reason};
}

/* What some instance of the model lacks; 0: nobody has it, or nothing. */
static uint32_t model_lacks(
        struct instance *const *instances, size_t count, const char *model, uint32_t needs)
{
    uint32_t lacking = 0;
    for (size_t i = 0; i < count && !lacking; i++)
        if (strcmp(instances[i]->model, model) == 0)
            lacking = instance_lacks(instances[i], needs);
    return lacking;
}

/* Nobody has what is asked for; where somebody has each of the models, it is what they lack. One
 * that nobody has may be able to, and its node come back. */
static struct scheduler_plan none_or_unable(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    uint32_t first = 0;
    bool all = true;
    for (size_t m = 0; m < request->model_count; m++) {
        uint32_t lacking = model_lacks(instances, count, request->models[m], request->needs);
        all = all && lacking;
        first = first ? first : lacking;
    }
    if (first && all)
        return (struct scheduler_plan){.verdict = SCHEDULER_UNABLE,
                .lacking = first,
                .reason = "no model that may answer can do that"};
    return none_because(first ? "no connected node has a model that can do that"
                              : "no connected node has the model");
}

/* No instance takes it now: will one? */
static struct scheduler_plan wait_or_none(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    static const struct {
        enum instance_state state;
        const char *reason;
    } hopes[] = {
            {INSTANCE_LOADING, "the model is being loaded"},
            {INSTANCE_FAILED, "the engine is being restarted"},
            {INSTANCE_STOPPING, "the engine is being stopped"},
    };
    if (any_that_is_ordered(instances, count, request) ||
            any_that_can_be_loaded(instances, count, request))
        return wait_because("the model is being loaded");
    for (size_t i = 0; i < sizeof(hopes) / sizeof(hopes[0]); i++)
        if (any_in_state(instances, count, request, hopes[i].state))
            return wait_because(hopes[i].reason);
    if (any_silent(instances, count, request))
        return wait_because("its node is silent: back in a moment, or gone");
    if (any_closed(instances, count, request))
        return none_because("the model is larger than its node's memory: only modes with "
                            "batch: true may use it");
    if (any_in_state(instances, count, request, INSTANCE_AVAILABLE))
        return none_because("the model is larger than the memory limit of each node that has it");
    return none_or_unable(instances, count, request);
}

struct scheduler_plan scheduler_choose(
        struct instance *const *instances, size_t count, const struct scheduler_request *request)
{
    for (size_t m = 0; m < request->model_count; m++) {
        struct instance *it = least_busy_resident(instances, count, request, request->models[m]);
        if (it)
            return run_on(it, m == 0 ? "least busy resident instance of the first choice"
                                     : "least busy resident instance; the models before it in the "
                                       "list have none");
    }
    if (any_in_state(instances, count, request, INSTANCE_RESIDENT))
        return wait_because("every resident instance is full");
    for (size_t m = 0; m < request->model_count; m++) {
        struct instance *it = best_to_load(instances, count, request, request->models[m]);
        if (it)
            return run_on(it, "resident nowhere: the node loads it");
    }
    return wait_or_none(instances, count, request);
}
