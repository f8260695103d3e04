#include "node/residency/instance.h"

#include "common/log.h"
#include "common/number.h"
#include "common/saturating.h"
#include "common/sm.h"
#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE_TOKENS_MIN = 8,
    BYTES_PER_MIB = 1 << 20,
    MS_PER_S = 1000,
    DEMAND_DECAY_S = 600,           /* requests count for so long in the rate of a model */
    LOAD_BYTES_PER_MS = 512 * 1024, /* of a load that was not measured yet */
};
static const float rate_weight = 0.25f; /* of a new sample in the decayed mean */

struct instance {
    const struct instance_common *common;
    struct sm sm; /* enum instance_state */
    uint64_t state_since_ms;
    struct list waits; /* struct instance_wait, oldest first */
    struct sources sources;
    struct instance_backend *backend;  /* NULL while no engine runs */
    struct backend_model model;        /* as the engine was started */
    uint64_t memory_bytes;             /* counted while an engine runs */
    uint64_t outgrown_bytes;           /* seen in a load that has not come to its end … */
    uint64_t outgrown_until_ms;        /* … counts until then; 0: none was */
    struct measurement_key key;        /* of what is loaded next */
    struct measurement_key loaded_key; /* of what runs */
    char start_key[2 * MEASUREMENT_KEY_BYTES + 1]; /* the same, as a text */
    uint32_t context, slots, busy;
    uint32_t capabilities; /* the engine's own while it is resident, else what is expected */
    /* What the last engine said that was started so: it is the best guess of the next one. */
    uint32_t told;
    struct measurement_key told_key;
    uint64_t used_at_ms;
    uint64_t failed_at_ms;   /* last */
    uint64_t doubt_until_ms; /* an engine that is not ours has let it go */
    uint64_t demand_at_ms;   /* when `demand_per_s` was brought up to date */
    double demand_per_s;     /* requests, decayed mean */
    uint32_t load_ms;        /* of the last load; 0: none was measured yet */
    enum instance_role role;
    const char *leaving;         /* why it takes no new run and ends when idle; NULL: it does not */
    bool renewed;                /* we ended it last, for another version of it */
    bool lent;                   /* its engine had loaded it already, for somebody else */
    bool unified;                /* the sequences of what runs share one cache */
    uint64_t prompt_cache_bytes; /* what runs may keep of earlier prompts */
    bool closed;                 /* takes no new run, as another one claims its memory */
    bool stale;                  /* what runs is not what there is now */
    bool restart;                /* died in service: load it again */
    bool short_of_memory;        /* told already */
    unsigned failures;           /* since it was last healthy */
    uint64_t retry_at_ms;        /* FAILED: when it may be tried again */
    uint32_t restarts;
    float prefill_tok_s, decode_tok_s;
    enum residency_reason noted; /* in the note; RESIDENCY_REASON_COUNT: none is */
    uint64_t noted_ms;
    char waits_for[INSTANCE_NOTE_MAX];
    char note[INSTANCE_NOTE_MAX];
    char last_words[INSTANCE_NOTE_MAX]; /* of its last engine that died; "" where it is healthy */
    char name[];
};

static const char *const state_names[] = {"available", "loading", "resident", "stopping", "failed"};
static const uint32_t state_next[INSTANCE_STATE_COUNT] = {
        [INSTANCE_AVAILABLE] = SM_BIT(INSTANCE_LOADING),
        [INSTANCE_LOADING] = SM_BIT(INSTANCE_RESIDENT) | SM_BIT(INSTANCE_STOPPING) |
                             SM_BIT(INSTANCE_FAILED) | SM_BIT(INSTANCE_AVAILABLE),
        [INSTANCE_RESIDENT] =
                SM_BIT(INSTANCE_STOPPING) | SM_BIT(INSTANCE_FAILED) | SM_BIT(INSTANCE_AVAILABLE),
        [INSTANCE_STOPPING] = SM_BIT(INSTANCE_AVAILABLE),
        [INSTANCE_FAILED] = SM_BIT(INSTANCE_LOADING) | SM_BIT(INSTANCE_AVAILABLE),
};
static const struct sm_def instance_sm = {.name = "instance",
        .state_names = state_names,
        .state_count = INSTANCE_STATE_COUNT,
        .next = state_next};

static uint64_t now_ms(const struct instance *instance)
{
    return env_now_ms(instance->common->host.env);
}

static void due(struct instance *instance)
{
    instance->common->on_due(instance->common->ctx);
}

static void changed(struct instance *instance)
{
    instance->common->on_change(instance->common->ctx, instance->name);
}

static enum instance_state state_of(const struct instance *instance)
{
    return (enum instance_state)instance->sm.state;
}

/* The diagram is in the header. */
static void instance_set_state(struct instance *instance, enum instance_state state)
{
    sm_set(&instance->sm, state);
    instance->state_since_ms = now_ms(instance);
    changed(instance);
    due(instance);
}

static void set_text(char text[INSTANCE_NOTE_MAX], const char *from)
{
    size_t len = text_utf8_cut(from, strlen(from), INSTANCE_NOTE_MAX - 1);

    memcpy(text, from, len);
    text[len] = '\0';
}

