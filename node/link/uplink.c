#include "node/link/uplink.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/list.h"
#include "common/log.h"
#include "common/sm.h"
#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum uplink_state { UPLINK_DOWN, UPLINK_GREETING, UPLINK_UP, UPLINK_STATE_COUNT };

static const char *const state_names[] = {"down", "greeting", "up"};
static const uint32_t state_next[UPLINK_STATE_COUNT] = {
        [UPLINK_DOWN] = SM_BIT(UPLINK_GREETING),
        [UPLINK_GREETING] = SM_BIT(UPLINK_UP) | SM_BIT(UPLINK_DOWN),
        [UPLINK_UP] = SM_BIT(UPLINK_DOWN),
};
static const struct sm_def uplink_sm = {.name = "uplink",
        .state_names = state_names,
        .state_count = UPLINK_STATE_COUNT,
        .next = state_next};

enum {
    GRANTS_MAX = 256,    /* gathered before they go out */
    DELTA_WIRE_MAX = 96, /* bytes of a delta on the wire beside its data, at most */
    GATHER_DELTAS_MAX = 1024,
    STATE_BATCH_BYTES = 48 * 1024, /* of one STATE, counted from above */
    REMOVED_WIRE_MAX = 4,          /* bytes of a removed model beside its name, at most */
    STANDSTILL_MS = 1000, /* our own loop stood still for so long: silence is not the peer's */
    MEMORY_PARTS = 100,   /* memory that moved by no more than this part of it is no news */
};

struct outgoing {
    struct list link;
    size_t len;
    char data[];
};

struct dirty {
    struct list link;
    char model[];
};

struct state_batch {
    struct msg_instance instances[MSG_INSTANCES_MAX];
    const char *removed[MSG_INSTANCES_MAX];
    struct msg_state state;
    size_t bytes;
};

struct uplink {
    const struct env *env;
    struct transport transport;
    struct supervisor *supervisor;
    struct worker *worker;
    struct uplink_config config;
    const struct uplink_events *events;
    void *ctx;

    struct sm sm;
    bool broken; /* told; waits for uplink_down() */
    uint32_t heartbeat_ms, epoch;
    uint64_t doubted_ms; /* when the network changed and nothing was heard since; 0: no doubt */
    uint64_t heard_ms, sent_ms, ticked_ms, state_ms;
    uint64_t told_total_bytes, told_available_bytes;
    bool state_due, state_full;
    struct list dirty;

    struct msg_grant grants[GRANTS_MAX];
    size_t grant_count;
    struct msg_delta deltas[GATHER_DELTAS_MAX];
    size_t delta_count, delta_bytes, delta_wire_bytes;
    char delta_data[FRAME_BODY_MAX];
    struct list tail;     /* ENDs and FAILs, behind the deltas of this turn */
    struct list outbox;   /* frames that the link did not take yet */
    size_t waiting_bytes; /* of tail and outbox */

    struct buf scratch;
    struct arena arena;
    struct state_batch batch;
};

static uint64_t now_ms(const struct uplink *uplink)
{
    return env_now_ms(uplink->env);
}

static void uplink_set_state(struct uplink *uplink, enum uplink_state state)
{
    sm_set(&uplink->sm, state);
}

static enum uplink_state state_of(const struct uplink *uplink)
{
    return (enum uplink_state)uplink->sm.state;
}

static void break_off(struct uplink *uplink, const char *reason)
{
    if (uplink->broken || state_of(uplink) == UPLINK_DOWN)
        return;
    uplink->broken = true;
    uplink->events->on_broken(uplink->ctx, reason);
}

/* --- frames out --- */

static void outgoing_free(struct uplink *uplink, struct outgoing *frame)
{
    list_del(&frame->link);
    uplink->waiting_bytes -= frame->len;
    free(frame);
}

static struct outgoing *outgoing_create(struct uplink *uplink, const char *data, size_t len)
{
    struct outgoing *frame = NULL;

    if (len <= UPLINK_OUTBOX_MAX - uplink->waiting_bytes)
        frame = malloc(sizeof *frame + len);
    if (frame == NULL) {
        break_off(uplink, "the link takes less than the streams bring");
        return NULL;
    }
    memcpy(frame->data, data, len);
    frame->len = len;
    list_init(&frame->link);
    uplink->waiting_bytes += len;
    return frame;
}

