#include "common/link/link_socket.h"
#include "common/sm.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not 0: asked from inside on_seek, libuv would come back in the same turn, and never end it. */
enum { HURRY_MS = 1 };

/*         ┌───────wait───────┐
 *         ▼                  │
 * ┌──▶ WAITING ──timer──▶ SEEKING ──connect──▶ CONNECTING ──handshake──▶ UP
 * │                                                │ failed, reset       │ lost, reset
 * └──────────────timer────────────── ENDING ◀──────┴─────────────────────┘ */
enum client_state {
    CLIENT_WAITING,
    CLIENT_SEEKING, /* the owner has been asked where to connect */
    CLIENT_CONNECTING,
    CLIENT_UP,
    CLIENT_ENDING,
    CLIENT_STATES,
};

static const char *const state_names[] = {"waiting", "seeking", "connecting", "up", "ending"};
static const uint32_t next_states[CLIENT_STATES] = {
        [CLIENT_WAITING] = SM_BIT(CLIENT_SEEKING),
        [CLIENT_SEEKING] = SM_BIT(CLIENT_WAITING) | SM_BIT(CLIENT_CONNECTING),
        [CLIENT_CONNECTING] = SM_BIT(CLIENT_UP) | SM_BIT(CLIENT_ENDING),
        [CLIENT_UP] = SM_BIT(CLIENT_ENDING),
        [CLIENT_ENDING] = SM_BIT(CLIENT_WAITING),
};
static const struct sm_def client_sm = {"link client", state_names, CLIENT_STATES, next_states};

static const char *const failure_texts[] = {
        [LINK_UNREACHABLE] = "no connection: nobody answers at this address",
        [LINK_HANDSHAKE] = "handshake failed: not a modemesh link, or another key than expected",
        [LINK_REFUSED] = "refused: the coordinator does not know this node's key",
        [LINK_LOST] = "connection lost",
};

struct link_client {
    struct sm sm;
    struct loop *loop;
    const struct env *env;
    void *zmq_context;
    const struct key_pair *pair;
    const struct link_client_events *events;
    void *ctx;

    /* One connection; NULL between two. A DEALER that was refused never tries again, so each try is
     * a new one. */
    void *zsock;
    struct zsock_watch *watch;
    struct link_monitor *monitor;

    struct loop_timer *timer; /* waiting: the next try; ending: the end of this one */
    uint64_t retry_ms;
    enum link_failure failure; /* ending: what on_down will say */
    char reason[ERR_TEXT_MAX];
};

static void set_state(struct link_client *client, enum client_state state)
{
    sm_set(&client->sm, state);
}

static bool is_open(const struct link_client *client)
{
    return client->sm.state == CLIENT_CONNECTING || client->sm.state == CLIENT_UP;
}

static void close_connection(struct link_client *client)
{
    zsock_watch_destroy(client->watch);
    link_monitor_destroy(client->monitor);
    if (client->zsock)
        zmq_close(client->zsock);
    client->zsock = NULL;
    client->watch = NULL;
    client->monitor = NULL;
}

/* The connection ends from a timer, so that no socket is closed under the callback that is reading
 * it. */
static void end_soon(struct link_client *client, enum link_failure failure, const char *reason)
{
    if (!is_open(client))
        return;
    set_state(client, CLIENT_ENDING);
    client->failure = failure;
    snprintf(client->reason, sizeof(client->reason), "%s", reason);
    loop_timer_start(client->timer, 0, 0);
}

static enum link_failure failure_of(uint16_t event, bool was_up)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return LINK_REFUSED;
    case ZMQ_EVENT_CONNECT_RETRIED:
        return LINK_UNREACHABLE;
    default:
        return was_up ? LINK_LOST : LINK_HANDSHAKE;
    }
}

static void come_up(struct link_client *client)
{
    if (client->sm.state != CLIENT_CONNECTING)
        return;
    set_state(client, CLIENT_UP);
    link_socket_catch_up(client->zsock); /* so that a send from on_up finds the connection */
    client->events->on_up(client->ctx);
}

static void on_monitor(void *ctx, uint16_t event, int32_t value)
{
    (void)value;
    struct link_client *client = ctx;
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        come_up(client);
        return;
    }
    enum link_failure failure = failure_of(event, client->sm.state == CLIENT_UP);
    end_soon(client, failure, failure_texts[failure]);
}

static bool on_readable(void *ctx)
{
    struct link_client *client = ctx;
    zmq_msg_t part;
    if (!link_socket_receive(client->zsock, &part))
        return false;
    size_t len = zmq_msg_size(&part);
    bool whole = link_socket_drop_rest(client->zsock) == 0;
    if (whole && len > 0 && client->sm.state == CLIENT_UP)
        client->events->on_frame(client->ctx, zmq_msg_data(&part), len);
    zmq_msg_close(&part);
    return true;
}

/* libzmq's own second try says, by CONNECT_RETRIED, that the first has failed; the connection is
 * closed before it. */
