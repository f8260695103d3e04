/* A host that is not there, driven by chance for EVENTS events on a virtual clock: requests, ends,
 * loads that fail, memory that others take, pins, files that go. What residency_decide() says is
 * carried out as a node would, and its promises are checked after each step. MODEMESH_SEED repeats
 * the run that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/residency.h"
#include "tests/lib/offline_loads.h"
#include "tests/lib/virtual_env.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS = 10000,
    MODELS = 12,
    REQUESTS_MAX = 4096, /* of one model, waiting or running */
    GAP_MS = 2500,       /* between events, on average */
    LOAD_MAX_MS = 20000,
    RUN_MAX_MS = 15000,
    STOP_MAX_MS = 1500, /* from the order to stop until the engine has ended … */
    LAG_MAX_MS = 700,   /* … and until its memory is seen as free */
    BACKOFF_MS = 1000,
    BACKOFF_DOUBLINGS = 6,
    RATE_MEMORY_S = 300,
    LAGS_MAX = 64,
    SERVICES_MAX = 4 * EVENTS,
    LOADS_FACTOR = 2,  /* of what is needed by whoever knows the future */
    RECLAIM_MS = 2000, /* idle models are gone within */
};

static const uint64_t gib = 1024 * 1024 * 1024;

/* An engine of the host, and who uses it. */
struct engine {
    uint64_t real_bytes; /* what it takes once it is loaded */
    uint64_t committed_bytes;
    uint64_t began_ms, due_ms;                        /* of the load or the stop */
    bool fails;                                       /* this load will */
    bool gone;                                        /* its file */
    uint64_t waits[REQUESTS_MAX], runs[REQUESTS_MAX]; /* since; until */
    size_t wait_count, run_count;
    uint64_t idle_since_ms; /* where it is idle and not pinned */
    uint64_t rate_at_ms;
    unsigned served, cancelled; /* since its load began */
};

struct tally {
    unsigned looks, requests, served, refused, loads, failures, displaced, reclaimed, pressures,
            closed_looks, forced;
    uint64_t longest_wait_ms;
};

struct toy_host {
    uint64_t seed;
    struct virtual_env world;
    struct residency_host host;
    struct residency_model models[MODELS];
    struct engine engines[MODELS];
    uint64_t pool_bytes, foreign_bytes;
    struct lag {
        uint64_t bytes, until_ms;
    } lags[LAGS_MAX];
    uint64_t next_event_ms, short_since_ms;
    bool knows_taken; /* the node sees what each engine has taken */
    size_t favourite;
    struct offline_service services[SERVICES_MAX];
    unsigned events;
    struct tally tally;
};

static struct toy_host *toy;

/* Tells all that decided. */
static void broken(const char *promise)
{
    char text[512];

    print_error("MODEMESH_SEED=%" PRIu64 ", event %u, %" PRIu64 " ms: not %s; free %" PRIu64
                " GiB, short since %" PRIu64 ", released %" PRIu64 "\n",
            toy->seed, toy->events, toy->host.now_ms, promise, toy->host.pool_free_bytes / gib,
            toy->short_since_ms, toy->host.released_at_ms);
    for (size_t i = 0; i < MODELS; i++) {
        const struct residency_model *model = &toy->models[i];
        print_error("  %s: %" PRIu64 " of %" PRIu64 " GiB, state %d%s%s%s, %u wait since %" PRIu64
                    ", loaded %" PRIu64 " in %u ms, %.3f/s: %s\n",
                model->name, model->taken_bytes / gib, model->memory_bytes / gib, model->state,
                model->pinned ? ", pinned" : "", model->busy ? ", busy" : "",
                model->closed ? ", closed" : "", model->waiting, model->waiting_since_ms,
                model->loaded_at_ms, model->load_ms, (double)model->rate_per_s,
                residency_explain(&toy->host, toy->models, MODELS, model, text, sizeof text));
    }
    fail();
}

#define check(condition) ((condition) ? (void)0 : broken(#condition))

/* --- chance --- */

