/* Which instance answers a request: a pure function from the fleet, what is held of the prompt, and
 * the request to a plan and its reasons. Live requests, `modemesh explain` and the simulator all
 * take it.
 *
 * An instance is feasible where it is heard of, has not failed this request, can do what is needed,
 * holds prompt and answer in its context, is of at least the wanted quality, and its model is
 * loaded or can be. Of all feasible ones the one with the least cost J (cost.h) is chosen, whether
 * it has room now or not; where several are within SCHEDULER_TIE_S of it, the one that was given
 * something the longest ago. A request stays with its session's instance unless another is better
 * by the larger of SCHEDULER_STAY_S and SCHEDULER_STAY_SHARE. Where the chosen one has no room, the
 * request waits for it: that is what its cost has told already. */
#pragma once

#include "coordinator/request.h"
#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fleet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULER_TIE_S      0.05
#define SCHEDULER_STAY_S     0.25
#define SCHEDULER_STAY_SHARE 0.10

enum {
    SCHEDULER_OPTIONS_MAX = 32, /* models of a request */
    SCHEDULER_AVOID_MAX = 8,
    /* Requests that an instance is given beyond its slots: the next prefill begins with no pause.
     */
    SCHEDULER_BEYOND_SLOTS = 1,
    /* What chat cannot fill: a person waits at the cursor. */
    SCHEDULER_AUTOCOMPLETE_BEYOND = 2,
};

struct scheduler_option {            /* a model that may answer; in the order of preference */
    const struct fleet_model *model; /* NULL: no connected node has it */
    const uint32_t *held_blocks;     /* what prefix_find() found for it; NULL: nothing is held */
    double block_tokens;             /* of this prompt, by this model's tokenizer, about */
    double prompt_tokens;            /* … of all of it */
    uint8_t quality;                 /* points in this mode, 1 to 100; 0: what its node says */
};

struct scheduler_request {
    const struct scheduler_option *options;
    size_t option_count;
    double output_tokens;      /* as expected, for the cost */
    uint32_t output_reserve;   /* tokens that have to fit behind the prompt */
    double beta, gamma, sigma; /* cost.h */
    uint8_t quality_floor;     /* points; an instance of less is not feasible. 0: none */
    uint8_t quality_wanted;    /* points that cost nothing; 0: the most that an option has */
    uint32_t needs;            /* CAPABILITY_… */
    enum request_lane lane;
    bool batch;  /* nobody waits in front of a screen */
    bool greedy; /* its key has more than its share: it leaves one slot free */
    struct {
        uint32_t epoch; /* of the node's session */
        const struct fleet_model *model;
    } session,                          /* where its conversation was last; epoch 0: nowhere */
            avoid[SCHEDULER_AVOID_MAX]; /* what has failed this request */
    size_t avoid_count;
    double now_s;
};

/* Why an instance is not chosen, or cannot be. The order is that of the tests. */
enum scheduler_refusal {
    REFUSAL_NONE,
    REFUSAL_LACKS,      /* a capability */
    REFUSAL_QUALITY,    /* below the floor */
    REFUSAL_BATCH_ONLY, /* larger than the memory */
    REFUSAL_CONTEXT,    /* prompt and answer are longer */
    REFUSAL_AVOIDED,    /* it has failed this request */
    REFUSAL_SILENT,     /* not heard of now: back in a moment, or gone */
    REFUSAL_UNUSABLE,   /* draining, or its circuit is open */
    REFUSAL_STOPPING,   /* its engine ends, or is started again */
    REFUSAL_NO_FIT,     /* not loaded, and it can never be there */
    REFUSAL_FULL,       /* feasible, without room now */
    REFUSAL_COUNT,
};
/* "context too small"; for people and JSON. */
const char *scheduler_refusal_name(enum scheduler_refusal refusal);

enum scheduler_verdict {
    SCHEDULER_RUN,  /* send it to `instance` now */
    SCHEDULER_WAIT, /* for `instance`, or where that is NULL for one that is not feasible just now;
                       ask again when something has changed */
    SCHEDULER_NONE, /* no instance that is here can ever take it: `refusal` is the reason that came
                       closest, that is the last in its order */
};

struct scheduler_plan {
    enum scheduler_verdict verdict;
    enum scheduler_refusal refusal;
    struct fleet_instance *instance;
    size_t option;        /* of the instance */
    struct cost cost;     /* of the instance */
    double held_tokens;   /* of the prompt, by the instance */
    bool stayed;          /* with its session's instance, where another was a little better */
    uint32_t lacking;     /* NONE, REFUSAL_LACKS: CAPABILITY_… that an instance lacks */
    uint32_t context_max; /* NONE, REFUSAL_CONTEXT: tokens of the largest there is */
    uint32_t feasible;    /* instances that were compared */
};

/* Told of every instance of every option; changes nothing. `cost` is NULL where it is not feasible.
 */
typedef void scheduler_look_fn(void *ctx, const struct fleet_instance *instance, size_t option,
        enum scheduler_refusal refusal, const struct cost *cost, double held_tokens);

struct scheduler; /* memory that decisions are made in */

/* NULL where malloc refuses. */
struct scheduler *scheduler_create(void);
void scheduler_destroy(struct scheduler *scheduler);

/* The plan follows from the arguments alone, whatever the order of instances. `look` may be NULL.
 * -ENOMEM. O(instances of the options). */
MUST_CHECK int scheduler_choose(struct scheduler *scheduler, const struct fleet *fleet,
        const struct scheduler_request *request, scheduler_look_fn *look, void *ctx,
        struct scheduler_plan *ret_plan);
