#include "node/backends/found/adopted.h"

#include "common/sm.h"
#include "node/backends/engine_ask.h"
#include "node/backends/engine_runs.h"
#include "node/backends/found/found_look.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEALTH_INTERVAL_MS = 5000,         /* where the host says nothing */
    UNLOAD_TIMEOUT_MS = 10000,         /* likewise */
    MISSES_MAX = 12,                   /* looks in a row that nobody answered … */
    REFUSAL_WEIGHT = 4,                /* … of which one where nobody listens counts as so many */
    ABSENCES_MAX = 2,                  /* looks in a row that did not find the model */
    WISH_MAX = FOUND_ID_MAX * 6 + 256, /* bytes of a wish: each of an id's may be escaped */
    RENEW_MS = ADOPTED_LEASE_S * 1000 / 3,
};

/*            start()            resident
 *     IDLE ──────────▶ LOADING ──────────▶ READY
 *      ▲                  │ stop(), refusal   │ stop(), absent, silent
 *      │ told             ▼                   │
 *      └─────────────── LEAVING ◀─────────────┘
 */
enum state { STATE_IDLE, STATE_LOADING, STATE_READY, STATE_LEAVING, STATE_COUNT };

static const char *const state_names[STATE_COUNT] = {"idle", "loading", "ready", "leaving"};

static const uint32_t state_next[STATE_COUNT] = {
        [STATE_IDLE] = SM_BIT(STATE_LOADING),
        [STATE_LOADING] = SM_BIT(STATE_READY) | SM_BIT(STATE_LEAVING),
        [STATE_READY] = SM_BIT(STATE_LEAVING),
        [STATE_LEAVING] = SM_BIT(STATE_IDLE),
};

static const struct sm_def state_def = {"adopted", state_names, STATE_COUNT, state_next};

struct instance_backend {
    struct backend_host host;
    const struct backend_events *events;
    void *ctx;
    const struct adopted_ways *ways; /* NULL: nothing is loaded or unloaded */
    const struct engine_manner *manner;
    struct engine_address address;
    char id[FOUND_ID_MAX + 1], url[ENGINE_URL_MAX + 1], base[ENGINE_BASE_MAX + 1];
    char *authorization;
    uint32_t slots, context, capabilities; /* as wished; 0: what the engine tells */
    struct sm sm;
    struct engine_target target; /* of the runs */
    struct engine_runs runs;

    struct loop_timer *look_timer;  /* when to look next */
    struct loop_timer *leave_timer; /* ends the runs from the loop */
    struct engine_ask *ask;         /* the wish, or NULL */
    struct found_look *look;        /* … or NULL */
    uint64_t renew_at_ms;
    unsigned misses, absences;
    bool wanted; /* the end was asked for */
    char reason[ERR_TEXT_MAX];
};

static uint32_t number_or(uint32_t number, uint32_t def)
{
    return number ? number : def;
}

/* --- leaving --- */

static void finish(struct instance_backend *instance)
{
    sm_set(&instance->sm, STATE_IDLE);
    instance->runs.ending = NULL;
    instance->events->on_exit(instance->ctx, instance->wanted, instance->reason);
}

static int send_wish(struct instance_backend *instance, bool load, uint32_t timeout_ms,
        engine_ask_fn fn, struct err *err)
{
    struct adopted_wish wish;
    struct engine_question question = {.timeout_ms = timeout_ms};
    int r;

    buf_init(&wish.json, WISH_MAX);
    r = load ? instance->ways->load(instance->id, instance->capabilities, &wish)
             : instance->ways->unload(instance->id, &wish);
    if (r == 0)
        r = buf_terminate(&wish.json);
    if (r < 0) {
        err_set(err, r, "no memory to ask %s for %s", instance->manner->label, instance->id);
    } else {
        question.path = wish.path;
        question.json = buf_at(&wish.json);
        r = engine_ask_start(instance->host.http, &instance->address, &question, fn, instance,
                &instance->ask, err);
    }
    buf_fini(&wish.json);
    return r;
}

static void say_not_unloaded(struct instance_backend *instance, const struct err *err)
{
    snprintf(instance->reason, sizeof(instance->reason), "stopped; %s did not unload it: %.300s",
            instance->manner->label, err->text);
}

static void on_unloaded(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct instance_backend *instance = ctx;

    (void)text;
    (void)len;
    instance->ask = NULL;
    if (result < 0)
        say_not_unloaded(instance, err);
    finish(instance);
}

