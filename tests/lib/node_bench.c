#include "tests/lib/node_bench.h"

#include "common/log.h"
#include "tests/lib/settings_maker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TOTAL_BYTES (UINT64_C(8) << 30)

static void on_change(void *ctx, const char *model)
{
    struct node_bench *bench = ctx;

    if (bench->on_change != NULL)
        bench->on_change(bench->ctx, model);
}

static void on_stopped(void *ctx)
{
    (void)ctx;
}

static void put_model(struct node_bench *bench, const char *name)
{
    const struct catalogue_model model = {.name = name,
            .path = name,
            .file_bytes = 1 << 20,
            .context = 4096,
            .architecture = "llama",
            .quantisation = "Q8_0",
            .modified_ns = INT64_C(1700000000500000000),
            .parameters = 1000000,
            .capabilities = CAPABILITY_CHAT};

    supervisor_model_put(bench->supervisor, &model, settings_make(0, 2, false));
}

void node_bench_set_free(struct node_bench *bench, uint64_t bytes)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: %" PRIu64 " kB\nMemAvailable: %" PRIu64 " kB\n",
            TOTAL_BYTES / 1024, bytes / 1024);
    scratch_write(&bench->scratch, "proc/meminfo", text);
}

void node_bench_init(struct node_bench *bench)
{
    static const struct supervisor_events events = {
            .on_change = on_change, .on_stopped = on_stopped};
    struct supervisor_config config;
    struct err err;

    log_init("test", LOG_LEVEL_ERROR);
    *bench = (struct node_bench){0};
    virtual_env_init(&bench->world);
    scratch_init(&bench->scratch);
    node_bench_set_free(bench, TOTAL_BYTES);
    if (loop_init(&bench->loop) < 0)
        abort();
    config = (struct supervisor_config){.ops = &puppet_ops,
            .host = {.loop = &bench->loop, .env = &bench->world.env},
            .node_name = "halo1",
            .memory = {.hardware = {.root = bench->scratch.path, .nvml = ""}}};
    if (supervisor_create(&bench->loop, &config, &events, bench, &bench->supervisor, &err) < 0)
        abort();
    put_model(bench, "m");
    put_model(bench, "other");
}

void node_bench_tick(struct node_bench *bench, uint64_t ms)
{
    virtual_env_advance_ms(&bench->world, ms);
    supervisor_tick(bench->supervisor);
}

void node_bench_fini(struct node_bench *bench)
{
    static const char *const names[] = {"m", "other"};

    supervisor_drain(bench->supervisor);
    node_bench_tick(bench, 0);
    for (size_t i = 0; i < 2; i++)
        if (puppet_running(names[i]))
            puppet_exit(names[i], "stopped");
    supervisor_destroy(bench->supervisor);
    puppet_reset();
    loop_fini(&bench->loop);
    scratch_fini(&bench->scratch);
}

static void on_ready(void *ctx, const struct msg_fail *fail)
{
    (void)ctx;
    if (fail != NULL)
        abort();
}

void node_bench_load(struct node_bench *bench)
{
    struct instance_wait wait = {.fn = on_ready};

    instance_wait(supervisor_find(bench->supervisor, "m"), &wait);
    node_bench_tick(bench, 0);
    puppet_ready("m", 2, 4096);
    node_bench_tick(bench, 0);
}
