#include "common/link/link_socket.h"
#include "common/link/zap.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every node of a large mesh comes back at once when the coordinator does. */
enum { ACCEPT_BACKLOG = 1024 };

enum { SILENCE_TICK_MS = 1000 };

enum {
    MONITOR_EVENTS = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED
};

/* What is known of a descriptor. Descriptors are used again, and neither messages nor the monitor
 * tell in time; the kernel's cookie of a socket is given once. */
struct descriptor {
    uint32_t serial; /* of the latest connection that spoke on it */
    uint64_t cookie; /* of that one's socket; 0: nobody spoke */
    bool accepted;   /* the monitor has told of a connection, and not of its end … */
    bool spoke;      /* … which has sent a frame … */
    uint64_t accepted_ms, accepted_cookie; /* … and came then, on this socket */
    uint64_t proofs;                       /* the server's count when that one came … */
    char address[LINK_ADDRESS_MAX + 1];    /* … from there; "": not known */
};

/* How the latest handshake failed. libzmq's one thread tells it right before the connection's end,
 * which has the descriptor. */
enum failure {
    FAILURE_NONE,
    FAILURE_HUNG_UP, /* by the peer */
    FAILURE_BROKEN,
};

struct link_server {
    struct loop *loop;
    void *zmq_context, *zsock;
    struct zap *zap;
    struct zsock_watch *watch;
    struct link_monitor *monitor;
    struct loop_timer *silence; /* looks for peers that say nothing */
    const struct link_server_events *events;
    void *ctx;
    char endpoint[128];
    struct descriptor *descriptors;
    size_t descriptor_count;
    uint64_t proofs; /* keys that were proven, whether they were let in or not */
    enum failure failure;
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

/* NULL where malloc refuses. */
static struct descriptor *descriptor_at(struct link_server *server, size_t fd)
{
    if (fd < server->descriptor_count)
        return &server->descriptors[fd];
    size_t count = fd + 1 + fd / 2;
    struct descriptor *descriptors = reallocarray(server->descriptors, count, sizeof(*descriptors));
    if (!descriptors)
        return NULL;
    memset(descriptors + server->descriptor_count, 0,
            (count - server->descriptor_count) * sizeof(*descriptors));
    server->descriptors = descriptors;
    server->descriptor_count = count;
    return &descriptors[fd];
}

/* 0 where the descriptor is no socket, or none any more. */
static uint64_t socket_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/* "" where it is not known. */
static void read_address(int fd, char ret_address[LINK_ADDRESS_MAX + 1])
{
    struct sockaddr_storage addr;
    socklen_t size = sizeof(addr);
    char host[NI_MAXHOST];
    ret_address[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&addr, &size) == 0 &&
            getnameinfo((struct sockaddr *)&addr, size, host, sizeof(host), NULL, 0,
                    NI_NUMERICHOST) == 0)
        (void)snprintf(ret_address, LINK_ADDRESS_MAX + 1, "%s", plain_address(host));
}

static void on_accepted(struct link_server *server, int fd)
{
    struct descriptor *descriptor = fd >= 0 ? descriptor_at(server, (size_t)fd) : NULL;
    if (!descriptor)
        return;
    descriptor->accepted = true;
    descriptor->spoke = false;
    descriptor->accepted_ms = uv_now(&server->loop->uv);
    descriptor->accepted_cookie = socket_cookie(fd);
    descriptor->proofs = server->proofs;
    read_address(fd, descriptor->address);
}

/* What is no ZeroMQ at all libzmq closes without a word on the monitor: a connection during which
 * nobody proved a key has not done so either. */
static bool was_bad(const struct link_server *server, const struct descriptor *descriptor)
{
    return server->failure == FAILURE_BROKEN ||
           (server->failure == FAILURE_NONE && descriptor->proofs == server->proofs);
}

static void on_disconnected(struct link_server *server, int fd)
{
    struct descriptor *descriptor = fd >= 0 ? descriptor_at(server, (size_t)fd) : NULL;
    if (descriptor && descriptor->accepted && was_bad(server, descriptor))
        server->events->on_bad_handshake(
                server->ctx, *descriptor->address ? descriptor->address : NULL);
    if (descriptor)
        descriptor->accepted = false;
    server->failure = FAILURE_NONE;
    link_socket_catch_up(server->zsock);
    server->events->on_disconnect_hint(server->ctx, fd);
}

static void on_monitor(void *ctx, uint16_t event, int32_t value)
{
    struct link_server *server = ctx;
    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        on_accepted(server, value);
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        server->proofs++;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        server->failure = FAILURE_BROKEN;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: /* errno; the time is over where it only waited */
        server->failure = value == EAGAIN ? FAILURE_BROKEN : FAILURE_HUNG_UP;
        break;
    case ZMQ_EVENT_DISCONNECTED:
        on_disconnected(server, value);
        break;
    default:
        break;
    }
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

