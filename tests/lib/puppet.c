#include "tests/lib/puppet.h"

#include "node/backends/found/adopted.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PUPPETS_MAX = 32 };

struct instance_backend {
    char model[128];
    uint32_t capabilities;
    const struct backend_events *events;
    void *ctx;
    char *last_words; /* lives as long as the engine, no longer */
    unsigned serial;
    bool used, running, stopping, lent;
};

struct run {
    struct instance_backend *engine;
    const struct run_events *events;
    void *ctx;
    char *body;
    enum request_kind kind;
    uint64_t session;
    uint32_t prompt_tokens;
    bool open, paused, cancelled;
};

struct starts {
    char model[128];
    unsigned count;
};

static struct instance_backend engines[PUPPETS_MAX];
static struct starts starts[PUPPETS_MAX];
static struct run runs[PUPPET_RUNS_MAX];
static size_t run_count;
static bool fail_next_start;
static int refuse_next_run;
static int64_t own_pid;

static unsigned last_serial;

static bool is_called(const struct instance_backend *engine, const char *name, size_t len)
{
    return engine->used && strlen(engine->model) == len && strncmp(engine->model, name, len) == 0;
}

/* The newest, or the one before it. */
static struct instance_backend *find(const char *name)
{
    size_t len = strcspn(name, "@");
    struct instance_backend *newest = NULL, *older = NULL;

    for (size_t i = 0; i < PUPPETS_MAX; i++) {
        struct instance_backend *engine = &engines[i];
        if (!is_called(engine, name, len))
            continue;
        if (newest == NULL || engine->serial > newest->serial) {
            older = newest;
            newest = engine;
        } else {
            older = engine;
        }
    }
    return name[len] == '@' ? older : newest;
}

static struct starts *starts_of(const char *model)
{
    for (size_t i = 0; i < PUPPETS_MAX; i++)
        if (starts[i].count == 0 || strcmp(starts[i].model, model) == 0)
            return &starts[i];
    abort();
}

/* The model's, for sure once it runs. */
static uint32_t expect(const struct backend_host *host, const struct backend_model *model)
{
    (void)host;
    return model->capabilities;
}

static struct instance_backend *create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    (void)host;
    (void)err;
    for (size_t i = 0; i < PUPPETS_MAX; i++) {
        if (engines[i].used)
            continue;
        engines[i] = (struct instance_backend){
                .capabilities = model->capabilities, .events = events, .ctx = ctx, .used = true};
        engines[i].serial = ++last_serial;
        engines[i].lent = model->adopted != NULL && model->adopted->lent;
        (void)snprintf(engines[i].model, sizeof engines[i].model, "%s", model->name);
        return &engines[i];
    }
    abort();
}

static void destroy(struct instance_backend *engine)
{
    if (engine == NULL)
        return;
    assert(!engine->running);
    free(engine->last_words);
    engine->last_words = NULL;
    engine->used = false;
}

static int start(struct instance_backend *engine, struct err *err)
{
    struct starts *count = starts_of(engine->model);

    if (fail_next_start) {
        fail_next_start = false;
        return err_set(err, -ENOENT, "no such engine");
    }
    (void)snprintf(count->model, sizeof count->model, "%s", engine->model);
    count->count++;
    engine->running = true;
    return 0;
}

static void stop(struct instance_backend *engine)
{
    engine->stopping = true;
}

static int64_t pid(const struct instance_backend *engine)
{
    (void)engine;
    return own_pid;
}

static int refuse(struct err *err)
{
    int error = refuse_next_run;

    refuse_next_run = 0;
    return err_set(err, error, "not here");
}

static int run(struct instance_backend *engine, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    struct run *r = &runs[run_count];

    assert(engine->running && run_count < PUPPET_RUNS_MAX);
    if (spec->body_len == 0)
        return err_set(err, -EINVAL, "an empty body");
    if (refuse_next_run != 0)
        return refuse(err);
    *r = (struct run){.engine = engine, .events = events, .ctx = ctx, .open = true};
    r->kind = spec->kind;
    r->session = spec->session;
    r->prompt_tokens = spec->prompt_tokens;
    r->body = strndup(spec->body, spec->body_len);
    run_count++;
    *ret_run = r;
    return 0;
}

static void run_cancel(struct run *r)
{
    assert(r->open);
    r->open = false;
    r->cancelled = true;
}

