#include "coordinator/node_session_internal.h"

#include <errno.h>
#include <stdlib.h>

struct node_stream {
    struct node_session *session;
    struct list open, sending, owing;
    uint64_t id;
    struct instance *instance; /* NULL once the node has dropped the model */
    struct stream_writer writer;
    struct stream_reader reader;
    const uint8_t *body;
    size_t body_len, body_sent;
    uint32_t owed;
    const struct node_stream_events *events;
    void *ctx;
};

/* --- sending --- */

static void send_body_piece(struct node_stream *stream)
{
    size_t left = stream->body_len - stream->body_sent;
    size_t len = left < MSG_CHUNK_MAX ? left : MSG_CHUNK_MAX;
    if (len > stream->writer.credit)
        len = (size_t)stream->writer.credit;
    if (!stream_writer_spend(&stream->writer, (uint32_t)len))
        return;
    struct msg msg = {.type = MSG_BODY,
            .body = {.stream = stream->id,
                    .data = stream->body + stream->body_sent,
                    .len = len,
                    .last = len == left}};
    stream->body_sent += len;
    node_session_post(stream->session, stream->id, &msg);
}

static bool body_may_go(const struct node_stream *stream)
{
    return stream->body_sent < stream->body_len && stream->writer.credit > 0 &&
           outbox_bytes(&stream->session->outbox, OUTBOX_DATA) < SESSION_OUTBOX_BODY_MAX;
}

/* One piece of each body, so that a long prompt does not hold up a short one. False where nothing
 * could go. */
static bool send_body_round(struct node_session *session)
{
    bool sent = false;
    list_for_each_safe (it, &session->sending) {
        struct node_stream *stream = list_entry(it, struct node_stream, sending);
        if (body_may_go(stream)) {
            send_body_piece(stream);
            sent = true;
        }
        if (stream->body_sent == stream->body_len)
            list_del(&stream->sending);
    }
    return sent;
}

void node_streams_flush_bodies(struct node_session *session)
{
    while (!*session->broken && send_body_round(session))
        continue;
}

void node_streams_flush_credit(struct node_session *session)
{
    struct msg_grant grants[64];
    while (!list_empty(&session->owing)) {
        size_t count = 0;
        list_for_each_safe (it, &session->owing) {
            if (count == sizeof(grants) / sizeof(grants[0]))
                break;
            struct node_stream *stream = list_entry(it, struct node_stream, owing);
            grants[count++] = (struct msg_grant){.stream = stream->id, .bytes = stream->owed};
            stream->owed = 0;
            list_del(&stream->owing);
        }
        struct msg msg = {.type = MSG_CREDIT, .credit = {.grants = grants, .count = count}};
        node_session_post(session, 0, &msg);
    }
}

/* --- life --- */

/* Its place is free: who waits may want it. */
static void stream_free(struct node_stream *stream)
{
    struct node_session *session = stream->session;
    stream_table_remove(session->table, stream->id);
    list_del(&stream->open);
    list_del(&stream->sending);
    list_del(&stream->owing);
    session->facts.running--;
    if (stream->instance)
        stream->instance->running--;
    free(stream);
    session->events->on_room(session->ctx, session);
}

static void stream_finish(struct node_stream *stream, const struct msg_fail *fail)
{
    struct node_session *session = stream->session;
    const struct node_stream_events *events = stream->events;
    void *ctx = stream->ctx;
    if (fail)
        session->facts.failed++;
    else
        session->facts.done++;
    stream_free(stream);
    events->on_end(ctx, fail);
}

static struct node_stream *stream_create(
        struct instance *instance, const struct node_stream_events *events, void *ctx)
{
    struct node_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->session = instance->session;
    stream->instance = instance;
    stream->events = events;
    stream->ctx = ctx;
    list_init(&stream->open);
    list_init(&stream->sending);
    list_init(&stream->owing);
    stream_writer_init(&stream->writer, STREAM_WINDOW);
    stream_reader_init(&stream->reader, STREAM_WINDOW);
    return stream;
}

