/* Which instance answers a request: a pure function from the fleet, what is held of the prompt, and
 * the request to a plan and its reasons. Live requests, `modemesh explain` and the simulator all
 * take it.
 *
 * An instance is feasible where it is heard of, has not failed this request, can do what is needed,
 * holds prompt and answer in its context, is of at least the wanted quality, and its model is
 * loaded, or is being, or can be. Of all feasible ones the one with the least cost J (cost.h) is
 * chosen, whether it has room now or not; where several are within ROUTING_TIE_S of it, one that
 * has room, and of those the one that was given something the longest ago. A request stays with its
 * session's instance unless another is better by the larger of ROUTING_STAY_S and
 * ROUTING_STAY_SHARE of what it costs there; one of who waits at the cursor stays only among those
 * within ROUTING_TIE_S. Where the chosen one has no room, the request waits for it: that is what
 * its cost has told already.
 *
 * Engines compute prompts one after another, so that an instance has room only while what it has
 * still to compute is little: what waits here instead of there can be overtaken, and go elsewhere.
 * A greedy key has less room: it leaves a slot free, waits until an instance computes no prompt,
 * and takes none unless another as fast is left for others, where a model is loaded on several.
 * What is due (fair_queue.h) has the room of who waits at the cursor: else those could fill it for
 * ever.
 *
 * A load that nothing has begun yet costs its time twice, once as the wait for it and once as its
 * price: it takes disk and memory from what else its node does. So a burst for a model that is
 * loaded nowhere is one load, and a second copy comes only where the queue for the first is longer
 * than a load.
 *
 * Where the request says another policy than ROUTING_BEST, that one chooses among the feasible ones
 * (routing_policy.h). Conversations then have no place, and no instance is spared as it still has
 * much to compute; all else stays. */
#pragma once

#include "coordinator/request.h"
#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/refusal.h"
#include "coordinator/scheduling/routing_policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUTING_TIE_S      0.05
#define ROUTING_STAY_S     0.25
#define ROUTING_STAY_SHARE 0.10
#define ROUTING_AHEAD_S    0.5 /* of prompts to compute, past which an instance has no room */
#define ROUTING_AS_FAST    0.8 /* of another's prefill speed */

enum {
    ROUTING_OPTIONS_MAX = 32, /* models of a request */
    ROUTING_AVOID_MAX = 8,
    /* Requests that an instance is given beyond its slots: the next prefill begins with no pause.
     */
    ROUTING_BEYOND_SLOTS = 1,
    /* … and as many more for who waits at the cursor: what chat cannot fill, but what is due. */
    ROUTING_AUTOCOMPLETE_BEYOND = 2,
};

struct routing_option {              /* a model that may answer; in the order of preference */
    const struct fleet_model *model; /* NULL: no connected node has it */
    const uint32_t *held_blocks;     /* what prefix_find() found for it; NULL: nothing is held */
    double block_tokens;             /* of this prompt, by this model's tokenizer, about */
    double prompt_tokens;            /* … of all of it */
    uint8_t quality;                 /* points in this mode, 1 to 100; 0: what its node says */
};

