/* Bytes per token of a model's tokenizer, learnt from what its engine counted: what a prompt's
 * tokens are estimated from before it is sent. A mean decayed by use, in which each prompt
 * counts, and lets the others be forgotten, by its length, up to a bound: what a template adds to
 * each would else make every token of a long prompt seem short after a few questions. It begins
 * with a prior. Pure values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_RATIO_PRIOR 3.6 /* prose and code of English speakers, with a template's marks */
#define TOKEN_RATIO_LEAST 1.0
#define TOKEN_RATIO_MOST  16.0

enum { TOKEN_RATIO_BYTES_MIN = 1024 }; /* a shorter prompt says more of its template */

struct token_ratio {
    double bytes, tokens; /* decayed sums, the prior's among them */
    uint32_t count;       /* prompts since the first */
};

void token_ratio_init(struct token_ratio *ratio);
/* An engine counted `tokens` in a prompt of `bytes`. Nonsense is ignored; what is outside
 * TOKEN_RATIO_LEAST … TOKEN_RATIO_MOST counts as the nearest inside. */
void token_ratio_learn(struct token_ratio *ratio, double bytes, double tokens);
/* Within TOKEN_RATIO_LEAST … TOKEN_RATIO_MOST. */
double token_ratio_bytes(const struct token_ratio *ratio);
/* False where these sums cannot have been learnt: a file was changed. */
bool token_ratio_is_sound(const struct token_ratio *ratio);