/* True where the link took it. */
static bool try_send(struct uplink *uplink, const char *data, size_t len)
{
    int rc = transport_send(&uplink->transport, NULL, data, len);

    if (rc == 0)
        uplink->sent_ms = now_ms(uplink);
    else if (rc != -EAGAIN)
        break_off(uplink, "the link does not take frames any more");
    return rc == 0;
}

static bool encode(struct uplink *uplink, const struct msg *msg)
{
    struct err err;

    buf_clear(&uplink->scratch);
    if (codec_encode(msg, &uplink->scratch, &err) == 0)
        return true;
    log_error("message cannot be sent", LOG_S("type", msg_type_name(msg->type)),
            LOG_S("reason", err.text));
    break_off(uplink, "a message of ours cannot be encoded");
    return false;
}

/* What waits goes first, but for a heartbeat. */
static void put(struct uplink *uplink, const struct msg *msg)
{
    struct outgoing *frame;

    if (uplink->broken || state_of(uplink) == UPLINK_DOWN || !encode(uplink, msg))
        return;
    if (list_empty(&uplink->outbox) &&
            try_send(uplink, buf_at(&uplink->scratch), uplink->scratch.len))
        return;
    frame = outgoing_create(uplink, buf_at(&uplink->scratch), uplink->scratch.len);
    if (frame == NULL)
        return;
    if (msg->type == MSG_HEARTBEAT)
        list_push_front(&uplink->outbox, &frame->link);
    else
        list_push_back(&uplink->outbox, &frame->link);
}

static void put_tail(struct uplink *uplink, const struct msg *msg)
{
    struct outgoing *frame;

    if (uplink->broken || !encode(uplink, msg))
        return;
    frame = outgoing_create(uplink, buf_at(&uplink->scratch), uplink->scratch.len);
    if (frame != NULL)
        list_push_back(&uplink->tail, &frame->link);
}

static void put_deltas(struct uplink *uplink)
{
    const struct msg msg = {
            .type = MSG_DELTAS, .deltas = {.deltas = uplink->deltas, .count = uplink->delta_count}};

    if (uplink->delta_count > 0)
        put(uplink, &msg);
    uplink->delta_count = uplink->delta_bytes = uplink->delta_wire_bytes = 0;
}

static void put_grants(struct uplink *uplink)
{
    const struct msg msg = {
            .type = MSG_CREDIT, .credit = {.grants = uplink->grants, .count = uplink->grant_count}};

    if (uplink->grant_count > 0)
        put(uplink, &msg);
    uplink->grant_count = 0;
}

static void gather_delta(struct uplink *uplink, const struct msg_delta *delta)
{
    struct msg_delta *kept;

    if (uplink->delta_count == GATHER_DELTAS_MAX ||
            delta->len + DELTA_WIRE_MAX > FRAME_BODY_MAX - uplink->delta_wire_bytes)
        put_deltas(uplink);
    kept = &uplink->deltas[uplink->delta_count++];
    *kept = *delta;
    kept->data = uplink->delta_data + uplink->delta_bytes;
    if (delta->len > 0)
        memcpy(uplink->delta_data + uplink->delta_bytes, delta->data, delta->len);
    uplink->delta_bytes += delta->len;
    uplink->delta_wire_bytes += delta->len + DELTA_WIRE_MAX;
}

static void gather_grant(struct uplink *uplink, const struct msg_grant *grant)
{
    if (uplink->grant_count == GRANTS_MAX)
        put_grants(uplink);
    uplink->grants[uplink->grant_count++] = *grant;
}

/* worker_sink.send */
static void on_worker_msg(void *ctx, const struct msg *msg)
{
    struct uplink *uplink = ctx;

    if (msg->type == MSG_DELTAS)
        gather_delta(uplink, &msg->deltas.deltas[0]);
    else if (msg->type == MSG_CREDIT)
        gather_grant(uplink, &msg->credit.grants[0]);
    else
        put_tail(uplink, msg);
}

static void send_waiting(struct uplink *uplink)
{
    list_for_each_safe (it, &uplink->outbox) {
        struct outgoing *frame = list_entry(it, struct outgoing, link);
        if (uplink->broken || !try_send(uplink, frame->data, frame->len))
            return;
        outgoing_free(uplink, frame);
    }
}

/* --- STATE --- */