/* libzmq counts its connections in their routing ids, behind the zero byte. */
static uint32_t serial_of(const struct link_peer *peer)
{
    const uint8_t *id = peer->routing_id;
    return (uint32_t)id[1] << 24 | (uint32_t)id[2] << 16 | (uint32_t)id[3] << 8 | id[4];
}

/* The count may begin anywhere and wrap. */
static bool is_later(uint32_t serial, uint32_t than)
{
    return serial != than && serial - than <= UINT32_MAX / 2;
}

/* A late word of a connection that was there before changes nothing. False where it could not be
 * noted: a peer that cannot be cut off is not heard. */
static bool note_speaker(struct link_server *server, const struct link_peer *peer)
{
    struct descriptor *descriptor = peer->fd >= 0 ? descriptor_at(server, (size_t)peer->fd) : NULL;
    if (!descriptor)
        return false;
    uint32_t serial = serial_of(peer);
    if (descriptor->cookie == 0 || is_later(serial, descriptor->serial)) {
        descriptor->serial = serial;
        descriptor->cookie = socket_cookie(peer->fd);
    }
    if (descriptor->cookie == descriptor->accepted_cookie)
        descriptor->spoke = true;
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
    if (whole && read_peer(&id, &body, &peer) && note_speaker(server, &peer))
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

/* Asks libzmq, with a frame that says nothing. Of a peer that went before its first frame was read,
 * the descriptor may have been somebody else's already when its cookie was noted. */
static bool is_there(struct link_server *server, const struct link_peer *peer)
{
    link_socket_catch_up(server->zsock);
    return send_frame(server, peer, "", 0) != -EHOSTUNREACH;
}

static bool is_the_socket_of(struct link_server *server, int fd, const struct link_peer *peer)
{
    const struct descriptor *descriptor = &server->descriptors[peer->fd];
    return descriptor->cookie != 0 && descriptor->cookie == socket_cookie(fd) &&
           descriptor->serial == serial_of(peer) && is_there(server, peer);
}

/* Works on a second descriptor of the same socket: the first is libzmq's, which may close it, and
 * the kernel give its number away, at any moment. Only where there are no more descriptors that
 * moment is risked. */
void link_server_cut(struct link_server *server, const struct link_peer *peer)
{
    if (peer->fd < 0 || (size_t)peer->fd >= server->descriptor_count)
        return;
    int copy = fcntl(peer->fd, F_DUPFD_CLOEXEC, 0);
    int fd = copy >= 0 ? copy : peer->fd;
    if (is_the_socket_of(server, fd, peer))
        shutdown(fd, SHUT_RDWR);
    if (copy >= 0)
        close(copy);
}

/* Whoever holds a key that is let in, a join token's too, could hold connections by the thousand.
 */
static void cut_if_silent(int fd, const struct descriptor *descriptor)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* as in link_server_cut() */
    int own = copy >= 0 ? copy : fd;
    if (descriptor->accepted_cookie && socket_cookie(own) == descriptor->accepted_cookie)
        shutdown(own, SHUT_RDWR);
    if (copy >= 0)
        close(copy);
}

static void on_silence_tick(void *ctx)
{
    struct link_server *server = ctx;
    uint64_t now_ms = uv_now(&server->loop->uv);
    for (size_t fd = 0; fd < server->descriptor_count; fd++) {
        const struct descriptor *descriptor = &server->descriptors[fd];
        if (descriptor->accepted && !descriptor->spoke &&
                now_ms - descriptor->accepted_ms >= LINK_SPEAK_MS)
            cut_if_silent((int)fd, descriptor);
    }
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
    server->monitor = link_monitor_create(
            server->loop, server->zmq_context, server->zsock, MONITOR_EVENTS, on_monitor, server);
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
    if (!r && !(server->silence = loop_timer_create(loop, on_silence_tick, server)))
        r = err_set(err, -ENOMEM, "no memory for the link");
    if (r) {
        link_server_destroy(server);
        return r;
    }
    loop_timer_start(server->silence, SILENCE_TICK_MS, SILENCE_TICK_MS);
    *ret_server = server;
    return 0;
}

void link_server_destroy(struct link_server *server)
{
    if (!server)
        return;
    loop_timer_destroy(server->silence);
    zsock_watch_destroy(server->watch);
    link_monitor_destroy(server->monitor);
    if (server->zsock)
        zmq_close(server->zsock);
    zap_destroy(server->zap);
    zmq_ctx_term(server->zmq_context);
    free(server->descriptors);
    free(server);
}

const char *link_server_endpoint(const struct link_server *server)
{
    return server->endpoint;
}
