/* A node's own supervisor, instances, memory, worker and fake engines on a host that is not there
 * (machine.h), driven by chance for EVENTS events on a virtual clock: requests that come, end and
 * are given up, models that are loaded and unloaded by order and pinned, files that come, go and
 * change, engines that die or do not load, memory that other programs take. What the node has
 * promised is checked at every step from the machine's own count. MODEMESH_SEED repeats the run
 * that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/number.h"
#include "common/stream.h"
#include "node/link/worker.h"
#include "tests/lib/offline_loads.h"
#include "tests/lib/settings_maker.h"
#include "tests/sim/machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS = 10000,
    MODELS = 8,
    PINNED_MAX = 2, /* of them, at once */
    REQUESTS_MAX = 8 * EVENTS,
    OPEN_MAX = WORKER_STREAMS_MAX,
    GAP_MS = 2000, /* between events, on average */
    LOAD_BYTES_PER_MS = 1024 * 1024,
    RUN_MAX_MS = 10000,
    STOP_MAX_MS = 700,
    LAG_MAX_MS = 700,
    RECLAIM_MS = 2000, /* idle models are on their way within, and loads are refused */
    /* A shortage of so long has been seen by a node with an engine. */
    SEEN_MS = MEMORY_LOOK_MS + RESIDENCY_RELEASE_MS,
    LOADS_PERCENT = 150, /* of what is needed by whoever knows the future */
    EPOCH = 7,
};

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;

struct model {
    char name[8];
    uint64_t file_bytes;
    unsigned real_percent; /* of what is counted for it */
    bool gone;             /* its file */
    bool pinned;
    int64_t version; /* of its file */

    uint64_t committed_bytes; /* of its engine; 0: it has none */
    bool resident, stopping, restart;
    bool replaced, unloaded; /* since its load began: its file has changed, it was ordered to go */
    uint64_t began_ms, resident_ms;
    uint64_t failed_ms; /* last; 0: never */
    uint64_t idle_since_ms;
    unsigned run_count, wait_count;
    unsigned served, given_up; /* since its load began */
};

struct request {
    size_t model;
    uint64_t asked_ms;
    uint64_t stream;           /* of the worker's; 0: an order to load, … */
    struct instance_wait wait; /* … which waits so */
    bool runs;
};

struct tally {
    unsigned steps, requests, served, ordered, unloaded, refused, died, given_up, loads, failures,
            displaced, reclaimed, shortages, forced;
    uint64_t longest_wait_ms, longest_reclaim_ms;
};

struct world {
    uint64_t seed;
    struct machine machine;
    struct supervisor *supervisor;
    struct worker *worker;
    struct model models[MODELS];
    struct stream_table *streams; /* the coordinator's: struct request */
    struct request requests[REQUESTS_MAX];
    size_t request_count;
    struct request *open[OPEN_MAX];
    size_t open_count;
    struct offline_service services[REQUESTS_MAX];
    size_t service_count;
    uint64_t limit_bytes, keep_free_bytes;
    uint64_t short_since_ms; /* by our own count; 0: is not */
    uint64_t short_at_ms;    /* last, by our own count */
    uint64_t seen_short_ms;  /* last, and for sure seen by the node */
    size_t favourite;
    unsigned events;
    bool draining, stopped;
    struct tally tally;
};

static struct world *w;

static uint64_t now_ms(void)
{
    return machine_now_ms(&w->machine);
}

/* Tells how everything stands. */
static void broken(const char *promise)
{
    print_error("MODEMESH_SEED=%" PRIu64 ", event %u, %" PRIu64 " ms: not %s; free %" PRIu64
                " MiB, %" PRIu64 " MiB to come, others %" PRIu64 " MiB, short since %" PRIu64
                ", last %" PRIu64 "\n",
            w->seed, w->events, now_ms(), promise, machine_free_bytes(&w->machine) / mib,
            machine_lagging_bytes(&w->machine) / mib, w->machine.foreign_bytes / mib,
            w->short_since_ms, w->short_at_ms);
    for (size_t i = 0; i < MODELS; i++) {
        const struct model *model = &w->models[i];
        struct msg_instance told = {.note = "is not there"};
        (void)supervisor_describe(w->supervisor, model->name, &told);
        print_error("  %s: %s, %" PRIu64 " of %" PRIu64 " MiB%s%s%s, began %" PRIu64
                    ", resident since %" PRIu64 ", idle since %" PRIu64 ", failed %" PRIu64
                    ", %u run, %u wait: %s\n",
                model->name, instance_state_name(told.state),
                machine_taken_bytes(&w->machine, model->name) / mib, told.memory_bytes / mib,
                told.pinned ? ", pinned" : "", model->gone ? ", gone" : "",
                model->replaced ? ", replaced" : "", model->began_ms, model->resident_ms,
                model->idle_since_ms, model->failed_ms, model->run_count, model->wait_count,
                told.note);
    }
    fail();
}