static void set_note(struct instance *instance, const char *text)
{
    set_text(instance->note, text);
}

/* Whatever was wrong is over. */
static void forget_failures(struct instance *instance)
{
    instance->failures = 0;
    instance->retry_at_ms = 0;
    instance->last_words[0] = '\0';
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

void instance_refuse(struct instance *instance, enum fail_code code, const char *message)
{
    const struct msg_fail fail = {.code = code, .message = message};

    answer(instance, &fail);
}

void instance_refuse_interactive(struct instance *instance, const char *message)
{
    const struct msg_fail fail = {.code = FAIL_NO_MEMORY, .message = message};
    struct list refused;

    list_init(&refused);
    list_for_each_safe (it, &instance->waits) {
        if (list_entry(it, struct instance_wait, link)->batch)
            continue;
        list_del(it);
        list_push_back(&refused, it);
    }
    while (!list_empty(&refused))
        tell_first(&refused, &fail);
}

/* UINT64_MAX: nobody waits. */
static uint64_t waiting_since_ms(const struct instance *instance)
{
    return list_empty(&instance->waits)
                   ? UINT64_MAX
                   : list_entry(instance->waits.next, struct instance_wait, link)->since_ms;
}

/* --- where it comes from --- */

static const struct source *current(const struct instance *instance)
{
    return sources_current(&instance->sources);
}

static bool in_doubt(const struct instance *instance, uint64_t now)
{
    return source_is_adopted(current(instance)) && now < instance->doubt_until_ms;
}

/* To load it is to take up what its engine has loaded for somebody else. An engine that does not
 * load when asked to has it, or will say that it has not. */
static bool is_there(const struct instance *instance, uint64_t now)
{
    const struct source *source = current(instance);

    return source_is_adopted(source) &&
           (!source->loads || (source->resident && !in_doubt(instance, now)));
}

/* Nothing loads it by itself: who let it go may want the memory. Nobody contests a new version. */
static bool is_left_alone(const struct instance *instance, uint64_t now)
{
    return in_doubt(instance, now) && !instance->renewed;
}

bool instance_is_foreign(const struct instance *instance)
{
    const struct source *loaded = instance->sources.loaded;

    if (loaded != NULL)
        return instance->lent || !loaded->here;
    return !current(instance)->here || is_there(instance, now_ms(instance));
}

/* By an engine that was started so; 0: there was none. */
static uint64_t measured_so(const struct instance_common *common, const struct measurement_key *key)
{
    struct measurement measurement;

    if (!measurements_find(common->measurements, key, &measurement))
        return 0;
    return measurement_bytes(&measurement, common->pool);
}

/* … as the next one is. */
static uint64_t measured_bytes(const struct instance *instance)
{
    return measured_so(instance->common, &instance->key);
}

/* 0 where it is not known, and of older engines: one for each token of a batch. */
static uint32_t rows_of_sequence(const struct instance *instance)
{
    struct measurement_key engine;
    uint32_t rows;

    measurement_key_of_engine(&instance->common->host, &engine);
    return measurements_find_rows(instance->common->measurements, &engine, &rows) ? rows : 0;
}

/* Room for earlier prompts is in the host's memory. */
static bool prompts_count(const struct instance *instance)
{
    return instance->common->pool != POOL_GPU;
}

/* What its owner gives it counts before it is loaded, too. */
static uint64_t set_prompts(
        const struct instance *instance, const struct model_settings *settings, uint64_t bytes)
{
    return settings->prompt_cache_set && prompts_count(instance) ? bytes : 0;
}

/* An engine that is not ours may be asked for more the next time, so that of
 * its measurements the most counts, and no less than was assumed. */
uint64_t instance_load_bytes(const struct instance *instance)
{
    const struct source *source = current(instance);
    uint64_t measured = measured_bytes(instance);

    if (instance_is_foreign(instance))
        return 0;
    if (source_is_adopted(source))
        return measured > source->load_bytes ? measured : source->load_bytes;
    if (measured == 0)
        measured = source_load_bytes(source, rows_of_sequence(instance));
    measured = saturating_sum(
            measured, set_prompts(instance, source->settings, source->prompt_cache_bytes));
    if (now_ms(instance) < instance->outgrown_until_ms)
        return number_greater(measured, instance->outgrown_bytes);
    return measured;
}

static uint64_t memory_bytes(const struct instance *instance)
{
    return instance->backend != NULL ? instance->memory_bytes : instance_load_bytes(instance);
}

/* Engines that reserve a row for each token of a batch are older than June 2026, and the prompt
 * cache is of October 2025: of those in between it is left open. */
static bool keeps_no_prompts(const struct instance *instance)
{
    struct measurement_key engine;
    uint32_t rows;

    measurement_key_of_engine(&instance->common->host, &engine);
    return measurements_find_rows(instance->common->measurements, &engine, &rows) && rows == 0;
}

static void set_wishes(const struct model_settings *settings, struct backend_model *model)
{
    model->extra_args = settings->extra_args;
    model->projector = settings->projector;
    model->draft = settings->draft;
    model->nice = settings->nice;
    if (!settings->cache_types_set)
        return;
    model->type_k = cache_type_name(settings->type_k);
    model->type_v = cache_type_name(settings->type_v);
}

static struct backend_model model_of(const struct instance *instance, const struct source *source)
{
    struct backend_model model = {
            .name = instance->name,
            .path = source->path,
            .context = source->context,
            .slots = source->slots,
            .context_trained = source->context_trained,
            .capabilities = source->capabilities,
            .token_bytes = source_token_bytes(source, source->context, source->slots),
            .keeps_no_prompts = keeps_no_prompts(instance),
    };

    if (source->settings != NULL)
        set_wishes(source->settings, &model);
    return model;
}

uint64_t instance_load_bytes_with(const struct instance *instance,
        const struct catalogue_model *model, const struct model_settings *settings,
        const struct footprint *footprint)
{
    struct backend_model start = {.context = footprint->context, .slots = settings->slots};
    uint64_t prompts = set_prompts(instance, settings, footprint->prompt_cache_bytes);
    struct measurement_key key;
    uint64_t measured;

    set_wishes(settings, &start);
    measurement_key_of_start(&instance->common->host, &start, &model->fingerprint, &key);
    measured = measured_so(instance->common, &key);
    if (measured == 0)
        measured =
                footprint_bytes(&model->shape, footprint_run(model, settings, footprint->context),
                        rows_of_sequence(instance), footprint->memory.total_bytes);
    return saturating_sum(measured, prompts);
}

uint32_t instance_context_within(const struct instance *instance, uint64_t bytes)
{
    return source_context_within(current(instance), rows_of_sequence(instance), bytes);
}

static bool was_told(const struct instance *instance)
{
    return instance->told != 0 && !source_is_adopted(current(instance)) &&
           memcmp(instance->told_key.bytes, instance->key.bytes, sizeof instance->key.bytes) == 0;
}

/* An engine of the same file, words and settings will say the same again. */
static uint32_t as_told(uint32_t told)
{
    if (told & CAPABILITY_EXACT)
        told |= CAPABILITY_TEMPLATE | CAPABILITY_SENSES;
    return told & ~(uint32_t)CAPABILITY_EXACT;
}

static void expect_capabilities(struct instance *instance)
{
    const struct source *source = current(instance);
    struct backend_model model = model_of(instance, source);

    instance->capabilities = was_told(instance)
                                     ? as_told(instance->told)
                                     : source->ops->expect(&instance->common->host, &model);
}

static void set_key(struct instance *instance)
{
    const struct source *source = current(instance);
    struct backend_model model = model_of(instance, source);

    if (source_is_adopted(source))
        measurement_key_of_adopted(
                source->place.url, source->text, source->version, &instance->key);
    else
        measurement_key_of_start(
                &instance->common->host, &model, &source->fingerprint, &instance->key);
}

static void keep_measurement(struct instance *instance, const struct measurement *measurement)
{
    const struct instance_common *common = instance->common;

    if (measurements_put(common->measurements, &instance->loaded_key, measurement))
        common->on_measured(common->ctx);
}

/* An engine that is not ours says one number, which is of the pool. */
static void take_seen(struct instance *instance, uint64_t bytes)
{
    const struct measurement measurement = {.device_bytes = bytes};

    instance->memory_bytes = bytes;
    if (!instance->lent && bytes > measured_bytes(instance))
        keep_measurement(instance, &measurement);
}

uint64_t instance_outgrown_bytes(const struct instance *instance)
{
    return saturating_sum(instance->memory_bytes, INSTANCE_PROGRAM_BYTES);
}

void instance_outgrow(struct instance *instance, uint64_t bytes)
{
    log_warn("model takes more than it counts", LOG_S("model", instance->name),
            LOG_U("memory_bytes", bytes), LOG_U("expected_bytes", instance->memory_bytes));
    instance->memory_bytes = instance->outgrown_bytes = bytes;
    instance->outgrown_until_ms = now_ms(instance) + INSTANCE_OUTGROWN_MS;
    changed(instance);
}

/* The engine tells more of what runs on it. */
static void take_news(struct instance *instance, const struct source *source)
{
    if (source->here && source->memory_bytes > 0)
        take_seen(instance, source->memory_bytes);
    if (state_of(instance) == INSTANCE_RESIDENT && source->context > 0)
        instance->context = source->context;
}

static void take_up(struct instance *instance)
{
    const struct source *source = current(instance), *loaded = instance->sources.loaded;

    set_key(instance);
    instance->stale = loaded != NULL && !source_is_same(loaded, source);
    if (loaded == NULL)
        expect_capabilities(instance);
    else if (!instance->stale && source->resident)
        take_news(instance, source);
    changed(instance);
    due(instance);
}

void instance_put(struct instance *instance, struct source *source)
{
    if (current(instance) != NULL && !source_is_same(current(instance), source)) {
        forget_failures(instance); /* it is another one now */
        instance->told = 0;
        instance->doubt_until_ms = 0;
        instance->outgrown_until_ms = 0;
    }
    sources_put(&instance->sources, source);
    take_up(instance);
}

void instance_lose(struct instance *instance, bool adopted)
{
    sources_lose(&instance->sources, adopted);
    take_up(instance);
}

/* --- its engine --- */

static void engine_forget(struct instance *instance)
{
    instance->sources.loaded->ops->destroy(instance->backend);
    if (!instance_is_foreign(instance))
        instance->common->on_released(instance->common->ctx, instance->memory_bytes);
    sources_unload(&instance->sources);
    instance->backend = NULL;
    instance->memory_bytes = 0;
    instance->closed = false;
    instance->stale = false;
    instance->leaving = NULL;
    instance->context = instance->slots = 0;
    instance->unified = false;
    instance->prompt_cache_bytes = 0;
    expect_capabilities(instance);
}

static uint64_t backoff_ms(const struct instance *instance)
{
    uint64_t ms = INSTANCE_BACKOFF_MIN_MS;

    for (unsigned i = 0; i < instance->failures && ms < INSTANCE_BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > INSTANCE_BACKOFF_MAX_MS)
        ms = INSTANCE_BACKOFF_MAX_MS;
    return ms - ms / 10 + env_random_u64(instance->common->host.env) % (ms / 5);
}

/* Returns how long it is not tried again. */
static uint64_t count_failure(struct instance *instance)
{
    uint64_t delay_ms = backoff_ms(instance);

    instance->failures++;
    instance->failed_at_ms = now_ms(instance);
    instance->retry_at_ms = instance->failed_at_ms + delay_ms;
    return delay_ms;
}

/* The engine ended by itself, or did not start or load. Runs have been told already; those who wait
 * for a load that failed are told here, those who came after a death wait for the restart. */
static void engine_failed(struct instance *instance, const char *reason)
{
    uint64_t delay_ms = count_failure(instance);
    char text[INSTANCE_NOTE_MAX + CATALOGUE_NAME_MAX + 64];

    instance->restart = state_of(instance) == INSTANCE_RESIDENT;
    set_note(instance, reason);
    set_text(instance->last_words, reason);
    log_warn("engine died", LOG_S("model", instance->name), LOG_S("while", sm_name(&instance->sm)),
            LOG_S("reason", reason), LOG_U("retry_ms", delay_ms));
    instance_set_state(instance, INSTANCE_FAILED);
    if (instance->restart)
        return;
    (void)snprintf(text, sizeof text, "the engine of %s did not %s: %s", instance->name,
            source_is_adopted(current(instance)) ? "load it" : "start", instance->note);
    instance_refuse(instance, FAIL_ENGINE_DIED, text);
}

static void on_engine_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct instance *instance = ctx;
    char note[INSTANCE_NOTE_MAX + 32] = "";

    if (state_of(instance) != INSTANCE_LOADING)
        return;
    instance->slots = slots;
    instance->context = context;
    instance->capabilities = instance->told = capabilities;
    instance->told_key = instance->loaded_key;
    instance->restart = false;
    instance->doubt_until_ms = 0;
    instance->outgrown_until_ms = 0;
    instance->used_at_ms = now_ms(instance);
    if (!instance->lent)
        instance->load_ms = (uint32_t)(instance->used_at_ms - instance->state_since_ms);
    if (instance->last_words[0] != '\0')
        (void)snprintf(note, sizeof note, "restarted after: %s", instance->last_words);
    set_note(instance, note);
    log_info("model resident", LOG_S("model", instance->name),
            LOG_U("load_ms", now_ms(instance) - instance->state_since_ms), LOG_U("slots", slots),
            LOG_U("context", context));
    instance_set_state(instance, INSTANCE_RESIDENT);
}

