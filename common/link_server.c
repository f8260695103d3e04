#include "common/link_socket.h"
#include "common/zap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every node of a large mesh comes back at once when the coordinator does. */
enum { ACCEPT_BACKLOG = 1024 };

struct link_server {
    struct loop *loop;
    void *zmq_context, *zsock;
    struct zap *zap;
    struct zsock_watch *watch;
    struct link_monitor *monitor;
    const struct link_server_events *events;
    void *ctx;
    char endpoint[128];
};

/* A socket for both families sees an IPv4 peer as "::ffff:192.0.2.1". */
static const char *plain_address(const char *address)
{
    static const char mapped[] = "::ffff:";
    size_t len = strlen(mapped);
    return strncmp(address, mapped, len) == 0 && strchr(address, '.') ? address + len : address;
}

static bool on_zap(void *ctx, const char *key_z85, const char *address)
{
    struct link_server *server = ctx;
    return server->events->allow(server->ctx, key_z85, plain_address(address));
}

static void on_monitor(void *ctx, uint16_t event, int32_t value)
{
    struct link_server *server = ctx;
    if (event != ZMQ_EVENT_DISCONNECTED)
        return;
    link_socket_catch_up(server->zsock);
    server->events->on_disconnect_hint(server->ctx, value);
}

/* ZMQ_SRCFD is the one thing that ties a message to a line of the monitor; libzmq calls it
 * deprecated and keeps it. */
static bool read_peer(zmq_msg_t *id, zmq_msg_t *body, struct link_peer *ret_peer)
{
    const char *key = zmq_msg_gets(body, "User-Id");
    const char *address = zmq_msg_gets(body, "Peer-Address");
    const uint8_t *id_bytes = zmq_msg_data(id);
    if (zmq_msg_size(id) != LINK_ROUTING_ID_BYTES || id_bytes[0] != 0 || !key ||
            !key_z85_valid(key))
        return false;
    memcpy(ret_peer->routing_id, id_bytes, LINK_ROUTING_ID_BYTES);
    memcpy(ret_peer->key, key, KEY_Z85_LEN + 1);
    snprintf(ret_peer->address, sizeof(ret_peer->address), "%s",
            address ? plain_address(address) : "");
    ret_peer->fd = zmq_msg_get(body, ZMQ_SRCFD);
    return true;
}

static bool on_readable(void *ctx)
{
    struct link_server *server = ctx;
    zmq_msg_t id, body;
    if (!link_socket_receive(server->zsock, &id))
        return false;
    if (!link_socket_receive(server->zsock, &body)) {
        zmq_msg_close(&id);
        return true;
    }
    struct link_peer peer;
    bool whole = link_socket_drop_rest(server->zsock) == 0;
    if (whole && read_peer(&id, &body, &peer))
        server->events->on_frame(server->ctx, &peer, zmq_msg_data(&body), zmq_msg_size(&body));
    zmq_msg_close(&id);
    zmq_msg_close(&body);
    return true;
}

