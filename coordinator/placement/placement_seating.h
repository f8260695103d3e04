/* Who sits where while a placement is sought: services in places, what that fills of each node,
 * and what it costs. A place is one way to serve a mode: a file, a context, and whether the engine
 * that is resident there is kept as it is or started anew. What is resident is given apart from the
 * fleet, because a plan is sought again from what it would make resident.
 * seating_create() and seating_destroy() in pairs; nothing is allocated between them. One thread.
 */
#pragma once

#include "common/arena.h"
#include "coordinator/placement/placement.h"

enum {
    SEATING_PLACES_MAX =
            8 * 1024, /* of one mode: those that are best for it alone on their nodes */
    /* seating_cost() of a loss of 1: more than any number of loads adds to tell plans apart that
     * else cost the same. */
    SEATING_COST_OF_LOSS = 2 * PLACEMENT_SERVICES_MAX,
};

struct place {
    uint32_t file, choice;
    uint32_t context; /* that the service gets at least */
    uint32_t points;  /* lost by model and context */
    uint32_t alone;   /* the same and the time alone on that node, in thousandths of a point */
    uint64_t bytes;   /* of the engine, for one service alone */
    bool kept;        /* the engine as it is resident (or pinned) */
    bool reduced;     /* the context is less than what is wanted */
};

/* What holds memory on a node before anything is planned. */
struct residence {
    bool resident;
    uint32_t context, slots;
    uint64_t bytes;
};

struct seating_service {
    uint32_t mode, copy;
    uint64_t weight;           /* share of use in thousandths of a mode's weight */
    const struct place *place; /* NULL: not served */
    uint32_t next;             /* on the same node; SEATING_END ends the list */
};
#define SEATING_END UINT32_MAX

struct seating_mode {
    struct place *places; /* the least `alone` first */
    size_t place_count;
};

struct seating_file {
    struct residence residence;
    uint64_t load_cost;
    bool pinned;           /* and there is room for it: an engine, also without services */
    uint32_t services;     /* that are seated here; the rest is about them */
    uint32_t batch, whole; /* of them: of modes in batch; with their whole context */
    bool kept;
    uint32_t context, slots;
    uint64_t bytes; /* 0: no engine */
};

struct seating_node {
    uint64_t capacity_bytes, most_bytes; /* with the swap allowance */
    uint64_t bytes;                      /* that engines take */
    uint64_t weight, loss;               /* of its services */
    uint32_t speed;                      /* thousandths of the fastest */
    uint32_t engines;
    uint32_t first; /* service */
};

struct seating {
    const struct placement_fleet *fleet;
    struct seating_mode *modes;
    struct seating_service *services; /* the weightiest first */
    size_t service_count;
    struct seating_file *files;
    struct seating_node *nodes;
    uint64_t weight;   /* of all services */
    uint64_t loss;     /* now, as in struct placement */
    int64_t load_cost; /* in seating_cost(): of loads for services; what is pinned costs any plan */
    uint64_t steps;    /* places, and those who sit beside them, looked at so far */
    struct arena arena;
};

/* `residences`: one for each file; copied. The fleet is valid and borrowed. NULL: no memory. */
struct seating *seating_create(
        const struct placement_fleet *fleet, const struct residence *residences);
void seating_destroy(struct seating *seating);

/* What the whole costs: loss and loads; of two alike, the one with fewer loads costs less. */
int64_t seating_cost(const struct seating *seating);
/* True where `service`, which sits nowhere, can have the place. `*ret_change`: of seating_cost().
 */
bool seating_offer(struct seating *seating, const struct seating_service *service,
        const struct place *place, int64_t *ret_change);
/* The least that a place adds to the cost of a seating that leaves the service out: in any, and in
 * this one; who comes after may make it more. */
int64_t seating_alone(const struct seating_service *service, const struct place *place);
int64_t seating_least(const struct seating *seating, const struct seating_service *service,
        const struct place *place);
/* What the load adds that the place needs; 0 where its engine is there. */
int64_t seating_load(const struct seating *seating, const struct place *place);
/* What a service that is not served adds to the cost. */
int64_t seating_unserved(const struct seating_service *service);

/* The place must have been offered in this very seating. */
void seating_put(
        struct seating *seating, struct seating_service *service, const struct place *place);
/* Nothing for a service that sits nowhere. */
void seating_take(struct seating *seating, struct seating_service *service);

/* What the service loses where it sits. */
struct placement_loss seating_loss(
        const struct seating *seating, const struct seating_service *service);
/* Of a load, from the file's size where no load was seen. */
uint32_t seating_load_ms(const struct placement_fleet *fleet, size_t file);
/* Memory of a node that a plan may fill; the same with its swap allowance. */
uint64_t seating_capacity(const struct placement_node *node);
uint64_t seating_most(const struct placement_node *node);
/* What the fleet says an engine takes; too much for any node where it is absurd, never 0. */
uint64_t seating_bytes(
        const struct placement_fleet *fleet, size_t file, uint32_t context, uint32_t slots);