#define check(condition) ((condition) ? (void)0 : broken(#condition))

/* --- chance --- */

static uint64_t below(uint64_t bound)
{
    return env_random_u64(&w->machine.world.env) % bound;
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

/* --- the node, through its own front --- */

static struct model *model_of(const char *name)
{
    return &w->models[strtoul(name + 1, NULL, 10)];
}

static struct msg_instance describe(const struct model *model)
{
    struct msg_instance instance = {.state = INSTANCE_AVAILABLE};

    check(supervisor_describe(w->supervisor, model->name, &instance));
    return instance;
}

static uint64_t counted_bytes(const struct model *model)
{
    return describe(model).memory_bytes;
}

static void put(struct model *model)
{
    const struct catalogue_model file = {.name = model->name,
            .path = model->name,
            .file_bytes = model->file_bytes,
            .context = 4096,
            .architecture = "llama",
            .quantisation = "Q8_0",
            .modified_ns = model->version,
            .capabilities = CAPABILITY_CHAT};

    supervisor_model_put(w->supervisor, &file, settings_make(0, 1, model->pinned));
    model->gone = false;
}

static void say(const struct msg *msg)
{
    struct err err = {.text = ""};

    if (worker_on_msg(w->worker, msg, &err) < 0)
        broken(err.text);
}

static void send_request(const struct request *request, const char *id)
{
    static const char body[] = "{}";

    say(&(struct msg){.type = MSG_START,
            .start = {.stream = request->stream,
                    .request_id = id,
                    .model = w->models[request->model].name,
                    .kind = REQUEST_CHAT,
                    .window = STREAM_WINDOW,
                    .body_bytes = sizeof body - 1}});
    say(&(struct msg){.type = MSG_BODY,
            .body = {.stream = request->stream,
                    .data = body,
                    .len = sizeof body - 1,
                    .last = true}});
}

static struct request *open_request(size_t i)
{
    struct request *request = &w->requests[w->request_count++];

    assert_true(w->request_count <= REQUESTS_MAX && w->open_count < OPEN_MAX);
    *request = (struct request){.model = i, .asked_ms = now_ms()};
    w->open[w->open_count++] = request;
    w->models[i].wait_count++;
    return request;
}

static void ask(size_t i)
{
    struct request *request = open_request(i);
    char id[16];

    assert_int_equal(stream_table_add(w->streams, request, &request->stream), 0);
    (void)snprintf(id, sizeof id, "r%zu", (size_t)(request - w->requests));
    w->tally.requests++;
    send_request(request, id);
}

/* --- what is true of memory --- */

static uint64_t committed_bytes(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < MODELS; i++)
        sum += w->models[i].committed_bytes;
    return sum;
}

static uint64_t taken_bytes(const struct model *model)
{
    return machine_taken_bytes(&w->machine, model->name);
}

/* What the node takes an engine to have. */
static uint64_t known_bytes(const struct model *model)
{
    if (w->machine.kind != MACHINE_PROCESSES)
        return model->committed_bytes;
    return number_lesser(taken_bytes(model), model->committed_bytes);
}

/* What its engine will still take, as far as can be known. */
static uint64_t promised_bytes(const struct model *model)
{
    return model->stopping ? 0 : model->committed_bytes - known_bytes(model);
}

/* Of what is free, neither spoken for nor to be kept free. */
static int64_t spare_bytes(void)
{
    int64_t spare = (int64_t)machine_free_bytes(&w->machine) - (int64_t)w->keep_free_bytes;

    for (size_t i = 0; i < MODELS; i++)
        spare -= (int64_t)promised_bytes(&w->models[i]);
    return spare;
}

