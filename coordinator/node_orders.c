#include "coordinator/node_orders.h"

#include "common/list.h"
#include "common/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node_orders {
    const char *node;
    struct stream_table *table;
    struct list open; /* node_order.link */
};

struct node_order {
    struct node_orders *orders;
    struct list link;
    uint64_t id;
    enum msg_type type;
    char loads[MSG_NAME_MAX + 1]; /* the model that it has loaded; "": none */
    const struct node_order_events *events;
    void *ctx;
};

struct node_orders *node_orders_create(uint32_t epoch, const char *node)
{
    struct node_orders *orders = calloc(1, sizeof(*orders));
    if (!orders)
        return NULL;
    orders->node = node;
    list_init(&orders->open);
    orders->table = stream_table_create(epoch);
    if (orders->table)
        return orders;
    free(orders);
    return NULL;
}

void node_orders_destroy(struct node_orders *orders)
{
    if (!orders)
        return;
    assert(list_empty(&orders->open));
    stream_table_destroy(orders->table);
    free(orders);
}

static uint64_t *id_of(struct msg *msg)
{
    switch (msg->type) {
    case MSG_LOAD:
        return &msg->load.order;
    case MSG_UNLOAD:
        return &msg->unload.order;
    case MSG_PIN:
        return &msg->pin.order;
    default:
        assert(msg->type == MSG_DRAIN);
        return &msg->drain.order;
    }
}

int node_orders_open(struct node_orders *orders, const struct msg *order,
        const struct node_order_events *events, void *ctx, struct msg *ret_msg,
        struct node_order **ret_order, struct err *err)
{
    if (node_orders_count(orders) == NODE_ORDERS_MAX)
        return err_set(err, -ENFILE, "node \"%s\" has %d orders to carry out already, its limit",
                orders->node, NODE_ORDERS_MAX);
    struct node_order *it = calloc(1, sizeof(*it));
    if (!it || stream_table_add(orders->table, it, &it->id)) {
        free(it);
        return err_set(err, -ENOMEM, "no memory for an order to node \"%s\"", orders->node);
    }
    it->orders = orders;
    it->type = order->type;
    it->events = events;
    it->ctx = ctx;
    if (order->type == MSG_LOAD && !order->load.rehearse)
        snprintf(it->loads, sizeof(it->loads), "%s", order->load.model);
    list_push_back(&orders->open, &it->link);
    *ret_msg = *order;
    *id_of(ret_msg) = it->id;
    *ret_order = it;
    return 0;
}

void node_order_forget(struct node_order *order)
{
    if (!order)
        return;
    stream_table_remove(order->orders->table, order->id);
    list_del(&order->link);
    free(order);
}

static void finish(struct node_order *order, const struct msg_done *done)
{
    const struct node_order_events *events = order->events;
    void *ctx = order->ctx;
    node_order_forget(order);
    events->on_done(ctx, done);
}

static void fail(struct node_order *order, enum fail_code code, const char *message)
{
    struct msg_done done = {.order = order->id, .code = code, .message = message};
    finish(order, &done);
}

void node_orders_on_progress(struct node_orders *orders, const struct msg_progress *progress)
{
    struct node_order *order = stream_table_get(orders->table, progress->order);
    if (order)
        order->events->on_progress(order->ctx, progress->text);
}

void node_orders_on_done(struct node_orders *orders, const struct msg_done *done)
{
    struct node_order *order = stream_table_get(orders->table, done->order);
    if (order)
        finish(order, done);
}

/* One that ends may lead to another: the list is looked at anew each time. */
static struct node_order *first_of_type(const struct node_orders *orders, uint32_t type)
{
    list_for_each (it, &orders->open) {
        struct node_order *order = list_entry(it, struct node_order, link);
        if (order->type == type)
            return order;
    }
    return NULL;
}

void node_orders_on_unsupported(struct node_orders *orders, uint32_t type)
{
    char text[MSG_NODE_NAME_MAX + 128];
    struct node_order *order;
    snprintf(text, sizeof(text),
            "node \"%s\" runs an older modemesh, which takes no such orders; update it",
            orders->node);
    while ((order = first_of_type(orders, type)))
        fail(order, FAIL_PROTOCOL, text);
}

void node_orders_fail_all(struct node_orders *orders, const char *reason)
{
    char text[MSG_TEXT_MAX + 1];
    snprintf(text, sizeof(text), "node \"%s\" is gone: %.*s", orders->node, MSG_TEXT_MAX / 2,
            reason);
    while (!list_empty(&orders->open))
        fail(list_entry(orders->open.next, struct node_order, link), FAIL_NO_MODEL, text);
}

size_t node_orders_count(const struct node_orders *orders)
{
    return stream_table_count(orders->table);
}

bool node_orders_loading(const struct node_orders *orders, const char *model)
{
    list_for_each (it, &orders->open)
        if (strcmp(list_entry(it, struct node_order, link)->loads, model) == 0)
            return true;
    return false;
}