static uint64_t below(uint64_t bound)
{
    return env_random_u64(&toy->world.env) % bound;
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

static uint64_t gap_ms(void)
{
    double part = ((double)below(1000000) + 1) / 1000000;

    return 1 + (uint64_t)(-log(part) * GAP_MS);
}

/* --- memory --- */

static uint64_t subtract(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* A load takes its memory bit by bit. */
static uint64_t bytes_now(size_t i)
{
    const struct engine *engine = &toy->engines[i];

    if (toy->models[i].state == RESIDENCY_ABSENT)
        return 0;
    if (toy->models[i].state != RESIDENCY_LOADING)
        return engine->real_bytes;
    return engine->real_bytes / 1000 *
           ((toy->host.now_ms - engine->began_ms) * 1000 / (engine->due_ms - engine->began_ms + 1));
}

/* Free, and not seen as such yet. */
static uint64_t lagging_bytes(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < LAGS_MAX; i++)
        if (toy->host.now_ms < toy->lags[i].until_ms)
            sum += toy->lags[i].bytes;
    return sum;
}

static uint64_t pool_free(void)
{
    uint64_t used = toy->foreign_bytes + lagging_bytes();

    for (size_t i = 0; i < MODELS; i++)
        used += bytes_now(i);
    return subtract(toy->pool_bytes, used);
}

static void release(size_t i)
{
    size_t slot = 0;

    while (toy->host.now_ms < toy->lags[slot].until_ms)
        slot++;
    assert_true(slot < LAGS_MAX);
    toy->lags[slot] = (struct lag){bytes_now(i), toy->host.now_ms + below(LAG_MAX_MS)};
    if (toy->host.now_ms - toy->host.released_at_ms >= RESIDENCY_RELEASE_MS)
        toy->host.released_bytes = 0;
    toy->host.released_bytes += bytes_now(i);
    toy->host.released_at_ms = toy->host.now_ms;
}

/* --- engines --- */

static void engine_ended(size_t i)
{
    release(i);
    toy->models[i].state = RESIDENCY_ABSENT;
    toy->models[i].taken_bytes = 0;
    toy->models[i].closed = false;
    toy->engines[i].committed_bytes = 0;
    toy->engines[i].run_count = 0;
}

static void answered(uint64_t since_ms)
{
    uint64_t waited = toy->host.now_ms - since_ms;

    if (waited > toy->tally.longest_wait_ms)
        toy->tally.longest_wait_ms = waited;
}

static void refuse_waits(size_t i)
{
    struct engine *engine = &toy->engines[i];

    for (size_t k = 0; k < engine->wait_count; k++)
        answered(engine->waits[k]);
    toy->tally.refused += (unsigned)engine->wait_count;
    engine->wait_count = 0;
}

static void count_failure(size_t i)
{
    struct residency_model *model = &toy->models[i];
    unsigned doublings = model->failures < BACKOFF_DOUBLINGS ? model->failures : BACKOFF_DOUBLINGS;

    model->failures++;
    model->failed_at_ms = toy->host.now_ms;
    model->retry_at_ms = toy->host.now_ms + ((uint64_t)BACKOFF_MS << doublings);
}

static void load_failed(size_t i)
{
    toy->tally.failures++;
    engine_ended(i);
    count_failure(i);
    refuse_waits(i);
}

static void load_finished(size_t i)
{
    struct residency_model *model = &toy->models[i];

    model->state = RESIDENCY_RESIDENT;
    model->loaded_at_ms = model->used_at_ms = toy->host.now_ms;
    model->failures = 0;
    model->restart = false;
    toy->engines[i].idle_since_ms = toy->host.now_ms;
    if (toy->engines[i].real_bytes > model->memory_bytes)
        model->memory_bytes = toy->engines[i].real_bytes;
}

static void engine_stop(size_t i)
{
    toy->models[i].state = RESIDENCY_STOPPING;
    toy->engines[i].due_ms = toy->host.now_ms + 1 + below(STOP_MAX_MS);
}

static void engine_start(size_t i)
{
    struct engine *engine = &toy->engines[i];

    toy->models[i].state = RESIDENCY_LOADING;
    engine->committed_bytes = toy->models[i].memory_bytes;
    engine->began_ms = toy->host.now_ms;
    engine->due_ms = toy->host.now_ms + toy->models[i].load_ms;
    engine->fails = chance(5);
    engine->served = engine->cancelled = 0;
    toy->tally.loads++;
    toy->tally.forced += toy->models[i].waiting == 0;
}

static void end_runs(size_t i)
{
    struct engine *engine = &toy->engines[i];

    for (size_t k = 0; k < engine->run_count;) {
        if (engine->runs[k] > toy->host.now_ms) {
            k++;
            continue;
        }
        engine->runs[k] = engine->runs[--engine->run_count];
        engine->idle_since_ms = toy->models[i].used_at_ms = toy->host.now_ms;
    }
}

static void engine_step(size_t i)
{
    struct engine *engine = &toy->engines[i];
    enum residency_state state = toy->models[i].state;

    end_runs(i);
    if (engine->gone && state == RESIDENCY_RESIDENT && engine->run_count == 0)
        engine_stop(i);
    if (toy->host.now_ms < engine->due_ms)
        return;
    if (state == RESIDENCY_STOPPING)
        engine_ended(i);
    else if (state == RESIDENCY_LOADING && engine->fails)
        load_failed(i);
    else if (state == RESIDENCY_LOADING)
        load_finished(i);
}

/* Whoever waits for an engine that takes runs gets one. */
static void engine_serve(size_t i)
{
    struct engine *engine = &toy->engines[i];
    struct residency_model *model = &toy->models[i];

    if (model->state != RESIDENCY_RESIDENT || model->closed || engine->gone)
        return;
    for (size_t k = 0; k < engine->wait_count; k++) {
        answered(engine->waits[k]);
        assert_true(toy->tally.served < SERVICES_MAX);
        toy->services[toy->tally.served++] =
                (struct offline_service){engine->waits[k], i, model->memory_bytes};
        assert_true(engine->run_count < REQUESTS_MAX);
        engine->runs[engine->run_count++] = toy->host.now_ms + 100 + below(RUN_MAX_MS - 100);
        model->used_at_ms = toy->host.now_ms;
        engine->served++;
    }
    engine->wait_count = 0;
}

/* --- events --- */

static void note_rate(size_t i)
{
    struct residency_model *model = &toy->models[i];
    double age_s = (double)(toy->host.now_ms - toy->engines[i].rate_at_ms) / 1000;

    model->rate_per_s = (float)(model->rate_per_s * exp(-age_s / RATE_MEMORY_S));
    toy->engines[i].rate_at_ms = toy->host.now_ms;
}

static void request(size_t i)
{
    struct engine *engine = &toy->engines[i];

    if (engine->gone)
        return;
    assert_true(engine->wait_count < REQUESTS_MAX);
    engine->waits[engine->wait_count++] = toy->host.now_ms;
    note_rate(i);
    toy->models[i].rate_per_s += 1.0f / RATE_MEMORY_S;
    toy->tally.requests++;
}

static void request_arrives(void)
{
    request(chance(50) ? toy->favourite : below(MODELS));
}

static void favourite_changes(void)
{
    if (chance(5))
        toy->favourite = below(MODELS - 1);
}

/* In the second half of a run nobody else takes memory, and the favourite is never idle by itself:
 * then only the rules end a wait. */
static bool crowded(void)
{
    return toy->events > EVENTS / 2;
}

static void hog(void)
{
    const struct engine *engine = &toy->engines[toy->favourite];

    if (crowded() && engine->run_count == 1 && engine->wait_count == 0)
        request(toy->favourite);
}

static void request_leaves(void)
{
    struct engine *engine = &toy->engines[below(MODELS)];

    if (engine->wait_count == 0)
        return;
    engine->wait_count--;
    engine->cancelled++;
}

static void pin_or_unpin(void)
{
    size_t i = below(MODELS), pinned = 0;

    for (size_t k = 0; k < MODELS; k++)
        pinned += toy->models[k].pinned;
    if (toy->models[i].pinned || pinned < 2)
        toy->models[i].pinned = !toy->models[i].pinned;
    toy->engines[i].idle_since_ms = toy->host.now_ms;
}

static void file_goes_or_returns(void)
{
    size_t i = below(MODELS);

    toy->engines[i].gone = !toy->engines[i].gone && chance(20);
    toy->models[i].failures = 0;
    toy->models[i].retry_at_ms = 0;
    if (toy->engines[i].gone)
        refuse_waits(i);
}

static void engine_dies(void)
{
    size_t i = below(MODELS);

    if (toy->models[i].state != RESIDENCY_RESIDENT)
        return;
    engine_ended(i);
    count_failure(i);
    toy->models[i].restart = true;
    toy->tally.forced++;
}

static void others_take_or_return(void)
{
    toy->foreign_bytes = crowded() || chance(60) ? 0 : below(toy->pool_bytes / gib) * gib;
}

static void event(void)
{
    static const struct {
        unsigned percent;
        void (*happen)(void);
    } kinds[] = {{83, request_arrives}, {2, favourite_changes}, {3, request_leaves},
            {3, pin_or_unpin}, {2, file_goes_or_returns}, {2, engine_dies},
            {5, others_take_or_return}};
    uint64_t drawn = below(100);
    size_t k = 0;

    while (drawn >= kinds[k].percent)
        drawn -= kinds[k++].percent;
    kinds[k].happen();
    toy->events++;
    toy->next_event_ms = toy->host.now_ms + gap_ms();
}

/* --- the node --- */

static void snapshot_model(size_t i)
{
    struct residency_model *model = &toy->models[i];
    const struct engine *engine = &toy->engines[i];
    bool pinned = model->pinned && !engine->gone;

    note_rate(i);
    if (model->pinned && !pinned)
        toy->engines[i].idle_since_ms = toy->host.now_ms;
    model->pinned = pinned;
    model->restart = model->restart && !engine->gone;
    model->busy = engine->run_count > 0;
    model->waiting = (unsigned)engine->wait_count;
    model->waiting_since_ms = engine->wait_count > 0 ? engine->waits[0] : 0;
    if (toy->knows_taken && bytes_now(i) > model->memory_bytes)
        model->memory_bytes = bytes_now(i);
    model->taken_bytes = toy->knows_taken ? bytes_now(i) : model->memory_bytes;
}

static bool is_idle(const struct residency_model *model)
{
    return model->state == RESIDENCY_RESIDENT && !model->pinned && !model->busy;
}

/* Free memory once what leaves has gone, less what is promised: our own count. */
static int64_t spare_bytes(void)
{
    int64_t spare = (int64_t)pool_free() - (int64_t)toy->host.keep_free_bytes;

    if (pool_free() > 0)
        spare += (int64_t)lagging_bytes();
    for (size_t i = 0; i < MODELS; i++) {
        const struct residency_model *model = &toy->models[i];
        if (model->state == RESIDENCY_STOPPING)
            spare += (int64_t)bytes_now(i);
        else if (model->state != RESIDENCY_ABSENT)
            spare -= (int64_t)subtract(model->memory_bytes, model->taken_bytes);
    }
    return spare;
}

static uint64_t committed_bytes(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < MODELS; i++)
        sum += toy->engines[i].committed_bytes;
    return sum;
}

