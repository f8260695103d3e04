#include "node/supervisor.h"

#include "common/log.h"
#include "common/sm.h"
#include "common/text.h"
#include "node/budget.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_MAX = 384, RATE_TOKENS_MIN = 8, FACT_MAX = 32, NS_PER_S = 1000000000 };
static const float rate_weight = 0.25f; /* of a new sample in the decayed mean */

/* What the catalogue says of the file to load next. */
struct file_facts {
    uint32_t context_trained, capabilities;
    uint64_t parameters;
    int64_t modified_s;
    char architecture[FACT_MAX], quantisation[FACT_MAX];
};

struct instance {
    struct list link;
    struct supervisor *owner;
    struct sm sm; /* enum instance_state */
    uint64_t state_since_ms;
    struct list waits;                /* struct instance_wait, oldest first */
    struct instance_backend *backend; /* NULL while no engine runs */
    struct backend_model model;       /* as the engine was started */
    char *path;                       /* of the file to load next */
    char *loaded_path;
    uint64_t file_bytes, memory_bytes; /* memory: counted while an engine runs */
    uint32_t context, slots, busy;
    uint32_t capabilities; /* the engine's own while it is resident, else what is expected */
    struct file_facts file;
    uint64_t used_at_ms;
    bool pinned;
    bool stale;           /* the engine has an older file */
    bool gone;            /* the file is no longer there */
    bool restart;         /* died in service: load it again */
    bool short_of_memory; /* told already */
    unsigned failures;    /* since it was last healthy */
    uint64_t retry_at_ms; /* FAILED: when it may be tried again */
    uint32_t restarts;
    float prefill_tok_s, decode_tok_s;
    char note[NOTE_MAX];
    char name[];
};

struct supervisor {
    struct loop *loop;
    struct supervisor_config config;
    const struct supervisor_events *events;
    void *ctx;
    struct loop_timer *timer;
    struct list instances;
    struct hardware *hardware;
    struct hardware_state memory; /* at the last look */
    uint64_t looked_ms;
    char trouble[NOTE_MAX]; /* with memory, told already */
    uint64_t memory_limit_bytes;
    bool draining, stopped_told;
    uint64_t grace_until_ms; /* while draining */
};

static const char *const state_names[] = {"available", "loading", "resident", "stopping", "failed"};
static const uint32_t state_next[INSTANCE_STATE_COUNT] = {
        [INSTANCE_AVAILABLE] = SM_BIT(INSTANCE_LOADING),
        [INSTANCE_LOADING] =
                SM_BIT(INSTANCE_RESIDENT) | SM_BIT(INSTANCE_STOPPING) | SM_BIT(INSTANCE_FAILED),
        [INSTANCE_RESIDENT] = SM_BIT(INSTANCE_STOPPING) | SM_BIT(INSTANCE_FAILED),
        [INSTANCE_STOPPING] = SM_BIT(INSTANCE_AVAILABLE),
        [INSTANCE_FAILED] = SM_BIT(INSTANCE_LOADING) | SM_BIT(INSTANCE_AVAILABLE),
};
static const struct sm_def instance_sm = {.name = "instance",
        .state_names = state_names,
        .state_count = INSTANCE_STATE_COUNT,
        .next = state_next};

static uint64_t now_ms(const struct supervisor *s)
{
    return env_now_ms(s->config.host.env);
}

static void kick(struct supervisor *s)
{
    loop_timer_start(s->timer, 0, 0);
}

static void changed(struct instance *instance)
{
    instance->owner->events->on_change(instance->owner->ctx, instance->name);
}

static enum instance_state state_of(const struct instance *instance)
{
    return (enum instance_state)instance->sm.state;
}

static bool has_engine(const struct instance *instance)
{
    return instance->backend != NULL;
}

/* The diagram is in the header. */
static void instance_set_state(struct instance *instance, enum instance_state state)
{
    sm_set(&instance->sm, state);
    instance->state_since_ms = now_ms(instance->owner);
    changed(instance);
    kick(instance->owner);
}

static void set_note(struct instance *instance, const char *text)
{
    size_t len = text_utf8_cut(text, strlen(text), sizeof instance->note - 1);

    memcpy(instance->note, text, len);
    instance->note[len] = '\0';
}

static void tell_first(struct list *waits, const struct msg_fail *fail)
{
    struct instance_wait *wait = list_entry(waits->next, struct instance_wait, link);

    list_del(&wait->link);
    wait->fn(wait->ctx, fail);
}

