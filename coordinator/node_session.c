#include "coordinator/node_session_internal.h"

#include "common/saturating.h"
#include "common/text.h"
#include "proto/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANCES_MAX = 1024 }; /* models of one node */

static const char *const state_names[SESSION_STATE_COUNT] = {"up", "suspect", "gone"};
static const uint32_t next_states[SESSION_STATE_COUNT] = {
        [SESSION_UP] = SM_BIT(SESSION_SUSPECT) | SM_BIT(SESSION_GONE),
        [SESSION_SUSPECT] = SM_BIT(SESSION_UP) | SM_BIT(SESSION_GONE),
};
static const struct sm_def session_sm = {.name = "node session",
        .state_names = state_names,
        .state_count = SESSION_STATE_COUNT,
        .next = next_states};

const char *session_state_name(enum session_state state)
{
    return state_names[state];
}

/* A limit of 0: the node has not told one yet. */
static bool fits_limit(const struct node_session *session, const struct instance *instance)
{
    const struct node_facts *facts = &session->facts;
    uint64_t beyond = instance->batch_only ? facts->swap_allowance_bytes : 0;
    return facts->memory_limit_bytes == 0 ||
           instance->memory_bytes <= saturating_sum(facts->memory_limit_bytes, beyond);
}

static void tell_instance(
        struct node_session *session, struct instance *instance, enum instance_event event)
{
    if (session->events->on_instance)
        session->events->on_instance(session->ctx, instance, event);
}

static void refresh_usable(struct node_session *session)
{
    bool takes_work = !session->facts.draining;
    for (size_t i = 0; i < session->instance_count; i++) {
        struct instance *instance = session->instances[i];
        instance->usable = takes_work && session->sm.state == SESSION_UP;
        instance->silent = takes_work && session->sm.state == SESSION_SUSPECT;
        instance->fits = fits_limit(session, instance);
        instance->ordered = node_orders_loading(session->orders, instance->model);
        tell_instance(session, instance, INSTANCE_CHANGED);
    }
}

static void session_set_state(struct node_session *session, enum session_state state)
{
    if (session->sm.state == state)
        return;
    sm_set(&session->sm, state);
    refresh_usable(session);
    if (state != SESSION_GONE)
        session->events->on_change(session->ctx, session);
}

void node_session_break(struct node_session *session, const char *reason)
{
    if (!*session->broken)
        snprintf(session->broken, sizeof(session->broken), "%s", reason);
}

/* --- sending --- */

static enum outbox_lane lane_of(const struct msg *msg)
{
    switch (msg->type) {
    case MSG_START:
    case MSG_BODY:
    case MSG_LOAD: /* what was asked of a model before an order is answered as before it */
    case MSG_UNLOAD:
    case MSG_PIN:
    case MSG_DRAIN:
        return OUTBOX_DATA;
    case MSG_TUNNEL_DATA:
    case MSG_TUNNEL_CLOSE:
        return OUTBOX_TUNNEL;
    default:
        return OUTBOX_CONTROL;
    }
}

static bool try_send(struct node_session *session, const void *frame, size_t len)
{
    int r = transport_send(&session->transport, &session->peer, frame, len);
    if (r == 0)
        session->last_sent_us = env_now_us(session->env);
    else if (r != -EAGAIN)
        node_session_break(session, "unreachable");
    return r == 0;
}

/* A frame passes none of its own lane or of one before it: a START may use the index of a stream
 * whose CANCEL still waits. */
static bool must_wait(const struct node_session *session, enum outbox_lane lane)
{
    for (enum outbox_lane before = OUTBOX_CONTROL; before <= lane; before++)
        if (outbox_bytes(&session->outbox, before) > 0)
            return true;
    return false;
}

