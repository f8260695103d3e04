#include "coordinator/job/job_internal.h"

#include "coordinator/router/why.h"
#include "coordinator/scheduling/affinity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* --- going there, and leaving --- */

/* The job's own copy of the name, which lives as long as it. */
static const char *own_name(const struct job *job, const char *model)
{
    const struct job_terms *terms = job->terms;
    size_t place = job_terms_place(terms, model);
    if (place < terms->model_count)
        return terms->models[place];
    return terms->spare->models[job_terms_place(terms->spare, model)];
}

static const char *why_it_goes(const struct router_plan *plan)
{
    const char *too_long = why_too_long(plan);
    if (too_long)
        return too_long;
    return plan->stands_in ? "stands in, as it costs less" : why_there(&plan->routing);
}

static void tell_reason(struct job *job, const struct router_plan *plan)
{
    double waited_s = (double)job_waited_ms(job) / 1e3;
    char after[JOB_WAITED_MAX + 1] = "";
    bool spared = job_terms_place(job->terms, job->model) == job->terms->model_count;
    if (waited_s >= JOB_WAITED_TOLD_S)
        snprintf(after, sizeof(after), " after %.2f s in the queue", waited_s);
    snprintf(job->reason, sizeof(job->reason),
            "%s%s: first token in about %.2f s%s, %.0f of about %.0f tokens of the prompt cached",
            spared ? "no node has one of those for it now; " : "", why_it_goes(plan),
            plan->routing.cost.ttft_s, after, plan->routing.held_tokens, plan->whole_tokens);
}

static void charge(struct job *job, double tokens)
{
    fair_queue_charge(job->jobs->queue, job->key, &job->queued, tokens - job->charged);
    job->charged = tokens;
}

static void take_instance(struct job *job, const struct router_plan *plan)
{
    const struct instance *instance = plan->instance;
    snprintf(job->node, sizeof(job->node), "%s", instance->node);
    job->model = own_name(job, instance->model);
    job->epoch = instance->epoch;
    job->attempts++;
    job->hopeless = false;
    tell_reason(job, plan);
    job_set_state(job, JOB_RUNNING);
    job->on_instance = true;
    fair_key_begin(job->key, affinity_model(job->model));
    charge(job, plan->prompt_tokens - plan->routing.held_tokens + plan->output_tokens);
    router_sent(job->jobs->config.router, plan, &job->request.chain, &job->trip);
    job_note_place(job);
}

double job_written_tokens(const struct job *job)
{
    double seconds = (double)job_age_ms(job, job->state_us) / 1e3;
    return fmin(job->usage.completion_tokens, JOB_ANSWER_TOKENS_MIN + seconds * JOB_ANSWER_TOK_S);
}

/* What its node says of it, as far as that can be: hardly a token is shorter than a byte. The
 * template's own words come to about a block. */
static double tokens_taken(const struct job *job)
{
    const struct msg_usage *usage = &job->usage;
    double prompt_most = (double)(job->request.chain.bytes + PREFIX_BLOCK_BYTES);
    double prompt = fmin(usage->prompt_tokens, prompt_most) - usage->cached_tokens;
    return fmax(prompt, 0) + job_written_tokens(job);
}

void job_leave(struct job *job, enum router_end end)
{
    const struct msg_usage *usage = &job->usage;
    if (!job->on_instance)
        return;
    job->on_instance = false;
    job->jobs->changed = true;
    fair_key_end(job->key, affinity_model(job->model));
    if (usage->prompt_tokens > 0)
        charge(job, tokens_taken(job));
    router_ended(job->jobs->config.router, &job->trip, job->terms->mode, &job->request.chain, end,
            usage);
    if (end == ROUTER_ANSWERED)
        job_note_turn(job);
}

enum outcome {
    GONE,
    WAITS_FOR_ONE,
    WAITS_FOR_QUICKER, /* than others that have room for it */
    WAITS_FOR_ANY,
};

/* May free the job. */
static enum outcome run_on(struct job *job, const struct router_plan *plan)
{
    struct err err;
    const struct node_work work = {.request_id = job->request.id,
            .kind = job->request.kind,
            .batch = job->terms->batch,
            .session = job_conversation(job),
            .prompt_tokens = (uint32_t)fmin(plan->prompt_tokens, UINT32_MAX),
            .needs = job->request.needs,
            .body = buf_at(&job->request.body),
            .body_len = job->request.body.len};
    int r = job_make_answer(job, own_name(job, plan->instance->model));
    if (!r)
        r = node_session_open(plan->instance, &work, &job_stream_events, job, &job->stream, &err);
    if (r == 0) {
        take_instance(job, plan);
        r = job_tell_instance(job);
        if (r)
            job_fail_answer(job, r);
        return GONE;
    }
    if (r == -ENOMEM) {
        job_cut_off(job, "no memory for the request");
        return GONE;
    }
    job_forget_answer(job);
    return WAITS_FOR_ANY;
}