/* … once what leaves has left. */
static int64_t spare_to_come_bytes(void)
{
    int64_t spare = spare_bytes();

    if (machine_free_bytes(&w->machine) > 0)
        spare += (int64_t)machine_lagging_bytes(&w->machine);
    for (size_t i = 0; i < MODELS; i++)
        if (w->models[i].stopping)
            spare += (int64_t)known_bytes(&w->models[i]);
    return spare;
}

/* Of what is to be kept free, what others may have before a model goes. */
static int64_t slack_bytes(void)
{
    return (int64_t)w->keep_free_bytes / RESIDENCY_SLACK_DIVISOR;
}

static bool has_engine(void)
{
    return committed_bytes() > 0;
}

static void note_shortage(void)
{
    if (spare_to_come_bytes() + slack_bytes() >= 0) {
        w->short_since_ms = 0;
        return;
    }
    w->tally.shortages += w->short_since_ms == 0;
    if (w->short_since_ms == 0)
        w->short_since_ms = now_ms();
    w->short_at_ms = now_ms();
    if (has_engine() && now_ms() - w->short_since_ms >= SEEN_MS)
        w->seen_short_ms = now_ms();
}

/* By what the node has seen not long ago. */
static bool was_short(void)
{
    note_shortage();
    return w->short_at_ms > 0 && now_ms() - w->short_at_ms <= SEEN_MS;
}

/* --- its promises, as it acts --- */

static bool is_wanted(const struct model *model)
{
    return !model->gone && (model->pinned || model->restart || model->wait_count > 0);
}

static void check_start(const struct model *model)
{
    uint64_t bytes = counted_bytes(model);

    note_shortage();
    check(model->committed_bytes == 0);
    check(is_wanted(model));
    check(model->failed_ms == 0 || now_ms() >= model->failed_ms + INSTANCE_BACKOFF_MIN_MS / 10 * 9);
    check(committed_bytes() + bytes <= w->limit_bytes);
    check(spare_bytes() >= (int64_t)bytes);
    check(w->short_since_ms == 0);
    check(w->seen_short_ms == 0 ||
            now_ms() + MEMORY_LOOK_MS >= w->seen_short_ms + RESIDENCY_CALM_MS);
    for (size_t i = 0; i < MODELS; i++)
        check(w->models[i].committed_bytes == 0 || w->models[i].resident || w->models[i].stopping);
}

/* Beside its model an engine's program takes some, but not so much that it counts as outgrown. */
static uint64_t real_bytes(const struct model *model)
{
    return number_lesser(model->committed_bytes / 100 * model->real_percent,
            model->committed_bytes + INSTANCE_PROGRAM_BYTES);
}

static void on_start(void *ctx, const char *name, struct machine_plan *ret_plan)
{
    struct model *model = model_of(name);

    (void)ctx;
    check_start(model);
    model->committed_bytes = counted_bytes(model);
    model->began_ms = now_ms();
    model->served = model->given_up = 0;
    w->tally.loads++;
    w->tally.forced += model->wait_count == 0;
    *ret_plan = (struct machine_plan){
            .bytes = real_bytes(model),
            .load_ms = (uint32_t)(model->file_bytes / LOAD_BYTES_PER_MS),
            .run_ms = 100 + (uint32_t)below(RUN_MAX_MS - 100),
            .stop_ms = (uint32_t)below(STOP_MAX_MS),
            .lag_ms = (uint32_t)below(LAG_MAX_MS),
            .fails = chance(4),
            .dies = chance(2),
    };
}

static void on_ready(void *ctx, const char *name)
{
    struct model *model = model_of(name);

    (void)ctx;
    if (model->stopping)
        return;
    model->resident = true;
    model->restart = false;
    model->resident_ms = model->idle_since_ms = now_ms();
}

/* Somebody whose turn it is may have the memory. */
static bool is_displaced(const struct model *model)
{
    for (size_t i = 0; i < MODELS; i++) {
        const struct model *other = &w->models[i];
        bool pardoned = other->failed_ms == 0 || now_ms() >= other->failed_ms + RESIDENCY_PARDON_MS;
        if (other != model && other->committed_bytes == 0 && pardoned && !other->gone &&
                (other->pinned || other->wait_count > 0))
            return true;
    }
    return false;
}

