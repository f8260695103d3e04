#include "coordinator/job.h"

#include "common/list.h"
#include "common/log.h"
#include "common/sm.h"
#include "coordinator/delta_queue.h"
#include "coordinator/modes.h"
#include "coordinator/scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DRAINING, JOB_STATE_COUNT };

struct jobs {
    struct jobs_config config;
    struct list waiting[LANE_COUNT]; /* job.link */
    struct list running;             /* job.link, DRAINING ones too */
    size_t waiting_count[LANE_COUNT], running_count;
    size_t body_bytes[LANE_COUNT]; /* of all requests' bodies, and of what their dialects keep */
    size_t gathered_bytes;         /* of all whole answers so far */
    struct buf scratch;            /* bytes of the event being made */
};

struct job {
    struct jobs *jobs;
    struct list link;
    struct sm sm;
    struct reply reply;
    const struct dialect *dialect;
    struct request request;
    char mode[MSG_NAME_MAX + 1]; /* "-" where a model was asked for by name */
    char *models[MODE_MODELS_MAX];
    size_t model_count;
    char *replaced[JOB_MOVES_MAX]; /* models that its mode has moved away from: maybe named below */
    size_t replaced_count;

    /* The instance that has it, or had it last. */
    struct node_stream *stream;
    struct answer *answer;
    char node[MSG_NODE_NAME_MAX + 1];                /* "-" before */
    const char *model;                               /* one of `models` or `replaced`, or "-" */
    uint32_t epoch;                                  /* of its session */
    const char *reason;                              /* why there, or why it waits */
    struct scheduler_avoid failed[JOB_ATTEMPTS_MAX]; /* the instances it has failed on */
    size_t failed_count;
    unsigned attempts;

    struct delta_queue deltas;
    bool begun;     /* headers are out */
    bool committed; /* content is out, or on its way out: no other instance from here on */
    bool ended;     /* the engine's answer is complete */
    size_t gathered_bytes, kept_bytes;

    int64_t created_s; /* Unix time */
    uint64_t created_us, state_us, first_content_us, last_write_us;
    uint64_t waited_us; /* in the queue, before now */
    struct msg_usage usage;
};

/* --- state and memory --- */

static const char *const state_names[JOB_STATE_COUNT] = {"waiting", "running", "draining"};
static const uint32_t next_states[JOB_STATE_COUNT] = {
        [JOB_WAITING] = SM_BIT(JOB_RUNNING),
        [JOB_RUNNING] = SM_BIT(JOB_WAITING) | SM_BIT(JOB_DRAINING),
};
static const struct sm_def job_sm = {.name = "job",
        .state_names = state_names,
        .state_count = JOB_STATE_COUNT,
        .next = next_states};

static uint64_t now_us(const struct job *job)
{
    return env_now_us(job->jobs->config.env);
}

static uint64_t age_ms(const struct job *job, uint64_t since_us)
{
    return (now_us(job) - since_us) / 1000;
}

static uint64_t waited_ms(const struct job *job)
{
    uint64_t now_waiting_us = job->sm.state == JOB_WAITING ? now_us(job) - job->state_us : 0;
    return (job->waited_us + now_waiting_us) / 1000;
}

static void unlink_job(struct job *job)
{
    if (!list_linked(&job->link))
        return;
    list_del(&job->link);
    if (job->sm.state == JOB_WAITING)
        job->jobs->waiting_count[job->request.lane]--;
    else
        job->jobs->running_count--;
}

static void link_job(struct job *job)
{
    bool waits = job->sm.state == JOB_WAITING;
    if (waits)
        list_push_back(&job->jobs->waiting[job->request.lane], &job->link);
    else
        list_push_back(&job->jobs->running, &job->link);
    if (waits)
        job->jobs->waiting_count[job->request.lane]++;
    else
        job->jobs->running_count++;
}