static void check_load(const struct residency_model *model)
{
    int64_t spare = (int64_t)pool_free() - (int64_t)toy->host.keep_free_bytes;

    check(model->state == RESIDENCY_ABSENT);
    check(model->pinned || model->restart || model->waiting > 0);
    check(toy->host.now_ms >= model->retry_at_ms);
    check(toy->short_since_ms == 0);
    check(toy->host.short_at_ms == 0 ||
            toy->host.now_ms >= toy->host.short_at_ms + RESIDENCY_CALM_MS);
    for (size_t i = 0; i < MODELS; i++) {
        check(toy->models[i].state != RESIDENCY_LOADING);
        if (toy->models[i].state == RESIDENCY_RESIDENT)
            spare -= (int64_t)subtract(toy->models[i].memory_bytes, toy->models[i].taken_bytes);
    }
    check((int64_t)model->memory_bytes <= spare);
    check(residency_used_bytes(toy->models, MODELS) + model->memory_bytes <= toy->host.limit_bytes);
}

static void check_displaced(const struct residency_model *model, const struct engine *engine)
{
    const struct residency_model *by = model->displaced_by;

    check(toy->host.now_ms >= model->loaded_at_ms + 2 * (uint64_t)model->load_ms);
    check(by->pinned || by->waiting > 0);
    check(by->failures == 0 || toy->host.now_ms >= by->failed_at_ms + RESIDENCY_PARDON_MS);
    /* Nobody waited for it in vain: no loop of evict and reload. */
    check(engine->served > 0 || engine->cancelled > 0 || engine->wait_count == 0);
    toy->tally.displaced++;
}

