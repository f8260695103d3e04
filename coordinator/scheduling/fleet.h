/* The instances of all nodes as routing sees them, for each model one array. Each entry holds what
 * its node has told, what was learnt of its speed, and what it has been given since; beside it, for
 * decisions, its digest (fleet_digest.h), which follows it. Who owns instances (node_session, the
 * simulator) adds, changes and takes out instances; jobs tell what they send there. Times are
 * seconds of one monotonic clock (env's, or the simulator's), never negative. One thread. */
#pragma once

#include "common/buf.h"
#include "common/list.h"
#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/token_ratio.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLEET_MODELS_MAX = 65536,
    FLEET_INSTANCES_MAX = 4096, /* of one model: nodes, and a few that have just gone */
    FLEET_FLIGHTS_MAX = 512,    /* requests at once on one instance whose progress is reckoned with;
                                   those beyond it count, and nothing more */
};

/* Of what a request is expected to decode, this much is taken to be left of one that is overdue. */
#define FLEET_OVERDUE_SHARE 0.25

/* A request that an instance has and that has not ended; the caller's memory, zeroed at first, as
 * long as it is somewhere. */
struct flight {
    struct fleet_handle *handle; /* NULL: it is nowhere */
    struct list link;
    double begin_s;   /* its prefill cannot begin earlier: it was sent, the model loaded */
    double prefill_s; /* as it was expected when it was sent */
    double decode_s;  /* … from the first token to the last */
    double first_s;   /* when its first token came, if it has */
    bool decoding;    /* it has */
};

/* What its owner may change, through fleet_at() and before the next decision: what the node tells,
 * rates, circuit. The rest follows from fleet_sent() and the like. */
struct fleet_instance {
    struct cost_rates rates;
    enum instance_state state;
    uint32_t capabilities; /* CAPABILITY_…; 0: its node says nothing, and knows nothing but chat */
    uint32_t context;      /* tokens of one sequence; 0: not known */
    uint32_t slots;        /* 0: not known, counts as one */
    uint32_t running;      /* requests that it has been given and that have not ended */
    uint32_t decoding;     /* of them those past their first token */
    uint32_t epoch;        /* of its node's session */
    uint32_t holder;       /* its number in the prefix index; PREFIX_NO_HOLDER */
    bool usable;           /* heard of, not draining */
    bool silent;           /* it would be usable if it were heard of */
    bool tripped;          /* its circuit is open: it is tried again after a while */
    bool fits;             /* it can be loaded */
    bool ordered;          /* its node has been told to load it, maybe after others */
    bool batch_only;
    uint8_t quality; /* points as the node says, 1 to 100; 0: not said */
    float rtt_s;
    float swap_token_s; /* to copy a token that it holds back to where it computes; 0: it is there
                         */
    float load_s;       /* of a load from now on, with what it has to evict */
    float failure_rate; /* 0 … 1, decayed */
    float price_s;
    double ready_s; /* LOADING: when it is likely to be loaded */

    /* Reckoned from what it has been given. */
    double prefill_done_s;    /* when those prefills are likely to be over; in the past: they are */
    double slot_free_s;       /* when the next request is likely to have a slot; in the past: now */
    uint64_t last_used;       /* serial of the request it was given last; 0: never */
    uint32_t promise_pass;    /* what waits in our queue for it, if this is the fleet's pass: … */
    uint32_t promised;        /* … requests, … */
    float promised_prefill_s; /* … and their prefill */
    float slot_turn_s;        /* between two of its slots' becoming free, in the mean */
    uint32_t slots_counted;   /* of it in its model's `slots` */
    struct fleet_handle *handle; /* back to who owns it */
};

/* The owner's handle: stays where it is while instances move within their array. */
struct fleet_handle {
    struct fleet *fleet;
    struct fleet_model *model; /* NULL: in no fleet */
    uint32_t index;            /* of its instance in model->at */
    struct list flights;       /* what it decodes, then what it has not begun to, as it was sent */
    double prefill_free_s;     /* when the engine could turn to the next prefill */
    struct list stale;         /* in the fleet's, while its digest has to be made anew … */
    struct list promised;      /* … while something in the queue waits for it … */
    struct list busy;          /* … and while it has flights */
};