static void answer(struct instance *instance, const struct msg_fail *fail)
{
    /* A waiter that is answered may wait again: only those of now are told. */
    struct list now;

    if (list_empty(&instance->waits))
        return;
    now = instance->waits;
    now.next->prev = now.prev->next = &now;
    list_init(&instance->waits);
    while (!list_empty(&now))
        tell_first(&now, fail);
}

static void refuse(struct instance *instance, enum fail_code code, const char *message)
{
    const struct msg_fail fail = {.code = code, .message = message};

    answer(instance, &fail);
}

/* --- engines --- */

/* As the engine will be started. */
static struct backend_model next_model(const struct instance *instance)
{
    const struct supervisor_config *config = &instance->owner->config;

    return (struct backend_model){
            .name = instance->name,
            .context = config->context,
            .slots = config->slots,
            .extra_args = config->extra_args,
            .context_trained = instance->file.context_trained,
            .capabilities = instance->file.capabilities,
    };
}

/* Of one sequence, once it is loaded: an engine takes no more than the trained length, and that
 * where the choice is its own. */
static uint32_t expected_context(const struct instance *instance)
{
    uint32_t wanted = instance->owner->config.context;
    uint32_t trained = instance->file.context_trained;

    if (wanted == 0 || (trained > 0 && trained < wanted))
        return trained;
    return wanted;
}

static void expect_capabilities(struct instance *instance)
{
    const struct supervisor_config *config = &instance->owner->config;
    struct backend_model model = next_model(instance);

    instance->capabilities = config->ops->expect(&config->host, &model);
}

static void engine_forget(struct instance *instance)
{
    instance->owner->config.ops->destroy(instance->backend);
    instance->backend = NULL;
    instance->memory_bytes = 0;
    instance->stale = false;
    instance->context = instance->slots = 0;
    expect_capabilities(instance);
    free(instance->loaded_path);
    instance->loaded_path = NULL;
}

static uint64_t backoff_ms(const struct instance *instance)
{
    uint64_t ms = SUPERVISOR_BACKOFF_MIN_MS;

    for (unsigned i = 0; i < instance->failures && ms < SUPERVISOR_BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > SUPERVISOR_BACKOFF_MAX_MS)
        ms = SUPERVISOR_BACKOFF_MAX_MS;
    return ms - ms / 10 + env_random_u64(instance->owner->config.host.env) % (ms / 5);
}

/* The engine ended by itself, or did not start. Runs have been told already; those who wait for a
 * load that failed are told here, those who came after a death wait for the restart. */
static void engine_failed(struct instance *instance, const char *reason)
{
    uint64_t delay_ms = backoff_ms(instance);
    char text[NOTE_MAX + CATALOGUE_NAME_MAX + 64];

    instance->restart = state_of(instance) == INSTANCE_RESIDENT;
    instance->failures++;
    instance->retry_at_ms = now_ms(instance->owner) + delay_ms;
    set_note(instance, reason);
    log_warn("engine died", LOG_S("model", instance->name), LOG_S("while", sm_name(&instance->sm)),
            LOG_S("reason", reason), LOG_U("retry_ms", delay_ms));
    instance_set_state(instance, INSTANCE_FAILED);
    if (instance->restart)
        return;
    (void)snprintf(text, sizeof text, "the engine of %s did not start: %s", instance->name,
            instance->note);
    refuse(instance, FAIL_ENGINE_DIED, text);
}

static void on_engine_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct instance *instance = ctx;
    char note[NOTE_MAX + 32] = "";

    if (state_of(instance) != INSTANCE_LOADING)
        return;
    instance->slots = slots;
    instance->context = context;
    instance->capabilities = capabilities;
    instance->restart = false;
    instance->used_at_ms = now_ms(instance->owner);
    if (instance->failures > 0)
        (void)snprintf(note, sizeof note, "restarted after: %s", instance->note);
    set_note(instance, note);
    log_info("model resident", LOG_S("model", instance->name),
            LOG_U("load_ms", now_ms(instance->owner) - instance->state_since_ms),
            LOG_U("slots", slots), LOG_U("context", context));
    instance_set_state(instance, INSTANCE_RESIDENT);
}

