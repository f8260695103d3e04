#include "coordinator/scheduling/rates_prior.h"

#include "common/model/nominal.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What is taken where nothing is known: a desktop's memory, a model of a usual size. */
#define BANDWIDTH_DEFAULT   80e9
#define PARAMETERS_DEFAULT  8e9
#define BYTES_PER_PARAMETER 0.6 /* Q4_K_M */

#define BANDWIDTH_REACHED   0.6
#define STEP_OVERHEAD_S     1.5e-3
#define BATCH_SHARE         0.1 /* of a step's time, that comes with each sequence */
#define BATCH_SHARE_EXPERTS 0.3
#define OPERATIONS_PER_BYTE 40.0
#define EXPERTS_PREFILL     0.5     /* of the speed that the active parameters would have */
#define HALF_DEPTH          32768.0 /* where the width is not known */
#define HALF_DEPTH_LEAST    256.0
#define HALF_DEPTH_MOST     1048576.0
#define PREFILL_TOK_S_MOST  50000.0
#define ACTIVE_SHARE_LEAST  0.01

enum { SIZE_TEXT_MAX = 32 };

struct share {
    const char *name; /* part of it */
    double active;
};

/* Models whose usual names do not say what is active, from their cards. */
static const struct share published[] = {{"gpt-oss-120b", 5.1 / 117}, {"gpt-oss-20b", 3.6 / 21},
        {"glm-4.5-air", 12.0 / 106}, {"qwen3-235b", 22.0 / 235}, {"qwen3-30b", 3.3 / 30.5},
        {"qwen3-coder-30b", 3.3 / 30.5}, {"qwen3-coder-480b", 35.0 / 480}, {"qwen3-next", 3.0 / 80},
        {"qwen3-coder-next", 3.0 / 80}, {"minimax-m2", 10.0 / 230}, {"llama-4-scout", 17.0 / 109},
        {"llama-4-maverick", 17.0 / 400}, {"deepseek-v3", 37.0 / 671}, {"deepseek-r1", 37.0 / 671},
        {"mixtral", 2.0 / 8}};

/* Families, where the name says nothing: about what their models have in the middle. */
static const struct share families[] = {
        {"gpt-oss", 0.08}, {"deepseek2", 0.06}, {"minimax", 0.045}, {"llama4", 0.1}, {"moe", 0.1}};

/* --- a mixture's active share --- */

static double found_in(const char *name, const struct share *shares, size_t count)
{
    for (size_t i = 0; name && i < count; i++)
        if (strcasestr(name, shares[i].name))
            return shares[i].active;
    return 0;
}

/* Length of the letters, digits and points at `text`. */
static size_t word_at(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || text[len] == '.')
        len++;
    return len;
}

/* 0 where the first `len` bytes are not the size of a mixture. */
static double share_of_size(const char *text, size_t len)
{
    char size_text[SIZE_TEXT_MAX];
    struct nominal_size size;
    if (len >= sizeof(size_text))
        return 0;
    memcpy(size_text, text, len);
    size_text[len] = '\0';
    if (nominal_parse(size_text, &size, NULL) || size.active >= size.parameters)
        return 0;
    return (double)size.active / (double)size.parameters;
}

/* "30B-A3B" or "8x7B" anywhere in it, as words of their own. */
static double share_in_name(const char *name)
{
    for (size_t len; name && *name; name += len + (name[len] != '\0')) {
        len = word_at(name);
        size_t both = len;
        if (name[len] == '-' && tolower((unsigned char)name[len + 1]) == 'a')
            both += 1 + word_at(name + len + 1);
        double share = share_of_size(name, both);
        if (share > 0)
            return share;
        share = share_of_size(name, len);
        if (share > 0)
            return share;
    }
    return 0;
}

double rates_active_share(const char *model, const char *architecture)
{
    double share = share_in_name(model);
    if (share <= 0)
        share = found_in(model, published, COUNT(published));
    if (share <= 0)
        share = found_in(architecture, families, COUNT(families));
    return share > 0 ? share : 1;
}

/* --- the prior --- */

/* What is not known follows from the other, or is what is usual. */
static double parameters_of(const struct rates_facts *facts)
{
    if (facts->parameters > 0)
        return (double)facts->parameters;
    if (facts->model_bytes > 0)
        return (double)facts->model_bytes / BYTES_PER_PARAMETER;
    return PARAMETERS_DEFAULT;
}

static double bytes_of(const struct rates_facts *facts)
{
    return facts->model_bytes > 0 ? (double)facts->model_bytes
                                  : parameters_of(facts) * BYTES_PER_PARAMETER;
}

static double bandwidth_of(const struct rates_facts *facts)
{
    return facts->bandwidth_bytes > 0 ? (double)facts->bandwidth_bytes : BANDWIDTH_DEFAULT;
}

static double share_of(const struct rates_facts *facts)
{
    double share = facts->active_share;
    return share > 0 && share < 1 ? fmax(share, ACTIVE_SHARE_LEAST) : 1;
}

static bool is_measured(double rate)
{
    return isfinite(rate) && rate > 0;
}

static double prefill_tok_s(const struct rates_facts *facts)
{
    double share = share_of(facts);
    double whole = OPERATIONS_PER_BYTE * bandwidth_of(facts) / (2 * parameters_of(facts) * share);
    if (is_measured(facts->prefill_tok_s))
        return facts->prefill_tok_s;
    return fmin(share < 1 ? EXPERTS_PREFILL * whole : whole, PREFILL_TOK_S_MOST);
}

static double half_depth(const struct rates_facts *facts)
{
    double depth = parameters_of(facts) * share_of(facts) / (2 * facts->attention_width);
    if (!(facts->attention_width > 0))
        return HALF_DEPTH;
    return fmin(fmax(depth, HALF_DEPTH_LEAST), HALF_DEPTH_MOST);
}

static double step_s(const struct rates_facts *facts)
{
    double read = bytes_of(facts) * share_of(facts);
    if (is_measured(facts->decode_tok_s))
        return 1 / facts->decode_tok_s;
    return STEP_OVERHEAD_S + read / (BANDWIDTH_REACHED * bandwidth_of(facts));
}

void rates_prior(const struct rates_facts *facts, struct cost_rates *ret_prior)
{
    double step = step_s(facts);
    double batch = share_of(facts) < 1 ? BATCH_SHARE_EXPERTS : BATCH_SHARE;
    *ret_prior = (struct cost_rates){.prefill_tok_s = (float)prefill_tok_s(facts),
            .half_depth = (float)half_depth(facts),
            .step_s = (float)(step * (1 - batch)),
            .step_sequence_s = (float)(step * batch)};
}