/* How many rows it reserves tells nothing of other models where these make vectors or have another
 * draft for them: then there are more. */
static void keep_rows(struct instance *instance, uint32_t output_rows)
{
    const struct instance_common *common = instance->common;
    const struct source *loaded = instance->sources.loaded;
    struct measurement_key engine;

    if (loaded->run.batch_tokens > 0 || instance->model.draft != NULL || instance->slots == 0)
        return;
    measurement_key_of_engine(&common->host, &engine);
    if (measurements_put_rows(common->measurements, &engine,
                (output_rows + instance->slots - 1) / instance->slots))
        common->on_measured(common->ctx);
}

/* It counts from now on, and for the next load. */
static void on_engine_measured(void *ctx, const struct backend_measured *measured)
{
    struct instance *instance = ctx;
    const struct measurement measurement = {
            .device_bytes = measured->device_bytes, .host_bytes = measured->host_bytes};
    uint64_t bytes = measurement_bytes(&measurement, instance->common->pool);

    if (state_of(instance) != INSTANCE_RESIDENT)
        return;
    log_info("model measured", LOG_S("model", instance->name), LOG_U("memory_bytes", bytes),
            LOG_U("expected_bytes", instance->memory_bytes));
    keep_measurement(instance, &measurement);
    keep_rows(instance, measured->output_rows);
    instance->unified = measured->unified;
    instance->prompt_cache_bytes =
            number_greater(instance->prompt_cache_bytes, measured->prompt_cache_bytes);
    if (bytes > 0)
        instance->memory_bytes =
                saturating_sum(bytes, prompts_count(instance) ? instance->prompt_cache_bytes : 0);
    changed(instance);
    due(instance);
}