void node_session_post(struct node_session *session, uint64_t stream, const struct msg *msg)
{
    struct err err;
    buf_clear(&session->scratch);
    if (codec_encode(msg, &session->scratch, &err)) {
        node_session_break(session, err.text);
        return;
    }
    enum outbox_lane lane = lane_of(msg);
    const void *frame = buf_at(&session->scratch);
    if (!must_wait(session, lane) && try_send(session, frame, session->scratch.len))
        return;
    if (*session->broken)
        return;
    if (outbox_put(&session->outbox, lane, stream, frame, session->scratch.len))
        node_session_break(
                session, "its link is too slow: more waits for it than the outbox holds");
}

static bool stream_is_open(const struct node_session *session, uint64_t id)
{
    return stream_table_get(session->table, id) != NULL;
}

/* Data of a stream that was cancelled meanwhile is not; what belongs to no stream is. */
static bool is_wanted(const struct node_session *session, enum outbox_lane lane, uint64_t stream)
{
    return lane != OUTBOX_DATA || stream == 0 || stream_is_open(session, stream);
}

/* False where the link takes no more now. */
static bool flush_lane(struct node_session *session, enum outbox_lane lane)
{
    uint64_t stream;
    const void *frame;
    size_t len;
    while (outbox_peek(&session->outbox, lane, &stream, &frame, &len)) {
        if (is_wanted(session, lane, stream) && !try_send(session, frame, len))
            return false;
        outbox_drop(&session->outbox, lane);
    }
    return true;
}

void node_session_flush(struct node_session *session)
{
    if (session->sm.state == SESSION_GONE)
        return;
    node_streams_flush_credit(session);
    if (flush_lane(session, OUTBOX_CONTROL) && flush_lane(session, OUTBOX_DATA))
        node_streams_flush_bodies(session);
    if (!must_wait(session, OUTBOX_DATA))
        (void)flush_lane(session, OUTBOX_TUNNEL);
    if (*session->broken)
        node_session_end(session, session->broken);
}

void node_session_send(struct node_session *session, const struct msg *msg)
{
    if (session->sm.state != SESSION_GONE)
        node_session_post(session, 0, msg);
}

bool node_session_tunnel_room(const struct node_session *session)
{
    return outbox_bytes(&session->outbox, OUTBOX_TUNNEL) < SESSION_OUTBOX_TUNNEL_MAX;
}

/* None while others wait: those are signs of life too. */
static void send_heartbeat(struct node_session *session, uint64_t sent_us, uint64_t echo_us)
{
    if (outbox_bytes(&session->outbox, OUTBOX_CONTROL) > 0)
        return;
    struct msg msg = {.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = sent_us, .echo_us = echo_us}};
    node_session_post(session, 0, &msg);
}

/* --- orders --- */

/* A model that is ordered is one that requests wait for. */
static void note_orders(struct node_session *session)
{
    refresh_usable(session);
    if (session->sm.state != SESSION_GONE)
        session->events->on_room(session->ctx, session);
}

int node_session_order(struct node_session *session, const struct msg *order,
        const struct node_order_events *events, void *ctx, struct node_order **ret_order,
        struct err *err)
{
    struct msg msg;
    if (session->sm.state != SESSION_UP || *session->broken)
        return err_set(err, -EAGAIN, "node \"%s\" is not heard of now", session->name);
    int r = node_orders_open(session->orders, order, events, ctx, &msg, ret_order, err);
    if (r)
        return r;
    node_session_post(session, 0, &msg);
    note_orders(session);
    return 0;
}

static void on_done(struct node_session *session, const struct msg_done *done)
{
    node_orders_on_done(session->orders, done);
    note_orders(session);
}

static void on_unsupported(struct node_session *session, uint32_t type)
{
    node_orders_on_unsupported(session->orders, type);
    note_orders(session);
}

/* --- what the node says --- */

static struct instance *find_instance(struct node_session *session, const char *model)
{
    for (size_t i = 0; i < session->instance_count; i++)
        if (strcmp(session->instances[i]->model, model) == 0)
            return session->instances[i];
    return NULL;
}

