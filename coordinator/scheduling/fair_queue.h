/* The requests that wait in the coordinator, in the order in which they should be served. Which of
 * them can go is the scheduler's word: the queue is walked in order, and entries leave it anywhere.
 * One thread.
 *
 * Classes. A lane and a priority make a class. The autocomplete lane is before chat, and a higher
 * priority before a lower one: what has waited in a lower class goes when nothing higher waits, and
 * batch work (priority 0) so fills what is left.
 *
 * The least share. Strict classes alone would let a busy one starve those below it for ever. So a
 * class in which something waits is given at least one token for each FAIR_SHARE that are given to
 * those above it: once FAIR_SHARE times the tokens of its first entry have passed it, that entry
 * goes before all others, and pays for it. Counted in tokens, not in seconds, so that a slow mesh,
 * where everybody waits for minutes, keeps its priorities. Where several are due the lowest is
 * first. Nothing is saved up while a class is empty.
 *
 * Fairness. Within a class the key that was given the least goes first, by a virtual token counter
 * for each key and class, which grows by what the key is given there (uncached input and output
 * tokens). A key that begins to wait starts no lower than the least of those that wait, or, where
 * none did, than the one that was last: a pause gives no credit. So two keys that both wait in a
 * class all the time get the same, whatever they ask for: in any interval what they are given
 * differs by at most 2·U, U being the most that one entry was charged; where charges are corrected
 * later, U grows by what is not corrected yet. Ties go to the older entry. Within a key and class,
 * first come first served.
 *
 * The mesh is many servers, not one: a key can get much of a model that nobody else wants. It may
 * so be ahead of the least of those that wait by FAIR_LEAD times the largest entry, which a single
 * server never leads to, and no further: the rest is forgotten.
 *
 * Greedy keys. Who floods the mesh gets what is left, but no engine interrupts what it has begun: a
 * key is greedy, so that routing leaves room beside it, where others share the mesh and it runs
 * FAIR_GREEDY_SLOTS times its share of the slots that could serve what it asks; or, in the chat
 * lane, runs something there and was given FAIR_GREEDY_TOKENS times its share of all tokens of
 * late, as a few long prompts hold more than many short ones. One conversation alone never makes it
 * so, and who runs nothing there is not, so that nobody waits for ever.
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
    FAIR_KEYS_MAX = 4096,  /* that are remembered, about 2 KiB each; past it the one that has been
                              idle for the longest is forgotten */
    FAIR_PRIORITY_MAX = 9, /* 0: batch work that fills what is left … 9 */
    FAIR_PRIORITY_DEFAULT = 5,
    FAIR_SHARE = 16, /* tokens above a class for each of its own, at the most */
    FAIR_LEAD = 16,
    FAIR_RECENT_S = 10 * 60,
    FAIR_GREEDY_SLOTS = 2,
    FAIR_GREEDY_TOKENS = 3, /* tokens count half after FAIR_RECENT_S */
    FAIR_PLACES_MAX = 8,    /* where one key runs something, that are told apart */
};

#define FAIR_TOKENS_MAX 1e9 /* of one entry, or one charge */

struct fair_queue;
struct fair_key;

struct fair_entry { /* one waiting request; the caller's memory, zero before its first push */
    /* Set by the caller before each push, then left alone: */
    enum request_lane lane;
    uint8_t priority;
    double tokens; /* what it is likely to be charged; 1 … FAIR_TOKENS_MAX, else the nearest */
    /* The queue's: */
    struct fair_key *key; /* NULL: it is in no queue */
    struct list link;
    uint64_t serial;
    uint32_t position;
};

/* NULL where malloc refuses. */
struct fair_queue *fair_queue_create(void);
/* Entries that are left are in no queue then. Takes NULL. */
void fair_queue_destroy(struct fair_queue *queue);

/* The key of that name, made where it is new; borrowed until it is idle (no request of it waits or
 * runs, nobody holds it), or the queue is destroyed. -ENOMEM; -ENOSPC where FAIR_KEYS_MAX are not
 * idle. */
