#include "coordinator/http/edge_gate.h"

#include "common/link/tunnel.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct edge_gate {
    struct http_server *http;
    struct node_session *session;
    struct tunnel_set *tunnels;
    bool told; /* the log, that there is no room */
};

static void send_data(void *ctx, uint64_t id, const void *data, size_t len)
{
    struct edge_gate *gate = ctx;
    struct msg msg = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = id, .data = data, .len = len}};
    node_session_send(gate->session, &msg);
}

static void send_credit(void *ctx, uint64_t id, uint32_t bytes)
{
    struct edge_gate *gate = ctx;
    struct msg msg = {.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = id, .bytes = bytes}};
    node_session_send(gate->session, &msg);
}

static void send_close(void *ctx, uint64_t id)
{
    struct edge_gate *gate = ctx;
    struct msg msg = {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = id}};
    node_session_send(gate->session, &msg);
}

static bool has_room(void *ctx)
{
    struct edge_gate *gate = ctx;
    return node_session_tunnel_room(gate->session);
}

/* No send_open: only nodes make tunnels. */
static const struct tunnel_events events = {.send_data = send_data,
        .send_credit = send_credit,
        .send_close = send_close,
        .has_room = has_room};

struct edge_gate *edge_gate_create(
        struct loop *loop, struct http_server *http, struct node_session *session)
{
    struct edge_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    gate->http = http;
    gate->session = session;
    gate->tunnels = tunnel_set_create(loop, node_session_epoch(session), &events, gate);
    if (gate->tunnels)
        return gate;
    free(gate);
    return NULL;
}

void edge_gate_destroy(struct edge_gate *gate)
{
    if (!gate)
        return;
    tunnel_set_destroy(gate->tunnels);
    free(gate);
}

/* A pair whose first end is the HTTP server's from then on. */
static int connect_http(struct edge_gate *gate, int *ret_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int r = http_server_adopt(gate->http, pair[0], node_session_name(gate->session));
    if (r) {
        close(pair[1]);
        return r;
    }
    *ret_fd = pair[1];
    return 0;
}

/* We have no room, or are stopping: no fault of the node. It may try without end, the log is short.
 */
static void close_editor(struct edge_gate *gate, uint64_t tunnel, int r)
{
    if (r != -ESHUTDOWN && !gate->told) {
        gate->told = true;
        log_warn("no room for an editor's connection",
                LOG_S("node", node_session_name(gate->session)), LOG_I("errno", -r));
    }
    send_close(gate, tunnel);
}

static int open_tunnel(struct edge_gate *gate, const struct msg_tunnel_open *open, struct err *err)
{
    if (!(node_session_roles(gate->session) & CERTIFICATE_ROLE_EDGE))
        return err_set(err, -EACCES, "it carries editors, and its certificate does not allow that");
    int fd = -1;
    int r = connect_http(gate, &fd);
    if (r == 0)
        r = tunnel_set_accept(gate->tunnels, open->tunnel, open->window, fd);
    if (r == -EPROTO || r == -EEXIST)
        return err_set(err, -EPROTO, "it opened a tunnel with an id that cannot be");
    if (r)
        close_editor(gate, open->tunnel, r);
    return 0;
}

/* Where memory was missing the tunnel has ended, and the others go on. */
static int checked(int r, struct err *err)
{
    if (r != -EPROTO)
        return 0;
    return err_set(err, r, "it overspent the credit of a tunnel, or granted too much");
}

int edge_gate_on_msg(struct edge_gate *gate, const struct msg *msg, struct err *err)
{
    switch (msg->type) {
    case MSG_TUNNEL_OPEN:
        return open_tunnel(gate, &msg->tunnel_open, err);
    case MSG_TUNNEL_DATA:
        return checked(tunnel_set_on_data(gate->tunnels, msg->tunnel_data.tunnel,
                               msg->tunnel_data.data, msg->tunnel_data.len),
                err);
    case MSG_TUNNEL_CREDIT:
        return checked(tunnel_set_on_credit(
                               gate->tunnels, msg->tunnel_credit.tunnel, msg->tunnel_credit.bytes),
                err);
    case MSG_TUNNEL_CLOSE:
        tunnel_set_on_close(gate->tunnels, msg->tunnel_close.tunnel);
        return 0;
    default:
        return err_set(err, -EINVAL, "no message of a tunnel");
    }
}

void edge_gate_pump(struct edge_gate *gate)
{
    tunnel_set_pump(gate->tunnels);
}

size_t edge_gate_count(const struct edge_gate *gate)
{
    return tunnel_set_count(gate->tunnels);
}