static void job_set_state(struct job *job, enum job_state state)
{
    job->waited_us = waited_ms(job) * 1000;
    unlink_job(job);
    sm_set(&job->sm, state);
    job->state_us = now_us(job);
    link_job(job);
}

static void release_body(struct job *job)
{
    job->jobs->body_bytes[job->request.lane] -= job->request.body.len;
    buf_fini(&job->request.body);
}

static void drop_answer(struct job *job)
{
    if (job->answer)
        job->dialect->answer_destroy(job->answer);
    job->answer = NULL;
}

/* What an instance has brought so far. A stream that the client sees goes on with the next one: it
 * has brought nothing yet. */
static void forget_answer(struct job *job)
{
    delta_queue_clear(&job->deltas);
    if (!job->begun)
        drop_answer(job);
    job->jobs->gathered_bytes -= job->gathered_bytes;
    job->gathered_bytes = 0;
    job->first_content_us = 0;
    job->usage = (struct msg_usage){0};
}

static void job_free(struct job *job)
{
    unlink_job(job);
    node_stream_cancel(job->stream);
    forget_answer(job);
    drop_answer(job);
    delta_queue_fini(&job->deltas);
    release_body(job);
    job->jobs->body_bytes[job->request.lane] -= job->kept_bytes;
    request_fini(&job->request);
    for (size_t i = 0; i < job->model_count; i++)
        free(job->models[i]);
    for (size_t i = 0; i < job->replaced_count; i++)
        free(job->replaced[i]);
    free(job);
}

static void log_done(const struct job *job, const char *result)
{
    uint64_t now = now_us(job);
    uint64_t first = job->first_content_us ? job->first_content_us : now;
    log_info("request", LOG_S("request", job->request.id), LOG_S("client", job->request.client),
            LOG_S("mode", job->mode), LOG_S("model", job->model), LOG_S("node", job->node),
            LOG_S("result", result), LOG_S("skipped", job->request.skipped),
            LOG_U("attempts", job->attempts), LOG_U("ttft_ms", (first - job->created_us) / 1000),
            LOG_U("total_ms", (now - job->created_us) / 1000),
            LOG_U("prompt_tokens", job->usage.prompt_tokens),
            LOG_U("completion_tokens", job->usage.completion_tokens));
}

/* --- answering --- */

void reply_error(const struct reply *reply, const struct dialect_family *family,
        const struct api_error *error, const char *request_id)
{
    uint32_t retry_after_s = error->retry_after_s;
    struct buf body;
    buf_init(&body, DIALECT_ANSWER_MAX);
    if ((error->status == 429 || error->status == 503) && !retry_after_s)
        retry_after_s = JOB_RETRY_AFTER_S;
    if (retry_after_s) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
        reply_set_header(reply, "Retry-After", seconds);
    }
    if (family->error_body(error, request_id, &body))
        buf_clear(&body);
    reply_send(reply, error->status, "application/json", body.len ? buf_at(&body) : "", body.len);
    buf_fini(&body);
}

static void send_error(struct job *job, const struct api_error *error)
{
    reply_error(&job->reply, job->dialect->family, error, job->request.id);
}

