#include "common/link/link_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A host that vanished without a word is dropped after about a minute, though nothing is being sent
 * to it. */
enum { KEEPALIVE_IDLE_S = 30, KEEPALIVE_PROBE_S = 10, KEEPALIVE_PROBES = 3 };

struct int_option {
    int name, value;
};

static int set_options(void *zsock, const struct key_pair *pair)
{
    static const struct int_option options[] = {
            {ZMQ_LINGER, 0},
            {ZMQ_SNDHWM, LINK_QUEUE_MAX},
            {ZMQ_RCVHWM, LINK_QUEUE_MAX},
            {ZMQ_HANDSHAKE_IVL, LINK_HANDSHAKE_MS},
            {ZMQ_TCP_KEEPALIVE, 1},
            {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
            {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_PROBE_S},
            {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_PROBES},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (zmq_setsockopt(zsock, options[i].name, &options[i].value, sizeof(int)))
            return -1;
    int64_t max = LINK_MESSAGE_MAX;
    if (zmq_setsockopt(zsock, ZMQ_MAXMSGSIZE, &max, sizeof(max)) ||
            zmq_setsockopt(zsock, ZMQ_CURVE_SECRETKEY, pair->secret_z85, KEY_Z85_LEN + 1) ||
            zmq_setsockopt(zsock, ZMQ_CURVE_PUBLICKEY, pair->public_z85, KEY_Z85_LEN + 1))
        return -1;
    return 0;
}

void *link_socket_open(void *zmq_context, int type, const struct key_pair *pair, struct err *err)
{
    void *zsock = zmq_socket(zmq_context, type);
    if (zsock && set_options(zsock, pair) == 0)
        return zsock;
    err_set(err, -EIO, "cannot open a link socket: %s", zmq_strerror(zmq_errno()));
    if (zsock)
        zmq_close(zsock);
    return NULL;
}

bool link_socket_receive(void *zsock, zmq_msg_t *part)
{
    zmq_msg_init(part);
    if (zmq_msg_recv(part, zsock, ZMQ_DONTWAIT) >= 0)
        return true;
    zmq_msg_close(part);
    return false;
}

unsigned link_socket_drop_rest(void *zsock)
{
    unsigned dropped = 0;
    for (;;) {
        int more = 0;
        size_t size = sizeof(more);
        zmq_msg_t part;
        if (zmq_getsockopt(zsock, ZMQ_RCVMORE, &more, &size) || !more ||
                !link_socket_receive(zsock, &part))
            return dropped;
        zmq_msg_close(&part);
        dropped++;
    }
}

void link_socket_catch_up(void *zsock)
{
    int events;
    size_t size = sizeof(events);
    (void)zmq_getsockopt(zsock, ZMQ_EVENTS, &events, &size);
}

int link_socket_errno(void)
{
    int code = zmq_errno();
    return code == EAGAIN ? -EAGAIN : code == EHOSTUNREACH ? -EHOSTUNREACH : -EIO;
}

struct link_monitor {
    void *watched, *zsock;
    struct zsock_watch *watch;
    link_monitor_fn fn;
    void *ctx;
};

/* Two parts: event (16 bits) with value (32 bits) in native order, then the endpoint. */
static bool on_event(void *ctx)
{
    struct link_monitor *monitor = ctx;
    zmq_msg_t part;
    if (!link_socket_receive(monitor->zsock, &part))
        return false;
    uint16_t event = 0;
    int32_t value = 0;
    if (zmq_msg_size(&part) >= sizeof(event) + sizeof(value)) {
        const char *data = zmq_msg_data(&part);
        memcpy(&event, data, sizeof(event));
        memcpy(&value, data + sizeof(event), sizeof(value));
    }
    zmq_msg_close(&part);
    link_socket_drop_rest(monitor->zsock);
    if (event)
        monitor->fn(monitor->ctx, event, value);
    return true;
}

/* Without a limit on what waits: a full monitor would stop libzmq's own thread, and with it every
 * connection. */
static void *connect_reader(void *zmq_context, const char *endpoint)
{
    static const int zero = 0;
    void *zsock = zmq_socket(zmq_context, ZMQ_PAIR);
    if (zsock && zmq_setsockopt(zsock, ZMQ_LINGER, &zero, sizeof(zero)) == 0 &&
            zmq_setsockopt(zsock, ZMQ_RCVHWM, &zero, sizeof(zero)) == 0 &&
            zmq_connect(zsock, endpoint) == 0)
        return zsock;
    if (zsock)
        zmq_close(zsock);
    return NULL;
}

struct link_monitor *link_monitor_create(struct loop *loop, void *zmq_context, void *zsock,
        int events, link_monitor_fn fn, void *ctx)
{
    struct link_monitor *monitor = calloc(1, sizeof(*monitor));
    if (!monitor)
        return NULL;
    /* Not named by an address: malloc gives those again, while libzmq may still be closing the last
     * owner's. */
    static unsigned long serial;
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "inproc://monitor-%lu", serial++);
    monitor->watched = zsock;
    monitor->fn = fn;
    monitor->ctx = ctx;
    if (zmq_socket_monitor(zsock, endpoint, events) == 0)
        monitor->zsock = connect_reader(zmq_context, endpoint);
    if (monitor->zsock)
        monitor->watch = zsock_watch_create(loop, monitor->zsock, on_event, monitor);
    if (monitor->watch)
        return monitor;
    link_monitor_destroy(monitor);
    return NULL;
}

void link_monitor_destroy(struct link_monitor *monitor)
{
    if (!monitor)
        return;
    zsock_watch_destroy(monitor->watch);
    zmq_socket_monitor(monitor->watched, NULL, 0);
    if (monitor->zsock)
        zmq_close(monitor->zsock);
    free(monitor);
}
