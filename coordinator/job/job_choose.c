#include "coordinator/job/job_internal.h"

#include "coordinator/scheduling/affinity.h"

/* --- whose models --- */

/* What a key runs on the models that may answer a request. */
static size_t run_count(const struct fair_key *key, const char *const *models, size_t model_count)
{
    size_t count = 0;
    for (size_t i = 0; i < model_count; i++)
        count += fair_key_run_count(key, affinity_model(models[i]));
    return count;
}

static uint32_t reach_of(const struct job *job, const struct job_terms *models)
{
    uint32_t most = 0;
    for (size_t i = 0; i < models->model_count; i++) {
        const struct mode_model_facts facts = router_look(
                job->jobs->config.router, models->models[i], job->request.needs, job->terms->batch);
        if (facts.there && facts.context > most)
            most = facts.context;
    }
    return most;
}

static bool own_hold(const struct job *job, struct job_reach *reach)
{
    if (!reach->knows_own)
        reach->own = reach_of(job, job->terms);
    reach->knows_own = true;
    return reach->own > 0 && reach->own >= job->terms->tokens;
}

static bool spare_holds(const struct job *job, struct job_reach *reach)
{
    if (!reach->knows_spare)
        reach->spare = reach_of(job, job->terms->spare);
    reach->knows_spare = true;
    return reach->spare > 0 && reach->spare >= job->terms->tokens;
}

const struct job_terms *job_models_by(const struct job *job, struct job_reach *reach)
{
    const struct job_terms *spare = job->terms->spare;
    return spare && !own_hold(job, reach) && spare_holds(job, reach) ? spare : job->terms;
}

const struct job_terms *job_models(const struct job *job)
{
    struct job_reach reach = {.knows_own = false};
    return job_models_by(job, &reach);
}

uint64_t job_slots(const struct job *job, const struct job_terms *models)
{
    return router_slots(
            job->jobs->config.router, (const char *const *)models->models, models->model_count);
}

bool job_is_greedy(const struct job *job, const struct job_terms *models, uint64_t slots)
{
    size_t running = run_count(job->key, (const char *const *)models->models, models->model_count);
    return fair_queue_is_greedy(job->jobs->queue, &job->queued, running, slots);
}

static bool is_one_prompt(const struct request *request)
{
    return request->kind == REQUEST_CHAT || request->kind == REQUEST_COMPLETION;
}

static struct router_ask ask_of(const struct job *job, struct job_manner manner)
{
    const struct job_terms *terms = job->terms, *models = job_models(job);
    return (struct router_ask){.chain = &job->request.chain,
            .mode = terms->mode,
            .models = (const char *const *)models->models,
            .quality = models->quality,
            .model_count = models->model_count,
            .named_count = models->named_count,
            .output_max = mode_answer_limit(&terms->answer, &job->request.said, job->request.kind),
            .beta = terms->beta,
            .quality_floor = terms->floor,
            .quality_wanted = terms->wanted,
            .needs = job->request.needs,
            .lane = job->request.lane,
            .batch = terms->batch,
            .greedy = manner.greedy,
            .tell_free = manner.tell_room || terms->when_none == WHEN_NONE_REFUSE,
            .within_slots = terms->when_none == WHEN_NONE_REFUSE,
            .whole = job->all_terms->next && !job->overlong,
            .one_prompt = is_one_prompt(&job->request),
            .far_too_long_for = job->far_too_long_for,
            .awaits = terms->when_none != WHEN_NONE_REFUSE && !terms->next,
            .due = fair_queue_is_due(job->jobs->queue)};
}

/* Nobody but those that failed it has a model that can: one of them may be back soon, and is given
 * it again after a pause. */
static int choose_failed(
        const struct job *job, const struct router_ask *ask, struct router_plan *plan)
{
    int r = router_choose(job->jobs->config.router, ask, plan);
    if (r || plan->routing.verdict != ROUTING_RUN ||
            job_age_ms(job, job->state_us) >= JOB_SAME_AGAIN_MS)
        return r;
    plan->routing.verdict = ROUTING_WAIT;
    plan->routing.refusal = REFUSAL_AVOIDED;
    plan->routing.slot_free = true;
    plan->routing.instance = NULL;
    plan->instance = NULL;
    return 0;
}

int job_choose_by_own(const struct job *job, struct job_manner manner, struct router_plan *plan)
{
    struct router_ask ask = ask_of(job, manner);
    job_find_place(job, &ask);
    struct router_ask avoiding = ask;
    avoiding.avoid = job->failed;
    avoiding.avoid_count = job->failed_count;
    int r = router_choose(job->jobs->config.router, &avoiding, plan);
    if (!r && plan->routing.verdict == ROUTING_NONE && job->failed_count > 0)
        r = choose_failed(job, &ask, plan);
    return r;
}