/* An engine that is not ours decides what it keeps, and what it had loaded for somebody else may be
 * gone before we have looked. */
static bool is_let_go(const struct instance *instance)
{
    const struct source *loaded = instance->sources.loaded;

    return source_is_adopted(loaded) &&
           (state_of(instance) == INSTANCE_RESIDENT || (instance->lent && loaded->loads));
}

static void on_engine_exit(void *ctx, bool wanted, const char *reason)
{
    struct instance *instance = ctx;
    char words[INSTANCE_NOTE_MAX]; /* `reason` ends with the engine */
    bool over = state_of(instance) == INSTANCE_STOPPING || instance->leaving != NULL ||
                is_let_go(instance);

    (void)wanted; /* our own state says it better */
    (void)snprintf(words, sizeof words, "%s", reason);
    instance->renewed = state_of(instance) == INSTANCE_STOPPING && instance->stale;
    if (over && source_is_adopted(instance->sources.loaded))
        instance->doubt_until_ms = now_ms(instance) + INSTANCE_DOUBT_MS;
    engine_forget(instance);
    if (!over) {
        engine_failed(instance, words);
        return;
    }
    log_info("engine stopped", LOG_S("model", instance->name), LOG_S("reason", words));
    instance_set_state(instance, INSTANCE_AVAILABLE);
}

