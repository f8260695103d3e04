/* What a request costs on an instance, in seconds, and every term of it by itself: what the
 * scheduler compares, what the simulator is held to and what `modemesh explain` shows. Tokens and
 * seconds as doubles, rates as the engines' own timings gave them. Pure.
 *
 *   Tpre(n, d) = n·(1 + (d + n/2)/D) / R      R prefill tok/s, D depth at which its speed has
 * halved step(B)    = a + b·B                      time of one decode step with B sequences W =
 * max(prefill queued ahead, wait for a slot) TTFT       = max(W, load) + Tpre(prompt − h, h) + RTT
 *   J          = TTFT + β·N·step(min(B+1, slots)) + γ·Tpre(prompt − h, h)·B/slots
 *              + σ·(quality missing) + price + P(fail)·retry
 *
 * Source: docs/ARCHITECTURE.md, "Which node". */
#pragma once

#include <stdint.h>

#define COST_BETA_INTERACTIVE 0.3 /* β: a person reads along while it is written */
#define COST_BETA_BATCH       1.0
#define COST_GAMMA            0.5  /* γ: what a prefill takes from those that are being answered */
#define COST_SIGMA            0.5  /* σ: seconds for each point of quality below the best wanted */
#define COST_RETRY_S          10.0 /* a request that fails is begun again elsewhere */

struct cost_rates {        /* of an instance */
    float prefill_tok_s;   /* R; more than 0 */
    float half_depth;      /* D, tokens; more than 0, INFINITY: depth costs nothing */
    float step_s;          /* a */
    float step_sequence_s; /* b */
};

struct cost_ask { /* of a request, for one model of its mode */
    double prompt_tokens;
    double output_tokens; /* N, as expected */
    double beta, gamma, sigma;
    double quality_missing; /* points */
};

struct cost_state { /* of an instance, at one moment */
    const struct cost_rates *rates;
    double held_tokens;     /* h: of this prompt, at its beginning */
    double prefill_queue_s; /* prefill that it has been given and not done */
    double slot_wait_s;     /* until it has a slot free; 0: it has one */
    double load_s;          /* until its model is loaded, others evicted first; 0: it is */
    double rtt_s;
    double price_s;      /* κ·price: what its answer costs, in seconds that people would pay */
    double failure_rate; /* 0 … 1 */
    double running;      /* B: sequences that it decodes now */
    double slots;
};

struct cost {      /* seconds; the terms add up to `total_s` */
    double wait_s; /* W, where it is longer than the load; else 0 */
    double load_s; /* … and the other way round */
    double prefill_s;
    double rtt_s;
    double decode_s;       /* β· */
    double interference_s; /* γ· */
    double quality_s;      /* σ· */
    double price_s;
    double failure_s;
    double ttft_s;  /* of them wait, load, prefill and round trip */
    double total_s; /* J */
};

/* Tpre: of `tokens` behind `depth` that are there. */
double cost_prefill_s(const struct cost_rates *rates, double tokens, double depth);
double cost_step_s(const struct cost_rates *rates, double sequences);

void cost_of(const struct cost_ask *ask, const struct cost_state *state, struct cost *ret_cost);