static void set_headers(struct job *job)
{
    const struct {
        const char *name, *value;
    } headers[] = {
            {"X-Modemesh-Mode", job->mode},
            {"X-Modemesh-Model", job->model},
            {"X-Modemesh-Node", job->node},
            {"X-Modemesh-Reason", job->reason},
            {"Cache-Control", "no-cache"},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        reply_set_header(&job->reply, headers[i].name, headers[i].value);
    if (job->request.skipped[0])
        reply_set_header(&job->reply, "X-Modemesh-Skipped", job->request.skipped);
}

/* Sends what stands in the scratch buffer. A client for whom there is no memory is cut off by the
 * caller. */
static int write_scratch(struct job *job)
{
    struct buf *scratch = &job->jobs->scratch;
    if (scratch->len == 0)
        return 0;
    job->last_write_us = now_us(job);
    return reply_write(&job->reply, buf_at(scratch), scratch->len);
}

static int begin_stream(struct job *job)
{
    if (job->begun)
        return 0;
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = job->dialect->stream_begin(job->answer, scratch);
    if (r)
        return r;
    set_headers(job);
    reply_set_header(&job->reply, "X-Accel-Buffering", "no");
    reply_begin(&job->reply, 200, job->dialect->stream_type);
    job->begun = true;
    return write_scratch(job);
}

/* The answer cannot be completed and no more can be said: the connection is cut, so that it does
 * not look whole. */
static void cut_off(struct job *job, const char *result)
{
    log_done(job, result);
    if (job->begun)
        reply_abort(&job->reply);
    else
        send_error(job,
                &(struct api_error){.status = 500, .code = "internal_error", .message = result});
    job_free(job);
}

static void fail_begun(struct job *job, const struct api_error *error)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    if (job->dialect->stream_error(job->answer, error, scratch) || write_scratch(job)) {
        cut_off(job, error->message);
        return;
    }
    log_done(job, error->code);
    reply_end(&job->reply);
    job_free(job);
}

static void fail_job(struct job *job, const struct api_error *error)
{
    if (job->begun) {
        fail_begun(job, error);
        return;
    }
    set_headers(job);
    log_done(job, error->code);
    send_error(job, error);
    job_free(job);
}

/* What the engine brought cannot be passed on. Nobody shall take what went out before for the whole
 * answer. */
static void fail_answer(struct job *job, int r)
{
    switch (r) {
    case -EPROTO:
        fail_job(job, &(struct api_error){.status = 502,
                              .code = "bad_answer",
                              .message = "the engine's answer is not whole, or not in the shape of "
                                         "its API"});
        break;
    case -ENOBUFS:
        fail_job(job, &(struct api_error){.status = 502,
                              .code = "answer_too_large",
                              .message = "the answer, or a piece of it, is too large"});
        break;
    default:
        cut_off(job, "no memory for the answer");
    }
}

/* A value that still lacks pieces is lost. */
static int check_whole(const struct job *job)
{
    return delta_queue_partial(&job->deltas) ? -EPROTO : 0;
}

static const char *whole_type(const struct job *job)
{
    return job->request.whole_type ? job->request.whole_type : job->dialect->whole_type;
}

static void reply_whole(struct job *job)
{
    struct buf body;
    buf_init(&body, DIALECT_ANSWER_MAX);
    int r = check_whole(job);
    if (!r)
        r = job->dialect->whole(job->answer, &body);
    if (r) {
        fail_answer(job, r);
    } else {
        set_headers(job);
        log_done(job, "ok");
        reply_send(&job->reply, 200, whole_type(job), buf_at(&body), body.len);
        job_free(job);
    }
    buf_fini(&body);
}

static void end_stream(struct job *job)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = job->begun ? check_whole(job) : -EPROTO; /* nothing came */
    if (!r)
        r = job->dialect->stream_end(job->answer, scratch);
    if (!r)
        r = write_scratch(job);
    if (r) {
        fail_answer(job, r);
        return;
    }
    log_done(job, "ok");
    reply_end(&job->reply);
    job_free(job);
}

static int write_delta(struct job *job, const struct msg_delta *delta)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    if (delta->kind == DELTA_USAGE)
        job->usage = delta->usage;
    int r = job->dialect->stream_delta(job->answer, delta, scratch);
    return r ? r : write_scratch(job);
}

static void commit(struct job *job)
{
    if (job->committed)
        return;
    job->committed = true;
    job->first_content_us = now_us(job);
    if (node_stream_body_sent(job->stream))
        release_body(job); /* no other instance will need it */
}

/* Moves deltas to the client while it takes them; adds the credit that they cost. */
static int write_waiting(struct job *job, uint32_t *ret_cost)
{
    struct msg_delta delta;
    int r = 0;
    while (!r && reply_room(&job->reply) > 0) {
        r = delta_queue_take(&job->deltas, &delta, ret_cost);
        if (r <= 0)
            break;
        r = begin_stream(job);
        if (!r)
            r = write_delta(job, &delta);
    }
    return r;
}