void instance_stop(struct instance *instance, const char *why)
{
    if (state_of(instance) != INSTANCE_LOADING && state_of(instance) != INSTANCE_RESIDENT)
        return;
    log_info("model stopping", LOG_S("model", instance->name), LOG_S("reason", why));
    /* A load that others break off may have taken more than was known: the next is not at once. */
    if (state_of(instance) == INSTANCE_LOADING && instance->leaving == NULL)
        (void)count_failure(instance);
    instance_set_state(instance, INSTANCE_STOPPING);
    instance->sources.loaded->ops->stop(instance->backend);
}

void instance_leave(struct instance *instance, const char *why)
{
    instance->restart = false;
    if (state_of(instance) != INSTANCE_LOADING && state_of(instance) != INSTANCE_RESIDENT)
        return;
    instance->leaving = why;
    due(instance);
}

enum instance_role instance_role(const struct instance *instance)
{
    return instance->role;
}

static void inherit_waits(struct instance *heir, struct instance *instance)
{
    list_for_each_safe (it, &instance->waits) {
        list_del(it);
        list_entry(it, struct instance_wait, link)->instance = heir;
        list_push_back(&heir->waits, it);
    }
}

void instance_succeed(struct instance *instance, struct instance *heir)
{
    inherit_waits(heir, instance);
    heir->demand_per_s = instance->demand_per_s;
    heir->demand_at_ms = instance->demand_at_ms;
    heir->restarts = instance->restarts;
    heir->role = INSTANCE_SERVING;
    instance->role = INSTANCE_RETIRED;
    instance_leave(instance, "another engine has taken its place");
    changed(heir);
    due(heir);
}

static int engine_create(struct instance *instance, struct err *err)
{
    static const struct backend_events events = {.on_ready = on_engine_ready,
            .on_exit = on_engine_exit,
            .on_measured = on_engine_measured};
    const struct backend_host *host = &instance->common->host;
    const struct source *source = instance->sources.loaded;
    struct adopted_model place = source->place;

    place.lent = instance->lent;
    instance->model = model_of(instance, source);
    (void)sodium_bin2hex(instance->start_key, sizeof instance->start_key,
            instance->loaded_key.bytes, sizeof instance->loaded_key.bytes);
    instance->model.start_key = instance->start_key;
    instance->model.prompt_cache_bytes = instance->prompt_cache_bytes;
    instance->model.checkpoints =
            footprint_checkpoints(source->checkpoint_bytes, instance->prompt_cache_bytes);
    instance->model.adopted = source_is_adopted(source) ? &place : NULL;
    instance->backend = source->ops->create(host, &instance->model, &events, instance, err);
    instance->model.adopted = NULL;
    return instance->backend == NULL ? -ENOMEM : source->ops->start(instance->backend, err);
}

static void forget_wait(struct instance *instance)
{
    if (instance->noted != RESIDENCY_REASON_COUNT && instance->failures == 0)
        set_note(instance, "");
    instance->noted = RESIDENCY_REASON_COUNT;
    instance->waits_for[0] = '\0';
}

/* Whole MiB, as engines take it. */
static uint64_t choose_prompts(const struct instance *instance, uint64_t spare_bytes)
{
    const struct source *source = current(instance);
    uint64_t most = source->prompt_cache_bytes;

    if (source->settings->prompt_cache_set || !prompts_count(instance))
        return most;
    most = number_lesser(most, spare_bytes / INSTANCE_PROMPTS_DIVISOR);
    return most - most % BYTES_PER_MIB;
}

