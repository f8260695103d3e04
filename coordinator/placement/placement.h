/* Which models should be resident where: a pure function from what the fleet is (nodes, models on
 * their disks, what is resident now) and what is wanted of it (modes) to a plan. `modemesh plan`
 * prints it; the same function keeps the fleet there. The texts: placement_explain.h.
 *
 * A mode wants `copies` agents at once, each with `slots` sequences of `context` tokens on one of
 * its models. Each copy is placed on a node (a *service*); the services of one model on one node
 * share one engine, with the sum of their slots and the largest of their contexts: the weights are
 * there once. Several engines of one model are therefore always on several nodes.
 *
 * A plan is judged by what it loses against the ideal, which is each copy on the first model of its
 * mode, at its whole context, alone on the fastest node. What a service loses is counted in points
 * of PLACEMENT_UNSERVED, by the prices below, and weighs as much as its mode's share of use:
 *
 *   model     per step down the list: PLACEMENT_STEP for the first three, PLACEMENT_STEP_LATER for
 *             all; where qualities are known, PLACEMENT_QUALITY for each missing one of 100 instead
 *             of PLACEMENT_STEP
 *   context   per halving; at most PLACEMENT_HALVINGS_MAX, and not below the mode's floor
 *   time      PLACEMENT_TIME × (1 − v), v = speed of the node / of the fastest / (1 + share of use
 *             of the other services on the node): two busy modes slow each other
 *   swap      for the use of a node's swap allowance: only by an engine that is alone there, for
 *             modes in batch, at a reduced context
 *
 * So one step in the list outweighs one halving of the context, and that outweighs any wait. A load
 * costs as if all users had to wait for it once in PLACEMENT_HORIZON_S; what is resident already
 * costs none, so a model moves only where that is worth its load. Nothing pinned is ever touched.
 *
 * Up to PLACEMENT_EXACT_NODES nodes and PLACEMENT_EXACT_SERVICES services the plan is the best one
 * (branch and bound, as far as PLACEMENT_EXACT_STEPS go); beyond, it is built greedily and improved
 * by moves and swaps, in bounded steps. It is sought again from what it would make resident, until
 * that stands: a fleet that has followed its plan gets the same again, unless steps or rounds were
 * used up. Integers only: the same input gives the same plan on every host. Hundreds of nodes take
 * up to a second: not for a loop thread.
 * Any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLACEMENT_NODES_MAX = 1024,
    PLACEMENT_FILES_MAX = 32 * 1024, /* models on disks, of all nodes */
    PLACEMENT_MODELS_MAX = 4096,     /* different ones */
    PLACEMENT_MODES_MAX = 64,
    PLACEMENT_CHOICES_MAX = 32,                                          /* models of a mode */
    PLACEMENT_COPIES_MAX = 64,                                           /* of a mode … */
    PLACEMENT_SERVICES_MAX = PLACEMENT_MODES_MAX * PLACEMENT_COPIES_MAX, /* … and of all */
    PLACEMENT_SLOTS_MAX = 1024,
    PLACEMENT_WEIGHT_MAX = 1000,
    PLACEMENT_QUALITY_MAX = 100,

    PLACEMENT_EXACT_NODES = 8,
    PLACEMENT_EXACT_SERVICES = 24,
    PLACEMENT_EXACT_STEPS = 4 * 1000 * 1000,  /* places looked at in the exact search … */
    PLACEMENT_GREEDY_STEPS = 4 * 1000 * 1000, /* … and in one round of the other */
    PLACEMENT_ROUNDS_MAX = 4,                 /* until a plan stands by itself */
};

/* Prices, in points. The most that a service can lose by them is less than not to be served. */
enum {
    PLACEMENT_UNSERVED = 1000,
    PLACEMENT_STEP = 116,
    PLACEMENT_STEPS_COUNTED = 3,
    PLACEMENT_STEP_LATER = 4,
    PLACEMENT_QUALITY = 4,
    PLACEMENT_HALVING = 80,
    PLACEMENT_HALVINGS_MAX = 3,
    PLACEMENT_TIME = 70,
    PLACEMENT_TIME_BATCH = 20,
    PLACEMENT_SWAP = 150,

    PLACEMENT_HORIZON_S = 8 * 60 * 60,
    PLACEMENT_CONTEXT_FLOOR = 8 * 1024, /* where a mode names none */
    PLACEMENT_LOAD_MS_MAX = 60 * 60 * 1000,
};

#define PLACEMENT_DISK_BYTES_S UINT64_C(1000000000) /* where a node's disk is not known */
#define PLACEMENT_NONE         SIZE_MAX