static enum outcome wait_for(struct job *job, const struct router_plan *plan)
{
    why_not_full(plan, job->reason, sizeof(job->reason));
    router_promise(job->jobs->config.router, plan);
    if (!plan->instance)
        return WAITS_FOR_ANY;
    return plan->routing.room_left ? WAITS_FOR_QUICKER : WAITS_FOR_ONE;
}

void job_tell_wait(struct job *job)
{
    const struct job_terms *models = job_models(job);
    const struct job_manner manner = {
            .greedy = job_is_greedy(job, models, job_slots(job, models)), .tell_room = true};
    struct router_plan plan;
    router_begin_pass(job->jobs->config.router); /* what it was promised is no more … */
    job->jobs->changed = true;                   /* … and others are promised theirs again */
    if (!job_choose_by_own(job, manner, &plan) && plan.routing.verdict == ROUTING_WAIT)
        why_not_full(&plan, job->reason, sizeof(job->reason));
}

/* What it takes from when it came, by the first decision that knows. */
static void note_expected(struct job *job)
{
    if (job->expected_s <= 0 && job->first_token_s > 0)
        job->expected_s = (double)job_waited_ms(job) / 1e3 + job->first_token_s;
}

/* What is only held back begins in a moment. */
static bool is_refused(const struct job *job, const struct routing_plan *plan)
{
    return job->terms->when_none == WHEN_NONE_REFUSE && !plan->slot_free;
}

/* A WAITING job. May free it. */
static enum outcome dispatch(struct job *job, struct job_manner manner)
{
    struct router_plan plan;
    if (job_choose(job, manner, &plan)) {
        job_cut_off(job, "no memory for the request");
        return GONE;
    }
    job->first_token_s = plan.instance ? plan.routing.cost.ttft_s : 0;
    note_expected(job);
    switch (plan.routing.verdict) {
    case ROUTING_RUN:
        return run_on(job, &plan);
    case ROUTING_WAIT:
        if (!is_refused(job, &plan.routing))
            return wait_for(job, &plan);
        job_refuse(job, "overloaded", why_not(&plan.routing));
        return GONE;
    default:
        job_refuse_plan(job, &plan);
        return GONE;
    }
}

/* --- the queue --- */

/* Those that wait for the same have the same answer, but for how many are before them: so that a
 * crowd of them holds up neither those behind it nor the loop, few of each kind are asked. More
 * are where something has room that is only not worth it yet: the more wait before one for what is
 * quicker, the sooner it is. */
struct look {
    uint64_t kind;
    struct job_reach reach; /* of all of the kind, as far as it was asked for … */
    bool spared;         /* … of which these are served by the spare of their terms, or not … */
    uint64_t slots;      /* … and these are the slots of what serves them */
    unsigned waiting[2]; /* of those that were asked: whose key is not greedy; and is */
    bool room_left[2];   /* what the last of these waits for is quicker than what has room */
    unsigned passed;     /* over, as enough of them were asked */
    double first_token_s;  /* of the last that was asked */
    size_t hopeless_bytes; /* nothing that a prompt so long, or longer, could be sent to is there
                              just now … */
    char hopeless_reason[JOB_REASON_MAX + 1]; /* … and why, in the words of the last such one */
};

struct looks {
    struct look at[JOBS_KINDS_MAX + 1]; /* the last place is of one at a time, of all other kinds */
    size_t count;
    unsigned more; /* were asked */
};

/* Those that could be sent nowhere at the last look take no places from the others, however many
 * they are and however long nothing changes for them. */
struct all_looks {
    struct looks hopeful, hopeless;
};

/* Those that have failed on the same instances are of a kind: all that a lost node had. */
static uint64_t kind_of(const struct job *job)
{
    uint64_t kind = job->kind;
    for (size_t i = 0; i < job->failed_count; i++) {
        const struct router_avoid *failed = &job->failed[i];
        kind = XXH3_64bits_withSeed(failed->model, strlen(failed->model), kind ^ failed->epoch);
    }
    return kind;
}

static bool is_spared(const struct job *job, struct job_reach *reach)
{
    return job_models_by(job, reach) != job->terms;
}

/* NULL where there are too many kinds, and none beyond them is asked any more. */
static struct look *look_of(struct looks *looks, const struct job *job)
{
    uint64_t kind = kind_of(job);
    struct look *look = looks->at;
    struct job_reach reach = {.knows_own = false};
    for (; look < &looks->at[looks->count]; look++) {
        if (look->kind != kind)
            continue;
        if (look->spared == is_spared(job, &look->reach))
            return look;
        reach = look->reach;
    }
    if (looks->count < JOBS_KINDS_MAX)
        looks->count++;
    else if (looks->more++ >= JOBS_LOOKS_MORE_MAX)
        return NULL;
    const struct job_terms *models = job_models_by(job, &reach);
    *look = (struct look){.kind = kind,
            .reach = reach,
            .spared = models != job->terms,
            .slots = job_slots(job, models),
            .hopeless_bytes = SIZE_MAX};
    return look;
}

