/* What the two ends of the link share: options that both sockets get, receiving of one frame, the
 * monitor. Private to link_server.c and link_client.c. */
#pragma once

#include "common/link/link.h"
#include "common/link/zsock_watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

/* A socket of `type` with limits, LINGER 0, keep-alive and the daemon's own key pair; NULL
 * with `err` set. */
void *link_socket_open(void *zmq_context, int type, const struct key_pair *pair, struct err *err);

/* Receives one part. False where none waits. The caller closes `part` after true. */
bool link_socket_receive(void *zsock, zmq_msg_t *part);
/* Reads and drops the rest of a message of several parts. Returns how many parts were dropped. */
unsigned link_socket_drop_rest(void *zsock);

/* Takes in what libzmq's own thread has to tell the socket: new and ended connections, room in a
 * queue. Sending does that by itself, but at most once a millisecond. */
void link_socket_catch_up(void *zsock);

/* -EAGAIN, -EHOSTUNREACH or another negative errno for a zmq_send that has just failed. */
int link_socket_errno(void);

/* Calls `fn` for each of `events` (ZMQ_EVENT_… bits) on the socket, with its value. `fn` may
 * destroy the monitor as its last act. NULL where libzmq, the loop or malloc refuses; errno says
 * why. */
struct link_monitor;
typedef void (*link_monitor_fn)(void *ctx, uint16_t event, int32_t value);
struct link_monitor *link_monitor_create(struct loop *loop, void *zmq_context, void *zsock,
        int events, link_monitor_fn fn, void *ctx);
/* Before the watched socket is closed. Takes NULL. */
void link_monitor_destroy(struct link_monitor *monitor);
