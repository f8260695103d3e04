/* A request that might be, and what becomes of it: what serve_explain() tells, and of each mode the
 * overview of all (mode_now.h). First its mode's rules (modes/mode_policy.h), then the decision of
 * live requests (router/explanation.h), and where that mode has none for it, the same of those that
 * are asked instead, as job_choose.c goes through them. Changes nothing. Inside coordinator/api/
 * only. */
#pragma once

#include "coordinator/api/caller.h"
#include "coordinator/api/explain_query.h"
#include "coordinator/api/inference.h"
#include "coordinator/modes/mode_policy.h"
#include "coordinator/router/explanation.h"
#include "coordinator/router/why.h"

struct conversation { /* where it was last */
    bool known;
    uint32_t epoch;       /* of the session of its node; 0: nowhere */
    uint64_t model;       /* hash of the model's name there */
    const char *may_stay; /* that model, where it may answer; else NULL */
    uint64_t last_block;  /* of its last prompt, and how many there were; 0: none */
    uint32_t blocks, bytes, answer_tokens;
};

struct explaining_step { /* of the modes that are asked one after another */
    const struct mode *mode;
    /* Once it was asked, and has none: */
    char why[WHY_MAX];
};

struct explaining {          /* of one call; zeroed at first but for these three */
    const struct call *call; /* borrowed */
    struct explain_query query;
    bool plan_only; /* of the explanation nothing else is wanted, which is cheaper */

    uint32_t needs;              /* CAPABILITY_…, of the query or of the mode's kind */
    struct inference_name named; /* what the query's name asks for */
    bool greedy;                 /* the caller's key is */
    struct explaining_step steps[MODES_MAX]; /* the mode of `named` and what comes instead */
    size_t step_count, at;                   /* 0: a model was asked for */
    struct router_longest longest;           /* of the steps */
    bool overlong;                           /* too long for all of them: it goes by that one */

    /* By the step that it is at, in the end the one that decides: */
    const struct mode *mode;                        /* NULL: a model was asked for */
    struct mode_model_facts facts[MODE_MODELS_MAX]; /* of each of the mode's models */
    struct mode_policy policy;                      /* of a mode */
    const char *models[MODE_MODELS_MAX]; /* that may answer, by their own names; borrowed */
    uint8_t quality[MODE_MODELS_MAX];
    size_t model_count, named_count; /* those behind the named ones only stand in for them */
    struct conversation conversation;
    struct explanation explanation;
};

/* Fills all but the explanation. -EINVAL, -ENOENT (no such mode or model), -EACCES (the caller may
 * not use it). */
MUST_CHECK int explaining_prepare(struct explaining *it, struct err *err);
/* The same of a request for this mode, whatever the query's names are. -EACCES. */
MUST_CHECK int explaining_prepare_mode(
        struct explaining *it, const struct mode *mode, struct err *err);
/* Then the explanation, by the first of its modes that has an instance for it, or in the end none.
 * -ENOMEM. */
MUST_CHECK int explaining_decide(struct explaining *it);

/* True where it would wait: for the plan's instance, or where that has none for any. False where it
 * is served or refused. */
bool explaining_waits(const struct explaining *it);
/* The mode that would be asked instead of the one that decides: as its config says, and where the
 * caller may use it. NULL: none. */
const struct mode *explaining_next_mode(const struct explaining *it);
/* Tokens of the answer, as expected. */
double explaining_output_tokens(const struct explaining *it);
/* False where the mode was asked for by a name that leaves only other models of it. */
bool explaining_leaves(const struct explaining *it, const char *model);
/* What the fleet has of a model, by any of its names. NULL: nothing. */
const struct fleet_model *explaining_model(const struct explaining *it, const char *name);
/* The same, or what nodes had of it that are away. */
const struct fleet_model *explaining_model_known(const struct explaining *it, const char *name);
/* Of the instances of a model that may answer by the rule the one that comes closest to it. NULL:
 * it may not, or there is none. */
const struct explanation_row *explaining_row(const struct explaining *it, const char *name);
