#include "coordinator/scheduling/fair_queue.h"

#include "common/heap.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PRIORITIES = FAIR_PRIORITY_MAX + 1,
    RANKS = LANE_COUNT * PRIORITIES, /* classes; the higher one is served first */
    BUCKETS = 1024,
};
_Static_assert(LANE_AUTOCOMPLETE > LANE_CHAT, "the lane with the higher number goes first");

/* Tokens, each of which counts half after FAIR_RECENT_S. */
struct fading {
    double tokens, at_s;
};

/* A key in a class. */
struct flow {
    struct fair_key *key;
    struct list waiting; /* fair_entry.link, by serial */
    struct list link;    /* in class.flows, while something waits */
    double served;       /* the virtual token counter */
    struct {             /* of the walk number `walk` */
        uint64_t number;
        struct heap_node node;
        bool in_heap;
        struct list *at; /* its next entry; NULL: none */
        double served;
        uint64_t serial; /* of that entry, or of one that was before it */
    } walk;
};

struct class
{
    struct list flows; /* in which something waits */
    double level;      /* counter of the flow that waited last, while none does */
    double largest;    /* entry, or charge, since none waited */
    double passed;     /* tokens given to those above, less FAIR_SHARE times its own */
};

struct walk {
    uint64_t number;
    struct heap heaps[RANKS];
    double passed[RANKS];
    double owed[RANKS]; /* passed before the walk, less what the walk has come to */
    /* The present entry's: */
    struct flow *flow; /* NULL: none is present, or its key has gone meanwhile */
    size_t rank;
    double tokens; /* 0: it does not count */
    bool due;
};

struct fair_key {
    struct fair_queue *queue;
    struct list bucket;
    struct list idle; /* linked: it may be forgotten; the longest idle first */
    struct list left; /* linked: it was active a moment ago; who left first in front */
    double left_s;
    size_t holders, waiting, running;
    size_t waiting_in[LANE_COUNT];
    bool active; /* waits or runs */
    struct fading given;
    struct place {
        uint64_t number;
        size_t running; /* 0: there is none */
    } places[FAIR_PLACES_MAX];
    struct flow flows[RANKS];
    char name[];
};

struct fair_queue {
    struct list buckets[BUCKETS]; /* fair_key.bucket */
    struct list idle, left;
    size_t key_count, active_count, left_count;
    double now_s;
    struct fading given; /* to all */
    size_t lengths[LANE_COUNT];
    struct class classes[RANKS];
    uint64_t serial;
    struct walk walk;
    bool placed; /* each entry's position is right */
};

static size_t rank_of(const struct fair_entry *entry)
{
    size_t priority = entry->priority < PRIORITIES ? entry->priority : FAIR_PRIORITY_MAX;
    return (size_t)entry->lane * PRIORITIES + priority;
}

static struct fair_entry *entry_at(const struct list *link)
{
    return list_entry(link, struct fair_entry, link);
}

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

static double greater(double a, double b)
{
    return a > b ? a : b;
}

/* NaN is the least. */
static double bounded(double tokens, double least)
{
    return tokens > least ? lesser(tokens, FAIR_TOKENS_MAX) : least;
}

/* --- keys --- */

static size_t bucket_of(const char *name)
{
    size_t hash = 5381; /* djb2: names are our own, nobody searches for those that collide */
    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash % BUCKETS;
}