static void on_leave(void *ctx)
{
    struct instance_backend *instance = ctx;
    uint32_t timeout_ms = number_or(instance->host.stop_timeout_ms, UNLOAD_TIMEOUT_MS);
    struct err err;

    engine_runs_end(&instance->runs);
    if (instance->wanted && instance->ways) {
        if (send_wish(instance, false, timeout_ms, on_unloaded, &err) == 0)
            return;
        say_not_unloaded(instance, &err);
    }
    finish(instance);
}

static void leave(struct instance_backend *instance, const char *reason)
{
    sm_set(&instance->sm, STATE_LEAVING);
    snprintf(instance->reason, sizeof(instance->reason), "%s", reason);
    instance->runs.ending = instance->reason;
    loop_timer_stop(instance->look_timer);
    engine_ask_cancel(instance->ask);
    found_look_cancel(instance->look);
    instance->ask = NULL;
    instance->look = NULL;
    loop_timer_start(instance->leave_timer, 0, 0);
}

static void leave_because(
        struct instance_backend *instance, const char *what, const struct err *err)
{
    char reason[ERR_TEXT_MAX];

    snprintf(reason, sizeof(reason), "%s at %s %s%s%.250s", instance->manner->label, instance->url,
            what, err ? ": " : "", err ? err->text : "");
    leave(instance, reason);
}

void adopted_stop(struct instance_backend *instance)
{
    if (instance->sm.state != STATE_LOADING && instance->sm.state != STATE_READY)
        return;
    instance->wanted = true;
    leave(instance, "stopped");
}

/* --- looking --- */

static void look_later(struct instance_backend *instance)
{
    loop_timer_start(instance->look_timer,
            number_or(instance->host.health_interval_ms, HEALTH_INTERVAL_MS), 0);
}

static void become_ready(struct instance_backend *instance, const struct found_model *model)
{
    uint32_t slots = number_or(model->slots, number_or(instance->slots, instance->manner->slots));

    sm_set(&instance->sm, STATE_READY);
    instance->misses = instance->absences = 0;
    instance->renew_at_ms = env_now_ms(instance->host.env) + RENEW_MS;
    look_later(instance);
    instance->events->on_ready(instance->ctx, slots, number_or(model->context, instance->context),
            number_or(instance->capabilities, model->capabilities));
}

static void on_first_look(struct instance_backend *instance, int result,
        const struct found_model *model, const struct err *err)
{
    if (result < 0)
        leave_because(instance, "does not tell what it has", err);
    else if (!model || !model->resident)
        leave_because(instance, "does not have the model loaded", NULL);
    else
        become_ready(instance, model);
}

/* A failure to renew shows in the looks that follow. */
static void on_renewed(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct instance_backend *instance = ctx;

    (void)text;
    (void)len;
    (void)err;
    instance->ask = NULL;
    if (result == 0)
        instance->renew_at_ms = env_now_ms(instance->host.env) + RENEW_MS;
    look_later(instance);
}

static void keep(struct instance_backend *instance)
{
    bool due = instance->ways && env_now_ms(instance->host.env) >= instance->renew_at_ms;

    instance->misses = instance->absences = 0;
    if (!due || send_wish(instance, true, instance->host.start_timeout_ms, on_renewed, NULL) < 0)
        look_later(instance);
}

/* While requests run on it Ollama may be loading it anew. */
static void count_absence(struct instance_backend *instance)
{
    instance->misses = 0;
    if (list_empty(&instance->runs.list) && ++instance->absences >= ABSENCES_MAX)
        leave_because(instance, "has unloaded the model", NULL);
    else
        look_later(instance);
}

static void count_miss(struct instance_backend *instance, int result, const struct err *err)
{
    instance->misses += result == -ECONNREFUSED ? REFUSAL_WEIGHT : 1;
    if (instance->runs.stirred)
        instance->misses = 0;
    instance->runs.stirred = false;
    if (instance->misses >= MISSES_MAX)
        leave_because(instance, "gave no sign of life for too long", err);
    else
        look_later(instance);
}

static void on_look(void *ctx, int result, const struct found_list *list, const struct err *err)
{
    struct instance_backend *instance = ctx;
    const struct found_model *model = found_find(list, instance->id);

    instance->look = NULL;
    if (instance->sm.state == STATE_LOADING)
        on_first_look(instance, result, model, err);
    else if (result < 0)
        count_miss(instance, result, err);
    else if (model && model->resident)
        keep(instance);
    else
        count_absence(instance);
}

static int look(struct instance_backend *instance, struct err *err)
{
    const char *id = instance->sm.state == STATE_READY ? instance->id : NULL;

    return found_look_start(instance->host.http, &instance->address, instance->manner, id, on_look,
            instance, &instance->look, err);
}

