/* By what the instance of a job is chosen: the models that may answer, the best liked first, and
 * what their mode asks of them, as its policy has it (modes/mode_policy.h). Of models that were
 * asked for by name nothing is asked. */
#pragma once

#include "common/buf.h"
#include "coordinator/modes/mode_body.h"
#include "coordinator/modes/mode_policy.h"
#include "coordinator/modes/modes.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_TERMS_NO_MODE "-" /* models were asked for by name */

struct job_terms {
    char mode[MSG_NAME_MAX + 1];      /* or JOB_TERMS_NO_MODE */
    char rule[MODE_RULE_TEXT_MAX];    /* of the mode, in words: "code up to 16k: …"; "": none */
    char *models[MODE_MODELS_MAX];    /* their own names, no aliases; each once */
    uint8_t quality[MODE_MODELS_MAX]; /* points of each; 0: nodes say it */
    size_t model_count;
    size_t named_count; /* of them by the rule; those behind only stand in for these */
    /* Whose models count while no connected node has one of these that holds it; of it nothing but
     * the models and their points is asked. Owned; NULL: nothing. */
    struct job_terms *spare;
    uint32_t tokens;       /* of prompt and answer, as expected when it came; 0: not known */
    uint8_t floor, wanted; /* points, as of struct mode_policy */
    uint8_t priority;      /* of the queue; that of the first terms counts */
    double beta;           /* scheduling/cost.h */
    bool batch;
    struct mode_answer answer; /* what the mode says of the answer: it stands in the body */
    enum mode_when_none when_none;
    uint32_t patience_ms;   /* in the queue by these terms; 0: JOB_WAIT_MAX_MS */
    bool waited_out;        /* the patience was at its end when the next ones came into force */
    struct job_terms *next; /* WHEN_NONE_NEXT: what counts instead; owned; NULL: nothing */
};

/* Without models, of which nothing is asked; `mode` NULL: none. NULL where malloc refuses. */
struct job_terms *job_terms_create(const char *mode);
/* With these models, each liked a little less than the one before. NULL where malloc refuses. */
struct job_terms *job_terms_of_models(
        const char *mode, const char *const *models, size_t model_count);
/* Those that follow it and its spare, too. Takes NULL. */
void job_terms_destroy(struct job_terms *terms);

/* Adds one that is liked less than those before it; one that is there, or past MODE_MODELS_MAX, is
 * left out. -ENOMEM. */
MUST_CHECK int job_terms_add(struct job_terms *terms, const char *model, uint8_t quality);
/* Whose place those in force take, of the list that begins with `first`: "code has none for it; ".
 * "" where they are the first. Cut at `room`. Returns `ret_text`. */
const char *job_terms_passed(const struct job_terms *first, const struct job_terms *in_force,
        char *ret_text, size_t room);

/* model_count where it is not among them. */
size_t job_terms_place(const struct job_terms *terms, const char *model);
/* `model` takes the place and at least the points of `replaced`, which is among them; the rule's
 * words name it. Returns the name that is gone, which is the caller's then; NULL where malloc
 * refuses, or both are the same: nothing has changed. */
char *job_terms_replace(struct job_terms *terms, const char *replaced, const char *model);
