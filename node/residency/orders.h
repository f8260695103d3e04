/* Carries out what a coordinator orders of this node (LOAD, UNLOAD, PIN, DRAIN of
 * proto/PROTOCOL.md): decides with the supervisor how it goes, keeps what is to last
 * (standing_orders.h), tells PROGRESS, and answers each with one DONE. A load goes on where the
 * link is lost; nobody is told of it then. Loop thread. */
#pragma once

#include "common/env.h"
#include "node/models/models.h"
#include "node/residency/standing_orders.h"
#include "node/residency/supervisor.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ORDERS_MAX = MSG_ORDERS_MAX, /* under way at once */
    ORDERS_PROGRESS_MS = 1000,   /* least time between two PROGRESS of an order */
};

struct orders_events {
    /* PROGRESS or DONE, for the session that has ordered. All it borrows is copied. */
    void (*send)(void *ctx, const struct msg *msg);
    /* The node takes no new work, or takes it again. */
    void (*pause)(void *ctx, bool paused);
    /* Requests that run or wait here. */
    size_t (*running)(void *ctx);
};

struct orders_config { /* borrowed */
    const struct env *env;
    struct supervisor *supervisor;
    struct models *models; /* NULL: this node has none */
    struct standing_orders *standing;
};

struct orders;

/* NULL where malloc refuses. */
struct orders *orders_create(
        const struct orders_config *config, const struct orders_events *events, void *ctx);
/* Before the supervisor. Takes NULL. */
void orders_destroy(struct orders *orders);

/* LOAD, UNLOAD, PIN or DRAIN. */
void orders_on_msg(struct orders *orders, const struct msg *msg);
/* The session has ended. A pause stays, until it is ordered otherwise or the node is restarted. */
void orders_session_end(struct orders *orders);
/* About ten times a second. */
void orders_tick(struct orders *orders);