static void send_start(struct node_stream *stream, const struct node_work *work)
{
    struct msg msg = {.type = MSG_START,
            .start = {.stream = stream->id,
                    .request_id = work->request_id,
                    .model = stream->instance->model,
                    .kind = work->kind,
                    .window = STREAM_WINDOW,
                    .body_bytes = work->body_len,
                    .batch = work->batch,
                    .session = work->session,
                    .prompt_tokens = work->prompt_tokens,
                    .needs = work->needs}};
    node_session_post(stream->session, stream->id, &msg);
}

int node_session_open(struct instance *instance, const struct node_work *work,
        const struct node_stream_events *events, void *ctx, struct node_stream **ret_stream,
        struct err *err)
{
    struct node_session *session = instance->session;
    if (session->sm.state != SESSION_UP || *session->broken)
        return err_set(err, -EAGAIN, "node \"%s\" takes no work now", session->name);
    struct node_stream *stream = stream_create(instance, events, ctx);
    if (!stream)
        return err_set(err, -ENOMEM, "no memory for a stream");
    int r = stream_table_add(session->table, stream, &stream->id);
    if (r) {
        free(stream);
        return err_set(err, r,
                "node \"%s\" has %d streams open, its limit, or there is no memory for one more",
                session->name, STREAM_TABLE_MAX);
    }
    stream->body = work->body;
    stream->body_len = work->body_len;
    list_push_back(&session->streams, &stream->open);
    list_push_back(&session->sending, &stream->sending);
    session->facts.running++;
    instance->running++;
    send_start(stream, work);
    *ret_stream = stream;
    return 0;
}

void node_stream_took(struct node_stream *stream, uint32_t bytes)
{
    stream->owed += stream_reader_take(&stream->reader, bytes);
    if (stream->owed > 0 && !list_linked(&stream->owing))
        list_push_back(&stream->session->owing, &stream->owing);
}

bool node_stream_body_sent(const struct node_stream *stream)
{
    return stream->body_sent == stream->body_len;
}

static void send_cancel(struct node_session *session, uint64_t id)
{
    struct msg msg = {.type = MSG_CANCEL, .cancel = {.stream = id}};
    if (session->sm.state != SESSION_GONE)
        node_session_post(session, 0, &msg);
}

void node_stream_cancel(struct node_stream *stream)
{
    if (!stream)
        return;
    struct node_session *session = stream->session;
    uint64_t id = stream->id;
    stream_free(stream);
    send_cancel(session, id);
}

/* --- what the node says --- */

void node_streams_on_delta(struct node_session *session, const struct msg_delta *delta)
{
    struct node_stream *stream = stream_table_get(session->table, delta->stream);
    if (!stream)
        return; /* cancelled while this was on its way */
    if (stream_reader_receive(&stream->reader, msg_delta_cost(delta)) == 0) {
        stream->events->on_delta(stream->ctx, delta);
        return;
    }
    send_cancel(session, stream->id);
    struct msg_fail fail = {
            .code = FAIL_PROTOCOL, .message = "the node sent more than it had credit for"};
    stream_finish(stream, &fail);
}

void node_streams_on_credit(struct node_session *session, const struct msg_credit *credit)
{
    for (size_t i = 0; i < credit->count; i++) {
        struct node_stream *stream = stream_table_get(session->table, credit->grants[i].stream);
        if (stream && stream_writer_grant(&stream->writer, credit->grants[i].bytes))
            node_session_break(session, "it granted more credit than a stream can have");
    }
}

void node_streams_on_end(struct node_session *session, uint64_t id, const struct msg_fail *fail)
{
    struct node_stream *stream = stream_table_get(session->table, id);
    if (stream)
        stream_finish(stream, fail);
}

void node_streams_fail_all(struct node_session *session, const struct msg_fail *fail)
{
    while (!list_empty(&session->streams))
        stream_finish(list_entry(session->streams.next, struct node_stream, open), fail);
}

void node_streams_forget_instance(struct node_session *session, const struct instance *instance)
{
    list_for_each (it, &session->streams) {
        struct node_stream *stream = list_entry(it, struct node_stream, open);
        if (stream->instance == instance)
            stream->instance = NULL;
    }
}