static void check_stop(const struct model *model)
{
    check(model->run_count == 0);
    if (w->draining || model->gone || model->replaced || model->unloaded)
        return;
    check(!model->pinned);
    if (was_short() || committed_bytes() > w->limit_bytes) {
        w->tally.reclaimed++;
        w->tally.forced++;
        return;
    }
    check(model->resident);
    check(now_ms() >=
            model->resident_ms + RESIDENCY_TENURE * (model->resident_ms - model->began_ms));
    check(is_displaced(model));
    /* Nobody waited for it in vain: no loop of evict and reload. */
    check(model->served > 0 || model->given_up > 0 || model->wait_count == 0);
    w->tally.displaced++;
}

static void on_stop(void *ctx, const char *name)
{
    struct model *model = model_of(name);

    (void)ctx;
    check_stop(model);
    if (model->gone || model->replaced || model->unloaded)
        w->tally.forced++;
    if (!model->resident && !model->unloaded)
        model->failed_ms = now_ms(); /* a load that is broken off counts as one that failed */
    model->stopping = true;
}

static void on_exit_of_engine(void *ctx, const char *name)
{
    struct model *model = model_of(name);

    (void)ctx;
    if (!model->stopping) {
        w->tally.failures++;
        model->failed_ms = model->unloaded ? model->failed_ms : now_ms();
        model->restart = model->resident && !model->unloaded;
    }
    model->committed_bytes = 0;
    model->resident = model->stopping = model->replaced = model->unloaded = false;
    note_shortage();
}

static void waited(const struct request *request)
{
    w->tally.longest_wait_ms =
            number_greater(w->tally.longest_wait_ms, now_ms() - request->asked_ms);
    w->models[request->model].wait_count--;
}

static void note_service(const struct request *request)
{
    struct model *model = &w->models[request->model];

    model->served++;
    w->services[w->service_count++] = (struct offline_service){.asked_ms = request->asked_ms,
            .model = request->model,
            .bytes = model->committed_bytes};
}

static void on_run(void *ctx, const char *request_id)
{
    struct request *request = &w->requests[strtoul(request_id + 1, NULL, 10)];
    struct model *model = &w->models[request->model];

    (void)ctx;
    check(model->resident && !model->stopping && !model->gone && !request->runs);
    waited(request);
    request->runs = true;
    model->run_count++;
    w->tally.served++;
    note_service(request);
}

/* Why there is no memory for it, by our own count. */
static void check_no_memory(const struct model *model, const char *message)
{
    uint64_t bytes = counted_bytes(model), pinned = 0;
    int64_t spare = spare_to_come_bytes();

    check(strstr(message, "ten minutes") == NULL);
    for (size_t i = 0; i < MODELS; i++) {
        const struct model *other = &w->models[i];
        bool stays = other->pinned && !other->gone;
        pinned += stays ? other->committed_bytes : 0;
        if (stays && other->stopping)
            spare -= (int64_t)known_bytes(other); /* it comes again */
        else if (!stays && !other->stopping)
            spare += (int64_t)other->committed_bytes;
    }
    check(bytes > w->limit_bytes || pinned + bytes > w->limit_bytes || was_short() ||
            spare < (int64_t)bytes ||
            (model->failed_ms > 0 && now_ms() < model->failed_ms + (RESIDENCY_PARDON_MS << 6)));
}

static void check_failure(const struct request *request, const struct msg_fail *fail)
{
    const struct model *model = &w->models[request->model];

    switch (fail->code) {
    case FAIL_NO_MEMORY:
        check(!request->runs);
        check_no_memory(model, fail->message);
        w->tally.refused++;
        break;
    case FAIL_NO_MODEL:
        check(!request->runs && model->gone);
        w->tally.refused++;
        break;
    case FAIL_ENGINE_DIED:
        check(request->runs || model->failed_ms > 0);
        w->tally.died++;
        break;
    case FAIL_DRAINING:
        check(w->draining);
        break;
    default:
        broken(fail_code_name(fail->code));
    }
}

static void close_request(const struct request *request)
{
    size_t k = 0;

    while (w->open[k] != request)
        k++;
    w->open[k] = w->open[--w->open_count];
    if (request->stream != 0)
        stream_table_remove(w->streams, request->stream);
}

