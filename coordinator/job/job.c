#include "coordinator/job/job_internal.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* --- state and memory --- */

static const char *const state_names[JOB_STATE_COUNT] = {"waiting", "running", "draining"};
static const uint32_t next_states[JOB_STATE_COUNT] = {
        [JOB_WAITING] = SM_BIT(JOB_RUNNING) | SM_BIT(JOB_DRAINING),
        [JOB_RUNNING] = SM_BIT(JOB_WAITING) | SM_BIT(JOB_DRAINING),
};
static const struct sm_def job_sm = {.name = "job",
        .state_names = state_names,
        .state_count = JOB_STATE_COUNT,
        .next = next_states};

uint64_t job_now_us(const struct job *job)
{
    return env_now_us(job->jobs->config.env);
}

uint64_t job_age_ms(const struct job *job, uint64_t since_us)
{
    return (job_now_us(job) - since_us) / 1000;
}

uint64_t job_waited_ms(const struct job *job)
{
    uint64_t now_waiting_us = job->sm.state == JOB_WAITING ? job_now_us(job) - job->state_us : 0;
    return (job->waited_us + now_waiting_us) / 1000;
}

void job_unlink(struct job *job)
{
    if (!list_linked(&job->link))
        return;
    list_del(&job->link);
    fair_queue_remove(job->jobs->queue, &job->queued);
    if (job->sm.state != JOB_WAITING)
        job->jobs->running_count--;
}

static void link_job(struct job *job)
{
    if (job->sm.state == JOB_WAITING) {
        list_push_back(&job->jobs->waiting, &job->link);
        fair_queue_push(job->jobs->queue, &job->queued, job->key);
        return;
    }
    list_push_back(&job->jobs->running, &job->link);
    job->jobs->running_count++;
}

void job_set_state(struct job *job, enum job_state state)
{
    job->waited_us = job_waited_ms(job) * 1000;
    job_unlink(job);
    sm_set(&job->sm, state);
    job->state_us = job_now_us(job);
    link_job(job);
}

void job_release_body(struct job *job)
{
    job->jobs->body_bytes[job->request.lane] -= job->request.body.len;
    buf_fini(&job->request.body);
}

void job_free(struct job *job)
{
    job_unlink(job);
    list_del(&job->at_cursor);
    node_stream_cancel(job->stream);
    job_leave(job, ROUTER_REFUSED);
    if (job->key)
        fair_key_release(job->jobs->queue, job->key);
    job_forget_answer(job);
    job_drop_answer(job);
    delta_queue_fini(&job->deltas);
    job_release_body(job);
    job->jobs->body_bytes[job->request.lane] -= job->kept_bytes;
    request_fini(&job->request);
    job_terms_destroy(job->all_terms);
    for (size_t i = 0; i < job->replaced_count; i++)
        free(job->replaced[i]);
    free(job);
}

void job_log_done(const struct job *job, const char *result)
{
    uint64_t now = job_now_us(job);
    uint64_t first = job->first_content_us ? job->first_content_us : now;
    log_info("request", LOG_S("request", job->request.id), LOG_S("client", job->request.client),
            LOG_S("mode", job->terms->mode), LOG_S("model", job->model), LOG_S("node", job->node),
            LOG_S("result", result), LOG_S("skipped", job->request.skipped),
            LOG_S("told", job->request.told), LOG_U("attempts", job->attempts),
            LOG_U("ttft_ms", (first - job->created_us) / 1000),
            LOG_U("expected_ms", (uint64_t)(job->expected_s * 1e3)),
            LOG_U("total_ms", (now - job->created_us) / 1000),
            LOG_U("prompt_tokens", job->usage.prompt_tokens),
            LOG_U("completion_tokens", job->usage.completion_tokens));
}

/* --- the client's side --- */

static void on_room(void *ctx)
{
    struct job *job = ctx;
    if (job->committed || job->ended)
        job_pump(job);
}

static void on_gone(void *ctx)
{
    struct job *job = ctx;
    job_log_done(job, "client left");
    job_free(job);
}

static const struct http_exchange_events exchange_events = {.on_room = on_room, .on_gone = on_gone};