static void batch_begin(struct uplink *uplink, bool full)
{
    struct state_batch *batch = &uplink->batch;

    batch->bytes = 0;
    batch->state = (struct msg_state){.full = full,
            .draining = worker_draining(uplink->worker),
            .instances = batch->instances,
            .removed = batch->removed};
    supervisor_memory(uplink->supervisor, &batch->state);
}

static void batch_send(struct uplink *uplink)
{
    const struct msg msg = {.type = MSG_STATE, .state = uplink->batch.state};

    put(uplink, &msg);
    uplink->told_total_bytes = uplink->batch.state.memory_total_bytes;
    uplink->told_available_bytes = uplink->batch.state.memory_available_bytes;
    batch_begin(uplink, false);
}

static void batch_add(struct uplink *uplink, const char *model)
{
    struct state_batch *batch = &uplink->batch;
    struct msg_instance instance;
    bool known = supervisor_describe(uplink->supervisor, model, &instance);
    size_t bytes = known ? msg_instance_bytes(&instance) : REMOVED_WIRE_MAX + strlen(model);

    if (batch->state.instance_count == MSG_INSTANCES_MAX ||
            batch->state.removed_count == MSG_INSTANCES_MAX ||
            batch->bytes + bytes > STATE_BATCH_BYTES)
        batch_send(uplink);
    batch->bytes += bytes;
    if (known)
        batch->instances[batch->state.instance_count++] = instance;
    else
        batch->removed[batch->state.removed_count++] = model;
}

static void clear_dirty(struct uplink *uplink)
{
    list_for_each_safe (it, &uplink->dirty) {
        list_del(it);
        free(list_entry(it, struct dirty, link));
    }
}

static void send_state(struct uplink *uplink)
{
    const char *model;

    batch_begin(uplink, uplink->state_full);
    if (uplink->state_full)
        for (size_t i = 0; (model = supervisor_model_at(uplink->supervisor, i)) != NULL; i++)
            batch_add(uplink, model);
    else
        list_for_each (it, &uplink->dirty)
            batch_add(uplink, list_entry(it, struct dirty, link)->model);
    batch_send(uplink);
    clear_dirty(uplink);
    uplink->state_due = uplink->state_full = false;
    uplink->state_ms = now_ms(uplink);
}

static bool moved(uint64_t told, uint64_t now, uint64_t total)
{
    return (told > now ? told - now : now - told) > total / MEMORY_PARTS;
}

/* What is there moves, too: a GPU may be lost. */
static bool memory_has_moved(const struct uplink *uplink)
{
    struct msg_state now;
    uint64_t total = uplink->told_total_bytes;

    supervisor_memory(uplink->supervisor, &now);
    return moved(total, now.memory_total_bytes, total) ||
           moved(uplink->told_available_bytes, now.memory_available_bytes, total);
}

static void send_state_if_due(struct uplink *uplink)
{
    uint64_t age_ms = now_ms(uplink) - uplink->state_ms;

    if (state_of(uplink) != UPLINK_UP)
        return;
    if (uplink->state_full || (uplink->state_due && age_ms >= UPLINK_STATE_MS))
        send_state(uplink);
}

void uplink_model_changed(struct uplink *uplink, const char *model)
{
    size_t len = strlen(model);
    struct dirty *dirty;

    if (state_of(uplink) != UPLINK_UP || uplink->state_full)
        return;
    uplink->state_due = true;
    list_for_each (it, &uplink->dirty) {
        if (strcmp(list_entry(it, struct dirty, link)->model, model) == 0)
            return;
    }
    dirty = malloc(sizeof *dirty + len + 1);
    if (dirty == NULL) {
        uplink->state_full = true;
        return;
    }
    memcpy(dirty->model, model, len + 1);
    list_push_back(&uplink->dirty, &dirty->link);
}

void uplink_draining(struct uplink *uplink)
{
    if (state_of(uplink) == UPLINK_UP)
        send_state(uplink);
}

void uplink_pause(struct uplink *uplink, bool paused)
{
    worker_pause(uplink->worker, paused);
    uplink_draining(uplink);
}

/* --- frames in --- */

static void on_welcome(struct uplink *uplink, const struct msg_welcome *welcome)
{
    struct err err;

    if (state_of(uplink) != UPLINK_GREETING) {
        break_off(uplink, "the coordinator said WELCOME twice");
        return;
    }
    if (worker_session_begin(uplink->worker, welcome->epoch) < 0) {
        break_off(uplink, "out of memory");
        return;
    }
    uplink->heartbeat_ms = welcome->heartbeat_ms;
    uplink->epoch = welcome->epoch;
    uplink->heard_ms = now_ms(uplink);
    uplink->state_full = true;
    uplink_set_state(uplink, UPLINK_UP);
    if (uplink->events->on_welcome(uplink->ctx, welcome, &err) < 0)
        break_off(uplink, err.text);
    send_state_if_due(uplink);
}