static void run_pause(struct run *r)
{
    assert(r->open);
    r->paused = true;
}

static void run_resume(struct run *r)
{
    assert(r->open);
    r->paused = false;
}

const struct backend_ops puppet_ops = {
        .name = "puppet",
        .expect = expect,
        .create = create,
        .destroy = destroy,
        .start = start,
        .stop = stop,
        .pid = pid,
        .run = run,
        .run_cancel = run_cancel,
        .run_pause = run_pause,
        .run_resume = run_resume,
};

void puppet_reset(void)
{
    for (size_t i = 0; i < PUPPETS_MAX; i++)
        assert(!engines[i].used);
    for (size_t i = 0; i < run_count; i++) {
        assert(!runs[i].open);
        free(runs[i].body);
    }
    memset(starts, 0, sizeof starts);
    run_count = 0;
    fail_next_start = false;
    refuse_next_run = 0;
    own_pid = 0;
}

bool puppet_running(const char *model)
{
    return find(model) != NULL && find(model)->running;
}

bool puppet_stopping(const char *model)
{
    return find(model) != NULL && find(model)->stopping;
}

bool puppet_lent(const char *model)
{
    return find(model) != NULL && find(model)->lent;
}

unsigned puppet_starts(const char *model)
{
    return starts_of(model)->count;
}

void puppet_refuse_next_run(int error)
{
    refuse_next_run = error;
}

void puppet_set_pid(int64_t pid)
{
    own_pid = pid;
}

void puppet_fail_next_start(void)
{
    fail_next_start = true;
}

void puppet_ready(const char *model, uint32_t slots, uint32_t context)
{
    struct instance_backend *engine = find(model);

    assert(engine != NULL && engine->running);
    engine->events->on_ready(engine->ctx, slots, context, engine->capabilities | CAPABILITY_EXACT);
}

void puppet_measured(const char *model, uint64_t bytes, uint32_t output_rows)
{
    const struct backend_measured measured = {
            .device_bytes = bytes, .host_bytes = bytes, .output_rows = output_rows};

    puppet_says(model, &measured);
}

void puppet_says(const char *model, const struct backend_measured *measured)
{
    struct instance_backend *engine = find(model);

    assert(engine != NULL && engine->running);
    engine->events->on_measured(engine->ctx, measured);
}

void puppet_exit(const char *model, const char *reason)
{
    static const struct msg_fail died = {.code = FAIL_ENGINE_DIED, .message = "the engine died"};
    struct instance_backend *engine = find(model);

    assert(engine != NULL && engine->running);
    for (size_t i = 0; i < run_count; i++)
        if (runs[i].open && runs[i].engine == engine)
            puppet_run_end(i, &died);
    engine->running = false;
    engine->last_words = strdup(reason);
    engine->events->on_exit(engine->ctx, engine->stopping, engine->last_words);
}

size_t puppet_run_count(void)
{
    return run_count;
}

enum request_kind puppet_run_kind(size_t index)
{
    assert(index < run_count);
    return runs[index].kind;
}

uint64_t puppet_run_session(size_t index)
{
    assert(index < run_count);
    return runs[index].session;
}

uint32_t puppet_run_prompt_tokens(size_t index)
{
    assert(index < run_count);
    return runs[index].prompt_tokens;
}

const char *puppet_run_body(size_t index)
{
    return runs[index].body;
}

bool puppet_run_paused(size_t index)
{
    return runs[index].paused;
}

bool puppet_run_cancelled(size_t index)
{
    return runs[index].cancelled;
}

bool puppet_run_open(size_t index)
{
    return runs[index].open;
}

void puppet_run_delta(size_t index, enum delta_kind kind, const char *data, size_t len)
{
    const struct msg_delta delta = {.kind = kind, .data = data, .len = len};

    assert(runs[index].open);
    runs[index].events->on_delta(runs[index].ctx, &delta);
}

void puppet_run_usage(size_t index, const struct msg_usage *usage)
{
    const struct msg_delta delta = {.kind = DELTA_USAGE, .usage = *usage};

    assert(runs[index].open);
    runs[index].events->on_delta(runs[index].ctx, &delta);
}

void puppet_run_end(size_t index, const struct msg_fail *fail)
{
    assert(runs[index].open);
    runs[index].open = false;
    runs[index].events->on_end(runs[index].ctx, fail);
}