MUST_CHECK int fair_key_hold(struct fair_queue *queue, const char *name, struct fair_key **ret_key);
void fair_key_release(struct fair_queue *queue, struct fair_key *key);
/* The key of that name, borrowed as above. NULL: nothing is known of it. */
const struct fair_key *fair_key_find(const struct fair_queue *queue, const char *name);
/* One of its requests has left the queue and runs, or has ended: told by who sends them. `place`
 * is the caller's number for what it runs on, not 0. */
void fair_key_begin(struct fair_key *key, uint64_t place);
void fair_key_end(struct fair_key *key, uint64_t place);
/* Those that run there. Of more places than FAIR_PLACES_MAX at a time the last ones count none. */
size_t fair_key_run_count(const struct fair_key *key, uint64_t place);
size_t fair_key_wait_count(const struct fair_key *key);
/* Keys that wait or run. */
size_t fair_queue_active_keys(const struct fair_queue *queue);
/* It is that time, in seconds of one monotonic clock: told before each walk. What happens between
 * two of them counts as if it had at the time that was told last. */
void fair_queue_at(struct fair_queue *queue, double now_s);
/* Keys that wait or run, or did within the last FAIR_RECENT_S: who shares the mesh, also while one
 * of them reads. */
size_t fair_queue_recent_keys(struct fair_queue *queue);
/* Whether the key of `entry`, which waits, is greedy. `running`, `slots`: what its key runs, and
 * how many there are, of all that could serve it. */
bool fair_queue_is_greedy(
        struct fair_queue *queue, const struct fair_entry *entry, size_t running, size_t slots);
/* The same of a key of which an entry might come in that lane. */
bool fair_key_is_greedy(
        const struct fair_key *key, enum request_lane lane, size_t running, size_t slots);

/* The key stays as long as the entry waits. One that is pushed again, as its node was lost, has the
 * place among its key's that it had. */
void fair_queue_push(struct fair_queue *queue, struct fair_entry *entry, struct fair_key *key);
/* An entry that is in no queue is left alone. */
void fair_queue_remove(struct fair_queue *queue, struct fair_entry *entry);
/* What `key` was given in the class of `entry`, which may have left the queue: charged as it is
 * known, negative where it turned out to be less. What is not finite is ignored. */
void fair_queue_charge(struct fair_queue *queue, struct fair_key *key,
        const struct fair_entry *entry, double tokens);

size_t fair_queue_length(const struct fair_queue *queue, enum request_lane lane);
/* Whose place another may have where the lane is too long: of the key that has the most waiting in
 * it, what came last in its lowest priority. Where several have as many, the one that came last.
 * NULL: none waits. O(waiting keys). */
struct fair_entry *fair_queue_surplus(const struct fair_queue *queue, enum request_lane lane);

/* The order of service, as of now: a walk counts each entry as served with its `tokens` when it
 * goes to the next. Entries may be removed while walking, the present one too; one that is pushed
 * meanwhile may be missed, and what is charged meanwhile changes the next walk. One walk at a time:
 * the first of another ends it, and so does fair_queue_position(). NULL past the last.
 * O(waiting keys) to begin, O(log of them) a step. */
struct fair_entry *fair_queue_first(struct fair_queue *queue);
struct fair_entry *fair_queue_next(struct fair_queue *queue);
/* The present entry's class has been passed by enough: this is the least share that it is to have,
 * so that no room is to be kept from it. */
bool fair_queue_is_due(const struct fair_queue *queue);
/* The present entry could not be served now whatever were free: the walk does not count it, so that
 * it holds up nobody. */
void fair_queue_skip(struct fair_queue *queue);
/* How many are before it in that order. O(entries) for the first that asks after a change, O(1) for
 * the others. */
size_t fair_queue_position(struct fair_queue *queue, const struct fair_entry *entry);