static struct instance *add_instance(struct node_session *session, const char *model)
{
    if (session->instance_count == INSTANCES_MAX)
        return NULL;
    struct instance **instances =
            reallocarray(session->instances, session->instance_count + 1, sizeof(*instances));
    if (!instances)
        return NULL;
    session->instances = instances;
    struct instance *instance = calloc(1, sizeof(*instance));
    if (!instance)
        return NULL;
    instance->session = session;
    instance->epoch = session->epoch;
    instance->node = session->name;
    snprintf(instance->model, sizeof(instance->model), "%s", model);
    instances[session->instance_count++] = instance;
    session->names_edition++;
    return instance;
}

static void instance_free(struct instance *instance)
{
    tell_instance(instance->session, instance, INSTANCE_REMOVED);
    free(instance->aliases);
    free(instance);
}

static void remove_instance(struct node_session *session, size_t index)
{
    struct instance *instance = session->instances[index];
    node_streams_forget_instance(session, instance);
    instance_free(instance);
    session->names_edition++;
    session->instance_count--;
    memmove(&session->instances[index], &session->instances[index + 1],
            (session->instance_count - index) * sizeof(*session->instances));
}

/* Copies what fits, no character cut in two. */
static void copy_text(char *to, size_t size, const char *text)
{
    size_t len = text_utf8_cut(text, strlen(text), size - 1);
    memcpy(to, text, len);
    to[len] = '\0';
}

static bool same_aliases(const struct instance *instance, const struct msg_instance *said)
{
    if (instance->alias_count != said->alias_count)
        return false;
    for (size_t i = 0; i < said->alias_count; i++)
        if (strcmp(instance->aliases[i], said->aliases[i]) != 0)
            return false;
    return true;
}

/* False: no memory; the instance is as it was. */
static bool update_aliases(struct instance *instance, const struct msg_instance *said)
{
    char(*aliases)[MSG_NAME_MAX + 1] = NULL;
    if (same_aliases(instance, said))
        return true;
    if (said->alias_count > 0 && !(aliases = calloc(said->alias_count, sizeof(*aliases))))
        return false;
    for (size_t i = 0; i < said->alias_count; i++)
        copy_text(aliases[i], sizeof(aliases[i]), said->aliases[i]);
    free(instance->aliases);
    instance->aliases = aliases;
    instance->alias_count = said->alias_count;
    instance->session->names_edition++;
    return true;
}

static void update_needs(struct instance *instance, const struct msg_instance *said)
{
    instance->shape = said->shape;
    instance->run_context = said->run_context;
    instance->run_slots = said->run_slots;
    instance->batch_tokens = said->batch_tokens;
    instance->output_rows = said->output_rows;
    instance->side_bytes = said->side_bytes;
    instance->measured_bytes = said->measured_bytes;
    instance->load_ms = said->load_ms;
}

static void update_identity(struct instance *instance, const struct msg_instance *said)
{
    instance->quality = said->quality;
    instance->batch_only = said->batch_only;
    instance->cache_tokens = said->cache_tokens;
    instance->cache_swaps = said->cache_swaps;
    instance->has_fingerprint = said->fingerprint.len == MSG_FINGERPRINT_BYTES;
    if (instance->has_fingerprint)
        memcpy(instance->fingerprint, said->fingerprint.data, MSG_FINGERPRINT_BYTES);
}

static void update_instance(struct instance *instance, const struct msg_instance *said)
{
    instance->state = said->state;
    instance->pinned = said->pinned;
    instance->foreign = said->foreign;
    instance->file_bytes = said->file_bytes;
    instance->memory_bytes = said->memory_bytes;
    instance->context = said->context;
    instance->slots = said->slots;
    instance->busy = said->busy;
    instance->prefill_tok_s = said->prefill_tok_s;
    instance->decode_tok_s = said->decode_tok_s;
    instance->type_k = said->type_k;
    instance->type_v = said->type_v;
    instance->restarts = said->restarts;
    instance->capabilities = said->capabilities;
    instance->context_trained = said->context_trained;
    instance->parameters = said->parameters;
    instance->modified_s = said->modified_s;
    copy_text(instance->architecture, sizeof(instance->architecture), said->architecture);
    copy_text(instance->quantisation, sizeof(instance->quantisation), said->quantisation);
    copy_text(instance->engine, sizeof(instance->engine), said->engine);
    copy_text(instance->note, sizeof(instance->note), said->note);
    update_identity(instance, said);
    update_needs(instance, said);
}

