#include "node/supervisor.h"

#include "common/log.h"
#include "common/text.h"
#include "node/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 384 };

struct supervisor {
    struct supervisor_config config;
    const struct supervisor_events *events;
    void *ctx;
    struct loop_timer *timer;
    struct instance_common common;
    struct instance **instances;
    size_t count, capacity;
    struct memory *memory;
    bool draining, stopped_told;
    uint64_t grace_until_ms; /* while draining */
};

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

/* --- what to load --- */

static size_t budget_entries(
        const struct supervisor *s, struct budget_entry *entries, struct instance **owners)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct instance *instance = s->instances[i];
        bool used = instance_is_busy(instance) || instance_has_waits(instance);
        bool pinned = instance_is_pinned(instance);
        enum instance_state state = instance_state(instance);
        if (!instance_has_engine(instance))
            continue;
        owners[n] = instance;
        entries[n++] = (struct budget_entry){
                .memory_bytes = instance_memory_bytes(instance),
                .used_at_ms = instance_used_at_ms(instance),
                .leaving = state == INSTANCE_STOPPING,
                .evictable = state == INSTANCE_RESIDENT && !pinned && !used,
                .busy = !pinned && (used || state == INSTANCE_LOADING),
        };
    }
    return n;
}

static uint64_t used_bytes(const struct supervisor *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->count; i++)
        sum += instance_memory_bytes(s->instances[i]);
    return sum;
}

static void describe_shortage(const struct supervisor *s, const char *name,
        const struct budget_ask *ask, char *ret_text, size_t size)
{
    char want[32], limit[32], in_use[32], free_now[32];
    int len = snprintf(ret_text, size, "%s needs %s; the limit of node %s is %s, %s of it in use",
            name, text_format_size(ask->wanted_bytes, want, sizeof want), s->config.node_name,
            text_format_size(ask->limit_bytes, limit, sizeof limit),
            text_format_size(used_bytes(s), in_use, sizeof in_use));

    if (ask->wanted_bytes > ask->available_bytes && (size_t)len < size)
        (void)snprintf(ret_text + len, size - (size_t)len, ", %s is free %s",
                text_format_size(ask->available_bytes, free_now, sizeof free_now),
                memory_state(s->memory)->pool == POOL_GPU ? "on its GPU" : "in the host");
}

static void refuse_for_memory(
        struct supervisor *s, struct instance *instance, const struct budget_ask *ask)
{
    char text[TEXT_MAX];

    describe_shortage(s, instance_name(instance), ask, text, sizeof text);
    instance_refuse_memory(instance, text);
}

static bool something_leaves(const struct budget_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].leaving)
            return true;
    return false;
}

static void evict_marked(
        const struct budget_entry *entries, struct instance **owners, size_t count, const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].evict)
            instance_stop(owners[i], why);
}

/* True where it does something that the next candidate must wait for. */
static bool load_or_make_room(struct supervisor *s, struct instance *instance,
        struct budget_entry *entries, struct instance **owners)
{
    size_t count = budget_entries(s, entries, owners);
    const struct budget_ask ask = {.limit_bytes = memory_limit_bytes(s->memory),
            .available_bytes = memory_state(s->memory)->pool_free_bytes,
            .wanted_bytes = instance_wanted_bytes(instance)};
    char why[CATALOGUE_NAME_MAX + 32];

    switch (budget_plan(&ask, entries, count)) {
    case BUDGET_LOAD:
        instance_load(instance);
        return true;
    case BUDGET_EVICT:
        (void)snprintf(why, sizeof why, "makes room for %s", instance_name(instance));
        evict_marked(entries, owners, count, why);
        return true;
    case BUDGET_REFUSE:
        refuse_for_memory(s, instance, &ask);
        return false;
    case BUDGET_WAIT:
        /* What leaves makes room for this one and not for those behind it. */
        return something_leaves(entries, count);
    }
    return false;
}

/* One that may be loaded. */
struct candidate {
    struct instance *instance;
    enum instance_urgency urgency;
};

static int compare_urgency(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    uint64_t wx = instance_waiting_since_ms(x->instance);
    uint64_t wy = instance_waiting_since_ms(y->instance);

    if (x->urgency != y->urgency)
        return x->urgency > y->urgency ? -1 : 1;
    if (wx != wy)
        return wx < wy ? -1 : 1;
    return strcmp(instance_name(x->instance), instance_name(y->instance));
}

static bool something_loads(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (instance_state(s->instances[i]) == INSTANCE_LOADING)
            return true;
    return false;
}

static size_t load_candidates(const struct supervisor *s, struct candidate *ret_candidates)
{
    uint64_t now = now_ms(s);
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        enum instance_urgency urgency = instance_urgency(s->instances[i], now);
        if (urgency != INSTANCE_UNWANTED)
            ret_candidates[n++] = (struct candidate){s->instances[i], urgency};
    }
    if (n > 1)
        qsort(ret_candidates, n, sizeof *ret_candidates, compare_urgency);
    return n;
}