static void on_look_timer(void *ctx)
{
    struct instance_backend *instance = ctx;

    if (look(instance, NULL) < 0)
        look_later(instance);
}

/* --- loading --- */

static void on_loaded(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct instance_backend *instance = ctx;
    struct err trouble = {.text = ""};

    (void)text;
    (void)len;
    instance->ask = NULL;
    if (result < 0)
        leave_because(instance, "did not load the model", err);
    else if (look(instance, &trouble) < 0)
        leave_because(instance, "cannot be looked at", &trouble);
}

int adopted_start(struct instance_backend *instance, struct err *err)
{
    int r = instance->ways
                    ? send_wish(instance, true, instance->host.start_timeout_ms, on_loaded, err)
                    : look(instance, err);

    if (r < 0)
        return r;
    sm_set(&instance->sm, STATE_LOADING);
    instance->wanted = false;
    return 0;
}

/* --- life --- */

uint32_t adopted_expect(const struct backend_host *host, const struct backend_model *model)
{
    (void)host;
    return model->capabilities;
}

int64_t adopted_pid(const struct instance_backend *instance)
{
    (void)instance;
    return 0;
}

int adopted_run(struct instance_backend *instance, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    if (instance->sm.state != STATE_READY)
        return err_set(err, -EAGAIN, "the model %s of %s is %s", instance->id,
                instance->manner->label, sm_name(&instance->sm));
    return engine_runs_start(&instance->runs, spec, events, ctx, ret_run, err);
}

void adopted_destroy(struct instance_backend *instance)
{
    if (!instance)
        return;
    loop_timer_destroy(instance->look_timer);
    loop_timer_destroy(instance->leave_timer);
    if (instance->authorization)
        explicit_bzero(instance->authorization, strlen(instance->authorization));
    free(instance->authorization);
    free(instance);
}

static bool copy_place(struct instance_backend *instance, const struct adopted_model *place)
{
    assert(strlen(place->id) <= FOUND_ID_MAX && strlen(place->url) <= ENGINE_URL_MAX);
    snprintf(instance->id, sizeof(instance->id), "%s", place->id);
    snprintf(instance->url, sizeof(instance->url), "%s", place->url);
    snprintf(instance->base, sizeof(instance->base), "%s%s", place->url, instance->manner->prefix);
    instance->authorization = place->authorization ? strdup(place->authorization) : NULL;
    instance->address =
            (struct engine_address){.url = instance->url, .authorization = instance->authorization};
    return instance->authorization || !place->authorization;
}

/* A picture is more tokens than its mark in the prompt, and marks differ: such chats are not
 * counted.
 */
static uint32_t unknown_kinds(const struct instance_backend *instance)
{
    bool perceives = instance->capabilities & (CAPABILITY_VISION | CAPABILITY_AUDIO);

    return instance->manner->unknown_kinds | (perceives ? 1u << REQUEST_COUNT : 0);
}

static void aim(struct instance_backend *instance)
{
    instance->target = (struct engine_target){.http = instance->host.http,
            .env = instance->host.env,
            .base = instance->base,
            .model = instance->id,
            .authorization = instance->authorization,
            .unknown_kinds = unknown_kinds(instance),
            .media_marker = ""};
    engine_runs_init(&instance->runs, &instance->target);
}

struct instance_backend *adopted_create(const struct adopted_ways *ways,
        const struct backend_host *host, const struct backend_model *model,
        const struct backend_events *events, void *ctx, struct err *err)
{
    struct instance_backend *instance = calloc(1, sizeof(*instance));

    if (!instance) {
        err_set(err, -ENOMEM, "no memory for %s", model->name);
        return NULL;
    }
    instance->host = *host;
    instance->events = events;
    instance->ctx = ctx;
    instance->ways = model->adopted->lent ? NULL : ways;
    instance->manner = engine_manner(model->adopted->kind);
    instance->slots = model->slots;
    instance->context = model->context;
    instance->capabilities = model->capabilities;
    sm_init(&instance->sm, &state_def, STATE_IDLE);
    instance->look_timer = loop_timer_create(host->loop, on_look_timer, instance);
    instance->leave_timer = loop_timer_create(host->loop, on_leave, instance);
    if (!copy_place(instance, model->adopted) || !instance->look_timer || !instance->leave_timer) {
        adopted_destroy(instance);
        err_set(err, -ENOMEM, "no memory for %s", model->name);
        return NULL;
    }
    aim(instance);
    return instance;
}
