/* Models that Ollama runs. They are loaded by a generation without a prompt (embedding models by an
 * embedding of nothing) and unloaded by a `keep_alive` of 0. No `num_ctx` is ever sent: requests
 * run over OpenAI's endpoints, which cannot send it, and Ollama loads a model anew for a request
 * that asks for another context than the one it has. */
#include "node/backends/engine_runs.h"
#include "node/backends/found/adopted.h"

#include <string.h>

static int name_model(const char *id, struct buf *json)
{
    int r = buf_append_str(json, "{\"model\":");

    return r == 0 ? json_append_str(json, id, strlen(id)) : r;
}

static int ollama_load(const char *id, uint32_t capabilities, struct adopted_wish *wish)
{
    bool talks = capabilities == 0 || (capabilities & CAPABILITY_CHAT);
    int r = name_model(id, &wish->json);

    wish->path = talks ? "/api/generate" : "/api/embed";
    if (r == 0)
        r = buf_append_str(&wish->json, talks ? ",\"stream\":false" : ",\"input\":[]");
    if (r == 0)
        r = buf_appendf(&wish->json, ",\"keep_alive\":\"%ds\"}", ADOPTED_LEASE_S);
    return r;
}

static int ollama_unload(const char *id, struct adopted_wish *wish)
{
    int r = name_model(id, &wish->json);

    wish->path = "/api/generate";
    return r == 0 ? buf_append_str(&wish->json, ",\"stream\":false,\"keep_alive\":0}") : r;
}

static const struct adopted_ways ways = {ollama_load, ollama_unload};

static struct instance_backend *ollama_create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    return adopted_create(&ways, host, model, events, ctx, err);
}

const struct backend_ops backend_ollama = {
        .name = "ollama",
        .expect = adopted_expect,
        .create = ollama_create,
        .destroy = adopted_destroy,
        .start = adopted_start,
        .stop = adopted_stop,
        .pid = adopted_pid,
        .run = adopted_run,
        .run_cancel = engine_runs_cancel,
        .run_pause = engine_runs_pause,
        .run_resume = engine_runs_resume,
};
