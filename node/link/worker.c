#include "node/link/worker.h"

#include "common/log.h"
#include "common/sm.h"
#include "common/stream.h"
#include "common/text.h"
#include "proto/capability.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_NOT_IMPLEMENTED = 501 };

enum job_state { JOB_BODY, JOB_WAITING, JOB_RUNNING, JOB_FLUSHING, JOB_STATE_COUNT };

static const char *const state_names[] = {"body", "waiting", "running", "flushing"};
static const uint32_t state_next[JOB_STATE_COUNT] = {
        [JOB_BODY] = SM_BIT(JOB_WAITING) | SM_BIT(JOB_RUNNING),
        [JOB_WAITING] = SM_BIT(JOB_RUNNING),
        [JOB_RUNNING] = SM_BIT(JOB_FLUSHING),
};
static const struct sm_def job_sm = {.name = "job",
        .state_names = state_names,
        .state_count = JOB_STATE_COUNT,
        .next = state_next};

/* A delta that waits for credit. */
struct pending {
    struct list link;
    struct msg_delta delta;
    char data[];
};

/* One stream. */
struct job {
    struct worker *worker;
    struct sm sm;
    uint64_t id, begin_ms;
    struct buf body;
    uint64_t body_bytes;         /* announced, and reserved in the worker's sum */
    struct stream_reader reader; /* of the body */
    struct stream_writer writer; /* of the deltas */
    size_t piece_max;            /* bytes of one delta that can always be sent some day */
    struct list pending;
    size_t pending_bytes;
    struct instance *instance; /* waited for or acquired */
    struct instance_wait wait;
    struct run *run; /* RUNNING */
    const struct backend_ops *ops;
    bool paused, failed;
    struct msg_fail fail; /* FLUSHING and `failed` */
    char fail_message[MSG_TEXT_MAX + 1];
    enum request_kind kind;
    bool batch; /* nobody waits in front of a screen */
    uint64_t session;
    uint32_t prompt_tokens;
    uint32_t needs; /* CAPABILITY_… */
    char request_id[MSG_NAME_MAX + 1], model[MSG_NAME_MAX + 1];
};

struct worker {
    const struct env *env;
    struct supervisor *supervisor;
    struct worker_sink sink;
    struct stream_table *streams; /* NULL: no session */
    uint64_t reserved_bytes;      /* of bodies */
    bool paused;
};

static void job_set_state(struct job *job, enum job_state state)
{
    sm_set(&job->sm, state);
}

static enum job_state state_of(const struct job *job)
{
    return (enum job_state)job->sm.state;
}

static void say(struct worker *worker, const struct msg *msg)
{
    worker->sink.send(worker->sink.ctx, msg);
}

static void send_credit(struct job *job, uint32_t bytes)
{
    const struct msg_grant grant = {.stream = job->id, .bytes = bytes};
    const struct msg msg = {.type = MSG_CREDIT, .credit = {.grants = &grant, .count = 1}};

    if (bytes > 0)
        say(job->worker, &msg);
}

/* --- the end --- */

static void drop_pending(struct job *job)
{
    list_for_each_safe (it, &job->pending) {
        list_del(it);
        free(list_entry(it, struct pending, link));
    }
    job->pending_bytes = 0;
}

static void release_body(struct job *job)
{
    buf_fini(&job->body);
    job->worker->reserved_bytes -= job->body_bytes;
    job->body_bytes = 0;
}

static void release_instance(struct job *job)
{
    if (state_of(job) == JOB_RUNNING)
        instance_release(job->instance);
    else if (state_of(job) == JOB_WAITING)
        instance_unwait(&job->wait);
    job->instance = NULL;
}

static void job_free(struct job *job, const char *result)
{
    log_info("request over", LOG_S("request", job->request_id), LOG_S("model", job->model),
            LOG_S("result", result), LOG_U("ms", env_now_ms(job->worker->env) - job->begin_ms));
    if (job->run != NULL)
        job->ops->run_cancel(job->run);
    release_instance(job);
    release_body(job);
    drop_pending(job);
    stream_table_remove(job->worker->streams, job->id);
    free(job);
}