static bool state_names_model(const struct msg_state *state, const char *model)
{
    for (size_t i = 0; i < state->instance_count; i++)
        if (strcmp(state->instances[i].model, model) == 0)
            return true;
    return false;
}

static void drop_unnamed(struct node_session *session, const struct msg_state *state)
{
    for (size_t i = session->instance_count; i-- > 0;)
        if (!state_names_model(state, session->instances[i]->model))
            remove_instance(session, i);
}

static void drop_removed(struct node_session *session, const struct msg_state *state)
{
    for (size_t r = 0; r < state->removed_count; r++)
        for (size_t i = session->instance_count; i-- > 0;)
            if (strcmp(session->instances[i]->model, state->removed[r]) == 0)
                remove_instance(session, i);
}

static void take_instances(struct node_session *session, const struct msg_state *state)
{
    if (state->full)
        drop_unnamed(session, state);
    drop_removed(session, state);
    for (size_t i = 0; i < state->instance_count; i++) {
        const struct msg_instance *said = &state->instances[i];
        struct instance *instance = find_instance(session, said->model);
        bool known = instance != NULL;
        if (!instance)
            instance = add_instance(session, said->model);
        if (!instance || !update_aliases(instance, said)) {
            node_session_break(session,
                    "it has more models than a session takes, or no memory is left for them");
            break;
        }
        update_instance(instance, said);
        if (!known)
            tell_instance(session, instance, INSTANCE_ADDED);
    }
}

static void on_state(struct node_session *session, const struct msg_state *state)
{
    if (session->roles & CERTIFICATE_ROLE_NODE)
        take_instances(session, state);
    session->facts.draining = state->draining;
    session->facts.memory_total_bytes = state->memory_total_bytes;
    session->facts.memory_available_bytes = state->memory_available_bytes;
    session->facts.memory_limit_bytes = state->memory_limit_bytes;
    session->facts.memory_used_bytes = state->memory_used_bytes;
    session->facts.memory_room_bytes = state->memory_room_bytes;
    session->facts.swap_allowance_bytes = state->swap_allowance_bytes;
    session->facts.memory_bandwidth_bytes = state->memory_bandwidth_bytes;
    refresh_usable(session);
    session->events->on_change(session->ctx, session);
}

/* A probe (sent_us) is answered at once; an answer (echo_us) gives the round trip and is not
 * answered. */
static void on_heartbeat(struct node_session *session, const struct msg_heartbeat *heartbeat)
{
    uint64_t now_us = env_now_us(session->env);
    if (heartbeat->echo_us && heartbeat->echo_us <= now_us)
        session->facts.rtt_us = now_us - heartbeat->echo_us;
    if (heartbeat->sent_us)
        send_heartbeat(session, 0, heartbeat->sent_us);
}

static void on_tunnel(struct node_session *session, const struct msg *msg)
{
    struct err err;
    if (session->events->on_tunnel(session->ctx, session, msg, &err) < 0)
        node_session_break(session, err.text);
}