static void end_run(const struct request *request)
{
    struct model *model = &w->models[request->model];

    model->run_count--;
    model->idle_since_ms = now_ms();
}

static void on_send(void *ctx, const struct msg *msg)
{
    const struct msg_fail *fail = msg->type == MSG_FAIL ? &msg->fail : NULL;
    uint64_t stream = fail != NULL ? fail->stream : msg->end.stream;
    struct request *request;

    (void)ctx;
    if (msg->type != MSG_END && msg->type != MSG_FAIL)
        return;
    request = stream_table_get(w->streams, stream);
    check(request != NULL);
    if (fail != NULL)
        check_failure(request, fail);
    else
        check(request->runs);
    if (request->runs)
        end_run(request);
    else
        waited(request);
    close_request(request);
}

static void on_loaded(void *ctx, const struct msg_fail *fail)
{
    struct request *request = ctx;

    if (fail != NULL)
        check_failure(request, fail);
    else
        note_service(request);
    w->tally.ordered += fail == NULL;
    waited(request);
    close_request(request);
}

/* --- its promises, at every step --- */

/* It can go, and has not been told to. */
static bool is_idle(const struct model *model)
{
    return model->resident && !model->stopping && !model->pinned && model->run_count == 0 &&
           model->wait_count == 0;
}

static void check_shortage(const struct model *model)
{
    uint64_t idle_ms;

    if (w->short_since_ms == 0 || !is_idle(model))
        return;
    idle_ms = now_ms() - number_greater(w->short_since_ms, model->idle_since_ms);
    check(idle_ms <= RECLAIM_MS);
    w->tally.longest_reclaim_ms = number_greater(w->tally.longest_reclaim_ms, idle_ms);
}

/* Each wait is over once all that may come before it has been, at its longest: every other model
 * once, each for the price of displacing all others, a tenure, its last runs, the stop and its
 * memory, the calm, a load, and one load that slips in. */
static uint64_t longest_wait_allowed_ms(void)
{
    uint64_t bytes = 0, load_ms, guess_ms, turn_ms;

    for (size_t i = 0; i < MODELS; i++)
        if (w->models[i].file_bytes < w->limit_bytes)
            bytes = number_greater(bytes, w->models[i].file_bytes);
    load_ms = bytes / LOAD_BYTES_PER_MS;
    guess_ms = bytes / (LOAD_BYTES_PER_MS / 2); /* before it was measured */
    turn_ms = RESIDENCY_TENURE * load_ms + RUN_MAX_MS + STOP_MAX_MS + RESIDENCY_SETTLE_MS +
              RESIDENCY_CALM_MS + 2 * load_ms;
    return (MODELS - 1) * 2 * guess_ms + MODELS * turn_ms;
}

static void check_wait(const struct request *request)
{
    const struct model *model = &w->models[request->model];
    uint64_t waited_ms = now_ms() - request->asked_ms;

    if (request->runs)
        return;
    check(waited_ms <= longest_wait_allowed_ms());
    /* … and refused meanwhile. */
    if (w->short_since_ms > 0 && model->committed_bytes == 0)
        check(now_ms() - number_greater(w->short_since_ms, request->asked_ms) <= RECLAIM_MS);
}

static void check_all(void)
{
    check(committed_bytes() <= w->limit_bytes);
    for (size_t i = 0; i < MODELS; i++)
        check_shortage(&w->models[i]);
    for (size_t k = 0; k < w->open_count; k++)
        check_wait(w->open[k]);
    w->tally.steps++;
}

/* --- events --- */

static void request_arrives(void)
{
    size_t i = chance(50) ? w->favourite : below(MODELS);

    if (!w->models[i].gone)
        ask(i);
}

static void favourite_changes(void)
{
    if (chance(5))
        w->favourite = below(MODELS - 1);
}

/* In the second half of a run nobody else takes memory, and the favourite is never idle by itself:
 * then only the rules end a wait. */
static bool crowded(void)
{
    return w->events > EVENTS / 2;
}

static void hog(void)
{
    const struct model *model = &w->models[w->favourite];

    if (crowded() && !model->gone && model->run_count == 1 && model->wait_count == 0)
        ask(w->favourite);
}