static void load_next(struct supervisor *s)
{
    struct budget_entry *entries;
    struct candidate *candidates;
    struct instance **owners;
    size_t count;

    if (s->count == 0 || something_loads(s))
        return;
    entries = calloc(s->count, sizeof *entries);
    candidates = calloc(s->count, sizeof *candidates);
    owners = calloc(s->count, sizeof *owners);
    if (entries != NULL && candidates != NULL && owners != NULL) {
        count = load_candidates(s, candidates);
        if (count > 0)
            memory_look(s->memory);
        for (size_t i = 0; i < count; i++)
            if (load_or_make_room(s, candidates[i].instance, entries, owners))
                break;
    }
    free(entries);
    free(candidates);
    free(owners);
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

/* False where it is no longer there. */
static bool look_at(struct supervisor *s, size_t index, uint64_t now)
{
    struct instance *instance = s->instances[index];

    if (!instance_is_gone(instance)) {
        instance_look(instance, now);
        return true;
    }
    instance_refuse(instance, FAIL_NO_MODEL, "the model's file is gone");
    if (!instance_has_engine(instance)) {
        forget(s, index);
        return false;
    }
    if (!instance_is_busy(instance))
        instance_stop(instance, "its file is gone");
    return true;
}

static void earlier(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms < *at_ms)
        *at_ms = other_ms;
}

/* Memory counts for it now. */
static bool needs_memory(const struct instance *instance, uint64_t now)
{
    return instance_has_engine(instance) || instance_has_waits(instance) ||
           instance_urgency(instance, now) != INSTANCE_UNWANTED;
}

static void arm_timer(struct supervisor *s)
{
    uint64_t now = now_ms(s), at_ms = UINT64_MAX;

    for (size_t i = 0; i < s->count; i++) {
        earlier(&at_ms, instance_due_ms(s->instances[i], now));
        if (needs_memory(s->instances[i], now))
            earlier(&at_ms, now + MEMORY_LOOK_MS);
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
    memory_refresh(s->memory);
    for (size_t i = 0; i < s->count;)
        if (look_at(s, i, now))
            i++;
    load_next(s);
    if (!loop_timer_active(s->timer))
        arm_timer(s);
}

static void on_timer(void *ctx)
{
    supervisor_tick(ctx);
}

/* --- models --- */

struct instance *supervisor_find(const struct supervisor *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(instance_name(s->instances[i]), name) == 0)
            return s->instances[i];
    return NULL;
}

static bool is_pinned(const struct supervisor *s, const char *name)
{
    for (const char *const *word = s->config.resident; word != NULL && *word != NULL; word++)
        if (strcmp(*word, name) == 0)
            return true;
    return false;
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

static struct instance *add(struct supervisor *s, const char *name)
{
    struct instance *instance;

    if (make_place(s) < 0)
        return NULL;
    instance = instance_create(&s->common, name, is_pinned(s, name));
    if (instance != NULL)
        s->instances[s->count++] = instance;
    return instance;
}

void supervisor_model_put(struct supervisor *s, const struct catalogue_model *model)
{
    struct instance *known = supervisor_find(s, model->name);
    struct instance *instance = known != NULL ? known : add(s, model->name);

    if (instance != NULL && instance_put_file(instance, model) == 0)
        return;
    log_error("model not taken", LOG_S("model", model->name), LOG_S("reason", "out of memory"));
    if (instance != NULL && known == NULL)
        instance_lose_file(instance);
}

void supervisor_model_gone(struct supervisor *s, const char *name)
{
    struct instance *instance = supervisor_find(s, name);

    if (instance != NULL)
        instance_lose_file(instance);
}

const char *supervisor_model_at(const struct supervisor *s, size_t index)
{
    return index < s->count ? instance_name(s->instances[index]) : NULL;
}

bool supervisor_describe(
        const struct supervisor *s, const char *name, struct msg_instance *ret_instance)
{
    const struct instance *instance = supervisor_find(s, name);

    if (instance == NULL)
        return false;
    instance_describe(instance, ret_instance);
    return true;
}

void supervisor_memory(struct supervisor *s, struct msg_state *state)
{
    memory_refresh(s->memory);
    state->memory_total_bytes = memory_state(s->memory)->pool_total_bytes;
    state->memory_available_bytes = memory_state(s->memory)->pool_free_bytes;
    state->memory_limit_bytes = memory_limit_bytes(s->memory);
    state->memory_used_bytes = used_bytes(s);
}

/* --- life --- */

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
    s->common = (struct instance_common){.ops = config->ops,
            .host = config->host,
            .context = config->context,
            .slots = config->slots,
            .extra_args = config->extra_args,
            .on_change = on_change,
            .on_due = kick,
            .ctx = s};
    rc = memory_create(&config->memory, config->host.env, &s->memory, err);
    if (rc == 0) {
        s->timer = loop_timer_create(loop, on_timer, s);
        if (s->timer == NULL)
            rc = err_set(err, -ENOMEM, "out of memory");
    }
    if (rc < 0) {
        supervisor_destroy(s);
        return rc;
    }
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