/* Pool: what engines may fill in sum, with what they hold now and without what others hold. */
struct placement_node {
    const char *name;
    uint64_t pool_bytes;
    uint64_t reserve_bytes;   /* of the pool: left to the people who work there */
    uint64_t swap_bytes;      /* swap_allowance; 0: none */
    uint64_t disk_bytes_s;    /* 0: not known, PLACEMENT_DISK_BYTES_S */
    uint32_t bandwidth_mib_s; /* of its memory, or any measure of its speed that all nodes share;
                                 0: not known, counts as the slowest that is known */
};

/* A model on a node's disk; at most one of each model. */
struct placement_file {
    size_t node, model; /* indices */
    uint64_t file_bytes;
    uint32_t load_ms;        /* as seen before; 0: by size and disk */
    uint32_t context_max;    /* that the model was trained for; 0: not known */
    bool resident, pinned;   /* pinned: must be resident, with `context` and `slots` as they are */
    bool foreign;            /* it is pinned because somebody else has loaded it, for texts only */
    uint32_t context, slots; /* where it is resident or pinned: of one sequence; sequences */
    uint64_t resident_bytes; /* where it is resident: as measured */
};

struct placement_choice {
    size_t model;
    uint32_t quality; /* 1 to PLACEMENT_QUALITY_MAX; 0: not known */
};

struct placement_mode {
    const char *name;
    const struct placement_choice *choices; /* in the order of preference, at least one */
    size_t choice_count;
    uint32_t context;       /* tokens of one sequence */
    uint32_t context_floor; /* 0: PLACEMENT_CONTEXT_FLOOR */
    uint32_t slots;         /* sequences of one copy, 1 … */
    uint32_t copies;        /* 1 … */
    uint32_t weight;        /* share of use against the other modes, 1 to PLACEMENT_WEIGHT_MAX */
    bool batch;             /* nobody waits in front of a screen */
};

/* What an engine takes for that file. Must not shrink when context or slots grow; is asked often,
 * so it has to be cheap. UINT64_MAX: cannot be run so. */
typedef uint64_t (*placement_bytes_fn)(void *ctx, size_t file, uint32_t context, uint32_t slots);

/* All borrowed. */
struct placement_fleet {
    const struct placement_node *nodes;
    size_t node_count;
    const char *const *models; /* names */
    size_t model_count;
    const struct placement_file *files;
    size_t file_count;
    const struct placement_mode *modes;
    size_t mode_count;
    placement_bytes_fn bytes;
    void *ctx;
    bool greedy; /* never search exactly */
};

enum placement_action {
    PLACEMENT_KEEP,   /* resident and wanted as it is */
    PLACEMENT_LOAD,   /* not resident */
    PLACEMENT_RELOAD, /* resident with another context or other slots */
    PLACEMENT_SPARE,  /* resident, no mode's, and nothing needs its room */
    PLACEMENT_UNLOAD, /* resident, and others need its room more */
    PLACEMENT_REFUSE, /* pinned, not resident, and there is no room for it */
};
const char *placement_action_name(enum placement_action action);

struct placement_engine {
    size_t file;
    enum placement_action action;
    uint32_t context, slots; /* as it should be; PLACEMENT_UNLOAD: as it is */
    uint64_t memory_bytes;   /* likewise */
    uint64_t swap_bytes;     /* of these, beyond the node's memory */
    uint32_t load_ms;        /* LOAD and RELOAD only */
    size_t service_count;
};

struct placement_loss {
    uint32_t model, context, time, swap, unserved; /* points; the sum is what is lost */
};

/* One copy of a mode. */
struct placement_service {
    size_t mode;
    uint32_t copy;    /* 0 … */
    size_t engine;    /* PLACEMENT_NONE: not served */
    size_t choice;    /* index in the mode's list */
    uint32_t context; /* what it gets at least: what it wants, halved none or some times */
    uint32_t slots;
    struct placement_loss loss;
};

struct placement_host {
    uint64_t capacity_bytes; /* pool less reserve */
    uint64_t planned_bytes;  /* of all that should be resident, spare engines too */
    uint64_t spare_bytes;    /* of these */
    uint64_t free_bytes;
};

struct placement {
    struct placement_engine *engines; /* in the order of the fleet's files */
    size_t engine_count;
    struct placement_service *services; /* in the order of the modes, and of their copies */
    size_t service_count;
    struct placement_host *hosts; /* as the fleet's nodes */
    size_t host_count;
    uint64_t loss;          /* of all services, by weight: points × 1000 */
    uint64_t load_cost;     /* of all loads, in the same unit */
    uint32_t lost_permille; /* 0: the ideal; 1000: nothing is served */
    size_t load_count;
    uint64_t steps; /* of the search: places looked at */
    bool exact;     /* no plan is better than this one */
};

/* -EINVAL: an index that is none, a mode without models, a number out of its range, a second file
 * of one model on one node; -E2BIG: more of something than its limit. Both name it. -ENOMEM. */
MUST_CHECK int placement_create(
        const struct placement_fleet *fleet, struct placement **ret_placement, struct err *err);
void placement_destroy(struct placement *placement);
