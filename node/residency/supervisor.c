#include "node/residency/supervisor_internal.h"

#include "common/log.h"
#include "common/number.h"
#include "common/saturating.h"
#include "node/hardware/process_memory.h"
#include "node/residency/residency.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 384 };

static uint64_t now_ms(const struct supervisor *s)
{
    return env_now_ms(s->config.host.env);
}

static void kick(void *ctx)
{
    struct supervisor *s = ctx;

    loop_timer_start(s->timer, 0, 0);
}

static void on_change(void *ctx, const char *model)
{
    struct supervisor *s = ctx;

    s->events->on_change(s->ctx, model);
}

/* --- what is loaded, and what leaves --- */

/* Mapped weights still count as available in main memory. Of what is on a GPU, in a container that
 * is no child of ours, or in no process that we know, all is taken. */
static void measure(
        const struct supervisor *s, struct instance *instance, struct residency_model *model)
{
    int64_t pid = instance_pid(instance);
    uint64_t bytes;

    if (memory_state(s->memory)->pool != POOL_HOST || pid == 0 ||
            s->config.host.stop_command != NULL)
        return;
    if (process_memory_read(s->config.memory.hardware.root, pid, &bytes) < 0)
        return;
    if (model->state == RESIDENCY_LOADING && bytes > instance_outgrown_bytes(instance)) {
        instance_outgrow(instance, bytes);
        model->memory_bytes = model->taken_bytes = bytes;
    } else if (bytes < model->taken_bytes) {
        model->taken_bytes = bytes;
    }
}

void supervisor_snapshot(const struct supervisor *s, struct residency_model *ret_models)
{
    for (size_t i = 0; i < s->count; i++) {
        instance_snapshot(s->instances[i], &ret_models[i]);
        measure(s, s->instances[i], &ret_models[i]);
    }
}

struct residency_host supervisor_host(const struct supervisor *s)
{
    return (struct residency_host){.now_ms = now_ms(s),
            .limit_bytes = memory_limit_bytes(s->memory),
            .pool_free_bytes = memory_state(s->memory)->pool_free_bytes,
            .keep_free_bytes = memory_keep_free_bytes(s->memory),
            .swap_bytes = s->config.swap_bytes,
            .short_at_ms = s->short_at_ms,
            .released_at_ms = s->released_at_ms,
            .released_bytes = s->released_bytes};
}

struct footprint_room supervisor_room(const struct supervisor *s)
{
    const struct hardware_state *state = memory_state(s->memory);
    struct footprint_room room = {
            .limit_bytes = memory_limit_bytes(s->memory), .swap_bytes = s->config.swap_bytes};
    uint64_t memory = state->pool == POOL_GPU ? state->host.total_bytes : room.limit_bytes;

    if (s->config.keeps_prompts)
        room.prompt_cache_bytes =
                number_lesser(memory / SUPERVISOR_PROMPTS_DIVISOR, SUPERVISOR_PROMPTS_MAX_BYTES);
    return room;
}

bool supervisor_is_for_batch(const struct supervisor *s, const struct instance *instance)
{
    struct residency_host host = supervisor_host(s);
    struct residency_model model;

    instance_snapshot(instance, &model);
    return !model.foreign && residency_swaps(&host, model.memory_bytes);
}

static void on_released(void *ctx, uint64_t bytes)
{
    struct supervisor *s = ctx;
    uint64_t now = now_ms(s);

    if (now - s->released_at_ms >= RESIDENCY_RELEASE_MS)
        s->released_bytes = 0;
    s->released_bytes = saturating_sum(s->released_bytes, bytes);
    s->released_at_ms = now;
}

/* What others would take may be known better too. */
static void on_measured(void *ctx)
{
    struct supervisor *s = ctx;

    measurement_file_save(s->measurements);
    for (size_t i = 0; i < s->count; i++)
        s->events->on_change(s->ctx, instance_name(s->instances[i]));
    kick(s);
}