static void answer_unsupported(struct uplink *uplink, uint32_t type)
{
    const struct msg answer = {.type = MSG_UNSUPPORTED, .unsupported = {.type = type}};

    put(uplink, &answer);
}

static void on_heartbeat(struct uplink *uplink, const struct msg_heartbeat *heartbeat)
{
    const struct msg answer = {.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = heartbeat->sent_us}};

    if (heartbeat->sent_us != 0)
        put(uplink, &answer);
}

static bool may_come_first(enum msg_type type)
{
    return type == MSG_WELCOME || type == MSG_REFUSE || type == MSG_HEARTBEAT ||
           type == MSG_UNSUPPORTED;
}

static void dispatch(struct uplink *uplink, const struct msg *msg)
{
    struct err err;

    if (state_of(uplink) == UPLINK_GREETING && !may_come_first(msg->type)) {
        break_off(uplink, "the coordinator said something else before WELCOME");
        return;
    }
    switch (msg->type) {
    case MSG_WELCOME:
        on_welcome(uplink, &msg->welcome);
        break;
    case MSG_HEARTBEAT:
        on_heartbeat(uplink, &msg->heartbeat);
        break;
    case MSG_CERTIFICATE:
    case MSG_JOINED:
    case MSG_REFUSE:
        uplink->events->on_membership(uplink->ctx, msg);
        break;
    case MSG_TUNNEL_DATA:
    case MSG_TUNNEL_CREDIT:
    case MSG_TUNNEL_CLOSE:
        if (uplink->events->on_tunnel(uplink->ctx, msg, &err) < 0)
            break_off(uplink, err.text);
        break;
    case MSG_LOAD:
    case MSG_UNLOAD:
    case MSG_PIN:
    case MSG_DRAIN:
        uplink->events->on_order(uplink->ctx, msg);
        break;
    case MSG_UNSUPPORTED:
        log_debug("coordinator does not know a message", LOG_U("type", msg->unsupported.type));
        break;
    default:
        if (worker_on_msg(uplink->worker, msg, &err) < 0)
            break_off(uplink, err.text);
    }
}

void uplink_on_frame(struct uplink *uplink, const void *data, size_t len)
{
    struct err err;
    struct msg msg;
    int rc;

    if (uplink->broken || state_of(uplink) == UPLINK_DOWN)
        return;
    if (state_of(uplink) == UPLINK_UP) /* before, only WELCOME is a sign of life */
        uplink->heard_ms = now_ms(uplink);
    uplink->doubted_ms = 0;
    rc = codec_decode(data, len, &uplink->arena, &msg, &err);
    if (rc == -EOPNOTSUPP)
        answer_unsupported(uplink, msg.type);
    else if (rc < 0)
        break_off(uplink, err.text);
    else
        dispatch(uplink, &msg);
    arena_fini(&uplink->arena);
}

/* --- time --- */

void uplink_flush(struct uplink *uplink)
{
    if (state_of(uplink) == UPLINK_DOWN || uplink->broken)
        return;
    put_grants(uplink);
    put_deltas(uplink);
    list_for_each_safe (it, &uplink->tail) {
        list_del(it);
        list_push_back(&uplink->outbox, it);
    }
    send_waiting(uplink);
    send_state_if_due(uplink);
    if (state_of(uplink) == UPLINK_UP && !uplink->broken && uplink_tunnel_room(uplink))
        uplink->events->on_room(uplink->ctx);
}

static void send_heartbeat_if_due(struct uplink *uplink)
{
    const struct msg msg = {
            .type = MSG_HEARTBEAT, .heartbeat = {.sent_us = env_now_us(uplink->env)}};

    if (state_of(uplink) == UPLINK_UP &&
            now_ms(uplink) - uplink->sent_ms + UPLINK_TICK_MS > uplink->heartbeat_ms)
        put(uplink, &msg);
}

void uplink_doubt(struct uplink *uplink)
{
    if (state_of(uplink) != UPLINK_DOWN && uplink->doubted_ms == 0)
        uplink->doubted_ms = now_ms(uplink);
}