static void on_msg(struct node_session *session, const struct msg *msg)
{
    switch (msg->type) {
    case MSG_STATE:
        on_state(session, &msg->state);
        break;
    case MSG_HEARTBEAT:
        on_heartbeat(session, &msg->heartbeat);
        break;
    case MSG_CREDIT:
        node_streams_on_credit(session, &msg->credit);
        break;
    case MSG_DELTAS:
        for (size_t i = 0; i < msg->deltas.count; i++)
            node_streams_on_delta(session, &msg->deltas.deltas[i]);
        break;
    case MSG_END:
        node_streams_on_end(session, msg->end.stream, NULL);
        break;
    case MSG_FAIL:
        node_streams_on_end(session, msg->fail.stream, &msg->fail);
        break;
    case MSG_JOIN:
        session->events->on_join(session->ctx, session, &msg->join);
        break;
    case MSG_TUNNEL_OPEN:
    case MSG_TUNNEL_DATA:
    case MSG_TUNNEL_CREDIT:
    case MSG_TUNNEL_CLOSE:
        on_tunnel(session, msg);
        break;
    case MSG_PROGRESS:
        node_orders_on_progress(session->orders, &msg->progress);
        break;
    case MSG_DONE:
        on_done(session, &msg->done);
        break;
    case MSG_UNSUPPORTED: /* an older node: but for orders, it can do without what it does not know
                           */
        on_unsupported(session, msg->unsupported.type);
        break;
    case MSG_HELLO:
        node_session_break(session, "it said HELLO a second time on one connection");
        break;
    default:
        node_session_break(session, "it sent a message that only a coordinator sends");
    }
}

static void answer_unsupported(struct node_session *session, unsigned type)
{
    struct msg msg = {.type = MSG_UNSUPPORTED, .unsupported = {.type = type}};
    node_session_post(session, 0, &msg);
}

void node_session_on_frame(struct node_session *session, const void *data, size_t len)
{
    if (session->sm.state == SESSION_GONE || *session->broken)
        return;
    session->facts.last_heard_us = env_now_us(session->env);
    session_set_state(session, SESSION_UP);
    struct err err;
    struct msg msg;
    int r = codec_decode(data, len, &session->arena, &msg, &err);
    if (r == 0)
        on_msg(session, &msg);
    else if (r == -EOPNOTSUPP)
        answer_unsupported(session, msg.type);
    else
        node_session_break(session, err.text);
    arena_fini(&session->arena);
}

/* --- life --- */

void node_session_tick(struct node_session *session, bool stalled)
{
    if (session->sm.state == SESSION_GONE)
        return;
    uint64_t now_us = env_now_us(session->env);
    if (stalled)
        session->facts.last_heard_us = now_us;
    uint64_t silent_ms = (now_us - session->facts.last_heard_us) / 1000;
    if (silent_ms > SESSION_GONE_MS)
        node_session_break(session, "silent for 3 s");
    else if (silent_ms > SESSION_SUSPECT_MS)
        session_set_state(session, SESSION_SUSPECT);
    if (now_us - session->last_sent_us >= SESSION_HEARTBEAT_MS * 1000)
        send_heartbeat(session, now_us, 0);
    node_session_flush(session);
}

void node_session_probe(struct node_session *session)
{
    if (session->sm.state == SESSION_GONE)
        return;
    send_heartbeat(session, env_now_us(session->env), 0);
    node_session_flush(session);
}

static void fail_all(struct node_session *session, const char *reason)
{
    char text[SESSION_REASON_MAX + 128];
    snprintf(text, sizeof(text), "node \"%s\" is gone: %s", session->name, reason);
    struct msg_fail fail = {.code = FAIL_ENGINE_DIED, .message = text};
    node_streams_fail_all(session, &fail);
    node_orders_fail_all(session->orders, reason);
}

void node_session_end(struct node_session *session, const char *reason)
{
    if (session->sm.state == SESSION_GONE)
        return;
    char why[SESSION_REASON_MAX];
    snprintf(why, sizeof(why), "%s", session->facts.draining ? "it has shut down" : reason);
    session_set_state(session, SESSION_GONE);
    fail_all(session, why);
    session->events->on_gone(session->ctx, session, why);
}

static uint32_t make_epoch(const struct env *env)
{
    uint32_t epoch = (uint32_t)env_random_u64(env);
    return epoch ? epoch : 1;
}

static void send_welcome(
        struct node_session *session, const struct session_admission *admission, uint32_t version)
{
    struct msg msg = {.type = MSG_WELCOME,
            .welcome = {.epoch = session->epoch,
                    .version = version,
                    .heartbeat_ms = SESSION_HEARTBEAT_MS,
                    .coordinator = admission->coordinator_name,
                    .mesh = admission->mesh,
                    .certificate = admission->certificate,
                    .coordinators = admission->coordinators,
                    .coordinator_count = admission->coordinator_count}};
    node_session_post(session, 0, &msg);
}