static void check_eviction(size_t i)
{
    const struct residency_model *model = &toy->models[i];

    check(!model->pinned);
    check(!model->busy);
    if (model->displaced_by != NULL) {
        check(model->state == RESIDENCY_RESIDENT);
        check_displaced(model, &toy->engines[i]);
        return;
    }
    check(toy->short_since_ms > 0 ||
            residency_used_bytes(toy->models, MODELS) > toy->host.limit_bytes);
    toy->tally.reclaimed++;
    toy->tally.forced++;
}

/* Why it cannot be, by our own count. */
static void check_refusal(const struct residency_model *model)
{
    uint64_t pinned = 0;
    int64_t spare = (int64_t)pool_free() - (int64_t)toy->host.keep_free_bytes;

    for (size_t i = 0; i < MODELS; i++) {
        const struct residency_model *other = &toy->models[i];
        bool there = other->state != RESIDENCY_ABSENT;
        pinned += there && other->pinned ? other->memory_bytes : 0;
        if (there && !other->pinned)
            spare += (int64_t)other->taken_bytes;
        else if (there && other->state != RESIDENCY_STOPPING)
            spare -= (int64_t)subtract(other->memory_bytes, other->taken_bytes);
    }
    switch (model->reason) {
    case RESIDENCY_TOO_BIG:
        check(model->memory_bytes > toy->host.limit_bytes);
        break;
    case RESIDENCY_PINS:
        check(pinned + model->memory_bytes > toy->host.limit_bytes);
        break;
    case RESIDENCY_OTHERS:
        check(toy->short_since_ms > 0 || spare < (int64_t)model->memory_bytes);
        break;
    case RESIDENCY_FAILED:
        check(model->failures > 0);
        break;
    default:
        check(false);
    }
}