/* … whatever else is there. */
static uint32_t context_that_fits(const struct instance *instance,
        const struct residency_model *model, const struct residency_room *room)
{
    uint64_t bytes = model->reason == RESIDENCY_TOO_BIG ? room->alone_bytes
                     : model->reason == RESIDENCY_PINS  ? room->beside_pins_bytes
                                                        : 0;

    return instance_context_within(instance, bytes);
}

/* What would fit is part of a refusal that does not pass by itself. */
static void add_what_fits(const struct instance *instance, const struct residency_model *model,
        const struct residency_room *room, char text[TEXT_MAX])
{
    uint32_t most = context_that_fits(instance, model, room);
    uint32_t now = instance_context_within(instance, room->now_bytes);
    size_t len = strlen(text);

    if (most == 0)
        return;
    len += (size_t)snprintf(text + len, TEXT_MAX - len,
            "; with a context of at most %" PRIu32 " tokens it would fit", most);
    if (now > 0 && now < most && len < TEXT_MAX)
        (void)snprintf(text + len, TEXT_MAX - len,
                ", and beside all that is loaded now with %" PRIu32, now);
}

static void refuse(const struct supervisor *s, struct instance *instance,
        const struct residency_model *model, const struct residency_room *room,
        const char *explanation)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof text, "on node %s %s", s->config.node_name, explanation);
    add_what_fits(instance, model, room, text);
    if (model->reason == RESIDENCY_BATCH_ONLY)
        instance_refuse_interactive(instance, text);
    else
        instance_refuse_memory(instance, model->reason, text);
}

/* What was decided of one model, but for a load and a refusal. */
static void carry_out(
        struct instance *instance, const struct residency_model *model, const char *explanation)
{
    if (model->verdict == RESIDENCY_WAIT)
        instance_note_wait(instance, model->reason, explanation);
    if (model->evict)
        instance_stop(instance, explanation);
    instance_close(instance, model->close);
}

/* What is left of `room_bytes` beside all that is loaded, and what is to be loaded now. */
static uint64_t spare_bytes(uint64_t room_bytes, const struct residency_model *models, size_t count,
        const struct residency_model *load)
{
    uint64_t taken = load->memory_bytes;

    for (size_t i = 0; i < count; i++)
        if (models[i].state != RESIDENCY_ABSENT && !models[i].foreign && &models[i] != load)
            taken = saturating_sum(taken, models[i].memory_bytes);
    return saturating_difference(room_bytes, taken);
}

static void decide_on(struct supervisor *s, struct residency_model *models)
{
    struct residency_host host;
    struct residency_decision decision;
    struct residency_room room;
    char explanation[TEXT_MAX] = "";
    size_t count = s->count;

    supervisor_snapshot(s, models);
    host = supervisor_host(s);
    residency_decide(&host, models, count, &decision);
    s->room_bytes = residency_room(&host, models, count, NULL).alone_bytes;
    if (decision.short_bytes > 0)
        s->short_at_ms = host.now_ms;
    for (size_t i = 0; i < count; i++) {
        if (models[i].verdict == RESIDENCY_REFUSE || models[i].verdict == RESIDENCY_WAIT ||
                models[i].evict)
            residency_explain(&host, models, count, &models[i], explanation, sizeof explanation);
        if (models[i].verdict == RESIDENCY_REFUSE) {
            room = residency_room(&host, models, count, &models[i]);
            refuse(s, s->instances[i], &models[i], &room, explanation);
        }
        carry_out(s->instances[i], &models[i], explanation);
    }
    if (decision.load != NULL)
        instance_load(s->instances[decision.load - models],
                spare_bytes(s->room_bytes, models, count, decision.load));
}

/* … of this node, for what it has or waits for. */
static bool needs_memory(const struct instance *instance)
{
    return !instance_is_foreign(instance) &&
           (instance_has_engine(instance) || instance_is_wanted(instance));
}

static bool somebody_wants_a_load(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!instance_has_engine(s->instances[i]) && needs_memory(s->instances[i]))
            return true;
    return false;
}