/* The highest version that both speak; 0 where there is none. */
static uint32_t common_version(const struct msg_hello *hello)
{
    uint32_t version = hello->version_max < FRAME_VERSION ? hello->version_max : FRAME_VERSION;
    return version >= hello->version_min && version >= FRAME_VERSION_MIN ? version : 0;
}

static struct node_session *session_alloc(const struct env *env, const struct link_peer *peer,
        const struct session_admission *admission, const struct msg_hello *hello)
{
    struct node_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->env = env;
    session->peer = *peer;
    sm_init(&session->sm, &session_sm, SESSION_UP);
    list_init(&session->streams);
    list_init(&session->sending);
    list_init(&session->owing);
    outbox_init(&session->outbox, SESSION_OUTBOX_MAX);
    buf_init(&session->scratch, FRAME_MAX);
    arena_init(&session->arena, MSG_ARENA_BYTES);
    session->epoch = make_epoch(env);
    copy_text(session->name, sizeof(session->name), admission->name);
    session->roles = admission->roles;
    copy_text(session->software, sizeof(session->software), hello->software);
    session->facts.connected_us = session->facts.last_heard_us = env_now_us(env);
    session->table = stream_table_create(session->epoch);
    session->orders = node_orders_create(session->epoch, session->name);
    if (session->table && session->orders)
        return session;
    stream_table_destroy(session->table);
    node_orders_destroy(session->orders);
    free(session);
    return NULL;
}

int node_session_create(const struct env *env, const struct transport *transport,
        const struct link_peer *peer, const struct msg_hello *hello,
        const struct session_admission *admission, const struct node_session_events *events,
        void *ctx, struct node_session **ret_session, struct err *err)
{
    uint32_t version = common_version(hello);
    if (!version)
        return err_set(err, -EPROTONOSUPPORT,
                "node \"%s\" (%s) speaks versions %u to %u of the link, this coordinator %d to %d; "
                "update the older one",
                admission->name, hello->software, hello->version_min, hello->version_max,
                FRAME_VERSION_MIN, FRAME_VERSION);
    struct node_session *session = session_alloc(env, peer, admission, hello);
    if (!session)
        return err_set(err, -ENOMEM, "no memory for a session with node \"%s\"", admission->name);
    session->transport = *transport;
    session->events = events;
    session->ctx = ctx;
    send_welcome(session, admission, version);
    *ret_session = session;
    return 0;
}

void node_session_destroy(struct node_session *session)
{
    if (!session)
        return;
    session_set_state(session, SESSION_GONE);
    fail_all(session, "the coordinator is stopping");
    while (session->instance_count > 0)
        instance_free(session->instances[--session->instance_count]);
    free(session->instances);
    stream_table_destroy(session->table);
    node_orders_destroy(session->orders);
    outbox_fini(&session->outbox);
    buf_fini(&session->scratch);
    arena_fini(&session->arena);
    free(session);
}

/* --- what people read --- */

const char *node_session_name(const struct node_session *session)
{
    return session->name;
}

unsigned node_session_roles(const struct node_session *session)
{
    return session->roles;
}

uint32_t node_session_epoch(const struct node_session *session)
{
    return session->epoch;
}

const struct link_peer *node_session_peer(const struct node_session *session)
{
    return &session->peer;
}

enum session_state node_session_state(const struct node_session *session)
{
    return session->sm.state;
}

unsigned node_session_names_edition(const struct node_session *session)
{
    return session->names_edition;
}

size_t node_session_instance_count(const struct node_session *session)
{
    return session->instance_count;
}

struct instance *node_session_instance(const struct node_session *session, size_t index)
{
    return session->instances[index];
}

struct node_facts node_session_facts(const struct node_session *session)
{
    struct node_facts facts = session->facts;
    facts.software = session->software;
    return facts;
}