/* What is set counts already. */
static void take_prompts(struct instance *instance, uint64_t spare_bytes)
{
    bool set = current(instance)->settings->prompt_cache_set;

    instance->prompt_cache_bytes = choose_prompts(instance, spare_bytes);
    if (!set && prompts_count(instance))
        instance->memory_bytes =
                saturating_sum(instance->memory_bytes, instance->prompt_cache_bytes);
}

void instance_load(struct instance *instance, uint64_t spare_bytes)
{
    const struct source *source = current(instance);
    struct err err = {.text = ""};

    if (instance->failures > 0)
        instance->restarts++;
    instance->short_of_memory = false;
    forget_wait(instance);
    instance->lent = is_there(instance, now_ms(instance));
    instance->memory_bytes =
            instance->lent ? source_taken_bytes(source) : instance_load_bytes(instance);
    if (!source_is_adopted(source))
        take_prompts(instance, spare_bytes);
    instance->loaded_key = instance->key;
    sources_load(&instance->sources);
    instance_set_state(instance, INSTANCE_LOADING);
    log_info(instance->lent ? "model taken up" : "model loading", LOG_S("model", instance->name),
            LOG_S("engine", source->ops->name), LOG_S("path", source->path),
            LOG_S("url", source->place.url), LOG_U("memory_bytes", instance->memory_bytes));
    if (engine_create(instance, &err) < 0) {
        instance->memory_bytes = 0; /* nothing was taken */
        engine_forget(instance);
        engine_failed(instance, err.text);
    }
}

/* --- what is due --- */

/* The oldest come first. Who is told and waits again stands at the end, with a new time. */
static void refuse_overdue(struct instance *instance, uint64_t now)
{
    static const struct msg_fail fail = {.code = FAIL_NO_MEMORY,
            .message = "waited ten minutes for this model: others use the memory, or its last "
                       "engine has not ended"};

    while (!list_empty(&instance->waits) &&
            now - waiting_since_ms(instance) >= INSTANCE_WAIT_MAX_MS)
        tell_first(&instance->waits, &fail);
}

static void check_waiters(struct instance *instance, uint64_t now)
{
    char text[INSTANCE_NOTE_MAX + CATALOGUE_NAME_MAX + 64];

    if (list_empty(&instance->waits))
        return;
    if (instance_ready(instance)) {
        answer(instance, NULL);
    } else if (state_of(instance) == INSTANCE_FAILED &&
               instance->retry_at_ms > now + INSTANCE_PATIENCE_MS) {
        (void)snprintf(text, sizeof text, "the engine of %s failed, next try in %llu s: %s",
                instance->name, (unsigned long long)(instance->retry_at_ms - now + 999) / 1000,
                instance->note);
        instance_refuse(instance, FAIL_ENGINE_DIED, text);
    } else if (state_of(instance) != INSTANCE_LOADING) {
        refuse_overdue(instance, now);
    }
}

static void check_health(struct instance *instance, uint64_t now)
{
    enum instance_state state = state_of(instance);

    if (state == INSTANCE_RESIDENT && instance->failures > 0 &&
            now - instance->state_since_ms >= INSTANCE_HEALTHY_MS) {
        forget_failures(instance);
        set_note(instance, "");
        changed(instance);
    }
    if (state == INSTANCE_FAILED && now >= instance->retry_at_ms && !instance_is_wanted(instance))
        instance_set_state(instance, INSTANCE_AVAILABLE);
    if (instance->busy > 0)
        return;
    if (instance->leaving != NULL)
        instance_stop(instance, instance->leaving);
    else if (state == INSTANCE_RESIDENT && instance->stale)
        instance_stop(instance, "it has changed");
}

static void load_foreign(struct instance *instance, uint64_t now)
{
    enum instance_state state = state_of(instance);
    bool may = state == INSTANCE_AVAILABLE ||
               (state == INSTANCE_FAILED && now >= instance->retry_at_ms);

    if (may && instance_is_foreign(instance) && instance_is_wanted(instance))
        instance_load(instance, 0);
}

void instance_look(struct instance *instance, uint64_t now)
{
    check_waiters(instance, now);
    check_health(instance, now);
    load_foreign(instance, now);
}

uint64_t instance_due_ms(const struct instance *instance, uint64_t now)
{
    enum instance_state state = state_of(instance);
    uint64_t at_ms = UINT64_MAX;

    if (state == INSTANCE_FAILED && instance->retry_at_ms > now)
        at_ms = number_lesser(at_ms, instance->retry_at_ms);
    if (state == INSTANCE_AVAILABLE && in_doubt(instance, now))
        at_ms = number_lesser(at_ms, instance->doubt_until_ms);
    if (state == INSTANCE_RESIDENT && instance->failures > 0 && !instance->sources.gone)
        at_ms = number_lesser(at_ms, instance->state_since_ms + INSTANCE_HEALTHY_MS);
    if (state != INSTANCE_LOADING && !list_empty(&instance->waits))
        at_ms = number_lesser(at_ms, waiting_since_ms(instance) + INSTANCE_WAIT_MAX_MS);
    return at_ms;
}