/* May free the job. */
static void pump(struct job *job)
{
    uint32_t cost = 0;
    int r = write_waiting(job, &cost);
    if (r) {
        fail_answer(job, r);
        return;
    }
    if (job->stream && cost > 0)
        node_stream_took(job->stream, cost);
    if (job->ended && delta_queue_empty(&job->deltas))
        end_stream(job);
}

static int gather_delta(struct job *job, const struct msg_delta *delta)
{
    struct jobs *jobs = job->jobs;
    if (delta->len > jobs->config.gathered_max - jobs->gathered_bytes)
        return -ENOMEM;
    jobs->gathered_bytes += delta->len;
    job->gathered_bytes += delta->len;
    if (delta->kind == DELTA_USAGE)
        job->usage = delta->usage;
    if (delta_is_content(delta) && !job->first_content_us)
        job->first_content_us = now_us(job);
    return job->dialect->gather(job->answer, delta);
}

/* Whole answers are gathered at once. May free the job. */
static void gather_waiting(struct job *job)
{
    struct msg_delta delta;
    uint32_t cost = 0;
    int r;
    while ((r = delta_queue_take(&job->deltas, &delta, &cost)) > 0) {
        r = gather_delta(job, &delta);
        if (r)
            break;
    }
    if (r)
        fail_answer(job, r);
    else if (cost > 0)
        node_stream_took(job->stream, cost);
}

/* --- the node's side --- */

static bool dispatch(struct job *job);

/* The engine's own word counts, but for what it says of credentials: those are the node's, not the
 * client's. */
static int status_of_engine(uint32_t status)
{
    bool usable = status >= 400 && status <= 599 && status != 401 && status != 403 && status != 407;
    return usable ? (int)status : 502;
}

/* The node's sentence has both numbers (node/backends/); an older one may say it otherwise. */
static void read_context_numbers(const char *message, struct api_error *error)
{
    unsigned prompt, context;
    if (sscanf(message, "request (%9u tokens) exceeds the available context size (%9u tokens)",
                &prompt, &context) == 2) {
        error->prompt_tokens = prompt;
        error->context_tokens = context;
    }
}

static const struct api_error *error_of_fail(
        const struct msg_fail *fail, struct api_error *ret_error)
{
    const char *code = fail_code_name(fail->code);
    bool silent = !fail->message || !*fail->message;
    *ret_error = (struct api_error){
            .status = 502, .code = code, .message = silent ? code : fail->message};
    switch (fail->code) {
    case FAIL_ENGINE_ERROR:
        ret_error->status = status_of_engine(fail->http_status);
        if (ret_error->status == 429)
            ret_error->code = "rate_limit_exceeded";
        else if (ret_error->status < 500)
            ret_error->code = "invalid_request";
        break;
    case FAIL_CONTEXT_EXCEEDED:
        ret_error->status = 400;
        ret_error->param = "messages";
        read_context_numbers(ret_error->message, ret_error);
        break;
    case FAIL_NO_MEMORY:
    case FAIL_NO_MODEL:
    case FAIL_OVERLOADED:
    case FAIL_DRAINING:
        ret_error->status = 503;
        break;
    case FAIL_BAD_REQUEST:
        ret_error->status = 400;
        break;
    default:
        break;
    }
    return ret_error;
}

/* Nothing of the answer has reached the client: the request may begin again on another instance. */
static bool may_move(const struct job *job, const struct msg_fail *fail)
{
    return fail_code_retryable(fail->code) && !job->committed && job->attempts < JOB_ATTEMPTS_MAX;
}

