/* What a request costs on an instance, in seconds, and every term of it by itself: what routing
 * compares, what the simulator is held to and what `modemesh explain` shows. Tokens and seconds are
 * doubles, rates are as the engines' own timings gave them. Pure.
 *
 *   Tpre(n, d) = n·(1 + (d + n/2)/D) / R     R: prefill tok/s; at the depth D half of it is left
 *   step(B)    = a + b·B                     one decode step with B sequences
 *   W          = max(prefill queued ahead, wait for a slot)
 *   TTFT       = max(W, load) + h·swap + Tpre(prompt − h, h) + RTT
 *   J          = TTFT + β·N·step(min(B + 1, slots)) + γ·Tpre(prompt − h, h)·B/slots
 *              + σ·(quality missing) + price + P(fail)·retry
 *
 * Source: docs/ARCHITECTURE.md, "Which node". The functions are inline because a decision takes
 * them for thousands of instances. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define COST_BETA_INTERACTIVE 0.3 /* β: a person reads along while it is written */
#define COST_BETA_BATCH       1.0
#define COST_GAMMA            1.0  /* γ: what a prefill takes from those that are being answered */
#define COST_SIGMA            0.5  /* σ: seconds for each point of quality below the best wanted */
#define COST_RETRY_S          10.0 /* a request that fails is begun again elsewhere */
#define COST_TERM_MAX_S       1e9  /* no term is longer, whatever the rates: a sum stays a number */

struct cost_rates {        /* of an instance */
    float prefill_tok_s;   /* R; more than 0 */
    float half_depth;      /* D, tokens; more than 0, INFINITY: depth costs nothing */
    float step_s;          /* a */
    float step_sequence_s; /* b */
};

struct cost_ask { /* of a request, for one model of its mode; nothing is negative */
    double prompt_tokens;
    double output_tokens; /* N, as expected */
    double beta, gamma, sigma;
    double quality_missing; /* points */
};

struct cost_state { /* of an instance, at one moment; what is negative counts as 0 */
    const struct cost_rates *rates;
    double held_tokens;     /* h: of this prompt, at its beginning; past its end: all of it */
    double prefill_queue_s; /* prefill that it has been given and not done */
    double slot_wait_s;     /* until it has a slot free; 0: it has one */
    double load_s;          /* until its model is loaded, others evicted first; 0: it is */
    double swap_token_s; /* to copy one token of what it holds back into its cache; 0: it is there
                          */
    double rtt_s;
    double price_s;      /* κ·price: what its answer costs, in seconds that people would pay */
    double failure_rate; /* 0 … 1 */
    double running;      /* B: sequences that it decodes by the time of this prefill */
    double slots;        /* at least 1 */
};

struct cost {      /* seconds, 0 … COST_TERM_MAX_S; the terms add up to `total_s` */
    double wait_s; /* W, where it is longer than the load; else 0 */
    double load_s; /* … and the other way round */
    double swap_s;
    double prefill_s;
    double rtt_s;
    double decode_s;       /* β· */
    double interference_s; /* γ· */
    double quality_s;      /* σ· */
    double price_s;
    double failure_s;
    double ttft_s;  /* of them wait, load, swap, prefill and round trip */
    double total_s; /* J */
};

enum { COST_TERM_COUNT = 10 };
/* The terms in the order of struct cost, without the sums: for tables and JSON. */
extern const struct cost_term {
    const char *name; /* "wait", "load", "swap", "prefill", "decode", … */
    size_t offset;    /* in struct cost, of a double */
} cost_terms[COST_TERM_COUNT];
double cost_term_s(const struct cost *cost, size_t term);

/* 0 … COST_TERM_MAX_S, which is also what NaN becomes. */
static inline double cost_bounded(double seconds)
{
    double below = seconds < COST_TERM_MAX_S ? seconds : COST_TERM_MAX_S;
    return below > 0 ? below : 0;
}

/* Tpre: of `tokens` behind `depth` that are there. */
static inline double cost_prefill_s(const struct cost_rates *rates, double tokens, double depth)
{
    double slower = 1 + (depth + tokens / 2) / (double)rates->half_depth;
    return cost_bounded(tokens * slower / (double)rates->prefill_tok_s);
}

/* Of one step in which `sequences` get a token each. */
static inline double cost_step_s(const struct cost_rates *rates, double sequences)
{
    return cost_bounded((double)rates->step_s + (double)rates->step_sequence_s * sequences);
}

static inline double cost_least(double a, double b)
{
    return a < b ? a : b;
}

static inline double cost_most(double a, double b)
{
    return a > b ? a : b;
}

static inline void cost_of(
        const struct cost_ask *ask, const struct cost_state *state, struct cost *ret_cost)
{
    double held = cost_least(cost_most(state->held_tokens, 0), ask->prompt_tokens);
    double running = cost_most(state->running, 0);
    double batch = cost_least(running, state->slots);
    double wait = cost_bounded(cost_most(state->prefill_queue_s, state->slot_wait_s));
    double load = cost_bounded(state->load_s);
    double prefill = cost_prefill_s(state->rates, ask->prompt_tokens - held, held);
    double step = cost_step_s(state->rates, cost_least(running + 1, state->slots));
    struct cost cost = {
            .wait_s = wait > load ? wait : 0,
            .load_s = wait > load ? 0 : load,
            .swap_s = cost_bounded(held * state->swap_token_s),
            .prefill_s = prefill,
            .rtt_s = cost_bounded(state->rtt_s),
            .decode_s = cost_bounded(ask->beta * ask->output_tokens * step),
            .interference_s = cost_bounded(ask->gamma * prefill * batch / state->slots),
            .quality_s = cost_bounded(ask->sigma * ask->quality_missing),
            .price_s = cost_bounded(state->price_s),
            .failure_s = cost_bounded(state->failure_rate * COST_RETRY_S),
    };
    cost.ttft_s = cost.wait_s + cost.load_s + cost.swap_s + cost.prefill_s + cost.rtt_s;
    cost.total_s = cost.ttft_s + cost.decode_s + cost.interference_s + cost.quality_s +
                   cost.price_s + cost.failure_s;
    *ret_cost = cost;
}