static void note_decision(
        struct instance *instance, enum residency_reason reason, const char *explanation)
{
    instance->noted = reason;
    instance->noted_ms = now_ms(instance);
    if (strcmp(instance->note, explanation) == 0)
        return;
    set_note(instance, explanation);
    changed(instance);
}

void instance_refuse_memory(
        struct instance *instance, enum residency_reason reason, const char *message)
{
    if (!instance->short_of_memory)
        log_warn("model refused", LOG_S("model", instance->name), LOG_S("reason", message));
    instance->short_of_memory = true;
    if (instance->noted != reason || now_ms(instance) - instance->noted_ms >= INSTANCE_RENEW_MS)
        note_decision(instance, reason, message);
    instance_refuse(instance, FAIL_NO_MEMORY, message);
}

void instance_note_wait(
        struct instance *instance, enum residency_reason reason, const char *explanation)
{
    if (list_empty(&instance->waits))
        return;
    (void)snprintf(instance->waits_for, sizeof instance->waits_for, "%s", explanation);
    if (instance->noted != reason)
        note_decision(instance, reason, explanation);
}

const char *instance_waits_for(const struct instance *instance)
{
    if (list_empty(&instance->waits))
        return "";
    if (state_of(instance) == INSTANCE_LOADING)
        return "it loads";
    if (instance->leaving != NULL)
        return instance->busy > 0 ? "its engine finishes its requests" : "its engine ends";
    return instance->waits_for;
}

void instance_close(struct instance *instance, bool closed)
{
    bool opens = instance->closed && !closed;

    instance->closed = closed;
    if (opens && instance_ready(instance))
        answer(instance, NULL);
}

/* --- what there is to know of it --- */

static enum residency_state residency_of(enum instance_state state)
{
    switch (state) {
    case INSTANCE_LOADING:
        return RESIDENCY_LOADING;
    case INSTANCE_RESIDENT:
        return RESIDENCY_RESIDENT;
    case INSTANCE_STOPPING:
        return RESIDENCY_STOPPING;
    default:
        return RESIDENCY_ABSENT;
    }
}

static double demand_at(const struct instance *instance, uint64_t now)
{
    double age_s = (double)(now - instance->demand_at_ms) / MS_PER_S;

    return instance->demand_per_s * exp(-age_s / DEMAND_DECAY_S);
}

static void count_demand(struct instance *instance)
{
    uint64_t now = now_ms(instance);

    instance->demand_per_s = demand_at(instance, now) + 1.0 / DEMAND_DECAY_S;
    instance->demand_at_ms = now;
}

static unsigned wait_count(const struct instance *instance)
{
    unsigned n = 0;

    list_for_each (it, &instance->waits)
        n++;
    return n;
}

static unsigned interactive_count(const struct instance *instance)
{
    unsigned n = 0;

    list_for_each (it, &instance->waits)
        n += !list_entry(it, struct instance_wait, link)->batch;
    return n;
}

