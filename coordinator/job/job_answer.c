#include "coordinator/job/job_internal.h"

#include "common/log.h"
#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- making it --- */

void job_drop_answer(struct job *job)
{
    if (job->answer)
        job->dialect->answer_destroy(job->answer);
    job->answer = NULL;
}

void job_forget_answer(struct job *job)
{
    delta_queue_clear(&job->deltas);
    if (!job->begun)
        job_drop_answer(job);
    job->jobs->gathered_bytes -= job->gathered_bytes;
    job->gathered_bytes = 0;
    job->first_content_us = 0;
    job->has_thought = false;
    job->usage = (struct msg_usage){0};
}

static void send_error(struct job *job, const struct api_error *error)
{
    reply_error(&job->reply, job->dialect->family, error, job->request.id);
}

static void say_reason(const struct job *job, char ret_reason[HTTP_HEADER_VALUE_MAX])
{
    const char *told = job->request.told, *rule = job->terms->rule;
    char passed[HTTP_HEADER_VALUE_MAX];
    job_terms_passed(job->all_terms, job->terms, passed, sizeof(passed));
    snprintf(ret_reason, HTTP_HEADER_VALUE_MAX, "%s%s%s%s%s%s", told, *told ? "; " : "", passed,
            rule, *rule ? "; " : "", job->reason);
}

static void set_headers(struct job *job)
{
    char reason[HTTP_HEADER_VALUE_MAX];
    say_reason(job, reason);
    const struct {
        const char *name, *value;
    } headers[] = {
            {"X-Modemesh-Mode", job->terms->mode},
            {"X-Modemesh-Model", job->model},
            {"X-Modemesh-Node", job->node},
            {"X-Modemesh-Reason", reason},
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
    job->last_write_us = job_now_us(job);
    return reply_write(&job->reply, buf_at(scratch), scratch->len);
}

static bool has_room_for_words(const struct job *job)
{
    return !job->request.background && strcmp(job->dialect->stream_type, "text/event-stream") == 0;
}

/* Who waits is told for how long, or for whom, in a comment between events, which clients pass
 * over. */
static int append_progress(const struct job *job, struct buf *out)
{
    char comment[JOB_PROGRESS_MAX + 1], when[JOB_REASON_MAX + 8] = "";
    if (job->sm.state != JOB_WAITING || !has_room_for_words(job))
        return 0;
    if (job->hopeless)
        snprintf(when, sizeof(when), ": %s", job->reason);
    else if (job->first_token_s > 0)
        snprintf(when, sizeof(when), ", first token in about %.0f s", ceil(job->first_token_s));
    snprintf(comment, sizeof(comment), ": queued, %zu before it%s\n\n",
            fair_queue_position(job->jobs->queue, &job->queued), when);
    return buf_append_str(out, comment);
}

/* Nothing in it ends a line, or a reader that takes only whole UTF-8. */
static int append_clean(const char *text, struct buf *out)
{
    size_t len = strlen(text);
    int r = 0;
    for (size_t at = 0, step; !r && at < len; at += step ? step : 1) {
        unsigned char c = (unsigned char)text[at];
        step = text_utf8_seq(text + at, len - at);
        r = step == 0 || c < ' ' || c == 0x7f ? buf_append_str(out, "?")
                                              : buf_append(out, text + at, step);
    }
    return r;
}

static int append_instance(const struct job *job, struct buf *out)
{
    char reason[HTTP_HEADER_VALUE_MAX];
    say_reason(job, reason);
    const struct {
        const char *name, *value;
    } words[] = {{": modemesh node=", job->node}, {" model=", job->model},
            {" mode=", job->terms->mode}, {" reason=", reason}};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(words) / sizeof(words[0]); i++) {
        r = buf_append_str(out, words[i].name);
        if (!r)
            r = append_clean(words[i].value, out);
    }
    return r ? r : buf_append_str(out, "\n\n");
}

