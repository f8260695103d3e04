#include "bench/sim/report/figures.h"

#include "bench/sim/report/statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIGURE(member)                                                                             \
    {                                                                                              \
#member, offsetof(struct figures, member), false                                           \
    }

#define SHARE(member)                                                                              \
    {                                                                                              \
#member, offsetof(struct figures, member), true                                            \
    }

const struct figure figure_list[FIGURE_COUNT] = {
        FIGURE(requests),
        FIGURE(ttft_p50_s),
        FIGURE(ttft_p95_s),
        FIGURE(ttft_p99_s),
        FIGURE(ttft_mean_s),
        FIGURE(tpot_p50_s),
        FIGURE(tpot_p95_s),
        FIGURE(e2e_p50_s),
        FIGURE(e2e_p95_s),
        SHARE(goodput),
        SHARE(cached),
        SHARE(busy),
        FIGURE(tries),
};

double figure_of(const struct figures *figures, size_t index)
{
    return *(const double *)(const void *)((const char *)figures + figure_list[index].offset);
}

size_t figure_named(const char *name)
{
    size_t index = 0;

    while (strcmp(figure_list[index].name, name) != 0)
        index++;
    return index;
}

struct sums { /* of the requests that count */
    size_t count, tpot_count, met;
    double wanted, computed, tries;
    double *ttft, *tpot, *e2e;
};

static double unloaded_s(const struct world_params *params, const struct work *work)
{
    double least = INFINITY;

    for (uint32_t i = 0; i < params->node_count; i++)
        least = fmin(least, cost_prefill_s(&params->nodes[i].rates, work->prompt_tokens, 0));
    return least;
}

static double limit_s(
        const struct world *world, const struct objective *objective, const struct work *work)
{
    return objective->fixed_s > 0 ? objective->fixed_s
                                  : objective->scale * unloaded_s(world_params(world), work);
}

static void add_job(const struct world *world, const struct objective *objective,
        const struct job *job, struct sums *sums)
{
    const struct work *work = job->work;
    double ttft = job->first_s - work->arrival_s;

    if (work->output_tokens > 1)
        sums->tpot[sums->tpot_count++] = (job->end_s - job->first_s) / (work->output_tokens - 1.0);
    sums->met += ttft <= limit_s(world, objective, work);
    sums->e2e[sums->count] = job->end_s - work->arrival_s;
    sums->ttft[sums->count++] = ttft;
    sums->wanted += (double)job->wanted;
    sums->computed += (double)job->computed;
    sums->tries += job->tries;
}

static struct figures figures_from(const struct world *world, const struct sums *sums)
{
    struct world_tally tally = world_tally(world);
    double count = sums->count > 0 ? (double)sums->count : NAN, mean = 0 / count;

    for (size_t i = 0; i < sums->count; i++)
        mean += sums->ttft[i] / count;
    return (struct figures){
            .requests = (double)sums->count,
            .ttft_p50_s = statistics_quantile(sums->ttft, sums->count, 0.5),
            .ttft_p95_s = statistics_quantile(sums->ttft, sums->count, 0.95),
            .ttft_p99_s = statistics_quantile(sums->ttft, sums->count, 0.99),
            .ttft_mean_s = mean,
            .tpot_p50_s = statistics_quantile(sums->tpot, sums->tpot_count, 0.5),
            .tpot_p95_s = statistics_quantile(sums->tpot, sums->tpot_count, 0.95),
            .e2e_p50_s = statistics_quantile(sums->e2e, sums->count, 0.5),
            .e2e_p95_s = statistics_quantile(sums->e2e, sums->count, 0.95),
            .goodput = (double)sums->met / count,
            .cached = sums->wanted > 0 ? 1 - sums->computed / sums->wanted : NAN,
            .busy = tally.end_s > 0 ? tally.busy_s / tally.end_s / world_node_count(world) : NAN,
            .tries = sums->tries / count,
    };
}

static void collect(const struct world *world, const struct objective *objective,
        const struct figures_scope *scope, struct sums *sums)
{
    for (size_t i = 0; i < world_job_count(world); i++) {
        const struct job *job = world_job(world, i);

        if (job->work->user != scope->but_user)
            add_job(world, objective, job, sums);
    }
    statistics_sort(sums->ttft, sums->count);
    statistics_sort(sums->tpot, sums->tpot_count);
    statistics_sort(sums->e2e, sums->count);
}

int figures_of(const struct world *world, const struct objective *objective,
        const struct figures_scope *scope, struct figures *ret_figures, double **ret_ttft,
        size_t *ret_count)
{
    size_t room = world_job_count(world) + 1;
    struct sums sums = {0};
    int r = -ENOMEM;

    sums.ttft = calloc(room, sizeof(*sums.ttft));
    sums.tpot = calloc(room, sizeof(*sums.tpot));
    sums.e2e = calloc(room, sizeof(*sums.e2e));
    if (!sums.ttft || !sums.tpot || !sums.e2e)
        goto out;
    collect(world, objective, scope, &sums);
    *ret_figures = figures_from(world, &sums);
    if (ret_ttft) {
        *ret_ttft = sums.ttft;
        *ret_count = sums.count;
        sums.ttft = NULL;
    }
    r = 0;
out:
    free(sums.ttft);
    free(sums.tpot);
    free(sums.e2e);
    return r;
}