static void move_elsewhere(struct job *job, const struct msg_fail *fail)
{
    log_info("request moves", LOG_S("request", job->request.id), LOG_S("from", job->node),
            LOG_S("reason", fail->message));
    job->failed[job->failed_count++] =
            (struct scheduler_avoid){.epoch = job->epoch, .model = job->model};
    forget_answer(job);
    job_set_state(job, JOB_WAITING);
    dispatch(job);
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct job *job = ctx;
    job->stream = NULL;
    if (fail && may_move(job, fail)) {
        move_elsewhere(job, fail);
        return;
    }
    if (fail) {
        struct api_error error;
        fail_job(job, error_of_fail(fail, &error));
        return;
    }
    job->ended = true;
    job_set_state(job, JOB_DRAINING);
    if (job->request.stream)
        pump(job);
    else
        reply_whole(job);
}

/* Nothing that a client would see: it must not use up the credit of a stream that waits for its
 * first content. */
static bool says_nothing(const struct msg_delta *delta)
{
    bool is_text = delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING;
    return delta->kind == DELTA_PROGRESS || (is_text && delta->len == 0);
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct job *job = ctx;
    if (says_nothing(delta)) {
        node_stream_took(job->stream, msg_delta_cost(delta));
        return;
    }
    int r = delta_queue_put(&job->deltas, delta);
    if (r) {
        fail_answer(job, r);
        return;
    }
    if (!job->request.stream) {
        gather_waiting(job);
        return;
    }
    if (delta_is_content(delta))
        commit(job);
    if (job->committed)
        pump(job);
}

static const struct node_stream_events stream_events = {.on_delta = on_delta, .on_end = on_end};

/* --- choosing --- */

static struct scheduler_request wish_of(const struct job *job)
{
    return (struct scheduler_request){.models = (const char *const *)job->models,
            .model_count = job->model_count,
            .needs = job->request.needs,
            .lane = job->request.lane,
            .batch = job->request.batch};
}

/* Nobody but those that failed it has a model that can: one of them may be back soon. */
static struct scheduler_plan choose_failed(
        const struct job *job, struct instance *const *instances, size_t count)
{
    const struct scheduler_request request = wish_of(job);
    struct scheduler_plan plan = scheduler_choose(instances, count, &request);
    if (plan.verdict == SCHEDULER_RUN && age_ms(job, job->state_us) < JOB_SAME_AGAIN_MS)
        return (struct scheduler_plan){.verdict = SCHEDULER_WAIT,
                .reason = "it failed on the only instance: tried again shortly"};
    return plan;
}

static struct scheduler_plan choose(const struct job *job)
{
    struct scheduler_request request = wish_of(job);
    request.avoid_count = job->failed_count;
    memcpy(request.avoid, job->failed, sizeof(job->failed));
    size_t count;
    struct instance *const *instances = node_table_instances(job->jobs->config.nodes, &count);
    struct scheduler_plan plan = scheduler_choose(instances, count, &request);
    bool nobody = plan.verdict == SCHEDULER_NONE || plan.verdict == SCHEDULER_UNABLE;
    if (nobody && job->failed_count > 0)
        return choose_failed(job, instances, count);
    return plan;
}

static int make_answer(struct job *job, const char *model)
{
    struct answer_facts facts = {
            .request_id = job->request.id, .model = model, .created_s = job->created_s};
    forget_answer(job);
    if (!job->answer)
        job->answer = job->dialect->answer_create(&job->request, &facts);
    return job->answer ? 0 : -ENOMEM;
}

/* The job's own copy of the name, which lives as long as it. */
static const char *own_name(const struct job *job, const char *model)
{
    size_t i = 0;
    while (strcmp(job->models[i], model) != 0)
        i++;
    return job->models[i];
}

static void take_instance(struct job *job, const struct instance *instance, const char *reason)
{
    snprintf(job->node, sizeof(job->node), "%s", instance->node);
    job->model = own_name(job, instance->model);
    job->epoch = instance->epoch;
    job->reason = reason;
    job->attempts++;
    job_set_state(job, JOB_RUNNING);
}

/* False where the node cannot take it in this moment and it stays in the queue. May free the job.
 */