static bool is_hopeless(const struct look *look, const struct job *job)
{
    return job->request.chain.bytes >= look->hopeless_bytes;
}

/* It is behind those of its kind that were asked, and waits longer as there are more before it. */
static void pass_over(struct look *look, bool greedy, struct job *job)
{
    look->passed++;
    job->first_token_s = 0;
    job->hopeless = is_hopeless(look, job);
    if (job->hopeless) {
        snprintf(job->reason, sizeof(job->reason), "%s", look->hopeless_reason);
        return;
    }
    snprintf(job->reason, sizeof(job->reason), "others that want the same are before it");
    job->first_token_s = look->first_token_s * (1 + (double)look->passed / look->waiting[greedy]);
    note_expected(job);
}

/* One that goes by other terms now says nothing of those of its kind. May free the job. */
static void ask(struct fair_queue *queue, struct look *look, bool greedy, struct job *job)
{
    size_t bytes = job->request.chain.bytes;
    bool last = look->waiting[greedy] + 1 >= JOBS_LOOKS_MAX;
    enum outcome outcome = dispatch(job, (struct job_manner){greedy, last});
    if (outcome == WAITS_FOR_ANY)
        fair_queue_skip(queue);
    if (outcome == GONE)
        return;
    job->hopeless = outcome == WAITS_FOR_ANY;
    if (kind_of(job) != look->kind)
        return;
    if (outcome == WAITS_FOR_ANY) {
        look->hopeless_bytes = bytes;
        snprintf(look->hopeless_reason, sizeof(look->hopeless_reason), "%s", job->reason);
    }
    look->waiting[greedy] += outcome != WAITS_FOR_ANY;
    look->room_left[greedy] = outcome == WAITS_FOR_QUICKER;
    look->first_token_s = job->first_token_s;
}

/* Who is to be refused is told so at once. */
static bool is_asked(
        struct looks *looks, const struct look *look, bool greedy, const struct job *job)
{
    if (look->waiting[greedy] < JOBS_LOOKS_MAX)
        return true;
    return (look->room_left[greedy] || job->terms->when_none == WHEN_NONE_REFUSE) &&
           looks->more++ < JOBS_LOOKS_MORE_MAX;
}

static void look_at(struct fair_queue *queue, struct looks *looks, struct job *job)
{
    struct look *look = look_of(looks, job);
    bool greedy = look && job_is_greedy(job, job_models_by(job, &look->reach), look->slots);
    if (look && !is_hopeless(look, job) && is_asked(looks, look, greedy, job)) {
        ask(queue, look, greedy, job);
        return;
    }
    if (look)
        pass_over(look, greedy, job);
    fair_queue_skip(queue);
}

/* A key that fills the queue keeps only itself out of it. Of `arrived` each costs one its place at
 * the most: what was moved back as its node was lost does not. */
static void shorten(struct jobs *jobs, enum request_lane lane, size_t arrived)
{
    for (; arrived > 0 && fair_queue_length(jobs->queue, lane) > JOBS_WAITING_MAX; arrived--) {
        struct fair_entry *entry = fair_queue_surplus(jobs->queue, lane);
        job_refuse(list_entry(entry, struct job, queued), "queue_full", "the queue is full");
    }
}

static void look_through(struct jobs *jobs)
{
    struct all_looks looks;
    looks.hopeful.count = looks.hopeless.count = 0;
    looks.hopeful.more = looks.hopeless.more = 0;
    fair_queue_at(jobs->queue, (double)env_now_us(jobs->config.env) / 1e6);
    jobs->changed = false;
    router_begin_pass(jobs->config.router);
    for (struct fair_entry *entry = fair_queue_first(jobs->queue); entry;
            entry = fair_queue_next(jobs->queue)) {
        struct job *job = list_entry(entry, struct job, queued);
        look_at(jobs->queue, job->hopeless ? &looks.hopeless : &looks.hopeful, job);
    }
}

void jobs_dispatch(struct jobs *jobs)
{
    size_t arrived[LANE_COUNT];
    memcpy(arrived, jobs->arrived, sizeof(arrived));
    memset(jobs->arrived, 0, sizeof(jobs->arrived));
    look_through(jobs);
    for (enum request_lane lane = 0; lane < LANE_COUNT; lane++)
        shorten(jobs, lane, arrived[lane]);
}

void jobs_dispatch_changed(struct jobs *jobs)
{
    while (jobs->changed) /* who is refused may ask for something else at once */
        jobs_dispatch(jobs);
}
