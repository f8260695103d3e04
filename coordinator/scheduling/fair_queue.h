/* The requests that wait in the coordinator, in the order in which they should be served: the
 * autocomplete lane before chat, a higher priority before a lower one, and among equals the key
 * that was served the least, by a virtual token counter: each key's counter grows by what it is
 * given (uncached input and output tokens); a key that comes back after a pause begins no lower
 * than the least of those that are active, so that no credit is saved up. Within a key, first come
 * first served. Which of them can go is the scheduler's word: the queue is walked in order, and
 * entries leave it anywhere. One thread.
 *
 * Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024 (VTC). */
#pragma once

#include "common/buf.h"
#include "common/list.h"
#include "coordinator/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAIR_KEYS_MAX = 4096,  /* that are remembered; past it those that wait for nothing go first */
    FAIR_PRIORITY_MAX = 9, /* 0: batch work that fills what is left … 9 */
    FAIR_PRIORITY_DEFAULT = 5,
};

struct fair_queue;
struct fair_key;

struct fair_entry { /* one waiting request; the caller's memory */
    struct list link;
    struct fair_key *key; /* NULL: it is in no queue */
    enum request_lane lane;
    uint8_t priority;
    uint64_t serial;
    double tokens; /* what it is likely to be charged */
};

/* NULL where malloc refuses. */
struct fair_queue *fair_queue_create(void);
/* Entries that are left are in no queue then. Takes NULL. */
void fair_queue_destroy(struct fair_queue *queue);

/* The key of that name, made where it is new; borrowed until the queue is destroyed or the key was
 * neither waiting nor held. -ENOMEM; -ENOSPC where FAIR_KEYS_MAX wait. */
MUST_CHECK int fair_key_hold(struct fair_queue *queue, const char *name, struct fair_key **ret_key);
void fair_key_release(struct fair_queue *queue, struct fair_key *key);
/* Its requests that have left the queue and not ended: told by who sends them. */
void fair_key_running(struct fair_key *key, int change);
size_t fair_key_run_count(const struct fair_key *key);
size_t fair_key_wait_count(const struct fair_key *key);
/* Keys that wait or run. */
size_t fair_queue_active_keys(const struct fair_queue *queue);

/* `entry`'s lane, priority and tokens are set. Holds the key as long as it waits. */
void fair_queue_push(struct fair_queue *queue, struct fair_entry *entry, struct fair_key *key);
void fair_queue_remove(struct fair_queue *queue, struct fair_entry *entry);
/* What it was given: charged as it is known, negative where it turned out to be less. */
void fair_queue_charge(struct fair_queue *queue, struct fair_key *key, double tokens);

size_t fair_queue_length(const struct fair_queue *queue, enum request_lane lane);

/* The order of service, as of now: a walk counts each entry as served with its `tokens` when it
 * goes to the next. Entries may be removed while walking, the present one too; one that is pushed
 * meanwhile may be missed. One walk at a time. NULL past the last. */
struct fair_entry *fair_queue_first(struct fair_queue *queue);
struct fair_entry *fair_queue_next(struct fair_queue *queue);
/* How many are before it in that order; O(entries). */
size_t fair_queue_position(struct fair_queue *queue, const struct fair_entry *entry);