static void decide(struct supervisor *s)
{
    struct residency_model *models;

    if (s->count == 0)
        return;
    if (somebody_wants_a_load(s))
        memory_look(s->memory); /* a load is decided on what is free at this moment */
    else
        memory_refresh(s->memory);
    models = calloc(s->count, sizeof *models);
    if (models == NULL)
        return; /* the next look is not far */
    decide_on(s, models);
    free(models);
}

/* --- what is due --- */

static void forget(struct supervisor *s, size_t index)
{
    struct instance *instance = s->instances[index];

    s->count--;
    memmove(s->instances + index, s->instances + index + 1,
            (s->count - index) * sizeof *s->instances);
    /* The name is still ours to lend; describe must not find it any more. */
    s->events->on_change(s->ctx, instance_name(instance));
    instance_destroy(instance);
}

/* What loads beside the engine that serves takes its place once it can. */
static void promote(struct supervisor *s, struct instance *heir)
{
    struct instance *instance = supervisor_find(s, instance_name(heir));

    log_info("model replaced", LOG_S("model", instance_name(heir)));
    instance_succeed(instance, heir);
}

/* It is not needed (any more): its model is gone, or it is a load that failed, or an engine that
 * has been replaced. */
static bool is_over(const struct instance *instance)
{
    bool serves = instance_role(instance) == INSTANCE_SERVING;

    return !instance_has_engine(instance) &&
           (instance_is_gone(instance) || (!serves && !instance_is_wanted(instance)));
}

static void look_at_life(struct supervisor *s, struct instance *instance, uint64_t now)
{
    if (instance_role(instance) == INSTANCE_SUCCESSOR &&
            instance_state(instance) == INSTANCE_RESIDENT)
        promote(s, instance);
    instance_look(instance, now);
}

/* False where it is no longer there. */
static bool look_at(struct supervisor *s, size_t index, uint64_t now)
{
    struct instance *instance = s->instances[index];
    bool gone = instance_is_gone(instance);

    if (gone)
        instance_refuse(instance, FAIL_NO_MODEL,
                instance_role(instance) == INSTANCE_SERVING
                        ? "the model is gone"
                        : "the model has changed meanwhile, or is gone");
    if (is_over(instance)) {
        forget(s, index);
        return false;
    }
    if (!gone)
        look_at_life(s, instance, now);
    else if (!instance_is_busy(instance))
        instance_stop(instance, "it is gone");
    return true;
}

static void arm_timer(struct supervisor *s)
{
    uint64_t now = now_ms(s), at_ms = UINT64_MAX;

    for (size_t i = 0; i < s->count; i++) {
        at_ms = number_lesser(at_ms, instance_due_ms(s->instances[i], now));
        if (needs_memory(s->instances[i]))
            at_ms = number_lesser(at_ms, memory_due_ms(s->memory));
    }
    if (at_ms != UINT64_MAX)
        loop_timer_start(s->timer, at_ms > now ? at_ms - now : 0, 0);
}

static void drain_step(struct supervisor *s, uint64_t now)
{
    bool running = false, grace = now < s->grace_until_ms;

    for (size_t i = 0; i < s->count; i++) {
        struct instance *instance = s->instances[i];
        instance_refuse(instance, FAIL_DRAINING, "the node is shutting down");
        if (!instance_is_busy(instance) || !grace)
            instance_stop(instance, "the node is shutting down");
        running |= instance_has_engine(instance);
    }
    if (running && grace && !loop_timer_active(s->timer))
        loop_timer_start(s->timer, s->grace_until_ms - now, 0);
    if (running || s->stopped_told)
        return;
    s->stopped_told = true;
    s->events->on_stopped(s->ctx);
}

void supervisor_tick(struct supervisor *s)
{
    uint64_t now = now_ms(s);

    loop_timer_stop(s->timer);
    if (s->draining) {
        drain_step(s, now);
        return;
    }
    for (size_t i = 0; i < s->count;)
        if (look_at(s, i, now))
            i++;
    decide(s);
    if (!loop_timer_active(s->timer))
        arm_timer(s);
}

static void on_timer(void *ctx)
{
    supervisor_tick(ctx);
}

/* --- models --- */