static void carry_out(size_t i)
{
    struct residency_model *model = &toy->models[i];

    if (model->verdict == RESIDENCY_REFUSE)
        refuse_waits(i);
    if (model->close)
        check(model->displaced_by != NULL && !model->pinned);
    model->closed = model->close;
    toy->tally.closed_looks += model->close;
    if (model->verdict == RESIDENCY_LOAD)
        engine_start(i);
    if (model->evict)
        engine_stop(i);
}

static void check_texts(void)
{
    char text[512];

    for (size_t i = 0; i < MODELS; i++) {
        const struct residency_model *model = &toy->models[i];
        bool decided = model->verdict != RESIDENCY_NONE || model->evict || model->close;
        residency_explain(&toy->host, toy->models, MODELS, model, text, sizeof text);
        check(decided == (strncmp(text, model->name, strlen(model->name)) == 0));
    }
}

/* Idle models are gone within two seconds of the shortage. */
static void check_reclaimed(void)
{
    for (size_t i = 0; i < MODELS; i++) {
        uint64_t since = toy->engines[i].idle_since_ms;
        if (!is_idle(&toy->models[i]) || toy->short_since_ms == 0)
            continue;
        since = since > toy->short_since_ms ? since : toy->short_since_ms;
        check(toy->host.now_ms - since <= RECLAIM_MS);
    }
}

static void note_shortage(void)
{
    if (spare_bytes() + (int64_t)toy->host.keep_free_bytes / RESIDENCY_SLACK_DIVISOR >= 0)
        toy->short_since_ms = 0;
    else if (toy->short_since_ms == 0)
        toy->short_since_ms = toy->host.now_ms;
}

/* Each wait is over once all that may come before it has been, at its longest: every other model
 * once, each for the price of displacing all others, a tenure, its last runs, the stop and its
 * memory, the calm, a load, and one load that slips in. */
static uint64_t longest_wait_allowed_ms(void)
{
    uint64_t load_ms = 0, price_ms, turn_ms;

    for (size_t i = 0; i < MODELS; i++)
        if (toy->models[i].memory_bytes <= toy->host.limit_bytes &&
                toy->models[i].load_ms > load_ms)
            load_ms = toy->models[i].load_ms;
    price_ms = (MODELS - 1) * 2 * load_ms;
    turn_ms = RESIDENCY_TENURE * load_ms + RUN_MAX_MS + STOP_MAX_MS + RESIDENCY_SETTLE_MS +
              RESIDENCY_CALM_MS + 2 * load_ms;
    return price_ms + MODELS * turn_ms;
}

static void check_waits(void)
{
    for (size_t i = 0; i < MODELS; i++)
        if (toy->engines[i].wait_count > 0)
            check(toy->host.now_ms - toy->engines[i].waits[0] <= longest_wait_allowed_ms());
}

static void look(void)
{
    struct residency_decision decision;

    for (size_t i = 0; i < MODELS; i++) {
        engine_serve(i);
        snapshot_model(i);
    }
    toy->host.pool_free_bytes = pool_free();
    note_shortage();
    residency_decide(&toy->host, toy->models, MODELS, &decision);
    if (decision.short_bytes > 0) {
        toy->tally.pressures += toy->host.short_at_ms + RECLAIM_MS < toy->host.now_ms;
        toy->host.short_at_ms = toy->host.now_ms;
    }
    if (decision.load != NULL)
        check_load(decision.load);
    for (size_t i = 0; i < MODELS; i++) {
        if (toy->models[i].evict)
            check_eviction(i);
        if (toy->models[i].verdict == RESIDENCY_REFUSE)
            check_refusal(&toy->models[i]);
        check(decision.short_bytes == 0 || toy->models[i].verdict == RESIDENCY_REFUSE ||
                toy->models[i].verdict == RESIDENCY_NONE);
    }
    check_texts();
    for (size_t i = 0; i < MODELS; i++)
        carry_out(i);
    check(committed_bytes() <= toy->host.limit_bytes);
    for (size_t i = 0; i < MODELS; i++)
        engine_serve(i);
    check_reclaimed();
    check_waits();
    toy->tally.looks++;
}

