/* Instances as a decision reads them: 68 bytes of each, made of what the fleet knows (fleet.h), so
 * that the cost J (cost.h) takes no division and hardly a branch. Four instances are one block,
 * field by field: gcc and clang make vector instructions of such types on any processor. In floats:
 * a cost differs from that of cost_of() by less than a ten-thousandth, far below what decides.
 * Pure. */
#pragma once

#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fleet.h"

#include <stddef.h>
#include <stdint.h>

/* A load that nothing has begun yet takes disk and memory from what else its node does: its price,
 * in seconds for each second, beside the wait for it. */
#define FLEET_LOAD_PRICE 1.0

enum {                                /* beside CAPABILITY_…, in what a digest is able to */
    FLEET_ABLE_OPEN = 1 << 30,        /* refusal_for_all() says REFUSAL_NONE */
    FLEET_ABLE_ALIVE = 1 << 29,       /* … or REFUSAL_TRIPPED */
    FLEET_ABLE_INTERACTIVE = 1 << 28, /* more than batch work */
    FLEET_ABLE_RESIDENT = 1 << 27,    /* it is loaded … */
    FLEET_ABLE_LOADED = 1 << 26,      /* … or being loaded */
};

enum { FLEET_LANES = 4 };

typedef double fleet_times __attribute__((vector_size(32), aligned(16)));
typedef float fleet_lanes __attribute__((vector_size(16)));
typedef uint32_t fleet_words __attribute__((vector_size(16)));

struct fleet_block {         /* the instances at index … index + FLEET_LANES − 1 of a model */
    fleet_times free_s;      /* when each could begin with the next prefill … */
    fleet_times slot_free_s; /* … and has a slot for it; in the past: now */
    fleet_lanes queue_s;     /* what comes before that: a load that begins only now, promises */
    fleet_lanes slot_queue_s;
    fleet_lanes token_s;     /* 1/R */
    fleet_lanes depth_share; /* 1/D */
    fleet_lanes swap_token_s;
    fleet_lanes step_s;      /* with the request in the batch */
    fleet_lanes batch_share; /* B/slots */
    fleet_lanes fixed_s;     /* round trip, price, failures */
    fleet_lanes context;     /* tokens; INFINITY: not known */
    fleet_lanes quality;     /* points as its node says */
    fleet_words able;        /* 0: there is no instance */
    fleet_words epoch;
    fleet_words holder; /* in the prefix index */
};

/* What digests are held against; the same for all instances of a model. */
struct fleet_question {
    const uint32_t *held_blocks; /* by holder; NULL: nothing is held */
    float block_tokens, prompt_tokens;
    float whole_tokens; /* prompt and answer: what the context has to hold */
    float decode_steps; /* β·N */
    float gamma, sigma;
    float quality_wanted, quality_floor; /* points */
    float quality;                       /* of the option; 0: what the instance says */
    uint32_t needs; /* CAPABILITY_…, FLEET_ABLE_…; at least FLEET_ABLE_OPEN or FLEET_ABLE_ALIVE */
    double now_s;
};

/* The instance at that moment, for cost_of(). `pass` is the fleet's: only what is promised in it
 * counts. `held_tokens` is passed on. */
void fleet_cost_state(const struct fleet_instance *instance, uint32_t pass, double held_tokens,
        double now_s, struct cost_state *ret_state);
/* FLEET_ABLE_RESIDENT and FLEET_ABLE_LOADED, as far as they are true of it. */
uint32_t fleet_digest_loaded(const struct fleet_instance *instance);
/* Writes one lane of a block. */
void fleet_digest_make(const struct fleet_instance *instance, uint32_t pass,
        struct fleet_block *block, size_t lane);
/* There is no instance in that lane. */
void fleet_digest_clear(struct fleet_block *block, size_t lane);

/* Fills ret_totals[0 … count · FLEET_LANES) with J; INFINITY where an instance is not feasible. Who
 * has failed the request is not its business. */
void fleet_digest_costs(const struct fleet_question *question, const struct fleet_block *blocks,
        size_t count, float *ret_totals);
