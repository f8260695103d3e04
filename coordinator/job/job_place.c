#include "coordinator/job/job_internal.h"

#include "coordinator/scheduling/affinity.h"

static double now_s(const struct job *job)
{
    return (double)job_now_us(job) / 1e6;
}

uint64_t job_conversation(const struct job *job)
{
    const struct request *request = &job->request;
    const struct affinities *affinities = job->jobs->config.affinities;
    bool is_tied = affinities && request->session[0];
    return is_tied ? affinity_id(affinities, request->client, request->session) : 0;
}

void job_find_place(const struct job *job, struct router_ask *ask)
{
    struct affinities *affinities = job->jobs->config.affinities;
    uint64_t id = job_conversation(job);
    const struct affinity *place = id ? affinities_find(affinities, id, now_s(job)) : NULL;
    for (size_t i = 0; place && place->epoch && i < ask->model_count; i++)
        if (affinity_model(ask->models[i]) == place->model) {
            ask->session_epoch = place->epoch;
            ask->session_model = ask->models[i];
        }
}

void job_note_place(const struct job *job)
{
    const struct prefix_chain *chain = &job->request.chain;
    struct affinities *affinities = job->jobs->config.affinities;
    uint64_t id = job_conversation(job);
    struct affinity *place = id ? affinities_touch(affinities, id, now_s(job)) : NULL;
    if (!place)
        return;
    place->epoch = job->epoch;
    place->model = affinity_model(job->model);
    place->blocks = (uint32_t)chain->count;
    place->last_block = chain->count ? chain->hashes[chain->count - 1] : 0;
}