/* --- time --- */

static void sooner(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms > toy->host.now_ms && other_ms < *at_ms)
        *at_ms = other_ms;
}

static uint64_t next_ms(void)
{
    uint64_t at_ms = toy->host.now_ms + RESIDENCY_LOOK_MS;

    sooner(&at_ms, toy->next_event_ms);
    for (size_t i = 0; i < MODELS; i++) {
        sooner(&at_ms, toy->engines[i].due_ms);
        for (size_t k = 0; k < toy->engines[i].run_count; k++)
            sooner(&at_ms, toy->engines[i].runs[k]);
    }
    return at_ms;
}

static void step(void)
{
    virtual_env_advance_ms(&toy->world, next_ms() - toy->host.now_ms);
    toy->host.now_ms = env_now_ms(&toy->world.env);
    for (size_t i = 0; i < MODELS; i++)
        engine_step(i);
    if (toy->host.now_ms >= toy->next_event_ms)
        event();
    hog();
    look();
}

/* --- runs --- */

/* From small to larger than the host; one takes a tenth more than it was estimated at. */
static void furnish(void)
{
    static const char *const names[MODELS] = {
            "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"};

    toy->pool_bytes = 128 * gib;
    toy->host.limit_bytes = 96 * gib;
    toy->host.keep_free_bytes = 4 * gib;
    toy->knows_taken = chance(50);
    for (size_t i = 0; i < MODELS; i++) {
        uint64_t size_gib = i == MODELS - 1 ? 100 : 4 + below(i < 6 ? 30 : 84);
        toy->models[i] = (struct residency_model){.name = names[i],
                .memory_bytes = size_gib * gib,
                .load_ms = (uint32_t)(1000 + size_gib * (LOAD_MAX_MS - 1000) / 100)};
        toy->engines[i].real_bytes = (95 + below(6)) * size_gib * gib / 100;
        toy->engines[i].rate_at_ms = toy->host.now_ms;
    }
    toy->engines[2].real_bytes = toy->models[2].memory_bytes / 10 * 11;
}

static void report(unsigned least)
{
    const struct tally *t = &toy->tally;

    print_message("# MODEMESH_SEED=%" PRIu64 ": %u requests, %u served, %u refused, %u loads "
                  "(%u failed), %u displaced, %u reclaimed in %u shortages, %u forced, at least "
                  "%u; longest wait %" PRIu64 " s of %" PRIu64 " s\n",
            toy->seed, t->requests, t->served, t->refused, t->loads, t->failures, t->displaced,
            t->reclaimed, t->pressures, t->forced, least, t->longest_wait_ms / 1000,
            longest_wait_allowed_ms() / 1000);
}

/* The run has seen what it is meant to see, and no more loads than its requests justify. */
static void check_tally(unsigned least)
{
    const struct tally *t = &toy->tally;

    check(t->served > EVENTS / 10);
    check(t->displaced > 0 && t->reclaimed > 0 && t->failures > 0 && t->closed_looks > 0);
    check(t->loads <= LOADS_FACTOR * (least + t->failures + t->forced));
}

static void run(uint64_t seed)
{
    unsigned least;

    virtual_env_init(&toy->world);
    toy->seed = toy->world.random = seed;
    toy->host.now_ms = env_now_ms(&toy->world.env);
    furnish();
    toy->next_event_ms = toy->host.now_ms + 1;
    while (toy->events < EVENTS)
        step();
    least = offline_loads(toy->services, toy->tally.served, toy->host.limit_bytes);
    report(least);
    check_tally(least);
}

static void test_random_host(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21, 34};
    const char *seed = getenv("MODEMESH_SEED");
    size_t count = seed != NULL ? 1 : sizeof seeds / sizeof *seeds;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        toy = calloc(1, sizeof *toy);
        assert_non_null(toy);
        run(seed != NULL ? strtoull(seed, NULL, 10) : seeds[i]);
        free(toy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_host)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("residency_random", tests, NULL, NULL);
}