static bool run_on(struct job *job, struct instance *instance, const char *reason)
{
    struct err err;
    const struct node_work work = {.request_id = job->request.id,
            .kind = job->request.kind,
            .batch = job->request.batch,
            .body = buf_at(&job->request.body),
            .body_len = job->request.body.len};
    int r = make_answer(job, own_name(job, instance->model));
    if (!r)
        r = node_session_open(instance, &work, &stream_events, job, &job->stream, &err);
    if (r == 0) {
        take_instance(job, instance, reason);
        return true;
    }
    if (r == -ENOMEM) {
        cut_off(job, "no memory for the request");
        return true;
    }
    forget_answer(job);
    return false;
}

static void refuse(struct job *job, const char *code, const char *reason)
{
    char text[ERR_TEXT_MAX];
    job->reason = reason;
    snprintf(text, sizeof(text),
            "no node can serve \"%s\" now: %s; `modemesh status` shows the nodes",
            job->request.asked, reason);
    fail_job(job, &(struct api_error){.status = 503, .code = code, .message = text});
}

static const char *name_lacking(uint32_t lacking)
{
    static const struct {
        enum capability capability;
        const char *text;
    } names[] = {
            {CAPABILITY_VISION, "see images"},
            {CAPABILITY_AUDIO, "hear audio"},
            {CAPABILITY_FIM, "fill in the middle: it has no FIM tokens"},
            {CAPABILITY_EMBEDDINGS, "make embeddings"},
            {CAPABILITY_RERANK, "rank documents"},
            {CAPABILITY_TOOLS, "call tools: its chat template takes none"},
            {CAPABILITY_CHAT, "chat"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (lacking & names[i].capability)
            return names[i].text;
    return "do what was asked";
}

/* No waiting helps: the request is refused as the client's fault. */
static void refuse_unable(struct job *job, const struct scheduler_plan *plan)
{
    char text[ERR_TEXT_MAX], models[MSG_NAME_MAX + 8];
    job->reason = plan->reason;
    snprintf(models, sizeof(models), job->model_count == 1 ? "%s" : "%s, …", job->models[0]);
    snprintf(text, sizeof(text), "\"%s\" (%s) cannot %s; ask for a model or a mode that can",
            job->request.asked, models, name_lacking(plan->lacking));
    fail_job(job, &(struct api_error){.status = 400,
                          .code = "unsupported_by_model",
                          .param = "model",
                          .message = text});
}

/* A WAITING job: runs it or answers that nobody can, either may free it; or leaves it in the queue:
 * true then. */
static bool dispatch(struct job *job)
{
    struct scheduler_plan plan = choose(job);
    switch (plan.verdict) {
    case SCHEDULER_RUN:
        return !run_on(job, plan.instance, plan.reason);
    case SCHEDULER_NONE:
        refuse(job, "no_node_available", plan.reason);
        return false;
    case SCHEDULER_UNABLE:
        refuse_unable(job, &plan);
        return false;
    case SCHEDULER_WAIT:
        break;
    }
    job->reason = plan.reason;
    return true;
}

static bool waits_alike(const struct job *a, const struct job *b)
{
    if (a->failed_count + b->failed_count > 0 || a->model_count != b->model_count ||
            a->request.needs != b->request.needs || a->request.lane != b->request.lane ||
            a->request.batch != b->request.batch)
        return false;
    for (size_t i = 0; i < a->model_count; i++)
        if (strcmp(a->models[i], b->models[i]) != 0)
            return false;
    return true;
}

static void retry_lane(struct list *lane)
{
    const struct job *stuck = NULL; /* what waits for the same behind it need not ask */
    list_for_each_safe (it, lane) {
        struct job *job = list_entry(it, struct job, link);
        if (!(stuck && waits_alike(stuck, job)) && dispatch(job))
            stuck = job;
    }
}

void jobs_retry_waiting(struct jobs *jobs)
{
    retry_lane(&jobs->waiting[LANE_AUTOCOMPLETE]);
    retry_lane(&jobs->waiting[LANE_CHAT]);
}

/* --- when a mode moves --- */

static size_t place_of(const struct job *job, const char *model)
{
    size_t i = 0;
    while (i < job->model_count && strcmp(job->models[i], model) != 0)
        i++;
    return i;
}

static void drop_model(struct job *job, size_t at)
{
    job->replaced[job->replaced_count++] = job->models[at];
    job->model_count--;
    memmove(&job->models[at], &job->models[at + 1],
            (job->model_count - at) * sizeof(job->models[0]));
}

static void put_first(struct job *job, char *model)
{
    memmove(&job->models[1], &job->models[0], job->model_count * sizeof(job->models[0]));
    job->models[0] = model;
    job->model_count++;
}

/* A name that something may still point to is kept until the job ends. Where there is no memory for
 * a new one, the job keeps its list. */
static void follow(struct job *job, const char *replaced, const char *model)
{
    size_t old = place_of(job, replaced), new = place_of(job, model);
    bool listed = new < job->model_count;
    char *name = listed ? job->models[new] : strdup(model);
    if (!name)
        return;
    if (listed) {
        memmove(&job->models[1], &job->models[0], new * sizeof(job->models[0]));
        job->models[0] = name;
        old += old < new;
    }
    drop_model(job, old);
    if (!listed)
        put_first(job, name);
}

static bool may_follow(const struct job *job, const char *mode, const char *replaced)
{
    return job->request.follows_mode && !job->committed && !job->ended &&
           job->replaced_count < JOB_MOVES_MAX && strcmp(job->mode, mode) == 0 &&
           place_of(job, replaced) < job->model_count;
}

static void move_list(struct list *list, const char *mode, const char *replaced, const char *model)
{
    list_for_each (it, list) {
        struct job *job = list_entry(it, struct job, link);
        if (may_follow(job, mode, replaced))
            follow(job, replaced, model);
    }
}

void jobs_move_mode(struct jobs *jobs, const char *mode, const char *replaced, const char *model)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        move_list(&jobs->waiting[i], mode, replaced, model);
    move_list(&jobs->running, mode, replaced, model);
}

/* --- the client's side --- */

static void on_room(void *ctx)
{
    struct job *job = ctx;
    if (job->committed || job->ended)
        pump(job);
}

static void on_gone(void *ctx)
{
    struct job *job = ctx;
    log_done(job, "client left");
    job_free(job);
}

static const struct http_exchange_events exchange_events = {.on_room = on_room, .on_gone = on_gone};

static int copy_models(struct job *job, const char *const *models, size_t count)
{
    for (size_t i = 0; i < count && i < MODE_MODELS_MAX; i++) {
        if (!(job->models[i] = strdup(models[i])))
            return -ENOMEM;
        job->model_count++;
    }
    return 0;
}

static struct job *job_create(struct jobs *jobs, const struct reply *reply,
        const struct dialect *dialect, struct request *request, const char *mode)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->jobs = jobs;
    list_init(&job->link);
    sm_init(&job->sm, &job_sm, JOB_WAITING);
    job->reply = *reply;
    job->dialect = dialect;
    job->request = *request;
    request_init(request);
    job->kept_bytes = request_kept_bytes(&job->request);
    jobs->body_bytes[job->request.lane] += job->request.body.len + job->kept_bytes;
    delta_queue_init(&job->deltas);
    snprintf(job->mode, sizeof(job->mode), "%s", mode ? mode : "-");
    strcpy(job->node, "-");
    job->model = "-";
    job->reason = "not yet chosen";
    job->created_s = env_wall_ms(jobs->config.env) / 1000;
    job->created_us = job->state_us = job->last_write_us = env_now_us(jobs->config.env);
    return job;
}

