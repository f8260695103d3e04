#include "bench/sim/experiment.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A seed whose sessions are all too long has no request. */
static int generate(const struct experiment *experiment, uint64_t seed, struct outcome *outcome,
        struct workload *ret_workload)
{
    struct workload made;
    int r = generator_make(experiment->generator, seed, &made);

    if (r == -ERANGE) {
        outcome->too_long++;
        workload_init(ret_workload);
        return 0;
    }
    if (r < 0)
        return r;
    outcome->made += made.count > 0;
    r = workload_thin(&made, experiment->load, seed, 0, ret_workload);
    workload_fini(&made);
    return r;
}

static int make_workload(const struct experiment *experiment, uint64_t seed,
        struct outcome *outcome, struct workload *ret_workload)
{
    struct workload workload;
    int r = experiment->trace ? workload_thin(experiment->trace, experiment->load, seed,
                                        experiment->users, &workload)
                              : generate(experiment, seed, outcome, &workload);

    if (r < 0)
        return r;
    if (experiment->flood_times > 1)
        r = workload_flood(&workload, 0, experiment->flood_times, seed);
    if (r < 0)
        workload_fini(&workload);
    else
        *ret_workload = workload;
    return r;
}

static int append_ttft(struct outcome *outcome, const double *ttft, size_t count)
{
    double *all = reallocarray(outcome->ttft, outcome->ttft_count + count + 1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    memcpy(all + outcome->ttft_count, ttft, count * sizeof(*ttft));
    outcome->ttft = all;
    outcome->ttft_count += count;
    return 0;
}

static int take_figures(
        const struct experiment *experiment, const struct world *world, struct outcome *outcome)
{
    struct figures_scope scope = {experiment->others_only ? 0 : FIGURES_ALL_USERS};
    double *ttft = NULL;
    size_t count = 0;
    int r = figures_of(world, &experiment->objective, &scope, &outcome->by_seed[outcome->seeds],
            &ttft, &count);

    if (r < 0)
        return r;
    r = append_ttft(outcome, ttft, count);
    free(ttft);
    if (r == 0)
        outcome->seeds++;
    return r;
}

static int tell_no_workload(const struct experiment *experiment, int r, struct err *err)
{
    if (r != -E2BIG)
        return err_set(err, r, "no memory for the requests of a load of %g", experiment->load);
    return err_set(err, r,
            "a load of %g has more than %d requests or sessions, or %d blocks of prompts: lower "
            "--load%s%s%s",
            experiment->load, WORKLOAD_REQUESTS_MAX, WORKLOAD_BLOCKS_MAX,
            experiment->trace ? "" : ", --sessions or --duration",
            experiment->flood_times > 1 ? ", or --flood-times" : "",
            experiment->trace ? ", or shorten the --trace" : "");
}

static bool sends_something(const struct workload *workload, uint32_t user)
{
    for (size_t i = 0; i < workload->count; i++)
        if (workload->at[i].user == user)
            return true;
    return false;
}

static int run_seed(const struct experiment *experiment, uint64_t seed, struct outcome *outcome,
        struct err *err)
{
    struct world_params params = experiment->world;
    struct workload workload;
    struct world *world = NULL;
    int r = make_workload(experiment, seed, outcome, &workload);

    if (r < 0)
        return tell_no_workload(experiment, r, err);
    outcome->calm += workload.count > 0 && !sends_something(&workload, 0);
    outcome->served += workload.count > 0;
    params.seed = seed;
    r = sim_world_create(&params, &workload, outcome->policy, &world);
    if (r < 0)
        err_set(err, r, "no memory for the nodes");
    if (r == 0)
        r = world_run(world, err);
    if (r == 0)
        r = take_figures(experiment, world, outcome);
    sim_world_destroy(world);
    workload_fini(&workload);
    return r;
}

/* What no load can mend. */
static int check_seeds(
        const struct experiment *experiment, const struct outcome *outcome, struct err *err)
{
    if (outcome->too_long > 0 && outcome->made == 0)
        return err_set(err, -ERANGE,
                "every made-up session begins with a prompt of more than --tokens-max %u: give a "
                "larger --tokens-max, or smaller --system-tokens and --prompt-tokens",
                experiment->generator->tokens_max);
    if (experiment->others_only && outcome->served > 0 && outcome->calm == outcome->served)
        return err_set(err, -ERANGE,
                "who is to send the flood has no request at a load of %g: give fewer --users than "
                "%u, or a larger --load",
                experiment->load,
                experiment->trace ? experiment->users : experiment->generator->users);
    return 0;
}

int experiment_run(const struct experiment *experiment, const struct policy *policy,
        struct outcome *ret_outcome, struct err *err)
{
    struct outcome outcome = {.policy = policy};
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < experiment->seeds; i++)
        r = run_seed(experiment, experiment->first_seed + i, &outcome, err);
    if (r == 0)
        r = check_seeds(experiment, &outcome, err);
    if (r < 0) {
        outcome_fini(&outcome);
        return err_prefix(err, r, "%s", policy->name);
    }
    statistics_sort(outcome.ttft, outcome.ttft_count);
    *ret_outcome = outcome;
    return 0;
}