/* That is no sign of life: some clients count events alone. */
int job_tell_instance(struct job *job)
{
    struct buf *scratch = &job->jobs->scratch;
    if (!job->begun || !has_room_for_words(job))
        return 0;
    buf_clear(scratch);
    int r = append_instance(job, scratch);
    return r ? r : reply_write(&job->reply, buf_at(scratch), scratch->len);
}

int job_begin_stream(struct job *job)
{
    if (job->begun)
        return 0;
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = job->dialect->stream_begin(job->answer, scratch);
    if (!r && scratch->len > 0) /* else the first sign of life is near */
        r = append_progress(job, scratch);
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
void job_cut_off(struct job *job, const char *result)
{
    job_unlink(job);
    job_log_done(job, result);
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
        job_cut_off(job, error->message);
        return;
    }
    job_log_done(job, error->code);
    reply_end(&job->reply);
    job_free(job);
}

void job_fail(struct job *job, const struct api_error *error)
{
    job_unlink(job);
    if (job->begun) {
        fail_begun(job, error);
        return;
    }
    set_headers(job);
    job_log_done(job, error->code);
    send_error(job, error);
    job_free(job);
}

/* What the engine brought cannot be passed on. Nobody shall take what went out before for the whole
 * answer. */
void job_fail_answer(struct job *job, int r)
{
    switch (r) {
    case -EPROTO:
        job_fail(job, &(struct api_error){.status = 502,
                              .code = "bad_answer",
                              .message = "the engine's answer is not whole, or not in the shape of "
                                         "its API"});
        break;
    case -ENOBUFS:
        job_fail(job, &(struct api_error){.status = 502,
                              .code = "answer_too_large",
                              .message = "the answer, or a piece of it, is too large"});
        break;
    default:
        job_cut_off(job, "no memory for the answer");
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

static void log_ok(const struct job *job)
{
    job_log_done(job, job->outrun ? "newer keystroke" : "ok");
}

static void reply_whole(struct job *job)
{
    struct buf body;
    buf_init(&body, DIALECT_ANSWER_MAX);
    int r = check_whole(job);
    if (!r)
        r = job->dialect->whole(job->answer, &body);
    if (r) {
        job_fail_answer(job, r);
    } else {
        set_headers(job);
        log_ok(job);
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
        job_fail_answer(job, r);
        return;
    }
    log_ok(job);
    reply_end(&job->reply);
    job_free(job);
}

static int write_delta(struct job *job, const struct msg_delta *delta)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = job->dialect->stream_delta(job->answer, delta, scratch);
    return r ? r : write_scratch(job);
}

static void commit(struct job *job)
{
    if (job->committed)
        return;
    job->committed = true;
    job->first_content_us = job_now_us(job);
    if (node_stream_body_sent(job->stream))
        job_release_body(job); /* no other instance will need it */
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
        r = job_begin_stream(job);
        if (!r)
            r = write_delta(job, &delta);
    }
    return r;
}