static void send_fail(struct worker *worker, uint64_t id, const struct msg_fail *fail)
{
    struct msg msg = {.type = MSG_FAIL, .fail = *fail};

    msg.fail.stream = id;
    say(worker, &msg);
}

/* Ends the stream now; what waits for credit is dropped. Frees the job. */
static void job_end(struct job *job, const struct msg_fail *fail)
{
    send_fail(job->worker, job->id, fail);
    job_free(job, fail_code_name(fail->code));
}

static void job_fail(struct job *job, enum fail_code code, const char *message)
{
    const struct msg_fail fail = {.code = code, .message = message};

    job_end(job, &fail);
}

/* All deltas are out. Frees the job. */
static void job_complete(struct job *job)
{
    const struct msg end = {.type = MSG_END, .end = {.stream = job->id}};

    if (job->failed)
        send_fail(job->worker, job->id, &job->fail);
    else
        say(job->worker, &end);
    job_free(job, job->failed ? fail_code_name(job->fail.code) : "complete");
}

/* --- deltas --- */

static bool send_delta(struct job *job, const struct msg_delta *delta)
{
    const struct msg msg = {.type = MSG_DELTAS, .deltas = {.deltas = delta, .count = 1}};

    if (!stream_writer_spend(&job->writer, msg_delta_cost(delta)))
        return false;
    say(job->worker, &msg);
    return true;
}

static int keep_delta(struct job *job, const struct msg_delta *delta)
{
    struct pending *pending;

    if (delta->len > WORKER_PENDING_MAX - job->pending_bytes)
        return -ENOBUFS;
    pending = malloc(sizeof *pending + delta->len);
    if (pending == NULL)
        return -ENOMEM;
    pending->delta = *delta;
    if (delta->len > 0)
        memcpy(pending->data, delta->data, delta->len);
    pending->delta.data = pending->data;
    list_push_back(&job->pending, &pending->link);
    job->pending_bytes += delta->len;
    if (job->run != NULL && !job->paused) {
        job->paused = true;
        job->ops->run_pause(job->run);
    }
    return 0;
}

static int pass_piece(struct job *job, const struct msg_delta *delta)
{
    if (list_empty(&job->pending) && send_delta(job, delta))
        return 0;
    return keep_delta(job, delta);
}

/* Text is cut between characters and needs no mark, nor do the bytes of a result; other values are
 * one value until `more` is false. */
static int pass_delta(struct job *job, const struct msg_delta *delta)
{
    bool is_text = delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING;
    bool is_marked = !is_text && delta->kind != DELTA_RESULT;
    struct msg_delta piece = *delta;
    size_t left = delta->len;
    int rc;

    piece.stream = job->id;
    do {
        piece.len = is_text                 ? text_utf8_cut(piece.data, left, job->piece_max)
                    : left < job->piece_max ? left
                                            : job->piece_max;
        left -= piece.len;
        piece.more = delta->more || (left > 0 && is_marked);
        rc = pass_piece(job, &piece);
        if (left > 0)
            piece.data += piece.len;
    } while (rc == 0 && left > 0);
    return rc;
}

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct job *job = ctx;

    if (delta->kind == DELTA_USAGE)
        instance_measured(job->instance, &delta->usage);
    if (pass_delta(job, delta) < 0)
        job_fail(job, FAIL_OVERLOADED,
                "the answer waits for its reader and has grown past what the node keeps of it");
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct job *job = ctx;

    job->run = NULL;
    release_instance(job);
    job_set_state(job, JOB_FLUSHING);
    job->failed = fail != NULL;
    if (fail != NULL) {
        job->fail = *fail;
        (void)snprintf(job->fail_message, sizeof job->fail_message, "%s", fail->message);
        job->fail.message = job->fail_message;
    }
    if (list_empty(&job->pending))
        job_complete(job);
}

static const struct run_events run_events = {.on_delta = on_delta, .on_end = on_end};

