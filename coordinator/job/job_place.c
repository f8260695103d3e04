#include "coordinator/job/job_internal.h"

#include "common/number.h"
#include "coordinator/scheduling/affinity.h"

#include <stdio.h>

enum { TYPIST_MAX = sizeof("typed at ") + REQUEST_SESSION_MAX };
_Static_assert((int)REQUEST_PEER_MAX <= (int)REQUEST_SESSION_MAX, "there is room for either");

static double now_s(const struct job *job)
{
    return (double)job_now_us(job) / 1e6;
}

static bool is_typed(const struct job *job)
{
    return job->request.lane == LANE_AUTOCOMPLETE;
}

/* Who types (job_keystroke.c) has a place beside that of the chats of the same session. */
static uint64_t id_of_typist(const struct job *job)
{
    const struct request *request = &job->request;
    char text[TYPIST_MAX];
    snprintf(text, sizeof(text), "typed at %s",
            request->session[0] ? request->session : request->peer);
    return affinity_id(job->jobs->config.affinities, request->client, text);
}

/* By what its client says, else by how it begins, unless that is too short to be recognised. */
static uint64_t id_of(const struct job *job)
{
    const struct request *request = &job->request;
    const struct affinities *affinities = job->jobs->config.affinities;
    if (!affinities)
        return 0;
    if (is_typed(job))
        return id_of_typist(job);
    if (request->session[0])
        return affinity_id(affinities, request->client, request->session);
    return request->chain.count > 0 ? request->chain.opening : 0;
}

/* What the keystrokes of a line begin with; 0: too little stands before them. In a raw prompt that
 * is the first block: nobody has looked where its line is. */
static uint64_t opening_at_cursor(const struct request *request)
{
    if (request->kind == REQUEST_INFILL)
        return request->chain.opening;
    return request->chain.count > 0 ? request->chain.hashes[0] : 0;
}

static const struct affinity *find(const struct job *job, uint64_t id)
{
    return id ? affinities_find(job->jobs->config.affinities, id, now_s(job)) : NULL;
}

/* It does not go on where that conversation was, but only began like it. What is typed never has
 * all of the text before it, and nothing is noted of that. */
static bool is_another(const struct job *job, const struct affinity *place)
{
    const struct prefix_chain *chain = &job->request.chain;
    return place && place->blocks > 0 &&
           (chain->count < place->blocks || chain->hashes[place->blocks - 1] != place->last_block);
}

static uint64_t id_of_place(const struct job *job)
{
    uint64_t id = id_of(job);
    return job->request.session[0] || !is_another(job, find(job, id)) ? id : 0;
}

/* Several files that one person types in, or several persons behind one address, are several
 * slots. */
uint64_t job_conversation(const struct job *job)
{
    uint64_t id = id_of_place(job);
    return id && is_typed(job) ? id ^ opening_at_cursor(&job->request) : id;
}

void job_find_place(const struct job *job, struct router_ask *ask)
{
    const struct affinity *place = find(job, id_of_place(job));
    for (size_t i = 0; place && place->epoch && i < ask->model_count; i++)
        if (affinity_model(ask->models[i]) == place->model) {
            ask->session_epoch = place->epoch;
            ask->session_model = ask->models[i];
            if (!is_another(job, place))
                ask->session_turn = (struct router_turn){.blocks = place->blocks,
                        .bytes = place->bytes,
                        .answer_tokens = place->answer_tokens};
        }
}

void job_note_place(const struct job *job)
{
    const struct prefix_chain *chain = &job->request.chain;
    struct affinities *affinities = job->jobs->config.affinities;
    uint64_t id = id_of(job);
    struct affinity *place = id ? affinities_touch(affinities, id, now_s(job)) : NULL;
    if (!place)
        return;
    place->epoch = job->epoch;
    place->model = affinity_model(job->model);
    if (is_typed(job))
        return;
    place->blocks = (uint32_t)chain->count;
    place->last_block = chain->count ? chain->hashes[chain->count - 1] : 0;
    place->bytes = (uint32_t)number_lesser(chain->bytes, UINT32_MAX);
    place->answer_tokens = 0;
}

/* Templates leave out what was only thought. */
void job_note_turn(const struct job *job)
{
    struct affinities *affinities = job->jobs->config.affinities;
    uint64_t id = id_of(job);
    struct affinity *place = id ? affinities_touch(affinities, id, now_s(job)) : NULL;
    if (place && !is_typed(job) && !is_another(job, place) && place->epoch == job->epoch &&
            !job->has_thought)
        place->answer_tokens = (uint32_t)job_written_tokens(job);
}