static struct job *job_create(struct jobs *jobs, const struct reply *reply,
        const struct dialect *dialect, struct request *request, struct job_terms *terms)
{
    struct job *job = terms ? calloc(1, sizeof(*job)) : NULL;
    if (!job)
        return NULL;
    job->jobs = jobs;
    list_init(&job->link);
    list_init(&job->at_cursor);
    sm_init(&job->sm, &job_sm, JOB_WAITING);
    job->reply = *reply;
    job->dialect = dialect;
    job->request = *request;
    request_init(request);
    job->kept_bytes = request_kept_bytes(&job->request);
    jobs->body_bytes[job->request.lane] += job->request.body.len + job->kept_bytes;
    delta_queue_init(&job->deltas);
    job->terms = job->all_terms = terms;
    strcpy(job->node, "-");
    job->model = "-";
    strcpy(job->reason, "not yet chosen");
    job->queued.lane = job->request.lane;
    job->queued.priority = terms->priority;
    job->created_s = env_wall_ms(jobs->config.env) / 1000;
    job->created_us = job->state_us = job->last_write_us = env_now_us(jobs->config.env);
    return job;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, strlen(text) + 1, seed);
}

static uint64_t hash_terms(const struct job_terms *terms, uint64_t kind)
{
    kind = hash_text(terms->mode, kind);
    kind = hash_text(terms->rule, kind);
    for (; terms; terms = terms->spare) {
        for (size_t i = 0; i < terms->model_count; i++)
            kind = hash_text(terms->models[i], kind);
        kind = hash_text("", kind); /* another model more is not a spare */
    }
    return kind;
}

/* Tokens of the answer that have to fit behind the prompt, as far as the request says it; about, as
 * there are only so many kinds, and clients may say any number. */
static uint32_t answer_room(const struct job *job)
{
    const struct request *request = &job->request;
    uint32_t limit = mode_answer_limit(&job->terms->answer, &request->said, request->kind);
    uint32_t room = 1;
    while (room < ROUTER_RESERVE_MAX && (room < limit || limit == 0))
        room *= 2;
    return room;
}

/* What is too long may leave the terms in force for any of its others. */
void job_set_kind(struct job *job)
{
    const struct job_terms *terms = job->terms;
    bool last = terms->next == NULL; /* it waits where others go on to another mode */
    const uint64_t traits[] = {job->request.needs, job->request.lane, terms->floor, terms->batch,
            terms->when_none, last, job->overlong, job->far_too_long_for, answer_room(job)};
    uint64_t kind = hash_terms(terms, XXH3_64bits(traits, sizeof(traits)));
    for (terms = job->overlong ? job->all_terms : NULL; terms; terms = terms->next)
        kind = hash_terms(terms, kind);
    job->kind = kind;
}

static int fill_body_anew(struct job *job, const struct mode_answer *answer)
{
    struct request *request = &job->request;
    size_t len = request->body.len;
    int r = mode_fill_body(answer, &request->said, request->kind, &request->body);
    job->jobs->body_bytes[request->lane] += request->body.len - len;
    return r;
}

static bool has_waited_enough(const struct job *job)
{
    uint32_t patience_ms = job->terms->patience_ms ? job->terms->patience_ms : JOB_WAIT_MAX_MS;
    return job->sm.state == JOB_WAITING && job_waited_ms(job) - job->terms_waited_ms > patience_ms;
}

static bool take_terms(struct job *job, struct job_terms *terms)
{
    if (fill_body_anew(job, &terms->answer))
        return false;
    job->terms_waited_ms = job_waited_ms(job);
    job->terms = terms;
    job_set_kind(job);
    return true;
}

bool job_take_next_terms(struct job *job)
{
    struct job_terms *left = job->terms;
    bool waited_out = has_waited_enough(job);
    if (!left->next || job->overlong || !take_terms(job, left->next))
        return false;
    left->waited_out = waited_out;
    return true;
}

static bool take_terms_of_length(
        struct job *job, struct job_terms *terms, bool overlong, uint32_t far_too_long_for)
{
    if (terms != job->terms && !take_terms(job, terms))
        return false;
    job->overlong = overlong;
    job->far_too_long_for = far_too_long_for;
    job_set_kind(job);
    return true;
}

bool job_take_longest_terms(struct job *job, struct job_terms *terms, uint32_t far_too_long_for)
{
    return take_terms_of_length(job, terms, true, far_too_long_for);
}

bool job_take_fitting_terms(struct job *job, struct job_terms *terms)
{
    return take_terms_of_length(job, terms, false, 0);
}

/* Its place in the queue. -ENOMEM, -ENOSPC. */
static int prepare(struct job *job)
{
    job->queued.tokens = (double)job->request.chain.bytes / TOKEN_RATIO_PRIOR;
    job_set_kind(job);
    return fair_key_hold(job->jobs->queue, job->request.client, &job->key);
}

/* What chat fills keeps nobody at the cursor waiting. */
static bool holds_too_much(const struct jobs *jobs, enum request_lane lane)
{
    size_t max = lane == LANE_AUTOCOMPLETE ? JOBS_AUTOCOMPLETE_BODIES_MAX : JOBS_BODIES_MAX;
    return jobs->body_bytes[lane] > max;
}