/* --- which terms --- */

/* -ENOMEM. As if it went by these terms of its. */
static int choose_as_by(struct job *job, struct job_terms *terms, struct job_manner manner,
        struct router_plan *plan)
{
    struct job_terms *own = job->terms;
    job->terms = terms;
    int r = job_choose_by_own(job, manner, plan);
    job->terms = own;
    return r;
}

/* All its terms, as if it were not known to be too long for them. */
struct anew {
    struct job_terms *fitting;     /* the first by which it runs at once; NULL: none */
    struct router_plan plan;       /* by these */
    struct router_longest longest; /* of those that have no instance for it, up to there */
};

/* -ENOMEM */
static int look_anew(struct job *job, struct job_manner manner, struct anew *ret_anew)
{
    const uint32_t far_too_long_for = job->far_too_long_for;
    const bool overlong = job->overlong;
    struct job_terms *terms = job->all_terms;
    int r = 0;
    *ret_anew = (struct anew){.fitting = NULL};
    job->overlong = false;
    job->far_too_long_for = 0;
    for (size_t i = 0; !r && terms && !ret_anew->fitting; i++, terms = terms->next) {
        r = choose_as_by(job, terms, manner, &ret_anew->plan);
        if (!r && router_longest_loads(&ret_anew->plan))
            ret_anew->fitting = terms;
        else if (!r && !ret_anew->plan.instance)
            router_longest_note(&ret_anew->longest, i, &ret_anew->plan);
    }
    job->overlong = overlong;
    job->far_too_long_for = far_too_long_for;
    return r;
}

static struct job_terms *terms_at(const struct job *job, size_t i)
{
    struct job_terms *terms = job->all_terms;
    while (i-- > 0)
        terms = terms->next;
    return terms;
}

static bool take_longest(struct job *job, const struct router_longest *longest, size_t at)
{
    return job_take_longest_terms(job, terms_at(job, at), router_longest_far(longest));
}

/* -ENOMEM. By the longest of all where that is to be had at once; else the plan stays. */
static int choose_loading(struct job *job, struct job_manner manner,
        const struct router_longest *longest, struct router_plan *plan)
{
    struct router_plan loading;
    int r = choose_as_by(job, terms_at(job, longest->at), manner, &loading);
    if (!r && router_longest_loads(&loading) && take_longest(job, longest, longest->at))
        *plan = loading;
    return r;
}

/* -ENOMEM. None of its modes can: where it is too long for one of them, the longest of all tells
 * it so. */
static int choose_longest(struct job *job, struct job_manner manner, struct router_plan *plan)
{
    struct anew anew;
    const struct router_longest *longest = &anew.longest;
    int r = look_anew(job, manner, &anew);
    if (r || !longest->context || !take_longest(job, longest, router_longest_at(longest)))
        return r;
    r = job_choose_by_own(job, manner, plan);
    if (r || !router_longest_may_load(longest, plan))
        return r;
    return choose_loading(job, manner, longest, plan);
}

/* -ENOMEM. It was too long for all, and what it went by cannot take it at once: that is asked for
 * again, and from the beginning where that cannot take it at all any more. */
static int choose_again(struct job *job, struct job_manner manner, struct router_plan *plan)
{
    struct anew anew;
    int r = look_anew(job, manner, &anew);
    if (r)
        return r;
    if (anew.fitting) {
        if (job_take_fitting_terms(job, anew.fitting))
            *plan = anew.plan;
        return 0;
    }
    if (plan->routing.verdict == ROUTING_NONE)
        return job_take_fitting_terms(job, job->all_terms) ? job_choose(job, manner, plan) : 0;
    if (job->far_too_long_for || !anew.longest.context || anew.longest.far_too_long)
        return 0;
    return choose_loading(job, manner, &anew.longest, plan);
}

int job_choose(struct job *job, struct job_manner manner, struct router_plan *plan)
{
    int r;
    do
        r = job_choose_by_own(job, manner, plan);
    while (!r && !plan->instance && job_take_next_terms(job));
    bool several = job->all_terms->next && !job->overlong;
    if (!r && several && plan->routing.verdict == ROUTING_NONE)
        return choose_longest(job, manner, plan);
    if (!r && job->overlong && !router_longest_loads(plan))
        return choose_again(job, manner, plan);
    return r;
}

/* --- of one that does not wait --- */

bool jobs_is_greedy(const struct jobs *jobs, const char *client, enum request_lane lane,
        const char *const *models, size_t model_count)
{
    const struct fair_key *key = fair_key_find(jobs->queue, client);
    if (!key)
        return false;
    fair_queue_at(jobs->queue, (double)env_now_us(jobs->config.env) / 1e6);
    return fair_key_is_greedy(key, lane, run_count(key, models, model_count),
            router_slots(jobs->config.router, models, model_count));
}