static struct fair_key *find_key(const struct fair_queue *queue, const char *name)
{
    list_for_each (it, &queue->buckets[bucket_of(name)]) {
        struct fair_key *key = list_entry(it, struct fair_key, bucket);
        if (strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}

const struct fair_key *fair_key_find(const struct fair_queue *queue, const char *name)
{
    return find_key(queue, name);
}

static void forget_leaving(struct fair_key *key)
{
    key->queue->left_count -= list_linked(&key->left);
    list_del(&key->left);
}

static void key_free(struct fair_key *key)
{
    struct fair_queue *queue = key->queue;
    if (queue->walk.flow && queue->walk.flow->key == key)
        queue->walk.flow = NULL;
    list_del(&key->bucket);
    list_del(&key->idle);
    forget_leaving(key);
    queue->key_count--;
    free(key);
}

static void set_active(struct fair_key *key, bool active)
{
    struct fair_queue *queue = key->queue;
    if (active == key->active)
        return;
    key->active = active;
    queue->active_count += active ? 1 : (size_t)-1;
    forget_leaving(key);
    if (active)
        return;
    key->left_s = queue->now_s;
    list_push_back(&queue->left, &key->left);
    queue->left_count++;
}

/* After each change of who holds it, waits or runs. */
static void key_update(struct fair_key *key)
{
    struct fair_queue *queue = key->queue;
    set_active(key, key->waiting > 0 || key->running > 0);
    list_del(&key->idle);
    if (!key->active && key->holders == 0)
        list_push_back(&queue->idle, &key->idle);
}

static struct fair_key *key_create(struct fair_queue *queue, const char *name)
{
    size_t size = strlen(name) + 1;
    struct fair_key *key = calloc(1, sizeof(*key) + size);
    if (!key)
        return NULL;
    memcpy(key->name, name, size);
    key->queue = queue;
    list_init(&key->idle);
    list_init(&key->left);
    list_push_back(&queue->buckets[bucket_of(name)], &key->bucket);
    for (size_t i = 0; i < RANKS; i++) {
        key->flows[i].key = key;
        list_init(&key->flows[i].waiting);
        list_init(&key->flows[i].link);
    }
    queue->key_count++;
    return key;
}

int fair_key_hold(struct fair_queue *queue, const char *name, struct fair_key **ret_key)
{
    struct fair_key *key = find_key(queue, name);
    if (!key && queue->key_count == FAIR_KEYS_MAX && list_empty(&queue->idle))
        return -ENOSPC;
    if (!key && !(key = key_create(queue, name)))
        return -ENOMEM;
    key->holders++;
    key_update(key);
    if (queue->key_count > FAIR_KEYS_MAX)
        key_free(list_entry(queue->idle.next, struct fair_key, idle));
    *ret_key = key;
    return 0;
}

void fair_key_release(struct fair_queue *queue, struct fair_key *key)
{
    assert(key->queue == queue && key->holders > 0);
    key->holders--;
    key_update(key);
}

/* FAIR_PLACES_MAX: nothing of it runs there, as far as is told apart. */
static size_t find_place(const struct fair_key *key, uint64_t number)
{
    size_t i = 0;
    while (i < FAIR_PLACES_MAX && (key->places[i].running == 0 || key->places[i].number != number))
        i++;
    return i;
}

static size_t free_place(const struct fair_key *key)
{
    size_t i = 0;
    while (i < FAIR_PLACES_MAX && key->places[i].running > 0)
        i++;
    return i;
}

void fair_key_begin(struct fair_key *key, uint64_t place)
{
    size_t at = find_place(key, place);
    if (at == FAIR_PLACES_MAX)
        at = free_place(key);
    if (at < FAIR_PLACES_MAX) {
        key->places[at].number = place;
        key->places[at].running++;
    }
    key->running++;
    key_update(key);
}

void fair_key_end(struct fair_key *key, uint64_t place)
{
    size_t at = find_place(key, place);
    assert(key->running > 0);
    if (at < FAIR_PLACES_MAX)
        key->places[at].running--;
    key->running--;
    key_update(key);
}

size_t fair_key_run_count(const struct fair_key *key, uint64_t place)
{
    size_t at = find_place(key, place);
    return at < FAIR_PLACES_MAX ? key->places[at].running : 0;
}

size_t fair_key_wait_count(const struct fair_key *key)
{
    return key->waiting;
}

size_t fair_queue_active_keys(const struct fair_queue *queue)
{
    return queue->active_count;
}

void fair_queue_at(struct fair_queue *queue, double now_s)
{
    queue->now_s = now_s;
}

size_t fair_queue_recent_keys(struct fair_queue *queue)
{
    while (!list_empty(&queue->left)) {
        struct fair_key *first = list_entry(queue->left.next, struct fair_key, left);
        if (queue->now_s - first->left_s <= FAIR_RECENT_S)
            break;
        forget_leaving(first);
    }
    return queue->active_count + queue->left_count;
}

/* --- greedy keys --- */

static double faded(const struct fading *given, double now_s)
{
    return given->tokens * exp2(-greater(now_s - given->at_s, 0) / FAIR_RECENT_S);
}

static void give(struct fading *given, double tokens, double now_s)
{
    *given = (struct fading){greater(faded(given, now_s) + tokens, 0), now_s};
}

static bool has_many_tokens(const struct fair_key *key, size_t keys)
{
    const struct fair_queue *queue = key->queue;
    double all = faded(&queue->given, queue->now_s);
    return all > 0 && faded(&key->given, queue->now_s) * (double)keys >= FAIR_GREEDY_TOKENS * all;
}

bool fair_key_is_greedy(
        const struct fair_key *key, enum request_lane lane, size_t running, size_t slots)
{
    size_t keys = fair_queue_recent_keys(key->queue);
    if (keys < 2 || running == 0)
        return false;
    return running * keys >= FAIR_GREEDY_SLOTS * slots ||
           (lane == LANE_CHAT && has_many_tokens(key, keys));
}

bool fair_queue_is_greedy(
        struct fair_queue *queue, const struct fair_entry *entry, size_t running, size_t slots)
{
    assert(entry->key->queue == queue);
    return fair_key_is_greedy(entry->key, entry->lane, running, slots);
}

/* --- counters --- */

static bool is_waiting(const struct class *class)
{
    return !list_empty(&class->flows);
}

/* The least counter among those that wait; one of them at least does. */
static double least_served(const struct class *class)
{
    double least = INFINITY;
    list_for_each (it, &class->flows)
        least = lesser(least, list_entry(it, struct flow, link)->served);
    return least;
}

/* Where it starts, as it begins to wait. */
static void lift(struct flow *flow, const struct class *class)
{
    double least = is_waiting(class) ? least_served(class) : class->level;
    flow->served = greater(flow->served, least);
    if (is_waiting(class)) /* what it got while nobody waited is known here at the latest */
        flow->served = lesser(flow->served, least + FAIR_LEAD * class->largest);
}

/* `tokens` were given to the class of `rank`: they have passed all below it. */
static void pass(const struct class *classes, double passed[RANKS], size_t rank, double tokens)
{
    for (size_t i = 0; i <= rank; i++) {
        double change = i < rank ? tokens : -FAIR_SHARE * tokens;
        double most = is_waiting(&classes[i]) ? FAIR_SHARE * classes[i].largest : 0;
        passed[i] = lesser(greater(passed[i] + change, 0), most);
    }
}

static void pass_for_good(struct fair_queue *queue, size_t rank, double tokens)
{
    double passed[RANKS];
    for (size_t i = 0; i < RANKS; i++)
        passed[i] = queue->classes[i].passed;
    pass(queue->classes, passed, rank, tokens);
    for (size_t i = 0; i < RANKS; i++)
        queue->classes[i].passed = passed[i];
}

void fair_queue_charge(struct fair_queue *queue, struct fair_key *key,
        const struct fair_entry *entry, double tokens)
{
    size_t rank = rank_of(entry);
    struct class *class = &queue->classes[rank];
    struct flow *flow = &key->flows[rank];
    if (!isfinite(tokens))
        return;
    tokens = bounded(tokens, -FAIR_TOKENS_MAX);
    queue->placed = false;
    give(&key->given, tokens, queue->now_s);
    give(&queue->given, tokens, queue->now_s);
    flow->served = greater(flow->served + tokens, 0);
    if (is_waiting(class)) {
        class->largest = greater(class->largest, tokens);
        flow->served = lesser(flow->served, least_served(class) + FAIR_LEAD * class->largest);
    }
    pass_for_good(queue, rank, tokens);
}

/* --- what waits --- */

/* By serial; nearly always at the end. */
static void insert(struct flow *flow, struct fair_entry *entry)
{
    struct list *after = flow->waiting.prev;
    while (after != &flow->waiting && entry_at(after)->serial > entry->serial)
        after = after->prev;
    list_insert_after(after, &entry->link);
}

void fair_queue_push(struct fair_queue *queue, struct fair_entry *entry, struct fair_key *key)
{
    size_t rank = rank_of(entry);
    struct class *class = &queue->classes[rank];
    struct flow *flow = &key->flows[rank];
    assert(!entry->key && key->queue == queue);
    entry->key = key;
    entry->tokens = bounded(entry->tokens, 1);
    if (entry->serial == 0)
        entry->serial = ++queue->serial;
    class->largest = greater(class->largest, entry->tokens);
    if (list_empty(&flow->waiting)) {
        lift(flow, class);
        list_push_back(&class->flows, &flow->link);
    }
    insert(flow, entry);
    queue->lengths[entry->lane]++;
    queue->placed = false;
    key->waiting++;
    key->waiting_in[entry->lane]++;
    key_update(key);
}

/* The walk that is under way has not come to it, or has no use for it any more. */
static void walk_without(struct walk *walk, struct flow *flow, size_t rank, struct list *link)
{
    if (flow->walk.number != walk->number || flow->walk.at != link)
        return;
    flow->walk.at = link->next != &flow->waiting ? link->next : NULL;
    if (flow->walk.at || !flow->walk.in_heap)
        return;
    heap_remove(&walk->heaps[rank], &flow->walk.node);
    flow->walk.in_heap = false;
}

static void leave_class(struct class *class, struct flow *flow)
{
    list_del(&flow->link);
    if (is_waiting(class))
        return;
    class->level = greater(class->level, flow->served);
    class->largest = 0;
    class->passed = 0;
}

void fair_queue_remove(struct fair_queue *queue, struct fair_entry *entry)
{
    struct fair_key *key = entry->key;
    if (!key)
        return;
    size_t rank = rank_of(entry);
    struct flow *flow = &key->flows[rank];
    walk_without(&queue->walk, flow, rank, &entry->link);
    list_del(&entry->link);
    if (list_empty(&flow->waiting))
        leave_class(&queue->classes[rank], flow);
    entry->key = NULL;
    queue->lengths[entry->lane]--;
    queue->placed = false;
    key->waiting--;
    key->waiting_in[entry->lane]--;
    key_update(key);
}

size_t fair_queue_length(const struct fair_queue *queue, enum request_lane lane)
{
    return queue->lengths[lane];
}

/* Of the same key the first that is asked about stays. */
static bool is_more(const struct fair_entry *a, const struct fair_entry *b)
{
    size_t a_count = a->key->waiting_in[a->lane], b_count = b->key->waiting_in[b->lane];
    if (a->key == b->key)
        return false;
    return a_count == b_count ? a->serial > b->serial : a_count > b_count;
}

struct fair_entry *fair_queue_surplus(const struct fair_queue *queue, enum request_lane lane)
{
    const struct class *lowest = &queue->classes[(size_t)lane * PRIORITIES];
    struct fair_entry *surplus = NULL;
    for (size_t i = 0; i < PRIORITIES; i++)
        list_for_each (it, &lowest[i].flows) {
            struct fair_entry *last = entry_at(list_entry(it, struct flow, link)->waiting.prev);
            if (!surplus || is_more(last, surplus))
                surplus = last;
        }
    return surplus;
}

/* --- the walk --- */

static struct flow *flow_at(const struct heap_node *node)
{
    return heap_entry(node, struct flow, walk.node);
}

static bool goes_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct flow *first = flow_at(a), *second = flow_at(b);
    if (first->walk.served < second->walk.served || first->walk.served > second->walk.served)
        return first->walk.served < second->walk.served;
    return first->walk.serial < second->walk.serial;
}

static void walk_push(struct walk *walk, size_t rank, struct flow *flow)
{
    flow->walk.serial = entry_at(flow->walk.at)->serial;
    flow->walk.in_heap = true;
    heap_push(&walk->heaps[rank], &flow->walk.node);
}

static void walk_begin(struct fair_queue *queue)
{
    struct walk *walk = &queue->walk;
    *walk = (struct walk){.number = walk->number + 1};
    for (size_t rank = 0; rank < RANKS; rank++) {
        heap_init(&walk->heaps[rank], goes_before);
        walk->passed[rank] = walk->owed[rank] = queue->classes[rank].passed;
        list_for_each (it, &queue->classes[rank].flows) {
            struct flow *flow = list_entry(it, struct flow, link);
            flow->walk.number = walk->number;
            flow->walk.at = flow->waiting.next;
            flow->walk.served = flow->served;
            walk_push(walk, rank, flow);
        }
    }
}

/* Its tokens have been passed to it FAIR_SHARE times over. */
static bool is_due(const struct walk *walk, size_t rank)
{
    const struct heap_node *first = heap_first(&walk->heaps[rank]);
    return first && walk->passed[rank] >= FAIR_SHARE * entry_at(flow_at(first)->walk.at)->tokens;
}

/* The class whose turn it is; RANKS: none has anything. */
static size_t walk_rank(const struct walk *walk)
{
    size_t highest = RANKS;
    for (size_t rank = 0; rank < RANKS; rank++) {
        if (is_due(walk, rank))
            return rank;
        if (heap_first(&walk->heaps[rank]))
            highest = rank;
    }
    return highest;
}

static struct fair_entry *walk_take(struct walk *walk)
{
    size_t rank = walk_rank(walk);
    walk->due = false;
    if (rank == RANKS)
        return NULL;
    struct flow *flow = flow_at(heap_first(&walk->heaps[rank]));
    struct fair_entry *entry = entry_at(flow->walk.at);
    heap_remove(&walk->heaps[rank], &flow->walk.node);
    flow->walk.in_heap = false;
    flow->walk.at = entry->link.next != &flow->waiting ? entry->link.next : NULL;
    walk->flow = flow;
    walk->rank = rank;
    walk->tokens = entry->tokens;
    walk->due = walk->owed[rank] >= FAIR_SHARE * entry->tokens;
    return entry;
}

/* The present entry counts as served, and its key comes again. */
static void walk_settle(struct fair_queue *queue)
{
    struct walk *walk = &queue->walk;
    pass(queue->classes, walk->passed, walk->rank, walk->tokens);
    walk->owed[walk->rank] -= FAIR_SHARE * walk->tokens;
    if (!walk->flow)
        return;
    walk->flow->walk.served += walk->tokens;
    if (walk->flow->walk.at)
        walk_push(walk, walk->rank, walk->flow);
    walk->flow = NULL;
}

struct fair_entry *fair_queue_first(struct fair_queue *queue)
{
    walk_begin(queue);
    return walk_take(&queue->walk);
}

struct fair_entry *fair_queue_next(struct fair_queue *queue)
{
    walk_settle(queue);
    return walk_take(&queue->walk);
}

bool fair_queue_is_due(const struct fair_queue *queue)
{
    return queue->walk.due;
}

void fair_queue_skip(struct fair_queue *queue)
{
    queue->walk.tokens = 0;
}

size_t fair_queue_position(struct fair_queue *queue, const struct fair_entry *entry)
{
    uint32_t position = 0;
    if (!queue->placed)
        for (struct fair_entry *it = fair_queue_first(queue); it; it = fair_queue_next(queue))
            it->position = position++;
    queue->placed = true;
    return entry->position;
}

/* --- life --- */

struct fair_queue *fair_queue_create(void)
{
    struct fair_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&queue->buckets[i]);
    for (size_t i = 0; i < RANKS; i++)
        list_init(&queue->classes[i].flows);
    list_init(&queue->idle);
    list_init(&queue->left);
    return queue;
}

static void let_go(struct flow *flow)
{
    list_for_each_safe (it, &flow->waiting) {
        struct fair_entry *entry = entry_at(it);
        list_del(&entry->link);
        entry->key = NULL;
    }
}

void fair_queue_destroy(struct fair_queue *queue)
{
    if (!queue)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (!list_empty(&queue->buckets[i])) {
            struct fair_key *key = list_entry(queue->buckets[i].next, struct fair_key, bucket);
            for (size_t rank = 0; rank < RANKS; rank++)
                let_go(&key->flows[rank]);
            key_free(key);
        }
    free(queue);
}
