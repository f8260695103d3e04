/* The speed of an instance before its first request, from what is known of host and model. Within a
 * factor of 2 of what was measured on the first users' machines and of published figures of
 * llama.cpp; the first timing then sets it right (rates.h).
 *
 * Decode is bound by memory: a step reads the weights that a token goes through once.
 *   step(1) = 1.5 ms + bytes·active share / (0.6·bandwidth)
 * 0.6: engines reach 50 to 75 % of what a memory's data sheet says. Of it a tenth grows with each
 * sequence (cache, compute), for a mixture of experts three tenths: other sequences take other
 * experts.
 *
 * Prefill is bound by compute, two operations for each parameter and token. What a device computes
 * is seldom known; it goes with its bandwidth: with llama.cpp about 90 operations for each byte a
 * second of an RTX PRO 6000, 50 of a Strix Halo, 20 of an M2 Ultra, 12 of a desktop's processor.
 *   R = 40·bandwidth / (2·parameters·active share)
 * and half of it for a mixture of experts, whose batches fall apart into small ones. Attention
 * takes four operations more for each token before it and element of the queries, so that it takes
 * as many as all the rest at the depth D = parameters·active share / (2·width) which is 30,000
 * tokens for an 8B of 32 layers of 4,096, and 8,000 for a 30B of which 3B are active.
 *
 * Pure. */
#pragma once

#include "coordinator/scheduling/cost.h"

#include <stdint.h>

struct rates_facts {
    uint64_t model_bytes;     /* of the weights; 0: not known */
    uint64_t parameters;      /* 0: not known */
    uint64_t bandwidth_bytes; /* a second, of the memory they are in; 0: not known */
    double active_share;      /* of the weights that a token goes through; 0: all */
    double attention_width; /* elements of a token's queries, of all layers that attend to all that
                               is before it; 0: not known */
    /* What its node measured, over requests of all sizes; 0: nothing. Stands above the rest. */
    double prefill_tok_s, decode_tok_s;
};

/* Of a model by its name ("qwen3-coder-30b-a3b", "mixtral-8x7b", "gpt-oss-120b") or else by its
 * architecture as in a GGUF file ("qwen3moe"); NULL: not known. 1 where nothing says that it is a
 * mixture of experts. */
double rates_active_share(const char *model, const char *architecture);

/* Always sound. */
void rates_prior(const struct rates_facts *facts, struct cost_rates *ret_prior);