/* May free the job. */
void job_pump(struct job *job)
{
    uint32_t cost = 0;
    int r = write_waiting(job, &cost);
    if (r) {
        job_fail_answer(job, r);
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
    if (delta_is_content(delta) && !job->first_content_us)
        job->first_content_us = job_now_us(job);
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
        job_fail_answer(job, r);
    else if (cost > 0)
        node_stream_took(job->stream, cost);
}

int job_make_answer(struct job *job, const char *model)
{
    struct answer_facts facts = {
            .request_id = job->request.id, .model = model, .created_s = job->created_s};
    job_forget_answer(job);
    if (!job->answer)
        job->answer = job->dialect->answer_create(&job->request, &facts);
    return job->answer ? 0 : -ENOMEM;
}

/* A waiting stream that must show a sign of life has no model yet: it carries the name that was
 * asked for. */
int job_ensure_answer(struct job *job)
{
    return job->answer ? 0 : job_make_answer(job, job->request.asked);
}

int job_write_idle(struct job *job)
{
    struct buf *scratch = &job->jobs->scratch;
    buf_clear(scratch);
    int r = append_progress(job, scratch);
    if (!r)
        r = job->dialect->stream_idle(job->answer, scratch);
    return r ? r : write_scratch(job);
}

static void end_answer(struct job *job)
{
    job->ended = true;
    job_set_state(job, JOB_DRAINING);
    if (job->request.stream)
        job_pump(job);
    else
        reply_whole(job);
}

/* Nothing of the answer has reached the client: the request may begin again on another instance. */
static bool may_move(const struct job *job, const struct msg_fail *fail)
{
    return fail_code_retryable(fail->code) && !job->committed && job->attempts < JOB_ATTEMPTS_MAX;
}

/* The instance's fault, or the request's, or what its node tells besides. */
static enum router_end end_of(const struct msg_fail *fail)
{
    switch (fail->code) {
    case FAIL_ENGINE_DIED:
    case FAIL_PROTOCOL:
        return ROUTER_FAILED;
    case FAIL_NO_MEMORY:
        return ROUTER_ERRED;
    case FAIL_ENGINE_ERROR:
        return fail->http_status >= 500 ? ROUTER_ERRED : ROUTER_REFUSED;
    default:
        return ROUTER_REFUSED;
    }
}

static void leave_failed(struct job *job, const struct msg_fail *fail)
{
    job_leave(job, end_of(fail));
}

static void move_elsewhere(struct job *job, const struct msg_fail *fail)
{
    log_info("request moves", LOG_S("request", job->request.id), LOG_S("from", job->node),
            LOG_S("reason", fail->message));
    job->failed[job->failed_count++] =
            (struct router_avoid){.epoch = job->epoch, .model = job->model};
    leave_failed(job, fail);
    job_forget_answer(job);
    job_set_state(job, JOB_WAITING);
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
        leave_failed(job, fail);
        job_fail(job, job_error_of_fail(fail, &error));
        return;
    }
    job_leave(job, ROUTER_ANSWERED);
    end_answer(job);
}

/* Nothing that a client would see: it must not use up the credit of a stream that waits for its
 * first content. */
static bool says_nothing(const struct msg_delta *delta)
{
    bool is_text = delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING;
    return delta->kind == DELTA_PROGRESS || (is_text && delta->len == 0);
}

/* What the router and the log want to know, however long the client takes to read. */
static void look_at(struct job *job, const struct msg_delta *delta)
{
    if (delta->kind == DELTA_USAGE)
        job->usage = delta->usage;
    job->has_thought |= delta->kind == DELTA_REASONING && delta->len > 0;
    if (!delta_is_content(delta) || !job->on_instance || job->trip.answering)
        return;
    router_first_token(job->jobs->config.router, &job->trip);
    job->jobs->changed = true;
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct job *job = ctx;
    look_at(job, delta);
    if (says_nothing(delta)) {
        node_stream_took(job->stream, msg_delta_cost(delta));
        return;
    }
    int r = delta_queue_put(&job->deltas, delta);
    if (r) {
        job_fail_answer(job, r);
        return;
    }
    if (!job->request.stream) {
        gather_waiting(job);
        return;
    }
    if (delta_is_content(delta))
        commit(job);
    if (job->committed)
        job_pump(job);
}

const struct node_stream_events job_stream_events = {.on_delta = on_delta, .on_end = on_end};

/* --- cut off by a newer keystroke --- */

static int say_cut_off(struct job *job, uint32_t choice)
{
    const struct msg_delta finish = {
            .kind = DELTA_FINISH, .choice = choice, .data = "length", .len = strlen("length")};
    return job->request.stream ? delta_queue_put(&job->deltas, &finish)
                               : job->dialect->gather(job->answer, &finish);
}

void job_outrun(struct job *job)
{
    node_stream_cancel(job->stream);
    job->stream = NULL;
    job_leave(job, ROUTER_REFUSED);
    job->outrun = true;
    snprintf(job->reason, sizeof(job->reason), "cut off: a newer keystroke made it useless");
    int r = job_ensure_answer(job);
    for (uint32_t i = 0; !r && i < job->request.choices; i++)
        r = say_cut_off(job, i);
    if (r)
        job_fail_answer(job, r);
    else
        end_answer(job);
}