static int send_frame(void *ctx, const void *peer, const void *frame, size_t len)
{
    struct link_server *server = ctx;
    const struct link_peer *to = peer;
    zmq_msg_t body; /* whole before its envelope goes: half a message would spoil the next */
    if (zmq_msg_init_size(&body, len))
        return -ENOMEM;
    memcpy(zmq_msg_data(&body), frame, len);
    if (zmq_send(server->zsock, to->routing_id, LINK_ROUTING_ID_BYTES,
                ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
            zmq_msg_send(&body, server->zsock, ZMQ_DONTWAIT) >= 0)
        return 0;
    int r = link_socket_errno();
    zmq_msg_close(&body);
    return r;
}

struct transport link_server_transport(struct link_server *server)
{
    return (struct transport){.send = send_frame, .ctx = server};
}

/* An IPv4 address keeps its own form in what the socket tells; any other may need both families. */
static bool is_ipv4(const char *endpoint)
{
    static const char scheme[] = "tcp://";
    if (strncmp(endpoint, scheme, strlen(scheme)) != 0)
        return false;
    const char *address = endpoint + strlen(scheme);
    size_t len = strspn(address, "0123456789.");
    return len > 0 && address[len] == ':';
}

static int set_server_options(void *zsock, const char *endpoint)
{
    int ipv6 = !is_ipv4(endpoint);
    static const int one = 1, zero = 0, backlog = ACCEPT_BACKLOG;
    return zmq_setsockopt(zsock, ZMQ_IPV6, &ipv6, sizeof(ipv6)) ||
           zmq_setsockopt(zsock, ZMQ_CURVE_SERVER, &one, sizeof(one)) ||
           zmq_setsockopt(zsock, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) ||
           zmq_setsockopt(zsock, ZMQ_ROUTER_MANDATORY, &one, sizeof(one)) ||
           zmq_setsockopt(zsock, ZMQ_ROUTER_HANDOVER, &zero, sizeof(zero)) ||
           zmq_setsockopt(zsock, ZMQ_BACKLOG, &backlog, sizeof(backlog));
}

/* All options come before bind: libzmq copies them into the listener. */
static int bind_socket(struct link_server *server, const char *endpoint,
        const struct key_pair *pair, struct err *err)
{
    server->zsock = link_socket_open(server->zmq_context, ZMQ_ROUTER, pair, err);
    if (!server->zsock)
        return -EIO;
    if (set_server_options(server->zsock, endpoint))
        return err_set(err, -EIO, "cannot set up the link: %s", zmq_strerror(zmq_errno()));
    server->monitor = link_monitor_create(server->loop, server->zmq_context, server->zsock,
            ZMQ_EVENT_DISCONNECTED, on_monitor, server);
    if (!server->monitor)
        return err_set(err, -EIO, "cannot watch the link: %s", zmq_strerror(zmq_errno()));
    if (strncmp(endpoint, "tcp://", strlen("tcp://")) != 0)
        return err_set(err, -EINVAL,
                "link address \"%.100s\" does not begin with tcp://; write --link tcp://ADDR:PORT",
                endpoint);
    if (zmq_bind(server->zsock, endpoint)) {
        int code = zmq_errno();
        return err_set(err, code == EADDRINUSE ? -EADDRINUSE : -EINVAL,
                "cannot listen on link address \"%s\": %s; choose another with --link "
                "tcp://ADDR:PORT",
                endpoint, zmq_strerror(code));
    }
    size_t size = sizeof(server->endpoint);
    if (zmq_getsockopt(server->zsock, ZMQ_LAST_ENDPOINT, server->endpoint, &size))
        return err_set(err, -EIO, "the link has no address: %s", zmq_strerror(zmq_errno()));
    return 0;
}

int link_server_create(struct loop *loop, const char *endpoint, const struct key_pair *pair,
        const struct link_server_events *events, void *ctx, struct link_server **ret_server,
        struct err *err)
{
    struct link_server *server = calloc(1, sizeof(*server));
    if (!server || !(server->zmq_context = zmq_ctx_new())) {
        free(server);
        return err_set(err, -ENOMEM, "no memory for the link");
    }
    server->loop = loop;
    server->events = events;
    server->ctx = ctx;
    int r = zap_create(loop, server->zmq_context, on_zap, server, &server->zap, err);
    if (!r)
        r = bind_socket(server, endpoint, pair, err);
    if (!r && !(server->watch = zsock_watch_create(loop, server->zsock, on_readable, server)))
        r = err_set(err, -EIO, "cannot watch the link");
    if (r) {
        link_server_destroy(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

void link_server_destroy(struct link_server *server)
{
    if (!server)
        return;
    zsock_watch_destroy(server->watch);
    link_monitor_destroy(server->monitor);
    if (server->zsock)
        zmq_close(server->zsock);
    zap_destroy(server->zap);
    zmq_ctx_term(server->zmq_context);
    free(server);
}

const char *link_server_endpoint(const struct link_server *server)
{
    return server->endpoint;
}
