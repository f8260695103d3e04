#include "coordinator/scheduling/token_ratio.h"

#include <math.h>

#define FORGET       0.95   /* weight of what was known, at each TOKENS_COUNT of prompts */
#define PRIOR_TOKENS 256.0  /* what the prior weighs: soon nothing */
#define TOKENS_COUNT 8192.0 /* at the most, of one prompt */
#define BYTES_MAX    1e12

static double between(double value, double least, double most)
{
    return fmin(fmax(value, least), most);
}

void token_ratio_init(struct token_ratio *ratio)
{
    *ratio =
            (struct token_ratio){.bytes = PRIOR_TOKENS * TOKEN_RATIO_PRIOR, .tokens = PRIOR_TOKENS};
}

void token_ratio_learn(struct token_ratio *ratio, double bytes, double tokens)
{
    if (!(tokens > 0 && tokens <= BYTES_MAX) ||
            !(bytes >= TOKEN_RATIO_BYTES_MIN && bytes <= BYTES_MAX))
        return;
    double found = between(bytes / tokens, TOKEN_RATIO_LEAST, TOKEN_RATIO_MOST);
    double weight = fmin(tokens, TOKENS_COUNT);
    double kept = pow(FORGET, weight / TOKENS_COUNT);
    ratio->bytes = kept * ratio->bytes + found * weight;
    ratio->tokens = kept * ratio->tokens + weight;
    if (ratio->count < UINT32_MAX)
        ratio->count++;
}

double token_ratio_bytes(const struct token_ratio *ratio)
{
    return between(ratio->bytes / ratio->tokens, TOKEN_RATIO_LEAST, TOKEN_RATIO_MOST);
}

bool token_ratio_is_sound(const struct token_ratio *ratio)
{
    const double slack = 1e-6, most = TOKENS_COUNT / (1 - FORGET) + PRIOR_TOKENS;
    return ratio->tokens > 0 && ratio->tokens <= most &&
           ratio->bytes >= ratio->tokens * TOKEN_RATIO_LEAST * (1 - slack) &&
           ratio->bytes <= ratio->tokens * TOKEN_RATIO_MOST * (1 + slack);
}