static void on_engine_exit(void *ctx, bool wanted, const char *reason)
{
    struct instance *instance = ctx;
    char words[NOTE_MAX]; /* `reason` ends with the engine */

    (void)wanted; /* our own state says it better */
    (void)snprintf(words, sizeof words, "%s", reason);
    engine_forget(instance);
    if (state_of(instance) != INSTANCE_STOPPING) {
        engine_failed(instance, words);
        return;
    }
    log_info("engine stopped", LOG_S("model", instance->name), LOG_S("reason", words));
    instance_set_state(instance, INSTANCE_AVAILABLE);
}

static void engine_stop(struct instance *instance, const char *why)
{
    if (state_of(instance) != INSTANCE_LOADING && state_of(instance) != INSTANCE_RESIDENT)
        return;
    log_info("model stopping", LOG_S("model", instance->name), LOG_S("reason", why));
    instance_set_state(instance, INSTANCE_STOPPING);
    instance->owner->config.ops->stop(instance->backend);
}

static int engine_create(struct instance *instance, struct err *err)
{
    static const struct backend_events events = {
            .on_ready = on_engine_ready, .on_exit = on_engine_exit};
    const struct supervisor_config *config = &instance->owner->config;

    instance->loaded_path = strdup(instance->path);
    if (instance->loaded_path == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    instance->model = next_model(instance);
    instance->model.path = instance->loaded_path;
    instance->backend =
            config->ops->create(&config->host, &instance->model, &events, instance, err);
    return instance->backend == NULL ? -ENOMEM : config->ops->start(instance->backend, err);
}

static void engine_start(struct instance *instance)
{
    struct err err = {.text = ""};

    if (instance->failures > 0)
        instance->restarts++;
    instance->short_of_memory = false;
    instance_set_state(instance, INSTANCE_LOADING);
    instance->memory_bytes = budget_model_bytes(instance->file_bytes);
    log_info("model loading", LOG_S("model", instance->name), LOG_S("path", instance->path),
            LOG_U("memory_bytes", instance->memory_bytes));
    if (engine_create(instance, &err) < 0) {
        engine_forget(instance);
        engine_failed(instance, err.text);
    }
}

/* --- memory --- */

static void tell_trouble(struct supervisor *s, const char *trouble)
{
    if (strcmp(s->trouble, trouble) == 0)
        return;
    (void)snprintf(s->trouble, sizeof s->trouble, "%s", trouble);
    if (s->trouble[0] == '\0')
        log_info("all memory is known again", LOG_U("devices", s->memory.devices.count));
    else
        log_warn("memory is not known", LOG_S("reason", s->trouble));
}

/* It could be read at the start: should it fail now, nothing counts as free and nothing is loaded.
 */
static void look_at_memory(struct supervisor *s)
{
    struct err err;

    s->looked_ms = now_ms(s);
    if (hardware_read(s->hardware, &s->memory, &err) == 0) {
        tell_trouble(s, s->memory.devices.trouble);
    } else {
        s->memory = (struct hardware_state){.pool = s->memory.pool};
        tell_trouble(s, err.text);
    }
}

static void refresh_memory(struct supervisor *s)
{
    if (now_ms(s) - s->looked_ms >= SUPERVISOR_POLL_MS)
        look_at_memory(s);
}

/* --- what to load --- */

static size_t budget_entries(
        const struct supervisor *s, struct budget_entry *entries, struct instance **owners)
{
    size_t n = 0;

    list_for_each (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        bool used = instance->busy > 0 || !list_empty(&instance->waits);
        enum instance_state state = state_of(instance);
        if (!has_engine(instance))
            continue;
        owners[n] = instance;
        entries[n++] = (struct budget_entry){
                .memory_bytes = instance->memory_bytes,
                .used_at_ms = instance->used_at_ms,
                .leaving = state == INSTANCE_STOPPING,
                .evictable = state == INSTANCE_RESIDENT && !instance->pinned && !used,
                .busy = !instance->pinned && (used || state == INSTANCE_LOADING),
        };
    }
    return n;
}

static size_t instance_count(const struct supervisor *s)
{
    size_t n = 0;

    list_for_each (it, &s->instances)
        n++;
    return n;
}

static uint64_t used_bytes(const struct supervisor *s)
{
    uint64_t sum = 0;

    list_for_each (it, &s->instances)
        sum += list_entry(it, struct instance, link)->memory_bytes;
    return sum;
}

static void describe_shortage(const struct instance *instance, const struct budget_ask *ask,
        uint64_t used, char *ret_text, size_t size)
{
    char want[32], limit[32], in_use[32], free_now[32];
    int len = snprintf(ret_text, size, "%s needs %s; the limit of node %s is %s, %s of it in use",
            instance->name, text_format_size(ask->wanted_bytes, want, sizeof want),
            instance->owner->config.node_name,
            text_format_size(ask->limit_bytes, limit, sizeof limit),
            text_format_size(used, in_use, sizeof in_use));

    if (ask->wanted_bytes > ask->available_bytes && (size_t)len < size)
        (void)snprintf(ret_text + len, size - (size_t)len, ", %s is free %s",
                text_format_size(ask->available_bytes, free_now, sizeof free_now),
                instance->owner->memory.pool == POOL_GPU ? "on its GPU" : "in the host");
}

static void refuse_for_memory(
        struct instance *instance, const struct budget_ask *ask, uint64_t used)
{
    char text[NOTE_MAX];

    describe_shortage(instance, ask, used, text, sizeof text);
    if (!instance->short_of_memory)
        log_warn("model refused", LOG_S("model", instance->name), LOG_S("reason", text));
    instance->short_of_memory = true;
    if (strcmp(instance->note, text) != 0) {
        set_note(instance, text);
        changed(instance);
    }
    refuse(instance, FAIL_NO_MEMORY, text);
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
            engine_stop(owners[i], why);
}

/* True where it does something that the next candidate must wait for. */
static bool load_or_make_room(
        struct instance *instance, struct budget_entry *entries, struct instance **owners)
{
    struct supervisor *s = instance->owner;
    size_t count = budget_entries(s, entries, owners);
    struct budget_ask ask;
    char why[CATALOGUE_NAME_MAX + 32];

    ask = (struct budget_ask){.limit_bytes = s->memory_limit_bytes,
            .available_bytes = s->memory.pool_free_bytes,
            .wanted_bytes = budget_model_bytes(instance->file_bytes)};
    switch (budget_plan(&ask, entries, count)) {
    case BUDGET_LOAD:
        engine_start(instance);
        return true;
    case BUDGET_EVICT:
        (void)snprintf(why, sizeof why, "makes room for %s", instance->name);
        evict_marked(entries, owners, count, why);
        return true;
    case BUDGET_REFUSE:
        refuse_for_memory(instance, &ask, used_bytes(s));
        return false;
    case BUDGET_WAIT:
        /* What leaves makes room for this one and not for those behind it. */
        return something_leaves(entries, count);
    }
    return false;
}

/* 0: nobody wants it loaded; else the higher the sooner. */
static unsigned urgency(const struct instance *instance)
{
    enum instance_state state = state_of(instance);

    if (instance->gone || (state != INSTANCE_AVAILABLE && state != INSTANCE_FAILED))
        return 0;
    if (state == INSTANCE_FAILED && now_ms(instance->owner) < instance->retry_at_ms)
        return 0;
    return instance->pinned ? 3 : instance->restart ? 2 : !list_empty(&instance->waits) ? 1 : 0;
}

static uint64_t waiting_since(const struct instance *instance)
{
    return list_empty(&instance->waits)
                   ? UINT64_MAX
                   : list_entry(instance->waits.next, struct instance_wait, link)->since_ms;
}

static int compare_urgency(const void *a, const void *b)
{
    const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
    unsigned ux = urgency(x), uy = urgency(y);
    uint64_t wx = waiting_since(x), wy = waiting_since(y);

    if (ux != uy)
        return ux > uy ? -1 : 1;
    if (wx != wy)
        return wx < wy ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool something_loads(const struct supervisor *s)
{
    list_for_each (it, &s->instances) {
        if (state_of(list_entry(it, struct instance, link)) == INSTANCE_LOADING)
            return true;
    }
    return false;
}

static size_t load_candidates(const struct supervisor *s, struct instance **ret_candidates)
{
    size_t n = 0;

    list_for_each (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        if (urgency(instance) > 0)
            ret_candidates[n++] = instance;
    }
    if (n > 1)
        qsort(ret_candidates, n, sizeof *ret_candidates, compare_urgency);
    return n;
}

static void load_next(struct supervisor *s)
{
    size_t count = instance_count(s), candidates_count;
    struct budget_entry *entries;
    struct instance **candidates, **owners;

    if (count == 0 || something_loads(s))
        return;
    entries = calloc(count, sizeof *entries);
    candidates = calloc(count, sizeof *candidates);
    owners = calloc(count, sizeof *owners);
    if (entries != NULL && candidates != NULL && owners != NULL) {
        candidates_count = load_candidates(s, candidates);
        if (candidates_count > 0)
            look_at_memory(s);
        for (size_t i = 0; i < candidates_count; i++)
            if (load_or_make_room(candidates[i], entries, owners))
                break;
    }
    free(entries);
    free(candidates);
    free(owners);
}

/* --- what is due --- */

static void instance_free(struct instance *instance)
{
    list_del(&instance->link);
    free(instance->path);
    free(instance);
}

static void forget_gone(struct instance *instance)
{
    struct supervisor *s = instance->owner;

    refuse(instance, FAIL_NO_MODEL, "the model's file is gone");
    if (has_engine(instance)) {
        if (instance->busy == 0)
            engine_stop(instance, "its file is gone");
        return;
    }
    /* The name is still ours to lend; describe must not find it any more. */
    list_del(&instance->link);
    s->events->on_change(s->ctx, instance->name);
    instance_free(instance);
}

/* The oldest come first. Who is told and waits again stands at the end, with a new time. */
static void refuse_overdue(struct instance *instance, uint64_t now)
{
    static const struct msg_fail fail = {.code = FAIL_NO_MEMORY,
            .message = "waited ten minutes for this model: others use the memory, or its last "
                       "engine has not ended"};

    while (!list_empty(&instance->waits) && now - waiting_since(instance) >= SUPERVISOR_WAIT_MAX_MS)
        tell_first(&instance->waits, &fail);
}

static void check_waiters(struct instance *instance, uint64_t now)
{
    char text[NOTE_MAX + CATALOGUE_NAME_MAX + 64];

    if (list_empty(&instance->waits))
        return;
    if (instance_ready(instance)) {
        answer(instance, NULL);
    } else if (state_of(instance) == INSTANCE_FAILED &&
               instance->retry_at_ms > now + SUPERVISOR_PATIENCE_MS) {
        (void)snprintf(text, sizeof text, "the engine of %s failed, next try in %llu s: %s",
                instance->name, (unsigned long long)(instance->retry_at_ms - now + 999) / 1000,
                instance->note);
        refuse(instance, FAIL_ENGINE_DIED, text);
    } else if (state_of(instance) != INSTANCE_LOADING) {
        refuse_overdue(instance, now);
    }
}

static void check_health(struct instance *instance, uint64_t now)
{
    enum instance_state state = state_of(instance);

    if (state == INSTANCE_RESIDENT && instance->failures > 0 &&
            now - instance->state_since_ms >= SUPERVISOR_HEALTHY_MS) {
        instance->failures = 0;
        set_note(instance, "");
        changed(instance);
    }
    if (state == INSTANCE_FAILED && now >= instance->retry_at_ms && urgency(instance) == 0)
        instance_set_state(instance, INSTANCE_AVAILABLE);
    if (state == INSTANCE_RESIDENT && instance->stale && instance->busy == 0)
        engine_stop(instance, "its file has changed");
}

static void earlier(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms < *at_ms)
        *at_ms = other_ms;
}

static uint64_t next_due_ms(const struct instance *instance, uint64_t now)
{
    enum instance_state state = state_of(instance);
    uint64_t at_ms = UINT64_MAX;

    if (state == INSTANCE_FAILED)
        earlier(&at_ms,
                instance->retry_at_ms > now ? instance->retry_at_ms : now + SUPERVISOR_POLL_MS);
    if (state == INSTANCE_RESIDENT && instance->failures > 0)
        earlier(&at_ms, instance->state_since_ms + SUPERVISOR_HEALTHY_MS);
    if (has_engine(instance) || !list_empty(&instance->waits) || urgency(instance) > 0)
        earlier(&at_ms, now + SUPERVISOR_POLL_MS);
    if (state != INSTANCE_LOADING && !list_empty(&instance->waits))
        earlier(&at_ms, waiting_since(instance) + SUPERVISOR_WAIT_MAX_MS);
    return at_ms;
}

static void arm_timer(struct supervisor *s)
{
    uint64_t now = now_ms(s), at_ms = UINT64_MAX;

    list_for_each (it, &s->instances)
        earlier(&at_ms, next_due_ms(list_entry(it, struct instance, link), now));
    if (at_ms != UINT64_MAX)
        loop_timer_start(s->timer, at_ms > now ? at_ms - now : 0, 0);
}

static void drain_step(struct supervisor *s, uint64_t now)
{
    bool running = false, grace = now < s->grace_until_ms;

    list_for_each (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        refuse(instance, FAIL_DRAINING, "the node is shutting down");
        if (instance->busy == 0 || !grace)
            engine_stop(instance, "the node is shutting down");
        running |= has_engine(instance);
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
    refresh_memory(s);
    list_for_each_safe (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        if (instance->gone) {
            forget_gone(instance);
            continue;
        }
        check_waiters(instance, now);
        check_health(instance, now);
    }
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
    list_for_each (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        if (strcmp(instance->name, name) == 0)
            return instance;
    }
    return NULL;
}

static bool is_pinned(const struct supervisor *s, const char *name)
{
    for (const char *const *word = s->config.resident; word != NULL && *word != NULL; word++)
        if (strcmp(*word, name) == 0)
            return true;
    return false;
}

static struct instance *instance_create(struct supervisor *s, const char *name)
{
    size_t len = strlen(name);
    struct instance *instance = calloc(1, sizeof *instance + len + 1);

    if (instance == NULL)
        return NULL;
    memcpy(instance->name, name, len);
    instance->owner = s;
    instance->pinned = is_pinned(s, name);
    instance->state_since_ms = now_ms(s);
    sm_init(&instance->sm, &instance_sm, INSTANCE_AVAILABLE);
    list_init(&instance->waits);
    list_push_back(&s->instances, &instance->link);
    return instance;
}

static void take_facts(struct instance *instance, const struct catalogue_model *model)
{
    struct file_facts *file = &instance->file;

    *file = (struct file_facts){
            .context_trained = model->context,
            .capabilities = model->capabilities,
            .parameters = model->parameters,
            .modified_s = model->modified_ns / NS_PER_S,
    };
    (void)snprintf(file->architecture, sizeof file->architecture, "%s", model->architecture);
    (void)snprintf(file->quantisation, sizeof file->quantisation, "%s", model->quantisation);
    if (!has_engine(instance))
        expect_capabilities(instance);
}

void supervisor_model_put(struct supervisor *s, const struct catalogue_model *model)
{
    struct instance *instance = supervisor_find(s, model->name);
    char *path = strdup(model->path);

    if (instance == NULL && path != NULL)
        instance = instance_create(s, model->name);
    if (instance == NULL || path == NULL) {
        free(path);
        log_error("model not taken", LOG_S("model", model->name), LOG_S("reason", "out of memory"));
        return;
    }
    free(instance->path);
    instance->path = path;
    instance->file_bytes = model->file_bytes;
    take_facts(instance, model);
    instance->gone = false;
    instance->stale = has_engine(instance);
    changed(instance);
    kick(s);
}

void supervisor_model_gone(struct supervisor *s, const char *name)
{
    struct instance *instance = supervisor_find(s, name);

    if (instance == NULL)
        return;
    instance->gone = true;
    kick(s);
}

const char *supervisor_model_at(const struct supervisor *s, size_t index)
{
    list_for_each (it, &s->instances) {
        if (index-- == 0)
            return list_entry(it, struct instance, link)->name;
    }
    return NULL;
}

bool supervisor_describe(
        const struct supervisor *s, const char *name, struct msg_instance *ret_instance)
{
    const struct instance *instance = supervisor_find(s, name);

    if (instance == NULL)
        return false;
    *ret_instance = (struct msg_instance){
            .model = instance->name,
            .state = state_of(instance),
            .pinned = instance->pinned,
            .file_bytes = instance->file_bytes,
            .memory_bytes = has_engine(instance) ? instance->memory_bytes
                                                 : budget_model_bytes(instance->file_bytes),
            .context = instance->context > 0 ? instance->context : expected_context(instance),
            .slots = instance->slots,
            .busy = instance->busy,
            .prefill_tok_s = instance->prefill_tok_s,
            .decode_tok_s = instance->decode_tok_s,
            .restarts = instance->restarts,
            .engine = s->config.ops->name,
            .note = instance->note,
            .capabilities = instance->capabilities,
            .context_trained = instance->file.context_trained,
            .parameters = instance->file.parameters,
            .modified_s = instance->file.modified_s,
            .architecture = instance->file.architecture,
            .quantisation = instance->file.quantisation,
    };
    return true;
}

void supervisor_memory(struct supervisor *s, struct msg_state *state)
{
    refresh_memory(s);
    state->memory_total_bytes = s->memory.pool_total_bytes;
    state->memory_available_bytes = s->memory.pool_free_bytes;
    state->memory_limit_bytes = s->memory_limit_bytes;
    state->memory_used_bytes = used_bytes(s);
}

/* --- for the worker --- */

void instance_wait(struct instance *instance, struct instance_wait *wait)
{
    wait->since_ms = now_ms(instance->owner);
    list_push_back(&instance->waits, &wait->link);
    kick(instance->owner);
}

void instance_unwait(struct instance *instance, struct instance_wait *wait)
{
    list_del(&wait->link);
    kick(instance->owner);
}

bool instance_ready(const struct instance *instance)
{
    return state_of(instance) == INSTANCE_RESIDENT && !instance->stale && !instance->gone;
}

struct instance_backend *instance_acquire(struct instance *instance)
{
    assert(instance_ready(instance));
    instance->busy++;
    instance->used_at_ms = now_ms(instance->owner);
    changed(instance);
    return instance->backend;
}

void instance_release(struct instance *instance)
{
    assert(instance->busy > 0);
    instance->busy--;
    instance->used_at_ms = now_ms(instance->owner);
    changed(instance);
    kick(instance->owner);
}

static void measure(float *rate, uint32_t tokens, float ms)
{
    float sample;

    if (tokens < RATE_TOKENS_MIN || !isfinite(ms) || ms <= 0)
        return;
    sample = (float)tokens * 1000 / ms;
    *rate = *rate > 0 ? *rate + rate_weight * (sample - *rate) : sample;
}

void instance_measured(struct instance *instance, const struct msg_usage *usage)
{
    uint32_t cached = usage->cached_tokens;

    measure(&instance->prefill_tok_s,
            usage->prompt_tokens > cached ? usage->prompt_tokens - cached : 0, usage->prefill_ms);
    measure(&instance->decode_tok_s, usage->completion_tokens, usage->decode_ms);
}

/* --- life --- */

static int set_limit(struct supervisor *s, struct err *err)
{
    const struct supervisor_config *config = &s->config;
    uint64_t total = s->memory.pool_total_bytes, reserve = config->reserve_bytes;
    uint64_t percent = s->memory.pool == POOL_HOST ? BUDGET_LIMIT_PERCENT : SUPERVISOR_POOL_PERCENT;
    char kept[32], all[32];

    if (reserve == SUPERVISOR_RESERVE_DEFAULT)
        reserve = hardware_reserve_bytes(s->hardware);
    if (config->memory_limit_bytes == 0 && reserve >= total)
        return err_set(err, -EINVAL, "a reserve of %s leaves nothing of %s for models",
                text_format_size(reserve, kept, sizeof kept),
                text_format_size(total, all, sizeof all));
    s->memory_limit_bytes = config->memory_limit_bytes > 0 ? config->memory_limit_bytes
                                                           : (total - reserve) / 100 * percent;
    return 0;
}

static int open_memory(struct supervisor *s, struct err *err)
{
    int rc = hardware_create(&s->config.hardware, &s->hardware, err);

    if (rc < 0)
        return rc;
    look_at_memory(s);
    rc = set_limit(s, err);
    if (rc == 0)
        log_info("memory", LOG_S("pool", pool_kind_name(s->memory.pool)),
                LOG_U("devices", s->memory.devices.count),
                LOG_U("total_bytes", s->memory.pool_total_bytes),
                LOG_U("free_bytes", s->memory.pool_free_bytes),
                LOG_U("limit_bytes", s->memory_limit_bytes));
    return rc;
}

int supervisor_create(struct loop *loop, const struct supervisor_config *config,
        const struct supervisor_events *events, void *ctx, struct supervisor **ret_supervisor,
        struct err *err)
{
    struct supervisor *s = calloc(1, sizeof *s);
    int rc;

    if (s == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    s->loop = loop;
    s->config = *config;
    s->events = events;
    s->ctx = ctx;
    list_init(&s->instances);
    rc = open_memory(s, err);
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
    list_for_each_safe (it, &s->instances) {
        struct instance *instance = list_entry(it, struct instance, link);
        assert(!has_engine(instance));
        instance_free(instance);
    }
    loop_timer_destroy(s->timer);
    hardware_destroy(s->hardware);
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