/* Credit came: sends what waited, and lets the engine go on once nothing waits any more. May free
 * the job. */
static void send_pending(struct job *job)
{
    list_for_each_safe (it, &job->pending) {
        struct pending *pending = list_entry(it, struct pending, link);
        if (!send_delta(job, &pending->delta))
            return;
        list_del(&pending->link);
        job->pending_bytes -= pending->delta.len;
        free(pending);
    }
    if (state_of(job) == JOB_FLUSHING) {
        job_complete(job);
    } else if (job->paused) {
        job->paused = false;
        job->ops->run_resume(job->run);
    }
}

/* --- from body to run --- */

/* Of a run that did not begin. */
static void job_refused(struct job *job, int rc, const char *message)
{
    struct msg_fail fail = {.code = FAIL_ENGINE_DIED, .message = message};

    if (rc == -EINVAL) {
        fail.code = FAIL_BAD_REQUEST;
    } else if (rc == -ENOTSUP) {
        fail.code = FAIL_ENGINE_ERROR;
        fail.http_status = STATUS_NOT_IMPLEMENTED;
    }
    job_end(job, &fail);
}

static void job_begin_run(struct job *job)
{
    struct err err = {.text = ""};
    struct instance_backend *backend = instance_acquire(job->instance);
    const struct run_spec spec = {.request_id = job->request_id,
            .kind = job->kind,
            .body = buf_at(&job->body),
            .body_len = job->body.len,
            .session = job->session,
            .prompt_tokens = job->prompt_tokens};
    int rc;

    job->ops = instance_ops(job->instance);
    job_set_state(job, JOB_RUNNING);
    rc = job->ops->run(backend, &spec, &run_events, job, &job->run, &err);
    if (rc < 0) {
        job->run = NULL;
        job_refused(job, rc, err.text);
        return;
    }
    release_body(job);
    if (!list_empty(&job->pending)) {
        job->paused = true;
        job->ops->run_pause(job->run);
    }
}

static void job_refuse_unable(struct job *job, uint32_t lacking)
{
    char message[MSG_NAME_MAX + 80];

    (void)snprintf(
            message, sizeof message, "\"%s\" cannot %s", job->model, capability_lack_name(lacking));
    job_fail(job, FAIL_NO_MODEL, message);
}

/* Some of what it can do shows only when it is loaded. An answer without what was asked for would
 * be taken for one with it. */
static void job_run(struct job *job)
{
    uint32_t lacking = capability_lacking(instance_capabilities(job->instance), job->needs);

    if (lacking != 0)
        job_refuse_unable(job, lacking);
    else
        job_begin_run(job);
}

static void on_instance(void *ctx, const struct msg_fail *fail)
{
    struct job *job = ctx;

    job->instance = job->wait.instance;
    if (fail == NULL)
        job_run(job);
    else
        job_fail(job, fail->code, fail->message);
}

static void job_body_complete(struct job *job)
{
    static const struct msg_delta loading = {.kind = DELTA_PROGRESS, .data = "loading", .len = 7};

    if (supervisor_draining(job->worker->supervisor)) {
        job_fail(job, FAIL_DRAINING, "the node is shutting down");
        return;
    }
    job->instance = supervisor_find(job->worker->supervisor, job->model);
    if (job->instance == NULL) {
        job_fail(job, FAIL_NO_MODEL, "the node does not have this model");
        return;
    }
    if (instance_ready(job->instance)) {
        job_run(job);
        return;
    }
    job_set_state(job, JOB_WAITING);
    job->wait = (struct instance_wait){.batch = job->batch, .fn = on_instance, .ctx = job};
    instance_wait(job->instance, &job->wait);
    if (pass_delta(job, &loading) < 0)
        job_fail(job, FAIL_OVERLOADED, "out of memory");
}

/* --- messages --- */