/* A successor that was given up is none any more, though its engine may have to end yet. */
static bool acts_as(const struct instance *instance, enum instance_role role)
{
    return instance_role(instance) == role &&
           (role == INSTANCE_SERVING || !instance_is_gone(instance));
}

static struct instance *find(const struct supervisor *s, const char *name, enum instance_role role)
{
    for (size_t i = 0; i < s->count; i++)
        if (acts_as(s->instances[i], role) && strcmp(instance_name(s->instances[i]), name) == 0)
            return s->instances[i];
    return NULL;
}

struct instance *supervisor_find(const struct supervisor *s, const char *name)
{
    return find(s, name, INSTANCE_SERVING);
}

static int make_place(struct supervisor *s)
{
    size_t capacity = s->capacity == 0 ? 8 : s->capacity * 2;
    struct instance **instances;

    if (s->count < s->capacity)
        return 0;
    instances = reallocarray(s->instances, capacity, sizeof *instances);
    if (instances == NULL)
        return -ENOMEM;
    s->instances = instances;
    s->capacity = capacity;
    return 0;
}

struct instance *supervisor_add(struct supervisor *s, const char *name, enum instance_role role)
{
    struct instance *instance;

    if (make_place(s) < 0)
        return NULL;
    instance = instance_create(&s->common, name, role);
    if (instance != NULL)
        s->instances[s->count++] = instance;
    return instance;
}

void supervisor_give_up_successor(struct supervisor *s, const char *name)
{
    struct instance *successor = find(s, name, INSTANCE_SUCCESSOR);

    if (successor != NULL)
        instance_lose(successor, false);
}

/* Where a successor is loaded for just that, it stays the one for it. */
static struct instance *instance_for(
        struct supervisor *s, const char *name, const struct source *source)
{
    struct instance *successor = find(s, name, INSTANCE_SUCCESSOR);

    if (successor != NULL && instance_is_for(successor, source))
        return successor;
    if (!source_is_adopted(source))
        supervisor_give_up_successor(s, name);
    return supervisor_find(s, name);
}

void supervisor_put(struct supervisor *s, const char *name, struct source *source)
{
    struct instance *instance = source == NULL ? NULL : instance_for(s, name, source);

    if (source != NULL && instance == NULL)
        instance = supervisor_add(s, name, INSTANCE_SERVING);
    if (instance != NULL) {
        instance_put(instance, source);
        return;
    }
    log_error("model not taken", LOG_S("model", name), LOG_S("reason", "out of memory"));
    source_destroy(source);
}

static void lose(struct supervisor *s, const char *name, bool adopted)
{
    struct instance *instance = supervisor_find(s, name);

    if (instance != NULL)
        instance_lose(instance, adopted);
    if (!adopted || instance == NULL || instance_is_gone(instance))
        supervisor_give_up_successor(s, name);
}

void supervisor_model_put(
        struct supervisor *s, const struct catalogue_model *model, struct model_settings *settings)
{
    const struct footprint_room room = supervisor_room(s);

    supervisor_put(s, model->name, source_of_file(s->config.ops, model, settings, &room));
}

bool supervisor_uses_processors(const struct supervisor *s)
{
    return memory_state(s->memory)->pool == POOL_HOST;
}

const struct model_settings *supervisor_settings(const struct supervisor *s, const char *name)
{
    const struct instance *instance = find(s, name, INSTANCE_SUCCESSOR);

    if (instance == NULL)
        instance = supervisor_find(s, name);
    return instance == NULL ? NULL : instance_settings(instance);
}

void supervisor_model_gone(struct supervisor *s, const char *name)
{
    lose(s, name, false);
}

void supervisor_engine_model_put(struct supervisor *s, const struct backend_ops *ops,
        const struct engines_model *model, bool pin)
{
    supervisor_put(s, model->facts->name, source_of_engine(ops, model, pin));
}

void supervisor_engine_model_gone(struct supervisor *s, const char *name)
{
    lose(s, name, true);
}

const char *supervisor_model_at(const struct supervisor *s, size_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (instance_role(s->instances[i]) == INSTANCE_SERVING && index-- == 0)
            return instance_name(s->instances[i]);
    return NULL;
}

