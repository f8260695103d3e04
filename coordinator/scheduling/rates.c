#include "coordinator/scheduling/rates.h"

#include <math.h>

#define PREFILL_TOK_S_MIN 1e-3
#define PREFILL_TOK_S_MAX 1e9
#define HALF_DEPTH_MIN    16.0
#define STEP_S_MIN        1e-6
#define STEP_S_MAX        1e4
#define TOKENS_MAX        1e9 /* of a prompt or an answer; deeper ones do not exist */
#define SECONDS_MAX       1e7
#define SEQUENCES_MAX     1e5

/* What is thought of one timing and of the prior, as shares of what they tell. */
#define NOISE        0.05 /* of a timing */
#define SPEED_SPREAD 1.0  /* of the prior's two numbers together … */
#define RATIO_SPREAD 0.5  /* … and of the second by itself, where it is not more: */
#define DEPTH_SPREAD 0.1  /* of the first, at WEIGHT_DEPTH … */
#define BATCH_SPREAD 0.1  /* … and for each sequence */

/* Timings of the same relative error weigh the same about here: y grows with z. */
#define WEIGHT_DEPTH     16384.0 /* tokens */
#define WEIGHT_SEQUENCES 8.0

/* Half of the weight: the rest of such a timing is overhead. */
#define WEIGHT_PREFILL_TOKENS 256.0
#define WEIGHT_DECODE_TOKENS  32.0

#define ENOUGH      5.0 /* timings, from which on one is judged by the others */
#define DRIFT_RATE  0.25
#define DRIFT_BEGIN 0.2 /* two in a row that are clipped do not reach it */
#define DRIFT_END   0.07

struct prior { /* of a line */
    double u, v;
    double v_spread;      /* standard deviation of `v`, beside that of the speed */
    double u_least;       /* above 0 … */
    double u_per_v_least; /* … and never less of it than this for each of v; 0: it may be */
};

struct timing {
    double z, y;
    double weight; /* 0 … 1 */
    double scale;  /* y about, in any unit: relative errors count */
};

static double between(double value, double least, double most)
{
    return value > least ? fmin(value, most) : least;
}

/* --- the two lines --- */

static struct prior prefill_prior(const struct cost_rates *prior)
{
    double u = 1 / (double)prior->prefill_tok_s, v = u / (double)prior->half_depth;
    return (struct prior){.u = u,
            .v = v,
            .v_spread = fmax(RATIO_SPREAD * v, DEPTH_SPREAD * u / WEIGHT_DEPTH),
            .u_least = 1 / PREFILL_TOK_S_MAX,
            .u_per_v_least = HALF_DEPTH_MIN};
}

static struct prior decode_prior(const struct cost_rates *prior)
{
    double u = (double)prior->step_s, v = (double)prior->step_sequence_s;
    return (struct prior){.u = u,
            .v = v,
            .v_spread = fmax(RATIO_SPREAD * v, BATCH_SPREAD * u),
            .u_least = STEP_S_MIN};
}

/* The line that makes the least of
 *   Σ weight·((y − u − v·z) / (NOISE·u₀))²  +  the prior's own squares,
 * the prior's covariance being SPEED_SPREAD²·(u₀, v₀)(u₀, v₀)ᵀ + diag(0, v_spread²). `u` and `v`
 * are not below their least. `fade` is the weight that age has left. */
static void solve(const struct rates_line *line, double fade, const struct prior *prior,
        double *ret_u, double *ret_v)
{
    double trust = fade / (NOISE * NOISE * prior->u * prior->u);
    double ratio = prior->v / prior->u, tie = 1 / (prior->v_spread * prior->v_spread);
    double free = 1 / (SPEED_SPREAD * SPEED_SPREAD * prior->u);
    double auu = trust * line->s1 + ratio * ratio * tie + free / prior->u;
    double auv = trust * line->sz - ratio * tie;
    double avv = trust * line->szz + tie;
    double ru = trust * line->t1 + free, rv = trust * line->tz;
    double determinant = auu * avv - auv * auv; /* of a positive definite matrix */
    double u = (ru * avv - rv * auv) / determinant;
    double v = (rv * auu - ru * auv) / determinant;
    if (!(v >= 0)) {
        v = 0;
        u = ru / auu;
    }
    double ratio_least = prior->u_per_v_least;
    if (!(u >= ratio_least * v)) { /* the best of the lines u = ratio_least·v */
        v = (ratio_least * ru + rv) /
            (ratio_least * ratio_least * auu + 2 * ratio_least * auv + avv);
        u = ratio_least * v;
    }
    if (!(u >= prior->u_least)) {
        u = prior->u_least;
        v = ratio_least > 0 ? u / ratio_least : fmax((rv - auv * u) / avv, 0);
    }
    *ret_u = u;
    *ret_v = v;
}

static void fade(struct rates_line *line, double factor)
{
    line->s1 *= factor;
    line->sz *= factor;
    line->szz *= factor;
    line->t1 *= factor;
    line->tz *= factor;
    line->weight *= factor;
}

/* The measured time, brought within what is believed. */
static double believed(const struct rates_line *line, double expected, double measured)
{
    double most = line->weight < ENOUGH || line->changing ? RATES_CLIP_FIRST : RATES_CLIP;
    return between(measured, expected / most, expected * most);
}

/* Notes a timing's difference. Returns the weight that is left to what was known. */
static double forgetting(struct rates_line *line, double difference, double weight)
{
    const double most = log(RATES_CLIP);
    line->drift += DRIFT_RATE * weight * (between(difference, -most, most) - line->drift);
    line->changing = fabs(line->drift) > (line->changing ? DRIFT_END : DRIFT_BEGIN);
    return 1 - (1 - (line->changing ? RATES_FORGET_FAST : RATES_FORGET)) * weight;
}