/* What chat fills keeps nobody at the cursor waiting. */
static bool holds_too_much(const struct jobs *jobs, enum request_lane lane)
{
    size_t max = lane == LANE_AUTOCOMPLETE ? JOBS_AUTOCOMPLETE_BODIES_MAX : JOBS_BODIES_MAX;
    return jobs->body_bytes[lane] > max;
}

void jobs_start(struct jobs *jobs, const struct reply *reply, const struct dialect *dialect,
        struct request *request, const char *mode, const char *const *models, size_t model_count)
{
    enum request_lane lane = request->lane;
    struct job *job = job_create(jobs, reply, dialect, request, mode);
    if (!job) {
        static const struct api_error error = {
                .status = 500, .code = "internal_error", .message = "no memory"};
        reply_error(reply, dialect->family, &error, request->id);
        return;
    }
    reply_watch(reply, &exchange_events, job);
    link_job(job);
    if (copy_models(job, models, model_count))
        cut_off(job, "no memory for the request");
    else if (holds_too_much(jobs, lane))
        refuse(job, "overloaded",
                "the requests that run and wait hold all the memory that they may");
    else if (dispatch(job) && jobs->waiting_count[lane] > JOBS_WAITING_MAX)
        refuse(job, "overloaded", "the queue is full");
}