bool supervisor_describe(
        const struct supervisor *s, const char *name, struct msg_instance *ret_instance)
{
    const struct instance *instance = supervisor_find(s, name);

    if (instance == NULL)
        return false;
    instance_describe(instance, ret_instance);
    ret_instance->batch_only = supervisor_is_for_batch(s, instance);
    return true;
}

bool supervisor_batch_only(const struct supervisor *s, const char *name)
{
    const struct instance *instance = supervisor_find(s, name);

    return instance != NULL && supervisor_is_for_batch(s, instance);
}

static uint64_t used_bytes(const struct supervisor *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->count; i++)
        if (!instance_is_foreign(s->instances[i]))
            sum += instance_memory_bytes(s->instances[i]);
    return sum;
}

/* Where no engine runs nothing is decided, maybe for long. */
static uint64_t room_bytes(const struct supervisor *s)
{
    uint64_t free_bytes = saturating_difference(
            memory_state(s->memory)->pool_free_bytes, memory_keep_free_bytes(s->memory));

    for (size_t i = 0; i < s->count; i++)
        if (instance_has_engine(s->instances[i]) && !instance_is_foreign(s->instances[i]))
            return s->room_bytes;
    return number_lesser(memory_limit_bytes(s->memory), free_bytes);
}

static uint64_t bandwidth(const struct supervisor *s)
{
    return s->config.bandwidth_bytes > 0 ? s->config.bandwidth_bytes
                                         : memory_state(s->memory)->pool_bandwidth_bytes;
}

void supervisor_memory(struct supervisor *s, struct msg_state *state)
{
    memory_refresh(s->memory);
    state->memory_total_bytes = memory_state(s->memory)->pool_total_bytes;
    state->memory_available_bytes = memory_state(s->memory)->pool_free_bytes;
    state->memory_limit_bytes = memory_limit_bytes(s->memory);
    state->memory_used_bytes = used_bytes(s);
    state->memory_room_bytes = room_bytes(s);
    state->swap_allowance_bytes = s->config.swap_bytes;
    state->memory_bandwidth_bytes = bandwidth(s);
}

/* --- life --- */

static int open_parts(struct supervisor *s, struct loop *loop, struct err *err)
{
    const struct supervisor_config *config = &s->config;
    int rc = memory_create(&config->memory, config->host.env, &s->memory, err);

    if (rc == 0)
        rc = measurement_file_create(loop, config->measurements, &s->measurements, err);
    if (rc < 0)
        return rc;
    s->timer = loop_timer_create(loop, on_timer, s);
    return s->timer == NULL ? err_set(err, -ENOMEM, "out of memory") : 0;
}

int supervisor_create(struct loop *loop, const struct supervisor_config *config,
        const struct supervisor_events *events, void *ctx, struct supervisor **ret_supervisor,
        struct err *err)
{
    struct supervisor *s = calloc(1, sizeof *s);
    int rc;

    if (s == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    s->config = *config;
    s->events = events;
    s->ctx = ctx;
    rc = open_parts(s, loop, err);
    if (rc < 0) {
        supervisor_destroy(s);
        return rc;
    }
    s->common = (struct instance_common){.host = config->host,
            .pool = memory_state(s->memory)->pool,
            .measurements = measurement_file_table(s->measurements),
            .on_change = on_change,
            .on_due = kick,
            .on_released = on_released,
            .on_measured = on_measured,
            .ctx = s};
    s->common.host.oom_watch = memory_oom_watch(s->memory);
    *ret_supervisor = s;
    return 0;
}

void supervisor_destroy(struct supervisor *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        instance_destroy(s->instances[i]);
    free(s->instances);
    loop_timer_destroy(s->timer);
    measurement_file_destroy(s->measurements);
    memory_destroy(s->memory);
    free(s);
}

void supervisor_drain(struct supervisor *s)
{
    s->grace_until_ms = s->draining ? 0 : now_ms(s) + SUPERVISOR_GRACE_MS;
    s->draining = true;
    kick(s);
}

bool supervisor_draining(const struct supervisor *s)
{
    return s->draining;
}
