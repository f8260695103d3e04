#include "common/link_socket.h"
#include "common/sm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = 160 };

/* WAITING ──timer──▶ CONNECTING ──handshake──▶ UP
 *    ▲                   │ refused, reset      │ lost, reset
 *    └──────timer───── ENDING ◀────────────────┘ */
enum client_state { CLIENT_WAITING, CLIENT_CONNECTING, CLIENT_UP, CLIENT_ENDING, CLIENT_STATES };

static const char *const state_names[] = {"waiting", "connecting", "up", "ending"};
static const uint32_t next_states[CLIENT_STATES] = {
        [CLIENT_WAITING] = SM_BIT(CLIENT_CONNECTING),
        [CLIENT_CONNECTING] = SM_BIT(CLIENT_UP) | SM_BIT(CLIENT_ENDING),
        [CLIENT_UP] = SM_BIT(CLIENT_ENDING),
        [CLIENT_ENDING] = SM_BIT(CLIENT_WAITING),
};
static const struct sm_def client_sm = {"link client", state_names, CLIENT_STATES, next_states};

struct link_client {
    struct sm sm;
    struct loop *loop;
    const struct env *env;
    void *zmq_context;
    char *endpoint;
    char server_key[KEY_Z85_LEN + 1];
    const struct key_pair *pair;
    const struct link_client_events *events;
    void *ctx;

    /* One connection; NULL while waiting. A DEALER that was refused never tries again, so each try
     * is a new one. */
    void *zsock;
    struct zsock_watch *watch;
    struct link_monitor *monitor;

    struct loop_timer *timer; /* waiting: the next try; ending: the end of this one */
    uint64_t retry_ms;
    char reason[REASON_MAX];
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
static void end_soon(struct link_client *client, const char *reason)
{
    if (!is_open(client))
        return;
    set_state(client, CLIENT_ENDING);
    snprintf(client->reason, sizeof(client->reason), "%s", reason);
    loop_timer_start(client->timer, 0, 0);
}

static const char *failure_text(uint16_t event, bool was_up)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return "refused: the coordinator does not know this node's key";
    case ZMQ_EVENT_CONNECT_RETRIED:
        return "no connection: nobody answers at this address";
    default:
        return was_up ? "connection lost"
                      : "handshake failed: not a modemesh link, or not the coordinator whose key "
                        "is pinned here";
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
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        come_up(client);
    else
        end_soon(client, failure_text(event, client->sm.state == CLIENT_UP));
}

static bool on_readable(void *ctx)
{
    struct link_client *client = ctx;
    zmq_msg_t part;
    if (!link_socket_receive(client->zsock, &part))
        return false;
    bool whole = link_socket_drop_rest(client->zsock) == 0;
    if (whole && client->sm.state == CLIENT_UP)
        client->events->on_frame(client->ctx, zmq_msg_data(&part), zmq_msg_size(&part));
    zmq_msg_close(&part);
    return true;
}

/* libzmq's own second try says, by CONNECT_RETRIED, that the first has failed; the connection is
 * closed before it. */
static int set_client_options(struct link_client *client)
{
    static const int one = 1, retry_ms = LINK_RETRY_MAX_MS, patience_ms = LINK_HANDSHAKE_MS;
    return zmq_setsockopt(client->zsock, ZMQ_IPV6, &one, sizeof(one)) ||
           zmq_setsockopt(
                   client->zsock, ZMQ_CURVE_SERVERKEY, client->server_key, KEY_Z85_LEN + 1) ||
           zmq_setsockopt(client->zsock, ZMQ_IMMEDIATE, &one, sizeof(one)) ||
           zmq_setsockopt(client->zsock, ZMQ_RECONNECT_IVL, &retry_ms, sizeof(retry_ms)) ||
           zmq_setsockopt(client->zsock, ZMQ_CONNECT_TIMEOUT, &patience_ms, sizeof(patience_ms));
}

static int open_connection(struct link_client *client, struct err *err)
{
    static const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                              ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED |
                              ZMQ_EVENT_CONNECT_RETRIED;
    client->zsock = link_socket_open(client->zmq_context, ZMQ_DEALER, client->pair, err);
    if (!client->zsock)
        return -EIO;
    client->monitor = link_monitor_create(
            client->loop, client->zmq_context, client->zsock, events, on_monitor, client);
    if (client->monitor && set_client_options(client) == 0 &&
            zmq_connect(client->zsock, client->endpoint) == 0)
        client->watch = zsock_watch_create(client->loop, client->zsock, on_readable, client);
    if (client->watch) {
        set_state(client, CLIENT_CONNECTING);
        return 0;
    }
    err_set(err, -EINVAL, "cannot connect to \"%s\": %s; the form is tcp://ADDR:PORT",
            client->endpoint, zmq_strerror(zmq_errno()));
    close_connection(client);
    return -EINVAL;
}

static void schedule_retry(struct link_client *client)
{
    uint64_t jitter = env_random_u64(client->env) % (client->retry_ms / 4 + 1);
    loop_timer_start(client->timer, client->retry_ms + jitter, 0);
    client->retry_ms =
            client->retry_ms * 2 < LINK_RETRY_MAX_MS ? client->retry_ms * 2 : LINK_RETRY_MAX_MS;
}

static void on_timer(void *ctx)
{
    struct link_client *client = ctx;
    if (client->sm.state == CLIENT_ENDING) {
        close_connection(client);
        set_state(client, CLIENT_WAITING);
        schedule_retry(client);
        client->events->on_down(client->ctx, client->reason);
        return;
    }
    struct err err;
    if (open_connection(client, &err)) {
        schedule_retry(client);
        client->events->on_down(client->ctx, err.text);
    }
}

int link_client_create(struct loop *loop, const struct env *env, const char *endpoint,
        const char *server_key, const struct key_pair *pair,
        const struct link_client_events *events, void *ctx, struct link_client **ret_client,
        struct err *err)
{
    if (!key_z85_valid(server_key))
        return err_set(err, -EINVAL, "\"%.60s\" is no link key (40 Z85 characters)", server_key);
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
    memcpy(client->server_key, server_key, KEY_Z85_LEN + 1);
    client->endpoint = strdup(endpoint);
    client->zmq_context = zmq_ctx_new();
    client->timer = loop_timer_create(loop, on_timer, client);
    int r = -ENOMEM;
    if (!client->endpoint || !client->zmq_context || !client->timer)
        err_set(err, r, "no memory for the link");
    else
        r = open_connection(client, err);
    if (r) {
        link_client_destroy(client);
        return r;
    }
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
    free(client->endpoint);
    free(client);
}

void link_client_reset(struct link_client *client, const char *reason)
{
    end_soon(client, reason);
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
