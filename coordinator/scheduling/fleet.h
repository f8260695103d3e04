/* The instances of all nodes as the scheduler sees them: for each model one array, so that a
 * decision reads memory in order. Each entry holds what its node has told, what was learnt of its
 * speed, and what it has been given since. Who owns instances (node_session, the simulator) adds,
 * changes and takes out instances; jobs tell what they send there. Times are seconds of one
 * monotonic clock (env's, or the simulator's). One thread. */
#pragma once

#include "common/buf.h"
#include "coordinator/scheduling/cost.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLEET_MODELS_MAX = 65536,
    FLEET_INSTANCES_MAX = 4096, /* of one model: nodes, and a few that have just gone */
    FLEET_FLIGHTS_MAX = 512,    /* requests at once on one instance whose progress is known one by
                                   one; those beyond it count, and nothing more */
};

/* A request that an instance has and has not ended; the caller's memory, as long as it is there. */
struct flight {
    struct fleet_handle *handle; /* NULL: it is nowhere */
    struct flight *next, **prev;
    double prefill_s; /* as it was expected when it was sent */
    double decode_s;  /* … from the first token to the last */
    double first_s;   /* when its first token came; 0: it has not */
    double sent_s;
};

/* The hot part: read for each decision. */
struct fleet_instance {
    struct cost_rates rates;
    enum instance_state state;
    uint32_t capabilities;
    uint32_t context;  /* tokens of one sequence */
    uint32_t slots;    /* at least 1 */
    uint32_t running;  /* requests that it has been given and that have not ended */
    uint32_t decoding; /* of them those past their first token */
    uint32_t epoch;    /* of its node's session */
    uint32_t holder;   /* its number in the prefix index */
    bool usable;       /* heard of, not draining, its circuit closed */
    bool silent;       /* it would be usable if it were heard of */
    bool fits;         /* it can be loaded */
    bool ordered;      /* its node has been told to load it */
    bool batch_only;
    uint8_t quality; /* points as the node says, 1 to 100; 0: not said */
    float rtt_s;
    float load_s;       /* of a load from now on, with what it has to evict */
    float failure_rate; /* 0 … 1, decayed */
    float price_s;
    double ready_s;           /* LOADING: when it is likely to be loaded */
    double prefill_done_s;    /* when the prefills that it has been given are likely to be over */
    double slot_free_s;       /* when a slot is likely to be free; in the past where one is */
    uint64_t last_used;       /* serial of the request it was given last; 0: never */
    uint32_t promise_pass;    /* what waits in our queue for it, if this is the fleet's pass: … */
    uint32_t promised;        /* … requests, … */
    float promised_prefill_s; /* … and their prefill */
    struct fleet_handle *handle; /* back to who owns it */
};

/* The owner's handle: stays where it is while instances move within their array. */
struct fleet_handle {
    struct fleet_model *model; /* NULL: in no fleet */
    uint32_t index;            /* of its instance in model->at */
    struct flight *flights;    /* what it has been given */
};

struct fleet_model {
    char *name;
    struct fleet_instance *at;
    uint32_t count, room;
    struct prefix_group *prefixes; /* of this model; NULL: none are kept */
};

struct fleet;
struct prefix_index;

/* `prefixes` is borrowed; may be NULL. NULL where malloc refuses. */
struct fleet *fleet_create(struct prefix_index *prefixes);
/* All instances are gone. Takes NULL. */
void fleet_destroy(struct fleet *fleet);

/* Puts in an instance of `model`, copied from `first`; `handle` is the caller's memory, and stays
 * until fleet_remove(). `cache_blocks`: how much of prompts it keeps between requests
 * (prefix_index.h). -ENOMEM, -ENOSPC past a limit. */
MUST_CHECK int fleet_add(struct fleet *fleet, const char *model, const struct fleet_instance *first,
        uint32_t cache_blocks, struct fleet_handle *handle);
/* What it has been given is nowhere afterwards. O(1) but for that. */
void fleet_remove(struct fleet *fleet, struct fleet_handle *handle);
/* Its engine has ended, or lost its cache: it holds no prompt any more. O(1). -ENOMEM, -ENOSPC: it
 * holds none from now on either, until the next such call. */
MUST_CHECK int fleet_forget_prompts(
        struct fleet *fleet, struct fleet_handle *handle, uint32_t cache_blocks);

/* Borrowed until an instance of the model is added or removed. */
struct fleet_instance *fleet_at(const struct fleet_handle *handle);
/* NULL: no instance has it. Borrowed as long as one does. */
struct fleet_model *fleet_find(const struct fleet *fleet, const char *model);
size_t fleet_model_count(const struct fleet *fleet);
struct fleet_model *fleet_model_at(const struct fleet *fleet, size_t index);

/* A request goes there; `cost` is what the scheduler found. */
void fleet_sent(struct fleet *fleet, struct fleet_handle *handle, struct flight *flight,
        const struct cost *cost, double decode_s, double now_s);
void fleet_first_token(struct fleet *fleet, struct flight *flight, double now_s);
/* It has ended, however; also where it is nowhere any more. */
void fleet_ended(struct fleet *fleet, struct flight *flight, double now_s);

/* A look through the queue begins: nothing is promised. O(1). */
void fleet_begin_pass(struct fleet *fleet);
uint32_t fleet_pass(const struct fleet *fleet);
/* A request in the queue waits for this one. */
void fleet_promise(struct fleet *fleet, struct fleet_instance *instance, double prefill_s);