struct routing_request {
    const struct routing_option *options;
    size_t option_count;       /* at most ROUTING_OPTIONS_MAX; models differ */
    double output_tokens;      /* as expected, for the cost */
    uint32_t output_reserve;   /* tokens that have to fit behind the prompt */
    double beta, gamma, sigma; /* cost.h */
    uint8_t quality_floor;     /* points; an instance of less, or that says none, is not feasible.
                                  0: none */
    uint8_t quality_wanted;    /* points that cost nothing; 0: the most that an option has */
    uint32_t needs;            /* CAPABILITY_… */
    uint32_t loaded; /* FLEET_ABLE_RESIDENT or FLEET_ABLE_LOADED: it is too long a prompt to load
                        a model for: what is not loaded is not feasible. 0: it is */
    enum request_lane lane;
    bool batch;  /* nobody waits in front of a screen */
    bool greedy; /* its key has much more than its share: it leaves room for others */
    bool due;    /* its turn has come, however much is before it: it has all the room there is */
    bool tripped_too; /* those that rest are feasible. routing_choose() asks so by itself where
                         nothing else is: better one that fails than none */
    struct routing_place {
        uint32_t epoch; /* of the node's session */
        const struct fleet_model *model;
    } session,                        /* where its conversation was last; epoch 0: nowhere */
            avoid[ROUTING_AVOID_MAX]; /* what has failed this request */
    size_t avoid_count;
    bool tell_free;     /* where it has to wait: plan.slot_free and plan.room_left are told */
    bool within_slots;  /* ROUTING_BEYOND_SLOTS is 0 for it */
    double tail_tokens; /* of the prompt, that its session's instance holds behind the whole blocks:
                           the end of the last turn's, and the answer */
    enum routing_policy policy;
    double now_s;
};

enum routing_verdict {
    ROUTING_RUN,  /* send it to `instance` now */
    ROUTING_WAIT, /* for `instance` (REFUSAL_FULL), or where that is NULL for one that is not
                     feasible just now: ask again when something has changed */
    ROUTING_NONE, /* no instance that is here can ever take it */
};

struct routing_plan {
    enum routing_verdict verdict;
    enum refusal refusal; /* not RUN: that which came closest, the last in the order of refusals;
                             REFUSAL_NONE: no option has an instance */
    uint32_t feasible;    /* instances that were compared */
    uint32_t absent;      /* options that no connected node has */

    const struct fleet_instance *instance; /* borrowed until one is added or removed */
    size_t option;                         /* of the instance */
    struct cost cost;                      /* of the instance */
    double held_tokens;                    /* of the prompt, by the instance */
    bool stayed;                /* with its session's instance, where another was a little better */
    enum routing_policy policy; /* by which it was chosen */

    /* Where the request says `tell_free`, and waits for `instance`: */
    bool slot_free;  /* one that can take it is loaded, or being, and has a slot that nobody waits
                        for who is before it: it is only held back */
    bool slot_there; /* `instance` itself has such a slot */
    bool room_left;  /* one has room for it now, and costs more than to wait */

    /* Where none is feasible: */
    uint32_t lacking; /* CAPABILITY_… that the one lacks which lacks the fewest; 0: none does */
    uint32_t context_max;    /* tokens of the largest that is refused for its context, of those that
                                could take a shorter prompt, now or in a moment; where none could, of
                                all; 0: none is */
    bool longest_closed;     /* … it could not: its node drains, or its model never fits */
    size_t longest;          /* … its option */
    uint32_t context_loaded; /* … and of the largest of them that is loaded, or being, and that it
                                could go to; 0: none is */
    bool loaded_rests;       /* … it rests, as do all others of these */
    uint32_t avoided;        /* instances that are refused for having failed it */
};

/* Told of every instance of every option, in no order; changes nothing. `cost` is NULL where it is
 * not feasible. */
typedef void routing_look_fn(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens);

struct routing; /* memory that decisions are made in */

/* NULL where malloc refuses. */
struct routing *routing_create(void);
/* Takes NULL. */
void routing_destroy(struct routing *routing);

/* Of contexts in tokens (0: there is none) one that is `last` is of use only where no other is. */
bool routing_is_longer(uint32_t context, bool last, uint32_t than, bool than_last);

/* The plan follows from the arguments alone, whatever the order of instances. Of the fleet nothing
 * changes but that its digests are fresh. `look` may be NULL. -ENOMEM; `ret_plan` is untouched
 * then. O(instances of the options). */
MUST_CHECK int routing_choose(struct routing *routing, struct fleet *fleet,
        const struct routing_request *request, routing_look_fn *look, void *ctx,
        struct routing_plan *ret_plan);
