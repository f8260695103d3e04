/* Requests that are made up: sessions that begin at random, each with a system prompt that many
 * share, a first message, and turns that each take all before them along. */
#pragma once

#include "bench/sim/workload/workload.h"

enum { GENERATOR_SESSIONS_MAX = WORKLOAD_REQUESTS_MAX }; /* also those without a request */

struct generator_params {
    double duration_s;    /* sessions begin within */
    double sessions_s;    /* … so many a second */
    double arrival_cv;    /* of the times between them, gamma; 1: exponential, above it: bursts */
    double turns;         /* requests of a session, in the mean; geometric */
    double think_s;       /* from the end of an answer to the next request, in the mean */
    double think_cv;      /* … gamma */
    double read_tok_s;    /* an answer takes its length ÷ this until then */
    uint32_t systems;     /* system prompts … */
    double system_zipf;   /* … by rank ^ −this … */
    double system_tokens; /* … each of so many tokens in the median, log-normal with sigma 0.5 */
    double prompt_tokens, prompt_sigma; /* the first message: median, sigma; log-normal */
    double turn_tokens, turn_sigma;     /* … those after it */
    double output_tokens, output_sigma; /* … answers */
    uint32_t tokens_max;                /* a session ends before its prompt would be longer */
    uint32_t users;
};

extern const struct generator_params generator_defaults;

/* -ENOMEM; -E2BIG past GENERATOR_SESSIONS_MAX or a limit of workloads; -ERANGE: sessions begin, and
 * no first prompt is within tokens_max. The same seed gives the same requests. */
MUST_CHECK int generator_make(
        const struct generator_params *params, uint64_t seed, struct workload *ret_workload);
