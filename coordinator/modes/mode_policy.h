/* By which rule of its mode a request is answered, and so by which models: a pure function from the
 * mode and a few facts to the terms of a job (job/job_terms.h), and to the words that people
 * read in the reason header ("code up to 16k: qwen-coder-7b").
 *
 * Which rule, the first that applies:
 *   1. planning: the mode has such models, and this is a planning call
 *   2. up to N tokens: the least N that holds prompt and expected answer
 *   3. above all N: every model of the mode that holds it
 *   4. a mode without rules: every model of it
 * Of a rule's models those count that may be used, that can do what is needed and that hold the
 * request. Where that is none, the next rule that has one takes it; where no rule has one, all of
 * the mode's models are options, and the router tells why none of them can. A rule whose models
 * are all on nodes that are away, or on none, is passed over too, where another rule, or another
 * model of the mode, of enough points for the floor, is there; else the request waits.
 * What nodes have may change as long as a request waits: its spares are the mode's other models
 * that would do, for as long as none of its options is there that holds it.
 *
 * With stand_in, the mode's other models of at least the same points are options too, after those
 * of the rule, and nobody is charged for being as good as the rule asks.
 *
 * A planning call is one in which the model is still to say what should be done: no tool has given
 * a result in this conversation yet, though tools are offered; or the editor says that it plans.
 *
 * Points of a model: what the config says, else what its node says, else MODE_POINTS_STEP less than
 * the model before it in the list has, the first MODE_POINTS_FIRST. */
#pragma once

#include "coordinator/modes/modes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODE_RULE_TEXT_MAX = 200 }; /* it has to fit in a header's value */

struct mode_model_facts {
    bool barred;      /* the caller's key does not allow it */
    bool unable;      /* every node that has it is known to lack what the request needs */
    bool there;       /* a connected node has it, and has it loaded or could */
    uint8_t points;   /* as its nodes say; 0: they do not */
    uint32_t context; /* tokens of the largest that a node has, or could load; UINT32_MAX: one does
                         not say; 0: there is none */
};

struct mode_facts {
    uint32_t prompt_tokens;                /* as estimated */
    uint32_t output_tokens;                /* as expected */
    bool tools;                            /* are offered */
    bool tool_results;                     /* are in the conversation */
    bool plan_mark;                        /* the editor says that it plans */
    double beta;                           /* by what is asked for; 0: that is not known */
    const struct mode_model_facts *models; /* of each of the mode's models, in its order */
};

struct mode_option {
    uint32_t model;  /* index in mode->models */
    uint8_t points;  /* of the model */
    uint8_t quality; /* likewise for the router; 0: nodes say it, each of its own instance */
};

struct mode_policy {
    struct mode_option options[MODE_MODELS_MAX]; /* the best liked first */
    size_t option_count;                         /* 0: the key allows none of them */
    size_t stand_ins;                            /* of them, at the end */
    struct mode_option spares[MODE_MODELS_MAX];  /* in the mode's order; none is an option */
    size_t spare_count;
    size_t passed;        /* of the mode's rules come before the one that is taken … */
    bool passed_planning; /* … and so does that for planning calls, for this is one */
    uint32_t tokens;      /* of prompt and answer, by the facts */
    uint8_t floor;        /* points; an instance of less is not feasible. 0: any is */
    uint8_t wanted;       /* points that cost nothing */
    double beta; /* what the config says, or batch work; else the request's own, where it has one */
    uint8_t priority;
    bool batch;
    char rule[MODE_RULE_TEXT_MAX]; /* "ask up to 8k: fast": who may answer is named */
};

void mode_policy_of(
        const struct mode *mode, const struct mode_facts *facts, struct mode_policy *ret_policy);
/* The points of each model; `models` may be NULL: nodes say nothing. */
void mode_points_of(const struct mode *mode, const struct mode_model_facts *models,
        uint8_t ret_points[MODE_MODELS_MAX]);
/* The floor of a request with so many tokens of prompt and answer. */
uint8_t mode_floor_at(const struct mode *mode, uint32_t tokens);
/* Tokens that the answer may have; 0: no limit. `asked`: what the client says; 0: nothing. */
uint32_t mode_output_limit(const struct mode *mode, uint32_t asked);
