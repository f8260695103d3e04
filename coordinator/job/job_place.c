#include "coordinator/job/job_internal.h"

#include "coordinator/scheduling/affinity.h"

static double now_s(const struct job *job)
{
    return (double)job_now_us(job) / 1e6;
}

/* 0: its client ties it to nothing. */
static uint64_t conversation_of(const struct job *job)
{
    const struct request *request = &job->request;
    if (!job->jobs->config.affinities || !request->session[0])
        return 0;
    return affinity_id(request->client, request->session);
}

void job_find_place(const struct job *job, struct router_ask *ask)
{
    uint64_t id = conversation_of(job);
    const struct affinity *place =
            id ? affinities_find(job->jobs->config.affinities, id, now_s(job)) : NULL;
    for (size_t i = 0; place && place->epoch && i < ask->model_count; i++)
        if (affinity_model(ask->models[i]) == place->model) {
            ask->session_epoch = place->epoch;
            ask->session_model = ask->models[i];
        }
}

void job_note_place(const struct job *job)
{
    const struct prefix_chain *chain = &job->request.chain;
    uint64_t id = conversation_of(job);
    struct affinity *place =
            id ? affinities_touch(job->jobs->config.affinities, id, now_s(job)) : NULL;
    if (!place)
        return;
    place->epoch = job->epoch;
    place->model = affinity_model(job->model);
    place->blocks = (uint32_t)chain->count;
    place->last_block = chain->count ? chain->hashes[chain->count - 1] : 0;
}
