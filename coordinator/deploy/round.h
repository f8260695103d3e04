/* One order for several nodes at once, and what each of them said. Ends when the last has answered,
 * is gone, or the time is up. Loop thread. */
#pragma once

#include "common/env.h"
#include "common/err.h"
#include "coordinator/node_session.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUND_NODES_MAX = 64 };

struct round;

struct round_answer {
    char node[MSG_NODE_NAME_MAX + 1];
    uint32_t epoch; /* of its session */
    bool ok;
    enum order_way way;
    char message[MSG_TEXT_MAX + 1]; /* the node's, or why there is none from it */
};

struct round_events {
    /* A sentence of one node about what it waits for; borrowed. */
    void (*on_progress)(void *ctx, const char *node, const char *text);
    /* All have answered. Last, once; the owner reads the answers and destroys the round, now or
     * later. Never inside round_create() and round_add(). */
    void (*on_end)(void *ctx);
};

/* For orders that may take `limit_ms`. Everything is borrowed. NULL where malloc refuses. */
struct round *round_create(
        const struct env *env, uint64_t limit_ms, const struct round_events *events, void *ctx);
/* What is not answered is carried out all the same, and nobody hears of it. Takes NULL. */
void round_destroy(struct round *round);

/* Gives the order to the node too. A node that cannot be told now has answered so. -E2BIG past
 * ROUND_NODES_MAX: then it is not told. */
MUST_CHECK int round_add(struct round *round, struct node_session *session, const struct msg *order,
        struct err *err);
/* After the last round_add(), and about once a second: ends the round where nobody is left to wait
 * for, or the time is up. */
void round_tick(struct round *round);

size_t round_count(const struct round *round);
const struct round_answer *round_at(const struct round *round, size_t index);
