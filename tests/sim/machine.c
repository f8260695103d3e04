#include "tests/sim/machine.h"

#include "common/log.h"
#include "tests/lib/recorded_host.h"
#include "tests/sim/virtual_clock.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GROWTH_MS = 250, /* a load takes its memory in steps of so long */
    SLOTS = 256,
    FIRST_PID = 1000,
    SCRIPT_MAX = 128,
    FILE_MAX = 256,
    KIB = 1024,
};

static struct machine *machine; /* the one */

uint64_t machine_now_ms(const struct machine *m)
{
    return env_now_ms(&m->world.env);
}

/* --- memory --- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t bytes_of(const struct machine *m, const struct machine_engine *engine)
{
    uint64_t passed_ms = machine_now_ms(m) - engine->began_ms;

    if (engine->model == NULL)
        return 0;
    if (engine->loaded || passed_ms >= engine->plan.load_ms)
        return engine->plan.bytes;
    return engine->plan.bytes / engine->plan.load_ms * (passed_ms / GROWTH_MS * GROWTH_MS) / KIB *
           KIB;
}

uint64_t machine_lagging_bytes(const struct machine *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < MACHINE_LAGS_MAX; i++)
        if (machine_now_ms(m) < m->lags[i].until_ms)
            sum += m->lags[i].bytes;
    return sum;
}

uint64_t machine_free_bytes(const struct machine *m)
{
    uint64_t used = m->foreign_bytes + machine_lagging_bytes(m);

    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++)
        used += bytes_of(m, &m->engines[i]);
    return less(m->total_bytes, used);
}

static void give_back(struct machine *m, const struct machine_engine *engine)
{
    size_t i = 0;

    while (machine_now_ms(m) < m->lags[i].until_ms)
        i++;
    assert(i < MACHINE_LAGS_MAX);
    m->lags[i].bytes = bytes_of(m, engine);
    m->lags[i].until_ms = machine_now_ms(m) + engine->plan.lag_ms;
}

/* --- what the node's readers find --- */

/* Texts of one file have one length: it is never cut, which file systems are slow at. */
static void rewrite(struct machine *m, size_t file, const char *name, const char *text)
{
    if (m->fds[file] < 0) {
        scratch_write(&m->files, name, text);
        m->fds[file] = open(scratch_path(&m->files, name), O_WRONLY | O_CLOEXEC);
    }
    if (pwrite(m->fds[file], text, strlen(text), 0) != (ssize_t)strlen(text))
        abort();
}

static void show_process(struct machine *m, size_t i)
{
    char name[FILE_MAX], text[FILE_MAX];

    (void)snprintf(name, sizeof name, "proc/%zu/task/%zu/children", FIRST_PID + i, FIRST_PID + i);
    if (m->fds[1 + i] < 0)
        scratch_write(&m->files, name, "");
    (void)snprintf(name, sizeof name, "proc/%zu/status", FIRST_PID + i);
    (void)snprintf(text, sizeof text, "Name:\tfake\nRssAnon:\t%20" PRIu64 " kB\nRssShmem:\t0 kB\n",
            bytes_of(m, &m->engines[i]) / KIB);
    rewrite(m, 1 + i, name, text);
}

static void show_free(struct machine *m, uint64_t bytes)
{
    char text[FILE_MAX];

    if (m->kind == MACHINE_GPU) {
        (void)snprintf(text, sizeof text, "gpus 1\n0.total %" PRIu64 "\n0.free %20" PRIu64 "\n",
                m->total_bytes, bytes);
        rewrite(m, 0, "nvml", text);
        return;
    }
    (void)snprintf(text, sizeof text,
            "MemTotal: %20" PRIu64 " kB\nMemAvailable: %20" PRIu64 " kB\n", m->total_bytes / KIB,
            bytes / KIB);
    rewrite(m, 0, "proc/meminfo", text);
}