void uplink_tick(struct uplink *uplink)
{
    uint64_t now = now_ms(uplink);

    if (now - uplink->ticked_ms >= STANDSTILL_MS) {
        uplink->heard_ms = now;
        uplink->doubted_ms = 0;
    }
    uplink->ticked_ms = now;
    if (state_of(uplink) == UPLINK_DOWN || uplink->broken)
        return;
    if (now - uplink->heard_ms >= UPLINK_SILENCE_MS ||
            (uplink->doubted_ms != 0 && now - uplink->doubted_ms >= UPLINK_DOUBT_MS)) {
        break_off(uplink, "the coordinator is silent");
        return;
    }
    if (now - uplink->state_ms >= UPLINK_MEMORY_MS && memory_has_moved(uplink))
        uplink->state_due = true;
    uplink_flush(uplink);
    send_heartbeat_if_due(uplink);
}

/* --- life --- */

void uplink_up(struct uplink *uplink, const struct msg_bytes *certificate)
{
    const struct msg hello = {.type = MSG_HELLO,
            .hello = {.name = uplink->config.name,
                    .software = uplink->config.software,
                    .version_min = FRAME_VERSION_MIN,
                    .version_max = FRAME_VERSION,
                    .certificate = *certificate}};

    uplink_down(uplink);
    uplink_set_state(uplink, UPLINK_GREETING);
    uplink->heard_ms = uplink->ticked_ms = now_ms(uplink);
    put(uplink, &hello);
}

static void drop_frames(struct uplink *uplink, struct list *frames)
{
    list_for_each_safe (it, frames)
        outgoing_free(uplink, list_entry(it, struct outgoing, link));
}

void uplink_down(struct uplink *uplink)
{
    if (state_of(uplink) == UPLINK_DOWN)
        return;
    uplink_set_state(uplink, UPLINK_DOWN);
    worker_session_end(uplink->worker);
    uplink->grant_count = uplink->delta_count = uplink->delta_bytes = uplink->delta_wire_bytes = 0;
    drop_frames(uplink, &uplink->tail);
    drop_frames(uplink, &uplink->outbox);
    clear_dirty(uplink);
    uplink->state_due = uplink->state_full = uplink->broken = false;
    uplink->doubted_ms = 0;
}

void uplink_send(struct uplink *uplink, const struct msg *msg)
{
    if (state_of(uplink) == UPLINK_UP)
        put(uplink, msg);
}

bool uplink_tunnel_room(const struct uplink *uplink)
{
    return uplink->waiting_bytes < UPLINK_TUNNEL_MAX;
}

uint32_t uplink_epoch(const struct uplink *uplink)
{
    return uplink->epoch;
}

bool uplink_is_up(const struct uplink *uplink)
{
    return state_of(uplink) == UPLINK_UP;
}

bool uplink_idle(const struct uplink *uplink)
{
    return uplink->delta_count == 0 && uplink->grant_count == 0 && uplink->waiting_bytes == 0;
}

size_t uplink_stream_count(const struct uplink *uplink)
{
    return worker_stream_count(uplink->worker);
}

struct uplink *uplink_create(const struct env *env, const struct transport *transport,
        struct supervisor *supervisor, const struct uplink_config *config,
        const struct uplink_events *events, void *ctx)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);
    struct worker_sink sink = {.send = on_worker_msg, .ctx = uplink};

    if (uplink == NULL)
        return NULL;
    uplink->worker = worker_create(env, supervisor, &sink);
    if (uplink->worker == NULL) {
        free(uplink);
        return NULL;
    }
    uplink->env = env;
    uplink->transport = *transport;
    uplink->supervisor = supervisor;
    uplink->config = *config;
    uplink->events = events;
    uplink->ctx = ctx;
    sm_init(&uplink->sm, &uplink_sm, UPLINK_DOWN);
    list_init(&uplink->dirty);
    list_init(&uplink->tail);
    list_init(&uplink->outbox);
    buf_init(&uplink->scratch, FRAME_MAX);
    arena_init(&uplink->arena, MSG_ARENA_BYTES);
    return uplink;
}

void uplink_destroy(struct uplink *uplink)
{
    if (uplink == NULL)
        return;
    uplink_down(uplink);
    worker_destroy(uplink->worker);
    buf_fini(&uplink->scratch);
    arena_fini(&uplink->arena);
    free(uplink);
}