/* --- time --- */

static bool headers_are_due(const struct job *job)
{
    uint64_t limit_ms =
            job->sm.state == JOB_WAITING ? JOB_HEADERS_WAITING_MS : JOB_HEADERS_RUNNING_MS;
    return job->request.stream && !job->begun && age_ms(job, job->state_us) >= limit_ms;
}

static bool sign_of_life_is_due(const struct job *job)
{
    return job->begun && age_ms(job, job->last_write_us) >= JOB_IDLE_MS &&
           reply_room(&job->reply) > 0;
}

/* A waiting stream that must show a sign of life has no model yet: it carries the name that was
 * asked for. */
static int ensure_answer(struct job *job)
{
    return job->answer ? 0 : make_answer(job, job->request.asked);
}

static int write_idle(struct job *job)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = job->dialect->stream_idle(job->answer, scratch);
    return r ? r : write_scratch(job);
}

static void tick_job(struct job *job)
{
    if (job->sm.state == JOB_WAITING && waited_ms(job) > JOB_WAIT_MAX_MS) {
        refuse(job, "overloaded", job->reason);
        return;
    }
    bool begins = headers_are_due(job);
    if (!begins && !sign_of_life_is_due(job))
        return;
    int r = ensure_answer(job);
    if (!r)
        r = begins ? begin_stream(job) : write_idle(job);
    if (r)
        fail_answer(job, r);
}

static void tick_list(struct list *list)
{
    list_for_each_safe (it, list)
        tick_job(list_entry(it, struct job, link));
}

void jobs_tick(struct jobs *jobs)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        tick_list(&jobs->waiting[i]);
    tick_list(&jobs->running);
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
    for (size_t i = 0; i < LANE_COUNT; i++)
        list_init(&jobs->waiting[i]);
    list_init(&jobs->running);
    buf_init(&jobs->scratch, DIALECT_ANSWER_MAX);
    return jobs;
}

static void end_list(struct list *list)
{
    while (!list_empty(list))
        fail_job(list_entry(list->next, struct job, link),
                &(struct api_error){.status = 503,
                        .code = "stopping",
                        .message = "the coordinator is stopping"});
}

void jobs_end_all(struct jobs *jobs)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        end_list(&jobs->waiting[i]);
    end_list(&jobs->running);
}

void jobs_destroy(struct jobs *jobs)
{
    if (!jobs)
        return;
    jobs_end_all(jobs);
    buf_fini(&jobs->scratch);
    free(jobs);
}

size_t jobs_waiting(const struct jobs *jobs)
{
    size_t count = 0;
    for (size_t i = 0; i < LANE_COUNT; i++)
        count += jobs->waiting_count[i];
    return count;
}

size_t jobs_running(const struct jobs *jobs)
{
    return jobs->running_count;
}
