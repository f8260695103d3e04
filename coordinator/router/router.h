/* Where a live request goes: the fleet as nodes tell it, who holds what of which prompt, how fast
 * each instance was, and the decision (scheduling/) over them. node_table tells it of instances,
 * jobs ask it and tell what became of their requests. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "coordinator/instance.h"
#include "coordinator/modes/mode_policy.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_session.h"
#include "coordinator/request.h"
#include "coordinator/scheduling/fair_queue.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/prefix_chain.h"
#include "coordinator/scheduling/routing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROUTER_PREFIX_BYTES = 64 * 1024 * 1024, /* of memory of prompts, at most */
    ROUTER_OUTPUT_TOKENS = 400,             /* of an answer, before its mode has had any */
    ROUTER_RESERVE_MAX = 1024, /* tokens that have to fit behind the prompt: whoever allows an
                                  answer of 32k does not mean that it will be as long */
    ROUTER_ANSWER_MAX = 65536, /* tokens that one answer counts as in the mean of its mode's … */
    ROUTER_MODES_MAX = MODES_MAX + 1,
};

/* Of its longest context so much is a prompt estimated to be that is too long for it without doubt:
 * what is spelt with \u has three times the bytes for a token. */
#define ROUTER_FAR_TOO_LONG 3.0
/* Of the longest context so much is enough for what only counts the tokens. */
#define ROUTER_LONG_ENOUGH 0.5

#define ROUTER_OUTPUT_WEIGHT 0.1  /* of one answer in the mean of its mode's */
#define ROUTER_ANSWER_CLIP   8.0  /* … nor does it count as more than so many of the mean … */
#define ROUTER_ANSWER_SHORT  64.0 /* … or of this, where the mean is less */

struct router;
struct ledger;
struct away;

struct router_config {
    const struct env *env; /* borrowed, as is the ledger */
    struct ledger *ledger; /* NULL: what is learnt goes with the router */
    struct away *away;     /* borrowed; told of what is lost and found; NULL: nobody is awaited */
    size_t prefix_bytes;   /* 0: ROUTER_PREFIX_BYTES */
};

/* NULL where malloc refuses. */
struct router *router_create(const struct router_config *config);
/* By what instances are chosen from now on; at first ROUTING_BEST. */
void router_set_policy(struct router *router, enum routing_policy policy);
/* All instances are gone already. Takes NULL. */
void router_destroy(struct router *router);

/* What a session tells of an instance (node_session_events). Where there is no memory for one that
 * has come, nothing is sent to it. */
void router_on_instance(
        struct router *router, struct instance *instance, enum instance_event event);

/* --- requests --- */

struct router_ask { /* borrowed for the call; at least one model */
    const struct prefix_chain *chain;
    uint32_t hash_blocks;      /* of the prompt, that each of its hashes stands for; 0: one */
    double prompt_tokens;      /* by every model's tokenizer; 0: estimated from the chain */
    const char *mode;          /* "-": none */
    const char *const *models; /* their own names, the best liked first */
    const uint8_t *quality;    /* of each, in this mode; NULL: what nodes say */
    size_t model_count;
    size_t named_count;  /* of them; those behind only stand in for these. 0: all are named */
    uint32_t output_max; /* tokens, as the client said; 0: it did not */
    double beta;         /* scheduling/cost.h */
    uint8_t quality_floor, quality_wanted;
    uint32_t needs;
    enum request_lane lane;
    bool batch, greedy, due, tell_free, within_slots;
    bool whole; /* what is too long for each instance is sent to none; else to the longest, or to
                   one that is loaded */
    bool one_prompt; /* which an engine takes as it is, or refuses: not several texts, nor what it
                        cuts, or only counts */
    /* Tokens: as another of its modes counts, it is far too long for a context of so many
     * (router_longest_far()), whatever these models make of it. */
    uint32_t far_too_long_for;
    bool awaits; /* where only nodes that are away or drain could take it, it is to wait for them */
    uint32_t
            session_epoch; /* of the session of the node where its conversation was last; 0: none */
    const char *session_model;  /* … and the model there */
    struct router_turn {        /* the last one of its conversation, there; all 0: not known */
        uint32_t blocks, bytes; /* of the prompt */
        uint32_t answer_tokens; /* of the answer, as far as this prompt has it */
    } session_turn;
    const struct router_avoid {
        uint32_t epoch;
        const char *model;
    } * avoid; /* what has failed it; at most ROUTING_AVOID_MAX */
    size_t avoid_count;
};

/* Whom a request waits for that no instance can take: the node that has the model which is liked
 * best, of several the first by name. */
struct router_awaited {
    enum awaited { AWAITED_NONE, AWAITED_AWAY, AWAITED_BACK, AWAITED_DRAINING } state;
    const char *node; /* borrowed until one is lost or found */
};