void outcome_fini(struct outcome *outcome)
{
    free(outcome->ttft);
    outcome->ttft = NULL;
}

static void pick(const struct outcome *outcome, size_t figure, double *ret_values)
{
    for (uint32_t i = 0; i < outcome->seeds; i++)
        ret_values[i] = figure_of(&outcome->by_seed[i], figure);
}

struct estimate outcome_figure(const struct outcome *outcome, size_t figure)
{
    double values[EXPERIMENT_SEEDS_MAX];

    pick(outcome, figure, values);
    return statistics_mean(values, outcome->seeds);
}

struct estimate outcome_ratio(
        const struct outcome *above, const struct outcome *below, size_t figure)
{
    double a[EXPERIMENT_SEEDS_MAX], b[EXPERIMENT_SEEDS_MAX];

    pick(above, figure, a);
    pick(below, figure, b);
    return statistics_ratio(a, b, above->seeds);
}

struct search {
    struct experiment experiment;
    const struct policy *policy;
    size_t figure;
    double wanted;
    bool falls;
    bool measured; /* some load had requests */
    double kept;   /* the largest of these that was not past; 0: none */
};

/* Whether the load is past the one that is looked for; one that leaves no request is not. */
static int is_past(struct search *search, double load, bool *ret_past, struct err *err)
{
    struct outcome outcome;
    double mean, requests;
    int r;

    search->experiment.load = load;
    r = experiment_run(&search->experiment, search->policy, &outcome, err);
    if (r < 0)
        return r;
    mean = outcome_figure(&outcome, search->figure).mean;
    requests = outcome_figure(&outcome, figure_named("requests")).mean;
    outcome_fini(&outcome);
    *ret_past = requests > 0 && (search->falls ? mean < search->wanted : mean > search->wanted);
    search->measured = search->measured || requests > 0;
    if (requests > 0 && !*ret_past)
        search->kept = fmax(search->kept, load);
    return 0;
}

/* Why no load is the one: too little is asked, or what is asked is too much at any load. */
static int not_found(const struct search *search, struct err *err)
{
    const char *figure = figure_list[search->figure].name, *policy = search->policy->name;

    if (!search->measured)
        return err_set(err, -ERANGE,
                "no request left to measure up to a load of %d: give more --sessions, or a longer "
                "--duration or --trace",
                EXPERIMENT_LOAD_MAX);
    if (search->kept > 0)
        return err_set(err, -ERANGE,
                "%s does not come to %s %g even at a load of %d: give more --sessions or "
                "fewer nodes (--fleet), or look for less",
                policy, figure, search->wanted, EXPERIMENT_LOAD_MAX);
    return err_set(err, -ERANGE,
            "%s is past %s %g at every load that leaves a request: give fewer --sessions or "
            "more nodes (--fleet)%s",
            policy, figure, search->wanted,
            search->falls ? ", look for a smaller share, or give a larger --objective" : "");
}

static int find_past(struct search *search, double *ret_load, struct err *err)
{
    bool past = false;
    double load = 1.0 / 32;
    int r = is_past(search, load, &past, err);

    while (r == 0 && !past && load < EXPERIMENT_LOAD_MAX)
        r = is_past(search, load *= 2, &past, err);
    if (r == 0 && !past)
        r = not_found(search, err);
    *ret_load = load;
    return r;
}

int experiment_find_load(const struct experiment *experiment, const struct policy *policy,
        size_t figure, double wanted, double *ret_load, struct err *err)
{
    struct search search = {*experiment, policy, figure, wanted,
            figure_list[figure].offset == offsetof(struct figures, goodput), false, 0};
    double low, high = 0;
    int r = find_past(&search, &high, err);

    low = high > 1.0 / 32 ? high / 2 : 0;
    for (int i = 0; r == 0 && i < EXPERIMENT_HALVINGS; i++) {
        double middle = (low + high) / 2;
        bool past = false;

        r = is_past(&search, middle, &past, err);
        if (past)
            high = middle;
        else
            low = middle;
    }
    if (r == 0 && !(search.kept > 0))
        r = not_found(&search, err);
    if (r == 0)
        *ret_load = search.kept;
    return r;
}