/* One look is for all that come in a turn of the loop. May free the job, as that does. */
static void enqueue(struct job *job)
{
    struct jobs *jobs = job->jobs;
    job_outrun_older(job);
    link_job(job);
    jobs->changed = true;
    if (++jobs->arrived[job->request.lane] == JOBS_BURST_MAX)
        jobs_dispatch(jobs);
}

void jobs_start(struct jobs *jobs, const struct reply *reply, const struct dialect *dialect,
        struct request *request, struct job_terms *terms)
{
    enum request_lane lane = request->lane;
    struct job *job = job_create(jobs, reply, dialect, request, terms);
    if (!job) {
        static const struct api_error error = {
                .status = 500, .code = "internal_error", .message = "no memory"};
        job_terms_destroy(terms);
        reply_error(reply, dialect->family, &error, request->id);
        return;
    }
    reply_watch(reply, &exchange_events, job);
    int r = prepare(job);
    if (r == -ENOSPC)
        job_refuse(job, "queue_full", "too many clients wait");
    else if (r)
        job_cut_off(job, "no memory for the request");
    else if (holds_too_much(jobs, lane))
        job_refuse(job, "overloaded",
                "the requests that run and wait hold all the memory that they may");
    else
        enqueue(job);
}

/* --- time --- */

static bool headers_are_due(const struct job *job)
{
    uint64_t limit_ms =
            job->sm.state == JOB_WAITING ? JOB_HEADERS_WAITING_MS : JOB_HEADERS_RUNNING_MS;
    return job->request.stream && !job->begun && job_age_ms(job, job->state_us) >= limit_ms;
}

static bool sign_of_life_is_due(const struct job *job)
{
    return job->begun && job_age_ms(job, job->last_write_us) >= JOB_IDLE_MS &&
           reply_room(&job->reply) > 0;
}

static void tick_job(struct job *job)
{
    if (has_waited_enough(job)) {
        if (!job_take_next_terms(job)) {
            job_tell_wait(job);
            job_refuse_waited(job);
            return;
        }
        job->jobs->changed = true;
    }
    bool begins = headers_are_due(job);
    if (!begins && !sign_of_life_is_due(job))
        return;
    int r = job_ensure_answer(job);
    if (!r)
        r = begins ? job_begin_stream(job) : job_write_idle(job);
    if (r)
        job_fail_answer(job, r);
}

static void tick_list(struct list *list)
{
    list_for_each_safe (it, list)
        tick_job(list_entry(it, struct job, link));
}

void jobs_tick(struct jobs *jobs)
{
    tick_list(&jobs->waiting);
    tick_list(&jobs->running);
    jobs_dispatch_changed(jobs);
}

/* --- all of them --- */

struct jobs *jobs_create(const struct jobs_config *config)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return NULL;
    jobs->config = *config;
    if (!jobs->config.gathered_max)
        jobs->config.gathered_max = JOBS_GATHERED_MAX;
    jobs->prompt_seed = env_random_u64(config->env);
    list_init(&jobs->waiting);
    list_init(&jobs->running);
    list_init(&jobs->at_cursor);
    buf_init(&jobs->scratch, DIALECT_ANSWER_MAX);
    jobs->queue = fair_queue_create();
    if (jobs->queue)
        return jobs;
    jobs_destroy(jobs);
    return NULL;
}

uint64_t jobs_prompt_seed(const struct jobs *jobs)
{
    return jobs->prompt_seed;
}

static void end_list(struct list *list)
{
    while (!list_empty(list))
        job_fail(list_entry(list->next, struct job, link),
                &(struct api_error){.status = 503,
                        .code = "stopping",
                        .message = "the coordinator is stopping"});
}

void jobs_end_all(struct jobs *jobs)
{
    end_list(&jobs->waiting);
    end_list(&jobs->running);
}

void jobs_destroy(struct jobs *jobs)
{
    if (!jobs)
        return;
    jobs_end_all(jobs);
    fair_queue_destroy(jobs->queue);
    buf_fini(&jobs->scratch);
    free(jobs);
}

size_t jobs_waiting(const struct jobs *jobs)
{
    size_t count = 0;
    for (enum request_lane lane = 0; lane < LANE_COUNT; lane++)
        count += fair_queue_length(jobs->queue, lane);
    return count;
}

size_t jobs_waiting_in(const struct jobs *jobs, const char *mode)
{
    size_t count = 0;
    list_for_each (it, &jobs->waiting)
        count += strcmp(list_entry(it, struct job, link)->terms->mode, mode) == 0;
    return count;
}

size_t jobs_running(const struct jobs *jobs)
{
    return jobs->running_count;
}