/* Why a request cannot even begin; NULL where it can. */
static const char *refusal(
        const struct worker *worker, const struct msg_start *start, enum fail_code *ret_code)
{
    *ret_code = FAIL_OVERLOADED;
    if (stream_table_count(worker->streams) >= WORKER_STREAMS_MAX)
        return "as many requests as this node takes are open";
    if (start->body_bytes > WORKER_BODY_MAX) {
        *ret_code = FAIL_BAD_REQUEST;
        return "the request's body is longer than 32 MiB";
    }
    if (start->body_bytes > WORKER_BODIES_MAX - worker->reserved_bytes)
        return "the bodies of the open requests fill what this node keeps for them";
    if (start->kind >= REQUEST_KIND_COUNT) {
        *ret_code = FAIL_BAD_REQUEST;
        return "this node's modemesh does not know that kind of request; update it";
    }
    if (start->window < WORKER_WINDOW_MIN) {
        *ret_code = FAIL_PROTOCOL;
        return "the window of START is less than 1 KiB";
    }
    *ret_code = FAIL_DRAINING;
    if (supervisor_draining(worker->supervisor))
        return "the node is shutting down";
    if (worker->paused)
        return "the node takes no new requests for now (modemesh nodes resume)";
    *ret_code = FAIL_NO_MEMORY;
    if (!start->batch && supervisor_batch_only(worker->supervisor, start->model))
        return "the model is larger than this node's memory: only modes with `batch: true` may use "
               "it here";
    *ret_code = FAIL_NO_MODEL;
    return supervisor_find(worker->supervisor, start->model) == NULL
                   ? "the node does not have this model"
                   : NULL;
}

static size_t piece_max(uint32_t window)
{
    size_t half = window / 2 - MSG_DELTA_OVERHEAD;

    return half < MSG_DELTA_PIECE_MAX ? half : MSG_DELTA_PIECE_MAX;
}

/* The window that every body has, or more where the body is longer. */
static uint32_t body_window(uint64_t body_bytes)
{
    if (body_bytes <= STREAM_WINDOW)
        return STREAM_WINDOW;
    return body_bytes < WORKER_BODY_WINDOW ? (uint32_t)body_bytes : WORKER_BODY_WINDOW;
}

static struct job *job_create(struct worker *worker, const struct msg_start *start)
{
    struct job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return NULL;
    job->worker = worker;
    job->id = start->stream;
    job->begin_ms = env_now_ms(worker->env);
    job->kind = start->kind;
    job->batch = start->batch;
    job->session = start->session;
    job->prompt_tokens = start->prompt_tokens;
    job->needs = start->needs;
    job->body_bytes = start->body_bytes;
    job->piece_max = piece_max(start->window);
    (void)snprintf(job->request_id, sizeof job->request_id, "%s", start->request_id);
    (void)snprintf(job->model, sizeof job->model, "%s", start->model);
    sm_init(&job->sm, &job_sm, JOB_BODY);
    buf_init(&job->body, (size_t)start->body_bytes);
    stream_reader_init(&job->reader, body_window(start->body_bytes));
    stream_writer_init(&job->writer, start->window);
    list_init(&job->pending);
    worker->reserved_bytes += start->body_bytes;
    return job;
}

static int job_begin(struct worker *worker, const struct msg_start *start, struct err *err)
{
    struct job *job = job_create(worker, start);
    int rc;

    if (job == NULL) {
        const struct msg_fail fail = {.code = FAIL_OVERLOADED, .message = "out of memory"};
        send_fail(worker, start->stream, &fail);
        return 0;
    }
    rc = stream_table_put(worker->streams, start->stream, job);
    if (rc < 0) {
        worker->reserved_bytes -= job->body_bytes;
        free(job);
        return err_set(err, -EPROTO, "START of stream %llx, which is of another session or in use",
                (unsigned long long)start->stream);
    }
    log_debug("request", LOG_S("request", job->request_id), LOG_S("model", job->model));
    send_credit(job, body_window(job->body_bytes) - STREAM_WINDOW);
    if (job->body_bytes == 0)
        job_body_complete(job);
    return 0;
}