/* Nothing of this changes without a change of what is free, other programs' share excepted. */
static void show(struct machine *m)
{
    uint64_t bytes = machine_free_bytes(m);

    if (bytes == m->shown_bytes)
        return;
    m->shown_bytes = bytes;
    show_free(m, bytes);
    for (size_t i = 0; i < MACHINE_ENGINES_MAX && m->kind == MACHINE_PROCESSES; i++)
        if (m->engines[i].model != NULL)
            show_process(m, i);
}

void machine_set_foreign(struct machine *m, uint64_t bytes)
{
    m->foreign_bytes = bytes;
    show(m);
}

/* --- engines --- */

static struct machine_engine *engine_of(const struct instance_backend *backend)
{
    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++)
        if (machine->engines[i].backend == backend)
            return &machine->engines[i];
    abort();
}

static struct machine_engine *engine_for(struct machine *m, const char *model)
{
    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++)
        if (m->engines[i].model != NULL && strcmp(m->engines[i].model, model) == 0)
            return &m->engines[i];
    return NULL;
}

uint64_t machine_taken_bytes(const struct machine *m, const char *model)
{
    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++)
        if (m->engines[i].model != NULL && strcmp(m->engines[i].model, model) == 0)
            return bytes_of(m, &m->engines[i]);
    return 0;
}

static void on_ready(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities)
{
    struct machine_engine *engine = ctx;

    engine->loaded = true;
    show(machine);
    machine->events->on_ready(machine->ctx, engine->model);
    engine->events->on_ready(engine->ctx, slots, context, capabilities);
}

static void on_exit_of_engine(void *ctx, bool wanted, const char *reason)
{
    struct machine_engine *engine = ctx;

    give_back(machine, engine);
    machine->events->on_exit(machine->ctx, engine->model);
    engine->model = NULL;
    show(machine);
    engine->events->on_exit(engine->ctx, wanted && engine->stopping, reason);
}

static void end(void *ctx)
{
    struct machine_engine *engine = ctx;

    backend_fake.stop(engine->backend);
}

static struct instance_backend *make(struct machine_engine *engine, const struct backend_host *host,
        const struct backend_model *model, struct err *err)
{
    static const struct backend_events events = {
            .on_ready = on_ready, .on_exit = on_exit_of_engine};
    const struct machine_plan *plan = &engine->plan;
    char script[SCRIPT_MAX];
    const char *const command[] = {script, NULL};
    struct backend_host own = *host;

    (void)snprintf(script, sizeof script, "fake:load=%ums,slots=%d,ttft=%ums,tokens=2%s%s",
            plan->load_ms, SLOTS, plan->run_ms, plan->fails ? ",refuse" : "",
            plan->dies ? ",die-after=1" : "");
    own.command = command;
    return backend_fake.create(&own, model, &events, engine, err);
}

static struct instance_backend *create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    struct machine_engine *engine = machine->engines;

    while (engine->backend != NULL)
        engine++;
    assert(engine < machine->engines + MACHINE_ENGINES_MAX);
    *engine = (struct machine_engine){.model = model->name, .events = events, .ctx = ctx};
    engine->began_ms = machine_now_ms(machine);
    machine->events->on_start(machine->ctx, model->name, &engine->plan);
    engine->plan.bytes -= engine->plan.bytes % KIB; /* as finely as it can be seen */
    engine->timer = loop_timer_create(host->loop, end, engine);
    engine->backend = make(engine, host, model, err);
    if (machine->kind == MACHINE_PROCESSES)
        show_process(machine, (size_t)(engine - machine->engines));
    assert(engine->timer != NULL && engine->backend != NULL);
    return engine->backend;
}

static void destroy(struct instance_backend *backend)
{
    struct machine_engine *engine;

    if (backend == NULL)
        return;
    engine = engine_of(backend);
    loop_timer_destroy(engine->timer);
    backend_fake.destroy(backend);
    *engine = (struct machine_engine){.model = NULL};
}