static void learn(struct rates_line *line, const struct prior *prior, const struct timing *timing)
{
    double u, v;
    solve(line, 1, prior, &u, &v);
    double expected = u + v * timing->z;
    double y = believed(line, expected, timing->y);
    double weight = timing->weight / (timing->scale * timing->scale);
    fade(line, forgetting(line, log(y / expected), timing->weight));
    line->s1 += weight;
    line->sz += weight * timing->z;
    line->szz += weight * timing->z * timing->z;
    line->t1 += weight * y;
    line->tz += weight * y * timing->z;
    line->weight += timing->weight;
    if (line->count < UINT32_MAX)
        line->count++;
}

/* --- timings --- */

static double age_left(const struct rates *rates, double now_s)
{
    double age_s = now_s - rates->updated_s;
    return age_s > 0 ? exp2(-age_s / RATES_OLD_S) : 1;
}

static void grow_old(struct rates *rates, double now_s)
{
    double left = age_left(rates, now_s);
    fade(&rates->prefill, left);
    fade(&rates->decode, left);
    rates->updated_s = fmax(rates->updated_s, now_s);
}

/* NaN is in no range. */
static bool is_in(double value, double least, double most)
{
    return value >= least && value <= most;
}

void rates_learn_prefill(
        struct rates *rates, double tokens, double depth, double seconds, double now_s)
{
    if (!is_in(tokens, RATES_TOKENS_MIN, TOKENS_MAX) || !is_in(depth, 0, TOKENS_MAX) ||
            !is_in(seconds, 0, SECONDS_MAX) || !isfinite(now_s) || seconds <= 0)
        return;
    const struct prior prior = prefill_prior(&rates->prior);
    double z = depth + tokens / 2;
    grow_old(rates, now_s);
    learn(&rates->prefill, &prior,
            &(struct timing){.z = z,
                    .y = seconds / tokens,
                    .weight = tokens / (tokens + WEIGHT_PREFILL_TOKENS),
                    .scale = 1 + z / WEIGHT_DEPTH});
}

void rates_learn_decode(
        struct rates *rates, double tokens, double sequences, double seconds, double now_s)
{
    if (!is_in(tokens, RATES_TOKENS_MIN, TOKENS_MAX) || !is_in(sequences, 0, SEQUENCES_MAX) ||
            !is_in(seconds, 0, SECONDS_MAX) || !isfinite(now_s) || seconds <= 0)
        return;
    const struct prior prior = decode_prior(&rates->prior);
    double z = fmax(sequences, 1);
    grow_old(rates, now_s);
    learn(&rates->decode, &prior,
            &(struct timing){.z = z,
                    .y = seconds / tokens,
                    .weight = tokens / (tokens + WEIGHT_DECODE_TOKENS),
                    .scale = 1 + z / WEIGHT_SEQUENCES});
}

/* --- what is known --- */

static struct cost_rates sound(const struct cost_rates *rates)
{
    double depth = (double)rates->half_depth;
    return (struct cost_rates){.prefill_tok_s = (float)between((double)rates->prefill_tok_s,
                                       PREFILL_TOK_S_MIN, PREFILL_TOK_S_MAX),
            .half_depth = (float)(depth > HALF_DEPTH_MIN ? depth : HALF_DEPTH_MIN),
            .step_s = (float)between((double)rates->step_s, STEP_S_MIN, STEP_S_MAX),
            .step_sequence_s = (float)between((double)rates->step_sequence_s, 0, STEP_S_MAX)};
}

void rates_set_prior(struct rates *rates, const struct cost_rates *prior)
{
    rates->prior = sound(prior);
}

void rates_init(struct rates *rates, const struct cost_rates *prior, double now_s)
{
    *rates = (struct rates){.updated_s = now_s};
    rates_set_prior(rates, prior);
}

void rates_now(const struct rates *rates, double now_s, struct cost_rates *ret_rates)
{
    const struct prior prefill = prefill_prior(&rates->prior), decode = decode_prior(&rates->prior);
    double left = age_left(rates, now_s), u, v, a, b;
    solve(&rates->prefill, left, &prefill, &u, &v);
    solve(&rates->decode, left, &decode, &a, &b);
    *ret_rates = sound(&(struct cost_rates){.prefill_tok_s = (float)(1 / u),
            .half_depth = v > 0 ? (float)(u / v) : INFINITY,
            .step_s = (float)a,
            .step_sequence_s = (float)b});
}

/* Sums of squares: by Cauchy and Schwarz sz² is not above s1·szz, but for rounding. */
static bool is_sound_line(const struct rates_line *line)
{
    const double most = 1e30;
    return is_in(line->s1, 0, most) && is_in(line->sz, 0, most) && is_in(line->szz, 0, most) &&
           is_in(line->t1, 0, most) && is_in(line->tz, 0, most) && is_in(line->weight, 0, most) &&
           is_in(line->drift, -1, 1) && line->sz * line->sz <= line->s1 * line->szz * (1 + 1e-6);
}

bool rates_are_sound(const struct rates *rates)
{
    const struct cost_rates prior = sound(&rates->prior);
    return prior.prefill_tok_s == rates->prior.prefill_tok_s &&
           prior.half_depth == rates->prior.half_depth && prior.step_s == rates->prior.step_s &&
           prior.step_sequence_s == rates->prior.step_sequence_s && isfinite(rates->updated_s) &&
           is_sound_line(&rates->prefill) && is_sound_line(&rates->decode);
}