static int set_client_options(void *zsock, const char *server_key)
{
    static const int one = 1, retry_ms = LINK_RETRY_MAX_MS, patience_ms = LINK_HANDSHAKE_MS;
    return zmq_setsockopt(zsock, ZMQ_IPV6, &one, sizeof(one)) ||
           zmq_setsockopt(zsock, ZMQ_CURVE_SERVERKEY, server_key, KEY_Z85_LEN + 1) ||
           zmq_setsockopt(zsock, ZMQ_IMMEDIATE, &one, sizeof(one)) ||
           zmq_setsockopt(zsock, ZMQ_RECONNECT_IVL, &retry_ms, sizeof(retry_ms)) ||
           zmq_setsockopt(zsock, ZMQ_CONNECT_TIMEOUT, &patience_ms, sizeof(patience_ms));
}

static int open_connection(
        struct link_client *client, const char *endpoint, const char *server_key, struct err *err)
{
    static const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                              ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED |
                              ZMQ_EVENT_CONNECT_RETRIED;
    if (!key_z85_valid(server_key))
        return err_set(err, -EINVAL, "\"%.60s\" is no link key (40 Z85 characters)", server_key);
    client->zsock = link_socket_open(client->zmq_context, ZMQ_DEALER, client->pair, err);
    if (!client->zsock)
        return -EIO;
    client->monitor = link_monitor_create(
            client->loop, client->zmq_context, client->zsock, events, on_monitor, client);
    if (client->monitor && set_client_options(client->zsock, server_key) == 0 &&
            zmq_connect(client->zsock, endpoint) == 0)
        client->watch = zsock_watch_create(client->loop, client->zsock, on_readable, client);
    if (!client->watch)
        return err_set(err, -EINVAL, "cannot connect to \"%s\": %s; the form is tcp://ADDR:PORT",
                endpoint, zmq_strerror(zmq_errno()));
    return 0;
}

static void wait_for_retry(struct link_client *client)
{
    uint64_t jitter = env_random_u64(client->env) % (client->retry_ms / 4 + 1);
    set_state(client, CLIENT_WAITING);
    loop_timer_start(client->timer, client->retry_ms + jitter, 0);
    client->retry_ms =
            client->retry_ms * 2 < LINK_RETRY_MAX_MS ? client->retry_ms * 2 : LINK_RETRY_MAX_MS;
}

static void on_timer(void *ctx)
{
    struct link_client *client = ctx;
    if (client->sm.state == CLIENT_ENDING) {
        close_connection(client);
        wait_for_retry(client);
        client->events->on_down(client->ctx, client->failure, client->reason);
    } else {
        set_state(client, CLIENT_SEEKING);
        client->events->on_seek(client->ctx);
    }
}

int link_client_create(struct loop *loop, const struct env *env, const struct key_pair *pair,
        const struct link_client_events *events, void *ctx, struct link_client **ret_client,
        struct err *err)
{
    struct link_client *client = calloc(1, sizeof(*client));
    if (!client)
        return err_set(err, -ENOMEM, "no memory for the link");
    sm_init(&client->sm, &client_sm, CLIENT_WAITING);
    client->loop = loop;
    client->env = env;
    client->pair = pair;
    client->events = events;
    client->ctx = ctx;
    client->retry_ms = LINK_RETRY_MIN_MS;
    client->zmq_context = zmq_ctx_new();
    client->timer = loop_timer_create(loop, on_timer, client);
    if (!client->zmq_context || !client->timer) {
        link_client_destroy(client);
        return err_set(err, -ENOMEM, "no memory for the link");
    }
    loop_timer_start(client->timer, 0, 0);
    *ret_client = client;
    return 0;
}

void link_client_destroy(struct link_client *client)
{
    if (!client)
        return;
    close_connection(client);
    loop_timer_destroy(client->timer);
    if (client->zmq_context)
        zmq_ctx_term(client->zmq_context);
    free(client);
}

void link_client_connect(struct link_client *client, const char *endpoint, const char *server_key)
{
    struct err err;
    set_state(client, CLIENT_CONNECTING);
    if (open_connection(client, endpoint, server_key, &err))
        end_soon(client, LINK_UNREACHABLE, err.text);
}

void link_client_wait(struct link_client *client)
{
    assert(client->sm.state == CLIENT_SEEKING);
    wait_for_retry(client);
}

void link_client_hurry(struct link_client *client)
{
    if (client->sm.state == CLIENT_WAITING)
        loop_timer_start(client->timer, HURRY_MS, 0);
}

void link_client_set_pair(struct link_client *client, const struct key_pair *pair)
{
    client->pair = pair;
}

void link_client_reset(struct link_client *client, const char *reason)
{
    end_soon(client, LINK_LOST, reason);
}

void link_client_settled(struct link_client *client)
{
    client->retry_ms = LINK_RETRY_MIN_MS;
}

static int send_frame(void *ctx, const void *peer, const void *frame, size_t len)
{
    (void)peer;
    struct link_client *client = ctx;
    if (client->sm.state != CLIENT_UP)
        return -EAGAIN;
    return zmq_send(client->zsock, frame, len, ZMQ_DONTWAIT) < 0 ? link_socket_errno() : 0;
}

struct transport link_client_transport(struct link_client *client)
{
    return (struct transport){.send = send_frame, .ctx = client};
}