static int on_start(struct worker *worker, const struct msg_start *start, struct err *err)
{
    struct msg_fail fail = {0};

    fail.message = refusal(worker, start, &fail.code);
    if (fail.message == NULL)
        return job_begin(worker, start, err);
    log_info("request refused", LOG_S("request", start->request_id), LOG_S("model", start->model),
            LOG_S("reason", fail.message));
    send_fail(worker, start->stream, &fail);
    return 0;
}

static void on_body(struct job *job, const struct msg_body *body)
{
    if (state_of(job) != JOB_BODY || body->len > job->body_bytes - job->body.len) {
        job_fail(job, FAIL_PROTOCOL, "more bytes of body than START announced");
        return;
    }
    if (stream_reader_receive(&job->reader, (uint32_t)body->len) < 0) {
        job_fail(job, FAIL_PROTOCOL, "more bytes of body than there was credit for");
        return;
    }
    if (buf_append(&job->body, body->data, body->len) < 0) {
        job_fail(job, FAIL_OVERLOADED, "out of memory");
        return;
    }
    if (body->last != (job->body.len == job->body_bytes)) {
        job_fail(job, FAIL_PROTOCOL, "the body's last piece is not where START announced it");
        return;
    }
    if (body->last)
        job_body_complete(job);
    else
        send_credit(job, stream_reader_take(&job->reader, (uint32_t)body->len));
}

static int on_credit(struct worker *worker, const struct msg_credit *credit, struct err *err)
{
    for (size_t i = 0; i < credit->count; i++) {
        struct job *job = stream_table_get(worker->streams, credit->grants[i].stream);
        if (job == NULL)
            continue;
        if (stream_writer_grant(&job->writer, credit->grants[i].bytes) < 0)
            return err_set(err, -EPROTO, "more credit for one stream than 4 GiB");
        send_pending(job);
    }
    return 0;
}

int worker_on_msg(struct worker *worker, const struct msg *msg, struct err *err)
{
    struct job *job;

    if (worker->streams == NULL)
        return err_set(err, -EPROTO, "%s before WELCOME", msg_type_name(msg->type));
    switch (msg->type) {
    case MSG_START:
        return on_start(worker, &msg->start, err);
    case MSG_BODY:
        job = stream_table_get(worker->streams, msg->body.stream);
        if (job != NULL)
            on_body(job, &msg->body);
        return 0;
    case MSG_CREDIT:
        return on_credit(worker, &msg->credit, err);
    case MSG_CANCEL:
        job = stream_table_get(worker->streams, msg->cancel.stream);
        if (job != NULL)
            job_free(job, "cancelled");
        return 0;
    default:
        return err_set(err, -EPROTO, "%s, which only a node may send", msg_type_name(msg->type));
    }
}

/* --- life --- */

int worker_session_begin(struct worker *worker, uint32_t epoch)
{
    worker_session_end(worker);
    worker->streams = stream_table_create(epoch);
    return worker->streams == NULL ? -ENOMEM : 0;
}

static void end_stream(void *ctx, uint64_t id, void *stream)
{
    (void)ctx;
    (void)id;
    job_free(stream, "link lost");
}

void worker_session_end(struct worker *worker)
{
    if (worker->streams == NULL)
        return;
    stream_table_each(worker->streams, end_stream, NULL);
    stream_table_destroy(worker->streams);
    worker->streams = NULL;
}

void worker_pause(struct worker *worker, bool paused)
{
    worker->paused = paused;
}

bool worker_draining(const struct worker *worker)
{
    return worker->paused || supervisor_draining(worker->supervisor);
}

size_t worker_stream_count(const struct worker *worker)
{
    return worker->streams == NULL ? 0 : stream_table_count(worker->streams);
}

struct worker *worker_create(
        const struct env *env, struct supervisor *supervisor, const struct worker_sink *sink)
{
    struct worker *worker = calloc(1, sizeof *worker);

    if (worker == NULL)
        return NULL;
    worker->env = env;
    worker->supervisor = supervisor;
    worker->sink = *sink;
    return worker;
}

void worker_destroy(struct worker *worker)
{
    if (worker == NULL)
        return;
    worker_session_end(worker);
    free(worker);
}