struct fleet_model {
    char *name;
    struct fleet_instance *at;
    struct fleet_block *blocks; /* their digests, as of fleet_freshen(); room / FLEET_LANES */
    uint32_t count, room;
    uint64_t slots;                /* of those that are loaded and usable, as of fleet_freshen() */
    struct prefix_group *prefixes; /* of this model; NULL: none are kept */
    struct token_ratio ratio;      /* of its tokenizer; the owner's */
};

struct fleet;
struct prefix_index;

/* `prefixes` is borrowed; may be NULL: then no prompt is remembered. NULL where malloc refuses. */
struct fleet *fleet_create(struct prefix_index *prefixes);
/* Before the first fleet_add(), for the prefix index: who may send prompts must not know it
 * (prefix_group_create()). Else 0. */
void fleet_set_seed(struct fleet *fleet, uint64_t seed);
/* All instances are gone, all flights nowhere. Takes NULL. */
void fleet_destroy(struct fleet *fleet);

/* Puts in an instance of `model`, copied from `first` as far as that is the owner's; `handle` is
 * the caller's memory, and stays until fleet_remove(). `cache_blocks`: how much of prompts it keeps
 * between requests (prefix_index.h); 0: nothing. Where the prefix index has no room left for it, or
 * for its model, it counts as one that keeps nothing. -ENOMEM; -ENOSPC past FLEET_MODELS_MAX or
 * FLEET_INSTANCES_MAX; nothing has changed then. */
MUST_CHECK int fleet_add(struct fleet *fleet, const char *model, const struct fleet_instance *first,
        uint32_t cache_blocks, struct fleet_handle *handle);
/* What it has been given is nowhere afterwards. O(1) but for that. Does nothing where it is in no
 * fleet. */
void fleet_remove(struct fleet *fleet, struct fleet_handle *handle);
/* Its engine has ended, or lost its cache: it holds no prompt any more. O(1). -ENOMEM, -ENOSPC: it
 * holds none from now on either, until the next such call. */
MUST_CHECK int fleet_forget_prompts(
        struct fleet *fleet, struct fleet_handle *handle, uint32_t cache_blocks);

/* To change it at once: decisions see what was changed up to the next of them. Borrowed until an
 * instance of the model is added or removed. */
struct fleet_instance *fleet_at(struct fleet_handle *handle);
/* NULL: no instance has it. Borrowed as long as one does. O(log models). */
struct fleet_model *fleet_find(const struct fleet *fleet, const char *model);
size_t fleet_model_count(const struct fleet *fleet);
/* By name, in ascending order. */
struct fleet_model *fleet_model_at(const struct fleet *fleet, size_t index);

/* A request goes there; `cost` is what routing found, `decode_s` what it will decode for. The
 * flight is nowhere yet. O(flights of the instance), as are the next three. */
void fleet_sent(struct fleet *fleet, struct fleet_handle *handle, struct flight *flight,
        const struct cost *cost, double decode_s, double now_s);
/* Only the first one counts. Does nothing where the flight is nowhere. */
void fleet_first_token(struct fleet *fleet, struct flight *flight, double now_s);
/* It has ended, however; also where it is nowhere any more. */
void fleet_ended(struct fleet *fleet, struct flight *flight, double now_s);
/* The owner has told that it is loaded now, or has other slots: what follows is reckoned anew. */
void fleet_reckon(struct fleet *fleet, struct fleet_handle *handle, double now_s);
/* Time has passed: reckons anew where a slot should be free by now and is not, as answers go on for
 * longer than was expected. Else it would seem to be free at any moment, and be waited for, as long
 * as nothing happens there. O(instances that have flights). */
void fleet_look_at_late(struct fleet *fleet, double now_s);

/* Makes the digests that are stale. O(instances that have changed since). */
void fleet_freshen(struct fleet *fleet);

/* A look through the queue begins: nothing is promised. O(instances that something was promised
 * of). */
void fleet_begin_pass(struct fleet *fleet);
uint32_t fleet_pass(const struct fleet *fleet);
/* Requests in the queue that wait for it, as far as this look through it has come. */
uint32_t fleet_promised(const struct fleet_instance *instance, uint32_t pass);
/* A request in the queue waits for this one. */
void fleet_promise(struct fleet *fleet, const struct fleet_instance *instance, double prefill_s);