static void request_is_given_up(void)
{
    struct request *request;

    if (w->open_count == 0)
        return;
    request = w->open[below(w->open_count)];
    if (request->stream == 0)
        instance_unwait(&request->wait);
    else
        say(&(struct msg){.type = MSG_CANCEL, .cancel = {.stream = request->stream}});
    if (request->runs) {
        end_run(request);
    } else {
        w->models[request->model].wait_count--;
        w->models[request->model].given_up++;
    }
    close_request(request);
    w->tally.given_up++;
}

static void load_is_ordered(void)
{
    size_t i = below(MODELS);
    const struct supervisor_load load = {.name = w->models[i].name};
    char text[SUPERVISOR_TEXT_MAX];
    struct request *request;
    enum order_way way;

    if (w->models[i].gone)
        return;
    way = supervisor_rehearse(w->supervisor, &load, text);
    if (way == ORDER_WAY_NONE)
        return;
    request = open_request(i);
    request->wait = (struct instance_wait){.fn = on_loaded, .ctx = request};
    supervisor_load(w->supervisor, &load, way, &request->wait);
}

static void unload_is_ordered(void)
{
    struct model *model = &w->models[below(MODELS)];

    if (model->committed_bytes == 0 || model->stopping)
        return;
    supervisor_unload(w->supervisor, model->name);
    model->unloaded = true;
    model->restart = false;
    w->tally.unloaded++;
}

static size_t pinned_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < MODELS; i++)
        count += w->models[i].pinned;
    return count;
}

static void model_is_pinned_or_not(void)
{
    struct model *model = &w->models[below(MODELS)];

    if (model->gone || (!model->pinned && pinned_count() == PINNED_MAX))
        return;
    model->pinned = !model->pinned;
    model->idle_since_ms = now_ms();
    put(model);
}

static void file_goes_or_comes(void)
{
    struct model *model = &w->models[below(MODELS)];

    if (!model->gone && chance(20)) {
        supervisor_model_gone(w->supervisor, model->name);
        model->gone = true;
        model->pinned = model->restart = false;
    } else if (model->gone && supervisor_find(w->supervisor, model->name) == NULL) {
        model->failed_ms = 0;
        put(model);
    }
}

static void file_changes(void)
{
    struct model *model = &w->models[below(MODELS - 1)];

    if (model->gone || chance(50))
        return;
    model->file_bytes = (1 + below(10)) * gib / 2;
    model->version++;
    model->replaced = model->committed_bytes > 0;
    model->failed_ms = 0;
    put(model);
}

static void engine_dies(void)
{
    if (machine_kill(&w->machine, w->models[below(MODELS)].name))
        w->tally.forced++;
}

static void others_take_or_return(void)
{
    bool nothing = crowded() || chance(50);

    machine_set_foreign(&w->machine, nothing ? 0 : below(w->machine.total_bytes / gib) * gib);
}

static void event(void)
{
    static const struct {
        unsigned percent;
        void (*happen)(void);
    } kinds[] = {{74, request_arrives}, {2, favourite_changes}, {4, request_is_given_up},
            {3, load_is_ordered}, {3, unload_is_ordered}, {2, model_is_pinned_or_not},
            {3, file_goes_or_comes}, {2, file_changes}, {2, engine_dies},
            {5, others_take_or_return}};
    uint64_t drawn = below(100);
    size_t k = 0;

    while (drawn >= kinds[k].percent)
        drawn -= kinds[k++].percent;
    kinds[k].happen();
    note_shortage();
    w->events++;
}

/* --- runs --- */

static void step(uint64_t until_ms)
{
    machine_step(&w->machine, until_ms);
    note_shortage();
    check_all();
}

static void pass_until(uint64_t until_ms)
{
    while (now_ms() < until_ms) {
        step(until_ms);
        hog();
    }
}

static void on_change(void *ctx, const char *model)
{
    (void)ctx;
    (void)model;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    w->stopped = true;
}

