/* Watches a ZeroMQ socket on the loop. ZMQ_FD is edge-triggered, and sending eats the edge too, so
 * the descriptor alone stalls: right before every wait of the loop, after all hooks, ZMQ_EVENTS is
 * asked. At most ZSOCK_MESSAGES_PER_TURN messages are read in one turn, so that a flood on one
 * socket starves nobody. Loop thread. */
#pragma once

#include "common/loop.h"

#include <stdbool.h>

enum { ZSOCK_MESSAGES_PER_TURN = 32 };

struct zsock_watch;

/* Receives one message without waiting. Returns false where there was none. May destroy the watch.
 */
typedef bool (*zsock_read_fn)(void *ctx);

/* `zsock` is borrowed and outlives the watch; one watch a socket. NULL where the loop or malloc
 * refuses; errno says why. */
struct zsock_watch *zsock_watch_create(struct loop *loop, void *zsock, zsock_read_fn fn, void *ctx);
/* Stops at once, also from `fn`; the socket may be closed right after. Takes NULL. Not from a hook
 * of loop_hook_add_last(). */
void zsock_watch_destroy(struct zsock_watch *watch);