static uint32_t expected_load_ms(const struct instance *instance)
{
    uint64_t ms = current(instance)->file_bytes / LOAD_BYTES_PER_MS;

    if (instance->load_ms > 0)
        return instance->load_ms;
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* Pins and restarts count. */
static bool is_kept(const struct instance *instance, uint64_t now)
{
    return !is_left_alone(instance, now) && instance->leaving == NULL &&
           instance->role == INSTANCE_SERVING;
}

void instance_snapshot(const struct instance *instance, struct residency_model *ret_model)
{
    uint64_t now = now_ms(instance);
    bool here = !instance->sources.gone;
    bool kept = here && is_kept(instance, now);
    unsigned waiting = here ? wait_count(instance) : 0;

    *ret_model = (struct residency_model){.name = instance->name,
            .memory_bytes = memory_bytes(instance),
            .taken_bytes = memory_bytes(instance),
            .state = residency_of(state_of(instance)),
            .foreign = instance_is_foreign(instance),
            .pinned = kept && current(instance)->pin,
            .busy = instance->busy > 0,
            .closed = instance->closed || instance->leaving != NULL,
            .restart = kept && instance->restart,
            .waiting = waiting,
            .interactive = here ? interactive_count(instance) : 0,
            .waiting_since_ms = waiting > 0 ? waiting_since_ms(instance) : 0,
            .loaded_at_ms = instance->state_since_ms,
            .used_at_ms = instance->used_at_ms,
            .load_ms = expected_load_ms(instance),
            .rate_per_s = (float)demand_at(instance, now),
            .failures = instance->failures,
            .failed_at_ms = instance->failed_at_ms,
            .retry_at_ms = instance->failures > 0 ? instance->retry_at_ms : 0};
}

bool instance_is_wanted(const struct instance *instance)
{
    uint64_t now = now_ms(instance);

    if (instance->sources.gone)
        return false;
    if (!list_empty(&instance->waits))
        return true;
    return is_kept(instance, now) &&
           (current(instance)->pin || instance->restart || is_there(instance, now));
}

void instance_pin(struct instance *instance, bool pin)
{
    struct source *engine = instance->sources.engine;

    if (engine == NULL || engine->pin == pin)
        return;
    engine->pin = pin;
    changed(instance);
    due(instance);
}

const char *instance_name(const struct instance *instance)
{
    return instance->name;
}

enum instance_state instance_state(const struct instance *instance)
{
    return state_of(instance);
}

const struct model_settings *instance_settings(const struct instance *instance)
{
    return current(instance)->settings;
}

bool instance_is_for(const struct instance *instance, const struct source *source)
{
    return source_is_same(current(instance), source);
}

bool instance_is_current(const struct instance *instance)
{
    return instance->backend != NULL && !instance->stale && instance->leaving == NULL &&
           state_of(instance) != INSTANCE_STOPPING;
}

bool instance_is_gone(const struct instance *instance)
{
    return instance->sources.gone;
}

bool instance_is_busy(const struct instance *instance)
{
    return instance->busy > 0;
}

bool instance_is_leaving(const struct instance *instance)
{
    return instance->leaving != NULL || state_of(instance) == INSTANCE_STOPPING;
}

bool instance_has_engine(const struct instance *instance)
{
    return instance->backend != NULL;
}

int64_t instance_pid(const struct instance *instance)
{
    return instance->backend == NULL ? 0 : instance->sources.loaded->ops->pid(instance->backend);
}

uint64_t instance_memory_bytes(const struct instance *instance)
{
    return instance->memory_bytes;
}

void instance_describe(const struct instance *instance, struct msg_instance *ret_instance)
{
    const struct source *source = current(instance);
    const struct source *running =
            instance->sources.loaded != NULL ? instance->sources.loaded : source;

    *ret_instance = (struct msg_instance){
            .model = instance->name,
            .state = state_of(instance),
            .pinned = source->pin,
            .file_bytes = source->file_bytes,
            .memory_bytes = memory_bytes(instance),
            .context = instance->context > 0 ? instance->context : source->context,
            .slots = instance->slots,
            .busy = instance->busy,
            .prefill_tok_s = instance->prefill_tok_s,
            .decode_tok_s = instance->decode_tok_s,
            .load_ms = instance->load_ms,
            .foreign = instance_is_foreign(instance),
            .restarts = instance->restarts,
            .engine = running->ops->name,
            .note = instance->note,
            .capabilities = instance->capabilities,
            .context_trained = source->context_trained,
            .parameters = source->parameters,
            .modified_s = source->modified_s,
            .architecture = source->architecture,
            .quantisation = source->quantisation,
            .measured_bytes = measured_bytes(instance),
            .cache_tokens = source_cache_tokens(running,
                    instance->context > 0 ? instance->context : running->context,
                    instance->slots > 0 ? instance->slots : running->slots,
                    instance->prompt_cache_bytes),
            .cache_swaps = instance->unified && instance->prompt_cache_bytes > 0,
    };
    source_describe(source, ret_instance);
    ret_instance->output_rows = source_run(source, rows_of_sequence(instance)).output_rows;
}

/* --- for the worker --- */

void instance_wait(struct instance *instance, struct instance_wait *wait)
{
    wait->instance = instance;
    wait->since_ms = now_ms(instance);
    list_push_back(&instance->waits, &wait->link);
    due(instance);
}

void instance_unwait(struct instance_wait *wait)
{
    list_del(&wait->link);
    due(wait->instance);
}

bool instance_ready(const struct instance *instance)
{
    return state_of(instance) == INSTANCE_RESIDENT && !instance->stale && !instance->sources.gone &&
           !instance->closed && instance->leaving == NULL && instance->role == INSTANCE_SERVING;
}

uint32_t instance_capabilities(const struct instance *instance)
{
    return instance->capabilities;
}

struct instance_backend *instance_acquire(struct instance *instance)
{
    assert(instance_ready(instance));
    instance->busy++;
    instance->used_at_ms = now_ms(instance);
    count_demand(instance);
    changed(instance);
    return instance->backend;
}

const struct backend_ops *instance_ops(const struct instance *instance)
{
    return instance->sources.loaded->ops;
}

void instance_release(struct instance *instance)
{
    assert(instance->busy > 0);
    instance->busy--;
    instance->used_at_ms = now_ms(instance);
    changed(instance);
    due(instance);
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

struct instance *instance_create(
        const struct instance_common *common, const char *name, enum instance_role role)
{
    size_t len = strlen(name);
    struct instance *instance = calloc(1, sizeof *instance + len + 1);

    if (instance == NULL)
        return NULL;
    memcpy(instance->name, name, len);
    instance->common = common;
    instance->role = role;
    instance->noted = RESIDENCY_REASON_COUNT;
    instance->state_since_ms = now_ms(instance);
    sm_init(&instance->sm, &instance_sm, INSTANCE_AVAILABLE);
    list_init(&instance->waits);
    return instance;
}

void instance_destroy(struct instance *instance)
{
    if (instance == NULL)
        return;
    assert(instance->backend == NULL && list_empty(&instance->waits));
    sources_fini(&instance->sources);
    free(instance);
}