static void begin_node(void)
{
    static const struct supervisor_events events = {
            .on_change = on_change, .on_stopped = on_stopped};
    const struct worker_sink sink = {.send = on_send};
    struct supervisor_config config = {.node_name = "sim",
            .memory = {.limit_bytes = w->limit_bytes, .reserve_bytes = MEMORY_RESERVE_DEFAULT}};
    struct err err = {.text = ""};

    machine_config(&w->machine, &config);
    if (supervisor_create(&w->machine.loop, &config, &events, NULL, &w->supervisor, &err) < 0)
        fail_msg("%s", err.text);
    w->worker = worker_create(&w->machine.world.env, w->supervisor, &sink);
    assert_non_null(w->worker);
    assert_int_equal(worker_session_begin(w->worker, EPOCH), 0);
    w->streams = stream_table_create(EPOCH);
    assert_non_null(w->streams);
}

/* From small to larger than the limit; one takes a tenth more than is counted for it. */
static void furnish(void)
{
    for (size_t i = 0; i < MODELS; i++) {
        struct model *model = &w->models[i];
        (void)snprintf(model->name, sizeof model->name, "m%zu", i);
        model->file_bytes = i == MODELS - 1 ? 9 * gib : (1 + below(10)) * gib / 2;
        model->real_percent = i == 2 ? 110 : 90 + (unsigned)below(11);
        put(model);
    }
}

/* All that waits is told, all that runs ends, and no engine is left. */
static void end_node(void)
{
    uint64_t until_ms = now_ms() + 10 * (uint64_t)SUPERVISOR_GRACE_MS;

    worker_session_end(w->worker);
    for (size_t i = 0; i < MODELS; i++)
        w->models[i].run_count = 0;
    w->draining = true;
    supervisor_drain(w->supervisor);
    while (!w->stopped && now_ms() < until_ms)
        machine_step(&w->machine, until_ms);
    check(w->stopped);
    worker_destroy(w->worker);
    stream_table_destroy(w->streams);
    supervisor_destroy(w->supervisor);
    machine_fini(&w->machine);
}

static void report(unsigned least)
{
    const struct tally *t = &w->tally;

    print_message(
            "# %u steps, %u requests, %u served, %u loaded and %u unloaded by order, %u refused, "
            "%u died, %u given up; %u loads, %u failures, %u displaced, %u reclaimed in %u "
            "shortages, at the latest after %" PRIu64
            " ms, %u forced, at least %u; longest wait %" PRIu64 " s of %" PRIu64 " s\n",
            t->steps, t->requests, t->served, t->ordered, t->unloaded, t->refused, t->died,
            t->given_up, t->loads, t->failures, t->displaced, t->reclaimed, t->shortages,
            t->longest_reclaim_ms, t->forced, least, t->longest_wait_ms / 1000,
            longest_wait_allowed_ms() / 1000);
}

/* The run has seen what it is meant to see, and no more loads than its requests justify. */
static void check_tally(unsigned least)
{
    const struct tally *t = &w->tally;

    check(t->served > EVENTS / 10);
    check(t->displaced > 0 && t->reclaimed > 0 && t->failures > 0 && t->refused > 0);
    check(t->loads * 100 <= LOADS_PERCENT * (least + t->failures + t->forced));
}

static void run(uint64_t seed)
{
    static const struct machine_events events = {.on_start = on_start,
            .on_ready = on_ready,
            .on_stop = on_stop,
            .on_exit = on_exit_of_engine,
            .on_run = on_run};
    unsigned least;

    print_message("# MODEMESH_SEED=%" PRIu64 "\n", seed);
    w->seed = seed;
    w->limit_bytes = 8 * gib;
    w->keep_free_bytes = gib;
    machine_init(&w->machine, (enum machine_kind)(seed % MACHINE_KIND_COUNT), 16 * gib, seed,
            &events, NULL);
    begin_node();
    furnish();
    while (w->events < EVENTS) {
        pass_until(now_ms() + gap_ms());
        event();
    }
    least = offline_loads(w->services, w->service_count, w->limit_bytes);
    report(least);
    check_tally(least);
    end_node();
}

static void test_random_events(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21};
    const char *seed = getenv("MODEMESH_SEED");
    size_t count = seed != NULL ? 1 : sizeof seeds / sizeof *seeds;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        w = calloc(1, sizeof *w);
        assert_non_null(w);
        run(seed != NULL ? strtoull(seed, NULL, 10) : seeds[i]);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_events)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_residency", tests, NULL, NULL);
}
