/* Models that a server with OpenAI's endpoints runs: vLLM, LM Studio, Lemonade, a llama-server that
 * was started by hand. It has a model in its memory or does not; nothing is loaded or unloaded. */
#include "node/backends/engine_runs.h"
#include "node/backends/found/adopted.h"

static struct instance_backend *openai_create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    return adopted_create(NULL, host, model, events, ctx, err);
}

const struct backend_ops backend_openai = {
        .name = "openai",
        .expect = adopted_expect,
        .create = openai_create,
        .destroy = adopted_destroy,
        .start = adopted_start,
        .stop = adopted_stop,
        .pid = adopted_pid,
        .run = adopted_run,
        .run_cancel = engine_runs_cancel,
        .run_pause = engine_runs_pause,
        .run_resume = engine_runs_resume,
};