static void stop(struct instance_backend *backend)
{
    struct machine_engine *engine = engine_of(backend);

    if (engine->stopping)
        return;
    machine->events->on_stop(machine->ctx, engine->model);
    engine->stopping = true;
    loop_timer_start(engine->timer, engine->plan.stop_ms, 0);
}

static int64_t pid(const struct instance_backend *backend)
{
    return machine->kind == MACHINE_PROCESSES ? FIRST_PID + (engine_of(backend) - machine->engines)
                                              : 0;
}

static int run(struct instance_backend *backend, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    machine->events->on_run(machine->ctx, spec->request_id);
    return backend_fake.run(backend, spec, events, ctx, ret_run, err);
}

bool machine_kill(struct machine *m, const char *model)
{
    struct machine_engine *engine = engine_for(m, model);

    if (engine == NULL || !engine->loaded || engine->stopping)
        return false;
    backend_fake.stop(engine->backend);
    return true;
}

/* --- time --- */

static void sooner(uint64_t *at_ms, uint64_t other_ms, uint64_t now_ms)
{
    if (other_ms > now_ms && other_ms < *at_ms)
        *at_ms = other_ms;
}

static uint64_t next_ms(struct machine *m, uint64_t until_ms)
{
    uint64_t now = machine_now_ms(m), due = virtual_clock_due_ms(&m->loop), at_ms = until_ms;

    if (due < until_ms - now)
        at_ms = now + due;
    for (size_t i = 0; i < MACHINE_LAGS_MAX; i++)
        sooner(&at_ms, m->lags[i].until_ms, now);
    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++) {
        const struct machine_engine *engine = &m->engines[i];
        if (engine->model != NULL && !engine->loaded)
            sooner(&at_ms, now + GROWTH_MS - (now - engine->began_ms) % GROWTH_MS, now);
    }
    return at_ms;
}

void machine_step(struct machine *m, uint64_t until_ms)
{
    virtual_env_advance_ms(&m->world, next_ms(m, until_ms) - machine_now_ms(m));
    show(m);
    virtual_clock_run(&m->loop);
}

/* --- life --- */

void machine_init(struct machine *m, enum machine_kind kind, uint64_t total_bytes, uint64_t seed,
        const struct machine_events *events, void *ctx)
{
    log_init("sim", LOG_LEVEL_ERROR);
    *m = (struct machine){.kind = kind, .total_bytes = total_bytes, .events = events, .ctx = ctx};
    machine = m;
    virtual_env_init(&m->world);
    m->world.random = seed;
    virtual_clock_follow(&m->world);
    if (loop_init(&m->loop) < 0)
        abort();
    scratch_init(&m->files);
    m->shown_bytes = UINT64_MAX;
    for (size_t i = 0; i < MACHINE_FILES_MAX; i++)
        m->fds[i] = -1;
    if (kind == MACHINE_GPU)
        scratch_write(&m->files, "proc/meminfo", "MemTotal: 1 kB\nMemAvailable: 1 kB\n");
    show(m);
    m->ops = backend_fake;
    m->ops.create = create;
    m->ops.destroy = destroy;
    m->ops.stop = stop;
    m->ops.pid = pid;
    m->ops.run = run;
}

void machine_config(struct machine *m, struct supervisor_config *config)
{
    config->ops = &m->ops;
    config->host.loop = &m->loop;
    config->host.env = &m->world.env;
    config->memory.hardware.root = m->files.path;
    config->memory.hardware.nvml =
            m->kind == MACHINE_GPU ? recorded_nvml(scratch_path(&m->files, "nvml")) : "";
}

void machine_fini(struct machine *m)
{
    for (size_t i = 0; i < MACHINE_ENGINES_MAX; i++)
        assert(m->engines[i].backend == NULL);
    for (size_t i = 0; i < MACHINE_FILES_MAX; i++)
        if (m->fds[i] >= 0)
            (void)close(m->fds[i]);
    loop_fini(&m->loop);
    scratch_fini(&m->files);
    virtual_clock_follow(NULL);
    machine = NULL;
}
