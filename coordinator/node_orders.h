/* The orders that one node has been given and has not carried out yet: LOAD, UNLOAD, PIN and DRAIN
 * out, PROGRESS and DONE back (proto/PROTOCOL.md). Ids have the form of streams' ids, in a space of
 * their own, so that what is said of an order that ended here earlier is found by nobody. Sends
 * nothing: the session does. Loop thread. */
#pragma once

#include "common/err.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NODE_ORDERS_MAX = MSG_ORDERS_MAX }; /* open at once on one node */

struct node_orders;
struct node_order; /* one of them */

struct node_order_events {
    /* What it waits for, a sentence for people; borrowed. May come never, or often. The order may
     * be forgotten inside. */
    void (*on_progress)(void *ctx, const char *text);
    /* Last, once, never after node_order_forget(): how it ended, as the node says, or that the node
     * is gone or too old to know such orders. Borrowed; the order is freed on return. */
    void (*on_done)(void *ctx, const struct msg_done *done);
};

/* `node` is its name, borrowed. `epoch` is the upper half of every id. NULL where malloc refuses.
 */
struct node_orders *node_orders_create(uint32_t epoch, const char *node);
/* None may be open any more. Takes NULL. */
void node_orders_destroy(struct node_orders *orders);

/* Opens `order` (one of the four kinds; its id counts for nothing) and writes it to `*ret_msg` with
 * its new id: a shallow copy. -ENFILE at NODE_ORDERS_MAX, -ENOMEM. */
MUST_CHECK int node_orders_open(struct node_orders *orders, const struct msg *order,
        const struct node_order_events *events, void *ctx, struct msg *ret_msg,
        struct node_order **ret_order, struct err *err);
/* No event comes any more, and the order is freed; the node carries it out all the same. Takes
 * NULL. */
void node_order_forget(struct node_order *order);

/* What the node says; of an order that is not open: nothing. */
void node_orders_on_progress(struct node_orders *orders, const struct msg_progress *progress);
void node_orders_on_done(struct node_orders *orders, const struct msg_done *done);
/* It does not know messages of that type: the open orders of the type fail. */
void node_orders_on_unsupported(struct node_orders *orders, uint32_t type);
/* The node is gone: all of them fail. */
void node_orders_fail_all(struct node_orders *orders, const char *reason);

size_t node_orders_count(const struct node_orders *orders);
/* True while it has been told to load the model, or to load it in another way, and is not done. */
bool node_orders_loading(const struct node_orders *orders, const char *model);