struct router_plan {
    struct routing_plan routing;
    struct router_awaited awaited;       /* ROUTING_WAIT, REFUSAL_UNUSABLE: for this node */
    struct instance *instance;           /* of routing.instance; NULL: none */
    uint32_t held_blocks;                /* of the prompt, by it */
    double prompt_tokens, output_tokens; /* as estimated for it, or for the longest context; of what
                                            is longer than that only as much as it holds … */
    double whole_tokens;                 /* … and so all of the prompt */
    bool far_too_long; /* ROUTING_NONE: by ROUTER_FAR_TOO_LONG, and nothing is loaded for it … */
    const char *longest; /* … the model with the longest context; borrowed from the ask */
    size_t named_count;  /* of the ask */
    bool stands_in;      /* for the models that are named */
};

/* Of several asks for one prompt, by one mode after another, that which it goes by where it is too
 * long for each. Zeroed at first; `at` is the ask's place. */
struct router_longest {
    size_t at, at_loaded;             /* that of the longest context, and of the longest loaded */
    uint32_t context, context_loaded; /* 0: it is too long for none; nothing is loaded */
    bool closed, loaded_rests;        /* of these two, as in routing_plan */
    bool far_too_long;                /* for `context` */
};
void router_longest_note(struct router_longest *longest, size_t at, const struct router_plan *plan);
/* Rather than for what no engine could hold something is loaded, what is loaded counts its tokens.
 */
size_t router_longest_at(const struct router_longest *longest);
/* The plan is that of router_longest_at(): whether that of `at`, which would have to be loaded, may
 * be better, as what is loaded is full, or rests, and the prompt may be shorter than it seems. */
bool router_longest_may_load(const struct router_longest *longest, const struct router_plan *plan);
/* Whether the plan, that of `at`, runs at once on an instance that does not rest. */
bool router_longest_loads(const struct router_plan *plan);
/* The ask's far_too_long_for; 0: it may be shorter than it seems. */
uint32_t router_longest_far(const struct router_longest *longest);

/* -ENOMEM; `*ret_plan` is untouched then. The plan is good until something changes. */
MUST_CHECK int router_choose(
        struct router *router, const struct router_ask *ask, struct router_plan *ret_plan);
/* As router_choose(), telling of every instance once; for people. `look` may be NULL. */
MUST_CHECK int router_explain(struct router *router, const struct router_ask *ask,
        routing_look_fn *look, void *ctx, struct router_plan *ret_plan);
/* The instance that a look was told of. */
const struct instance *router_instance(const struct fleet_instance *entry);

/* The queue is looked through from its beginning; what waits for an instance is told one by one. */
void router_begin_pass(struct router *router);
void router_promise(struct router *router, const struct router_plan *plan);

/* A request that was sent; the caller's memory, zeroed at first. */
struct router_trip {
    struct flight flight;
    double sent_s;
    uint32_t held_blocks; /* of its prompt that the instance was thought to hold … */
    uint32_t held_in_all; /* … and of all prompts */
    uint32_t sequences;   /* that it decodes with this one, at first */
    bool alone;           /* nothing else ran there */
    bool answering;       /* its first token came */
    bool writes;          /* an answer; else it only computes its prompt */
};

enum router_end {
    ROUTER_ANSWERED,
    ROUTER_FAILED,  /* for a reason of the instance */
    ROUTER_ERRED,   /* with an error of its engine, which may be the request's fault as well, or for
                       want of memory, of which its node tells */
    ROUTER_REFUSED, /* for a reason of the request, or cancelled: says nothing of the instance */
};

/* It is sent to the plan's instance, which will hold its prompt. */
void router_sent(struct router *router, const struct router_plan *plan,
        const struct prefix_chain *chain, struct router_trip *trip);
void router_first_token(struct router *router, struct router_trip *trip);
/* It has ended there. Learns from `usage`, what the engine said (all 0: nothing), and corrects what
 * the instance holds. Once for each router_sent(). */
void router_ended(struct router *router, struct router_trip *trip, const char *mode,
        const struct prefix_chain *chain, enum router_end end, const struct msg_usage *usage);

/* Slots of all instances of these models that are loaded. O(models). */
uint64_t router_slots(struct router *router, const char *const *models, size_t count);
/* What the fleet has of a model; NULL: no connected node has it. Borrowed as of fleet_find(). */
const struct fleet_model *router_model(const struct router *router, const char *model);
/* The same, or where that is NULL what nodes had of it that are away. */
const struct fleet_model *router_model_known(const struct router *router, const char *model);
/* What a mode's rules ask of it (mode_look()); what only nodes have that are away is not there. */
struct mode_model_facts router_look(
        const struct router *router, const char *model, uint32_t needs, bool batch);
/* Tokens that an answer in this mode is likely to have, by those before it; at most `output_max`,
 * where that is not 0. None for `needs` that bring numbers instead of words: embeddings, ranks. */
double router_output_tokens(
        const struct router *router, const char *mode, uint32_t needs, uint32_t output_max);
/* About ten times a second, before the queue is looked through: instances that have rested come
 * back, what is late is expected later, and the work that can wait. */
void router_tick(struct router *router);
